"""Text lists by ranges of their bytes: a piece is read and parsed without what stands before it.

A piece begins and ends at line breaks (LF, CRLF or CR). Rows that are plain, which are most, are told by one regular
expression a run; all others are read line by line, as `image_list.read` does. Every range is asked for by the entity tag
that the list had when the job began.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from boxwright import objects, rows
from boxwright.batch import image_list
from boxwright.batch.entry import Entry
from boxwright.batch.image_list import ListForm
from boxwright.batch.inputs.sources import changed

FIRST_BYTES = 256 << 10
MOST_BYTES = 4 << 20
MAX_LINE_BYTES = 4 * image_list.MAX_JSON_LINE_CHARS
# Text of which CSV and `objects.caller_uri` take every character as it stands: letters of most scripts and what is usual in
# keys; no quotes, commas, spaces, control characters, or # (which may name an archive's member); no segment begins with a
# full stop; no bucket with a digit (it may be a machine's address).
_LETTERS = rb"[\xc3-\xca\xcd-\xd3][\x80-\xbf]|\xe3[\x81-\x83][\x80-\xbf]|[\xe4-\xe9][\x80-\xbf][\x80-\xbf]"
_FIRST = rb"(?:[!$-+0-\[\]-~-]|" + _LETTERS + rb")"
_OTHER = rb"(?:[!$-+.0-\[\]-~-]++|" + _LETTERS + rb")*+"  # possessive: a row that is not plain is left at once
_ADDRESS = rb"(?:SCHEMES)://[A-Za-z][A-Za-z0-9._-]{0,221}+(?:/" + _FIRST + _OTHER + rb")++"


@dataclasses.dataclass(frozen=True)
class Piece:
    """Whole lines of a list.

    Attributes:
        first_byte: where it begins in the list.
        first_line: the number of its first line, from 1.
        content: its bytes.
    """

    first_byte: int
    first_line: int
    content: bytes


@dataclasses.dataclass(frozen=True)
class PieceRows:
    """Rows of a piece that stand behind each other.

    Attributes:
        lines: the index of each row's line in the piece, (n,).
        plain: the addresses of plain rows, (n,); empty if `entry` is one that is not plain.
        entry: the row; None if they are plain.
    """

    lines: npt.NDArray[np.int64]
    plain: list[bytes]
    entry: Entry | None = None


class ListPieces:
    """One list.

    Args:
        stores: where it is, with what the caller may.
        info: the list, as it was when the job began.
        column: see `image_list.read`.
    """

    def __init__(self, stores: objects.Stores, info: objects.ObjectInfo, column: str) -> None:
        self.info = info
        self._stores = stores
        self._column = column
        schemes = b"|".join(re.escape(scheme.encode()) for scheme in stores.schemes if scheme != "file")
        self._run = re.compile(rb"(?:" + _ADDRESS.replace(b"SCHEMES", schemes or b"gs") + rb"\n)++")

    def read(self, first_byte: int, length: int) -> bytes:
        """Bytes of the list; raises ABORTED if it is not what it was."""
        try:
            found = self._stores.range(self.info.uri, first_byte, length, e_tag=self.info.e_tag)
        except objects.ObjectChangedError as error:
            raise changed(str(self.info.uri)) from error
        if len(found) != length:
            raise changed(str(self.info.uri))
        return found

    def pieces(self, first_byte: int = 0, first_line: int = 1) -> Iterator[Piece]:
        """Yields the list; the next range is read while a piece is looked at.

        Args:
            first_byte: where to begin: at 0, or where a piece has ended.
            first_line: the number of the line there, from 1.

        Raises:
            ApiError: from the store; INVALID_ARGUMENT if a line is too long; ABORTED if the list changed.
        """
        rest = b""
        for chunk, is_last in self._ranges(first_byte):
            content = rest + chunk
            end = len(content) if is_last else _last_break(content)
            if end:
                yield (piece := Piece(first_byte, first_line, content[:end]))
                first_byte, first_line = first_byte + end, first_line + len(line_ends(piece.content))
            rest = content[end:]
            if len(rest) > MAX_LINE_BYTES:
                raise rows.too_long(self.info.uri, image_list.MAX_JSON_LINE_CHARS)

    def form(self, piece: Piece) -> ListForm | None:
        """What the list's lines are, told by its first piece that has one which is not blank; None without such a line."""
        first = next(self._lines(piece, 0, len(piece.content), 0), None)
        return None if first is None else ListForm.of(first, self._column)

    def parsed(self, piece: Piece, form: ListForm) -> Iterator[PieceRows]:
        """Yields the rows of a piece, in order.

        Raises:
            ApiError: INVALID_ARGUMENT if the piece is no text, or a line is too long.
        """
        ends = line_ends(piece.content)
        text = piece.content
        is_plain = form.is_plain and b"\r" not in text
        line, start = 0, 0
        while line < len(ends):
            found = self._run.match(text, start) if is_plain else None
            if found is None:
                following = len(ends) if not is_plain else self._next_plain(text, ends, line)
                for number in self._lines(piece, start, int(ends[following - 1]), line):
                    entry = form.entry(number, self._column)
                    if entry is not None:
                        yield PieceRows(np.array([number.number - piece.first_line]), [], entry)
            else:
                plain = text[start : found.end()].split(b"\n")[:-1]
                following = line + len(plain)
                if max(map(len, plain)) > objects.MAX_URI_CHARS:
                    for number in self._lines(piece, start, found.end(), line):
                        if (entry := form.entry(number, self._column)) is not None:
                            yield PieceRows(np.array([number.number - piece.first_line]), [], entry)
                else:
                    yield PieceRows(np.arange(line, following), plain)
            line, start = following, int(ends[following - 1])

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _next_plain(self, text: bytes, ends: npt.NDArray[np.int64], line: int) -> int:
        """The first line behind one that is not plain at which a plain run may begin."""
        for following in range(line + 1, len(ends)):
            if self._run.match(text, int(ends[following - 1])) is not None:
                return following
        return len(ends)

    def _lines(self, piece: Piece, start: int, end: int, line: int) -> Iterator[rows.TextLine]:
        """The lines between two breaks of a piece that are not blank."""
        return rows.lines(
            self._stores,
            self.info.uri,
            max_chars=image_list.MAX_JSON_LINE_CHARS,
            chunks=iter((piece.content[start:end],)),
            first_number=piece.first_line + line,
        )

    def _ranges(self, start: int) -> Iterator[tuple[bytes, bool]]:
        """Yields (some bytes, whether they are the last)."""
        size = self.info.size_bytes
        with concurrent.futures.ThreadPoolExecutor(1, "list") as ahead:
            length = min(FIRST_BYTES, size - start)
            waiting = ahead.submit(self.read, start, length) if length > 0 else None
            while waiting is not None:
                content = waiting.result()
                start += length
                length = min(2 * length if length < MOST_BYTES else length, MOST_BYTES, size - start)
                waiting = ahead.submit(self.read, start, length) if length > 0 else None
                yield content, waiting is None


def line_ends(content: bytes) -> npt.NDArray[np.int64]:
    """Where the lines of a text end, behind their breaks: (n,)."""
    codes = np.frombuffer(content, np.uint8)
    is_end = codes == 10
    if b"\r" in content:
        alone = codes == 13
        alone[:-1] &= ~is_end[1:]
        is_end |= alone
    ends = np.flatnonzero(is_end) + 1
    if len(content) and (not len(ends) or ends[-1] != len(content)):
        ends = np.append(ends, len(content))
    return ends


def _last_break(content: bytes) -> int:
    """Where the last line ends whose end is certain; 0 if none does."""
    end = max(content.rfind(b"\n"), content.rfind(b"\r", 0, -1)) + 1
    return end + 1 if content[end - 1 : end + 1] == b"\r\n" else end
