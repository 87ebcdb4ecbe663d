"""Looks at the stores during a call: what they find, and that a store which never answers holds nobody."""

from __future__ import annotations

import pathlib
import socket
import threading
from collections.abc import Iterator

import pytest
from google.rpc import code_pb2
from tests.support.machine.waiting import wait_until

from boxwright import errors, objects
from boxwright.batch.inputs import addresses
from boxwright.callers import ANONYMOUS
from boxwright.services.store_checks import MAX_LISTS, StoreChecks

PREFIX = objects.ObjectUri.parse("gs://b/out/")


@pytest.fixture
def bucket(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "buckets" / "b"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def looks(bucket: pathlib.Path, tmp_path: pathlib.Path) -> StoreChecks:
    return StoreChecks(objects.Stores(bucket.parent, tmp_path / "state"), look_s=60.0)


def _uris(*names: str) -> list[objects.ObjectUri]:
    return [objects.ObjectUri("gs", "b", name) for name in names]


def test_good_lists_and_a_bucket_have_nothing_against_them(bucket, looks):
    (bucket / "list.csv").write_text("gs://b/a.jpg\n" * 1000)
    (bucket / "errors_1.jsonl").write_text('{"ID":"gs://b/a.jpg","status":{"code":5,"message":"m"}}\n')
    (bucket / "empty.csv").write_text("")
    assert looks.at_batch(ANONYMOUS, _inputs("list.csv", "errors_1.jsonl", "empty.csv"), PREFIX, project="p") is None
    assert looks.at_import_lists(ANONYMOUS, _uris("empty.csv", "list.csv"), project="p") is None
    assert looks.at_destination(ANONYMOUS, PREFIX, project="p") is None


def _inputs(*names: str) -> list[addresses.InputAddress]:
    return addresses.parse_all([f"gs://b/{name}" for name in names], ["gs"])


FOUND = [
    (None, code_pb2.NOT_FOUND, "gs://b/x.csv does not exist."),
    (b"\xff\xd8\xff\xe0", code_pb2.INVALID_ARGUMENT, "gs://b/x.csv: this is a JPEG image"),
    (b'{"ID":"gs://b/a.jpg","annotations":[]}\n', code_pb2.INVALID_ARGUMENT, "gs://b/x.csv: this "),
    (b"\n\n ,\n\n"[:2], code_pb2.INVALID_ARGUMENT, "empty input CSV file|there are no rows"),
    (b"", code_pb2.INVALID_ARGUMENT, "empty input CSV file|there are no rows"),
]


@pytest.mark.parametrize(("content", "code", "text"), FOUND)
def test_what_cannot_be_a_list_is_found(bucket, looks, content, code, text):
    if content is not None:
        (bucket / "x.csv").write_bytes(content)
    for error in (
        looks.at_batch(ANONYMOUS, _inputs("x.csv"), PREFIX, project="p"),
        looks.at_import_lists(ANONYMOUS, _uris("x.csv"), project="p"),
    ):
        assert error.code == code
        assert any(part in error.message for part in text.split("|"))


def test_a_bucket_that_is_not_there_is_found(bucket, looks):
    (bucket / "list.csv").write_text("gs://b/a.jpg\n")
    nowhere = objects.ObjectUri.parse("gs://nowhere/out/")
    for error in (
        looks.at_batch(ANONYMOUS, _inputs("list.csv"), nowhere, project="p"),
        looks.at_destination(ANONYMOUS, nowhere, project="p"),
    ):
        assert error.code == code_pb2.NOT_FOUND
        assert "there is no bucket 'nowhere'" in error.message


def test_the_first_of_several_errors_is_told_whatever_is_found_first(bucket, looks):
    (bucket / "list.csv").write_text("gs://b/a.jpg\n")
    names = ["list.csv", *(f"none-{number}.csv" for number in range(20))]
    for _ in range(5):
        assert (
            "gs://b/none-0.csv does not exist"
            in looks.at_batch(ANONYMOUS, _inputs(*names), PREFIX, project="p").message
        )


def test_of_very_many_lists_the_first_are_looked_at(bucket, looks):
    (bucket / "empty.csv").write_text("")
    assert looks.at_batch(ANONYMOUS, _inputs(*["empty.csv"] * (MAX_LISTS + 1)), PREFIX, project="p") is None
    assert (
        looks.at_batch(ANONYMOUS, _inputs(*["empty.csv"] * MAX_LISTS), PREFIX, project="p").message
        == errors.EMPTY_BATCH_CSV
    )


def test_without_time_nothing_is_looked_at(bucket, tmp_path):
    looks = StoreChecks(objects.Stores(bucket.parent, tmp_path / "state"), look_s=0)
    assert looks.at_batch(ANONYMOUS, _inputs("none.csv"), PREFIX, project="p") is None
    assert looks.at_import_lists(ANONYMOUS, _uris("none.csv"), project="p") is None


class _Mute:
    """A server that takes connections and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                self.connections.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self.connections:
            connection.close()


@pytest.fixture
def mute() -> Iterator[_Mute]:
    server = _Mute()
    yield server
    server.close()


def test_a_store_that_never_answers_holds_one_call_shortly_and_the_next_ones_not_at_all(tmp_path, mute):
    choices = objects.StoreConfig(gs="cloud", gs_emulator=mute.address)
    looks = StoreChecks(objects.Stores(tmp_path, tmp_path / "state", choices), look_s=0.05)
    assert looks.at_batch(ANONYMOUS, _inputs("list.csv"), PREFIX, project="p") is None
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "look"], "threads that end")
    asked = len(mute.connections)
    for _ in range(5):
        assert looks.at_batch(ANONYMOUS, _inputs("list.csv"), PREFIX, project="p") is None
        assert looks.at_destination(ANONYMOUS, PREFIX, project="p") is None
    assert len(mute.connections) == asked


def test_a_store_that_is_away_leaves_the_answer_to_the_work(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    choices = objects.StoreConfig(gs="cloud", gs_emulator=address)
    looks = StoreChecks(objects.Stores(tmp_path, tmp_path / "state", choices), look_s=1.0)
    assert looks.at_batch(ANONYMOUS, _inputs("list.csv"), PREFIX, project="p") is None
    assert looks.at_import_lists(ANONYMOUS, _uris("list.csv"), project="p") is None
