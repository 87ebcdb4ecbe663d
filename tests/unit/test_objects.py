"""Object stores: reading, writing once, and the walls that nothing gets through."""

from __future__ import annotations

import os
import pathlib
import threading

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from boxwright import errors, objects
from boxwright.objects import folders

parse = objects.ObjectUri.parse


REFUSED_URIS = [
    "",
    "b/key",
    "/etc/passwd",
    "http://b/key",
    "file://host/key",
    "file:///a/../key",
    "s3://b/../key",
    "az:///key",
    "GS://b/key",
    "gs:/b/key",
    "gs://",
    "gs:///key",
    "gs://../key",
    "gs://./key",
    "gs://.hidden/key",
    "gs://b b/key",
    "gs://b%2f/key",
    "gs://b//key",
    "gs://b/a//key",
    "gs://b/../key",
    "gs://b/a/../../key",
    "gs://b/a/..",
    "gs://b/./key",
    "gs://b/a/.",
    "gs://b//etc/passwd",
    "gs://b/key\n",
    "gs://b/k\0y",
    "gs://b/k\x7fy",
    "gs://b/" + "k" * 2000,
]


@pytest.mark.parametrize("text", REFUSED_URIS)
def test_a_text_that_is_no_usable_uri_is_refused_by_name(text):
    with pytest.raises(objects.BadUri, match=r"is not a usable (gs|s3|az|file):// path") as raised:
        parse(text)
    assert raised.value.code == code_pb2.INVALID_ARGUMENT
    assert len(raised.value.message) < 400


@given(st.text(max_size=60) | st.lists(st.sampled_from(["gs://", "b", "/", "..", ".", "a", "\\", "%2e"])).map("".join))
def test_a_parsed_uri_never_leads_out_of_its_bucket(text):
    try:
        uri = parse(text)
    except objects.BadUri:
        return
    root = "/buckets/" + uri.bucket
    assert os.path.normpath(f"{root}/{uri.key}").startswith(root)
    assert "/" not in uri.bucket


ODD_KEYS = [
    "plain.jpg",
    "a/b/c.jpg",
    "ä +%20#?.jpg",
    "%2e%2e/x",
    "a b",
    "x#12y",
    "~",
    "ÄÖ/日本語.png",
    "a\\b",
    "k=v&w",
    "…",
]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_an_object_is_the_file_of_exactly_its_name(bucket, stores, key):
    uri = parse(f"gs://b/{key}")
    assert str(uri) == f"gs://b/{key}"
    stores.put(uri, b"content")
    assert (bucket / key).read_bytes() == b"content"
    assert stores.get(uri) == b"content"
    assert b"".join(stores.stream(uri)) == b"content"
    assert stores.head(uri).size_bytes == 7


def test_a_file_put_by_hand_is_read_whatever_it_is_called(bucket, stores):
    (bucket / "ä +%20#?.jpg").write_bytes(b"x")
    assert stores.get(parse("gs://b/ä +%20#?.jpg")) == b"x"


def test_put_once_writes_the_first_time_only(stores):
    uri = parse("gs://b/deep/in/plan.json")
    assert stores.put_once(uri, b"first") is True
    assert stores.put_once(uri, b"second") is False
    assert stores.get(uri) == b"first"


def test_of_many_who_put_once_exactly_one_wrote(stores):
    uri, wrote = parse("gs://b/race"), []
    start = threading.Barrier(8)

    def put(number: int) -> None:
        start.wait()
        if stores.put_once(uri, bytes([number]) * 1000):
            wrote.append(number)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrote) == 1
    assert stores.get(uri) == bytes(wrote) * 1000


def test_put_replaces_and_the_entity_tag_tells(stores):
    uri = parse("gs://b/list.csv")
    stores.put(uri, b"one")
    before = stores.head(uri)
    stores.put(uri, b"two")
    assert stores.get(uri) == b"two"
    assert stores.head(uri) != before


