"""How projects share the workers: they take turns, and each may have so many unfinished operations.

In a project the priorities take turns too, four of high for two of normal and one of low. This is start-time fair queuing
(P. Goyal, H. Vin, H. Cheng, 1996): of the priorities that wait, that whose next turn begins first is next; each turn moves
the begin of the one after it by 1 / weight. A priority that has not waited for a while gets no turns for that time.

    DRY_RUN           marks the progress of operations that are soon done, and have a lane of their own
    LAST_TURN         when the project of an operation has last had a turn with operations of this kind: an SQL expression
    NEXT_BEGIN        where the next turn of an operation's priority begins in its project: an SQL expression
    claimable         the operation whose turn is next, as a query
    weight            how many turns a priority has for one of low
    note_turn         notes that it has one now
    check_unfinished  refuses more unfinished operations than a project may have

The project is the one that is charged. A project that has never had a turn comes first.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from boxwright import errors, states
from boxwright.metadata.schema import operations, turns

_OWN = (turns.c.kind == operations.c.kind) & (turns.c.project == operations.c.charged_project)
LAST_TURN = sa.func.coalesce(sa.select(turns.c.claim_time_us).where(_OWN).scalar_subquery(), 0)
_STEPS = {states.Priority.HIGH: 1, states.Priority.NORMAL: 2, states.Priority.LOW: 4}  # in quarters of a turn
_NEXT = {priority: turns.c[f"{priority}_next"] for priority in states.Priority}


def _begin(next_begin: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """Where a priority's next turn begins: not before the last turn of any has begun."""
    return sa.case((next_begin > turns.c.began, next_begin), else_=turns.c.began)


_BEGIN = sa.case(
    *((operations.c.priority == priority, _begin(column)) for priority, column in _NEXT.items()), else_=turns.c.began
)
NEXT_BEGIN = sa.func.coalesce(sa.select(_BEGIN).where(_OWN).scalar_subquery(), 0)
_RANK = sa.case(*((operations.c.priority == priority, step) for priority, step in _STEPS.items()), else_=len(_STEPS))
DRY_RUN = "validate_only"  # the entry of an operation's progress that says so, from its first row to its last
_UNFINISHED = (states.OperationState.PENDING, states.OperationState.RUNNING)


class Among(enum.Enum):
    """Among which operations the next one is looked for."""

    ALL = enum.auto()
    CANCELLED = enum.auto()  # whose cancellation was asked for
    DRY_RUNS = enum.auto()  # which are soon done


def claimable(kinds: Collection[states.OperationKind], now_us: int, among: Among) -> sa.Select[tuple[str]]:
    """The id of what is to be claimed next: by turns of projects, turns of priorities, and the time in the queue."""
    expired = (operations.c.state == states.OperationState.RUNNING) & (operations.c.lease_expires_us < now_us)
    query = sa.select(operations.c.id).where(operations.c.kind.in_(kinds))
    match among:
        case Among.CANCELLED:
            query = query.where(operations.c.cancel_requested_us.is_not(None))
        case Among.DRY_RUNS:
            query = query.where(operations.c.progress[DRY_RUN].as_boolean())
    is_pending = operations.c.state == states.OperationState.PENDING
    return (
        query.where(operations.c.state.in_(_UNFINISHED), is_pending | expired)
        .order_by(LAST_TURN, NEXT_BEGIN, _RANK, operations.c.queued_time_us, operations.c.create_time_us)
        .limit(1)
    )


def weight(priority: states.Priority) -> int:
    """How many turns a priority has in its project for one of the lowest."""
    return _STEPS[states.Priority.LOW] // _STEPS[priority]


def note_turn(connection: sa.Connection, claimed: sa.Row[Any], now_us: int) -> None:
    """Notes that an operation of a project is claimed, in the transaction that claims it; `claimed` is its row."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    priority = states.Priority(claimed.priority)
    column = f"{priority}_next"
    first = {
        "kind": claimed.kind,
        "project": claimed.charged_project,
        "claim_time_us": now_us,
        column: _STEPS[priority],
    }
    begin = _begin(_NEXT[priority])
    later = {"claim_time_us": now_us, "began": begin, column: begin + _STEPS[priority]}
    connection.execute(
        insert(turns).values(**first).on_conflict_do_update(index_elements=["kind", "project"], set_=later)
    )


def check_unfinished(connection: sa.Connection, project: str, most: int) -> None:
    """Lets a project start one more operation, or not; in an exclusive transaction.

    Raises:
        ApiError: RESOURCE_EXHAUSTED: it has `most` that are unfinished.
    """
    count = sa.select(sa.func.count()).where(operations.c.state.in_(_UNFINISHED))
    found = connection.execute(count.where(operations.c.charged_project == project)).scalar_one()
    if found >= most:
        raise errors.quota_exceeded(
            f"Project {project} has {found} unfinished operations, and may have {most} (setting quota_operations). Wait "
            "until some have ended, or cancel some.",
            project,
            "quota_operations",
            most,
        )
