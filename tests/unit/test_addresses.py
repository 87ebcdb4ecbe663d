"""Addresses as people write them: what is said of each, and which other name is tried."""

from __future__ import annotations

import pathlib
import unicodedata

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from boxwright import objects
from boxwright.objects import addresses

UNUSABLE = [
    ("s3://b/a.jpg", "s3:// is not served by this installation, only gs://; the setting schemes"),
    ("az://c/a.jpg", "az:// is not served by this installation, only gs://"),
    ("file:///photos/a.jpg", "file:// is served below the folders that the setting file_roots names"),
    ('"gs://b/a.jpg"', "take away the quotes"),
    ("“gs://b/a.jpg”", "take away the quotes"),
    ("<gs://b/a.jpg>", "take away the quotes, brackets"),
    ("\ufeffgs://b/a.jpg", "invisible characters"),
    ("\u200bgs://b/a.jpg", "invisible characters"),
    ("GS://b/a.jpg", "write the scheme in small letters"),
    ("gs:/b/a.jpg", "two slashes stand before the bucket"),
    ("gs:b/a.jpg", "two slashes stand before the bucket"),
    ("gs:\\\\b\\a.jpg", "two slashes stand before the bucket"),
    ("https://storage.googleapis.com/b/my%20cat.jpg", "write the object's address, gs://b/my cat.jpg"),
    ("https://storage.cloud.google.com/b/a.jpg?authuser=1", "write the object's address, gs://b/a.jpg"),
    ("https://b.storage.googleapis.com/d/a.jpg", "write the object's address, gs://b/d/a.jpg"),
    ("https://console.cloud.google.com/storage/browser/_details/b/a.jpg", "write the object's address, gs://b/a.jpg"),
    ("https://b.s3.eu-west-1.amazonaws.com/a.jpg", "write the object's address, s3://b/a.jpg"),
    ("https://s3.amazonaws.com/b/a.jpg", "write the object's address, s3://b/a.jpg"),
    ("https://acc.blob.core.windows.net/c/a.jpg", "write the object's address, az://c/a.jpg"),
    ("http://example.org/a.jpg", "web addresses are not read"),
    ("C:\\photos\\a.jpg", "a path of a Windows machine"),
    ("d:/photos/a.jpg", "a path of a Windows machine"),
    ("\\\\server\\share\\a.jpg", "a path of a Windows machine"),
    ("/photos/a.jpg", "a path of some machine"),
    ("./a.jpg", "a path of some machine"),
    ("b/a.jpg", "write the whole address"),
    ("nonsense", "it does not start with gs://"),
    ("state://boxwright/metadata.sqlite", "it does not start with gs://"),
]


@pytest.mark.parametrize(("text", "why"), UNUSABLE)
def test_a_text_that_is_no_address_is_told_what_to_write(text, why):
    with pytest.raises(objects.BadUri) as raised:
        objects.caller_uri(text)
    assert why in raised.value.message
    assert raised.value.code == code_pb2.INVALID_ARGUMENT


def test_the_parameters_of_a_web_address_are_not_repeated():
    with pytest.raises(objects.BadUri) as raised:
        objects.caller_uri("https://storage.googleapis.com/b/a.jpg?X-Goog-Signature=5f3c")
    assert "5f3c" not in raised.value.message


@given(st.text(max_size=60) | st.sampled_from(["gs://", "https://", "C:\\", "//", "https://["]).flatmap(
    lambda start: st.text(max_size=30).map(lambda rest: start + rest)
))  # fmt: skip
def test_any_text_is_an_address_or_a_bad_uri(text):
    try:
        assert objects.caller_uri(text).scheme == "gs"
    except objects.BadUri as error:
        assert error.message


OTHER_NAMES = [
    ("my%20cat.jpg", "my cat.jpg", "not percent-encoded"),
    ("my cat.jpg", "my%20cat.jpg", "percent-encoded; write it so"),
    ("a.jpg;car;0.5", "a.jpg", "separate the columns by commas"),
    ("a.jpg\tcar", None, None),  # a control character: never an object
    ("dir\\a.jpg", "dir/a.jpg", "write / between folders"),
    ("a.jpg\u200b", "a.jpg", "invisible characters"),
    ("a.jpg’", "a.jpg", "quotes"),
    (unicodedata.normalize("NFD", "ä.jpg"), unicodedata.normalize("NFC", "ä.jpg"), "Unicode form (NFC)"),
    (unicodedata.normalize("NFC", "ä.jpg"), unicodedata.normalize("NFD", "ä.jpg"), "Unicode form (NFD)"),
    ("..%2Fsecret.jpg", None, None),
]


@pytest.mark.parametrize(("written", "there", "hint"), OTHER_NAMES)
def test_a_missing_object_names_the_one_of_another_spelling_that_is_there(tmp_path: pathlib.Path, written, there, hint):
    bucket = tmp_path / "buckets" / "b"
    (bucket / "dir").mkdir(parents=True)
    (tmp_path / "buckets" / "secret.jpg").write_bytes(b"x")
    if there is not None:
        (bucket / there).write_bytes(b"x")
    breaker = objects.Breaker(objects.Stores(bucket.parent, tmp_path / "state"))
    with pytest.raises(objects.ObjectNotFound) as raised:
        breaker.get(objects.ObjectUri("gs", "b", written), max_bytes=100)
    message = raised.value.message
    assert message.startswith(f"gs://b/{written} does not exist")
    assert message.endswith(".")
    if there is None:
        assert "secret" not in message.removeprefix(f"gs://b/{written}")
    else:
        assert f"; gs://b/{there} does: " in message
        assert hint in message


@pytest.mark.parametrize("key", ["a.jpg", "dir/sub/a-b_c.1.jpg", "0001.JPEG"])
def test_ordinary_names_cost_no_further_question(key):
    assert list(addresses.other_keys(key)) == []


def test_a_folder_is_called_one(tmp_path: pathlib.Path):
    (tmp_path / "buckets" / "b" / "images").mkdir(parents=True)
    stores = objects.Stores(tmp_path / "buckets", tmp_path / "state")
    for read in (stores.get, stores.head):
        with pytest.raises(
            objects.ObjectNotFound, match=r"gs://b/images does not exist; it is a folder: name an object"
        ):
            read(objects.ObjectUri.parse("gs://b/images"))
