"""The worker: two attempts at one operation in one process, after the first has lost its lease."""

from __future__ import annotations

import threading

import pytest
from tests.support.machine.waiting import PATIENCE_S, wait_until
from tests.support.operations.ledgers import LOCATION, Kind, expire, row_of, start
from tests.support.operations.scripted_runner import Scripted, end_of

from boxwright import states
from boxwright.operations import worker as worker_module
from boxwright.operations.ledger import MAX_ATTEMPTS_WITHOUT_PROGRESS, Ledger
from boxwright.operations.runner import Context
from boxwright.operations.worker import Worker

State = states.OperationState


@pytest.fixture
def taken_over(ledger: Ledger, work):
    """An operation whose first attempt loses its lease to another lane of the same worker.

    Returns the worker, its runner, and the second attempt's context once that is at work.
    """
    contexts: list[Context] = []
    order: list[str] = []
    second_began = threading.Event()

    def act(context: Context) -> None:
        contexts.append(context)
        if context.lease.epoch == 1:
            wait_until(
                lambda: expire(ledger, "IOD1", epoch=1) or row_of(ledger, "IOD1").lease_epoch == 2, "the other lane"
            )
            assert context.wait_for_stop(PATIENCE_S)
            assert not second_began.wait(0.3), "the second attempt began before the first had left the folders"
            order.append("the first left")
        else:
            order.append("the second began")
            second_began.set()
            assert context.wait_for_stop(PATIENCE_S)
        context.raise_if_stopped()

    start(ledger, "IOD1")
    worker, runner = work(act, lanes=2)
    assert second_began.wait(PATIENCE_S)
    assert order == ["the first left", "the second began"]
    return worker, runner, contexts[1]


def test_work_that_another_lane_takes_over_is_cancelled_as_any_other(ledger, taken_over):
    _, runner, _ = taken_over
    ledger.request_cancel(LOCATION.operation("IOD1"))
    row = end_of(ledger, "IOD1", *states.OPERATION_TERMINAL)
    assert (row.state, row.lease_epoch, runner.runs) == (State.CANCELLED, 2, 2)
    wait_until(lambda: runner.tidied, "the tidying")
    assert runner.tidied == ["IOD1"], "by the second attempt alone"


def test_work_that_another_lane_takes_over_is_drained_as_any_other(ledger, taken_over):
    worker, _, _ = taken_over
    worker.drain(timeout_s=PATIENCE_S)
    row = row_of(ledger, "IOD1")
    assert (row.state, row.attempts) == (State.PENDING, 1), (
        "a lane that was about to claim may have had it for a moment"
    )


def test_work_that_another_lane_takes_over_keeps_its_lease(ledger, taken_over):
    _, _, second = taken_over
    expires_us = row_of(ledger, "IOD1").lease_expires_us
    wait_until(lambda: row_of(ledger, "IOD1").lease_expires_us > expires_us + 2_000_000, "renewals over twice its life")
    assert not second.should_stop()
    assert row_of(ledger, "IOD1").lease_epoch == 2


def test_an_attempt_that_comes_after_the_one_that_took_it_over_does_not_begin(ledger):
    start(ledger, "IOD1")
    late = ledger.claim([Kind.IMPORT_DATA], "lane")
    expire(ledger, "IOD1")
    newest = ledger.claim([Kind.IMPORT_DATA], "lane")
    epochs: list[int] = []
    finish = threading.Event()

    def act(context: Context) -> None:
        epochs.append(context.lease.epoch)
        assert finish.wait(PATIENCE_S)
        context.raise_if_stopped()

    runner = Scripted(act)
    worker = Worker(ledger, {Kind.IMPORT_DATA: runner}, [])
    lane = threading.Thread(target=worker._run, args=(newest,))
    lane.start()
    assert runner.started.wait(PATIENCE_S)
    worker._run(late)
    finish.set()
    lane.join()
    assert epochs == [2]
    assert row_of(ledger, "IOD1").state == State.SUCCEEDED


def test_work_goes_back_to_the_queue_while_an_earlier_attempt_does_not_end(ledger, work, monkeypatch):
    monkeypatch.setattr(worker_module, "EARLIER_ATTEMPT_S", 0.1)
    start(ledger, "IOD1")
    finish = threading.Event()
    epochs: list[int] = []

    def act(context: Context) -> None:
        epochs.append(context.lease.epoch)
        if context.name.operation == "IOD1" and context.lease.epoch == 1:
            wait_until(lambda: expire(ledger, "IOD1") or row_of(ledger, "IOD1").lease_epoch > 2, "two more claims")
            assert finish.wait(PATIENCE_S)

    work(act, lanes=2)
    wait_until(lambda: row_of(ledger, "IOD1").lease_epoch > 2, "two more claims")
    start(ledger, "IOD2")
    wait_until(lambda: row_of(ledger, "IOD2").state == State.SUCCEEDED, "the end of another operation")
    assert row_of(ledger, "IOD1").state in (State.PENDING, State.RUNNING)
    finish.set()
    row = end_of(ledger, "IOD1", *states.OPERATION_TERMINAL)
    assert row.state == State.SUCCEEDED
    assert row.attempts <= MAX_ATTEMPTS_WITHOUT_PROGRESS, "waiting is nobody's failure"
    assert epochs == [1, 1, row.lease_epoch]
