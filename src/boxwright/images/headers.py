"""What the bytes of an image file say before any decoder has seen them.

    inspect(data) -> Header      read once an image; decoding decides from it

Nothing here raises on damaged input. It exists because decoders allocate, or unpack texts nobody asked for, before they can
be asked; and because what decoders say about a bad file helps nobody.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

JPEG_MAGIC = b"\xff\xd8\xff"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
ICON_MAGIC = b"\0\0\1\0"
_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
_BMP_HEADER_BYTES = (12, 16, 40, 52, 56, 64, 108, 124)  # sizes of the information header, one a version
_EXIF_ORIENTATION_TAG = 0x0112
_JPEG_START_OF_SCAN, _JPEG_END, _JPEG_APP1 = 0xDA, 0xD9, 0xE1
# Start-of-frame markers (ITU T.81, table B.1) that ordinary decoders leave out.
_JPEG_CODINGS = {0xC3: "lossless", 0xC5: "hierarchical", 0xC6: "hierarchical", 0xC7: "lossless", 0xCB: "lossless",
                 0xCD: "hierarchical", 0xCE: "hierarchical", 0xCF: "lossless", 0xF7: "JPEG-LS"}  # fmt: skip
_NO_FILL = re.compile(rb"[^\xff]", re.DOTALL)
_JPEG_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_HEIF_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"hevc": "HEIC", b"mif1": "HEIC",
                b"msf1": "HEIC", b"avif": "AVIF", b"avis": "AVIF"}  # fmt: skip
_OTHER_IMAGES = {b"\0\0\0\x0cjP  \r\n": "JPEG 2000", b"\xff\x4f\xff\x51": "JPEG 2000", b"\0\0\0\x0cJXL ": "JPEG XL",
                 b"\xff\x0a": "JPEG XL", b"8BPS": "PSD"}  # fmt: skip
_NO_IMAGES = {b"%PDF": "PDF", b"PK\3\4": "a ZIP archive", b"\x1f\x8b": "a gzip archive", b"\x1a\x45\xdf\xa3": "a video",
              b"version https://git-lfs": "a Git LFS pointer"}  # fmt: skip
_LONG_FILL_BYTES = 64 * 1024
_TEXT_BYTES = 1024  # how far a look for SVG or HTML goes
_STARTS = {JPEG_MAGIC: "JPEG", b"\x89PNG": "PNG", b"GIF8": "GIF", ICON_MAGIC: "ICO",
           **dict.fromkeys(_TIFF_MAGICS, "TIFF")}  # fmt: skip
_WEBP_EXTENDED_BYTES, _WEBP_EXIF_FLAG = 30, 8  # RFC 9649, 2.7: the headers up to the end of VP8X, and one of its flags

_T = TypeVar("_T")


class Header(NamedTuple):
    """What an image file says of itself. A tuple, as one is made for every image.

    Attributes:
        data: the whole file.
        format: the format of ours that its first bytes promise, empty when they promise none.
        orientation: how the stored image is turned to be upright, 1 to 8 as in EXIF; 1 for TIFF, whose reader turns it.
        sizes: (width, height) of every picture inside for which a reader allocates while it opens the file.
        bits: significant bits of the colours of a PNG; 0 where it says nothing.
        alpha_bits: the same of alpha.
        bare: a PNG without what does not show; empty for other formats.
    """

    data: bytes
    format: str
    orientation: int = 1
    sizes: tuple[tuple[int, int], ...] = ()
    bits: int = 0
    alpha_bits: int = 0
    bare: bytes = b""

    @property
    def content(self) -> bytes:
        """The file as a reader gets it: without the parts that it stumbles over."""
        return _without_long_fill(self.data) if self.format == "JPEG" else self.bare or self.data

    def upright(self, pair: tuple[_T, _T]) -> tuple[_T, _T]:
        """Turns (height, width) of the stored image into those of the upright one, or the reverse."""
        return pair[::-1] if self.orientation >= 5 else pair

    @property
    def other_format(self) -> str:
        """The image format, none of ours, that the first bytes promise; empty when they promise none."""
        return _other_image(self.data)

    @property
    def other_content(self) -> str:
        """What the file is, in words, when people mistake its like for an image; empty for anything else."""
        return _no_image(self.data)

    @property
    def is_cut(self) -> bool:
        """Whether the file says itself that there is more of it than there is; JPEG and BMP have no way to say it."""
        return _is_cut(self.data)

    def jpeg_complaint(self, decoder_says: str) -> str:
        """Why a JPEG that no decoder takes is refused, in one sentence."""
        return _jpeg_complaint(self.data, decoder_says)


def inspect(data: bytes) -> Header:
    """Reads what the first bytes of a file say, and of a PNG and a WebP what its chunks do."""
    if data.startswith(JPEG_MAGIC):
        return Header(data, "JPEG", _jpeg_orientation(data))
    found = _claimed_format(data)
    if found == "PNG":
        return _png_header(data)
    if found == "WEBP":
        return Header(data, found, _webp_orientation(data), (_webp_size(data),))
    return Header(data, found, sizes=tuple(_icon_sizes(data)) if found == "ICO" else ())


def _claimed_format(data: bytes) -> str:
    """The format of ours that the first bytes promise, empty when they promise none."""
    for start, name in _STARTS.items():
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and len(data) >= 18 and struct.unpack_from("<I", data, 14)[0] in _BMP_HEADER_BYTES:
        return "BMP"
    return ""


def _other_image(data: bytes) -> str:
    """The image format, none of ours, that the first bytes promise; empty when they promise none."""
    if data[4:8] == b"ftyp":
        return _HEIF_BRANDS.get(data[8:12], "")
    return next((name for start, name in _OTHER_IMAGES.items() if data.startswith(start)), "")


def _no_image(data: bytes) -> str:
    """What the content is, in words, when its first bytes are those of something that people mistake for an image."""
    if data[4:8] == b"ftyp":
        return "a video"
    for start, name in _NO_IMAGES.items():
        if data.startswith(start):
            return name
    text = data[:_TEXT_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "HTML"
    if text.startswith((b"<?xml", b"<svg", b"<!doctype svg")):
        return "SVG" if b"<svg" in text else "XML"
    return ""


def _icon_sizes(data: bytes) -> list[tuple[int, int]]:
    """(width, height) in the header of every picture inside an icon; its directory may understate them."""
    (count,) = struct.unpack_from("<H", data, 4) if len(data) >= 6 else (0,)
    sizes = []
    for index in range(count):
        if len(data) < 22 + 16 * index:
            break
        (offset,) = struct.unpack_from("<I", data, 18 + 16 * index)
        payload = data[offset : offset + 24]
        if payload[:8] == PNG_MAGIC and len(payload) == 24:
            sizes.append(struct.unpack_from(">II", payload, 16))
        elif len(payload) >= 12:
            width, height = struct.unpack_from("<ii", payload, 4)
            sizes.append((abs(width), abs(height)))
    return [(width, height) for width, height in sizes if width and height]


def _webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) in a WebP header; (1, 1) when it is too damaged to say, so that the reader gets to explain."""
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 1, 1


