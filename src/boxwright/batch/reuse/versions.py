"""Versions of many objects at once: by the store's lists where these are dense in what is asked for, else one by one."""

from __future__ import annotations

import collections
import dataclasses
import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import TypeAlias

from google.rpc import code_pb2

from boxwright import errors, objects

IN_FLIGHT = 64  # objects that are asked for at once
LEAST_LISTED = 20  # of fewer objects in a folder, a list is not tried
OBJECTS_A_PAGE = 1000
LISTED_SHARE = 0.1  # of a page's objects that are wanted: below it, one by one is as fast and costs no more
MAX_CURSORS = 16
_Pages: TypeAlias = Iterator[list[tuple[str, objects.ObjectVersion]]]


@dataclasses.dataclass
class _Cursor:
    """How far the list of a folder has come: its next pages, the last one, and the last key of that."""

    pages: _Pages
    page: dict[str, objects.ObjectVersion] = dataclasses.field(default_factory=dict)
    first: bytes = b""
    last: bytes = b""
    has_ended: bool = False


class Versions:
    """Looks at objects. For one thread at a time.

    Args:
        stores: for objects that a caller names.
    """

    def __init__(self, stores: objects.Stores) -> None:
        self._stores = stores
        self._pool: futures.ThreadPoolExecutor | None = None
        self._cursors: collections.OrderedDict[objects.ObjectUri, _Cursor] = collections.OrderedDict()
        self.lists = 0  # pages that were listed
        self.looks = 0  # objects that were asked for one by one

    def of(self, addresses: Sequence[str]) -> dict[str, objects.ObjectVersion]:
        """The version of each object that is there and may be looked at; those of the others are left out."""
        folders: dict[objects.ObjectUri, list[objects.ObjectUri]] = {}
        for address in addresses:
            uri = objects.ObjectUri.parse(address)
            folders.setdefault(dataclasses.replace(uri, key=uri.key[: uri.key.rfind("/") + 1]), []).append(uri)
        found: dict[str, objects.ObjectVersion] = {}
        for folder, uris in folders.items():
            listed = self._listed(folder, uris)
            found |= {str(uri): listed[uri.key] for uri in uris if uri.key in listed}
        alone = [uri for uris in folders.values() for uri in uris if str(uri) not in found]
        return found | self._asked(alone)

    def close(self) -> None:
        """Ends the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _listed(self, folder: objects.ObjectUri, uris: Sequence[objects.ObjectUri]) -> dict[str, objects.ObjectVersion]:
        """What the list of a folder says of its objects, as far as it is worth reading."""
        if len(uris) < LEAST_LISTED:
            return {}
        wanted = sorted(uri.key.encode() for uri in uris)
        cursor = self._cursors.pop(folder, None)
        if cursor is None or wanted[0] < cursor.first:
            cursor = self._begun(folder, wanted[0].decode())
        if cursor is None:
            return {}
        found = dict(cursor.page)
        try:
            for _ in range(max(1, int(len(uris) / OBJECTS_A_PAGE / LISTED_SHARE))):
                if cursor.has_ended or cursor.last >= wanted[-1]:
                    break
                self._read_page(cursor)
                found |= cursor.page
            else:
                if cursor.last < wanted[-1]:
                    return found  # not dense: the list is begun anew, if at all
        except errors.ApiError:
            return found
        self._cursors[folder] = cursor
        while len(self._cursors) > MAX_CURSORS:
            self._cursors.popitem(last=False)
        return found

    def _begun(self, folder: objects.ObjectUri, first: str) -> _Cursor | None:
        """The list of a folder from an object on; None if this store has none, or may not be listed."""
        try:
            pages = self._stores.versions(folder, first[:-1] if len(first) - 1 > len(folder.key) else "")
        except errors.ApiError:
            return None
        return None if pages is None else _Cursor(pages, first=first.encode())

    def _read_page(self, cursor: _Cursor) -> None:
        page = next(cursor.pages, None)
        self.lists += 1
        if page is None:
            cursor.has_ended = True
        elif page:
            cursor.page = dict(page)
            cursor.first, cursor.last = page[0][0].encode(), page[-1][0].encode()

    def _asked(self, uris: Sequence[objects.ObjectUri]) -> dict[str, objects.ObjectVersion]:
        """Asks for each object; after one that is UNAVAILABLE, for no more: reading finds out what is wrong."""
        self.looks += len(uris)
        is_away = threading.Event()

        def look(uri: objects.ObjectUri) -> objects.ObjectVersion | None:
            if not is_away.is_set():
                try:
                    return self._stores.version(uri)
                except errors.ApiError as error:
                    if error.code == code_pb2.UNAVAILABLE:
                        is_away.set()
            return None

        near = [uri for uri in uris if self._is_near(uri)]
        found = {str(uri): look(uri) for uri in near}
        far = [uri for uri in uris if str(uri) not in found]
        if far:
            if self._pool is None:
                self._pool = futures.ThreadPoolExecutor(IN_FLIGHT, "version")
            found |= zip(map(str, far), self._pool.map(look, far), strict=True)
        return {address: version for address, version in found.items() if version is not None}

    def _is_near(self, uri: objects.ObjectUri) -> bool:
        """Whether a look costs too little for a thread."""
        return self._stores.is_folder(uri)
