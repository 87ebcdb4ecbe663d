"""The state machines, and that the tables really refuse rows that no state machine allows."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from boxwright import states
from boxwright.metadata import database, schema

State = states.OperationState
PENDING_ROW = {
    "id": "IOD1",
    "project": "p",
    "location": "l",
    "kind": "import_data",
    "state": "PENDING",
    "request": b"",
    "details": b"",
    "partial_failures": [],
    "create_time_us": 1,
    "update_time_us": 1,
}
RUNNING_ROW = {**PENDING_ROW, "state": "RUNNING", "lease_owner": "w", "lease_expires_us": 5, "lease_epoch": 1}
SUCCEEDED_ROW = {**PENDING_ROW, "state": "SUCCEEDED", "response": b"x", "done_time_us": 2}
FAILED_ROW = {**PENDING_ROW, "state": "FAILED", "error": b"x", "done_time_us": 2}
CANCELLED_ROW = {**FAILED_ROW, "state": "CANCELLED"}

REFUSED = (sa.exc.IntegrityError, sa.exc.ProgrammingError)  # pg8000 knows most broken constraints by the second name


@pytest.fixture
def db(database_place):
    opened = database.Database(database_place)
    yield opened
    opened.close()


def test_a_terminal_state_is_never_left():
    assert frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED}) == states.OPERATION_TERMINAL
    assert all(not states.OPERATION_MOVES[state] for state in states.OPERATION_TERMINAL)


def test_every_state_has_its_moves_and_is_reached_from_the_first():
    assert set(states.OPERATION_MOVES) == set(State)
    reached, edge = {State.PENDING}, {State.PENDING}
    while edge:
        edge = set().union(*(states.OPERATION_MOVES[state] for state in edge)) - reached
        reached |= edge
    assert reached == set(State)


@pytest.mark.parametrize(
    "row", [PENDING_ROW, RUNNING_ROW, SUCCEEDED_ROW, FAILED_ROW, CANCELLED_ROW], ids=lambda row: row["state"]
)
def test_a_row_of_each_state_is_accepted(db, row):
    with db.write() as connection:
        connection.execute(schema.operations.insert().values(**row))


IMPOSSIBLE = {
    "an unknown state": {**PENDING_ROW, "state": "SLEEPING"},
    "an unknown kind": {**PENDING_ROW, "kind": "make_tea"},
    "running without a lease": {**RUNNING_ROW, "lease_owner": None},
    "pending with a lease": {**PENDING_ROW, "lease_owner": "w"},
    "finished with a lease": {**SUCCEEDED_ROW, "lease_owner": "w"},
    "succeeded without a time": {**SUCCEEDED_ROW, "done_time_us": None},
    "failed without a time": {**FAILED_ROW, "done_time_us": None},
    "pending with an end": {**PENDING_ROW, "done_time_us": 2},
    "running with an end": {**RUNNING_ROW, "done_time_us": 2},
    "succeeded without a response": {**SUCCEEDED_ROW, "response": None},
    "succeeded with an error": {**SUCCEEDED_ROW, "error": b"x"},
    "failed without an error": {**FAILED_ROW, "error": None},
    "failed with a response": {**FAILED_ROW, "response": b"x"},
    "cancelled without an error": {**CANCELLED_ROW, "error": None},
    "running with a response": {**RUNNING_ROW, "response": b"x"},
    "pending with an error": {**PENDING_ROW, "error": b"x"},
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_an_impossible_operation_is_refused_by_the_table(db, what):
    with pytest.raises(REFUSED, match=r"(?i)check"), db.write() as connection:
        connection.execute(schema.operations.insert().values(**IMPOSSIBLE[what]))


def test_two_operations_never_have_one_create_time(db):
    with db.write() as connection:
        connection.execute(schema.operations.insert().values(**PENDING_ROW))
    with pytest.raises(REFUSED, match=r"(?i)unique"), db.write() as connection:
        connection.execute(schema.operations.insert().values(**{**PENDING_ROW, "id": "IOD2"}))


def test_an_example_with_an_unknown_use_is_refused(db):
    values = {"dataset_id": "d", "sha256": "s", "uri": "gs://b/i", "ml_use": "HOLIDAY", "width_px": 1, "height_px": 1}
    with pytest.raises(REFUSED, match=r"(?i)check"), db.write() as connection:
        connection.execute(schema.examples.insert().values(**values))


def test_a_refused_row_takes_its_whole_transaction_with_it(db):
    with pytest.raises(REFUSED), db.write() as connection:
        connection.execute(schema.operations.insert().values(**PENDING_ROW))
        connection.execute(schema.operations.insert().values(**{**PENDING_ROW, "id": "IOD2", "state": "SLEEPING"}))
    with db.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.operations)).scalar() == 0
