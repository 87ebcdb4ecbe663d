"""Files and folders that appear whole or not at all, and never in the place of something that was not asked for.

A killed conversion may leave `.NAME.partial-…` beside the target; it never leaves half a target.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO

from boxwright import errors

MARK = ".boxwright-convert"  # in every folder that we wrote: only such a folder is ever replaced


def check_free(target: pathlib.Path, *, overwrite: bool) -> None:
    """Refuses a target that would replace something, before any work is done.

    Raises:
        ApiError: FAILED_PRECONDITION.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not overwrite:
        raise errors.failed_precondition(f"{target} exists; name another target, or say --overwrite.")
    if target.is_dir() and not (target / MARK).is_file():
        raise errors.failed_precondition(
            f"{target} is a folder that boxwright convert did not write: it is not replaced. Name another target."
        )


@contextlib.contextmanager
def new_file(target: pathlib.Path) -> Iterator[IO[str]]:
    """A text file that takes its place when the block ends well.

    Raises:
        ApiError: FAILED_PRECONDITION if it cannot be written.
    """
    with _told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=f".{target.name}.partial-", dir=target.parent)
        partial = pathlib.Path(name)
        try:
            with os.fdopen(number, "w", encoding="utf-8", newline="\n") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            partial.chmod(0o666 & ~_umask())
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)


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


def number(value: float, places: int) -> str:
    """A number with at most that many decimals and no superfluous ones."""
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if places else text


def write_beside(folder: pathlib.Path, name: str, suffix: str, text: str) -> None:
    """Writes the annotation of an image, whose name it shares but for the suffix.

    Raises:
        ApiError: INVALID_ARGUMENT if two images share a name up to their extension.
    """
    path = folder / pathlib.PurePosixPath(name).with_suffix(suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as handle:
            handle.write(text)
    except FileExistsError:
        shared = pathlib.PurePosixPath(name).with_suffix("")
        raise errors.bad_request(
            f"{name}: another image is called {shared} too, and one file {path.name} cannot describe both; rename one."
        ) from None


def copy_image(source: pathlib.Path | None, target: pathlib.Path, path: str) -> None:
    """Puts a copy of an image beside its annotation.

    Raises:
        ApiError: INVALID_ARGUMENT if its file was not found.
    """
    if source is None:
        raise errors.bad_request(f"{path}: its file was not found; name the folder of the images with --images.")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
