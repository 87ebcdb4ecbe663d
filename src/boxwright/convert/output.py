"""Files and folders that appear whole or not at all, and never in the place of something that was not asked for.

A killed conversion may leave `.NAME.partial-…` beside the target; it never leaves half a target.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from boxwright import errors, states
from boxwright.convert import account, folders

MARK = ".boxwright-convert"  # in every folder that we wrote: only such a folder is ever replaced


def check_free(target: pathlib.Path, *, is_folder: bool, overwrite: bool, read: Sequence[pathlib.Path] = ()) -> None:
    """Refuses a target that would replace something that is not to be replaced, before any work is done.

    Args:
        target: the file or folder to be.
        is_folder: whether a folder will be written.
        overwrite: whether what convert wrote before may be replaced.
        read: what the conversion reads: it is not replaced, nor is a folder that it lies in.

    Raises:
        ApiError: FAILED_PRECONDITION.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not overwrite:
        raise errors.failed_precondition(f"{target} exists; name another target, or say --overwrite.")
    if target.is_dir() != is_folder or not (target.is_dir() or target.is_file()):
        written = "a folder" if is_folder else "a file"
        raise errors.failed_precondition(f"{target} is not replaced by {written}. Name another target.")
    if any(path.resolve().is_relative_to(target.resolve()) for path in read):
        raise errors.failed_precondition(
            f"{target} is, or holds, what is read: it is not replaced. Name another target."
        )
    if target.is_dir() and not (target / MARK).is_file():
        raise errors.failed_precondition(
            f"{target} is a folder that boxwright convert did not write: it is not replaced. Name another target."
        )


@contextlib.contextmanager
def new_path(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """The path of an empty file that takes its place when the block ends well.

    Raises:
        ApiError: FAILED_PRECONDITION if it cannot be written.
    """
    with _told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=f".{target.name}.partial-", dir=target.parent)
        os.close(number)
        partial = pathlib.Path(name)
        try:
            yield partial
            with partial.open("rb") as handle:
                os.fsync(handle.fileno())
            partial.chmod(0o666 & ~_umask())
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def new_file(target: pathlib.Path) -> Iterator[IO[str]]:
    """A text file that takes its place when the block ends well.

    Raises:
        ApiError: FAILED_PRECONDITION if it cannot be written.
    """
    with new_path(target) as path, path.open("w", encoding="utf-8", newline="\n") as handle:
        yield handle


@contextlib.contextmanager
def new_folder(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder to write into, which takes its place when the block ends well; one that we wrote before makes room.

    Raises:
        ApiError: FAILED_PRECONDITION if it cannot be written.
    """
    target = target.absolute()
    with _told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
        try:
            fresh, old = partial / "new", partial / "old"
            fresh.mkdir()
            yield fresh
            (fresh / MARK).write_text(
                "Written by boxwright convert, which may replace this folder.\n", encoding="utf-8"
            )
            if target.exists():
                os.replace(target, old)
            try:
                os.replace(fresh, target)
            except OSError:
                if old.exists():
                    os.replace(old, target)
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def write_sets(
    target: pathlib.Path,
    names: dict[states.MlUse, str] | None,
    write: Callable[[states.MlUse | None, IO[str]], None],
) -> None:
    """Writes one file with all sets, or a folder with a file a set.

    Args:
        target: the file or folder to be.
        names: the files of the folder by set; None for one file.
        write: writes one set, or all if it is told None, into an open text file.

    Raises:
        ApiError: FAILED_PRECONDITION if it cannot be written.
    """
    if names is None:
        with new_file(target) as handle:
            write(None, handle)
        return
    with new_folder(target) as folder:
        for split, name in names.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("w", encoding="utf-8", newline="\n") as handle:
                write(split, handle)


@contextlib.contextmanager
def _told(target: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise errors.failed_precondition(f"Cannot write {error.filename or target}: {error.strerror}.") from error


def _umask() -> int:
    """The process's mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_annotation(paths: Sequence[pathlib.Path], name: str, text: str, told: account.Account) -> bool:
    """Writes the annotation of an image; returns whether it was written.

    Args:
        paths: where it is to stand; each gets the same text.
        name: the image's path below the folder of images.
        text: its content.
        told: hears of names that no file can have, and of two images that share a name up to their extension.

    Raises:
        ApiError: INVALID_ARGUMENT if the name is refused, unless unusable entries are to be left out.
    """
    problem = name_problem(name)
    if problem is None and any(path.exists() for path in paths):
        shared = pathlib.PurePosixPath(name).with_suffix("")
        problem = f"another image is called {shared} too, and one file {paths[0].name} cannot describe both; rename one"
    if problem is not None:
        told.refuse(name, problem)
        return False
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as handle:
            handle.write(text)
    return True


def name_problem(name: str) -> str | None:
    """Why an image's name cannot be that of a file which every reader of VOC and YOLO folders finds, or None."""
    parts = name.split("/")
    if "://" in name or not all(parts) or "." in parts:
        return "it is no relative path without empty folders, so no file can lie there; rename the image"
    if "\\" in name:
        return "its name has a backslash, which readers take for a folder; rename the image"
    if any(map(folders.is_passed_over, parts)):
        return "its name or folder is one that readers pass over (.name, __MACOSX); rename it"
    if not folders.is_image_name(name):
        return "its name does not end as that of an image (.jpg, .png, …), by which readers know images; rename it"
    return None


def copy_image(source: pathlib.Path, target: pathlib.Path) -> None:
    """Puts a copy of an image beside its annotation."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
