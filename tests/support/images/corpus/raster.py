"""GIF, BMP, ICO and WebP: their variants, their lies about size, their damages."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from tests.support.images.corpus import exif, png
from tests.support.images.corpus.samples import (
    EXACT,
    FEW_COLOURS,
    Picture,
    Pixels,
    Sample,
    drawing,
    exact,
    grey,
    lossy,
    saved,
    stored_for,
)

SIZES = "one pixel; very long or narrow"
TOO_MANY = "more than 100 million pixels"


def samples() -> Iterator[Sample]:
    """All GIF, BMP, ICO and WebP files."""
    yield from _gif()
    yield from _bmp()
    yield from _bmp_lies()
    yield from _ico()
    yield from _webp()
    yield from _tiny()


def too_many(width: int, height: int) -> str:
    """The refusal of a picture above the pixel limit."""
    return f"The image has too many pixels: {width} x {height}, at most 100000000 are allowed."


def _tiny() -> Iterator[Sample]:
    for name, options in {"GIF": {}, "BMP": {}, "WEBP": {"lossless": True}, "TIFF": {}}.items():
        for width, height in ((1, 1), (1, 16000), (16000, 1)):
            pixels = drawing(width, height)
            tolerance = FEW_COLOURS if name == "GIF" else EXACT
            content = saved(pixels, name, **options)
            yield Sample(SIZES, f"{width}x{height}.{name.lower()}", content, Picture(pixels, tolerance))


def _gif() -> Iterator[Sample]:
    pixels, other = Image.fromarray(drawing()), Image.fromarray(grey(drawing()))
    few = Picture(drawing(), FEW_COLOURS)
    for interlaced in (0, 1):
        yield Sample("GIF, also interlaced", f"still-{interlaced}.gif",
                     saved(pixels.quantize(256), "GIF", interlace=interlaced), few)  # fmt: skip
    for disposal in range(4):
        content = saved(pixels, "GIF", save_all=True, append_images=[other, pixels], disposal=disposal, duration=50)
        yield Sample("GIF, animated", f"animated-{disposal}.gif", content, few)
    palette = Image.fromarray((np.arange(48 * 64).reshape(48, 64) // 1024).astype(np.uint8), "L").convert("P")
    palette.putpalette([10, 20, 30, 200, 100, 50, 0, 0, 250])
    colours = np.asarray([[10, 20, 30], [255, 255, 255], [0, 0, 250]], np.uint8)
    shown = colours[np.asarray(palette)]
    yield Sample("GIF with a transparent colour", "clear.gif", saved(palette, "GIF", transparency=1), exact(shown))
    plain = saved(pixels, "GIF")
    for width, height in ((8, 8), (1, 1), (64, 1)):
        content = plain[:6] + struct.pack("<HH", width, height) + plain[10:]
        yield Sample("GIF with a frame larger than its screen", f"screen-{width}x{height}.gif", content, few)
    for width, height in ((65535, 65535), (10001, 10000)):
        content = plain[:6] + struct.pack("<HH", width, height) + plain[10:]
        yield Sample(TOO_MANY, f"screen-{width}x{height}.gif", content, too_many(width, height), bomb=True)
    frame = plain.index(b"\x2c", 13 + 3 * 256) if b"\x2c" in plain[781:] else plain.index(b"\x2c")
    content = plain[: frame + 5] + struct.pack("<HH", 65535, 65535) + plain[frame + 9 :]
    yield Sample(TOO_MANY, "frame-65535x65535.gif", content, too_many(65535, 65535), bomb=True)
    yield Sample("GIF, animated", "comment.gif", plain[:-1] + b"\x21\xfe" + (b"\xff" + b"c" * 255) * 4000 + b"\0;", few)
    for length in (6, 12, 400, 800, len(plain) // 2, len(plain) - 30):
        yield Sample("GIF, BMP, ICO or WebP, truncated", f"cut-{length}.gif", plain[:length],
                     "The GIF is truncated: its data ends before the image is complete.")  # fmt: skip


def bmp(rows: bytes, width: int, height: int, bits: int, *, colours: bytes = b"", coding: int = 0,
        masks: bytes = b"") -> bytes:  # fmt: skip
    """A BMP of raw rows, bottom row first; a negative height says top row first."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, coding, len(rows), 0, 0, len(colours) // 4, 0)
    body = info + masks + colours
    return b"BM" + struct.pack("<IHHI", 14 + len(body) + len(rows), 0, 0, 14 + len(body)) + body + rows


def _lines(values: Pixels) -> bytes:
    """Rows from the bottom up, each padded to four bytes."""
    rows = values.reshape(values.shape[0], -1)[::-1]
    return b"".join(row.tobytes() + bytes(-len(row.tobytes()) % 4) for row in rows)


