"""A connection to PostgreSQL as the engine wants it. Apart from `database`, for SQLite needs no driver."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pg8000
import sqlalchemy as sa


class PostgresConnection(pg8000.Connection):
    """pg8000's connection, whose reader lets the system's own errors out where a line breaks off while it reads."""

    def __init__(self, **parameters: Any) -> None:
        with _as_network_error():
            super().__init__(**parameters)

    def handle_messages(self, context: Any) -> None:
        """Reads what the server sends; trouble of the network is an error of the network."""
        with _as_network_error():
            super().handle_messages(context)


def connect(
    dialect: object, record: object, positional: Sequence[Any], parameters: dict[str, Any]
) -> PostgresConnection:
    """Answers SQLAlchemy's event `do_connect`."""
    return PostgresConnection(**parameters)


def room(connection: sa.Connection) -> tuple[int, int]:
    """How many connections a server gives to users that are no superusers, and how many of them others hold now."""
    query = """SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())"""
    limit, held = connection.execute(sa.text(query)).one()
    return int(limit), int(held)


@contextlib.contextmanager
def _as_network_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise pg8000.InterfaceError("network error") from error  # the words by which SQLAlchemy knows a dead line
