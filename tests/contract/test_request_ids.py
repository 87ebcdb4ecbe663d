"""Ids of requests on both databases: the first operation, another request, another caller, another project, a week later."""

from __future__ import annotations

import dataclasses

import pytest
from google.rpc import code_pb2
from tests.support.operations.ledgers import LOCATION, open_ledger

from boxwright import errors
from boxwright.metadata.schema import request_ids as table
from boxwright.operations import request_ids

FIRST = request_ids.IdentifiedRequest("p", "user:a@b.c", "nightly-2026-11-28", "0" * 64)
OPERATION = LOCATION.operation("IOD1")


@pytest.fixture
def db(database_place):
    ledger = open_ledger(database_place)
    yield ledger._db
    ledger._db.close()


def test_a_request_that_is_sent_again_has_its_first_operation(db):
    with db.write() as connection:
        assert request_ids.first_operation(connection, FIRST) is None
        request_ids.note(connection, FIRST, OPERATION)
    with db.read() as connection:
        assert request_ids.first_operation(connection, FIRST) == OPERATION


def test_an_id_is_its_callers_in_a_project(db):
    with db.write() as connection:
        request_ids.note(connection, FIRST, OPERATION)
        for changes in ({"project": "q"}, {"caller": "user:x@b.c"}, {"caller": ""}, {"id": "nightly"}):
            other = dataclasses.replace(FIRST, **changes)
            assert request_ids.first_operation(connection, other) is None
            request_ids.note(connection, other, LOCATION.operation("IOD2"))
        assert request_ids.first_operation(connection, FIRST) == OPERATION


def test_another_request_may_not_have_the_id(db):
    with db.write() as connection:
        request_ids.note(connection, FIRST, OPERATION)
        with pytest.raises(errors.ApiError, match=r"'nightly-2026-11-28' belongs to another request.*IOD1") as caught:
            request_ids.first_operation(connection, dataclasses.replace(FIRST, sha256="1" * 64))
    assert caught.value.code == code_pb2.ALREADY_EXISTS


def test_after_a_week_an_id_is_free_and_its_row_is_gone(db):
    with db.write() as connection:
        request_ids.note(connection, FIRST, OPERATION)
        earlier_us = table.c.create_time_us - request_ids.KEPT_S * 1_000_000
        connection.execute(table.update().values(create_time_us=earlier_us))
        assert request_ids.first_operation(connection, FIRST) is None
        again = dataclasses.replace(FIRST, sha256="1" * 64)
        request_ids.note(connection, again, LOCATION.operation("IOD2"))
        assert request_ids.first_operation(connection, again) == LOCATION.operation("IOD2")
        assert len(connection.execute(table.select()).all()) == 1
