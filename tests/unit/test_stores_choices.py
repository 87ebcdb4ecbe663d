"""Which stores an installation serves: the rule on callers' URIs, allowed folders, and what the settings make of it."""

from __future__ import annotations

import pathlib

import pytest
from google.rpc import code_pb2

from boxwright import errors, objects, settings
from boxwright.runners import box_rows, import_rows

EVERYTHING = ("gs", "s3", "az", "file")


@pytest.mark.parametrize("text", ["gs://b/k", "s3://b/a/k.csv", "az://b/k", "file:///data/in/k.csv"])
def test_a_caller_may_name_what_is_served_and_nothing_else(text):
    scheme = text.partition("://")[0]
    assert str(objects.caller_uri(text, EVERYTHING)) == text
    assert str(objects.caller_uri(text, [scheme])) == text
    with pytest.raises(objects.BadUri, match=r"does not start with|is not served by this installation"):
        objects.caller_uri(text, [other for other in EVERYTHING if other != scheme])


@pytest.mark.parametrize(
    "text", ["state://boxwright/x", "gs://b", "gs://b/", "s3://b/dir/", "file:///", "file://host/k", "file:///a/../b"]
)
def test_what_is_no_object_of_a_caller_is_refused(text):
    with pytest.raises(objects.BadUri):
        objects.caller_uri(text, EVERYTHING)


def test_a_directory_may_be_a_bucket_or_a_folder():
    for text in ("gs://b", "gs://b/", "s3://b/dir/", "file:///data/out/"):
        assert objects.caller_uri(text, EVERYTHING, directory=True)


def test_an_import_row_may_leave_out_its_set_whatever_the_scheme():
    row = box_rows.parse(["s3://b/1.jpg", "car", "0.1", "0.1", "", "", "0.5", "0.5"], EVERYTHING)
    assert row.uri == "s3://b/1.jpg"
    with pytest.raises(import_rows.BadRow):
        box_rows.parse(["s3://b/1.jpg", "car", "0.1", "0.1", "", "", "0.5", "0.5"])


# ---- allowed folders --------------------------------------------------------------------------------------------


@pytest.fixture
def allowed(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "allowed"
    folder.mkdir()
    (tmp_path / "allowed2").mkdir()
    for place in (folder, tmp_path / "allowed2", tmp_path):
        (place / "secret").write_bytes(b"secret")
    return folder


@pytest.fixture
def stores(allowed: pathlib.Path, tmp_path: pathlib.Path) -> objects.Stores:
    choices = objects.StoreConfig(file_roots=(f"{allowed}/",), retry_s=0.2)
    return objects.Stores(tmp_path / "buckets", tmp_path / "state", choices)


def _uri(path: pathlib.Path) -> objects.ObjectUri:
    return objects.ObjectUri.parse(f"file://{path}")


def test_a_path_below_an_allowed_folder_is_an_object(stores, allowed):
    assert stores.get(_uri(allowed / "secret")) == b"secret"
    stores.put(_uri(allowed / "new/deep"), b"x")
    assert (allowed / "new/deep").read_bytes() == b"x"
    assert [str(info.uri) for info in stores.list(_uri(allowed / "new"))] == [f"file://{allowed}/new/deep"]
    stores.check_bucket(_uri(allowed))


def test_a_path_elsewhere_is_refused_even_if_its_name_begins_alike(stores, allowed):
    for path in (allowed.parent / "secret", allowed.parent / "allowed2/secret", pathlib.Path("/etc/passwd")):
        for act in (stores.get, stores.head, lambda uri: stores.put(uri, b"mine"), lambda uri: list(stores.list(uri))):
            with pytest.raises(errors.ApiError, match="is not below a folder that this installation allows") as raised:
                act(_uri(path))
            assert raised.value.code == code_pb2.PERMISSION_DENIED
    assert (allowed.parent / "secret").read_bytes() == b"secret"


def test_a_link_out_of_an_allowed_folder_is_refused(stores, allowed):
    (allowed / "out").symlink_to(allowed.parent)
    (allowed / "file").symlink_to(allowed.parent / "secret")
    for path in (allowed / "out/secret", allowed / "file", allowed / "out/new"):
        for act in (stores.get, lambda uri: stores.put(uri, b"mine"), lambda uri: stores.put_once(uri, b"mine")):
            with pytest.raises(errors.ApiError, match="leads out of its bucket"):
                act(_uri(path))


def test_a_scheme_that_is_not_served_cannot_be_reached_even_from_inside(stores):
    with pytest.raises(errors.ApiError, match="does not serve s3://"):
        stores.get(objects.ObjectUri.parse("s3://b/k"))


# ---- settings ---------------------------------------------------------------------------------------------------


def test_without_a_word_only_the_folder_of_buckets_is_served():
    choices = settings.read({}).storage.choices
    assert choices == objects.StoreConfig()
    assert choices.served == ("gs",)


def test_the_environment_chooses_the_stores():
    environment = {
        "BOXWRIGHT_GS": "cloud",
        "BOXWRIGHT_SCHEMES": "gs, s3",
        "BOXWRIGHT_FILE_ROOTS": "/data/in,/data/out",
        "BOXWRIGHT_STORAGE_RETRY_S": "5",
        "STORAGE_EMULATOR_HOST": "localhost:4443",
    }
    choices = settings.read(environment).storage.choices
    assert choices == objects.StoreConfig("cloud", ("gs", "s3"), ("/data/in", "/data/out"), "localhost:4443", 5.0)
    assert choices.served == ("gs", "s3", "file")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BOXWRIGHT_GS", "bucket"),
        ("BOXWRIGHT_SCHEMES", "gs,ftp"),
        ("BOXWRIGHT_SCHEMES", ""),
        ("BOXWRIGHT_FILE_ROOTS", "relative"),
        ("BOXWRIGHT_STORAGE_RETRY_S", "0"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused_by_name(variable, value):
    with pytest.raises(errors.ApiError, match=variable.removeprefix("BOXWRIGHT_").lower()):
        settings.read({variable: value})


def test_a_cloud_whose_environment_is_incomplete_is_named(tmp_path, monkeypatch):
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    stores = objects.Stores(tmp_path, tmp_path / "state", objects.StoreConfig(schemes=("az",), retry_s=0.2))
    with pytest.raises(errors.ApiError, match="az://b/k cannot be opened") as raised:
        stores.get(objects.ObjectUri.parse("az://b/k"))
    assert raised.value.code == code_pb2.FAILED_PRECONDITION
