"""Lists in pages: every row once, whatever happens to the table in between; tokens that cannot be abused."""

from __future__ import annotations

import base64
import json

import pytest
import sqlalchemy as sa
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from boxwright import errors
from boxwright.metadata import database
from boxwright.metadata.schema import datasets


@pytest.fixture
def db(database_place):
    opened = database.Database(database_place)
    yield opened
    opened.close()


def _insert(db, *rows: tuple[str, int]) -> None:
    with db.write() as connection:
        for row_id, create_time_us in rows:
            connection.execute(
                datasets.insert().values(
                    id=row_id, project="p", location="l", display_name="d", metadata_member="m", labels={}, etag="e",
                    create_time_us=create_time_us, update_time_us=create_time_us,
                )
            )  # fmt: skip


def _page(db, size: int, token: str) -> tuple[list[str], str]:
    after = database.PageKey.from_token(token, "scope")
    with db.read() as connection:
        rows, following = database.newest_first(connection, sa.select(datasets), datasets, page_size=size, after=after)
    return [row.id for row in rows], following.token("scope") if following else ""


def test_an_empty_list_is_one_empty_page_without_a_token(db):
    assert _page(db, 10, "") == ([], "")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 100])
def test_pages_of_any_size_give_every_row_once_newest_first(db, size):
    _insert(db, ("a", 10), ("b", 30), ("c", 20), ("d", 30), ("e", 5))  # b and d are of the same moment
    seen, token = [], ""
    while True:
        ids, token = _page(db, size, token)
        assert len(ids) <= size
        seen += ids
        if not token:
            break
    assert seen == ["d", "b", "c", "a", "e"]


def test_rows_that_come_and_go_between_pages_neither_repeat_nor_hide_others(db):
    _insert(db, *((f"row{number}", 100 + number) for number in range(6)))
    first, token = _page(db, 2, "")
    assert first == ["row5", "row4"]
    _insert(db, ("newer", 500), ("older", 1))
    with db.write() as connection:
        connection.execute(
            datasets.delete().where(datasets.c.id.in_(["row4", "row3"]))
        )  # the last one seen, the next one
    second, token = _page(db, 2, token)
    third, token = _page(db, 2, token)
    assert (second, third, token) == (["row2", "row1"], ["row0", "older"], "")


def test_a_token_of_another_list_is_refused():
    token = database.PageKey(5, "a").token("datasets projects/p/locations/l ")
    with pytest.raises(errors.ApiError, match="belongs to a list with another parent or filter") as raised:
        database.PageKey.from_token(token, "datasets projects/q/locations/l ")
    assert raised.value.code == code_pb2.INVALID_ARGUMENT


def test_a_token_comes_back_as_the_key_it_was():
    key = database.PageKey(1_700_000_000_000_001, "IOD1")
    assert database.PageKey.from_token(key.token("s"), "s") == key
    assert key.token("s").isascii()
    assert "=" not in key.token("s")


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


FORGED = [
    "x",
    "!!!!",
    "é",
    "\0",
    _encoded([]),
    _encoded({}),
    _encoded(None),
    _encoded([1, "a"]),
    _encoded(["soon", "a", 0]),
    _encoded([None, "a", 0]),
    _encoded([[1], "a", 0]),
    _encoded([1e400, "a", 0]),  # infinity
    base64.urlsafe_b64encode(b"[" * 5000).decode(),
    base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    base64.urlsafe_b64encode(b"[" + b"9" * 5000 + b', "a", 0]').decode(),
]


@pytest.mark.parametrize("token", FORGED)
def test_a_forged_token_is_an_invalid_argument(token):
    with pytest.raises(errors.ApiError) as raised:
        database.PageKey.from_token(token, "s")
    assert raised.value.code == code_pb2.INVALID_ARGUMENT
    assert "page_token" in raised.value.message


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_no_token_does_more_than_raise_an_api_error(token):
    try:
        database.PageKey.from_token(token, "s")
    except errors.ApiError as error:
        assert error.code == code_pb2.INVALID_ARGUMENT


def test_a_page_key_too_large_for_the_database_is_an_invalid_argument():
    scope = "s"
    checksum = json.loads(base64.urlsafe_b64decode(database.PageKey(1, "a").token(scope) + "=="))[2]
    with pytest.raises(errors.ApiError):
        database.PageKey.from_token(_encoded([10**30, "a", checksum]), scope)
