"""An XML file as a stream of elements, within limits: no document type, no entities, no endless tag, no deep nesting."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Collection, Iterator
from xml.parsers import expat

MAX_DEPTH = 64
MAX_TOKEN_BYTES = 4 * 1024 * 1024  # of a tag or a text
MAX_ELEMENTS = 200_000  # within one that is yielded
_CHUNK_BYTES = 256 * 1024
_ROOT = re.compile(r"<([A-Za-z_][\w.-]*)")
_PROLOGUE = re.compile(r"<\?.*?\?>|<!--.*?-->", re.DOTALL)


class XmlError(Exception):
    """Why a file is no XML that is read; `line` is where that was seen."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


@dataclasses.dataclass(slots=True)
class Element:
    """An element with all that it holds.

    Attributes:
        name: of its tag.
        attributes: by name.
        line: where it begins, counted from 1.
        children: in order.
        text: its own, without that of its children.
    """

    name: str
    attributes: dict[str, str]
    line: int
    children: list[Element] = dataclasses.field(default_factory=list)
    text: str = ""

    def text_of(self, name: str) -> str:
        """The text of the first child of that name; empty if there is none."""
        return next((child.text for child in self.children if child.name == name), "")


def root_name(text: str) -> str:
    """The name of the root element of a file that begins so; empty if it has none."""
    found = _ROOT.search(_PROLOGUE.sub("", text))
    return found[1] if found else ""


def elements(file: pathlib.Path, names: Collection[str]) -> Iterator[Element]:
    """Yields the outermost elements of these names, in the order of their ends.

    Raises:
        XmlError: the file is no XML, or beyond the limits.
        OSError: it cannot be read.
    """
    collector = _Collector(names)
    with file.open("rb") as handle:
        fed_bytes = 0
        while True:
            block = handle.read(_CHUNK_BYTES)
            collector.feed(block, is_last=not block)
            yield from collector.ended
            collector.ended.clear()
            if not block:
                return
            fed_bytes += len(block)
            if fed_bytes - collector.parser.CurrentByteIndex > MAX_TOKEN_BYTES:
                raise XmlError(f"a tag or text of more than {MAX_TOKEN_BYTES} bytes", collector.line)


class _Collector:
    """Builds elements from what the parser reports.

    Attributes:
        ended: the elements that are complete and not taken yet.
        parser: expat's.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._open: list[Element] = []  # from the outermost one that is wanted
        self._depth = self._held = 0
        self.ended: list[Element] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._refuse_type

    @property
    def line(self) -> int:
        return self.parser.CurrentLineNumber

    def feed(self, block: bytes, *, is_last: bool) -> None:
        """Parses more of the file.

        Raises:
            XmlError: it is no XML, or beyond the limits.
        """
        try:
            self.parser.Parse(block, is_last)
        except expat.ExpatError as error:
            raise XmlError(f"this is not XML ({expat.ErrorString(error.code)})", error.lineno) from error
        except (ValueError, LookupError) as error:
            raise XmlError(f"this is not XML ({error})", self.line) from error

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise XmlError("its elements are nested too deep", self.line)
        if not self._open and name not in self._names:
            return
        element = Element(name, attributes, self.line)
        if self._open:
            self._open[-1].children.append(element)
        self._held = self._held + 1 if self._open else 1
        if self._held > MAX_ELEMENTS:
            raise XmlError(f"an element with more than {MAX_ELEMENTS} others in it", self.line)
        self._open.append(element)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._open:
            element = self._open.pop()
            if not self._open:
                self.ended.append(element)

    def _text(self, text: str) -> None:
        if self._open:
            whole = self._open[-1].text + text
            if len(whole) > MAX_TOKEN_BYTES:
                raise XmlError(f"a text of more than {MAX_TOKEN_BYTES} characters", self.line)
            self._open[-1].text = whole

    def _refuse_type(self, *_: object) -> None:
        raise XmlError("it has a document type or entities, which are refused", self.line)
