"""Database: read and write transactions on SQLite, the database's own clock, and keyset page tokens."""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import json
import pathlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Self

import sqlalchemy as sa

from boxwright import errors
from boxwright.metadata import schema

BUSY_TIMEOUT_S = 30  # how long a writer waits for another writer
_WRITE = "boxwright_write"


class Database:
    """Transactions on the metadata store.

    `read()` sees one consistent snapshot; `write()` holds the only write lock from its first moment, so that what it read
    is still true when it writes.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Opens (and creates, if missing) the SQLite file at `path`."""
        self._engine = sa.create_engine(
            f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
        )
        sa.event.listen(self._engine, "connect", _configure_connection)
        sa.event.listen(self._engine, "begin", _begin)
        with self.write() as connection:
            schema.metadata.create_all(connection)
            found = connection.execute(sa.select(schema.versions.c.version)).scalar()
            if found is None:
                connection.execute(schema.versions.insert().values(version=schema.SCHEMA_VERSION))
            elif found != schema.SCHEMA_VERSION:
                raise errors.failed_precondition(
                    f"The database {path} has schema version {found}, this Boxwright needs {schema.SCHEMA_VERSION}."
                )

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that may write; commits at the end, rolls back on any exception."""
        with self._engine.connect().execution_options(**{_WRITE: True}) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()


def now_us(connection: sa.Connection) -> int:
    """The database's clock: microseconds since 1970 UTC. It alone decides times and lease expiry."""
    # julianday is a float of days: exact to about 40 µs, enough for leases; the ledger makes create times unique itself
    seconds = connection.execute(sa.text("SELECT (julianday('now') - 2440587.5) * 86400.0")).scalar_one()
    return round(seconds * 1_000_000)


def _configure_connection(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own implicit BEGIN is off: `_begin` says which kind
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin(connection: sa.Connection) -> None:
    immediate = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@dataclasses.dataclass(frozen=True)
class PageKey:
    """Where a newest-first list was left: the last row's create time and id."""

    create_time_us: int
    id: str

    def token(self, scope: str) -> str:
        """Returns the opaque page token; `scope` (parent and filter) must be the same when it comes back."""
        payload = json.dumps([self.create_time_us, self.id, zlib.crc32(scope.encode())]).encode()
        return base64.urlsafe_b64encode(payload).decode().rstrip("=")

    @classmethod
    def from_token(cls, token: str, scope: str) -> Self | None:
        """Parses a page token; None for the first page.

        Raises:
            ApiError: INVALID_ARGUMENT if the token is not one of ours or belongs to another list.
        """
        if not token:
            return None
        try:
            padded = token.encode() + b"=" * (-len(token) % 4)
            create_time_us, row_id, checksum = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            key = cls(int(create_time_us), str(row_id))
            if not 0 <= key.create_time_us < 1 << 63:
                raise ValueError("no time that a row can have")
        except (ValueError, TypeError, OverflowError, binascii.Error, UnicodeError, RecursionError) as error:
            raise errors.invalid_argument("page_token", "This is not a page token of this service.") from error
        if checksum != zlib.crc32(scope.encode()):
            raise errors.invalid_argument(
                "page_token", "This page token belongs to a list with another parent or filter."
            )
        return key


def newest_first(
    connection: sa.Connection,
    query: sa.Select[Any],
    table: sa.Table,
    *,
    page_size: int,
    after: PageKey | None,
) -> tuple[Sequence[sa.Row[Any]], PageKey | None]:
    """Runs one page of a list: newest create time first, then id; returns rows and where the next page starts."""
    order = sa.tuple_(table.c.create_time_us, table.c.id)
    if after is not None:
        query = query.where(order < sa.tuple_(sa.literal(after.create_time_us), sa.literal(after.id)))
    query = query.order_by(table.c.create_time_us.desc(), table.c.id.desc()).limit(page_size + 1)
    rows = connection.execute(query).all()
    if len(rows) <= page_size:
        return rows, None
    last = rows[page_size - 1]
    return rows[:page_size], PageKey(last.create_time_us, last.id)
