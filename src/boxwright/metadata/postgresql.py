"""A connection to PostgreSQL as the engine wants it. Apart from `database`, for SQLite needs no driver."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pg8000


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


@contextlib.contextmanager
def _as_network_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise pg8000.InterfaceError("network error") from error  # the words by which SQLAlchemy knows a dead line
