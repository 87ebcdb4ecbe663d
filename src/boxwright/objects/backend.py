"""`Backend`: what every way to keep objects can do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Protocol

from boxwright.objects.entries import Entry
from boxwright.objects.folders import ObjectVersion, StoreKey
from boxwright.objects.listing import Bounds
from boxwright.objects.throttling import Pace
from boxwright.objects.uris import ObjectUri


@dataclasses.dataclass(frozen=True)
class ObjectInfo:
    """What a store says of an object: its size and its entity tag."""

    uri: ObjectUri
    size_bytes: int
    e_tag: str


class Backend(Protocol):
    """One way to keep objects. Its errors are the client library's, except where a wall is met.

    Nothing here is tried again: who calls does that (`patience`).
    """

    def pace(self, uri: ObjectUri) -> Pace | None:
        """How often the bucket of a URI is called; None if it is no store that could say that this is too often."""

    def ask_when(self, uri: ObjectUri) -> float | None:
        """Asks in how many seconds the store of a URI, which is called too often, may be called; None if it does not say."""

    def reading(self, uri: ObjectUri) -> StoreKey:
        """Finds an object that is to be read; NOT_FOUND if the URI cannot be one."""

    def read(self, uri: ObjectUri, max_bytes: int | None) -> tuple[bytes, str]:
        """Reads a whole object, and its version; INVALID_ARGUMENT if it is larger than that."""
        ...

    def version(self, uri: ObjectUri) -> ObjectVersion:
        """The size and version of an object, as `read` and `versions` give it."""
        ...

    def versions(self, prefix: ObjectUri, after: str) -> Iterator[list[tuple[str, ObjectVersion]]] | None:
        """As `keys`, with each object's version; None if asking for each object is as cheap."""
        ...

    def place(self, uri: ObjectUri) -> StoreKey:
        """Finds where an object or a folder is or would be."""

    def long_place(self, uri: ObjectUri) -> StoreKey:
        """As `place`, for calls of several requests: the client library tries each of these again."""

    def put(self, uri: ObjectUri, data: bytes, *, once: bool) -> bool:
        """Writes an object; returns False if it is there already and was to be written once only."""
        ...

    def resolved(self, uri: ObjectUri) -> ObjectUri:
        """The object that a URI leads to where symbolic links in its bucket are followed."""
        ...

    def check_bucket(self, uri: ObjectUri) -> None:
        """Raises unless the bucket exists."""

    def check_destination(self, uri: ObjectUri) -> None:
        """Raises unless files can be made below the URI."""

    def keys(self, prefix: ObjectUri, after: str, bounds: Bounds | None = None) -> Iterator[list[str]]:
        """Yields the keys below a folder, from behind a key on, some at a time; in order, unless the store has none.

        Keys that `bounds` rules out need not come.
        """
        ...

    def entries(self, prefix: ObjectUri, after: str) -> Iterator[Entry]:
        """Yields what lies directly in a folder, in order, from behind a name on."""
        ...

    def delete(self, uri: ObjectUri) -> None:
        """Deletes an object; none is fine."""

    def delete_below(self, folder: ObjectUri) -> None:
        """Deletes everything below a folder, in memory that does not grow with it; nothing is fine."""

    def sweep_unfinished(self, directory: ObjectUri) -> None:
        """Removes what a killed writer may have left below a folder."""