def _webp_orientation(data: bytes) -> int:
    """EXIF orientation of a WebP, 1 when absent or unreadable."""
    if data[12:16] != b"VP8X" or len(data) < _WEBP_EXTENDED_BYTES or not data[20] & _WEBP_EXIF_FLAG:
        return 1
    offset, end = _WEBP_EXTENDED_BYTES, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while offset + 8 <= end:
        start, (length,) = offset + 8, struct.unpack_from("<I", data, offset + 4)
        if data[offset : offset + 4] == b"EXIF":
            return _tiff_orientation(data[start : start + length].removeprefix(b"Exif\0\0"))
        offset = start + length + (length & 1)
    return 1


def _is_cut(data: bytes) -> bool:
    """Whether the file says itself that there is more of it than there is; JPEG and BMP have no way to say it."""
    if data.startswith(PNG_MAGIC):
        return len(data) < 33 or max((end for _, _, end in _png_chunks(data)), default=0) > len(data)
    if data.startswith(b"GIF8"):
        colours = 2 << (data[10] & 7) if len(data) > 10 and data[10] & 0x80 else 0
        return len(data) < 13 + 3 * colours
    if data[:4] == b"RIFF" and len(data) >= 8:
        return struct.unpack_from("<I", data, 4)[0] + 8 > len(data) + 1  # the last byte may be padding
    if data[:4] in _TIFF_MAGICS[:2]:
        return len(data) < 8 or struct.unpack_from("<I" if data[:2] == b"II" else ">I", data, 4)[0] + 2 > len(data)
    return False


