"""What lies directly in a folder: objects and folders, in the order of their names' bytes, some from behind a name on."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from boxwright.objects import listing

_BEHIND_ALL = "\U0010fffd"  # no character that a key has is behind it


class Entry(NamedTuple):
    """An object or a folder.

    Attributes:
        name: in the folder; that of a folder ends in a slash.
        size_bytes: of an object.
        update_time_us: when an object was written, since the epoch; 0 if that is not known.
    """

    name: str
    size_bytes: int = 0
    update_time_us: int = 0

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.name.endswith("/")


def of_folder(folder: bytes, after: str, is_hidden: Callable[[str], Any]) -> Iterator[Entry]:
    """What is in a folder of this machine; symbolic links are left out, and so is what is no file and no folder.

    Args:
        folder: its path; none is like one with nothing in it.
        after: only names behind this one are wanted.
        is_hidden: of a name: whether it is left out.
    """
    start = os.fsencode(after)
    for encoded in listing.names_in_order(folder):
        name = os.fsdecode(encoded)
        if encoded <= start or is_hidden(name):
            continue
        try:
            status = os.lstat(folder + b"/" + encoded.rstrip(b"/"))
        except OSError:  # it has vanished
            continue
        if stat.S_ISDIR(status.st_mode):
            yield Entry(name)
        elif stat.S_ISREG(status.st_mode):
            yield Entry(name, status.st_size, status.st_mtime_ns // 1000)


def of_keys(listed: Callable[[str], Iterable[Sequence[dict[str, Any]]]], below: str, after: str) -> Iterator[Entry]:
    """What is in a folder of a store that lists keys in order: behind each folder, the list is begun again.

    Args:
        listed: the store's entries from behind a key on, some at a time.
        below: what the keys of the folder begin with.
        after: only names behind this one are wanted.
    """
    start: str | None = below + (after + _BEHIND_ALL if after.endswith("/") else after)
    while start is not None:
        from_key, start = start, None
        for page in listed(from_key):
            for entry in page:
                key: str = entry["path"]
                if not key.startswith(below) or key <= from_key or key == below:
                    continue
                name, slash, _ = key[len(below) :].partition("/")
                if slash:
                    yield Entry(f"{name}/")
                    start = f"{below}{name}/{_BEHIND_ALL}"
                    break
                yield Entry(name, entry["size"], int(entry["last_modified"].timestamp() * 1_000_000))
            if start is not None:
                break
