"""JSON files in pieces: one entry of a list, or one line, at a time, so that memory does not grow with the file.

An entry or a line has at most `MAX_ENTRY_CHARS` characters, and is nested no deeper than Python's parser goes.
"""

from __future__ import annotations

import codecs
import dataclasses
import json
import pathlib
import re
from collections.abc import Callable, Collection, Iterator
from typing import IO, Any, Never

from boxwright import errors
from boxwright.convert import account

MAX_ENTRY_CHARS = 16 * 1024 * 1024
MAX_MEMBERS = 10_000  # of the outermost object
ROOT = ""  # the name of a list that is the whole document
_CHUNK_BYTES = 256 * 1024
_BLANKS = re.compile(r"[ \t\n\r]*")
_NO_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)\b', re.DOTALL)  # skips strings


class JsonError(Exception):
    """Why a file is no JSON that is read; `line` is where that was seen."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


class _NoNumber(Exception):
    """NaN or Infinity, which Python's parser would take."""


def _refuse_constant(_: str) -> Never:
    raise _NoNumber


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


@dataclasses.dataclass(frozen=True)
class _Start:
    """Where the first entry of a list may stand: byte of the file, and line counted from 1."""

    offset_bytes: int
    line: int


class Document:
    """A JSON file: an object whose members may be long lists, or one long list, called `ROOT`.

    The file is read once as a whole when this is made, so that a later mistake in it is known before anything is used.

    Args:
        file: of UTF-8 text, with or without a byte order mark.
        look: hears (name of the list, entry) of every list meanwhile.
        kept: names of the members that are to be in `values`.

    Attributes:
        values: those of the kept members that are no lists.

    Raises:
        JsonError: it is no JSON, or beyond the limits.
        OSError: it cannot be read.
    """

    def __init__(
        self, file: pathlib.Path, look: Callable[[str, Any], None] | None = None, *, kept: Collection[str] = ()
    ) -> None:
        self._file = file
        self._starts: dict[str, _Start] = {}
        self._names: set[str] = set()
        self._kept = kept
        self.values: dict[str, Any] = {}
        with file.open("rb") as handle:
            text = _Text(handle, _Start(0, 1))
            first = text.next()
            if first == "[":
                self._look_through(ROOT, text, look)
            elif first == "{":
                self._read_members(text, look)
            else:
                text.fail("an object or a list is expected")
            if text.next():
                text.fail("there is more after its end")

    def has(self, name: str) -> bool:
        """Whether it has a list of that name, if an empty one."""
        return name in self._starts

    def entries(self, name: str) -> Iterator[tuple[int, Any]]:
        """Yields (index, entry) of a list; nothing if there is none of that name."""
        if name in self._starts:
            with self._file.open("rb") as handle:
                yield from enumerate(_entries(_Text(handle, self._starts[name])))

    def _read_members(self, text: _Text, look: Callable[[str, Any], None] | None) -> None:
        text.at += 1
        if text.next() == "}":
            text.at += 1
            return
        while True:
            if text.next() != '"':
                text.fail("a name in quotes is expected")
            name = text.value()
            if name in self._names:
                text.fail(f"{name!r} stands twice")
            self._names.add(name)
            if len(self._names) > MAX_MEMBERS:
                text.fail(f"an object with more than {MAX_MEMBERS} members")
            if text.next() != ":":
                text.fail("':' is expected")
            text.at += 1
            if text.next() == "[":
                self._look_through(name, text, look)
            else:
                value = text.value()
                if name in self._kept:
                    self.values[name] = value
            if text.after_entry("}"):
                return

    def _look_through(self, name: str, text: _Text, look: Callable[[str, Any], None] | None) -> None:
        self._starts[name] = text.start()
        for entry in _entries(text):
            if look is not None:
                look(name, entry)


