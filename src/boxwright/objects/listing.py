"""Names in order: a folder of this machine walked in the order of its keys, and pages of a store that must be in order.

The order is that of the names' UTF-8 bytes, the one in which the clouds list. A folder has names in no order and may have
millions of them: they are sorted in runs of `RUN_NAMES`, which lie in a temporary file once there are several.
"""

from __future__ import annotations

import heapq
import itertools
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias, TypeVar

PAGE_NAMES = 1000
RUN_NAMES = 100_000  # about 10 MB
_READ_BYTES = 64 * 1024
Bounds: TypeAlias = Callable[[str], str | None]
"""Of a key, the first one from there on that may be wanted, by the order of their UTF-8 bytes; None: none is."""
_LAST_CHARACTER = "\U0010fffd"  # no character that a key has is behind it
_T = TypeVar("_T")
_END = b"\0"  # the one byte, besides the slash, that no name has


class DisorderError(Exception):
    """A store lists its keys in no order."""


def walked(
    root: bytes, after: bytes = b"", is_wanted: Callable[[bytes], bool] = lambda folder: True
) -> Iterator[bytes]:
    """Yields the paths of the files below a folder, relative to it, in order; symbolic links to folders with a slash.

    Such links are not followed. Folders that vanish meanwhile, or are not there, have nothing in them.

    Args:
        root: the folder.
        after: only paths behind this one are wanted.
        is_wanted: of the path of a folder, with a slash at its end: whether it is opened at all.

    Raises:
        PermissionError: a folder may not be read.
    """
    stack = [_below(root, b"", after)]
    while stack:
        path = next(stack[-1], None)
        if path is None:
            stack.pop()
        elif path.endswith(b"/") and not os.path.islink(os.path.join(root, path[:-1])):
            if is_wanted(path):
                stack.append(_below(root, path, after))
        else:
            yield path


def in_order(names: Iterable[bytes]) -> Iterator[bytes]:
    """Yields names in order, however many: what is more than a run waits on disk."""
    names = iter(names)
    runs: list[Iterator[bytes]] = []
    with tempfile.TemporaryFile() as file:
        while run := sorted(itertools.islice(names, RUN_NAMES)):
            if not runs and len(run) < RUN_NAMES:
                yield from run
                return
            start = file.tell()
            for name in run:
                file.write(name + _END)
            runs.append(_stored(file.fileno(), start, file.tell()))
        file.flush()
        yield from heapq.merge(*runs)


def all_pages(
    listed: Callable[[str], Iterator[list[_T]]],
    after: str,
    patiently: Callable[[Callable[[], list[_T] | None]], list[_T] | None],
    key_of: Callable[[_T], str] = str,
) -> Iterator[list[_T]]:
    """Yields the pages of a store in order; after trouble that passes, the list is begun again behind the last key.

    Args:
        listed: the store's pages from behind a key on.
        after: only keys behind this one are wanted.
        patiently: calls until there is no such trouble.
        key_of: the key of what is in a page.

    Raises:
        DisorderError: as `ordered_pages`.
    """
    last, pages_left = after, None

    def look() -> list[_T] | None:
        nonlocal pages_left
        if pages_left is None:
            pages_left = ordered_pages(listed(last), last, key_of)
        try:
            return next(pages_left, None)
        except Exception:
            pages_left = None  # it has ended
            raise

    while (page := patiently(look)) is not None:
        if page:
            last = key_of(page[-1])
            yield page


def sought(listed: Callable[[str], Iterator[list[str]]], first: str, after: str, bounds: Bounds) -> Iterator[list[str]]:
    """Yields a store's pages without those in which nothing is wanted.

    A page after which the next wanted key is in no page that follows at once is the last of its listing: another one begins
    there. So a store is asked at most once more than for all of its keys: behind its last page.

    Args:
        listed: the store's pages from behind a key on.
        first: what all keys begin with.
        after: only keys behind this one are wanted.
        bounds: which of them are.
    """
    bound, can_seek, has_sought = bounds(after or first), True, False
    while bound is not None:
        after = max(after, _just_before(bound), key=_encoded)
        for page in listed(after):
            wanted = [key for key in page if _encoded(key) > _encoded(after)] if has_sought else page
            can_seek = can_seek and len(wanted) == len(
                page
            )  # a store that begins at its first key again has to be gone through
            yield wanted
            if not wanted:
                continue
            bound = bounds(wanted[-1])
            if bound is None or (can_seek and _encoded(_just_before(bound)) > _encoded(wanted[-1])):
                break
        else:
            return
        has_sought = True


def _just_before(key: str) -> str:
    """What is before a key and behind all others that are before it, as far as names go."""
    if not key or not "!" <= key[-1] <= "~":  # of other characters the one before may be none that every store takes
        return key[:-1]
    return key[:-1] + chr(ord(key[-1]) - 1) + _LAST_CHARACTER


def ordered_pages(found: Iterable[list[_T]], after: str = "", key_of: Callable[[_T], str] = str) -> Iterator[list[_T]]:
    """Yields the pages of a store, without keys that are not behind `after`: some stores begin with that one.

    Raises:
        DisorderError: a key is not behind the one before it: who goes on behind a key would miss some.
    """
    start = last = _encoded(after)
    for page in found:
        wanted = []
        for one in page:
            encoded = _encoded(key_of(one))
            if encoded <= start:
                continue
            if encoded <= last:
                raise DisorderError(key_of(one))
            last = encoded
            wanted.append(one)
        yield wanted


def _encoded(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")  # names of files may be none that UTF-8 can write


def pages(names: Iterable[str]) -> Iterator[list[str]]:
    """Names in lists of `PAGE_NAMES`."""
    names = iter(names)
    while page := list(itertools.islice(names, PAGE_NAMES)):
        yield page


def _below(root: bytes, folder: bytes, after: bytes) -> Iterator[bytes]:
    """The paths of what is directly in a folder, in order; folders and links to folders end in a slash."""
    for name in in_order(_names(os.path.join(root, folder))):
        path = folder + name
        if path > after or (path.endswith(b"/") and after.startswith(path)):
            yield path


def names_in_order(folder: bytes) -> Iterator[bytes]:
    """Yields the names in a folder, in order; those of folders and of links to folders end in a slash."""
    return in_order(_names(folder))


def _names(folder: bytes) -> Iterator[bytes]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name + b"/" if _is_folder(entry) else entry.name
    except (FileNotFoundError, NotADirectoryError):
        return


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _stored(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    """Reads a run back."""
    rest = b""
    while start < end:
        read = os.pread(descriptor, min(_READ_BYTES, end - start), start)
        start += len(read)
        *names, rest = (rest + read).split(_END)
        yield from names
