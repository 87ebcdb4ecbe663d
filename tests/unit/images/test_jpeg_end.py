"""Where the pixels of a JPEG end: every cut of small files against a plain reader that counts blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image
from tests.support.images import corpus, huffman
from tests.support.images.corpus.samples import drawing, saved, stored_for

from boxwright.images import decode, headers, jpeg_end

FRAME_HW = (999, 999)


def decoded(data: bytes, policy: int = decode.POLICY) -> np.ndarray | None:
    """The pixels, or None if the JPEG is truncated; anything else fails the test."""
    try:
        return decode.decode(data, FRAME_HW, policy=policy).pixels
    except decode.DecodeError as error:
        assert "truncated" in error.reason or "damaged" in error.reason
        return None


@pytest.mark.parametrize(
    ("mode", "options"),
    [("RGB", {"subsampling": 0}), ("RGB", {"subsampling": 2}), ("L", {}), ("L", {"optimize": True}), ("CMYK", {})],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_cut_file_is_an_image_if_and_only_if_every_block_is_there(mode, options, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (9, 17, 3), np.uint8)
    jpeg = saved(Image.fromarray(noise).convert(mode), "JPEG", quality=60 + 15 * seed, **options)
    whole = decoded(jpeg)
    seen = set()
    for length in range(len(jpeg) + 1):
        found = decoded(jpeg[:length]) if length > 3 else None
        expected = huffman.has_every_block(jpeg[:length])
        # Half of a stuffed byte: its bits are there.
        expected = expected or (jpeg[length - 1 : length] == b"\xff" and huffman.has_every_block(jpeg[:length] + b"\0"))
        assert (found is not None) == expected, length
        assert found is None or np.array_equal(found, whole)
        seen.add(expected)
    assert seen == {True, False}


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_blocks": 2}], ids=["scans", "restarts"])
def test_a_cut_of_many_scans_or_restarts_has_the_pixels_of_the_whole_or_is_refused(options):
    jpeg = saved(drawing(40, 30), "JPEG", quality=90, **options)
    whole = decoded(jpeg)
    images = [length for length in range(4, len(jpeg) + 1) if decoded(jpeg[:length]) is not None]
    assert images[-3:] == [len(jpeg) - 2, len(jpeg) - 1, len(jpeg)]
    assert images[0] >= len(jpeg) - 3  # the last coded byte may be filled up with ones
    assert all(np.array_equal(decoded(jpeg[:length]), whole) for length in images)


def test_a_progressive_file_that_ends_between_two_scans_is_refused():
    jpeg = saved(drawing(), "JPEG", quality=90, progressive=True)
    starts = [place for place in range(len(jpeg) - 1) if jpeg[place : place + 2] == b"\xff\xda"]
    assert len(starts) > 4
    for start in starts[1:]:
        table = jpeg.rfind(b"\xff\xc4", 0, start)
        for cut in {start, table}:
            if cut > starts[0]:
                assert decoded(jpeg[:cut]) is None
    # with its end marker it is what its author wanted
    assert decoded(jpeg[: starts[-1]] + jpeg_end.END) is not None


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 5}], ids=str)
@pytest.mark.parametrize("frame_hw", [(999, 999), (20, 20)])
def test_whatever_follows_the_pixels_they_are_those_of_a_file_with_a_proper_end(mode, options, frame_hw):
    jpeg = saved(Image.fromarray(drawing(160, 120)).convert(mode), "JPEG", quality=90, **options)
    whole = decode.decode(jpeg, frame_hw).pixels
    tails = [b"", b"\xff", b"\xff\xd8", b"\xff\x01", b"\0" * 9000, b"\xff" * 9000, b"\0\xff" * 50, b"abc\xff\xd9", jpeg]
    for tail in tails:
        found = decode.decode(jpeg[:-2] + tail, frame_hw).pixels
        assert np.array_equal(found, whole), tail[:8]


@pytest.mark.parametrize("padding", [b"\0", b"\xff"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 5}], ids=str)
def test_a_file_that_was_reserved_and_half_written_is_refused(padding, options):
    for mode in ("RGB", "CMYK"):
        jpeg = saved(Image.fromarray(drawing(160, 120)).convert(mode), "JPEG", quality=90, **options)
        for eighth in range(2, 8):
            cut = jpeg[: len(jpeg) * eighth // 8]
            # A progressive file whose last table is filled up with ones has fewer scans, which is allowed.
            ends = (b"",) if padding == b"\xff" and "progressive" in options else (b"", jpeg_end.END)
            for length, end in itertools.product((100, len(jpeg), 20 * len(jpeg)), ends):
                assert decoded(cut + padding * length + end) is None


def test_half_a_cmyk_picture_with_an_end_marker_is_refused():
    jpeg = saved(Image.fromarray(drawing()).convert("CMYK"), "JPEG", quality=95)
    assert decoded(jpeg[: len(jpeg) // 2] + jpeg_end.END) is None


def test_the_orientation_of_a_file_without_its_end_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    jpeg = saved(stored_for(drawing(), 6), "JPEG", quality=95, exif=exif)
    assert np.array_equal(decoded(jpeg[:-2]), decoded(jpeg))
    assert decoded(jpeg[:-2]).shape == (48, 64, 3)


def test_the_first_policy_goes_by_the_marker():
    jpeg = saved(drawing(), "JPEG", quality=95)
    assert np.array_equal(decoded(jpeg, policy=1), decoded(jpeg))
    assert decoded(jpeg[:-2], policy=1) is None


def test_arithmetic_coding_needs_a_marker_behind_its_data():
    (sample,) = [sample for sample in corpus.all_samples() if sample.kind == "JPEG, arithmetic coding"]
    assert sample.content.endswith(jpeg_end.END)
    assert decoded(sample.content) is not None
    assert decoded(sample.content[:-2]) is None


def test_spoilt_files_are_images_or_refused_and_nothing_else():
    rng = np.random.default_rng(3)
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 3}):
        jpeg = saved(drawing(24, 24), "JPEG", quality=80, **options)
        for _ in range(300):
            spoilt = bytearray(jpeg[: rng.integers(3, len(jpeg) + 1)])
            for place in rng.integers(3, max(4, len(spoilt)), 3):
                if place < len(spoilt):
                    spoilt[place] = rng.integers(256)
            try:
                decode.decode(bytes(spoilt), FRAME_HW, decode.ImageLimits(max_pixels=1_000_000))
            except decode.DecodeError as error:
                assert error.reason.endswith(".")


def test_a_file_of_nothing_but_fill_bytes_is_refused_without_walking_them_one_by_one():
    data = b"\xff\xd8" + b"\xff" * 20_000_000
    assert headers.inspect(data).content == b"\xff\xd8\xff"
    assert decoded(data) is None


def test_long_fill_inside_changes_nothing():
    jpeg = saved(Image.fromarray(drawing()).convert("CMYK"), "JPEG", quality=90)
    table = jpeg.index(b"\xff\xc4")
    assert np.array_equal(decoded(jpeg[:table] + b"\xff" * 200_000 + jpeg[table:]), decoded(jpeg))


def test_a_file_of_nothing_but_scans_ends_the_walk():
    jpeg = saved(drawing(), "JPEG", progressive=True)
    start = jpeg.index(b"\xff\xda")
    scan = jpeg[start : start + 2 + int.from_bytes(jpeg[start + 2 : start + 4], "big")]
    assert jpeg_end.outline(jpeg[:start] + scan * (jpeg_end.MAX_SCANS + 1)) is None
    assert jpeg_end.outline(jpeg[:start] + scan * 10) is not None
