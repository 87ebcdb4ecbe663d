"""Temporary folders that do not stay when their process is killed: the next one that makes such a folder removes them.

A process holds a lock on each of its folders. The system gives a lock back when its process ends, however that ends, so a
folder without one belongs to nobody; several services, commands and users may share the place of temporary files.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile
import weakref
from types import TracebackType
from typing import Self

PREFIX = "boxwright-temporary-"
MAX_SWEPT = 100  # folders, each time


class TemporaryFolder:
    """A folder for the owner alone, which is removed when it is closed, let go, or its process has ended.

    Args:
        purpose: a word for its name.

    Attributes:
        path: the folder.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, purpose: str) -> None:
        sweep()
        self.path, descriptor = _made(purpose)
        self._close = weakref.finalize(self, _removed, self.path, descriptor, os.getpid())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes the folder and what is in it."""
        self._close()


def sweep() -> None:
    """Removes folders whose processes were killed, at most `MAX_SWEPT`; what cannot be removed stays."""
    removed = 0
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if removed == MAX_SWEPT:
                return
            if entry.name.startswith(PREFIX):
                with contextlib.suppress(OSError):
                    removed += _swept(pathlib.Path(entry.path))


def _swept(path: pathlib.Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)
    return True


def _made(purpose: str) -> tuple[pathlib.Path, int]:
    """Makes a folder; returns it and the descriptor that holds its lock."""
    while True:
        path = pathlib.Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-"))
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # somebody swept it before it was locked
        with contextlib.suppress(OSError):  # a file system without locks: nobody can sweep there either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            return path, descriptor
        os.close(descriptor)


def _removed(path: pathlib.Path, descriptor: int, process: int) -> None:
    if os.getpid() == process:  # a copy of the process does not own it
        shutil.rmtree(path, ignore_errors=True)
    os.close(descriptor)
