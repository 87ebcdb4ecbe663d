"""What lies in folders: files by suffix, in order, without what operating systems and editors leave there."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Collection, Iterator

from boxwright.convert import account

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".ico", ".webp", ".tif", ".tiff"})
DANGLING = "link that leads nowhere: passed over"
PASSED_OVER = "hidden file, or file below a folder such as __MACOSX: passed over"
_LEFT_BY_TOOLS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found"})


def is_passed_over(name: str) -> bool:
    """Whether a file or folder of that name is no part of a data set: ``._a.xml``, ``.ipynb_checkpoints``, ``__MACOSX``."""
    return name.startswith(".") or name in _LEFT_BY_TOOLS


def is_image_name(name: str) -> bool:
    """Whether a name ends as that of an image does."""
    return pathlib.PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def is_file(path: pathlib.Path) -> bool:
    """Whether a file is there and may be looked at; a name that is too long, or a closed folder, has none."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: pathlib.Path) -> bool:
    """Whether a folder is there and may be looked at."""
    try:
        return path.is_dir()
    except OSError:
        return False


def files(
    folder: pathlib.Path, suffixes: Collection[str], told: account.Account | None = None
) -> Iterator[pathlib.Path]:
    """Yields the files with one of these suffixes, in the order of their paths; linked folders are followed.

    Args:
        folder: where to look; nothing is yielded if it is no folder.
        suffixes: in lower case, with their dots.
        told: hears what was passed over and which folders cannot be read.

    Raises:
        ApiError: INVALID_ARGUMENT if a folder cannot be read, unless unusable entries are to be left out.
    """
    if is_folder(folder):
        yield from _files(folder, suffixes, told, frozenset(), False)


def _files(
    folder: pathlib.Path,
    suffixes: Collection[str],
    told: account.Account | None,
    above: frozenset[tuple[int, int]],
    hidden: bool,
) -> Iterator[pathlib.Path]:
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in above:
            return  # a link to a folder that it lies in
        with os.scandir(folder) as found:
            entries = sorted((entry.name, is_folder(folder / entry.name)) for entry in found)
    except OSError as error:
        if told is not None:
            told.refuse(str(folder), f"the folder cannot be read ({error.strerror})")
        return
    for name, has_entries in entries:
        passed_over = hidden or is_passed_over(name)
        if has_entries:
            if not passed_over or told is not None:
                within = above | {(status.st_dev, status.st_ino)}
                yield from _files(folder / name, suffixes, told, within, passed_over)
        elif pathlib.PurePosixPath(name).suffix.lower() in suffixes:
            if not passed_over and not is_file(folder / name):
                if told is not None:
                    told.note(DANGLING, str(folder / name))
            elif not passed_over:
                yield folder / name
            elif told is not None:
                told.note(PASSED_OVER, str(folder / name))
