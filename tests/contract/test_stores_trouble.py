"""Stores that answer with trouble: what passes is waited for, what does not is told at once, nothing is taken for whole.

A proxy before each emulator makes the trouble; the disk's is made in the client library's place.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator

import obstore
import pytest
from google.rpc import code_pb2
from obstore import exceptions
from tests.support.machine.waiting import promptly
from tests.support.stores import object_servers, rough_proxy
from tests.support.stores.object_servers import BUCKET

from boxwright import errors, objects
from boxwright.objects import patience, throttling

RETRY_S = 30.0
SILENCE_S = 4.0  # half of it is waited for an answer before the second try
IMPATIENCE_S = 1.0
MARGIN_S = 3.0  # a loaded machine
CONTENT = os.urandom(200_000)


@dataclasses.dataclass(frozen=True)
class Rough:
    """Stores behind a proxy that makes trouble, with one object in them."""

    proxy: rough_proxy.RoughProxy
    stores: objects.Stores
    silence: objects.Stores
    impatient: objects.Stores
    root: objects.ObjectUri

    @property
    def there(self) -> objects.ObjectUri:
        return self.root.child("there")


@pytest.fixture(scope="module", params=["s3", "az", "gs emulator", "gs cloud"])
def rough_kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rough]:
    folder = tmp_path_factory.mktemp("rough")
    make = {
        "s3": object_servers.moto,
        "az": lambda: object_servers.azurite(folder),
        "gs emulator": object_servers.fake_gcs,
        "gs cloud": object_servers.double_of_gcs,
    }[request.param]
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(make())
        proxy = stack.enter_context(rough_proxy.before(server.address))
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in server.environment(proxy.address).items():
            environment.setenv(name, value)
        choices = objects.StoreConfig(
            gs="cloud",
            schemes=(server.scheme,),
            gs_emulator=proxy.address if server.is_emulator else None,
            retry_s=RETRY_S,
        )
        stores = objects.Stores(folder / "buckets", folder / "state", choices)
        impatient = objects.Stores(folder, folder / "state", dataclasses.replace(choices, retry_s=IMPATIENCE_S))
        silence = objects.Stores(folder / "buckets", folder / "state", dataclasses.replace(choices, retry_s=SILENCE_S))
        root = objects.ObjectUri.parse(f"{server.scheme}://{BUCKET}/in")
        stores.put(root.child("there"), CONTENT)
        assert impatient.exists(root.child("there"))
        yield Rough(proxy, stores, silence, impatient, root)


@pytest.fixture
def rough(rough_kind: Rough) -> Iterator[Rough]:
    yield rough_kind
    rough_kind.proxy.then()


PASSING = [(503, 429, 500), ("silence",)]


@pytest.mark.parametrize("trouble", PASSING, ids=str)
def test_trouble_that_passes_is_waited_for(rough, trouble, monkeypatch):
    monkeypatch.setattr(throttling, "LOWEST_PER_S", 100.0)
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(throttling, "ASK_EVERY_S", 1e9)  # a question would meet trouble, too
    stores = rough.silence if "silence" in trouble else rough.stores
    calls = {
        "get": lambda: stores.get(rough.there) == CONTENT,
        "put once": lambda: stores.put_once(rough.root.child(f"once after {trouble[0]}"), b"x") is True,
    }
    if "silence" not in trouble:
        calls |= {
            "head": lambda: rough.stores.head(rough.there).size_bytes == len(CONTENT),
            "stream": lambda: b"".join(rough.stores.stream(rough.there)) == CONTENT,
            "put": lambda: rough.stores.put(rough.root.child("put"), b"x") is None,
            "list": lambda: rough.there in {info.uri for info in rough.stores.list(rough.root)},
            "keys": lambda: rough.there.key in [key for page in rough.stores.keys(rough.root) for key in page],
            "versions": lambda: any(page for page in rough.stores.versions(rough.root)),
            "range": lambda: rough.stores.range(rough.there, 100, 50) == CONTENT[100:150],
            "delete": lambda: rough.stores.delete_written(rough.root.child("put")) is None,
        }
    for name, call in calls.items():
        rough.proxy.then(*trouble)
        throttled = throttling.count()
        assert call(), name
        assert len(rough.proxy.seen) > len(trouble), name
        if name != "list":  # its requests are several, which the client library makes again
            assert throttling.count() - throttled == sum(one in (503, 429) for one in trouble), name


def test_a_body_that_was_cut_off_is_completed(rough):
    rough.proxy.then("truncate", "truncate")
    assert rough.stores.get(rough.there) == CONTENT
    rough.proxy.then("truncate", "truncate")
    assert b"".join(rough.stores.stream(rough.there)) == CONTENT


def test_a_body_that_stays_cut_off_is_never_taken_for_whole(rough):
    rough.proxy.always("truncate")
    empty_ranges = 20  # the halves of 200,000 bytes get down to nothing after about so many requests
    for read in (rough.impatient.get, lambda uri: b"".join(rough.impatient.stream(uri))):
        rough.proxy.seen.clear()
        try:
            assert read(rough.there) == CONTENT, "only half of an object was taken for all of it"
            assert len(rough.proxy.seen) >= empty_ranges / 2
        except errors.ApiError as error:
            assert error.code == code_pb2.UNAVAILABLE
            assert str(rough.there) in error.message


LASTING = {503: code_pb2.UNAVAILABLE, "silence": code_pb2.UNAVAILABLE}
AT_ONCE = {
    400: code_pb2.FAILED_PRECONDITION,
    401: code_pb2.PERMISSION_DENIED,
    403: code_pb2.PERMISSION_DENIED,
    404: code_pb2.NOT_FOUND,
}


@pytest.mark.parametrize("trouble", [*LASTING, *AT_ONCE])
def test_trouble_that_stays_ends_in_time_with_the_right_code_and_the_name(rough, trouble):
    rough.proxy.always(trouble)
    acts = [
        rough.impatient.get,
        lambda uri: rough.impatient.put_once(uri, b"x"),
    ]
    if trouble in AT_ONCE:
        acts += [
            lambda uri: list(rough.impatient.list(uri)),
            rough.impatient.head,
            lambda uri: list(rough.impatient.stream(uri)),
            lambda uri: rough.impatient.put(uri, b"x"),
        ]
    for act in acts:
        rough.proxy.seen.clear()
        with promptly(IMPATIENCE_S + 0.5 + MARGIN_S), pytest.raises(errors.ApiError, match=str(rough.there)) as raised:
            act(rough.there)
        assert raised.value.code == {**LASTING, **AT_ONCE}[trouble]
        if trouble in AT_ONCE:
            assert len(rough.proxy.seen) == 1, "an answer that stays was asked for again"
    rough.proxy.then()
    assert rough.stores.get(rough.there) == CONTENT


def test_a_write_whose_answer_got_lost_is_there_once(rough):
    uri = rough.root.child("lost")
    rough.proxy.then("swallow")
    rough.stores.put_once(uri, b"mine")
    assert rough.stores.get(uri) == b"mine"
    assert rough.stores.put_once(uri, b"other") is False
    assert rough.stores.get(uri) == b"mine"


def test_a_store_that_is_gone_is_unavailable(tmp_path, free_port):
    choices = objects.StoreConfig(gs="cloud", gs_emulator=f"127.0.0.1:{free_port}", retry_s=0.3)
    stores = objects.Stores(tmp_path, tmp_path / "state", choices)
    with pytest.raises(errors.ApiError, match="gs://b/key cannot be reached now") as raised:
        stores.get(objects.ObjectUri.parse("gs://b/key"))
    assert raised.value.code == code_pb2.UNAVAILABLE


# ---- the disk ---------------------------------------------------------------------------------------------------

FULL = "Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)"
BROKEN = "Generic LocalFileSystem error: Unable to copy data to file: Input/output error (os error 5)"
READ_ONLY = "Generic LocalFileSystem error: Unable to create file: Read-only file system (os error 30)"


@pytest.fixture
def disk(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[objects.Stores, list[str]]]:
    """Stores in a folder, and the list of what the next writes meet."""
    (tmp_path / "buckets/b").mkdir(parents=True)
    stores = objects.Stores(tmp_path / "buckets", tmp_path / "state", objects.StoreConfig(retry_s=2))
    troubles: list[str] = []
    put = obstore.put

    def put_with_trouble(*arguments: object, **options: object) -> object:
        if troubles:
            raise exceptions.GenericError(troubles.pop(0))
        return put(*arguments, **options)

    monkeypatch.setattr(obstore, "put", put_with_trouble)
    yield stores, troubles


@pytest.mark.parametrize("trouble", [FULL, BROKEN])
def test_a_full_or_failing_disk_is_waited_for(disk, trouble):
    stores, troubles = disk
    troubles += [trouble, trouble]
    assert stores.put_once(objects.ObjectUri.parse("gs://b/key"), b"x") is True
    troubles += [trouble]
    stores.put(stores.state("plan/header.json"), b"x")
    assert not troubles
    assert stores.exists(stores.state("plan/header.json"))


@pytest.mark.parametrize(
    ("trouble", "code", "left"),
    [(FULL, code_pb2.UNAVAILABLE, 0), (READ_ONLY, code_pb2.PERMISSION_DENIED, 999)],
)
def test_a_disk_that_stays_full_or_is_read_only_ends_the_call(disk, trouble, code, left):
    stores, troubles = disk
    troubles += [trouble] * 1000
    with pytest.raises(
        errors.ApiError, match=r"gs://b/key .*: (No space left on device|Read-only file system)$"
    ) as raised:
        stores.put(objects.ObjectUri.parse("gs://b/key"), b"x")
    assert raised.value.code == code
    assert len(troubles) >= left
