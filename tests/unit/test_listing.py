"""Names in order: folders of this machine, and pages of stores."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxwright import errors, objects
from boxwright.objects import listing, store_errors

NAMES = ["a", "a-b", "a.jpg", "a/b.jpg", "a/b/c", "a0", "b", "z/10", "z/9", "Z", "é", "😀", "é/ü.jpg", "x/y/z/w/v.jpg"]


@pytest.fixture
def bucket(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "buckets" / "b"
    folder.mkdir(parents=True)
    for name in NAMES:
        if not any(other.startswith(f"{name}/") for other in NAMES):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"x")
    return folder


def _stores(bucket: pathlib.Path) -> objects.Stores:
    return objects.Stores(bucket.parent, bucket.parent.parent / "state")


def _keys(bucket: pathlib.Path, uri: str = "gs://b/", after: str = "") -> list[str]:
    return [key for page in _stores(bucket).keys(objects.ObjectUri.parse(uri), after) for key in page]


def test_a_folder_is_walked_in_the_order_of_its_keys(bucket):
    files = [str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file()]
    assert _keys(bucket) == sorted(files, key=str.encode)
    assert _keys(bucket, "gs://b/z/") == _keys(bucket, "gs://b/z") == ["z/10", "z/9"]
    assert _keys(bucket, "gs://b/nothing/") == _keys(bucket, "gs://b/b/") == []


def test_a_walk_goes_on_behind_any_key(bucket):
    keys = _keys(bucket)
    for index, key in enumerate(keys):
        assert _keys(bucket, after=key) == keys[index + 1 :]
    assert _keys(bucket, after="a/zz") == [key for key in keys if key.encode() > b"a/zz"]


def test_folders_in_which_nothing_is_wanted_are_not_opened(bucket):
    asked = []

    def is_wanted(folder: bytes) -> bool:
        asked.append(folder.decode())
        return folder in (b"x/", b"x/y/")

    found = [path.decode() for path in listing.walked(os.fsencode(bucket), is_wanted=is_wanted)]
    assert asked == ["a/", "x/", "x/y/", "x/y/z/", "z/", "é/"]
    assert found == [key for key in _keys(bucket) if "/" not in key]


def test_links_to_folders_are_named_and_not_followed(bucket):
    (bucket / "a" / "round").symlink_to(bucket)
    (bucket / "to-a-file.jpg").symlink_to(bucket / "a.jpg")
    (bucket / "to-nothing").symlink_to(bucket / "nothing")
    (bucket / "in-a-circle").symlink_to(bucket / "in-a-circle")
    keys = _keys(bucket)
    assert [key for key in keys if key.endswith("/")] == ["a/round/"]
    assert {"to-a-file.jpg", "to-nothing", "in-a-circle"} < set(keys)


def test_a_name_that_is_no_text_is_walked_and_gone_on_behind(bucket):
    os.close(os.open(os.fsencode(bucket) + b"/\xff.jpg", os.O_CREAT | os.O_WRONLY))
    keys = _keys(bucket)
    assert os.fsencode(keys[-1]) == b"\xff.jpg"
    assert _keys(bucket, after=keys[-1]) == []
    assert _keys(bucket, after=keys[-2]) == keys[-1:]


def test_folders_deeper_than_python_calls_itself_are_walked(tmp_path):
    (tmp_path / "buckets" / "b").mkdir(parents=True)
    root = os.open(tmp_path / "buckets" / "b", os.O_RDONLY)
    descriptor = root
    for _ in range(1500):
        os.mkdir("d", dir_fd=descriptor)
        descriptor, before = os.open("d", os.O_RDONLY, dir_fd=descriptor), descriptor
        os.close(before)
    os.close(descriptor)
    assert _keys(tmp_path / "buckets" / "b") == []
    subprocess.run(["rm", "-r", str(tmp_path / "buckets")], check=True)  # Python's own removal calls itself


def test_a_folder_that_leads_out_of_its_bucket_is_refused(bucket, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (bucket / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.ApiError, match="leads out of its bucket through a symbolic link"):
        _keys(bucket, "gs://b/out/")


def test_a_folder_that_may_not_be_read_is_named(bucket, monkeypatch):
    def refuse(path: bytes) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(errors.ApiError, match="gs://b/ may not be accessed by this service"):
        _keys(bucket)


@given(st.lists(st.binary(max_size=6).map(lambda name: name.replace(b"\0", b"")), max_size=60), st.integers(1, 10))
def test_names_are_sorted_whether_or_not_they_fit_in_a_run(names, run):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "RUN_NAMES", run)
        patch.setattr(listing, "_READ_BYTES", 7)
        assert list(listing.in_order(names)) == sorted(names)


def test_a_list_that_is_cut_off_goes_on_behind_its_last_key():
    begun = []

    def listed(after):
        begun.append(after)
        keys = [key for key in "abcdefg" if key > after]
        yield keys[:2]
        if keys[2:]:
            raise ConnectionError("cut off")

    def patiently(look):
        while True:
            try:
                return look()
            except ConnectionError:
                continue

    assert list(listing.all_pages(listed, "", patiently)) == [["a", "b"], ["c", "d"], ["e", "f"], ["g"]]
    assert begun == ["", "b", "d", "f"]


def test_a_store_that_lists_in_no_order_is_refused_and_nothing_is_left_out_in_silence():
    assert list(listing.ordered_pages([["a"], [], ["b", "é"]])) == [["a"], [], ["b", "é"]]
    assert list(listing.ordered_pages([["a", "b"], ["é"]], "a")) == [["b"], ["é"]]
    for pages in ([["b", "c"], ["a"]], [["b", "a"]], [["a", "a"]]):
        with (
            pytest.raises(errors.ApiError, match="gs://b/ is listed by its store in no order"),
            store_errors.translated(objects.ObjectUri.parse("gs://b/")),
        ):
            list(listing.ordered_pages(pages))