def test_an_empty_object_is_an_object(stores):
    uri = parse("gs://b/empty")
    stores.put(uri, b"")
    assert stores.exists(uri)
    assert stores.get(uri) == b""
    assert list(stores.stream(uri)) in ([], [b""])


def test_a_large_object_streams_in_pieces(bucket, stores):
    content = os.urandom(5 << 20)
    (bucket / "large").write_bytes(content)
    chunks = list(stores.stream(parse("gs://b/large")))
    assert b"".join(chunks) == content
    assert max(map(len, chunks)) <= 2 * objects.STREAM_CHUNK_BYTES


def test_an_object_above_the_limit_is_refused_with_both_numbers(stores):
    uri = parse("gs://b/large.jpg")
    stores.put(uri, bytes(11))
    assert stores.get(uri, max_bytes=11) == bytes(11)
    with pytest.raises(errors.ApiError, match=r"gs://b/large\.jpg has 11 bytes; the limit is 10") as raised:
        stores.get(uri, max_bytes=10)
    assert raised.value.code == code_pb2.INVALID_ARGUMENT


def _make_fifo(path: pathlib.Path) -> None:
    os.mkfifo(path)


def _make_loop(path: pathlib.Path) -> None:
    path.symlink_to(path.name)


NO_OBJECTS = {
    "nothing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a fifo": _make_fifo,
    "a dangling link": lambda path: path.symlink_to("gone"),
    "a link to itself": _make_loop,
}


@pytest.mark.parametrize("what", NO_OBJECTS)
@pytest.mark.parametrize("read", ["get", "stream", "head"])
def test_what_is_no_regular_file_is_no_object_and_never_blocks(bucket, stores, what, read):
    NO_OBJECTS[what](bucket / "key")
    with pytest.raises(errors.ApiError, match="gs://b/key") as raised:
        list(getattr(stores, read)(parse("gs://b/key")))
    assert raised.value.code in (code_pb2.NOT_FOUND, code_pb2.INVALID_ARGUMENT, code_pb2.PERMISSION_DENIED)


def test_an_object_below_a_file_is_not_found(stores):
    stores.put(parse("gs://b/file"), b"x")
    with pytest.raises(objects.ObjectNotFound, match="gs://b/file/below does not exist"):
        stores.get(parse("gs://b/file/below"))
    assert not stores.exists(parse("gs://b/file/below"))


def test_writing_below_a_file_is_an_error_that_names_the_object(stores):
    stores.put(parse("gs://b/file"), b"x")
    with pytest.raises(errors.ApiError, match="gs://b/file/below"):
        stores.put(parse("gs://b/file/below"), b"y")


def test_a_name_that_no_file_system_takes_is_an_error_that_names_it(stores):
    with pytest.raises(errors.ApiError, match="nnnn") as raised:
        stores.get(parse("gs://b/" + "n" * 300))
    assert raised.value.code == code_pb2.INVALID_ARGUMENT


def test_a_bucket_that_is_not_there_is_named(stores):
    for act in (stores.get, stores.head, stores.check_bucket, lambda uri: stores.put(uri, b"")):
        with pytest.raises(objects.ObjectNotFound, match="no bucket 'nowhere'"):
            act(parse("gs://nowhere/key"))


