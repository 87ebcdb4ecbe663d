"""PNG written by hand: every colour type and depth, both orders of rows, transparency, texts that are bombs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tests.support.images.corpus import exif
from tests.support.images.corpus.samples import LOSSY, Picture, Sample, drawing, exact, flood, grey, saved, stored_for

MAGIC = b"\x89PNG\r\n\x1a\n"
TRUNCATED = "The PNG is truncated: its data ends before the image is complete."
DAMAGED = "The PNG is damaged and cannot be decoded."
UNKNOWN = "The PNG is damaged, or of a kind that is not supported."
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
COLOUR_TYPES = {0: "grey", 2: "rgb", 3: "palette", 4: "grey-alpha", 6: "rgba"}
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)  # x, y, steps

Values = npt.NDArray[np.uint16]


def samples() -> Iterator[Sample]:
    """All PNG files."""
    yield from _every_colour_type()
    yield from _significant_bits()
    yield from _clear_everywhere()
    yield from _transparent_colours()
    yield from _orientations()
    yield from _animations()
    yield from _spoilt()
    yield from _bombs()
    for width, height in ((1, 1), (1, 20000), (20000, 1)):
        content = saved(drawing(width, height), "PNG")
        yield Sample("one pixel; very long or narrow", f"{width}x{height}.png", content, exact(drawing(width, height)))


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk with its checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(values: Values, depth: int, colour_type: int, *, interlaced: bool = False, before: bytes = b"") -> bytes:
    """A PNG of raw values, (h, w, channels) uint16 below 2 ** depth; `before` holds chunks that precede the pixels."""
    height, width, _ = values.shape
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    passes = [values[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [values]
    rows = b"".join(_rows(part, depth) for part in passes if part.size)
    return MAGIC + chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _rows(values: Values, depth: int) -> bytes:
    flat = values.reshape(values.shape[0], -1)
    if depth == 16:
        packed = flat.astype(">u2").view(np.uint8)
    elif depth == 8:
        packed = flat.astype(np.uint8)
    else:
        bits = (flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        packed = np.packbits(bits.reshape(flat.shape[0], -1).astype(np.uint8), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in packed)


def _values(colour_type: int, depth: int) -> tuple[Values, npt.NDArray[np.uint8], bytes]:
    """Raw values, what they look like on white, and the palette chunk if there is one."""
    rgb = drawing().astype(np.uint16)
    most = 2**depth - 1
    alpha = np.full((*rgb.shape[:2], 1), most, np.uint16)
    alpha[-10:, -20:] = 0
    if colour_type == 3:
        index = (np.arange(rgb.shape[0])[:, None] // 6 + np.arange(rgb.shape[1])[None, :] // 6) % (most + 1)
        colours = np.stack([np.linspace(0, 255, most + 1), np.linspace(255, 0, most + 1), np.full(most + 1, 60)], -1)
        palette = colours.astype(np.uint8)
        return index[..., None].astype(np.uint16), palette[index], chunk(b"PLTE", palette.tobytes())
    source = grey(drawing())[..., :1].astype(np.uint16) if colour_type in (0, 4) else rgb
    values = source * 257 if depth == 16 else source >> (8 - depth)
    shown = (values >> 8 if depth == 16 else values * 255 // most).astype(np.uint8)
    if colour_type in (4, 6):
        values = np.concatenate([values, alpha], axis=-1)
        shown = np.where(alpha > 0, shown, np.uint8(255))
    return values.astype(np.uint16), np.broadcast_to(shown, rgb.shape).astype(np.uint8), b""


def _every_colour_type() -> Iterator[Sample]:
    for colour_type, name in COLOUR_TYPES.items():
        for depth in DEPTHS[colour_type]:
            for interlaced in (False, True):
                values, shown, palette = _values(colour_type, depth)
                content = png(values, depth, colour_type, interlaced=interlaced, before=palette)
                kind = f"PNG, {name.replace('rgba', 'RGB with alpha').replace('rgb', 'RGB').replace('-', ' with ')}"
                file_name = f"{name}-{depth}{'-interlaced' if interlaced else ''}.png"
                yield Sample(f"{kind}, {_depths(colour_type)} bits, also interlaced", file_name, content, exact(shown))


def _depths(colour_type: int) -> str:
    return ", ".join(str(depth) for depth in DEPTHS[colour_type][:-1]) + f" or {DEPTHS[colour_type][-1]}"


def _significant_bits() -> Iterator[Sample]:
    """16-bit files of which some bits are used, as cameras write them; with and without sBIT."""
    kind = "PNG of 16 bits of which 8, 10, 12 or 14 are used, with or without sBIT"
    for colour_type in (0, 2, 4, 6):
        name = COLOUR_TYPES[colour_type]
        for bits in (8, 10, 12, 14):
            for said in (False, True):
                values, shown, before = significant(colour_type, bits)
                if said:
                    before = chunk(b"sBIT", bytes([bits] * values.shape[2]))
                content = png(values, 16, colour_type, interlaced=bits == 12, before=before)
                yield Sample(kind, f"bits-{name}-{bits}-{said}.png", content, exact(shown))
    # The file knows better than its largest value; and a scaled one, as the specification has it, is what it was.
    dark = grey(drawing())[..., :1].astype(np.uint16)
    twelve = chunk(b"sBIT", b"\x0c")
    shown = np.broadcast_to(dark >> 4, (48, 64, 3)).astype(np.uint8)
    yield Sample(kind, "bits-dark.png", png(dark, 16, 0, before=twelve), exact(shown))
    yield Sample(kind, "bits-scaled.png", png(dark * 257, 16, 0, before=twelve), exact(grey(drawing())))
    full = chunk(b"sBIT", b"\x10")
    yield Sample(kind, "bits-all.png", png(dark, 16, 0, before=full), exact(np.zeros((48, 64, 3), np.uint8)))
    values, shown, _ = significant(2, 12)
    clear = values[40, 60]
    hidden = (values == clear).all(axis=-1)
    content = png(values, 16, 2, before=chunk(b"tRNS", clear.astype(">u2").tobytes()))
    yield Sample(kind, "bits-clear.png", content, exact(np.where(hidden[..., None], np.uint8(255), shown)))


def significant(colour_type: int, bits: int) -> tuple[Values, npt.NDArray[np.uint8], bytes]:
    """The drawing in so many of 16 bits, with other bits below the upper 8, what it looks like, and no chunks."""
    rgb = drawing().astype(np.uint16)
    source = grey(drawing())[..., :1].astype(np.uint16) if colour_type in (0, 4) else rgb
    noise = np.arange(source.size, dtype=np.uint16).reshape(source.shape) % (1 << (bits - 8))
    values = (source << (bits - 8)) | noise
    shown = np.broadcast_to(source, rgb.shape).astype(np.uint8)
    if colour_type in (4, 6):
        alpha = np.full((*rgb.shape[:2], 1), (1 << bits) - 1, np.uint16)
        alpha[-10:, -20:] = 0
        values = np.concatenate([values, alpha], axis=-1)
        shown = np.where(alpha > 0, shown, np.uint8(255))
    return values.astype(np.uint16), shown, b""


def _clear_everywhere() -> Iterator[Sample]:
    kind = "alpha that is 0 everywhere"
    for colour_type in (4, 6):
        for depth in DEPTHS[colour_type]:
            values, _, _ = _values(colour_type, depth)
            values[..., -1] = 0
            source = grey(drawing()) if colour_type == 4 else drawing()
            content = png(values, depth, colour_type)
            yield Sample(kind, f"all-clear-{COLOUR_TYPES[colour_type]}-{depth}.png", content, exact(source))
    values, shown, palette = _values(3, 8)
    content = png(values, 8, 3, before=palette + chunk(b"tRNS", bytes(256)))
    yield Sample(kind, "all-clear-palette.png", content, exact(shown))
    for depth in (8, 16):
        values = np.full((48, 64, 1), 90 if depth == 8 else 90 * 257, np.uint16)
        content = png(values, depth, 0, before=chunk(b"tRNS", values[0, 0].astype(">u2").tobytes()))
        yield Sample(kind, f"all-clear-colour-{depth}.png", content, exact(np.full((48, 64, 3), 90, np.uint8)))


def _transparent_colours() -> Iterator[Sample]:
    kind = "PNG with a transparent colour"
    for colour_type in (0, 2):
        for depth in DEPTHS[colour_type]:
            values, shown, _ = _values(colour_type, depth)
            clear = values[40, 60].copy()
            hidden = (values == clear).all(axis=-1)
            transparency = chunk(b"tRNS", clear.astype(">u2").tobytes())
            expected = np.where(hidden[..., None], np.uint8(255), shown)
            content = png(values, depth, colour_type, before=transparency)
            yield Sample(kind, f"clear-{COLOUR_TYPES[colour_type]}-{depth}.png", content, exact(expected))
    for depth in DEPTHS[3]:
        values, shown, palette = _values(3, depth)
        transparency = chunk(b"tRNS", b"\0")
        expected = np.where(values == 0, np.uint8(255), shown)
        content = png(values, depth, 3, before=palette + transparency)
        yield Sample(kind, f"clear-palette-{depth}.png", content, exact(expected))
    values, shown, palette = _values(3, 4)
    content = png(values, 4, 3, before=palette + chunk(b"tRNS", bytes([128] * 16)))
    half = (shown.astype(int) * 128 + 255 * 127) // 255
    yield Sample(kind, "half-clear-palette.png", content, Picture(half.astype(np.uint8), 1.0))


def _orientations() -> Iterator[Sample]:
    for order in exif.ORDERS:
        for orientation in range(1, 9):
            stored = stored_for(drawing(), orientation).astype(np.uint16)
            block = chunk(b"eXIf", exif.block(orientation, order))
            kind = "PNG with EXIF orientation 1 to 8, before or behind the pixels"
            name = f"exif-{order}-{orientation}"
            yield Sample(kind, f"{name}.png", png(stored, 8, 2, before=block), exact(drawing()))
            behind = png(stored, 8, 2)
            yield Sample(kind, f"{name}-behind.png", behind[:-12] + block + behind[-12:], exact(drawing()))
    for name, broken in exif.BROKEN.items():
        content = png(drawing().astype(np.uint16), 8, 2, before=chunk(b"eXIf", broken))
        yield Sample("PNG with broken EXIF", f"exif-broken-{name}.png", content, exact(drawing()))


def _animations() -> Iterator[Sample]:
    first, second = Image.fromarray(drawing()), Image.fromarray(grey(drawing()))
    ways: dict[str, dict[str, Any]] = {"plain": {}, "still-first": {"default_image": True}, "looped": {"loop": 3}}
    for name, options in ways.items():
        content = saved(first, "PNG", save_all=True, append_images=[second, first], **options)
        yield Sample("APNG", f"animated-{name}.png", content, exact(drawing()))


def _spoilt() -> Iterator[Sample]:
    content = png(drawing().astype(np.uint16), 8, 2)
    for length in (len(content) // 4, len(content) // 2, len(content) - 60):
        yield Sample("PNG, truncated", f"cut-{length}.png", content[:length], TRUNCATED)
    for length in (8, 9, 20, 30):
        yield Sample("PNG, truncated", f"cut-{length}.png", content[:length], TRUNCATED)
    pixels = content.index(b"IDAT")
    spoilt = {
        "header-checksum": content[:30] + b"\1" + content[31:],
        "pixels": content[: pixels + 4] + b"\xff" * 40 + content[pixels + 44 :],
        "no-header": MAGIC + content[33:],
        "depth-of-three": png(drawing().astype(np.uint16), 8, 2)[:24] + b"\3" + content[25:],
        "no-pixels": content[: pixels - 4] + content[-12:],
        "as-text": content.replace(b"\r\n", b"\n"),
    }
    for name, bad in spoilt.items():
        yield Sample("PNG, damaged", f"damaged-{name}.png", bad,
                     DAMAGED if name in ("pixels", "no-pixels") else UNKNOWN)  # fmt: skip
    for length in (12, 20):  # the end marker; the checksums of the pixels too
        yield Sample("PNG with stray bytes behind, or without its end", f"no-end-{length}.png", content[:-length],
                     exact(drawing()))  # fmt: skip
    yield Sample(
        "PNG with stray bytes behind, or without its end", "behind.png", content + bytes(999), exact(drawing())
    )


def _bombs() -> Iterator[Sample]:
    values = drawing().astype(np.uint16)
    texts = {
        "iccp": chunk(b"iCCP", b"profile\0\0" + flood()),
        "ztxt": chunk(b"zTXt", b"Comment\0\0" + flood()),
        "itxt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + flood()),
        "many-ztxt": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1_000_000))) * 300,
        "long-text": chunk(b"tEXt", b"Comment\0" + b"a" * 3_000_000),
        "long-itxt": chunk(b"iTXt", b"workflow\0\0\0\0\0" + b"{}" * 1_000_000),
        "large-profile": chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(range(256)) * 8000)),
    }
    for name, before in texts.items():
        content = png(values, 8, 2, before=before)
        yield Sample("PNG with long or exploding texts and profiles", f"text-{name}.png", content, exact(drawing()),
                     bomb=True)  # fmt: skip
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0))
    content = MAGIC + header + chunk(b"IDAT", flood()) + chunk(b"IEND", b"")
    yield Sample("PNG with more pixel data than its size takes", "flood.png", content,
                 Picture(np.zeros((48, 64, 3), np.uint8), LOSSY), bomb=True)  # fmt: skip
    for width, height in ((100_000, 100_000), (2**31 - 1, 2**31 - 1), (100_000_001, 1)):
        header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
        content = MAGIC + chunk(b"IHDR", header) + chunk(b"IDAT", flood()) + chunk(b"IEND", b"")
        sentence = f"The image has too many pixels: {width} x {height}, at most 100000000 are allowed."
        yield Sample("more than 100 million pixels", f"claims-{width}x{height}.png", content, sentence, bomb=True)
