"""16 bits of which some count, and alpha that says nothing: properties over many pictures."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from tests.support.images.corpus import png, tiff
from tests.support.images.corpus.samples import drawing, saved

from boxwright.images import decode, depth

FRAME_HW = (999, 999)


def decoded(data: bytes, policy: int = decode.POLICY) -> np.ndarray:
    return decode.decode(data, FRAME_HW, policy=policy).pixels


def as_tiff(values: np.ndarray) -> bytes:
    channels = values.shape[2]
    tags = tiff.described(
        values.shape[1], values.shape[0], bits=16, channels=channels, photometric=1 if channels == 1 else 2
    )
    return tiff.tiff(tags, [values.astype("<u2").tobytes()])


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "encode", [lambda values: png.png(values, 16, values.shape[2] - 1), as_tiff], ids=["PNG", "TIFF"]
)
def test_a_ramp_of_few_bits_is_the_ramp_of_eight(bits, channels, encode):
    ramp = np.linspace(0, 2**bits - 1, 64 * 48 * channels).round().astype(np.uint16).reshape(48, 64, channels)
    rng = np.random.default_rng(bits)
    for values in (ramp, np.ascontiguousarray(rng.permutation(ramp, axis=1))):
        exactly = values * (255 / (2**bits - 1))
        assert np.abs(decoded(encode(values)) - exactly).max() <= 1.0


@pytest.mark.parametrize(
    ("largest", "bits"), [(0, 8), (255, 8), (256, 10), (1023, 10), (1024, 12), (4096, 14), (16383, 14), (16384, 16)]
)
def test_the_largest_sample_is_rounded_up_to_bits_that_sensors_have(largest, bits):
    assert depth.rounded_bits(largest) == bits
    for channels in (1, 3):
        values = np.zeros((9, 11, channels), np.uint16)
        values[4, 5] = largest
        for data in (png.png(values, 16, channels - 1), as_tiff(values)):
            assert decoded(data)[4, 5].tolist() == [largest >> (bits - 8)] * 3


def test_a_few_significant_bits_fill_the_range():
    values = np.arange(32, dtype=np.uint16).reshape(1, 32, 1)
    found = decoded(png.png(values, 16, 0, before=png.chunk(b"sBIT", b"\5")))[0, :, 0]
    assert found.tolist() == [value * 255 // 31 for value in range(32)]


@pytest.mark.parametrize("content", [b"", b"\0", b"\x11", b"\x0c" * 5, b"\xff" * 3])
def test_an_impossible_statement_counts_as_none(content):
    values, shown, _ = png.significant(0, 12)
    assert np.array_equal(decoded(png.png(values, 16, 0, before=png.chunk(b"sBIT", content))), shown)


def test_samples_of_8_bits_are_not_touched():
    values = (drawing() >> 4).astype(np.uint16)
    assert np.array_equal(decoded(png.png(values, 8, 2, before=png.chunk(b"sBIT", b"\4\4\4"))), values)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_keeps_its_bits(orientation):
    values, _, _ = png.significant(2, 12)
    tags = {**tiff.described(64, 48, bits=16), tiff.ORIENTATION: (tiff.SHORT, [orientation])}
    few = decoded(tiff.tiff(tags, [values.tobytes()]))
    assert np.array_equal(few, decoded(tiff.tiff(tags, [(values << 4).tobytes()])))


def test_the_bits_of_one_image_are_its_own_whatever_size_is_wanted():
    values, _, _ = png.significant(2, 12)
    values = np.tile(values, (4, 4, 1))
    values[0, 0] = 4095
    whole = decoded(png.png(values, 16, 2))
    small = decode.decode(png.png(values, 16, 2), (48, 64)).pixels
    assert np.abs(small.astype(int) - np.asarray(Image.fromarray(whole).reduce(4))).max() == 0


def test_the_first_policy_takes_the_upper_byte_and_every_alpha():
    values = png.significant(2, 12)[0]
    assert decoded(png.png(values, 16, 2), policy=1).max() <= 15
    full = png.png(drawing().astype(np.uint16) * 257, 16, 2)
    assert np.array_equal(decoded(full, policy=1), decoded(full))
    clear = saved(Image.fromarray(np.dstack([drawing(), np.zeros((48, 64), np.uint8)]), "RGBA"), "PNG")
    assert decoded(clear, policy=1).min() == 255
    assert np.array_equal(decoded(clear), drawing())


@pytest.mark.parametrize(
    ("format_name", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})]
)
def test_alpha_that_is_0_everywhere_is_ignored_and_alpha_of_1_is_not(format_name, options):
    for alpha, expected in ((0, drawing()), (1, np.full((48, 64, 3), 254))):
        rgba = np.dstack([drawing(), np.full((48, 64), alpha, np.uint8)])
        found = decoded(saved(Image.fromarray(rgba, "RGBA"), format_name, **options))
        assert np.abs(found.astype(int) - expected).max() <= (1 if alpha else 0)


def test_a_bitmap_and_a_gif_with_alpha_0_show_their_colours():
    rgba = np.dstack([drawing(), np.zeros((48, 64), np.uint8)])
    bitmap = saved(Image.fromarray(rgba, "RGBA"), "BMP")
    assert np.array_equal(decoded(bitmap), drawing())
    still = Image.new("P", (8, 8), 1)
    still.putpalette([10, 20, 30, 200, 100, 50])
    assert decoded(saved(still, "GIF", transparency=1))[0, 0].tolist() == [200, 100, 50]


def test_the_second_look_at_a_large_image_takes_no_more_than_the_first_few_times():
    values = np.zeros((1500, 2000, 3), np.uint16)
    values[::7] = 4095
    data = png.png(values, 16, 2)
    tracemalloc.start()
    try:
        decode.decode(data, (300, 400))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8 * values.size


def test_spoilt_deep_images_are_images_or_refused():
    rng = np.random.default_rng(5)
    values, _, _ = png.significant(6, 12)
    for data in (png.png(values, 16, 6), as_tiff(png.significant(2, 10)[0])):
        for _ in range(200):
            spoilt = bytearray(data[: rng.integers(8, len(data) + 1)])
            for place in rng.integers(0, len(spoilt), 3):
                spoilt[place] = rng.integers(256)
            try:
                decode.decode(bytes(spoilt), FRAME_HW, decode.ImageLimits(max_pixels=1_000_000))
            except decode.DecodeError as error:
                assert error.reason.endswith(".")


def test_one_colour_is_seen_in_any_place():
    pixels = np.full((37, 53, 3), 9, np.uint8)
    assert decode.is_one_colour(pixels) and decode.is_one_colour(pixels[:1, :1])
    for place in ((0, 0), (36, 52), (17, 3)):
        other = pixels.copy()
        other[place] = (9, 9, 10)
        assert not decode.is_one_colour(other)
    with Image.open(io.BytesIO(saved(Image.new("RGB", (400, 300), (30, 60, 90)), "JPEG"))) as image:
        assert image.size == (400, 300)
