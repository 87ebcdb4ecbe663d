"""Every object store keeps the same promises: folders, file://, S3, Azure, and Google Cloud Storage in both its forms.

S3, Azure and the emulator of GCS are real emulators in processes of their own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import pathlib
import threading
from collections.abc import Callable, Iterator

import pytest
from google.rpc import code_pb2
from tests.support.stores import object_servers
from tests.support.stores.object_servers import BUCKET, ObjectServer

from boxwright import errors, objects

KINDS = ("folder", "file", "s3", "az", "gs emulator", "gs cloud")
MANY_KEYS = 3000  # 1,200 where an emulator is slow: still more than the page of 1,000
_prefixes = itertools.count()


@dataclasses.dataclass(frozen=True)
class Place:
    """Stores with a fresh, empty prefix in one of them."""

    kind: str
    stores: objects.Stores
    root: objects.ObjectUri

    @property
    def is_local(self) -> bool:
        """Whether objects are files of this machine."""
        return self.kind in ("folder", "file")

    def put(self, key: str, data: bytes = b"content") -> objects.ObjectUri:
        """Writes an object below the prefix."""
        uri = self.root.child(key)
        self.stores.put(uri, data)
        return uri


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], tuple[objects.Stores, str]]]:
    """Opens stores of each kind, on servers that are started when they are first needed."""
    folder = tmp_path_factory.mktemp("stores")
    servers = {
        "s3": object_servers.moto,
        "az": lambda: object_servers.azurite(folder),
        "gs emulator": object_servers.fake_gcs,
        "gs cloud": object_servers.double_of_gcs,
    }
    (folder / "buckets" / BUCKET).mkdir(parents=True)
    opened: dict[str, tuple[objects.Stores, str]] = {}
    with contextlib.ExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())

        def open_kind(kind: str) -> tuple[objects.Stores, str]:
            if kind not in opened:
                server = stack.enter_context(servers[kind]()) if kind in servers else None
                for name, value in (server.environment(server.address) if server else {}).items():
                    environment.setenv(name, value)
                choices = _choices(kind, server, folder)
                scheme = choices.served[-1]
                base = f"file://{folder}/buckets/{BUCKET}" if scheme == "file" else f"{scheme}://{BUCKET}"
                opened[kind] = objects.Stores(folder / "buckets", folder / "state", choices), base
            return opened[kind]

        yield open_kind


def _choices(kind: str, server: ObjectServer | None, folder: pathlib.Path) -> objects.StoreConfig:
    if server is None:
        return objects.StoreConfig(file_roots=(str(folder / "buckets"),) if kind == "file" else ())
    emulator = server.address if server.is_emulator else None
    return objects.StoreConfig(gs="cloud", schemes=(server.scheme,), gs_emulator=emulator, retry_s=10)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, kinds: Callable[[str], tuple[objects.Stores, str]]) -> Place:
    stores, base = kinds(request.param)
    return Place(request.param, stores, objects.ObjectUri.parse(f"{base}/test{next(_prefixes)}"))


def test_what_was_put_is_read_whole_and_as_a_stream(place):
    uri = place.put("a/b.jpg", b"some bytes")
    assert place.stores.get(uri) == b"some bytes"
    assert b"".join(place.stores.stream(uri)) == b"some bytes"
    info = place.stores.head(uri)
    assert (info.uri, info.size_bytes) == (uri, 10)
    assert info.e_tag


def test_an_empty_object_is_an_object(place):
    uri = place.put("empty", b"")
    assert place.stores.exists(uri)
    assert place.stores.get(uri) == b"".join(place.stores.stream(uri)) == b""


def test_the_start_of_an_object_is_read_without_the_rest(place):
    uri = place.put("long", b"0123456789")
    assert place.stores.start(uri, 4) == (place.stores.head(uri), b"0123")
    assert place.stores.start(uri, 10)[1] == place.stores.start(uri, 11)[1] == b"0123456789"
    assert place.stores.start(place.put("empty", b""), 4)[1] == b""
    with pytest.raises(objects.ObjectNotFound):
        place.stores.start(place.root.child("none"), 4)


def test_hasty_stores_are_the_same_stores(place):
    uri = place.put("a.jpg", b"some bytes")
    hasty = place.stores.hasty(5.0)
    assert hasty.get(uri) == b"some bytes"
    assert hasty.state("x") == place.stores.state("x")
    assert hasty.schemes == place.stores.schemes


def test_a_folder_is_called_one_and_another_spelling_is_found(place):
    place.put("dir/my cat.jpg")
    for key, hint in (("dir", "it is a folder"), ("dir/my%20cat.jpg", f"{place.root}/dir/my cat.jpg does: ")):
        uri = place.root.child(key)
        with pytest.raises(objects.ObjectNotFound) as raised:
            place.stores.head(uri)
        assert hint in objects.explained(place.stores, uri, raised.value, asks_for_folder=True).message
    nothing = place.root.child("nothing%20here")
    with pytest.raises(objects.ObjectNotFound) as raised:
        place.stores.head(nothing)
    assert objects.explained(place.stores, nothing, raised.value, asks_for_folder=True) is raised.value


def test_put_replaces_and_the_entity_tag_tells(place):
    before = place.stores.head(place.put("list.csv", b"one"))
    uri = place.put("list.csv", b"two")
    assert place.stores.get(uri) == b"two"
    assert place.stores.head(uri) != before


def test_put_once_writes_the_first_time_only(place):
    uri = place.root.child("plan/header.json")
    assert place.stores.put_once(uri, b"first") is True
    assert place.stores.put_once(uri, b"second") is False
    assert place.stores.get(uri) == b"first"


def test_of_many_who_put_once_exactly_one_wrote(place):
    uri, wrote = place.root.child("race"), []
    start = threading.Barrier(6)

    def put(number: int) -> None:
        start.wait()
        if place.stores.put_once(uri, bytes([number]) * 1000):
            wrote.append(number)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrote) == 1
    assert place.stores.get(uri) == bytes(wrote) * 1000


ODD_NAMES = [
    "ä +%20#?.jpg",
    "%2e%2e",
    "a b",
    "k=v&w;x",
    "~",
    "日本語/…",
    "2024-01-01T00:00:00.000Z",
    "'\"<>",
    "(1)@!$*,",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_every_character_of_a_name_is_taken_as_it_stands(place, name):
    uri = place.put(name, name.encode())
    assert place.stores.get(uri) == name.encode()
    assert place.stores.head(uri).size_bytes == len(name.encode())
    assert [str(info.uri) for info in place.stores.list(place.root)] == [str(uri)]
    assert place.stores.put_once(uri, b"other") is False


def test_names_that_differ_only_in_their_spelling_are_different_objects(place):
    names = ["a b", "a+b", "a%20b", "a%2520b"]
    uris = [place.put(name, name.encode()) for name in names]
    assert [place.stores.get(uri).decode() for uri in uris] == names


def test_an_object_that_is_not_there_is_named(place):
    uri = place.root.child("nothing.jpg")
    for read in (place.stores.get, place.stores.head, lambda uri: list(place.stores.stream(uri))):
        with pytest.raises(objects.ObjectNotFound, match=r"nothing\.jpg") as raised:
            read(uri)
        assert raised.value.code == code_pb2.NOT_FOUND
    assert not place.stores.exists(uri)


def test_a_prefix_is_no_object(place):
    place.put("folder/object")
    for key in ("folder", "folder/"):
        with pytest.raises(objects.ObjectNotFound):
            place.stores.get(place.root.child(key))
    if place.root.scheme != "file":  # which has no buckets
        with pytest.raises(objects.ObjectNotFound):
            place.stores.get(dataclasses.replace(place.root, key=""))


def test_a_bucket_that_is_not_there_is_not_found(place):
    if place.root.scheme == "file":
        pytest_uri = dataclasses.replace(place.root, key="not/allowed/key")
        expected = code_pb2.PERMISSION_DENIED  # file:// has allowed folders instead of buckets
    else:
        pytest_uri = dataclasses.replace(place.root, bucket="nowhere-at-all", key="key")
        expected = code_pb2.NOT_FOUND
    for act in (
        place.stores.get,
        place.stores.head,
        place.stores.check_bucket,
        lambda uri: place.stores.put(uri, b""),
        lambda uri: place.stores.put_once(uri, b""),
        lambda uri: list(place.stores.list(uri)),
    ):
        with pytest.raises(errors.ApiError, match="key") as raised:
            act(pytest_uri)
        assert raised.value.code == expected


def test_a_bucket_that_is_there_passes_even_if_the_folder_in_it_does_not_exist(place):
    place.stores.check_bucket(place.root)
    place.stores.check_bucket(place.root.child("out"))
    place.stores.sweep_unfinished(place.root.child("out"))


def test_an_object_above_the_limit_is_refused_with_both_numbers(place):
    uri = place.put("large.jpg", bytes(11))
    assert place.stores.get(uri, max_bytes=11) == bytes(11)
    with pytest.raises(errors.ApiError, match=r"large\.jpg has 11 bytes; the limit is 10"):
        place.stores.get(uri, max_bytes=10)


def test_a_large_object_is_put_whole_and_streams_in_pieces(place):
    content = os.urandom(12 << 20)  # above what is uploaded in one request
    uri = place.put("large", content)
    chunks = list(place.stores.stream(uri))
    assert b"".join(chunks) == content
    assert max(map(len, chunks)) < len(content) / 2
    assert place.stores.get(uri) == content
    assert place.stores.put_once(place.root.child("large_once"), content) is True
    assert place.stores.head(place.root.child("large_once")).size_bytes == len(content)


def test_a_list_is_in_order_and_has_only_what_lies_below_the_folder(place):
    names = ["a", "a-b", "a/b", "a/b/c", "a0", "b", "z/10", "z/9", "Z", "é"]
    for name in _without_clashes(names) if place.is_local else names:
        place.put(f"in/{name}", name.encode())
    place.put("in2/x")
    found = list(place.stores.list(place.root.child("in")))
    keys = [info.uri.key for info in found]
    assert keys == sorted(keys)
    assert all(f"/in/{place.stores.get(info.uri).decode()}" in info.uri.key for info in found)
    assert len(found) >= 8
    assert list(place.stores.list(place.root.child("empty"))) == []
    assert {info.uri for info in place.stores.list(place.root.child("in/"))} == {info.uri for info in found}


def test_keys_come_in_order_and_from_behind_any_of_them(place):
    names = ["a", "a-b", "a/b", "a/b/c", "a0", "b", "z/10", "z/9", "Z", "é", "日本/x"]
    for name in _without_clashes(names) if place.is_local else names:
        place.put(f"in/{name}", b"x")
    place.put("in2/x")
    folder = place.root.child("in")
    keys = [key for page in place.stores.keys(folder) for key in page]
    assert keys == sorted((info.uri.key for info in place.stores.list(folder)), key=str.encode)
    for index, key in enumerate(keys):
        assert [other for page in place.stores.keys(folder, key) for other in page] == keys[index + 1 :]
    assert list(place.stores.keys(place.root.child("empty"))) == []


def test_a_part_of_an_object_is_read(place):
    uri = place.put("long", b"0123456789")
    assert place.stores.range(uri, 2, 3) == b"234"
    assert place.stores.range(uri, 8, 5) == b"89"
    with pytest.raises(objects.ObjectNotFound):
        place.stores.range(place.root.child("none"), 0, 4)


def _without_clashes(names: list[str]) -> list[str]:
    """Names that can be files beside each other: none is a folder of another."""
    return [name for name in names if not any(other.startswith(name + "/") for other in names)]


def _put_many(place: Place, count: int) -> None:
    numbers = iter(range(count))
    lock = threading.Lock()

    def put() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            place.put(f"many/{number:06d}.jpg", b"x")

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_list_of_many_keys_is_complete(place):
    count = MANY_KEYS if place.is_local else 1200
    _put_many(place, count)
    keys = [info.uri.key.rpartition("/")[2] for info in place.stores.list(place.root.child("many"))]
    assert keys == [f"{number:06d}.jpg" for number in range(count)]
    beside = place.put("many.jpg")
    for _ in range(2):
        place.stores.delete_below(place.root.child("many"))
        assert [key for page in place.stores.keys(place.root) for key in page] == [beside.key]


@pytest.mark.full
def test_a_list_of_a_hundred_thousand_keys_is_complete(place):
    if place.is_local:
        count = 100_000
        folder = pathlib.Path(place.stores.to_config()["buckets_dir"]) / BUCKET / place.root.key.rpartition("/")[2]
        (folder / "many").mkdir(parents=True)
        for number in range(count):
            (folder / f"many/{number:06d}.jpg").touch()
    else:
        count = 100_000 if place.kind == "gs cloud" else 5_000  # slow emulators
        _put_many(place, count)
    numbers = [int(info.uri.key[-10:-4]) for info in place.stores.list(place.root.child("many"))]
    assert numbers == list(range(count))


def test_another_process_would_open_the_same_stores(place):
    uri = place.put("key")
    assert objects.Stores.from_config(place.stores.to_config()).get(uri) == b"content"
    assert "secret" not in str(place.stores.to_config())


def test_what_lies_below_an_object_is_no_destination(place):
    obstacle = place.put("results.csv", b"1,2,3")
    for uri in (obstacle, obstacle.child("deep/er"), objects.ObjectUri.parse(f"{obstacle}/")):
        with pytest.raises(errors.ApiError, match="is an object, not a folder") as refused:
            place.stores.check_destination(uri)
        assert refused.value.code == code_pb2.FAILED_PRECONDITION
        assert f"{obstacle} is an object" in refused.value.message
    for fine in (place.root, place.root.child("new/folder"), place.root.child("results.csv2")):
        place.stores.check_destination(fine)


@pytest.mark.parametrize("place", [kind for kind in KINDS if kind != "file"], indirect=True)
def test_a_destination_needs_its_bucket(place):
    nowhere = objects.ObjectUri(place.root.scheme, "no-such-bucket", "out")
    with pytest.raises(objects.ObjectNotFound, match="no-such-bucket"):
        place.stores.check_destination(nowhere)


def test_a_folder_holds_something_or_nothing(place):
    assert not place.stores.holds_anything(place.root.child("out"))
    uri = place.put("out/deep/file", b"")
    assert place.stores.holds_anything(place.root.child("out"))
    assert not place.stores.holds_anything(place.root.child("ou"))
    for _ in range(2):
        place.stores.delete_written(uri)
    assert not place.stores.holds_anything(place.root.child("out"))
    assert not place.stores.exists(uri)


@pytest.mark.parametrize("place", ["folder", "file"], indirect=True)
def test_no_message_has_a_path_of_this_machine(place):
    place.put("object", b"1")
    place.put("folder/object", b"1")
    stores, root = place.stores, place.root
    calls: list[Callable[[], object]] = [
        lambda: stores.put(root.child("object/below"), b"1"),
        lambda: stores.put_once(root.child("object/deep/below"), b"1"),
        lambda: stores.put(root.child("folder"), b"1"),
        lambda: list(stores.list(root.child("object/below"))),
        lambda: stores.put(root.child("n" * 300), b"1"),
        lambda: stores.get(root.child("n" * 300)),
        lambda: stores.check_destination(root.child("n" * 300 + "/x")),
        lambda: stores.get(root.child("folder")),
        lambda: list(stores.stream(root.child("object/below"))),
    ]
    for call in calls:
        with pytest.raises(errors.ApiError) as refused:
            call()
        rest = refused.value.message.replace(str(root), "")
        assert "/tmp" not in rest and "buckets" not in rest and "LocalFileSystem" not in rest, refused.value.message
        assert code_pb2.Code.Name(refused.value.code) != "UNAVAILABLE", refused.value.message
