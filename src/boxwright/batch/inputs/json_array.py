"""A JSON array as a list: texts or objects, and SageMaker's manifest file, whose first element says where the others lie.

    [{"prefix": "s3://b/images/"}, "cats/1.jpg", "cats/2.jpg"]

The array is read as a stream of elements; what lies deeper than an element's own values is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import ijson

from boxwright import errors, objects
from boxwright.batch import image_list
from boxwright.batch.entry import Entry

_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*(?:[\"{\[\]]|$)")  # a row of a CSV may begin with a bracket, too
READ_BYTES = 64 * 1024
MAX_ELEMENT_BYTES = 1 << 20


def is_array(start: bytes) -> bool:
    """Whether a text that begins with these bytes is a JSON array."""
    return _START.match(start) is not None


def entries(uri: objects.ObjectUri, chunks: Iterator[bytes], column: str) -> Iterator[Entry]:
    """Yields an entry for each element but the one that names the prefix.

    Args:
        uri: the file.
        chunks: its bytes.
        column: see `image_list.read`.

    Raises:
        ApiError: from the store; INVALID_ARGUMENT if the file is no JSON array or is cut off.
    """
    content = _Content(uri, chunks)
    prefix = ""
    try:
        for number, value in enumerate(_elements(content), 1):
            match value:
                case {"prefix": str() as text} if number == 1:
                    prefix = text
                case _:
                    yield _entry(uri, number, value, prefix, column, content.read_bytes)
    except ijson.JSONError as error:
        raise errors.bad_request(
            f"{uri}: this begins like a JSON array, but it is damaged or cut off; {image_list.WANTED}."
        ) from error


def _entry(uri: objects.ObjectUri, number: int, value: Any, prefix: str, column: str, end_bytes: int) -> Entry:
    place = f"{uri}, element {number}"
    key = ""
    if isinstance(value, dict):
        value, key = image_list.address_in(value, column)
    if not isinstance(value, str) or not value:
        return Entry(place, place, end_bytes, failure="the element is no address, and has none")
    text = prefix + value if prefix else image_list.whole_address(value, key, uri)
    return Entry(text, place, end_bytes)


def _elements(content: _Content) -> Iterator[Any]:
    """Yields the elements of the outer array: a scalar, or an object with its own scalars; other values are None."""
    depth, key = 0, ""
    element: dict[str, Any] | None = None
    for event, value in ijson.basic_parse(content, buf_size=READ_BYTES, use_float=True):
        if event in ("start_map", "start_array"):
            depth += 1
            if depth == 2:
                content.begin_element()
                element = {}
        elif event in ("end_map", "end_array"):
            depth -= 1
            if depth == 1:
                yield element
                element = None
        elif event == "map_key":
            key = value if depth == 2 else key
        elif depth == 1:
            content.begin_element()
            yield value
        elif depth == 2 and element is not None:
            element[key] = value


class _Content:
    """The bytes as a file, with a limit on those of one element."""

    def __init__(self, uri: objects.ObjectUri, chunks: Iterator[bytes]) -> None:
        self._uri = uri
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._begun_bytes = 0
        self.read_bytes = 0

    def begin_element(self) -> None:
        """Says that an element begins about here."""
        self._begun_bytes = self.read_bytes

    def read(self, size: int) -> bytes:
        """The next bytes, at most so many; none at the end."""
        if self.read_bytes - self._begun_bytes > MAX_ELEMENT_BYTES + 2 * READ_BYTES:
            raise errors.bad_request(f"{self._uri}: an element has more than {MAX_ELEMENT_BYTES} bytes; it is no list.")
        while size and not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = memoryview(chunk)
        taken, self._rest = self._rest[:size], self._rest[size:]
        self.read_bytes += len(taken)
        return bytes(taken)
