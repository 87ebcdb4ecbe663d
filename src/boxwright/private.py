"""Files and folders that only their owner may read: the service's own state, made with these modes from the first moment.

Objects in buckets do not come through here; they keep the user's umask.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import stat
from collections.abc import Sequence
from typing import IO, Any

FOLDER_MODE = 0o700
FILE_MODE = 0o600
UMASK = 0o077  # of child processes that write nothing but state
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_folder(folder: pathlib.Path) -> None:
    """Creates a folder, and the folders above it that are missing, for the owner alone; one that is there stays as it is.

    Raises:
        OSError: as `os.mkdir`.
    """
    missing = []
    current = folder
    while not current.exists():
        missing.append(current)
        current = current.parent
    for path in reversed(missing):
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    if not folder.is_dir():
        raise NotADirectoryError(20, os.strerror(20), str(folder))


def open_file(path: pathlib.Path, mode: str) -> IO[Any]:
    """Opens a file as `open` does, text in UTF-8; one that is created is for the owner alone.

    Raises:
        OSError: as `open`.
    """
    encoding = None if "b" in mode else "utf-8"
    return open(path, mode, encoding=encoding, opener=_private)


def replace_file(path: pathlib.Path, content: bytes | str, *, is_durable: bool = False) -> None:
    """Writes a file for the owner alone, text in UTF-8; readers see what was there before or all of the new content.

    Args:
        path: the file; one that is there is replaced.
        content: all of it.
        is_durable: also survive a power cut.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    draft = path.with_name(f"{path.name}.part-{secrets.token_hex(8)}")
    try:
        with open_file(draft, "xb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
            if is_durable:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def sync_folder(folder: pathlib.Path) -> None:
    """Makes a rename inside the folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_file(path: pathlib.Path) -> None:
    """Creates an empty file for the owner alone, for libraries that open files themselves; one that is there stays."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))


def restrict(root: pathlib.Path, own: Sequence[str]) -> bool:
    """Takes a folder, and what is ours in it, away from group and others; returns whether anything had to be changed.

    A folder that is closed already is not walked through: nothing in it can be reached.

    Args:
        root: the folder.
        own: patterns of the names in it that are ours. Everything else, such as a buckets folder, keeps its modes.

    Raises:
        OSError: a mode cannot be changed, because the folder belongs to another user.
    """
    if not root.stat().st_mode & _OTHERS:
        return False
    root.chmod(FOLDER_MODE)  # first: from now on nobody gets in
    for path in (path for pattern in own for path in root.glob(pattern)):
        _close(path)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                _close(pathlib.Path(folder, name))
    return True


def _close(path: pathlib.Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # another process of the service has removed it
        found = path.lstat().st_mode
        if found & _OTHERS and not stat.S_ISLNK(found):
            path.chmod(FOLDER_MODE if stat.S_ISDIR(found) else FILE_MODE)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)
