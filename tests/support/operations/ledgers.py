"""A ledger over a database file, drafts for it, and the work of one process that finishes operations."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import sqlalchemy as sa
from google.protobuf import empty_pb2

from boxwright import names, states
from boxwright.metadata import database
from boxwright.metadata.schema import operations
from boxwright.operations.ledger import Draft, Ledger

LOCATION = names.LocationName("p", "us-central1")
Kind = states.OperationKind


def open_ledger(place: pathlib.Path | str, *, lease_ttl_s: float = 10.0) -> Ledger:
    """Opens (and creates, if missing) a ledger in a database file or on a server."""
    return Ledger(database.Database(place), lease_ttl_s=lease_ttl_s)


def place_of(text: str) -> pathlib.Path | str:
    """A database's place as a command line spells it."""
    return text if "://" in text else pathlib.Path(text)


def draft(operation_id: str, kind: states.OperationKind = Kind.IMPORT_DATA, works_on: str = "") -> Draft:
    """An operation about to be started."""
    return Draft(LOCATION, operation_id, kind, request=b"request", details=b"", works_on=works_on)


def start(ledger: Ledger, *operation_ids: str, kind: states.OperationKind = Kind.IMPORT_DATA) -> None:
    """Starts operations, each in a transaction of its own."""
    for operation_id in operation_ids:
        with ledger._db.write() as connection:
            ledger.start(connection, draft(operation_id, kind))


def expire(ledger: Ledger, operation_id: str, epoch: int | None = None) -> None:
    """Lets an operation's lease run out now, by the database's clock; with `epoch` that attempt's alone, no later one's."""
    lease = operations.update().where(operations.c.id == operation_id)
    if epoch is not None:
        lease = lease.where(operations.c.lease_epoch == epoch)
    with ledger._db.write() as connection:
        connection.execute(lease.values(lease_expires_us=0))


def row_of(ledger: Ledger, operation_id: str) -> sa.Row[Any]:
    """The operation's row."""
    row = ledger.find(LOCATION.operation(operation_id))
    assert row is not None
    return row


def finish_some(place: pathlib.Path | str, owner: str, count: int) -> list[str]:
    """Claims and finishes operations, as many as are asked for; returns their ids."""
    ledger = open_ledger(place)
    finished: list[str] = []
    while len(finished) < count and (claimed := ledger.claim([Kind.IMPORT_DATA], owner)) is not None:
        ledger.report(claimed.lease, progress_percent=50)
        ledger.finish(claimed.lease, lambda connection: empty_pb2.Empty())
        finished.append(claimed.lease.operation_id)
    return finished


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    print(" ".join(finish_some(place_of(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
