"""Deadlines on both databases: of what waits, of what runs, of what a worker left; and cancellations that are none."""

from __future__ import annotations

import dataclasses

import pytest
from google.protobuf import empty_pb2
from google.rpc import code_pb2, status_pb2
from tests.support.operations.ledgers import LOCATION, Kind, draft, open_ledger, row_of
from tests.support.operations.scripted_runner import Scripted, end_of

from boxwright import errors, states
from boxwright.metadata.schema import operations
from boxwright.operations.ledger import Ledger
from boxwright.operations.records import Terms
from boxwright.operations.worker import Worker

State = states.OperationState


@pytest.fixture
def ledger(database_place):
    opened = open_ledger(database_place)
    yield opened
    opened._db.close()


def start(ledger: Ledger, operation_id: str, deadline_s: float | None) -> None:
    with ledger._db.write() as connection:
        made = dataclasses.replace(draft(operation_id, Kind.BATCH_PREDICT), terms=Terms(deadline_s=deadline_s))
        ledger.start(connection, made)


def let_pass(ledger: Ledger, operation_id: str) -> None:
    """Moves an operation's start and deadline an hour back."""
    hour_us = 3_600_000_000
    with ledger._db.write() as connection:
        earlier = {
            "create_time_us": operations.c.create_time_us - hour_us,
            "deadline_us": operations.c.deadline_us - hour_us,
        }
        connection.execute(operations.update().where(operations.c.id == operation_id).values(**earlier))


def message_of(row) -> str:
    status = status_pb2.Status.FromString(row.error)
    assert status.code == code_pb2.CANCELLED
    return status.message


def test_only_what_is_overdue_is_cancelled(ledger):
    for name, deadline_s in (("over", 60.0), ("ended", 60.0), ("later", 7200.0), ("never", None)):
        start(ledger, name, deadline_s)
    for name in ("over", "ended", "later"):
        let_pass(ledger, name)
    while (claimed := ledger.claim([Kind.BATCH_PREDICT], "w")) is not None:
        if claimed.name.operation == "ended":
            ledger.finish(claimed.lease, lambda connection: empty_pb2.Empty())
    ledger.cancel_overdue()
    asked = {name for name in ("over", "ended", "later", "never") if row_of(ledger, name).cancel_requested_us}
    assert asked == {"over"}


def test_a_deadline_ends_what_runs_and_what_waits_in_a_worker(ledger):
    start(ledger, "runs", 3600.0)
    start(ledger, "waits", 3600.0)
    runner = Scripted(lambda context: context.wait_for_stop(300) and context.raise_if_stopped())
    worker = Worker(ledger, {Kind.BATCH_PREDICT: runner}, [[Kind.BATCH_PREDICT]])
    worker.start()
    try:
        end_of(ledger, "runs", State.RUNNING)
        let_pass(ledger, "runs")
        let_pass(ledger, "waits")
        for name in ("runs", "waits"):
            text = message_of(end_of(ledger, name, State.CANCELLED))
            assert text.startswith("DEADLINE_EXCEEDED: the operation had not ended 3600 s after its start")
    finally:
        worker.drain()


def test_a_deadline_that_passes_without_a_worker_counts_for_the_next_one(ledger):
    start(ledger, "left", 60.0)
    lost = ledger.claim([Kind.BATCH_PREDICT], "dead")
    let_pass(ledger, "left")
    with ledger._db.write() as connection:
        connection.execute(operations.update().values(lease_expires_us=0))
    worker = Worker(ledger, {Kind.BATCH_PREDICT: Scripted(lambda context: None)}, [])
    worker.start()
    try:
        assert message_of(end_of(ledger, "left", State.CANCELLED)).startswith("DEADLINE_EXCEEDED")
    finally:
        worker.drain()
    with pytest.raises(errors.LeaseLost):
        ledger.renew(lost.lease)


def test_who_cancels_before_the_deadline_has_cancelled(ledger):
    start(ledger, "asked", 3600.0)
    claimed = ledger.claim([Kind.BATCH_PREDICT], "w")
    ledger.request_cancel(LOCATION.operation("asked"))
    ledger.finish(claimed.lease, errors.cancelled().status)
    assert message_of(row_of(ledger, "asked")) == errors.cancelled().message
