"""Statements on the outbox: events that are to be delivered, put there by the transaction that changes an operation.

An event has one row for each destination. Of the rows of one operation and destination only the first is due, so that its
events arrive in their order. Who claims a row moves its time into the future: nobody else takes it until then.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from boxwright.metadata import database
from boxwright.metadata.schema import outbox

_KEY = (outbox.c.operation_id, outbox.c.position, outbox.c.destination_number)
_earlier = outbox.alias("earlier")


def put(connection: sa.Connection, **values: Any) -> None:
    """Adds an event for one destination; it is due at once."""
    connection.execute(outbox.insert().values(attempts=0, next_us=0, **values))


def claim(db: database.Database, owner: str, claim_s: float) -> sa.Row[Any] | None:
    """Takes the event that has been due longest, for `claim_s` seconds; None if none is due. `attempts` count this one."""
    with db.read() as connection:  # looking costs no writer anything
        if connection.execute(_due(database.now_us(connection))).first() is None:
            return None
    with db.write(exclusive=False) as connection:
        now_us = database.now_us(connection)
        found = connection.execute(_due(now_us).with_for_update(skip_locked=True, of=outbox)).first()
        if found is None:
            return None
        values = {"attempts": found.attempts + 1, "next_us": now_us + round(claim_s * 1_000_000), "owner": owner}
        still_due = (*_is(found), outbox.c.next_us == found.next_us)
        return connection.execute(outbox.update().where(*still_due).values(**values).returning(*outbox.c)).first()


def put_off(db: database.Database, event: sa.Row[Any], pause_s: float) -> None:
    """Lets an event that was claimed be due again after a pause."""
    with db.write(exclusive=False) as connection:
        next_us = database.now_us(connection) + round(pause_s * 1_000_000)
        connection.execute(outbox.update().where(*_claimed(event)).values(next_us=next_us, owner=None))


def remove(db: database.Database, event: sa.Row[Any]) -> None:
    """Forgets an event that was claimed; one that others have claimed since is theirs."""
    with db.write(exclusive=False) as connection:
        connection.execute(outbox.delete().where(*_claimed(event)))


def _due(now_us: int) -> sa.Select[Any]:
    is_later = sa.exists().where(
        _earlier.c.operation_id == outbox.c.operation_id,
        _earlier.c.destination_number == outbox.c.destination_number,
        _earlier.c.position < outbox.c.position,
    )
    order = (outbox.c.next_us, outbox.c.create_time_us, *_KEY)
    return sa.select(outbox).where(outbox.c.next_us <= now_us, ~is_later).order_by(*order).limit(1)


def _is(event: sa.Row[Any]) -> tuple[sa.ColumnElement[bool], ...]:
    return tuple(column == getattr(event, column.name) for column in _KEY)


def _claimed(event: sa.Row[Any]) -> tuple[sa.ColumnElement[bool], ...]:
    return (*_is(event), outbox.c.owner == event.owner, outbox.c.attempts == event.attempts)
