"""Rows of the CSV files that callers name: streamed, line by line, never held as a whole.

UTF-8 with an optional byte order mark, LF, CRLF or CR, blank lines skipped, cells trimmed, quotes honoured within a line. A
quote that is opened and not closed spoils its own line only: no value that we read may hold a line break. What is no CSV is
refused by what it is: an image, an archive, a workbook, text in another encoding.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import difflib
import io
import re
from collections.abc import Collection, Iterator, Sequence

from boxwright import errors, file_kinds, objects

MAX_SHOWN_CHARS = 40
HIDDEN = "the text there"
MAX_ADDRESS_CHARS = 200
_ADDRESS = re.compile(
    r"(gs|s3|az|file|state)://|[^=@\s]+\.(jpe?g|png|gif|bmp|webp|tiff?|ico|csv|jsonl)$", re.IGNORECASE
)
_PATH = re.compile(r"/[a-z0-9_./-]+")  # without capitals: a line of a key in base64 may begin with a slash, too
_NUMBER = re.compile(r"(?=.*[0-9])[0-9.,+\-eE%]+")
MAX_LINE_CHARS = 64 * 1024  # the longest legal row is far below; a file without line breaks is no CSV
_OPENERS = ("{", "[{", '["', "[[")


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


@dataclasses.dataclass(frozen=True)
class TextLine:
    """One line that is not blank, as it stands, without its break; see `Row`."""

    uri: objects.ObjectUri
    number: int
    text: str
    end_bytes: int

    @property
    def is_json(self) -> bool:
        """Whether this line, being a file's first, shows that the file is JSON: no row of ours begins like that."""
        text = self.text.replace(" ", "")
        return text.startswith(_OPENERS) or text == "["

    def row(self) -> Row | None:
        """Parses the line as CSV; None if all its cells are empty.

        Raises:
            ApiError: INVALID_ARGUMENT if it is too long or no text.
        """
        if len(self.text) > MAX_LINE_CHARS:
            raise too_long(self.uri, MAX_LINE_CHARS)
        if "\0" in self.text:
            raise errors.bad_request(
                f"{self.uri}, line {self.number}: this is not a text file (it has NUL bytes); a CSV is expected."
            )
        cells = [cell.strip() for cell in next(csv.reader([self.text], skipinitialspace=True))]
        return Row(self.uri, self.number, cells, self.end_bytes) if any(cells) else None


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
    if _ADDRESS.match(cell) or _PATH.fullmatch(cell):
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
        ApiError: NOT_FOUND and the like from the store; INVALID_ARGUMENT if the file is no CSV.
    """
    is_first = True
    for line in lines(stores, uri):
        if is_first and line.is_json:
            raise json_refused(uri)
        is_first = False
        if (row := line.row()) is not None:
            yield row


def lines(
    stores: objects.Stores,
    uri: objects.ObjectUri,
    *,
    max_chars: int = MAX_LINE_CHARS,
    chunks: Iterator[bytes] | None = None,
    first_number: int = 1,
) -> Iterator[TextLine]:
    """Yields the lines of a text object that are not blank.

    Args:
        stores: where it is.
        uri: the object.
        max_chars: how long a line may be.
        chunks: its text, if that is not what the object itself holds; `TextLine.end_bytes` counts these bytes then.
        first_number: the number of its first line; above 1 where the text is a later part of the object.

    Raises:
        ApiError: NOT_FOUND and the like from the store; INVALID_ARGUMENT if the file is no text.
    """
    for number, (text, end_bytes) in enumerate(
        _lines(uri, stores.stream(uri) if chunks is None else chunks, max_chars, first_number), first_number
    ):
        if text and not text.isspace():
            yield TextLine(uri, number, text, end_bytes)


def check_start(uri: objects.ObjectUri, start: bytes) -> None:
    """Raises INVALID_ARGUMENT if a file's first bytes show that it is no text; see `file_kinds`."""
    if (found := file_kinds.refusal(start)) is not None:
        what, advice = found
        raise errors.bad_request(f"{uri}: this is {what}; a CSV is expected. {advice}")


def first_line(uri: objects.ObjectUri, start: bytes, *, is_whole: bool) -> TextLine | None:
    """The first line that is not blank among a file's first bytes; None if there is none that ends there.

    Args:
        start: the bytes.
        is_whole: whether they are the whole file, so that its last line ends with them.
    """
    text = start.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    ended = text.split("\n") if is_whole else text.split("\n")[:-1]
    found = ((number, line) for number, line in enumerate(ended, 1) if line and not line.isspace())
    return next((TextLine(uri, number, line, len(start)) for number, line in found), None)


def json_refused(uri: objects.ObjectUri) -> errors.ApiError:
    """The error for a file of JSON where a CSV is expected."""
    return errors.bad_request(f"{uri}: this is JSON; a CSV is expected, one row a line.")


def none_to_import(lists: Sequence[objects.ObjectUri]) -> errors.ApiError:
    """The error for CSVs without rows."""
    return errors.bad_request(f"{', '.join(map(str, lists))}: there are no rows to import.")


def too_long(uri: objects.ObjectUri, max_chars: int) -> errors.ApiError:
    """The error for a line without an end."""
    return errors.bad_request(f"{uri}: a line is longer than {max_chars} characters; a CSV is expected.")


def _lines(
    uri: objects.ObjectUri, content: Iterator[bytes], max_chars: int, first_number: int
) -> Iterator[tuple[str, int]]:
    """Yields (line without its break, bytes read so far)."""
    encoding = "utf-8-sig" if first_number == 1 else "utf-8"  # a mark of the byte order is at a file's beginning only
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
    rest, read_bytes, count = "", 0, first_number - 1
    for chunk, is_last in _with_end_mark(content):
        if read_bytes == 0 and first_number == 1:
            check_start(uri, chunk)
        read_bytes += len(chunk)
        try:
            rest += decoder.decode(chunk, final=is_last)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            number = count + before.count(b"\n") + 1
            raise errors.bad_request(
                f"{uri}, line {number}: this is not UTF-8 text ({error.reason}); a CSV is expected. "
                "Save it as UTF-8 (in a spreadsheet program: CSV UTF-8)."
            ) from error
        *complete, rest = rest.split("\n")
        if len(rest) > max_chars or any(len(line) > max_chars for line in complete):
            raise too_long(uri, max_chars)
        before_bytes = read_bytes - len(chunk)
        count += len(complete)
        for index, line in enumerate(complete, 1):
            yield line, before_bytes + len(chunk) * index // len(complete)
    if rest:
        yield rest, read_bytes


def _with_end_mark(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    yield from ((chunk, False) for chunk in chunks)
    yield b"", True
