"""The index of a base: where the results of an image are, by its address and by its bytes.

It is a SQLite file in the job's notes on this machine, about 100 bytes an image, made by the process that leads and read by
all. Memory is that of its page cache and of some files of candidates.
"""

from __future__ import annotations

import collections
import hashlib
import pathlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from boxwright import errors, objects, private
from boxwright.batch.output.candidates import CandidateTable, ImageCandidates
from boxwright.batch.reuse.base_folder import BaseFile, BaseFolder

FILE = "base.sqlite"
CACHE_KIB = 8 * 1024
TABLES_BYTES = 32_000_000  # of files of candidates that are held
_ID_BYTES = 16
_SCHEMA = """
CREATE TABLE about (sha256 TEXT, policy_digest TEXT);
CREATE TABLE files (number INTEGER PRIMARY KEY, uri TEXT, sha256 TEXT);
CREATE TABLE by_id (id BLOB PRIMARY KEY, version TEXT, size_bytes INTEGER, file INTEGER, place INTEGER) WITHOUT ROWID;
CREATE TABLE by_content (sha256 BLOB PRIMARY KEY, size_bytes INTEGER, file INTEGER, place INTEGER) WITHOUT ROWID;
"""


class KnownImage(NamedTuple):
    """What the base says of an image: the version and size that it had, and where its results are."""

    version: objects.ObjectVersion
    file: int
    place: int


class BaseIndex:
    """An index that is made. Safe for any number of threads.

    Args:
        path: of the file.
        stores: where the base is.
    """

    def __init__(self, path: pathlib.Path, stores: objects.Stores) -> None:
        self._stores = stores
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        self._connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        self.sha256, policy = self._connection.execute("SELECT sha256, policy_digest FROM about").fetchone()
        self._files = [
            BaseFile(objects.ObjectUri.parse(uri), sha256, policy)
            for uri, sha256 in self._connection.execute("SELECT uri, sha256 FROM files ORDER BY number")
        ]
        self._tables: collections.OrderedDict[int, CandidateTable | None] = collections.OrderedDict()
        self._tables_bytes = 0

    def by_id(self, image_id: str) -> KnownImage | None:
        """What the base knows of an address."""
        found = self._one("SELECT version, size_bytes, file, place FROM by_id WHERE id = ?", _key(image_id))
        return None if found is None else KnownImage(objects.ObjectVersion(found[1], found[0]), *found[2:])

    def by_content(self, sha256: bytes, size_bytes: int) -> ImageCandidates | None:
        """The results of an image with these bytes: the first 16 bytes of their sha256, and how many they are."""
        found = self._one("SELECT size_bytes, file, place FROM by_content WHERE sha256 = ?", sha256)
        if found is None or found[0] != size_bytes:
            return None
        row = self.row(*found[1:])
        return row if row is not None and row.sha256 == sha256 else None

    def row(self, file: int, place: int) -> ImageCandidates | None:
        """The results of an image; None if the file cannot be read any more."""
        table = self._table(file)
        return None if table is None else table.row(place)

    def ids(self) -> Iterator[str]:
        """Yields the addresses of the base's images, in its order."""
        for file in self._files:
            table = file.read(self._stores)
            yield from [] if table is None else table.ids

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()

    def _one(self, query: str, key: bytes) -> tuple[Any, ...] | None:
        with self._lock:
            found: tuple[Any, ...] | None = self._connection.execute(query, (key,)).fetchone()
            return found

    def _table(self, file: int) -> CandidateTable | None:
        with self._lock:
            if file in self._tables:
                self._tables.move_to_end(file)
                return self._tables[file]
        table = self._files[file].read(self._stores)
        with self._lock:
            if file not in self._tables:
                self._tables[file] = table
                self._tables_bytes += _size_bytes(table)
            while self._tables_bytes > TABLES_BYTES and len(self._tables) > 1:
                self._tables_bytes -= _size_bytes(self._tables.popitem(last=False)[1])
        return table


def make(path: pathlib.Path, base: BaseFolder, stores: objects.Stores) -> int:
    """Makes the index of a base, in the place of one that an earlier attempt has left; returns how many images it has.

    Args:
        path: of the file.
        base: the folder.
        stores: where it is.

    Raises:
        ApiError: RESOURCE_EXHAUSTED if the file cannot be written.
    """
    path.unlink(missing_ok=True)
    images = 0
    try:
        private.open_file(path, "x").close()
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.executescript(
                f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{CACHE_KIB};"
            )
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN")
            connection.execute("INSERT INTO about VALUES (?, ?)", (base.sha256, base.policy_digest))
            files = ((number, str(file.uri), file.sha256) for number, file in enumerate(base.files))
            connection.executemany("INSERT INTO files VALUES (?, ?, ?)", files)
            for number, table in base.tables(stores):
                _add(connection, number, table)
                images += len(table)
            connection.execute("COMMIT")
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise errors.resource_exhausted(
            f"The index of the former results cannot be written ({error}); make room for about 150 bytes an image in the "
            "service's data_dir, or leave params.reuse out."
        ) from error
    return images


class ListedIndex:
    """Which images are listed now: addresses as digests in a temporary file, as a plan remembers what it has met."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.executescript(f"PRAGMA cache_size=-{CACHE_KIB}; PRAGMA journal_mode=OFF;")
        self._connection.execute("CREATE TABLE listed (id BLOB PRIMARY KEY) WITHOUT ROWID")
        self._connection.execute("BEGIN")

    def add(self, ids: Iterable[str]) -> None:
        """Remembers addresses."""
        self._connection.executemany("INSERT OR IGNORE INTO listed VALUES (?)", ((_key(one),) for one in ids))

    def __contains__(self, image_id: str) -> bool:
        found = self._connection.execute("SELECT 1 FROM listed WHERE id = ?", (_key(image_id),)).fetchone()
        return found is not None

    def close(self) -> None:
        """Removes the file."""
        self._connection.close()


def _add(connection: sqlite3.Connection, file: int, table: CandidateTable) -> None:
    sizes = table.size_bytes.tolist()
    by_id = [
        (_key(image_id), version, size, file, place)
        for place, (image_id, version, size) in enumerate(zip(table.ids, table.versions, sizes, strict=True))
    ]
    by_content = [
        (sha256, size, file, place) for place, (sha256, size) in enumerate(zip(table.sha256, sizes, strict=True))
    ]
    connection.executemany("INSERT OR IGNORE INTO by_id VALUES (?, ?, ?, ?, ?)", sorted(by_id))
    connection.executemany("INSERT OR IGNORE INTO by_content VALUES (?, ?, ?, ?)", sorted(by_content))


def _key(image_id: str) -> bytes:
    return hashlib.blake2b(image_id.encode("utf-8", "replace"), digest_size=_ID_BYTES).digest()


def _size_bytes(table: CandidateTable | None) -> int:
    if table is None:
        return 0
    return table.values.nbytes + table.label_indices.nbytes + 400 * len(table)
