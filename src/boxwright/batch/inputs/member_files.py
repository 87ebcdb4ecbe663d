"""The bytes of archives' members, in files of this machine from when they are read until they are predicted.

An archive is read once, by one reader, ahead of those who predict; each member waits in a file of its own. Their sum is
bounded: the reader waits for room.
"""

from __future__ import annotations

import errno
import hashlib
import pathlib
import shutil
import tempfile
import threading
from collections.abc import Iterable

from boxwright import errors, private

FOLDER = "members"
MAX_HELD_BYTES = 256 << 20
SEGMENT_BYTES = MAX_HELD_BYTES // 4  # a segment with so many bytes of members is full: see `wait_for_room`


class MemberFiles:
    """The files of one job's attempt. Safe for several threads.

    Args:
        folder: the job's folder of notes; empty for a temporary folder.
    """

    def __init__(self, folder: str) -> None:
        self._notes = folder
        self._folder: pathlib.Path | None = None
        self._changed = threading.Condition()
        self._is_closed = False
        self._count = 0
        self.held_bytes = 0

    def clear(self) -> None:
        """Removes what an attempt that was killed has left."""
        if self._notes:
            shutil.rmtree(pathlib.Path(self._notes, FOLDER), ignore_errors=True)

    def write(self, image_id: str, pieces: Iterable[bytes | memoryview]) -> tuple[str, int]:
        """Keeps a member; returns its file and how many bytes it has.

        Raises:
            ApiError: RESOURCE_EXHAUSTED if the disk is full.
        """
        if self._folder is None:
            self._folder = self._made_folder()
        self._count += 1  # an archive may have two members of one name, and be named twice
        path, size_bytes = self._folder / f"{_digest(image_id)}-{self._count:09d}", 0
        try:
            with private.open_file(path, "wb") as file:
                for piece in pieces:
                    file.write(piece)
                    size_bytes += len(piece)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise errors.resource_exhausted(
                "A member of an archive cannot be kept on this machine's disk until it is predicted; make room for "
                f"{MAX_HELD_BYTES >> 20} MB in the service's data_dir."
            ) from error
        with self._changed:
            self.held_bytes += size_bytes
        return str(path), size_bytes

    def wait_for_room(self) -> bool:
        """Waits until less is held than may be; returns whether any more is wanted at all.

        Whoever predicts never waits for more than one segment, of at most `SEGMENT_BYTES` and a member, and for as much
        again at a list's start: so room comes without the reader.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self.held_bytes < MAX_HELD_BYTES)
            return not self._is_closed

    def drop(self, path: str, size_bytes: int) -> None:
        """Removes a member's file."""
        pathlib.Path(path).unlink(missing_ok=True)
        with self._changed:
            self.held_bytes -= size_bytes
            self._changed.notify_all()

    def close(self) -> None:
        """Removes everything; who waits for room goes on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _made_folder(self) -> pathlib.Path:
        if not self._notes:
            return pathlib.Path(tempfile.mkdtemp(prefix="boxwright-members-"))
        folder = pathlib.Path(self._notes, FOLDER)
        private.make_folder(folder)
        return folder


def left_by(folder: str, image_id: str) -> str | None:
    """The file of a member that a dead process had under way; None if the image is no member.

    Args:
        folder: the job's folder of notes.
        image_id: the image.
    """
    if not folder:
        return None
    return min(map(str, pathlib.Path(folder, FOLDER).glob(f"{_digest(image_id)}-*")), default=None)


def _digest(image_id: str) -> str:
    return hashlib.sha256(image_id.encode()).hexdigest()[:32]