@pytest.fixture
def outside(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(b"secret")
    return folder


WALLS = {
    "a link to a file outside": ("key", lambda bucket, outside: (bucket / "key").symlink_to(outside / "secret")),
    "a link to a folder outside": ("out/secret", lambda bucket, outside: (bucket / "out").symlink_to(outside)),
    "a relative link outside": ("out/secret", lambda bucket, outside: (bucket / "out").symlink_to("../../outside")),
    "a link to a link outside": (
        "second/secret",
        lambda bucket, outside: ((bucket / "first").symlink_to(outside), (bucket / "second").symlink_to("first")),
    ),
    "a link to a neighbour with the bucket's name before its own": (
        "key",
        lambda bucket, outside: (
            bucket.with_name("bb").mkdir(),
            (bucket.parent / "bb" / "secret").write_bytes(b"secret"),
            (bucket / "key").symlink_to(bucket.parent / "bb" / "secret"),
        ),
    ),
}


@pytest.mark.parametrize("what", WALLS)
def test_a_path_that_leaves_its_bucket_is_neither_read_nor_written(bucket, stores, outside, what):
    key, make = WALLS[what]
    make(bucket, outside)
    uri = parse(f"gs://b/{key}")
    for act in (
        stores.get,
        stores.head,
        lambda uri: list(stores.stream(uri)),
        lambda uri: stores.put(uri, b"mine"),
        lambda uri: stores.put_once(uri, b"mine"),
    ):
        with pytest.raises(errors.ApiError, match="leads out of its bucket") as raised:
            act(uri)
        assert raised.value.code == code_pb2.PERMISSION_DENIED
    assert (outside / "secret").read_bytes() == b"secret"


def test_nothing_new_is_written_through_a_link_out(bucket, stores, outside):
    (bucket / "out").symlink_to(outside)
    for key in ("out/new", "out/deep/new"):
        with pytest.raises(errors.ApiError, match="leads out of its bucket"):
            stores.put(parse(f"gs://b/{key}"), b"mine")
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


def test_a_bucket_that_is_a_link_is_no_bucket(bucket, stores, outside):
    (bucket.parent / "linked").symlink_to(outside)
    with pytest.raises(objects.ObjectNotFound, match="no bucket 'linked'"):
        stores.get(parse("gs://linked/secret"))


def test_a_link_that_stays_inside_its_bucket_is_followed(bucket, stores):
    (bucket / "real").write_bytes(b"x")
    (bucket / "link").symlink_to("real")
    assert stores.get(parse("gs://b/link")) == b"x"


def test_leftovers_of_killed_writers_are_swept_and_nothing_else(bucket, stores):
    folder = bucket / "out"
    folder.mkdir()
    kept = ["image_object_detection_1.jsonl", "errors_1.jsonl", "a#b", "#1.jsonl"]
    for name in [*kept, "image_object_detection_2.jsonl#1", "errors_1.jsonl#23"]:
        (folder / name).write_bytes(b"x")
    (folder / "folder#1").mkdir()
    stores.sweep_unfinished(parse("gs://b/out"))
    assert sorted(path.name for path in folder.iterdir()) == sorted([*kept, "folder#1"])
    stores.sweep_unfinished(parse("gs://b/not/there"))


def test_the_name_of_a_file_that_is_being_written_is_one_that_is_swept(bucket, stores):
    """Watches a real write: whatever it is staged under must be what `sweep_unfinished` removes."""
    names: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            names.update(path.name for path in bucket.iterdir())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(30):
        stores.put(parse("gs://b/image_object_detection_1.jsonl"), bytes(8 << 20))
    done.set()
    watcher.join()
    staged = names - {"image_object_detection_1.jsonl"}
    assert staged, "no write was seen under way"
    assert all(folders.STAGING.search(name) for name in staged)


def test_only_the_services_own_state_is_ever_deleted(bucket, stores):
    stores.put(parse("gs://b/a/key"), b"x")
    with pytest.raises(ValueError, match="only the service's own state"):
        stores.delete_prefix(parse("gs://b/a"))
    stores.put(stores.state("operations/o/plan.json"), b"x")
    stores.put(stores.state("operations/other/plan.json"), b"x")
    stores.delete_prefix(stores.state("operations/o"))
    assert not stores.exists(stores.state("operations/o/plan.json"))
    assert stores.exists(stores.state("operations/other/plan.json"))


def test_another_process_opens_the_same_stores_from_their_description(stores):
    stores.put(parse("gs://b/key"), b"x")
    assert objects.Stores.from_config(stores.to_config()).get(parse("gs://b/key")) == b"x"


def test_a_child_of_a_prefix_has_one_slash_whatever_the_prefix_ends_in():
    assert str(parse("gs://b/out/").child("x")) == str(parse("gs://b/out").child("x")) == "gs://b/out/x"
    assert str(parse("gs://b").child("x")) == str(parse("gs://b/").child("x")) == "gs://b/x"
