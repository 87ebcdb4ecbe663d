"""What goes into the ledger and what comes out of it: drafts and their terms, leases, claimed operations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from boxwright import callers, names, states
from boxwright.operations.operation_trace import OperationTrace


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a request says of when its work is done.

    Attributes:
        priority: of the project's operations of its kind.
        deadline_s: seconds after its start at which the operation is cancelled; None: never.
        notify: where its events are sent.
    """

    priority: states.Priority = states.Priority.NORMAL
    deadline_s: float | None = None
    notify: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Draft:
    """An operation about to be started.

    Attributes:
        location: the location it belongs to.
        id: the last segment of its name.
        kind: what is to be done.
        request: the serialised request message.
        details: serialised OperationMetadata holding only its details member.
        works_on: name of the resource that it works on, empty if none.
        plan_of: id of the operation whose plan it goes on with, None for a plan of its own.
        output_directory: where that operation's results go; empty if it had not got so far.
        caller: who starts it.
        terms: its priority, until when it is to end, and where its events are sent.
    """

    location: names.LocationName
    id: str
    kind: states.OperationKind
    request: bytes
    details: bytes
    works_on: str = ""
    plan_of: str | None = None
    output_directory: str = ""
    caller: callers.Caller = callers.ANONYMOUS
    terms: Terms = Terms()


@dataclasses.dataclass(frozen=True)
class Lease:
    """The right to work on one operation, for as long as it is renewed."""

    operation_id: str
    epoch: int
    owner: str


@dataclasses.dataclass(frozen=True)
class ClaimedOperation:
    """An operation that this worker has just claimed, with what a runner needs of its row.

    Attributes:
        caller: the member that has started it.
        trace: where its spans belong; None: nothing is noted.
    """

    lease: Lease
    name: names.OperationName
    kind: states.OperationKind
    request: bytes
    create_time_us: int
    cancel_requested: bool
    attempts: int
    output_directory: str
    plan_of: str | None = None
    progress: Mapping[str, Any] | None = None
    caller: str = ""
    caller_groups: tuple[str, ...] = ()
    priority: states.Priority = states.Priority.NORMAL
    trace: OperationTrace | None = None


def name_of(row: sa.Row[Any]) -> names.OperationName:
    """Returns the resource name of an operation's row."""
    return names.OperationName(row.project, row.location, row.id)
