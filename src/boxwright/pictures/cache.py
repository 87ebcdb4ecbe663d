"""Finished pictures as files: bounded, the least recently used out first; several processes may share the folder.

A file's name is the digest of what the picture is of, its time is that of its last use. The folder may be deleted at any
time. Nothing here raises: a picture that cannot be kept is made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import logging
import os
import pathlib
import threading
import time
from collections.abc import Iterator

from boxwright import private

LOOK_SHARE = 16  # after so small a part of the limit was written, the folder is looked through
KEPT_SHARE = 0.875  # of the limit, that stays when something has to go
TOUCH_INTERVAL_S = 60.0  # uses of a file within this time are one
DRAFT_LIFE_S = 3600.0  # after which the file of a writer that was killed is taken away
_START, _END = b"\xff\xd8", b"\xff\xd9"  # of a JPEG; a power cut may leave another file

log = logging.getLogger(__name__)


class PictureCache:
    """Keeps pictures in files, for any number of threads and processes.

    Args:
        folder: is made when the first picture is kept.
        limit_bytes: of all files; 0: nothing is kept. Each process that writes may exceed it by a sixteenth.
    """

    def __init__(self, folder: pathlib.Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._unseen_bytes = limit_bytes  # written since the last look; the first picture leads to a look

    def get(self, key: str) -> bytes | None:
        """The picture of this key, a digest in hexadecimal; None if it is not kept."""
        if not self._limit_bytes:
            return None
        path = self._path(key)
        try:
            with path.open("rb") as file:
                content = file.read()
                used_s = os.fstat(file.fileno()).st_mtime
            if time.time() - used_s > TOUCH_INTERVAL_S:
                os.utime(path)
        except OSError:
            return None
        return content if content.startswith(_START) and content.endswith(_END) else None

    def put(self, key: str, picture: bytes) -> None:
        """Keeps a picture, unless the disk refuses it."""
        if not self._limit_bytes or len(picture) > self._limit_bytes // LOOK_SHARE:
            return
        path = self._path(key)
        try:
            private.make_folder(path.parent)
            private.replace_file(path, picture)
        except OSError as error:
            log.warning("event=picture_not_kept reason=%r", str(error))
            return
        with self._lock:
            self._unseen_bytes += len(picture)
            is_due = self._unseen_bytes > self._limit_bytes // LOOK_SHARE
            if is_due:
                self._unseen_bytes = 0
        if is_due:
            self.trim()

    def trim(self) -> None:
        """Deletes the files that were used least recently, if there are too many; one process at a time does it."""
        with contextlib.suppress(OSError), _sole(self._folder / "lock") as is_mine:
            if is_mine:
                self._trim()

    def _trim(self) -> None:
        total_bytes = sum(size_bytes for _, size_bytes, _ in self._files())
        if total_bytes <= self._limit_bytes * (1 - 1 / LOOK_SHARE):
            return
        surplus_bytes = total_bytes - int(self._limit_bytes * KEPT_SHARE)
        oldest: list[tuple[float, int, str]] = []  # a heap of negated times: the most recent of them on top
        held_bytes = 0
        for used_s, size_bytes, path in self._files():
            heapq.heappush(oldest, (-used_s, size_bytes, path))
            held_bytes += size_bytes
            while oldest and held_bytes - oldest[0][1] >= surplus_bytes:
                held_bytes -= heapq.heappop(oldest)[1]
        for _, _, path in oldest:
            with contextlib.suppress(OSError):
                pathlib.Path(path).unlink()
        log.info("event=pictures_trimmed files=%d bytes=%d", len(oldest), held_bytes)

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """(time of last use, size, path) of every file; drafts of writers that were killed are taken away."""
        latest_s = time.time() - DRAFT_LIFE_S
        for folder in self._folder.iterdir():
            if not folder.is_dir():
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    try:
                        found = entry.stat(follow_symlinks=False)
                        if ".part-" in entry.name and found.st_mtime < latest_s:
                            pathlib.Path(entry.path).unlink()
                            continue
                    except OSError:  # another process has deleted it
                        continue
                    yield found.st_mtime, found.st_size, entry.path

    def _path(self, key: str) -> pathlib.Path:
        return self._folder / key[:2] / f"{key}.jpg"


@contextlib.contextmanager
def _sole(path: pathlib.Path) -> Iterator[bool]:
    """Holds a lock among processes; says whether it was free."""
    with private.open_file(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
