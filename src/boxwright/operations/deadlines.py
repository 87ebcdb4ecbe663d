"""Deadlines: an operation that has not ended when its deadline passes is cancelled, whoever works on it.

They count from the start of the operation and by the database's clock, so that waiting and restarts count too.
"""

from __future__ import annotations

import sqlalchemy as sa

from boxwright import errors, names, states
from boxwright.metadata import database
from boxwright.metadata.schema import operations
from boxwright.operations.records import name_of

_UNFINISHED = (states.OperationState.PENDING, states.OperationState.RUNNING)


def of(create_us: int, deadline_s: float | None) -> int | None:
    """The deadline of what starts at a time, in microseconds; None for none."""
    return None if deadline_s is None else create_us + round(deadline_s * 1_000_000)


def any_overdue(connection: sa.Connection) -> bool:
    """Whether a deadline has passed of which nothing has followed."""
    return connection.execute(sa.select(operations.c.id).where(*_overdue(connection)).limit(1)).first() is not None


def ask(connection: sa.Connection) -> list[names.OperationName]:
    """Asks for the cancellation of all that is overdue; returns its names."""
    now_us = database.now_us(connection)
    rows = connection.execute(
        operations.update()
        .where(*_overdue(connection))
        .values(cancel_requested_us=now_us, update_time_us=now_us)
        .returning(*operations.c)
    ).all()
    return [name_of(row) for row in rows]


def exceeded(connection: sa.Connection, operation_id: str) -> errors.ApiError | None:
    """What an operation that is cancelled ends with if its deadline is why; None if somebody has asked for it."""
    columns = (operations.c.create_time_us, operations.c.deadline_us, operations.c.cancel_requested_us)
    row = connection.execute(sa.select(*columns).where(operations.c.id == operation_id)).first()
    if row is None or None in (row.deadline_us, row.cancel_requested_us) or row.cancel_requested_us < row.deadline_us:
        return None
    deadline_s = (row.deadline_us - row.create_time_us) / 1_000_000
    return errors.cancelled(
        f"DEADLINE_EXCEEDED: the operation had not ended {deadline_s:g} s after its start (params.deadline_s). What is "
        "finished stays; resume the operation to go on."
    )


def _overdue(connection: sa.Connection) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        operations.c.state.in_(_UNFINISHED),
        operations.c.cancel_requested_us.is_(None),
        operations.c.deadline_us <= database.now_us(connection),
    )