class _Text:
    """The decoded text of a file from some place on, a buffer at a time; `at` is where reading goes on."""

    def __init__(self, handle: IO[bytes], start: _Start) -> None:
        self._handle = handle
        self._base = start  # of the buffer
        self._rest = b""  # the bytes of a character that is not complete
        self._is_ended = False
        self._is_tried = True  # whether the buffer was parsed as a batch
        self.buffer, self.at = "", 0
        handle.seek(start.offset_bytes)
        if start.offset_bytes == 0:
            if handle.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8:
                self._base = _Start(len(codecs.BOM_UTF8), 1)
            else:
                handle.seek(0)

    def start(self) -> _Start:
        """Where `at` is in the file."""
        done = self.buffer[: self.at]
        return _Start(self._base.offset_bytes + len(done.encode()), self._base.line + done.count("\n"))

    def fail(self, why: str, at: int | None = None) -> Never:
        """Raises JsonError about a place of the buffer."""
        self.at = self.at if at is None else at
        column = self.at - self.buffer.rfind("\n", 0, self.at)
        raise JsonError(f"this is not JSON: {why} (column {column})", self.start().line)

    def next(self) -> str:
        """The next character that is no blank; empty at the end of the file."""
        if self.at < len(self.buffer) and (character := self.buffer[self.at]) not in " \t\n\r":
            return character
        while True:
            found = _BLANKS.match(self.buffer, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.buffer):
                return self.buffer[self.at]
            if not self._read_more():
                return ""

    def value(self) -> Any:
        """The value that begins at `at`; goes behind it."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self.buffer, self.at)
                if end < len(self.buffer) or self._is_ended:  # a number might go on otherwise
                    self.at = end
                    return value
            except _NoNumber:
                for found in _NO_NUMBER.finditer(self.buffer, self.at):
                    if found[1]:
                        self.fail(f"{found[1]} is no number in JSON", found.start())
            except RecursionError:
                self.fail("its lists and objects are nested too deep")
            except json.JSONDecodeError as error:
                if self._is_ended:
                    self.fail(error.msg, error.pos)
            except ValueError:
                self.fail("it has a number out of range")
            if len(self.buffer) - self.at > MAX_ENTRY_CHARS:
                self.fail(f"an entry has more than {MAX_ENTRY_CHARS} characters, or does not end")
            self._is_ended = not self._read_more()

    def batch(self) -> list[Any]:
        """Objects of a list that stand whole in the buffer, at once; goes behind the comma after them.

        What parses as a list up to a comma is one. Nothing, if the buffer has no such part or was tried already: entries
        are parsed one by one then, which finds mistakes too.
        """
        if self._is_tried:
            return []
        self._is_tried = True
        end = self.buffer.rfind("},", self.at) + 1
        try:
            found = _DECODER.decode(f"[{self.buffer[self.at : end]}]") if end else []
        except (_NoNumber, RecursionError, ValueError):
            return []
        self.at = end + 1 if found else self.at
        return found

    def after_entry(self, closing: str) -> bool:
        """Whether the list or object ends here; goes behind the bracket or the comma."""
        found = self.next()
        if found not in (",", closing) or not found:
            self.fail(f"',' or '{closing}' is expected" if found else "it is cut off")
        self.at += 1
        return found == closing

    def _read_more(self) -> bool:
        """Adds to the buffer, without what was read; returns whether there was more."""
        self._base, self.buffer, self.at = self.start(), self.buffer[self.at :], 0
        block = self._handle.read(max(_CHUNK_BYTES, len(self.buffer)))
        try:
            text, used = codecs.utf_8_decode(self._rest + block, "strict", not block)
        except UnicodeDecodeError as error:
            self.fail(f"it is not UTF-8 text ({error.reason}); save it as UTF-8", len(self.buffer))
        self._rest = (self._rest + block)[used:]
        self._is_tried = False
        self.buffer += text
        return bool(block)


def _entries(text: _Text) -> Iterator[Any]:
    """Yields the entries of a list from its bracket on; goes behind its end."""
    text.next()
    text.at += 1
    if text.next() == "]":
        text.at += 1
        return
    while True:
        yield from text.batch()
        text.next()
        yield text.value()
        if text.after_entry("]"):
            return


def parse(text: str) -> Any:
    """A small document.

    Raises:
        JsonError: it is no JSON, or nested too deep.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except _NoNumber:
        raise JsonError("this is not JSON: NaN and Infinity are no numbers in JSON", 1) from None
    except RecursionError:
        raise JsonError("its lists and objects are nested too deep", 1) from None
    except json.JSONDecodeError as error:
        raise JsonError(f"this is not JSON ({error.msg}, column {error.colno})", error.lineno) from error
    except ValueError:
        raise JsonError("this is not JSON: it has a number out of range", 1) from None


def lines(file: pathlib.Path, told: account.Account) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (place, object) of a file that has an object a line; empty lines are passed over.

    Raises:
        ApiError: INVALID_ARGUMENT if a line is too long or no object, the latter unless unusable entries are left out.
    """
    with file.open("rb") as handle:
        number = 0
        while line := handle.readline(MAX_ENTRY_CHARS + 1):
            number += 1
            where = f"{file}, line {number}"
            if len(line) > MAX_ENTRY_CHARS:
                raise errors.bad_request(
                    f"{where}: it has more than {MAX_ENTRY_CHARS} bytes; an object a line is read."
                )
            try:
                text = (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode().strip()
                entry = parse(text) if text else {}
            except UnicodeDecodeError as error:
                told.refuse(where, f"it is not UTF-8 text ({error.reason})")
                continue
            except JsonError as problem:
                told.refuse(where, str(problem))
                continue
            if not isinstance(entry, dict):
                told.refuse(where, "an object is expected")
            elif entry:
                yield where, entry
