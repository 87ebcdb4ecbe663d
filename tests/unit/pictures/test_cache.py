"""The cache of pictures: bounded, the least recently used out first, harmless when it is damaged or cannot be written."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import time

from boxwright.pictures.cache import DRAFT_LIFE_S, PictureCache

PICTURE = b"\xff\xd8" + bytes(996) + b"\xff\xd9"


def _key(number: int) -> str:
    return f"{number * 2654435761 % 2**32:08x}".ljust(64, "0")


def _sizes(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.jpg"))


def test_what_is_kept_is_found_again_also_by_another_process(tmp_path: pathlib.Path) -> None:
    PictureCache(tmp_path / "p", 1 << 20).put(_key(1), PICTURE)
    other = PictureCache(tmp_path / "p", 1 << 20)
    assert other.get(_key(1)) == PICTURE
    assert other.get(_key(2)) is None
    (file,) = (tmp_path / "p").rglob("*.jpg")
    assert file.stat().st_mode & 0o077 == 0


def test_the_least_recently_used_goes_first_and_the_limit_holds(tmp_path: pathlib.Path) -> None:
    cache = PictureCache(tmp_path, 100_000)
    for number in range(90):
        cache.put(_key(number), PICTURE)
        os.utime(cache._path(_key(number)), (number, number))  # long ago, one after the other
    assert cache.get(_key(0)) == PICTURE  # which is a use
    for number in range(90, 150):
        cache.put(_key(number), PICTURE)
        assert _sizes(tmp_path) <= 100_000
    assert cache.get(_key(0)) == PICTURE
    assert cache.get(_key(1)) is None
    assert cache.get(_key(149)) == PICTURE
    assert _sizes(tmp_path) > 60_000


def test_several_writers_share_the_folder(tmp_path: pathlib.Path) -> None:
    caches = [PictureCache(tmp_path, 100_000) for _ in range(4)]

    def fill(worker: int) -> None:
        for number in range(200):
            key = _key(number % 50 + 1000 * worker)
            caches[worker].put(key, PICTURE)
            assert caches[worker].get(key) in (PICTURE, None)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(fill, range(4)))
    assert _sizes(tmp_path) <= 100_000 * (1 + 4 / 16)


def test_a_damaged_file_is_no_picture_and_an_old_draft_goes(tmp_path: pathlib.Path) -> None:
    cache = PictureCache(tmp_path, 20_000)
    cache.put(_key(1), PICTURE)
    for content in (b"", PICTURE[:500], b"<html>"):
        cache._path(_key(1)).write_bytes(content)
        assert cache.get(_key(1)) is None
    draft = tmp_path / "ab" / "x.jpg.part-00"
    draft.parent.mkdir(exist_ok=True)
    draft.write_bytes(PICTURE)
    old_s = time.time() - DRAFT_LIFE_S - 60
    os.utime(draft, (old_s, old_s))
    cache.trim()
    assert not draft.exists()


def test_nothing_is_kept_without_room_or_without_a_disk(tmp_path: pathlib.Path) -> None:
    none = PictureCache(tmp_path / "none", 0)
    none.put(_key(1), PICTURE)
    assert none.get(_key(1)) is None
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").write_text("in the way")
    blocked = PictureCache(tmp_path / "file", 1 << 20)
    blocked.put(_key(1), PICTURE)
    assert blocked.get(_key(1)) is None
    small = PictureCache(tmp_path / "small", 10_000)
    small.put(_key(1), b"\xff\xd8" + bytes(5000) + b"\xff\xd9")  # half of the room: it would push all others out
    assert small.get(_key(1)) is None
