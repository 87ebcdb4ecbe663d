"""EXIF blocks by hand: every orientation in both byte orders, and broken ones."""

from __future__ import annotations

import struct

ORDERS = {"II": "<", "MM": ">"}


def block(orientation: int, order: str = "II", *, kind: int = 3, count: int = 1) -> bytes:
    """A TIFF structure that holds the orientation alone (kind 3: SHORT, 4: LONG)."""
    sign = ORDERS[order]
    value = struct.pack(sign + ("H2x" if kind == 3 else "I"), orientation)
    entry = struct.pack(sign + "HHI", 0x0112, kind, count) + value
    return order.encode() + struct.pack(sign + "HIH", 42, 8, 1) + entry + bytes(4)


BROKEN = {  # none of them says an orientation that counts
    "zero": block(0),
    "nine": block(9),
    "huge": block(65535, "MM"),
    "no-entries": b"II*\0\x08\0\0\0\0\0" + bytes(4),
    "entries-missing": b"II*\0\x08\0\0\0\xff\xff",
    "directory-outside": b"MM\0*\x7f\xff\xff\xff" + bytes(20),
    "directory-in-header": b"II*\0\0\0\0\0" + bytes(20),
    "other-order": b"XX*\0\x08\0\0\0" + block(6)[8:],
    "cut-in-header": b"II*\0\x08",
    "cut-in-entry": block(6)[:16],
    "letters": b"this is no TIFF structure at all",
    "empty": b"",
}


def segment(exif: bytes) -> bytes:
    """An APP1 segment of a JPEG."""
    return b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif


def in_jpeg(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG with segments behind its start marker."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]