# ---- PNG ----------------------------------------------------------------------------------------------------------------


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of each chunk; the last one may end behind the data."""
    offset = len(PNG_MAGIC)
    while offset + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        kind = data[offset + 4 : offset + 8]
        yield kind, offset, offset + 12 + length
        if kind == b"IEND":
            return
        offset += 12 + length


def _png_header(data: bytes) -> Header:
    """A PNG without its ancillary chunks, and what these say, wherever they stand.

    Texts and profiles may be bombs or just long, which readers refuse; nothing here needs them. What stays is what shows:
    the critical chunks and the transparent colour, brought to the 8 bits that the reader gives of grey of 2 or 4 bits.
    """
    kept: list[bytes | memoryview] = [PNG_MAGIC]
    view = memoryview(data)
    orientation, end = 1, len(PNG_MAGIC)
    bits: tuple[int, int] | None = None
    for kind, start, end in _png_chunks(data):
        if kind == b"eXIf":
            orientation = _tiff_orientation(data[start + 8 : end - 4])
        elif kind == b"tRNS":
            kept.append(_scaled_transparency(data, start, end))
        elif kind == b"sBIT":
            bits = bits or (_png_significant_bits(data[start + 8 : end - 4]) if end <= len(data) else None)
        elif kind[0] & 0x20 == 0:  # an upper-case first letter: critical
            kept.append(view[start:end])
            bits = bits or ((0, 0) if kind == b"IDAT" else None)  # what stands behind the first pixels is too late
    if end < len(data) and data[end - 8 : end - 4] != b"IEND":
        kept.append(view[end:])
    colour_bits, alpha_bits = bits or (0, 0)
    return Header(data, "PNG", orientation, (), colour_bits, alpha_bits, b"".join(kept))


def _png_significant_bits(content: bytes) -> tuple[int, int] | None:
    """Significant bits of the colours and of alpha, 0 without alpha, by the content of an sBIT chunk; None if it is none.

    Of colours that differ the largest counts (PNG specification, third edition, 11.3.2.6).
    """
    if len(content) not in (1, 2, 3, 4) or not all(0 < bits <= 16 for bits in content):
        return None
    has_alpha = len(content) in (2, 4)
    return max(content[: len(content) - has_alpha]), content[-1] if has_alpha else 0


def _scaled_transparency(data: bytes, start: int, end: int) -> bytes:
    if end - start != 14 or len(data) < max(end, 26) or data[25] != 0 or data[24] not in (2, 4):
        return data[start:end]
    depth = data[24]
    (value,) = struct.unpack_from(">H", data, start + 8)
    content = b"tRNS" + struct.pack(">H", value * 255 // (2**depth - 1) & 0xFFFF)
    return struct.pack(">I", 2) + content + struct.pack(">I", zlib.crc32(content))


# ---- JPEG ---------------------------------------------------------------------------------------------------------------


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start of content, end) of each segment up to and with the first scan; stray bytes are skipped."""
    offset = 2
    while True:
        offset = data.find(b"\xff", offset)
        if offset < 0 or offset + 4 > len(data):
            return
        marker = data[offset + 1]
        if marker == 0xFF:  # fill bytes; there may be millions
            behind = _NO_FILL.search(data, offset)
            offset = behind.start() - 1 if behind else len(data)
            continue
        if marker <= 0x01 or 0xD0 <= marker <= 0xD8:  # no marker, or one without content
            offset += 2
            continue
        if marker == _JPEG_END:
            return
        length = data[offset + 2] << 8 | data[offset + 3]
        end = offset + 2 + (length if length > 2 else 2)
        yield marker, offset + 4, end
        if marker == _JPEG_START_OF_SCAN:
            return
        offset = end


def _without_long_fill(data: bytes) -> bytes:
    """A JPEG whose very long runs of fill bytes are cut short: Pillow walks them byte by byte."""
    parts, offset, run = [], 0, b"\xff" * _LONG_FILL_BYTES
    while (start := data.find(run, offset)) >= 0:
        parts.append(data[offset : start + 1])
        behind = _NO_FILL.search(data, start)
        offset = behind.start() - 1 if behind else len(data)
    return b"".join([*parts, data[offset:]]) if parts else data


def _jpeg_orientation(data: bytes) -> int:
    """EXIF orientation of a JPEG, 1 when absent or unreadable."""
    for marker, start, end in _jpeg_segments(data):
        if marker == _JPEG_APP1 and data.startswith(b"Exif\0\0", start):
            return _tiff_orientation(data[start + 6 : end])
    return 1


def _jpeg_complaint(data: bytes, decoder_says: str) -> str:
    """Why a JPEG that no decoder takes is refused, in one sentence."""
    truncated = "The JPEG is truncated: its data ends before the image is complete."
    damaged = "The JPEG is damaged and cannot be decoded."
    has_frame = has_scan = False
    reached = 2
    for marker, start, end in _jpeg_segments(data):
        reached = end
        if marker in _JPEG_CODINGS:
            coding = _JPEG_CODINGS[marker]
            return f"The JPEG is coded as {coding}, which is not supported; save it as an ordinary JPEG."
        if marker in _JPEG_FRAMES and start + 5 <= len(data):
            has_frame = True
            bits, height, width = struct.unpack_from(">BHH", data, start)
            if bits != 8:
                return f"The JPEG has {bits} bits a channel, which is not supported; save it with 8."
            if width == 0 or height == 0:
                return damaged
        has_scan = has_scan or marker == _JPEG_START_OF_SCAN
    if not has_scan:
        return damaged if data.endswith(b"\xff\xd9") or reached < len(data) - 64 else truncated
    cut = reached > len(data) or "truncat" in decoder_says or "premature" in decoder_says
    return truncated if cut and has_frame else damaged


# ---- EXIF ---------------------------------------------------------------------------------------------------------------


def _tiff_orientation(exif: bytes) -> int:
    """Orientation tag in the first directory of a TIFF structure; 1 when absent or out of range."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 10:
        return 1
    (directory,) = struct.unpack_from(order + "I", exif, 4)
    if directory + 2 > len(exif):
        return 1
    (count,) = struct.unpack_from(order + "H", exif, directory)
    two_shorts = order + "HH"
    for index in range(count):
        entry = directory + 2 + 12 * index
        if entry + 12 > len(exif):
            break
        tag, kind = struct.unpack_from(two_shorts, exif, entry)
        if tag == _EXIF_ORIENTATION_TAG:
            (value,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), exif, entry + 8)
            return value if 1 <= value <= 8 else 1
    return 1
