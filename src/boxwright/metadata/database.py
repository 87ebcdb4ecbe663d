"""Database: read and write transactions on SQLite or PostgreSQL, the database's own clock, and keyset page tokens.

Both databases keep the same promises: a reader sees one moment; what an exclusive writer read is still true when it writes.
SQLite has one writer at a time by nature. PostgreSQL is told so by an advisory lock that every exclusive writer takes first.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import json
import logging
import pathlib
import ssl
import threading
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Self

import sqlalchemy as sa
from google.rpc import code_pb2

from boxwright import errors, private
from boxwright.metadata import migrations
from boxwright.telemetry.metrics import Metrics

BUSY_TIMEOUT_S = 30  # how long a writer waits for another writer
SILENCE_TIMEOUT_S = 60  # after which a PostgreSQL server that does not answer counts as gone
POOL_TIMEOUT_S = 10  # how long a transaction waits for a connection of the pool
DEFAULT_CONNECTIONS = 20
DRIVER = "postgresql+pg8000"
_WRITER_LOCK = 0x626F7877  # "boxw": the advisory lock that makes writers of one database take turns
_WRITE, _EXCLUSIVE = "boxwright_write", "boxwright_exclusive"
_AWAY = ("08", "57P01", "57P02", "57P03", "53300")  # SQLSTATEs: no connection, shutting down, starting, too many
_IN_THE_WAY = ("40001", "40P01", "55P03")  # a serialisation failure, a deadlock, a lock not got in time
_UNSTORABLE = ("22",)  # a NUL in a text, a text that is too long, a number that is too large
_REFUSED = ("28", "3D", "42501")  # who are you, there is no such database, you may not


class Transient(errors.ApiError):
    """UNAVAILABLE or ABORTED: the database was away, or somebody else was faster; the same may be tried again."""


class Database:
    """Transactions on the metadata store.

    `read()` sees one consistent snapshot. `write()` holds the only write lock from its first moment, so that what it read
    is still true when it writes; `write(exclusive=False)` is for single statements that need no more than their row.
    """

    def __init__(
        self,
        where: pathlib.Path | str,
        *,
        connections: int = DEFAULT_CONNECTIONS,
        ca_file: pathlib.Path | None = None,
        prepare: bool = True,
        metrics: Metrics | None = None,
    ) -> None:
        """Opens the SQLite file or the PostgreSQL URL `where`; an empty database gets its tables.

        Args:
            where: a path, or ``postgresql+pg8000://user:password@host/database``.
            connections: how many connections to a PostgreSQL server are held at most.
            ca_file: checks the PostgreSQL server's certificate; without it the connection is not encrypted.
            prepare: False leaves the schema alone and does not even look.
            metrics: counts transactions.

        Raises:
            ApiError: FAILED_PRECONDITION if the schema is of another version; UNAVAILABLE if there is no answer.
        """
        self._metrics = metrics or Metrics()
        self._engine = _engine(where, connections, ca_file)
        self._driver_error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        self._compiled: dict[sa.Select[Any], Any] = {}
        self._quick: Any = None
        self._quick_lock = threading.Lock()
        self.label = self._engine.url.render_as_string(hide_password=True)
        if prepare:
            try:
                with self.named():
                    self._prepare()
            except BaseException:
                self.close()
                raise

    def migrate(self, step: migrations.Step = migrations.Step.BOTH) -> tuple[str | None, str]:
        """Brings the schema to this version's; returns the stamps (before, now), None for an empty database.

        Args:
            step: EXPAND leaves what the former version needs, CONTRACT takes that away, BOTH does both at once.

        Raises:
            ApiError: FAILED_PRECONDITION if the schema is newer than this version, or not ready for the step.
        """
        with self.named(), self.write() as connection:
            found = migrations.revision_of(connection)
            if found is not None and migrations.Stamp.parse(found).newest not in migrations.REVISIONS:
                raise migrations.other_revision(self.label, found)
            if found is None or step == migrations.Step.BOTH:
                return found, migrations.migrate(connection, found)
            steps = {migrations.Step.EXPAND: migrations.expand, migrations.Step.CONTRACT: migrations.contract}
            return found, steps[step](connection, found)

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Lets errors say which database it is: for who runs the service, as callers of the API must not see where it is."""
        try:
            yield
        except errors.ApiError as error:
            where = "" if self.label in error.message else f"{self.label}: "
            raise type(error)(error.code, where + error.message, error.details) from error

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads."""
        with self._timed("read"), self._named_failures(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self, *, exclusive: bool = True) -> Iterator[sa.Connection]:
        """A transaction that may write; commits at the end, rolls back on any exception."""
        options = {_WRITE: True, _EXCLUSIVE: exclusive}
        with (
            self._timed("write"),
            self._named_failures(),
            self._engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection

    def _timed(self, access: str) -> contextlib.AbstractContextManager[None]:
        return self._metrics.timed("boxwright_db_seconds", access)

    @property
    def connections_in_use(self) -> int:
        """Connections that transactions of this process hold now."""
        pool: Any = self._engine.pool
        return int(pool.checkedout())

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine, which a reader need not wait for."""
        return self._engine.dialect.name == "sqlite"

    def schema_problem(self) -> str | None:
        """What is wrong with the schema, for a probe; None if it is this version's. Raises as `read`."""
        with self.read() as connection:
            found = migrations.revision_of(connection)
        if found is not None and migrations.Stamp.parse(found).serves_this_version:
            return None
        return f"has schema {found or 'none'}, this version needs {migrations.HEAD}"

    def first_row(self, query: sa.Select[Any], **parameters: Any) -> tuple[Any, ...] | None:
        """The first row of one small query, as the driver gives it, at a tenth of the cost of a transaction.

        For what every call asks; numbers and texts only, as no type of a column is applied.
        """
        if query not in self._compiled:
            self._compiled[query] = query.compile(dialect=self._engine.dialect)
        compiled = self._compiled[query]
        values = compiled.construct_params(parameters)
        with contextlib.suppress(self._driver_error, sa.exc.SQLAlchemyError), self._quick_connection() as connection:
            cursor = connection.cursor()
            cursor.execute(str(compiled), [values[name] for name in compiled.positiontup or ()])
            rows = cursor.fetchall()  # to the end, so that no snapshot is held
            return rows[0] if rows else None
        with self.read() as reading:  # which gives a failure its name
            row = reading.execute(query, parameters).first()
        return None if row is None else tuple(row)

    @contextlib.contextmanager
    def _quick_connection(self) -> Iterator[Any]:
        """A driver's connection: one that is kept to a file, or one of the pool to a server."""
        if not self.is_local:
            with contextlib.closing(self._engine.raw_connection()) as pooled:
                yield pooled
            return
        with self._quick_lock:
            if self._quick is None:
                pooled = self._engine.raw_connection()
                pooled.detach()
                self._quick = pooled
            try:
                yield self._quick
            except BaseException:
                self._drop_quick()
                raise

    def _drop_quick(self) -> None:
        if self._quick is not None:
            self._quick.close()
            self._quick = None

    def close(self) -> None:
        """Closes every connection."""
        with self._quick_lock:
            self._drop_quick()
        self._engine.dispose()

    def _prepare(self) -> None:
        with self.read() as connection:
            found = migrations.revision_of(connection)
        if found is None:
            with self.write() as connection:
                migrations.create(connection)
        elif not migrations.Stamp.parse(found).serves_this_version:
            raise migrations.other_revision(self.label, found)

    @contextlib.contextmanager
    def _named_failures(self) -> Iterator[None]:
        """Gives the failures that are nobody's mistake their canonical code."""
        try:
            yield
        except sa.exc.TimeoutError as error:
            raise _unavailable("All connections to the metadata database are in use; try again.") from error
        except sa.exc.DBAPIError as error:
            state = _sqlstate(error)
            is_cut = error.connection_invalidated or (isinstance(error, sa.exc.InterfaceError) and not state)
            if is_cut or state.startswith(_AWAY):
                raise _unavailable("The metadata database cannot be reached, or let nobody in.") from error
            if state.startswith(_IN_THE_WAY) or "database is locked" in str(error.orig):
                raise Transient(code_pb2.ABORTED, "Another change of the same data was faster; try again.") from error
            if state.startswith(_UNSTORABLE):
                raise errors.bad_request(f"A value cannot be stored: {_reason(error)}.") from error
            if state.startswith(_REFUSED):
                raise errors.failed_precondition(f"The metadata database refused: {_reason(error)}.") from error
            raise


