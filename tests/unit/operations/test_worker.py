"""The worker: what becomes of an operation is decided by what its runner raises."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from google.rpc import code_pb2, status_pb2
from tests.support.machine.waiting import PATIENCE_S, promptly, wait_until
from tests.support.operations.ledgers import LOCATION, Kind, expire, open_ledger, row_of, start
from tests.support.operations.scripted_runner import Scripted, end_of

from boxwright import errors, states
from boxwright.operations.ledger import MAX_ATTEMPTS_WITHOUT_PROGRESS
from boxwright.operations.runner import AttemptError, Context, Stopped, Success, TurnOver
from boxwright.operations.worker import Worker

State = states.OperationState


def _raise(error: BaseException) -> Callable[[Context], object]:
    def act(context: Context) -> object:
        raise error

    return act


def test_work_that_returns_has_succeeded(ledger, work):
    start(ledger, "IOD1")
    work(lambda context: None)
    assert end_of(ledger, "IOD1", *states.OPERATION_TERMINAL).state == State.SUCCEEDED


@pytest.mark.parametrize(
    "error", [None, errors.not_found(), ZeroDivisionError()], ids=["success", "failure", "surprise"]
)
def test_what_the_attempts_kept_is_freed_once_at_the_end_whatever_it_was(ledger, work, error):
    start(ledger, "IOD1")
    attempts = iter([AttemptError("the child was killed"), error])

    def act(context: Context) -> None:
        outcome = next(attempts)
        if outcome is not None:
            raise outcome

    _, runner = work(act)
    end_of(ledger, "IOD1", *states.OPERATION_TERMINAL)
    wait_until(lambda: runner.tidied, "the tidying")
    assert (runner.runs, runner.tidied) == (2, ["IOD1"])


def test_what_the_attempts_kept_is_freed_when_a_cancel_is_found_before_the_next_one(ledger, work):
    start(ledger, "IOD1")
    ledger.claim([Kind.IMPORT_DATA], "somebody who died")
    ledger.request_cancel(LOCATION.operation("IOD1"))
    expire(ledger, "IOD1")
    _, runner = work(lambda context: None)
    assert end_of(ledger, "IOD1", *states.OPERATION_TERMINAL).state == State.CANCELLED
    wait_until(lambda: runner.tidied, "the tidying")
    assert runner.runs == 0


def test_who_has_had_a_turn_while_others_wait_goes_to_the_end_of_the_queue_without_blame(ledger):
    order: list[str] = []
    start(ledger, "IOD1", "IOD2")

    def act(context: Context) -> None:
        order.append(context.name.operation)
        if context.name.operation == "IOD1" and len(order) == 1:
            wait_until(lambda: context.should_yield(worked_s=1.0), "the end of the turn", timeout_s=10)
            raise TurnOver

    worker = Worker(ledger, {Kind.IMPORT_DATA: Scripted(act)}, [[Kind.IMPORT_DATA]], slices_s={Kind.IMPORT_DATA: 0.5})
    worker.start()
    wait_until(lambda: row_of(ledger, "IOD1").state in states.OPERATION_TERMINAL, "the end")
    worker.drain()
    assert order == ["IOD1", "IOD2", "IOD1"]
    assert row_of(ledger, "IOD1").attempts == 1


def test_who_is_alone_or_has_worked_for_less_than_a_turn_goes_on(ledger, work):
    start(ledger, "IOD1")
    asked: list[bool] = []
    worker = Worker(
        ledger,
        {Kind.IMPORT_DATA: Scripted(lambda context: asked.extend(context.should_yield(s) for s in (0.1, 9.0)))},
        [[Kind.IMPORT_DATA]],
        slices_s={Kind.IMPORT_DATA: 0.5},
    )
    worker.start()
    end_of(ledger, "IOD1", State.SUCCEEDED)
    worker.drain()
    assert asked == [False, False]


def test_an_api_error_is_the_operations_error(ledger, work):
    start(ledger, "IOD1")
    work(_raise(errors.not_found("gs://b/x does not exist.")))
    row = end_of(ledger, "IOD1", *states.OPERATION_TERMINAL)
    assert row.state == State.FAILED
    assert status_pb2.Status.FromString(row.error) == status_pb2.Status(code=5, message="gs://b/x does not exist.")


def test_a_surprise_is_an_internal_error_that_shows_an_incident_and_not_the_reason(ledger, work, caplog):
    start(ledger, "IOD1")
    work(_raise(ZeroDivisionError("the secret reason")))
    row = end_of(ledger, "IOD1", *states.OPERATION_TERMINAL)
    status = status_pb2.Status.FromString(row.error)
    assert status.code == code_pb2.INTERNAL
    assert "secret" not in status.message
    (record,) = [record for record in caplog.records if "event=incident" in record.message]
    incident = record.message.partition("incident=")[2].split()[0]
    assert incident in status.message
    assert record.exc_info


def test_a_response_that_cannot_be_made_is_an_internal_error(ledger, work):
    start(ledger, "IOD1")
    work(lambda context: Success(respond=_raise(KeyError("gone"))))
    row = end_of(ledger, "IOD1", *states.OPERATION_TERMINAL)
    assert status_pb2.Status.FromString(row.error).code == code_pb2.INTERNAL


def test_tidying_that_fails_does_not_undo_the_success(ledger, work):
    start(ledger, "IOD1", "IOD2")
    _, runner = work(lambda context: None)
    runner.tidy = lambda operation: 1 / 0
    wait_until(lambda: row_of(ledger, "IOD2").state in states.OPERATION_TERMINAL, "the next operation to end")
    assert (row_of(ledger, "IOD1").state, row_of(ledger, "IOD2").state) == (State.SUCCEEDED, State.SUCCEEDED)


def test_an_attempt_that_dies_again_and_again_fails_after_the_limit(ledger, work):
    start(ledger, "IOD1")
    _, runner = work(_raise(AttemptError("the child was killed")))
    row = end_of(ledger, "IOD1", *states.OPERATION_TERMINAL)
    assert row.state == State.FAILED
    assert runner.runs == MAX_ATTEMPTS_WITHOUT_PROGRESS
    assert f"died {MAX_ATTEMPTS_WITHOUT_PROGRESS} times" in status_pb2.Status.FromString(row.error).message


def test_an_attempt_that_gets_further_each_time_is_not_given_up(ledger, work):
    start(ledger, "IOD1")
    steps = iter(range(1, 100))

    def act(context: Context) -> None:
        step = next(steps)
        context.report(progress_percent=step)
        if step < 3 * MAX_ATTEMPTS_WITHOUT_PROGRESS:
            raise AttemptError("the child was killed")

    work(act)
    assert end_of(ledger, "IOD1", *states.OPERATION_TERMINAL).state == State.SUCCEEDED


def _work_until_stopped(context: Context) -> None:
    assert context.wait_for_stop(PATIENCE_S)
    context.raise_if_stopped()


def test_a_cancel_reaches_running_work_at_once(ledger, work):
    start(ledger, "IOD1")
    _, runner = work(_work_until_stopped)
    assert runner.started.wait(PATIENCE_S)
    assert runner.tidied == []
    ledger.request_cancel(LOCATION.operation("IOD1"))
    with promptly(2):
        row = end_of(ledger, "IOD1", *states.OPERATION_TERMINAL)
    assert row.state == State.CANCELLED
    assert status_pb2.Status.FromString(row.error).code == code_pb2.CANCELLED


def test_a_drain_lets_running_work_wait_again_without_blame(ledger, work):
    start(ledger, "IOD1")
    worker, runner = work(_work_until_stopped)
    assert runner.started.wait(PATIENCE_S)
    worker.drain(timeout_s=PATIENCE_S)
    row = row_of(ledger, "IOD1")
    assert (row.state, row.attempts, row.lease_epoch) == (State.PENDING, 0, 1)
    assert runner.tidied == [], "the next attempt needs what this one kept"
    work(lambda context: None)
    assert end_of(ledger, "IOD1", *states.OPERATION_TERMINAL).state == State.SUCCEEDED


def test_idle_lanes_leave_looking_to_one_thread(ledger, work, monkeypatch):
    lookers: list[str] = []
    has_work = ledger.has_work

    def noted(kinds, **options):
        lookers.append(threading.current_thread().name)
        return has_work(kinds, **options)

    monkeypatch.setattr(ledger, "has_work", noted)
    work(lambda context: None, lanes=4)
    wait_until(lambda: lookers.count("lane-waker") >= 6, "three looks, for work and for what was cancelled")
    assert len(lookers) - lookers.count("lane-waker") <= 5, "each lane, and the one for the cancelled, when it began"


def test_work_that_another_process_starts_wakes_an_idle_lane(ledger, work, tmp_path):
    work(lambda context: None)
    start(ledger, "IOD1")
    end_of(ledger, "IOD1", *states.OPERATION_TERMINAL)
    other = open_ledger(tmp_path / "metadata.sqlite")  # with listeners of its own, as in another process
    start(other, "IOD2")
    assert end_of(ledger, "IOD2", *states.OPERATION_TERMINAL).state == State.SUCCEEDED
    other._db.close()


def test_a_drained_worker_claims_nothing_more(ledger, work):
    worker, runner = work(lambda context: None)
    worker.drain(timeout_s=PATIENCE_S)
    start(ledger, "IOD1")
    assert not runner.started.wait(1)
    assert row_of(ledger, "IOD1").state == State.PENDING


def test_work_whose_lease_is_lost_is_told_and_writes_nothing(ledger, work):
    start(ledger, "IOD1")
    outcome: list[BaseException] = []
    done = threading.Event()

    def act(context: Context) -> None:
        wait_until(lambda: expire(ledger, "IOD1") or ledger.claim([Kind.IMPORT_DATA], "heir"), "the heir's claim")
        try:
            _work_until_stopped(context)
        except BaseException as error:
            outcome.append(error)
            raise
        finally:
            done.set()

    work(act)
    assert done.wait(PATIENCE_S)
    assert [type(error) for error in outcome] == [errors.LeaseLost]
    row = row_of(ledger, "IOD1")
    assert (row.state, row.lease_owner) == (State.RUNNING, "heir")


def test_a_lease_is_kept_while_the_work_takes_longer_than_it(ledger, work):
    start(ledger, "IOD1")
    finish = threading.Event()
    _, runner = work(lambda context: finish.wait(PATIENCE_S))
    assert runner.started.wait(PATIENCE_S)
    expires_us = row_of(ledger, "IOD1").lease_expires_us
    wait_until(lambda: row_of(ledger, "IOD1").lease_expires_us > expires_us + 2_000_000, "renewals over twice its life")
    finish.set()
    assert end_of(ledger, "IOD1", *states.OPERATION_TERMINAL).lease_epoch == 1


def test_lanes_work_at_the_same_time(ledger, work):
    start(ledger, "IOD1", "IOD2")
    together = threading.Barrier(2)
    work(lambda context: together.wait(PATIENCE_S), lanes=2)
    wait_until(lambda: row_of(ledger, "IOD2").state in states.OPERATION_TERMINAL, "both to end")
    assert end_of(ledger, "IOD1", *states.OPERATION_TERMINAL).state == State.SUCCEEDED


def test_a_wish_to_stop_that_nobody_uttered_is_not_a_cancel(ledger, work):
    start(ledger, "IOD1")
    calls = iter([Stopped("by itself"), None])

    def act(context: Context) -> None:
        error = next(calls)
        if error is not None:
            raise error

    work(act)
    assert end_of(ledger, "IOD1", *states.OPERATION_TERMINAL).state == State.SUCCEEDED
