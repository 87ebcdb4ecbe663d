"""The ledger: who may write what, decided by leases, epochs and the database's clock."""

from __future__ import annotations

import collections
import subprocess
import sys

import pytest
import sqlalchemy as sa
from google.protobuf import any_pb2, empty_pb2
from google.rpc import status_pb2
from tests.support.machine.waiting import PATIENCE_S, wait_until
from tests.support.operations.ledgers import LOCATION, Kind, draft, expire, open_ledger, row_of, start

from boxwright import errors, states
from boxwright.metadata.schema import operations
from boxwright.operations.ledger import MAX_PARTIAL_FAILURES, Ledger

State = states.OperationState
FAILURE = status_pb2.Status(code=3, message="no")


def _empty(connection: sa.Connection) -> empty_pb2.Empty:
    return empty_pb2.Empty()


@pytest.fixture
def opened(database_place):
    """Opens ledgers over the test's database, each with its own length of lease, and closes them."""
    ledgers = []

    def open_one(**options: float) -> Ledger:
        ledgers.append(open_ledger(database_place, **options))
        return ledgers[-1]

    yield open_one
    for ledger in ledgers:
        ledger._db.close()


@pytest.fixture
def ledger(opened):
    return opened()


def _claim(ledger: Ledger, owner: str = "w", kind: states.OperationKind = Kind.IMPORT_DATA):
    return ledger.claim([kind], owner)


# ---- start and claim --------------------------------------------------------------------------------------------------


def test_an_empty_ledger_has_nothing_to_claim(ledger):
    assert _claim(ledger) is None
    assert ledger.claim([], "w") is None
    assert ledger.find(LOCATION.operation("IOD1")) is None


def test_a_started_operation_waits_until_it_is_claimed(ledger):
    start(ledger, "IOD1")
    assert row_of(ledger, "IOD1").state == State.PENDING
    claimed = _claim(ledger)
    assert (claimed.lease.operation_id, claimed.lease.epoch, claimed.attempts) == ("IOD1", 1, 1)
    assert claimed.request == b"request"
    assert str(claimed.name) == f"{LOCATION}/operations/IOD1"
    row = row_of(ledger, "IOD1")
    assert (row.state, row.lease_owner, claimed.create_time_us) == (State.RUNNING, "w", row.create_time_us)


def test_the_oldest_is_claimed_first_and_each_only_once(ledger):
    start(ledger, "IOD3", "IOD1", "IOD2")
    claimed = [_claim(ledger).lease.operation_id for _ in range(3)]
    assert claimed == ["IOD3", "IOD1", "IOD2"]
    assert _claim(ledger) is None


def test_what_was_put_back_waits_behind_what_waits_already(ledger):
    start(ledger, "IOD1", "IOD2", "IOD3")
    ledger.release(_claim(ledger).lease, blameless=True)
    claimed = [_claim(ledger).lease.operation_id for _ in range(3)]
    assert claimed == ["IOD2", "IOD3", "IOD1"]


def test_what_a_dead_worker_left_keeps_its_place(ledger):
    start(ledger, "IOD1", "IOD2")
    _claim(ledger)
    expire(ledger, "IOD1")
    assert _claim(ledger).lease.operation_id == "IOD1"


def test_only_those_wait_who_have_waited_long_enough_and_are_of_the_kind(ledger):
    start(ledger, "IOD1", "IOD2", "IOD3")
    start(ledger, "IOD4", kind=Kind.CREATE_MODEL)
    _claim(ledger)
    assert ledger.waiting(Kind.IMPORT_DATA, since_s=60) == 0
    wait_until(lambda: ledger.waiting(Kind.IMPORT_DATA, since_s=0.01) == 2, "two that wait", timeout_s=5)


def test_only_the_kinds_that_are_asked_for_are_claimed(ledger):
    start(ledger, "IOD1", kind=Kind.CREATE_MODEL)
    assert _claim(ledger) is None
    assert _claim(ledger, kind=Kind.CREATE_MODEL) is not None


def test_an_operation_of_a_transaction_that_failed_never_was(ledger):
    with pytest.raises(RuntimeError), ledger._db.write() as connection:
        ledger.start(connection, draft("IOD1"))
        raise RuntimeError
    assert ledger.find(LOCATION.operation("IOD1")) is None


def test_create_times_are_whole_milliseconds_and_never_the_same(ledger):
    with ledger._db.write() as connection:
        times = [ledger.start(connection, draft(f"IOD{number}")).create_time_us for number in range(50)]
    assert times == sorted(set(times))
    assert all(time_us % 1000 == 0 for time_us in times)


