"""The ledger: cancelling, forgetting, and who hears of what."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from google.protobuf import empty_pb2
from google.rpc import code_pb2, status_pb2
from tests.support.operations.ledgers import LOCATION, Kind, draft, expire, open_ledger, row_of, start

from boxwright import states
from boxwright.operations.ledger import ClaimedOperation, Ledger

State = states.OperationState


def _empty(connection: sa.Connection) -> empty_pb2.Empty:
    return empty_pb2.Empty()


@pytest.fixture
def ledger(database_place):
    opened = open_ledger(database_place)
    yield opened
    opened._db.close()


def _claim(ledger: Ledger) -> ClaimedOperation | None:
    return ledger.claim([Kind.IMPORT_DATA], "w")


def test_cancelling_what_waits_ends_it_at_once(ledger):
    start(ledger, "IOD1")
    assert ledger.request_cancel(LOCATION.operation("IOD1")) is True
    row = row_of(ledger, "IOD1")
    assert row.state == State.CANCELLED
    assert status_pb2.Status.FromString(row.error).code == code_pb2.CANCELLED
    assert _claim(ledger) is None


def test_cancelling_what_runs_is_seen_by_its_worker_at_the_next_word(ledger):
    start(ledger, "IOD1")
    lease = _claim(ledger).lease
    assert ledger.renew(lease) is False
    assert ledger.request_cancel(LOCATION.operation("IOD1")) is True
    assert row_of(ledger, "IOD1").state == State.RUNNING
    assert ledger.renew(lease) is True
    assert ledger.report(lease) is True


def test_a_cancel_and_a_claim_at_the_same_moment_never_collide(ledger):
    names = [f"IOD{number}" for number in range(40)]
    start(ledger, *names)
    failures: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    def claim_all() -> None:
        while _claim(ledger) is not None:
            pass

    def cancel_all() -> None:
        for name in names:
            ledger.request_cancel(LOCATION.operation(name))

    threads = [threading.Thread(target=run, args=(work,)) for work in (claim_all, cancel_all, claim_all)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for name in names:
        row = row_of(ledger, name)
        assert row.cancel_requested_us is not None
        assert row.state in (State.RUNNING, State.CANCELLED)


def test_a_wish_to_cancel_outlives_the_worker_that_did_not_hear_it(ledger):
    start(ledger, "IOD1")
    _claim(ledger)
    ledger.request_cancel(LOCATION.operation("IOD1"))
    expire(ledger, "IOD1")
    assert _claim(ledger).cancel_requested


def test_cancelling_twice_keeps_the_first_time(ledger):
    start(ledger, "IOD1")
    _claim(ledger)
    ledger.request_cancel(LOCATION.operation("IOD1"))
    first = row_of(ledger, "IOD1").cancel_requested_us
    ledger.request_cancel(LOCATION.operation("IOD1"))
    assert row_of(ledger, "IOD1").cancel_requested_us == first


def test_cancelling_what_is_done_or_unknown_changes_nothing(ledger):
    start(ledger, "IOD1")
    ledger.finish(_claim(ledger).lease, _empty)
    before = row_of(ledger, "IOD1")
    assert ledger.request_cancel(LOCATION.operation("IOD1")) is True
    assert row_of(ledger, "IOD1") == before
    assert ledger.request_cancel(LOCATION.operation("IOD2")) is False


def test_only_what_is_done_is_forgotten(ledger):
    start(ledger, "IOD1")
    name = LOCATION.operation("IOD1")
    assert ledger.delete_if_done(name) == State.PENDING
    lease = _claim(ledger).lease
    assert ledger.delete_if_done(name) == State.RUNNING
    ledger.finish(lease, _empty)
    assert ledger.delete_if_done(name) == State.SUCCEEDED
    assert ledger.find(name) is None
    assert ledger.delete_if_done(name) is None


def test_an_operation_is_known_under_its_whole_name_only(ledger):
    start(ledger, "IOD1")
    for other in (LOCATION.__class__("q", "us-central1"), LOCATION.__class__("p", "eu")):
        assert ledger.find(other.operation("IOD1")) is None
        assert ledger.request_cancel(other.operation("IOD1")) is False
        assert ledger.delete_if_done(other.operation("IOD1")) is None


def test_listeners_hear_of_every_change_they_can_act_on(ledger):
    heard = []
    ledger.listeners.append(lambda name, state: heard.append((name.rpartition("/")[2], state)))
    with ledger._db.write() as connection:
        row = ledger.start(connection, draft("IOD1"))
    ledger.announce(row)
    lease = _claim(ledger).lease
    ledger.request_cancel(LOCATION.operation("IOD1"))
    ledger.finish(lease, _empty)
    assert heard == [("IOD1", State.PENDING), ("IOD1", State.RUNNING), ("IOD1", State.SUCCEEDED)]


def test_who_waits_learns_what_is_finished_or_gone(ledger):
    start(ledger, "IOD1", "IOD2")
    ledger.finish(_claim(ledger).lease, _empty)
    wanted = [str(LOCATION.operation(f"IOD{number}")) for number in (1, 2, 3)]
    assert ledger.finished_among(wanted) == {wanted[0], wanted[2]}
    assert ledger.finished_among([]) == set()


def test_what_works_on_a_resource_is_listed_until_it_is_done(ledger):
    with ledger._db.write() as connection:
        for operation_id, works_on in (("IOD1", "x"), ("IOD2", "y"), ("IOD3", "x")):
            ledger.start(connection, draft(operation_id, works_on=works_on))
    lease = _claim(ledger).lease
    with ledger._db.read() as connection:
        assert [row.id for row in ledger.running_on(connection, "x")] == ["IOD1", "IOD3"]
    ledger.finish(lease, _empty)
    with ledger._db.read() as connection:
        assert [row.id for row in ledger.running_on(connection, "x")] == ["IOD3"]
