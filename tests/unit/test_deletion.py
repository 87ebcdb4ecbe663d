"""All below a folder is deleted page by page, a few pages at a time, and who comes after a kill deletes the rest."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Iterator

import pytest

from boxwright import objects
from boxwright.objects import deletion


def test_a_few_pages_are_deleted_at_a_time_and_no_more_are_listed_before(tmp_path):
    listed, ended, lock = 0, 0, threading.Lock()
    together = threading.Barrier(deletion.PAGES_AT_ONCE)
    ahead: list[int] = []

    def pages() -> Iterator[list[str]]:
        nonlocal listed
        for number in range(5 * deletion.PAGES_AT_ONCE):
            with lock:
                listed += 1
                ahead.append(listed - ended)
            yield [f"{number}"]
        yield []

    def delete(keys: list[str]) -> None:
        nonlocal ended
        together.wait(300)
        with lock:
            ended += len(keys)

    deletion.delete_pages(pages(), delete)
    assert ended == listed == 5 * deletion.PAGES_AT_ONCE
    assert max(ahead) == deletion.PAGES_AT_ONCE + 1


@pytest.mark.parametrize("where", ["page", "list"])
def test_trouble_ends_it_and_is_told(where):
    begun: list[str] = []

    def pages() -> Iterator[list[str]]:
        for number in range(1000):
            if where == "list" and number == 3:
                raise OSError("away")
            yield [f"{number}"]

    def delete(keys: list[str]) -> None:
        begun.extend(keys)
        if where == "page" and keys == ["3"]:
            raise OSError("away")

    with pytest.raises(OSError, match="away"):
        deletion.delete_pages(pages(), delete)
    assert len(begun) < 1000


def test_a_folder_goes_with_what_is_in_it_and_not_what_links_lead_to(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"x")
    folder = tmp_path / "folder"
    for place in ("", "deep", "deep/deeper", "empty"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for number in range(300):
        (folder / "deep" / f"{number} ä\n").write_bytes(b"x")
    (folder / "deep" / "link").symlink_to(outside)
    (folder / "dangling").symlink_to("nowhere")
    deletion.remove_tree(str(folder))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["kept", "outside"]
    deletion.remove_tree(str(folder))


def test_only_what_is_below_the_folder_goes(tmp_path):
    (tmp_path / "buckets" / "b").mkdir(parents=True)
    stores = objects.Stores(tmp_path / "buckets", tmp_path / "state")
    for key in ("out/1", "out/deep/2", "out2/3", "ou", "out.jpg"):
        stores.put(objects.ObjectUri("gs", "b", key), b"x")
    for _ in range(2):
        stores.delete_below(objects.ObjectUri("gs", "b", "out/"))
    assert [key for page in stores.keys(objects.ObjectUri("gs", "b", "")) for key in page] == [
        "ou",
        "out.jpg",
        "out2/3",
    ]
    outside = pathlib.Path(tmp_path / "elsewhere")
    outside.mkdir()
    (tmp_path / "buckets" / "b" / "link").symlink_to(outside)
    with pytest.raises(Exception, match="symbolic link"):
        stores.delete_below(objects.ObjectUri("gs", "b", "link/"))
    assert outside.is_dir()
