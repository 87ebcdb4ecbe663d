"""Rows of the CSV files that callers name: streamed, line by line, never held as a whole.

UTF-8 with an optional byte order mark, LF, CRLF or CR, blank lines skipped, cells trimmed, quotes honoured within a line. A
quote that is opened and not closed spoils its own line only: no value that we read may hold a line break.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import difflib
import io
import re
from collections.abc import Collection, Iterator

from boxwright import errors, objects

MAX_SHOWN_CHARS = 40
HIDDEN = "the text there"
MAX_ADDRESS_CHARS = 200
_ADDRESS = re.compile(
    r"(gs|s3|az|file|state)://|[^=@\s]+\.(jpe?g|png|gif|bmp|webp|tiff?|ico|csv|jsonl)$", re.IGNORECASE
)
_NUMBER = re.compile(r"(?=.*[0-9])[0-9.,+\-eE%]+")
MAX_LINE_CHARS = 64 * 1024  # the longest legal row is far below; a file without line breaks is no CSV


@dataclasses.dataclass(frozen=True)
class Row:
    """One line that is not blank.

    Attributes:
        uri: the file that it stands in.
        line: its line number, from 1.
        cells: its trimmed cells.
        end_bytes: about how many bytes of the file had been read when this row came.
    """

    uri: objects.ObjectUri
    line: int
    cells: list[str]
    end_bytes: int


def quoted(cell: str, known: Collection[str] = ()) -> str:
    """A cell as a message may repeat it.

    Any text object that a caller names reaches this reader, also one that is no CSV and holds a secret. So a cell comes
    back only if it looks like what the CSV's own columns hold: an object's address, the name of an image or list, a
    number, or almost one of the known values. Everything else is `HIDDEN`.

    Args:
        cell: the cell.
        known: the values that its column may have.
    """
    text = cell if len(cell) <= MAX_SHOWN_CHARS else f"{cell[:MAX_SHOWN_CHARS]}…"
    upper = cell.upper()
    is_near = any(value and (value.startswith(upper) or upper.startswith(value)) for value in known if upper)
    if _ADDRESS.match(cell):
        return f"'{cell if len(cell) <= MAX_ADDRESS_CHARS else cell[:MAX_ADDRESS_CHARS] + '…'}'"
    if _NUMBER.fullmatch(text) or is_near or difflib.get_close_matches(upper, known, 1, 0.75):
        return f"'{text}'"
    return HIDDEN


def is_shown(cell: str) -> bool:
    """Whether `quoted` repeats a cell."""
    return quoted(cell) != HIDDEN


def read(stores: objects.Stores, uri: objects.ObjectUri) -> Iterator[Row]:
    """Yields the rows of a CSV object.

    Raises:
        ApiError: NOT_FOUND and the like from the store; INVALID_ARGUMENT if the file is no text.
    """
    for number, (text, end_bytes) in enumerate(_lines(stores, uri), 1):
        if "\0" in text:
            raise errors.bad_request(
                f"{uri}, line {number}: this is not a text file (it has NUL bytes); a CSV is expected."
            )
        if text and not text.isspace():
            cells = [cell.strip() for cell in next(csv.reader([text], skipinitialspace=True))]
            if any(cells):
                yield Row(uri, number, cells, end_bytes)


def _lines(stores: objects.Stores, uri: objects.ObjectUri) -> Iterator[tuple[str, int]]:
    """Yields (line without its break, bytes read so far)."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")(), translate=True)
    rest, read_bytes = "", 0
    chunks: Iterator[tuple[bytes, bool]] = _with_end_mark(stores.stream(uri))
    for chunk, is_last in chunks:
        read_bytes += len(chunk)
        try:
            rest += decoder.decode(chunk, final=is_last)
        except UnicodeDecodeError as error:
            raise errors.bad_request(
                f"{uri}: this is not a UTF-8 text file ({error.reason}); a CSV is expected."
            ) from error
        *lines, rest = rest.split("\n")
        if len(rest) > MAX_LINE_CHARS or any(len(line) > MAX_LINE_CHARS for line in lines):
            raise errors.bad_request(f"{uri}: a line is longer than {MAX_LINE_CHARS} characters; a CSV is expected.")
        before = read_bytes - len(chunk)
        for index, line in enumerate(lines, 1):
            yield line, before + len(chunk) * index // len(lines)
    if rest:
        yield rest, read_bytes


def _with_end_mark(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    yield from ((chunk, False) for chunk in chunks)
    yield b"", True