def _bmp() -> Iterator[Sample]:
    pixels = drawing()
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    kind = "BMP of 1, 4, 8, 16, 24 or 32 bits, either order of rows"
    yield Sample(kind, "24.bmp", bmp(_lines(bgr), 64, 48, 24), exact(pixels))
    yield Sample(kind, "24-top-down.bmp", bmp(_lines(bgr[::-1]), 64, -48, 24), exact(pixels))
    bgrx = np.concatenate([bgr, np.zeros_like(bgr[..., :1])], axis=-1)
    yield Sample(kind, "32.bmp", bmp(_lines(bgrx), 64, 48, 32), exact(pixels))
    yield Sample(kind, "32-top-down.bmp", bmp(_lines(bgrx[::-1]), 64, -48, 32), exact(pixels))
    red, green, blue = (pixels[..., channel].astype(np.uint16) for channel in range(3))
    five = (red >> 3 << 10 | green >> 3 << 5 | blue >> 3).astype("<u2")
    six = (red >> 3 << 11 | green >> 2 << 5 | blue >> 3).astype("<u2")
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    yield Sample(kind, "16-555.bmp", bmp(_lines(five.view(np.uint8)), 64, 48, 16), lossy(pixels))
    yield Sample(kind, "16-565.bmp", bmp(_lines(six.view(np.uint8)), 64, 48, 16, coding=3, masks=masks), lossy(pixels))
    index = (np.arange(48)[:, None] // 6 + np.arange(64)[None, :] // 6).astype(np.uint8)
    for bits in (1, 4, 8):
        most = 2**bits
        table = np.stack([np.linspace(0, 255, most), np.linspace(255, 9, most), np.full(most, 77)], -1).astype(np.uint8)
        stored = np.concatenate([table[:, ::-1], np.zeros((most, 1), np.uint8)], axis=-1)
        values = (index.astype(int) % most).astype(np.uint8)
        packed = np.packbits(((values[..., None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(48, -1), axis=1)
        content = bmp(_lines(packed), 64, 48, bits, colours=stored.tobytes())
        yield Sample(kind, f"{bits}.bmp", content, exact(table[values]))
        if bits > 1:
            runs = b"".join(_runs(row, bits) + b"\0\0" for row in values[::-1]) + b"\0\1"
            content = bmp(runs, 64, 48, bits, colours=stored.tobytes(), coding=2 if bits == 4 else 1)
            yield Sample("BMP with run lengths", f"{bits}-runs.bmp", content, exact(table[values]))
    old = b"BM" + struct.pack("<IHHIIHHHH", 26 + 9216, 0, 0, 26, 12, 64, 48, 1, 24) + _lines(bgr)
    yield Sample(kind, "os2.bmp", old, exact(pixels))
    for length, kind_of_end in ((60, "truncated"), (5000, "truncated"), (9000, "truncated")):
        sentence = f"The BMP is {kind_of_end}: its data ends before the image is complete."
        yield Sample("GIF, BMP, ICO or WebP, truncated", f"cut-{length}.bmp", bmp(_lines(bgr), 64, 48, 24)[:length],
                     sentence)  # fmt: skip


def _runs(row: Pixels, bits: int) -> bytes:
    """Run lengths of one row; in 4 bits a run holds two nibbles that alternate."""
    return b"".join(bytes([1, value << 4 if bits == 4 else value]) for value in row.tolist())


def _bmp_lies() -> Iterator[Sample]:
    rows = _lines(drawing()[..., ::-1].copy())
    for width, height in ((30_000, 30_000), (2**31 - 1, 2**31 - 1), (100_000_001, 1)):
        for coding, bits in ((0, 24), (1, 8), (2, 4)):
            content = bmp(b"\0\2\0\xff" * 50, width, height, bits, coding=coding, colours=bytes(64))
            yield Sample(TOO_MANY, f"claims-{width}x{height}-{bits}.bmp", content, too_many(width, height), bomb=True)
    content = bmp(rows, 30_000, -30_000, 24)
    yield Sample(TOO_MANY, "claims-top-down.bmp", content, too_many(30_000, 30_000), bomb=True)
    unknown = "The BMP is damaged, or of a kind that is not supported."
    damaged = "The BMP is damaged and cannot be decoded."
    for name, content, sentence in (
        ("no-width", bmp(rows, 0, 48, 24), unknown),
        ("seven-bits", bmp(rows, 64, 48, 7), damaged),
        ("unknown-coding", bmp(rows, 64, 48, 24, coding=9), damaged),
    ):
        yield Sample("GIF, BMP, ICO or WebP, damaged", f"{name}.bmp", content, sentence)
    # the reader takes the width as unsigned
    yield Sample(TOO_MANY, "negative-width.bmp", bmp(rows, -64, 48, 24), too_many(2**32 - 64, 48), bomb=True)


def icon(*payloads: bytes, claimed: int = 16) -> bytes:
    """An icon of these pictures, whose directory says that each is `claimed` pixels wide and high."""
    offset = 6 + 16 * len(payloads)
    entries = b""
    for payload in payloads:
        entries += struct.pack("<BBBBHHII", claimed, claimed, 0, 0, 1, 32, len(payload), offset)
        offset += len(payload)
    return struct.pack("<HHH", 0, 1, len(payloads)) + entries + b"".join(payloads)


def _ico() -> Iterator[Sample]:
    pixels = drawing(64, 64)
    image = Image.fromarray(pixels).convert("RGBA")
    for name in ("png", "bmp"):
        for sizes in ([(64, 64)], [(16, 16), (64, 64), (32, 32)]):
            content = saved(image, "ICO", sizes=sizes, bitmap_format=name)
            yield Sample("ICO with PNG or BMP inside", f"{name}-{len(sizes)}.ico", content, exact(pixels))
    inside = saved(pixels, "PNG")
    yield Sample("ICO whose directory lies about the size", "lies-16.ico", icon(inside), exact(pixels))
    yield Sample("ICO whose directory lies about the size", "lies-255.ico", icon(inside, claimed=255), exact(pixels))
    bomb = png.MAGIC + png.chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 6, 0, 0, 0))
    yield Sample(TOO_MANY, "claims-png.ico", icon(bomb + bytes(50)), too_many(40_000, 40_000), bomb=True)
    info = struct.pack("<IiiHHIIiiII", 40, 40_000, 80_000, 1, 32, 0, 0, 0, 0, 0, 0)
    yield Sample(TOO_MANY, "claims-bmp.ico", icon(info + bytes(50)), too_many(40_000, 80_000), bomb=True)
    yield Sample(TOO_MANY, "claims-second.ico", icon(inside, bomb + bytes(50)), too_many(40_000, 40_000), bomb=True)
    content = icon(inside)
    truncated = "The ICO is truncated: its data ends before the image is complete."
    yield Sample("GIF, BMP, ICO or WebP, truncated", "cut-half.ico", content[: len(content) // 2], truncated)
    for name, bad in {
        "no-pictures": struct.pack("<HHH", 0, 1, 0),
        "offset-outside": icon(inside)[:18] + b"\xff" * 8,
    }.items():
        yield Sample("GIF, BMP, ICO or WebP, damaged", f"{name}.ico", bad,
                     "The ICO is damaged, or of a kind that is not supported.")  # fmt: skip


def _webp() -> Iterator[Sample]:
    pixels = drawing()
    clear = np.concatenate([pixels, np.full((48, 64, 1), 255, np.uint8)], axis=-1)
    clear[-10:, -20:, 3] = 0
    shown = np.where(clear[..., 3:] > 0, pixels, np.uint8(255))
    ways: dict[str, tuple[dict[str, Any], float]] = {
        "lossy": ({"quality": 95}, 6.0),
        "lossless": ({"lossless": True}, EXACT),
    }
    for name, (options, tolerance) in ways.items():
        yield Sample("WebP, lossy or lossless", f"{name}.webp", saved(pixels, "WEBP", **options),
                     Picture(pixels, tolerance))  # fmt: skip
        yield Sample("WebP with alpha", f"alpha-{name}.webp", saved(Image.fromarray(clear, "RGBA"), "WEBP", **options),
                     Picture(shown, tolerance))  # fmt: skip
        content = saved(pixels, "WEBP", save_all=True, append_images=[Image.fromarray(grey(pixels))], **options)
        yield Sample("WebP, animated", f"animated-{name}.webp", content, Picture(pixels, tolerance))
    for order in exif.ORDERS:
        for orientation in range(1, 9):
            stored = stored_for(pixels, orientation)
            content = saved(stored, "WEBP", lossless=True, exif=exif.block(orientation, order))
            yield Sample(
                "WebP with EXIF orientation 1 to 8", f"exif-{order}-{orientation}.webp", content, exact(pixels)
            )
    for name in ("nine", "entries-missing", "letters"):
        content = saved(pixels, "WEBP", lossless=True, exif=exif.BROKEN[name])
        yield Sample("WebP with broken EXIF", f"exif-broken-{name}.webp", content, exact(pixels))
    animated = saved(pixels, "WEBP", save_all=True, append_images=[Image.fromarray(grey(pixels))], lossless=True)
    canvas = animated.index(b"VP8X") + 12
    for width, height in ((16383, 16383), (1 << 24, 255)):
        sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        content = animated[:canvas] + sizes + animated[canvas + 6 :]
        yield Sample(TOO_MANY, f"canvas-{width}x{height}.webp", content, too_many(width, height), bomb=True)
    still = saved(pixels, "WEBP", lossless=True)
    content = still[:21] + (16383 | 16383 << 14).to_bytes(4, "little") + still[25:]
    yield Sample(TOO_MANY, "claims.webp", content, too_many(16384, 16384), bomb=True)
    for length in (len(still) // 2, len(still) - 10):
        yield Sample("GIF, BMP, ICO or WebP, truncated", f"cut-{length}.webp", still[:length],
                     "The WEBP is truncated: its data ends before the image is complete.")  # fmt: skip
    noise = still[:30] + bytes(255 - byte for byte in still[30:])
    yield Sample("GIF, BMP, ICO or WebP, damaged", "noise.webp", noise, "The WEBP is damaged and cannot be decoded.")
