"""An object in chunks: read once, and from where it broke off if the connection does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import obstore

from boxwright.objects import store_errors
from boxwright.objects.folders import StoreKey

STREAM_CHUNK_BYTES = 1 << 20

_T = TypeVar("_T")
_Patiently = Callable[[Callable[[], _T]], _T]


def chunks(find: Callable[[], StoreKey], patiently: _Patiently[Any]) -> Iterator[bytes]:
    """Yields an object in chunks of about 1 MiB, never as a whole.

    Args:
        find: where it is.
        patiently: calls until there is no trouble that passes.

    Raises:
        PreconditionError: the object is another one by now.
        Truncated: fewer bytes came than there are.
    """
    body = _Body(find)
    patiently(body.open)
    while chunk := patiently(body.read):
        yield chunk


class _Body:
    def __init__(self, find: Callable[[], StoreKey]) -> None:
        self._find = find
        self._chunks: Iterator[Any] | None = None
        self._came = self._size = 0
        self._e_tag = ""

    def open(self) -> None:
        """Asks for the object, or for what has not come yet of it."""
        place = self._find()
        if not self._came:
            found = obstore.get(place.store, place.key)
            self._size, self._e_tag = found.meta["size"], found.meta["e_tag"] or ""
        else:
            options: dict[str, Any] = {"range": (self._came, self._size)}
            found = obstore.get(place.store, place.key, options=options | self._unchanged)  # type: ignore[arg-type]
        self._chunks = iter(found.stream(min_chunk_size=STREAM_CHUNK_BYTES))

    def read(self) -> bytes:
        """The next chunk; an empty one behind the last."""
        if self._came > self._size:
            raise store_errors.Truncated(f"{self._came} bytes came, and {self._size} were promised")
        if self._came == self._size:
            return b""
        if self._chunks is None:
            self.open()
        assert self._chunks is not None
        try:
            chunk = next(self._chunks, None)
            if not chunk:
                raise store_errors.Truncated(f"the last {self._size - self._came} bytes did not come")
        except Exception:
            self._chunks = None
            raise
        self._came += len(chunk)
        return bytes(chunk)

    @property
    def _unchanged(self) -> dict[str, str]:
        return {"if_match": self._e_tag} if self._e_tag else {}