def test_an_operation_that_is_done_at_once_is_never_claimed(ledger):
    response = any_pb2.Any()
    response.Pack(empty_pb2.Empty())
    with ledger._db.write() as connection:
        row = ledger.start_done(connection, draft("IOD1"), response)
    assert (row.state, row.progress_percent, row.done_time_us) == (State.SUCCEEDED, 100, row.create_time_us)
    assert _claim(ledger) is None


# ---- leases -----------------------------------------------------------------------------------------------------------


def test_a_lease_that_runs_out_by_the_databases_clock_is_taken_over(opened):
    ledger = opened(lease_ttl_s=0.3)
    start(ledger, "IOD1")
    first = _claim(ledger, "first")
    expires_us = row_of(ledger, "IOD1").lease_expires_us
    second = wait_until(lambda: _claim(ledger, "second"), "the lease to run out")
    assert (second.lease.epoch, second.attempts) == (first.lease.epoch + 1, 2)
    row = row_of(ledger, "IOD1")
    assert row.lease_owner == "second"
    assert row.lease_expires_us - 300_000 >= expires_us, "the lease was taken over while it still ran"


def test_a_renewed_lease_is_not_taken_over(opened):
    ledger = opened(lease_ttl_s=60)
    start(ledger, "IOD1")
    lease = _claim(ledger, "first").lease
    assert _claim(ledger, "second") is None
    expires_us = row_of(ledger, "IOD1").lease_expires_us
    expire(ledger, "IOD1")
    ledger.renew(lease)
    assert row_of(ledger, "IOD1").lease_expires_us > expires_us
    assert _claim(ledger, "second") is None


LATE = {
    "renew": lambda ledger, lease: ledger.renew(lease),
    "report": lambda ledger, lease: ledger.report(lease, progress_percent=99, output_directory="gs://b/zombie"),
    "finish": lambda ledger, lease: ledger.finish(lease, _empty),
    "finish with an error": lambda ledger, lease: ledger.finish(lease, FAILURE),
    "release": lambda ledger, lease: ledger.release(lease, blameless=True),
    "release after a death": lambda ledger, lease: ledger.release(lease, blameless=False),
}


@pytest.mark.parametrize("what", LATE)
def test_a_zombie_changes_nothing_while_another_works(ledger, what):
    start(ledger, "IOD1")
    zombie = _claim(ledger, "zombie").lease
    expire(ledger, "IOD1")
    _claim(ledger, "heir")
    before = row_of(ledger, "IOD1")
    with pytest.raises(errors.LeaseLost):
        LATE[what](ledger, zombie)
    assert row_of(ledger, "IOD1") == before


@pytest.mark.parametrize("what", LATE)
def test_a_zombie_changes_nothing_after_the_end(ledger, what):
    start(ledger, "IOD1")
    zombie = _claim(ledger, "zombie").lease
    expire(ledger, "IOD1")
    ledger.finish(_claim(ledger, "heir").lease, FAILURE)
    before = row_of(ledger, "IOD1")
    with pytest.raises(errors.LeaseLost):
        LATE[what](ledger, zombie)
    assert row_of(ledger, "IOD1") == before


@pytest.mark.parametrize("what", LATE)
def test_a_zombie_changes_nothing_once_its_work_waits_again(ledger, what):
    start(ledger, "IOD1")
    lease = _claim(ledger).lease
    ledger.release(lease, blameless=True)
    before = row_of(ledger, "IOD1")
    with pytest.raises(errors.LeaseLost):
        LATE[what](ledger, lease)
    assert row_of(ledger, "IOD1") == before


def test_what_a_zombies_response_wrote_is_undone(ledger):
    start(ledger, "IOD1", "IOD2")
    zombie = _claim(ledger, "zombie").lease
    expire(ledger, "IOD1")
    _claim(ledger, "heir")

    def respond(connection: sa.Connection) -> empty_pb2.Empty:
        connection.execute(operations.delete().where(operations.c.id == "IOD2"))
        return empty_pb2.Empty()

    with pytest.raises(errors.LeaseLost):
        ledger.finish(zombie, respond)
    assert row_of(ledger, "IOD2") is not None


def test_an_epoch_never_goes_down(ledger):
    start(ledger, "IOD1")
    epochs = []
    for _ in range(4):
        claimed = _claim(ledger)
        epochs.append(claimed.lease.epoch)
        ledger.release(claimed.lease, blameless=True)
    assert epochs == [1, 2, 3, 4]


