"""What a worker counts: attempts by their end, lanes, and the queue in the database."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2
from tests.support.machine.waiting import PATIENCE_S, wait_until
from tests.support.operations.ledgers import Kind, expire, start
from tests.support.operations.scraped import samples
from tests.support.operations.scripted_runner import Scripted

from boxwright import errors
from boxwright.operations.queue_counts import QueueCounts
from boxwright.operations.runner import AttemptError, Context
from boxwright.operations.worker import Worker
from boxwright.telemetry.metrics import Metrics

ATTEMPTS = "boxwright_operation_attempts_total"


@pytest.fixture
def counted(ledger):
    """Starts a worker whose one lane does what the test says; returns its metrics."""
    workers: list[Worker] = []

    def begin(act) -> Metrics:
        metrics = Metrics()
        workers.append(Worker(ledger, {Kind.IMPORT_DATA: Scripted(act)}, [[Kind.IMPORT_DATA]], metrics=metrics))
        workers[-1].start()
        return metrics

    yield begin
    for worker in workers:
        worker.drain(timeout_s=PATIENCE_S)


def test_attempts_are_counted_by_their_end(ledger, counted) -> None:
    start(ledger, "IOD1", "IOD2")
    outcomes = {"IOD1": [AttemptError("killed"), None], "IOD2": [errors.not_found()]}

    def act(context: Context) -> None:
        error = outcomes[context.name.operation].pop(0)
        if error is not None:
            raise error

    metrics = counted(act)
    wait_until(lambda: samples(metrics)[ATTEMPTS, "done", "import_data"] == 1, "the first to be done")
    wait_until(lambda: samples(metrics)[ATTEMPTS, "failed", "import_data"] == 1, "the second to have failed")
    wait_until(lambda: samples(metrics)["boxwright_lanes_busy", "import_data"] == 0, "the lane to be free")
    told = samples(metrics)
    ends = {key[1]: value for key, value in told.items() if key[0] == ATTEMPTS and value}
    assert ends == {"done": 1, "failed": 1, "died": 1}
    assert told["boxwright_lanes", "import_data"] == 1
    assert told["boxwright_operation_seconds_count", "import_data", "succeeded"] == 1
    assert told["boxwright_operation_seconds_count", "import_data", "failed"] == 1


def test_who_loses_a_lease_counts_it(ledger, counted) -> None:
    start(ledger, "IOD1")
    lost = []

    def act(context: Context) -> None:
        if lost:
            return
        lost.append(context.name)
        expire(ledger, "IOD1")
        ledger.claim([Kind.IMPORT_DATA], "another worker")
        context.report(progress_percent=1)

    metrics = counted(act)
    wait_until(lambda: samples(metrics)["boxwright_leases_lost_total",] == 1, "the loss")
    wait_until(lambda: samples(metrics)[ATTEMPTS, "lease_lost", "import_data"] == 1, "the end of the attempt")


def test_the_queue_is_counted_by_one_query_that_holds_for_a_while(ledger) -> None:
    start(ledger, "IOD1", "IOD2")
    start(ledger, "IOD3", kind=Kind.CREATE_MODEL)
    ledger.finish(ledger.claim([Kind.CREATE_MODEL], "w").lease, errors.ApiError(code_pb2.ABORTED, "no").status)
    queue, fresh = QueueCounts(ledger._db, cached_s=1e9), QueueCounts(ledger._db, cached_s=0)
    told = queue.read()["boxwright_operations"]
    assert {key: count for key, count in told.items() if count} == {
        ("import_data", "PENDING"): 2,
        ("create_model", "FAILED"): 1,
    }
    assert len(told) == 5 * len(Kind)
    ages_s = queue.read()["boxwright_operation_oldest_pending_seconds"]
    assert ages_s["create_model",] == 0 < ages_s["import_data",] < 3600
    start(ledger, "IOD4")
    assert queue.read()["boxwright_operations"]["import_data", "PENDING"] == 2
    assert fresh.read()["boxwright_operations"]["import_data", "PENDING"] == 3
