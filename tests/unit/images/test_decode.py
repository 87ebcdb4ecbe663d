"""Decoding: every format and every kind of bad image, against the policy in docs/images.md."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from concurrent import futures

import numpy as np
import pytest
from PIL import Image, ImageOps

from boxwright.images import decode

FRAME_HW = (48, 64)


def picture(width: int = 160, height: int = 120) -> Image.Image:
    """Smooth, and different in every corner."""
    x = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def encoded(image: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_claiming(width: int, height: int) -> bytes:
    """A few bytes that claim to be a large picture."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(100))) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def icon_around(payload: bytes) -> bytes:
    return struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(payload), 22) + payload


WEBP_BOMB = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3e\x00" * 2


@pytest.mark.parametrize(
    ("format_name", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 95}, 6),
        ("JPEG", {"quality": 95, "progressive": True}, 6),
        ("JPEG", {"quality": 95, "subsampling": 0}, 6),
        ("GIF", {}, 40),  # 256 colours
    ],
)
def test_every_format_gives_the_same_picture(format_name: str, options: dict[str, object], tolerance: int) -> None:
    image = picture()
    found = decode.decode(encoded(image, format_name, **options), (1000, 1000))
    assert found.size_hw == (120, 160)
    assert found.pixels.dtype == np.uint8 and found.pixels.flags.c_contiguous
    assert np.abs(found.pixels.astype(int) - np.asarray(image).astype(int)).max() <= tolerance


def test_an_icon_gives_its_largest_picture() -> None:
    found = decode.decode(encoded(picture(64, 64), "ICO", sizes=[(16, 16), (64, 64)]), (1000, 1000))
    assert found.pixels.shape == (64, 64, 3)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(format_name: str, orientation: int) -> None:
    data = encoded(picture(), format_name, exif=oriented(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    found = decode.decode(data, (1000, 1000))
    assert found.size_hw == expected.shape[:2] == decode.upright_size(data)
    assert found.size_hw == ((120, 160) if orientation < 5 else (160, 120))
    assert np.abs(found.pixels.astype(int) - expected.astype(int)).max() <= 4


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_small_but_never_below_the_frame(orientation: int) -> None:
    data = encoded(picture(1600, 1200), "JPEG", quality=90, exif=oriented(orientation))
    for frame_hw in [(48, 64), (288, 384), (149, 201), (2000, 2000)]:
        found = decode.decode(data, frame_hw)
        height, width = found.size_hw
        scale = min(1.0, frame_hw[0] / height, frame_hw[1] / width)
        assert found.pixels.shape[0] >= int(height * scale) and found.pixels.shape[1] >= int(width * scale)
        assert found.pixels.shape[0] <= max(2.1 * height * scale, height / 8 + 1)
        assert abs(found.pixels.shape[1] / found.pixels.shape[0] - width / height) < 0.02


def test_a_large_png_is_shrunk_too() -> None:
    found = decode.decode(encoded(picture(1600, 1200), "PNG"), FRAME_HW)
    assert found.size_hw == (1200, 1600) and found.pixels.shape == (48, 64, 3)


def test_transparency_shows_white() -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 4, 8))
    for data in (encoded(image, "PNG"), encoded(image, "WEBP", lossless=True)):
        pixels = decode.decode(data, FRAME_HW).pixels
        assert pixels[4, 6].tolist() == [255, 255, 255] and pixels[4, 1].tolist() == [0, 0, 255]
    grey = Image.new("LA", (8, 8), (0, 0))
    grey.putpixel((0, 0), (0, 255))
    assert decode.decode(encoded(grey, "PNG"), FRAME_HW).pixels[4, 4].tolist() == [255, 255, 255]


def test_a_palette_is_resolved_with_its_transparent_colour() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    assert decode.decode(encoded(image, "PNG"), FRAME_HW).pixels[0, 0].tolist() == [200, 100, 50]
    image.putpixel((7, 7), 0)
    pixels = decode.decode(encoded(image, "PNG", transparency=1), FRAME_HW).pixels
    assert pixels[0, 0].tolist() == [255, 255, 255] and pixels[7, 7].tolist() == [10, 20, 30]


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    samples = np.linspace(0, 65535, 64 * 8).reshape(8, 64).astype(np.uint16)
    for format_name in ("PNG", "TIFF"):
        pixels = decode.decode(encoded(Image.fromarray(samples), format_name), (1000, 1000)).pixels
        assert np.abs(pixels[..., 0].astype(int) - (samples >> 8)).max() <= 1


def test_one_bit_and_grey_images_become_rgb() -> None:
    grey = picture().convert("L")
    assert np.array_equal(decode.decode(encoded(grey, "PNG"), (999, 999)).pixels[..., 2], np.asarray(grey))
    assert decode.decode(encoded(grey, "JPEG"), (999, 999)).pixels.shape == (120, 160, 3)
    assert set(np.unique(decode.decode(encoded(grey.convert("1"), "PNG"), (999, 999)).pixels)) == {0, 255}


