"""Plans that several operations share: one that ended, and those that went on with it.

A plan is kept under the id of the operation that made it. It is needed while an operation that works by it is unfinished,
and, so that it can be resumed, for some time after one has failed or was cancelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from boxwright import states
from boxwright.metadata.schema import operations

RESUMABLE_KIND = states.OperationKind.BATCH_PREDICT
RESUMABLE_STATES = (states.OperationState.FAILED, states.OperationState.CANCELLED)


def plan_id(row: Any) -> str:
    """The id under which an operation's plan is kept."""
    found: str = row.plan_of or row.id
    return found


def runs_of(connection: sa.Connection, plan: str) -> Sequence[sa.Row[Any]]:
    """The operations that worked or work by a plan, oldest first; some may have been deleted."""
    by_it = (operations.c.id == plan) | (operations.c.plan_of == plan)
    return connection.execute(sa.select(operations).where(by_it).order_by(operations.c.create_time_us)).all()


def needed(connection: sa.Connection, ended_since_us: int) -> set[str]:
    """The plans that must be kept, and the ids of all unfinished operations.

    Args:
        ended_since_us: plans of what failed or was cancelled before this time are not kept.
    """
    columns = (operations.c.id, operations.c.plan_of)
    unfinished = connection.execute(
        sa.select(*columns).where(operations.c.state.not_in(states.OPERATION_TERMINAL))
    ).all()
    resumable = connection.execute(
        sa.select(*columns).where(
            operations.c.kind == RESUMABLE_KIND,
            operations.c.state.in_(RESUMABLE_STATES),
            operations.c.done_time_us >= ended_since_us,
        )
    ).all()
    completed = connection.execute(
        sa.select(operations.c.plan_of).where(
            operations.c.plan_of.is_not(None), operations.c.state == states.OperationState.SUCCEEDED
        )
    ).scalars()
    kept = {plan_id(row) for row in resumable} - set(completed)
    return kept | {plan_id(row) for row in unfinished} | {row.id for row in unfinished}
