"""TIFF written by hand: both byte orders, strips and tiles, compressions, depths, pages, and what lies about its size."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image
from tests.support.images.corpus import exif
from tests.support.images.corpus.png import significant
from tests.support.images.corpus.raster import too_many
from tests.support.images.corpus.samples import Picture, Sample, drawing, exact, flood, grey, saved, stored_for

DAMAGED = "The TIFF is damaged and cannot be decoded."
UNKNOWN = "The TIFF is damaged, or of a kind that is not supported."
TRUNCATED = "The TIFF is truncated: its data ends before the image is complete."
IN_PLANES = (
    "The TIFF holds fewer than 15 significant bits in compressed planes of 16, which is not supported; save it with "
    "interleaved channels."
)
GIANT = "TIFF with giant strips or tiles"
SHORT, LONG = 3, 4
WIDTH, LENGTH, BITS, CODING, PHOTOMETRIC, OFFSETS, ORIENTATION, SAMPLES = 256, 257, 258, 259, 262, 273, 274, 277
ROWS, COUNTS, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS, FORMAT = 278, 279, 322, 323, 324, 325, 339
DESCRIPTION, MOST, PLANES, EXTRA = 270, 281, 284, 338
NONE, DEFLATE, PACKBITS = 1, 8, 32773

Tags = dict[int, tuple[int, Sequence[int]]]


def samples() -> Iterator[Sample]:
    """All TIFF files."""
    yield from _compressions()
    yield from _depths()
    yield from _significant_bits()
    yield from _orientations()
    yield from _spoilt()
    yield from _bombs()


def tiff(tags: Tags, data: Sequence[bytes], order: str = "II", *, tiled: bool = False) -> bytes:
    """A TIFF of one page with the given tags; `data` are its strips or tiles."""
    sign = exif.ORDERS[order]
    places, position = [], 8
    for part in data:
        places.append(position)
        position += len(part)
    all_tags = dict(tags)
    all_tags[TILE_OFFSETS if tiled else OFFSETS] = (LONG, places)
    all_tags.setdefault(TILE_COUNTS if tiled else COUNTS, (LONG, [len(part) for part in data]))
    entries, extra = b"", b""
    position += position % 2
    behind = position + 2 + 12 * len(all_tags) + 4
    for tag, (kind, values) in sorted(all_tags.items()):
        packed = struct.pack(f"{sign}{len(values)}{'H' if kind == SHORT else 'I'}", *values)
        entries += struct.pack(sign + "HHI", tag, kind, len(values))
        if len(packed) <= 4:
            entries += packed.ljust(4, b"\0")
        else:
            entries += struct.pack(sign + "I", behind + len(extra))
            extra += packed + bytes(len(packed) % 2)
    body = b"".join(data)
    directory = struct.pack(sign + "H", len(all_tags)) + entries + bytes(4) + extra
    return order.encode() + struct.pack(sign + "HI", 42, position) + body + bytes(len(body) % 2) + directory


def described(width: int, height: int, *, bits: int = 8, channels: int = 3, coding: int = NONE,
              photometric: int = 2) -> Tags:  # fmt: skip
    """The tags that every picture has."""
    return {
        WIDTH: (LONG, [width]),
        LENGTH: (LONG, [height]),
        BITS: (SHORT, [bits] * channels),
        CODING: (SHORT, [coding]),
        PHOTOMETRIC: (SHORT, [photometric]),
        SAMPLES: (SHORT, [channels]),
    }


def packbits(data: bytes) -> bytes:
    """PackBits with literal runs only."""
    return b"".join(bytes([len(data[i : i + 128]) - 1]) + data[i : i + 128] for i in range(0, len(data), 128))


def _compressions() -> Iterator[Sample]:
    pixels = drawing()
    coders: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
        "plain": (NONE, bytes),
        "deflate": (DEFLATE, zlib.compress),
        "packbits": (PACKBITS, packbits),
    }
    for order in exif.ORDERS:
        for name, (coding, encode) in coders.items():
            tags = described(64, 48, coding=coding)
            strips = [encode(pixels[top : top + 10].tobytes()) for top in range(0, 48, 10)]
            content = tiff({**tags, ROWS: (LONG, [10])}, strips, order)
            yield Sample("TIFF in strips: plain, deflate, PackBits, LZW, both byte orders", f"{name}-{order}.tif",
                         content, exact(pixels))  # fmt: skip
            tiles = [
                encode(pixels[top : top + 16, left : left + 32].tobytes())
                for top in range(0, 48, 16)
                for left in range(0, 64, 32)
            ]
            tiled = {**tags, TILE_WIDTH: (LONG, [32]), TILE_LENGTH: (LONG, [16])}
            yield Sample("TIFF in tiles", f"{name}-tiles-{order}.tif", tiff(tiled, tiles, order, tiled=True),
                         exact(pixels))  # fmt: skip
    for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        content = saved(pixels, "TIFF", compression=name)
        yield Sample("TIFF in strips: plain, deflate, PackBits, LZW, both byte orders", f"{name}.tif", content,
                     exact(pixels))  # fmt: skip
    yield Sample("TIFF with JPEG inside", "jpeg.tif", saved(pixels, "TIFF", compression="jpeg", quality=95),
                 Picture(pixels, 8.0))  # fmt: skip
    one_bit = Image.fromarray(grey(pixels)).convert("1")
    for name in ("group3", "group4"):
        content = saved(one_bit, "TIFF", compression=name)
        yield Sample("TIFF of a fax (group 3 or 4)", f"{name}.tif", content, exact(np.asarray(one_bit.convert("RGB"))))
    for name in ("raw", "tiff_lzw"):
        content = saved(pixels, "TIFF", compression=name, save_all=True, append_images=[Image.fromarray(grey(pixels))])
        yield Sample("TIFF of several pages", f"pages-{name}.tif", content, exact(pixels))


def _depths() -> Iterator[Sample]:
    pixels = drawing()
    one = grey(pixels)
    for order in exif.ORDERS:
        kind_of = exif.ORDERS[order] + "u2"
        for name, source, channels, photometric in (("grey", one[..., :1], 1, 1), ("rgb", pixels, 3, 2)):
            tags = described(64, 48, bits=16, channels=channels, photometric=photometric)
            data = (source.astype(np.uint16) * 257).astype(kind_of).tobytes()
            shown = one if channels == 1 else pixels
            yield Sample("TIFF of 16 bits", f"{name}-16-{order}.tif", tiff(tags, [data], order), exact(shown))
    cmyk = Image.fromarray(pixels).convert("CMYK")
    yield Sample("TIFF in CMYK", "cmyk.tif", saved(cmyk, "TIFF"), exact(np.asarray(cmyk.convert("RGB"))))
    white_is_zero = tiff(described(64, 48, channels=1, photometric=0), [(255 - one[..., 0]).tobytes()])
    yield Sample("TIFF, grey, palette or with alpha", "white-is-zero.tif", white_is_zero, exact(one))
    yield Sample("TIFF, grey, palette or with alpha", "grey.tif", saved(Image.fromarray(one).convert("L"), "TIFF"),
                 exact(one))  # fmt: skip
    palette = Image.fromarray(pixels).quantize(64)
    yield Sample("TIFF, grey, palette or with alpha", "palette.tif", saved(palette, "TIFF"),
                 exact(np.asarray(palette.convert("RGB"))))  # fmt: skip
    clear = np.concatenate([pixels, np.full((48, 64, 1), 255, np.uint8)], axis=-1)
    clear[-10:, -20:, 3] = 0
    shown = np.where(clear[..., 3:] > 0, pixels, np.uint8(255))
    yield Sample("TIFF, grey, palette or with alpha", "alpha.tif", saved(Image.fromarray(clear, "RGBA"), "TIFF"),
                 exact(shown))  # fmt: skip
    sentence = "The image has 32-bit samples; only 1 to 16 bits a channel are supported."
    for name, kind, sample_format in (("float", np.float32, 3), ("integer", np.int32, 2)):
        data = np.linspace(0, 1000, 64 * 48).astype(kind).tobytes()
        tags = {**described(64, 48, bits=32, channels=1, photometric=1), FORMAT: (SHORT, [sample_format])}
        yield Sample("TIFF of 32-bit samples", f"{name}-32.tif", tiff(tags, [data]), sentence)


def _significant_bits() -> Iterator[Sample]:
    """16-bit files of which some bits are used, as microscopes and thermal cameras write them."""
    kind = "TIFF of 16 bits of which 10 or 12 are used, or of 12 bits"
    for order in exif.ORDERS:
        for bits in (10, 12):
            for name, colour_type, photometric in (("grey", 0, 1), ("rgb", 2, 2), ("rgba", 6, 2)):
                values, shown, _ = significant(colour_type, bits)
                data = values.astype(exif.ORDERS[order] + "u2").tobytes()
                for coding, coded in ((NONE, data), (DEFLATE, zlib.compress(data))):
                    tags = described(64, 48, bits=16, channels=values.shape[2], photometric=photometric, coding=coding)
                    if colour_type == 6:
                        tags[EXTRA] = (SHORT, [2])
                    yield Sample(
                        kind, f"bits-{name}-{bits}-{coding}-{order}.tif", tiff(tags, [coded], order), exact(shown)
                    )
        sign = exif.ORDERS[order] + "u2"
        rgb, shown, _ = significant(2, 12)
        planes = [np.ascontiguousarray(rgb[..., channel]).astype(sign).tobytes() for channel in range(3)]
        tags = {**described(64, 48, bits=16), PLANES: (SHORT, [2])}
        yield Sample(kind, f"bits-planes-{order}.tif", tiff(tags, planes, order), exact(shown))
        squeezed = {**described(64, 48, bits=16, coding=DEFLATE), PLANES: (SHORT, [2])}
        yield Sample("TIFF of 16 bits in compressed planes of which fewer than 15 are used", f"planes-deflate-{order}.tif",
                     tiff(squeezed, [zlib.compress(plane) for plane in planes], order), IN_PLANES)  # fmt: skip
    values, shown, _ = significant(0, 12)
    tags = described(64, 48, bits=16, channels=1, photometric=0)
    yield Sample(kind, "bits-white-is-zero.tif", tiff(tags, [values.tobytes()]), exact(255 - shown))
    dark = grey(drawing())[..., :1].astype(np.uint16)
    shown = np.broadcast_to(dark >> 4, (48, 64, 3)).astype(np.uint8)
    tags = described(64, 48, bits=16, channels=1, photometric=1)
    most = {**tags, MOST: (SHORT, [4095])}
    yield Sample(kind, "bits-said.tif", tiff(most, [dark.tobytes()]), exact(shown))
    yield Sample(kind, "bits-said-wrongly.tif", tiff(most, [(dark << 6).tobytes()]), exact(grey(drawing())))
    ome = '<OME><Image><Pixels SignificantBits="12" Type="uint16"/></Image></OME>'
    yield Sample(kind, "bits-ome.tif", saved(Image.fromarray(dark[..., 0]), "TIFF", description=ome), exact(shown))
    signed = {**tags, FORMAT: (SHORT, [2])}
    values, shown, _ = significant(0, 12)
    yield Sample(kind, "bits-signed.tif", tiff(signed, [values.tobytes()]), exact(shown))
    below = (values.astype(np.int16) - 2000).tobytes()
    yield Sample("TIFF with samples below 0", "below-zero.tif", tiff(signed, [below]),
                 "The image has samples below 0, which is not supported; save it with unsigned ones.")  # fmt: skip
    pairs = values[..., 0].reshape(48, 32, 2)
    packed = np.stack([pairs[..., 0] >> 4, (pairs[..., 0] & 15) << 4 | pairs[..., 1] >> 8, pairs[..., 1] & 255], -1)
    tags = described(64, 48, bits=12, channels=1, photometric=1)
    yield Sample(kind, "bits-packed.tif", tiff(tags, [packed.astype(np.uint8).tobytes()]), exact(shown))
    clear = np.concatenate([drawing(), np.zeros((48, 64, 1), np.uint8)], axis=-1)
    for name, extra in (("none", []), ("unspecified", [0]), ("associated", [1]), ("alpha", [2])):
        tags = described(64, 48, channels=4)
        if extra:
            tags[EXTRA] = (SHORT, extra)
        yield Sample("alpha that is 0 everywhere", f"all-clear-{name}.tif", tiff(tags, [clear.tobytes()]),
                     exact(drawing()))  # fmt: skip
    halves = np.concatenate([drawing().astype(np.uint16) << 7, np.full((48, 64, 1), 32768, np.uint16)], axis=-1)
    tags = {**described(64, 48, bits=16, channels=4), EXTRA: (SHORT, [1])}
    shown = (drawing().astype(int) // 2 + 127).astype(np.uint8)
    yield Sample("TIFF, grey, palette or with alpha", "premultiplied-16.tif", tiff(tags, [halves.tobytes()]),
                 Picture(shown, 1.5))  # fmt: skip


def _orientations() -> Iterator[Sample]:
    for order in exif.ORDERS:
        for orientation in range(1, 9):
            stored = stored_for(drawing(), orientation)
            tags = {**described(stored.shape[1], stored.shape[0]), ORIENTATION: (SHORT, [orientation])}
            content = tiff(tags, [stored.tobytes()], order)
            yield Sample("TIFF with orientation 1 to 8", f"turned-{order}-{orientation}.tif", content, exact(drawing()))
    for orientation in (0, 9, 65535):
        content = tiff({**described(64, 48), ORIENTATION: (SHORT, [orientation])}, [drawing().tobytes()])
        yield Sample("TIFF with an orientation that is none", f"turned-{orientation}.tif", content, exact(drawing()))


def _spoilt() -> Iterator[Sample]:
    data = drawing().tobytes()
    plain = tiff(described(64, 48), [data])
    squeezed = tiff(described(64, 48, coding=DEFLATE), [zlib.compress(data)])
    lzw = saved(drawing(), "TIFF", compression="tiff_lzw")
    for name, content in {
        "deflate-noise": squeezed[:100] + bytes(255 - byte for byte in squeezed[100:600]) + squeezed[600:],
        "lzw-noise": lzw[:8] + b"\xff" * 2000 + lzw[2008:]
        if lzw[4:8] != b"\x08\0\0\0"
        else lzw[:-2000] + b"\xff" * 2000,
        "no-size": tiff({tag: value for tag, value in described(64, 48).items() if tag != WIDTH}, [data]),
        "unknown-coding": tiff(described(64, 48, coding=31337), [data]),
    }.items():
        yield Sample("TIFF, damaged or truncated", f"{name}.tif", content,
                     UNKNOWN if name in ("no-size", "unknown-coding") else DAMAGED)  # fmt: skip
    first = saved(drawing(), "TIFF")  # the directory comes first
    yield Sample("TIFF, damaged or truncated", "pixels-cut.tif", first[:4000], TRUNCATED)
    for name, content in {
        "directory-cut": plain[:5000],  # the directory comes last
        "header-only": plain[:8],
        "directory-outside": b"II*\0\xff\xff\xff\x7f" + bytes(100),
    }.items():
        yield Sample("TIFF, damaged or truncated", f"{name}.tif", content, TRUNCATED)


def _bombs() -> Iterator[Sample]:
    for width, height in ((60_000, 60_000), (2**31 - 1, 2**31 - 1)):
        for coding in (NONE, DEFLATE):
            content = tiff({**described(width, height, coding=coding), ROWS: (LONG, [height])}, [flood()])
            yield Sample("more than 100 million pixels", f"claims-{width}-{coding}.tif", content,
                         too_many(width, height), bomb=True)  # fmt: skip
    for order in exif.ORDERS:
        side = 30_000
        tags = described(side, side, coding=PACKBITS)
        yield Sample("more than 100 million pixels", f"claims-{order}.tif", tiff(tags, [b"\x81\0" * 100], order),
                     too_many(side, side), bomb=True)  # fmt: skip
    for side in (1 << 14, 1 << 20, 1 << 30):
        for coding in (NONE, DEFLATE):
            tags = {**described(64, 48, coding=coding), TILE_WIDTH: (LONG, [side]), TILE_LENGTH: (LONG, [side])}
            content = tiff(tags, [flood()], tiled=True)
            sentence = f"The TIFF has tiles of {side} x {side} pixels; at most 16777216 are allowed."
            yield Sample(GIANT, f"tiles-{side}-{coding}.tif", content, sentence, bomb=True)
    tags = {**described(64, 48, coding=DEFLATE), ROWS: (LONG, [2**32 - 1]), COUNTS: (LONG, [2**32 - 1])}
    content = tiff(tags, [zlib.compress(drawing().tobytes())])
    yield Sample(GIANT, "strip-count.tif", content, DAMAGED, bomb=True)
    tags = {**described(64, 48, coding=DEFLATE), ROWS: (LONG, [2**32 - 1])}
    content = tiff(tags, [flood(drawing().tobytes())])
    yield Sample(GIANT, "strip-flood.tif", content, exact(drawing()), bomb=True)
    tags = described(64, 48, channels=3)
    tags[SAMPLES] = (SHORT, [65535])
    yield Sample(
        "TIFF, damaged or truncated", "channels-65535.tif", tiff(tags, [drawing().tobytes()]), UNKNOWN, bomb=True
    )
