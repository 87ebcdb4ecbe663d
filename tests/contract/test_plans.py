"""Which plans are kept: of what is unfinished, and for a time of what has ended badly and nobody has completed since."""

from __future__ import annotations

import dataclasses
import json

import pytest
import sqlalchemy as sa
from google.protobuf import empty_pb2
from google.rpc import status_pb2
from tests.support.operations.ledgers import LOCATION, Kind, draft, open_ledger, row_of

from boxwright import errors, states
from boxwright.metadata import database
from boxwright.metadata.schema import operations
from boxwright.operations import progress_values, resumable
from boxwright.operations.ledger import Ledger
from boxwright.operations.sharing import Among

FAILED = status_pb2.Status(code=7, message="no")


@pytest.fixture
def ledger(database_place):
    opened = open_ledger(database_place)
    yield opened
    opened._db.close()


def _run(
    ledger: Ledger, operation_id: str, outcome: object, plan_of: str | None = None, kind: Kind = Kind.BATCH_PREDICT
):
    """Starts an operation and, unless the outcome is None, ends it."""
    with ledger._db.write() as connection:
        ledger.start(connection, dataclasses.replace(draft(operation_id, kind), plan_of=plan_of))
    if outcome is not None:
        claimed = ledger.claim([kind], "w")
        assert (claimed.lease.operation_id, claimed.plan_of) == (operation_id, plan_of)
        ledger.finish(claimed.lease, outcome)


def _done(connection: sa.Connection) -> empty_pb2.Empty:
    return empty_pb2.Empty()


def _needed(ledger: Ledger, ended_since_us: int = 0) -> set[str]:
    with ledger._db.read() as connection:
        return resumable.needed(connection, ended_since_us)


def test_a_plan_is_kept_until_one_that_works_by_it_succeeds(ledger):
    _run(ledger, "IOD1", FAILED)
    assert _needed(ledger) == {"IOD1"}
    _run(ledger, "IOD2", errors.cancelled().status, plan_of="IOD1")
    assert _needed(ledger) == {"IOD1"}
    ledger.delete_if_done(LOCATION.operation("IOD1"))
    assert _needed(ledger) == {"IOD1"}
    _run(ledger, "IOD3", _done, plan_of="IOD1")
    assert _needed(ledger) == set()


def test_what_succeeded_is_another_kind_or_ended_long_ago_is_not_kept_but_what_is_unfinished_is(ledger):
    _run(ledger, "IOD1", _done)
    _run(ledger, "IOD2", FAILED, kind=Kind.IMPORT_DATA)
    _run(ledger, "IOD3", FAILED)
    with ledger._db.read() as connection:
        later_us = database.now_us(connection) + 1_000_000
    assert _needed(ledger) == {"IOD3"}
    assert _needed(ledger, later_us) == set()
    _run(ledger, "IOD4", None, plan_of="IOD3")
    assert _needed(ledger, later_us) == {"IOD3", "IOD4"}


def test_the_runs_of_a_plan_are_found_oldest_first_by_any_of_them(ledger):
    _run(ledger, "IOD1", FAILED)
    _run(ledger, "IOD2", FAILED, plan_of="IOD1")
    _run(ledger, "IOD3", FAILED)
    with ledger._db.read() as connection:
        assert [row.id for row in resumable.runs_of(connection, "IOD1")] == ["IOD1", "IOD2"]
    assert resumable.plan_id(row_of(ledger, "IOD2")) == resumable.plan_id(row_of(ledger, "IOD1")) == "IOD1"


def test_what_waits_for_its_next_turn_is_cancelled_by_a_worker_who_looks_for_such(ledger):
    _run(ledger, "IOD1", None)
    lease = ledger.claim([Kind.BATCH_PREDICT], "w").lease
    ledger.report(lease, output_directory="gs://b/out")
    ledger.release(lease, blameless=True)
    assert ledger.claim([Kind.BATCH_PREDICT], "w", among=Among.CANCELLED) is None
    assert ledger.request_cancel(LOCATION.operation("IOD1"))
    assert row_of(ledger, "IOD1").state == states.OperationState.PENDING
    claimed = ledger.claim([Kind.BATCH_PREDICT], "w", among=Among.CANCELLED)
    assert (claimed.cancel_requested, claimed.output_directory) == (True, "gs://b/out")


def test_progress_is_stored_finite_and_small(ledger):
    _run(ledger, "IOD1", None)
    lease = ledger.claim([Kind.BATCH_PREDICT], "w").lease
    ledger.report(lease, progress={"done": 3, "losses": {"box": float("nan"), "score": [1.5, float("inf")]}})
    assert row_of(ledger, "IOD1").progress == {"done": 3, "losses": {"box": None, "score": [1.5, None]}}
    ledger.report(lease, progress={"done": 4, "text": "x" * 10 * progress_values.MAX_STORED_CHARS, "later": 1})
    assert row_of(ledger, "IOD1").progress == {"done": 4}
    ledger.report(lease, progress_percent=5)
    with ledger._db.read() as connection:
        stored = connection.execute(sa.select(operations.c.progress)).scalar_one()
    assert len(json.dumps(stored)) <= progress_values.MAX_STORED_CHARS
