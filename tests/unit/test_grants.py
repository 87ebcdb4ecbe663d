"""Grants: a folder contains a path or it does not, whatever the names look like; stores that are limited to grants."""

from __future__ import annotations

import json
import pathlib
import unicodedata

import pytest
from google.rpc import code_pb2, error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from boxwright import errors, objects
from boxwright.objects.grants import LIST, READ, WRITE, Grant, Grants

_SEGMENTS = ["in", "in2", "i", "In", "in ", "in%2f", "%2e", "%2e%2e", "...", "é", "e\u0301", "ｉｎ", "a.jpg", "in\\x"]
_BUCKETS = ["photos", "photos2", "photo", "Photos"]
_keys = st.lists(st.sampled_from(_SEGMENTS), max_size=4).map("/".join)
_folders = st.lists(st.sampled_from(_SEGMENTS), max_size=3).map(lambda parts: "".join(f"{part}/" for part in parts))


def _uri(text: str) -> objects.ObjectUri:
    return objects.ObjectUri.parse(text)


def _steps(key: str) -> tuple[str, ...]:
    return tuple(key.split("/"))[: -1 if key.endswith("/") else None] if key else ()


@given(st.sampled_from(_BUCKETS), _folders, st.sampled_from(_BUCKETS), _keys, st.booleans(), st.booleans())
def test_a_grant_allows_what_its_folder_contains_and_nothing_else(bucket, folder, other, key, can_read, can_write):
    grants = Grants("ci@x", (Grant.parse(f"gs://{bucket}/{folder}", can_read=can_read, can_write=can_write),))
    uri = _uri(f"gs://{other}/{key}")
    path, granted = pathlib.PurePosixPath("/", other, *_steps(key)), pathlib.PurePosixPath("/", bucket, *_steps(folder))
    is_inside = granted in path.parents or (path == granted and not folder)
    assert grants.allows(uri, READ) == grants.allows(uri, LIST) == (is_inside and can_read)
    assert grants.allows(uri, WRITE) == (is_inside and can_write)
    as_folder = granted == path or granted in path.parents
    assert grants.allows(uri.folder, WRITE) == (as_folder and can_write)
    assert not grants.allows(objects.ObjectUri("s3", other, key), READ)


@pytest.mark.parametrize(
    "text",
    ["gs://photos/in", "gs://photos/../", "gs://photos/in//", "gs://photos/./", "state://boxwright/", "photos/", ""],
)
def test_what_is_no_folder_is_not_granted(text):
    with pytest.raises(objects.BadUri):
        Grant.parse(text, can_read=True)


def test_unicode_forms_are_different_names():
    grants = Grants("ci@x", (Grant.parse("gs://photos/caf\u00e9/", can_read=True),))
    assert grants.allows(_uri("gs://photos/caf\u00e9/a.jpg"), READ)
    assert not grants.allows(_uri("gs://photos/" + unicodedata.normalize("NFD", "caf\u00e9/a.jpg")), READ)


# ---- stores -----------------------------------------------------------------------------------------------------


@pytest.fixture
def stores(tmp_path: pathlib.Path) -> objects.Stores:
    for folder in ("in", "in2", "out"):
        (tmp_path / "buckets" / "photos" / folder).mkdir(parents=True)
        (tmp_path / "buckets" / "photos" / folder / "a.jpg").write_bytes(folder.encode())
    stores = objects.Stores(tmp_path / "buckets", tmp_path / "state")
    stores.put(stores.state("secret"), b"secret")
    return stores


GRANTS = Grants("ci@x", (Grant("gs", "photos", "in/", can_read=True), Grant("gs", "photos", "out/", can_write=True)))


def _code(act) -> int:
    try:
        act()
    except errors.ApiError as error:
        return error.code
    return code_pb2.OK


def test_limited_stores_refuse_what_is_not_granted_before_they_look(stores):
    limited = stores.limited_to(GRANTS)
    assert limited.get(_uri("gs://photos/in/a.jpg")) == b"in"
    for text in ("gs://photos/in2/a.jpg", "gs://photos/in2/none.jpg", "gs://none/a.jpg", "gs://photos/out/a.jpg"):
        for ask in (
            limited.get,
            limited.head,
            limited.exists,
            lambda uri: list(limited.stream(uri)),
            limited.holds_anything,
        ):
            with pytest.raises(errors.ApiError) as refused:
                ask(_uri(text))
            assert refused.value.code == code_pb2.PERMISSION_DENIED
            assert text in refused.value.message
    info = error_details_pb2.ErrorInfo()
    with pytest.raises(errors.ApiError) as refused:
        limited.get(_uri("gs://photos/in2/a.jpg"))
    assert refused.value.status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("IAM_PERMISSION_DENIED", "storage.googleapis.com")
    assert dict(info.metadata) == {"resource": "gs://photos/in2/a.jpg", "permission": READ}
    assert refused.value.message.startswith(
        "ci@x does not have storage.objects.get access to the Google Cloud Storage object"
    )
    for write in (limited.put_once, limited.put):
        assert write(_uri("gs://photos/out/b"), b"") is not False
        assert _code(lambda write=write: write(_uri("gs://photos/in/b"), b"")) == code_pb2.PERMISSION_DENIED
    assert _code(lambda: limited.check_destination(_uri("gs://photos/out"))) == code_pb2.OK
    assert _code(lambda: limited.check_destination(_uri("gs://photos/ou"))) == code_pb2.PERMISSION_DENIED
    assert _code(lambda: list(limited.list(_uri("gs://photos/in")))) == code_pb2.OK
    assert _code(lambda: list(limited.list(_uri("gs://photos/")))) == code_pb2.PERMISSION_DENIED