def now_us(connection: sa.Connection) -> int:
    """The database's clock: microseconds since 1970 UTC. It alone decides times and lease expiry."""
    if connection.dialect.name == "postgresql":
        clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        return int(connection.execute(sa.text(clock)).scalar_one())
    # julianday is a float of days: exact to about 40 µs, enough for leases; the ledger makes create times unique itself
    seconds = connection.execute(sa.text("SELECT (julianday('now') - 2440587.5) * 86400.0")).scalar_one()
    return round(seconds * 1_000_000)


def _engine(where: pathlib.Path | str, connections: int, ca_file: pathlib.Path | None) -> sa.Engine:
    if isinstance(where, pathlib.Path):
        path, where = where, f"sqlite:///{where}"
        if not path.exists():
            with contextlib.suppress(OSError):  # SQLite says what is wrong
                private.make_file(path)  # SQLite gives its other files the mode of this one
    try:
        url = sa.make_url(where)
    except sa.exc.ArgumentError as error:  # its text would show the password
        raise errors.invalid_argument("database_url", f"This is not a URL like {DRIVER}://user@host/name.") from error
    if url.drivername == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False})
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    if url.drivername != DRIVER:
        raise errors.invalid_argument(
            "database_url", f"'{url.drivername}' is not {DRIVER}, the driver that is supported."
        )
    from boxwright.metadata import postgresql  # SQLite needs no driver

    # its pool tells of every connection that was cut with a traceback; its user says so in a sentence
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    settings = {"lock_timeout": f"{BUSY_TIMEOUT_S}s", "default_transaction_isolation": "read committed"}
    engine = sa.create_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=True,  # a server that was restarted costs nobody an error
        connect_args={
            "timeout": SILENCE_TIMEOUT_S,
            "application_name": "boxwright",
            "startup_params": settings,
            "ssl_context": ssl.create_default_context(cafile=ca_file) if ca_file else None,
        },
    )
    sa.event.listen(engine, "do_connect", postgresql.connect)
    sa.event.listen(engine, "begin", _begin_postgresql)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own implicit BEGIN is off: `_begin_sqlite` says which kind
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    immediate = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _begin_postgresql(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(_WRITE, False):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    elif options.get(_EXCLUSIVE, True):
        # read committed: every statement after this one sees what the writer before it committed
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")


def _unavailable(message: str) -> Transient:
    return Transient(code_pb2.UNAVAILABLE, message)


def _sqlstate(error: sa.exc.DBAPIError) -> str:
    return _field(error, "C")


def _reason(error: sa.exc.DBAPIError) -> str:
    return _field(error, "M")


def _field(error: sa.exc.DBAPIError, letter: str) -> str:
    """One field of what a PostgreSQL server said of an error; empty if it was not such a server."""
    found = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return str(found.get(letter, "")) if isinstance(found, dict) else ""


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
