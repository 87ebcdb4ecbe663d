"""How projects share the workers: turns, whatever each has asked for, and a bound on what is unfinished."""

from __future__ import annotations

import collections
import dataclasses
import itertools

import pytest
from google.protobuf import empty_pb2
from google.rpc import code_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.operations.ledgers import Kind, draft

from boxwright import callers, errors, states
from boxwright.metadata import database
from boxwright.operations import amounts, records
from boxwright.operations.ledger import Ledger


@pytest.fixture
def db(database_place):
    opened = database.Database(database_place)
    yield opened
    opened.close()


def start(ledger: Ledger, operation_id: str, project: str, kind: Kind = Kind.BATCH_PREDICT) -> None:
    caller = callers.Caller(charged_project=project)
    with ledger._db.write() as connection:
        ledger.start(connection, dataclasses.replace(draft(operation_id, kind), caller=caller))


def claim_all(ledger: Ledger, *kinds: Kind) -> list[str]:
    claimed = []
    while (one := ledger.claim(kinds or [Kind.BATCH_PREDICT], "w")) is not None:
        claimed.append(one.lease.operation_id)
        ledger.finish(one.lease, lambda connection: empty_pb2.Empty())
    return claimed


def test_projects_take_turns_and_within_one_the_first_comes_first(db):
    ledger = Ledger(db, lease_ttl_s=10)
    for number in range(4):
        start(ledger, f"a{number}", "a")
    start(ledger, "b0", "b")
    start(ledger, "b1", "b")
    start(ledger, "c0", "c")
    assert claim_all(ledger) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]
    start(ledger, "a4", "a")
    start(ledger, "d0", "d")
    assert claim_all(ledger) == ["d0", "a4"], "who has never had a turn comes first"


def test_turns_are_by_kind_of_operation(db):
    ledger = Ledger(db, lease_ttl_s=10)
    start(ledger, "a0", "a")
    assert claim_all(ledger) == ["a0"]
    start(ledger, "a1", "a", Kind.IMPORT_DATA)
    start(ledger, "b1", "b", Kind.IMPORT_DATA)
    assert claim_all(ledger, Kind.IMPORT_DATA) == ["a1", "b1"]


def test_what_was_put_back_takes_its_turn_again(db):
    ledger = Ledger(db, lease_ttl_s=10)
    start(ledger, "a0", "a")
    start(ledger, "a1", "a")
    start(ledger, "b0", "b")
    first = ledger.claim([Kind.BATCH_PREDICT], "w")
    ledger.release(first.lease, blameless=True)
    assert first.lease.operation_id == "a0" and claim_all(ledger) == ["b0", "a1", "a0"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=15))
def test_no_project_gets_two_turns_while_another_waits(tmp_path_factory, wanted):
    db = database.Database(tmp_path_factory.mktemp("turns") / "metadata.sqlite")
    ledger = Ledger(db, lease_ttl_s=10)
    for number, project in enumerate(wanted):
        start(ledger, f"{project}{number}", project)
    left = collections.Counter(wanted)
    order = [one[0] for one in claim_all(ledger)]
    db.close()
    assert collections.Counter(order) == left
    for before, after in itertools.pairwise(order):
        left[before] -= 1
        assert before != after or not [other for other in left if other != after and left[other]], order


def test_a_project_may_have_so_many_unfinished_operations(db):
    ledger = Ledger(db, lease_ttl_s=10, limits=amounts.AmountLimits(operations=2))
    start(ledger, "a0", "a")
    start(ledger, "a1", "a")
    with pytest.raises(errors.ApiError) as refused:
        start(ledger, "a2", "a")
    info, failure = refused.value.details
    assert refused.value.code == code_pb2.RESOURCE_EXHAUSTED and failure.violations[0].subject == "project:a"
    assert (info.reason, dict(info.metadata)["quota_limit"]) == ("RESOURCE_QUOTA_EXCEEDED", "quota_operations")
    start(ledger, "b0", "b")
    failed = dataclasses.replace(draft("a3"), caller=callers.Caller(charged_project="a"))
    with db.write() as connection:  # what fails at once is finished
        ledger.start(connection, failed, errors.not_found())
    one = ledger.claim([Kind.BATCH_PREDICT], "w")
    ledger.finish(one.lease, lambda connection: empty_pb2.Empty())
    start(ledger, "a4", "a")


def start_as(ledger: Ledger, operation_id: str, priority: states.Priority, project: str = "a") -> None:
    terms = records.Terms(priority)
    caller = callers.Caller(charged_project=project)
    with ledger._db.write() as connection:
        made = dataclasses.replace(draft(operation_id, Kind.BATCH_PREDICT), caller=caller, terms=terms)
        ledger.start(connection, made)


def take_turns(ledger: Ledger, turns: int) -> list[str]:
    """The first letters of the operations that have turns, each of which it is put back from."""
    taken = []
    for _ in range(turns):
        one = ledger.claim([Kind.BATCH_PREDICT], "w")
        ledger.release(one.lease, blameless=True)
        taken.append(one.lease.operation_id)
    return taken


def test_thirty_jobs_of_three_priorities_get_images_as_four_to_two_to_one(db):
    ledger = Ledger(db, lease_ttl_s=10)
    for number in range(10):
        for priority in states.Priority:
            start_as(ledger, f"{priority}{number}", priority)
    images_of_a_turn = 500
    images: collections.Counter[str] = collections.Counter()
    for operation_id in take_turns(ledger, 70):
        images[operation_id.rstrip("0123456789")] += images_of_a_turn
    for priority, weight in (("high", 4), ("normal", 2), ("low", 1)):
        assert images[priority] == pytest.approx(sum(images.values()) * weight / 7, rel=0.1), images


def test_jobs_of_one_priority_have_as_many_turns_as_each_other(db):
    ledger = Ledger(db, lease_ttl_s=10)
    for number in range(3):
        start_as(ledger, f"high{number}", states.Priority.HIGH)
    start_as(ledger, "low0", states.Priority.LOW)
    turns = collections.Counter(take_turns(ledger, 15))
    assert turns == {"high0": 4, "high1": 4, "high2": 4, "low0": 3}


def test_a_priority_that_did_not_wait_gets_no_turns_for_that_time(db):
    ledger = Ledger(db, lease_ttl_s=10)
    start_as(ledger, "high0", states.Priority.HIGH)
    assert take_turns(ledger, 40) == ["high0"] * 40
    start_as(ledger, "low0", states.Priority.LOW)
    turns = collections.Counter(take_turns(ledger, 10))
    assert turns == {"high0": 8, "low0": 2}


def test_projects_take_turns_whatever_the_priority_of_their_jobs(db):
    ledger = Ledger(db, lease_ttl_s=10)
    start_as(ledger, "high", states.Priority.HIGH)
    start_as(ledger, "low", states.Priority.LOW, "b")
    assert take_turns(ledger, 6) == ["high", "low"] * 3