def test_a_cmyk_jpeg_has_its_colours() -> None:
    image = picture()
    found = decode.decode(encoded(image.convert("CMYK"), "JPEG", quality=95), (999, 999)).pixels
    assert np.abs(found.astype(int) - np.asarray(image).astype(int)).mean() < 3


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    for format_name in ("GIF", "WEBP"):
        data = encoded(frames[0], format_name, save_all=True, append_images=frames[1:])
        pixel = decode.decode(data, FRAME_HW).pixels[8, 8].tolist()
        assert pixel[0] > 250 and max(pixel[1:]) < 5


def test_stray_bytes_in_a_jpeg_are_forgiven() -> None:
    data = encoded(picture(), "JPEG")
    found = decode.decode(data[:-2] + b"\x00\x11\x22" + data[-2:], (999, 999))
    assert found.pixels.shape == (120, 160, 3)


JPEG = encoded(picture(), "JPEG")
PNG = encoded(picture(), "PNG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "The file is empty."),
        (b"hello, I am text", "Not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "Not an image"),
        (b"%PDF-1.4 and so on", "Not an image"),
        (JPEG[: len(JPEG) // 2], "The JPEG is truncated"),
        (JPEG[:-4], "The JPEG is truncated"),  # without its end marker and its last blocks
        (JPEG[:40], "The JPEG is"),
        (b"\xff\xd8\xff" + bytes(64), "The JPEG is"),
        (PNG[: len(PNG) // 2], "The PNG is truncated"),
        (PNG[:20], "The PNG is"),
        (encoded(picture(), "BMP")[:500], "truncated"),
        (encoded(picture(), "GIF")[:300], "The GIF is"),
        (encoded(picture(), "WEBP")[:60], "The WEBP is truncated"),
        (encoded(picture(), "TIFF")[:400], "The"),
        (encoded(Image.new("F", (4, 4)), "TIFF"), "32-bit samples"),
        (png_claiming(100_000, 100_000), "too many pixels: 100000 x 100000"),
        (icon_around(png_claiming(30_000, 30_000)), "too many pixels: 30000 x 30000"),
        (icon_around(struct.pack("<Iii", 40, 30_000, 30_000) + bytes(40)), "too many pixels"),
        (WEBP_BOMB, "too many pixels: 16128 x 16128"),
        (png_claiming(100, 100), "The PNG is"),
    ],
)
def test_a_bad_image_is_refused_with_one_sentence(data: bytes, reason: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(decode.DecodeError) as caught:
            decode.decode(data, FRAME_HW)
    assert reason in caught.value.reason
    assert caught.value.reason.endswith(".") and "\n" not in caught.value.reason


def test_limits_are_the_callers() -> None:
    with pytest.raises(decode.DecodeError, match=r"too large: .* at most 100 are allowed"):
        decode.decode(JPEG, FRAME_HW, decode.ImageLimits(max_bytes=100))
    for data in (JPEG, PNG):
        with pytest.raises(decode.DecodeError, match=r"too many pixels: 160 x 120, at most 19199 are allowed"):
            decode.decode(data, FRAME_HW, decode.ImageLimits(max_pixels=160 * 120 - 1))
        assert decode.decode(data, FRAME_HW, decode.ImageLimits(max_pixels=160 * 120)).size_hw == (120, 160)


def test_every_prefix_of_an_image_either_decodes_or_is_refused() -> None:
    for format_name in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "ICO"):
        data = encoded(picture(24, 24), format_name)
        for length in range(0, len(data), max(1, len(data) // 60)):
            try:
                decode.decode(data[:length], FRAME_HW)
            except decode.DecodeError as error:
                assert error.reason


def test_flipped_bytes_either_decode_or_are_refused() -> None:
    rng = np.random.default_rng(0)
    for format_name in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "ICO"):
        data = encoded(picture(24, 24), format_name)
        for _ in range(60):
            damaged = bytearray(data)
            for position in rng.integers(0, len(data), 3):
                damaged[position] = rng.integers(256)
            try:
                decode.decode(bytes(damaged), FRAME_HW, decode.ImageLimits(max_pixels=1_000_000))
            except decode.DecodeError as error:
                assert error.reason


def test_threads_do_not_disturb_each_other() -> None:
    kinds = [encoded(picture(320, 240), name) for name in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")]
    alone = [decode.decode(data, FRAME_HW).pixels for data in kinds]
    with futures.ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda data: decode.decode(data, FRAME_HW).pixels, kinds * 8))
    for index, pixels in enumerate(together):
        assert np.array_equal(pixels, alone[index % len(kinds)])