def test_blameless_releases_are_no_attempts_and_deaths_are(ledger):
    start(ledger, "IOD1")
    for _ in range(3):
        ledger.release(_claim(ledger).lease, blameless=True)
    assert _claim(ledger).attempts == 1
    expire(ledger, "IOD1")
    assert _claim(ledger).attempts == 2
    expire(ledger, "IOD1")
    lease = _claim(ledger).lease
    ledger.release(lease, blameless=False)
    assert _claim(ledger).attempts == 4


def test_progress_makes_an_attempt_count_as_the_first(ledger):
    start(ledger, "IOD1")
    for _ in range(3):
        expire(ledger, "IOD1")
        lease = _claim(ledger).lease
    ledger.report(lease, progress_percent=0)
    assert row_of(ledger, "IOD1").attempts == 3
    ledger.report(lease, progress_percent=10)
    assert row_of(ledger, "IOD1").attempts == 1


# ---- report and finish --------------------------------------------------------------------------------------------------


def test_progress_never_goes_back_and_stays_on_its_scale(ledger):
    start(ledger, "IOD1")
    lease = _claim(ledger).lease
    shown = []
    for percent in (-5, 10, 5, 40, 40, 39, 1000, 50):
        ledger.report(lease, progress_percent=percent)
        shown.append(row_of(ledger, "IOD1").progress_percent)
    assert shown == [0, 10, 10, 40, 40, 40, 100, 100]


def test_a_report_leaves_alone_what_it_does_not_mention(ledger):
    start(ledger, "IOD1")
    lease = _claim(ledger).lease
    ledger.report(lease, output_directory="gs://b/out", partial_failures=[FAILURE])
    ledger.report(lease, progress_percent=30)
    row = row_of(ledger, "IOD1")
    assert (row.output_directory, row.partial_failures, row.progress_percent) == ("gs://b/out", [[3, "no"]], 30)


def test_partial_failures_are_never_more_than_twenty(ledger):
    start(ledger, "IOD1")
    lease = _claim(ledger).lease
    many = [status_pb2.Status(code=3, message=str(number)) for number in range(30)]
    ledger.report(lease, partial_failures=many)
    assert [text for _, text in row_of(ledger, "IOD1").partial_failures] == [
        str(n) for n in range(MAX_PARTIAL_FAILURES)
    ]


ENDS = [
    (_empty, State.SUCCEEDED, 100),
    (FAILURE, State.FAILED, 40),
    (errors.cancelled().status, State.CANCELLED, 40),
]


@pytest.mark.parametrize(("outcome", "state", "percent"), ENDS, ids=["succeeded", "failed", "cancelled"])
def test_an_end_is_written_once_with_its_time(ledger, outcome, state, percent):
    start(ledger, "IOD1")
    lease = _claim(ledger).lease
    ledger.report(lease, progress_percent=40)
    ledger.finish(lease, outcome)
    row = row_of(ledger, "IOD1")
    assert (row.state, row.progress_percent, row.lease_owner) == (state, percent, None)
    assert row.done_time_us == row.update_time_us >= row.create_time_us
    assert (row.response is None, row.error is None) == (state != State.SUCCEEDED, state == State.SUCCEEDED)
    assert _claim(ledger) is None


def test_a_response_that_cannot_be_made_leaves_the_operation_running(ledger):
    start(ledger, "IOD1")
    lease = _claim(ledger).lease

    def respond(connection: sa.Connection) -> empty_pb2.Empty:
        connection.execute(operations.delete())
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        ledger.finish(lease, respond)
    assert row_of(ledger, "IOD1").state == State.RUNNING
    ledger.finish(lease, _empty)


# ---- several processes --------------------------------------------------------------------------------------------------


@pytest.mark.full
def test_two_processes_finish_four_hundred_operations_exactly_once_each(ledger, database_place):
    with ledger._db.write() as connection:
        for number in range(400):
            ledger.start(connection, draft(f"IOD{number}"))
    command = [sys.executable, "-m", "tests.support.operations.ledgers", str(database_place)]
    workers = [
        subprocess.Popen([*command, owner, "200"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for owner in ("first", "second")
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    finished = collections.Counter()
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        ids = worker.communicate(timeout=PATIENCE_S)[0].split()
        assert worker.returncode == 0
        assert len(ids) == 200
        finished.update(ids)
    assert finished == {f"IOD{number}": 1 for number in range(400)}
    with ledger._db.read() as connection:
        rows = connection.execute(sa.select(operations.c.state, operations.c.lease_epoch)).all()
    assert set(rows) == {(State.SUCCEEDED, 1)}
