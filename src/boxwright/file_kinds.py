"""What a file that should be a CSV is instead, told from its first bytes."""

from __future__ import annotations

LOOKED_AT_BYTES = 4096  # enough for every signature below, and for a first line of JSON
_UTF_8 = "Save it as UTF-8 text (in a spreadsheet program: CSV UTF-8)."
_UNPACK = "Unpack it and name the CSV."
_SAVE = "Save the sheet as CSV UTF-8 and name that file."
_LIST = "Name a CSV that lists the images, one a line."
_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (  # longer signatures before shorter ones that they begin with
    (b"\xff\xfe\x00\x00", "text in UTF-32", _UTF_8),
    (b"\x00\x00\xfe\xff", "text in UTF-32", _UTF_8),
    (b"\xff\xfe", "text in UTF-16", _UTF_8),
    (b"\xfe\xff", "text in UTF-16", _UTF_8),
    (b"\x1f\x8b", "a gzip file", _UNPACK),
    (b"BZh", "a bzip2 file", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz file", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a workbook of Excel", _SAVE),
    (b"PAR1", "a Parquet file", "Write its rows as a CSV and name that."),
    (b"%PDF-", "a PDF file", "Name the CSV."),
    (b"\xff\xd8\xff", "a JPEG image", _LIST),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", _LIST),
    (b"GIF87a", "a GIF image", _LIST),
    (b"GIF89a", "a GIF image", _LIST),
    (b"II*\x00", "a TIFF image", _LIST),
    (b"MM\x00*", "a TIFF image", _LIST),
)
_WORKBOOK_PARTS = (b"xl/", b"[Content_Types].xml", b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet")
_PAGES = (b"<!doctype html", b"<html", b"<?xml")
_ENOUGH_NULS = 0.4  # of the bytes at even or at odd places: Latin letters in UTF-16 have one NUL each


def refusal(start: bytes) -> tuple[str, str] | None:
    """Returns (what it is, what to do) of a file that is no CSV; None if nothing speaks against one.

    Args:
        start: its first bytes, `LOOKED_AT_BYTES` of them or more if there are so many.
    """
    for signature, what, advice in _SIGNATURES:
        if start.startswith(signature):
            return what, advice
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "a WebP image", _LIST
    if start.startswith(b"PK\x03\x04"):
        is_workbook = any(part in start[:LOOKED_AT_BYTES] for part in _WORKBOOK_PARTS)
        return ("a workbook of a spreadsheet program", _SAVE) if is_workbook else ("a ZIP archive", _UNPACK)
    if start[:100].lstrip().lower().startswith(_PAGES):
        return "a page of HTML or XML", "Look at how it was downloaded, and name the CSV."
    return ("text in UTF-16", _UTF_8) if _is_utf_16(start[:400]) else None


def _is_utf_16(start: bytes) -> bool:
    """Whether this looks like UTF-16 without its mark."""
    even, odd = start[0::2].count(0), start[1::2].count(0)
    half = len(start) / 2
    return half >= 4 and max(even, odd) >= _ENOUGH_NULS * half and min(even, odd) == 0
