"""The bytes of archives' members, in files of this machine from when they are read until they are predicted.

An archive is read once, by one reader, ahead of those who predict. What waits is bounded: the reader waits for room. A file
holds many members, each behind a record with its image's digest and its length, so that a member is found there by its
image after a crash. It is removed when the last of them is predicted.
"""

from __future__ import annotations

import collections
import errno
import hashlib
import os
import pathlib
import shutil
import struct
import tempfile
import threading
from collections.abc import Callable, Iterable

from boxwright import errors, private, temporary
from boxwright.batch.entry import HeldBytes

FOLDER = "members"
MAX_HELD_BYTES = 256 << 20
SEGMENT_BYTES = MAX_HELD_BYTES // 4  # a segment with so many bytes of members is full: see `wait_for_room`
FILE_BYTES = 16 << 20  # when the next file is begun: making one takes as long as writing ten images
_RECORD = struct.Struct("<16sQ")


class MemberFiles:
    """The files of one job's attempt. One thread writes; any may drop.

    Args:
        notes: the job's folder of notes; empty for a temporary folder.
        finished_images: counts the images at the plan's beginning whose shards are finished; asked once, if at all.
    """

    def __init__(self, notes: str, finished_images: Callable[[], int] = lambda: 0) -> None:
        self._notes = notes
        self._finished_images = finished_images
        self._finished: int | None = None
        self._rows_before = 0
        self._folder: pathlib.Path | None = None
        self._temporary: temporary.TemporaryFolder | None = None  # only without notes
        self._changed = threading.Condition()
        self._writing = threading.Lock()  # taken before the condition's
        self._is_closed = False
        self._waiting: collections.Counter[str] = collections.Counter()  # members by file
        self._path, self._descriptor, self._end, self._files = "", -1, 0, 0  # of the file that is written
        self.held_bytes = 0

    def clear(self) -> None:
        """Removes what an attempt that was killed has left."""
        if self._notes:
            shutil.rmtree(pathlib.Path(self._notes, FOLDER), ignore_errors=True)

    def begin_input(self, rows_before: int) -> None:
        """Says how many rows the inputs before the next one had."""
        self._rows_before = rows_before

    def are_needed(self, number: int) -> bool:
        """Whether the bytes of a row of the present input, from 1, have to be kept.

        Rows are at least as many as images: the first so many rows as images are finished name no others.
        """
        if self._finished is None:
            self._finished = self._finished_images()
        return self._rows_before + number > self._finished

    def write(self, image_id: str, size_bytes: int, pieces: Iterable[bytes | memoryview]) -> HeldBytes:
        """Keeps a member of so many bytes.

        Raises:
            ApiError: RESOURCE_EXHAUSTED if the disk is full.
        """
        try:
            with self._writing:
                start = self._written(image_id, size_bytes, pieces)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise errors.resource_exhausted(
                "A member of an archive cannot be kept on this machine's disk until it is predicted; make room for "
                f"{(MAX_HELD_BYTES + 2 * FILE_BYTES) >> 20} MiB in the service's data_dir."
            ) from error
        return HeldBytes(self._path, start, size_bytes)

    def wait_for_room(self) -> bool:
        """Waits until less is held than may be; returns whether any more is wanted at all.

        Whoever predicts never waits for more than one segment, of at most `SEGMENT_BYTES` and a member, and for as much
        again at a list's start: so room comes without the reader.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self.held_bytes < MAX_HELD_BYTES)
            return not self._is_closed

    def drop(self, held: HeldBytes) -> None:
        """Says that a member is not needed any more."""
        if not held.path:
            return
        with self._changed:
            self.held_bytes -= held.length
            self._waiting[held.path] -= 1
            is_done = self._waiting[held.path] == 0 and held.path != self._path
            if is_done:
                del self._waiting[held.path]
            self._changed.notify_all()
        if is_done:
            pathlib.Path(held.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Removes everything; who waits for room goes on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        with self._writing:
            self._end_file()
        if self._temporary is not None:
            self._temporary.close()
        elif self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _written(self, image_id: str, size_bytes: int, pieces: Iterable[bytes | memoryview]) -> int:
        """Writes a member; returns where it starts in the file."""
        if self._is_closed:
            raise RuntimeError("the job has ended")
        if not self._path or self._end >= FILE_BYTES:
            self._begin_file()
        start = self._end + _RECORD.size
        self._append(_RECORD.pack(_digest(image_id), size_bytes))
        for piece in pieces:
            self._append(piece)
        with self._changed:
            self.held_bytes += size_bytes
            self._waiting[self._path] += 1
        return start

    def _begin_file(self) -> None:
        if self._folder is None:
            self._folder = self._made_folder()
        former = self._path
        self._end_file()
        self._files += 1
        path = self._folder / f"{self._files:07d}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, private.FILE_MODE)
        with self._changed:
            self._path, self._descriptor, self._end = str(path), descriptor, 0
            is_done = bool(former) and not self._waiting.get(former)
        if is_done:
            pathlib.Path(former).unlink(missing_ok=True)

    def _end_file(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, piece: bytes | memoryview) -> None:
        left = memoryview(piece)
        while left:
            written = os.write(self._descriptor, left)
            left = left[written:]
            self._end += written

    def _made_folder(self) -> pathlib.Path:
        if not self._notes:
            self._temporary = temporary.TemporaryFolder("members")
            return self._temporary.path
        folder = pathlib.Path(self._notes, FOLDER)
        private.make_folder(folder)
        return pathlib.Path(tempfile.mkdtemp(dir=folder))  # an older attempt that is slow to end has its own


def read(held: HeldBytes) -> bytes:
    """The bytes of a member.

    Raises:
        FileNotFoundError: they are gone, or were not kept.
    """
    if not held.path:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    with pathlib.Path(held.path).open("rb", buffering=0) as file:
        return os.pread(file.fileno(), held.length, held.start)


def left_by(notes: str, image_id: str) -> HeldBytes | None:
    """Where a dead process has left the bytes of a member; None if the image is no member, or is not there.

    Args:
        notes: the job's folder of notes.
        image_id: the image.
    """
    if not notes:
        return None
    wanted = _digest(image_id)
    for path in sorted(pathlib.Path(notes, FOLDER).glob("*/*")):
        with path.open("rb") as file:
            while len(record := file.read(_RECORD.size)) == _RECORD.size:
                digest, length = _RECORD.unpack(record)
                if digest == wanted:
                    return HeldBytes(str(path), file.tell(), length)
                file.seek(length, os.SEEK_CUR)
    return None


def _digest(image_id: str) -> bytes:
    return hashlib.sha256(image_id.encode()).digest()[:16]