def test_the_work_reads_its_own_output_and_state_and_a_caller_names_neither(stores):
    limited = stores.limited_to(GRANTS, _uri("gs://photos/out/prediction-1"))
    limited.put(_uri("gs://photos/out/prediction-1/shard"), b"x")
    assert limited.get(_uri("gs://photos/out/prediction-1/shard")) == b"x"
    assert _code(lambda: limited.get(_uri("gs://photos/out/a.jpg"))) == code_pb2.PERMISSION_DENIED
    assert limited.get(limited.state("secret")) == b"secret"
    for uri in (_uri("gs://photos/out/prediction-1/shard"), limited.state("secret")):
        assert _code(lambda uri=uri: limited.named().get(uri)) == code_pb2.PERMISSION_DENIED
        with pytest.raises(errors.ApiError, match=r"storage\.objects\.get"):
            objects.Breaker(limited).get(uri, max_bytes=100)


def test_state_in_a_bucket_that_was_granted_is_named_by_nobody(tmp_path):
    (tmp_path / "b").mkdir()
    everything = Grants("ci@x", (Grant("gs", "b", "", can_read=True, can_write=True),))
    limited = objects.Stores(tmp_path, tmp_path / "s", objects.StoreConfig(state_uri="gs://b/own")).limited_to(
        everything
    )
    limited.put(limited.state("models/1"), b"x")
    with pytest.raises(errors.ApiError, match=r"gs://b/own/models/1"):
        limited.named().get(_uri("gs://b/own/models/1"))
    for output in ("gs://b/own", "gs://b/own/", "gs://b/own/models"):
        assert _code(lambda output=output: limited.check_request(output=_uri(output))) == code_pb2.PERMISSION_DENIED
    assert _code(lambda: limited.check_request([_uri("gs://b/list.csv")], _uri("gs://b/own2"))) == code_pb2.OK


def test_links_within_a_bucket_lead_to_nothing_that_is_not_granted(stores, tmp_path):
    photos = tmp_path / "buckets" / "photos"
    (photos / "in" / "link.jpg").symlink_to("../in2/a.jpg")
    (photos / "in" / "folder").symlink_to("../in2")
    (photos / "in" / "good.jpg").symlink_to("a.jpg")
    (photos / "out" / "elsewhere").symlink_to("../in2")
    limited = stores.limited_to(GRANTS)
    assert limited.get(_uri("gs://photos/in/good.jpg")) == b"in"
    for text in ("gs://photos/in/link.jpg", "gs://photos/in/folder/a.jpg"):
        assert _code(lambda text=text: limited.get(_uri(text))) == code_pb2.PERMISSION_DENIED
    assert _code(lambda: limited.put(_uri("gs://photos/out/elsewhere/b"), b"")) == code_pb2.PERMISSION_DENIED
    assert stores.get(_uri("gs://photos/in/link.jpg")) == b"in2"


def test_percent_signs_are_names_of_their_own(stores, tmp_path):
    limited = stores.limited_to(GRANTS)
    for text in ("gs://photos/in/%2e%2e/in2/a.jpg", "gs://photos/in%2f..%2fin2/a.jpg"):
        for ask in (limited.get, limited.head, lambda uri: list(limited.stream(uri))):
            assert _code(lambda ask=ask, text=text: ask(_uri(text))) in (code_pb2.NOT_FOUND, code_pb2.PERMISSION_DENIED)
    limited.put(_uri("gs://photos/out/%2e%2e/b"), b"x")
    assert (tmp_path / "buckets" / "photos" / "out" / "%2e%2e" / "b").read_bytes() == b"x"


def test_another_process_opens_the_same_limits(stores):
    limited = stores.limited_to(GRANTS, _uri("gs://photos/out/prediction-1"))
    other = objects.Stores.from_config(json.loads(json.dumps(limited.to_config())))
    assert other.get(_uri("gs://photos/in/a.jpg")) == b"in"
    assert _code(lambda: other.get(_uri("gs://photos/in2/a.jpg"))) == code_pb2.PERMISSION_DENIED
    assert _code(lambda: other.hasty(0.1).get(_uri("gs://photos/in2/a.jpg"))) == code_pb2.PERMISSION_DENIED
    assert objects.Stores.from_config(stores.to_config()).get(_uri("gs://photos/in2/a.jpg")) == b"in2"
    assert stores.limited_to(None) is stores
    assert stores.named() is stores


def test_what_later_grants_have_lost():
    folder = Grant("gs", "photos", "in/", can_read=True)
    wider = Grant("gs", "photos", can_read=True)
    assert Grants("x", (folder,)).lost_reading(Grants("x", (wider,))) is None
    assert str(Grants("x", (wider,)).lost_reading(Grants("x", (folder,)))) == "gs://photos/"
    assert str(Grants("x", (folder,)).lost_reading(Grants("x"))) == "gs://photos/in/"
    assert Grants("x", (Grant("gs", "photos", "out/", can_write=True),)).lost_reading(Grants("x")) is None


@pytest.mark.parametrize(
    "bucket", ["169.254.169.254", "127.0.0.1", "0x7f.0.0.1", "0177.0.0.01", "2130706433", "017700000001", "0x7f000001"]
)
def test_addresses_of_machines_are_no_bucket_names(bucket):
    for scheme in ("gs", "s3", "az"):
        with pytest.raises(objects.BadUri, match="address of a machine"):
            _uri(f"{scheme}://{bucket}/latest/meta-data")


@pytest.mark.parametrize("bucket", ["2026", "20260131", "1.5", "2026.01.31", "0", "20260131120000"])
def test_numbers_that_are_no_addresses_are_bucket_names(bucket):
    assert _uri(f"gs://{bucket}/a").bucket == bucket
