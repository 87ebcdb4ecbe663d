"""Members of archives on their way to hosts: those of a shard lie in one object of the job's scratch until it is done.

An archive is read once, by the driver, from its beginning to its end. Ray carries none of it.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Sequence

from boxwright import errors, objects
from boxwright.batch.entry import HeldBytes
from boxwright.batch.inputs import member_files
from boxwright.batch.segments import Item, Segment

FOLDER = "members"


class StoredMembers:
    """The packs of one job.

    Args:
        stores: where its scratch is.
        scratch: the job's.
    """

    def __init__(self, stores: objects.Stores, scratch: objects.ObjectUri) -> None:
        self._stores = stores
        self._folder = scratch.child(FOLDER)
        self._there: set[int] = set()

    def packed(self, segment: Segment) -> Segment:
        """The same images, whose bytes are in the scratch instead of on this machine's disk; as it is without members.

        Raises:
            ApiError: from the store.
        """
        if segment.files is None or not any(item.held is not None and item.held.path for item in segment.items):
            return segment
        uri = self._folder.child(str(segment.shard))
        content, items = bytearray(), []
        for item in segment.items:
            held = item.held
            if held is not None and held.path:
                items.append(Item(item.id, item.failure, HeldBytes(str(uri), len(content), held.length)))
                content += member_files.read(held)
            else:
                items.append(item)
        self._stores.put(uri, bytes(content))
        self._there.add(segment.shard)
        segment.release()
        return Segment(segment.shard, items)

    def drop(self, shard: int) -> None:
        """Says that a shard is done; what cannot be removed is removed with the scratch."""
        if shard in self._there:
            self._there.discard(shard)
            with contextlib.suppress(errors.ApiError):
                self._stores.delete_written(self._folder.child(str(shard)))


def fetched(stores: objects.Stores, items: Sequence[Item], folder: pathlib.Path) -> list[Item]:
    """The same images, whose bytes are in a file of this machine instead of in the scratch; on a host.

    Args:
        stores: where the scratch is.
        items: of one shard, or one of them.
        folder: of the file, which has the pack's name.

    Raises:
        ApiError: from the store.
    """
    paths = {"": ""}  # of those whose shard is finished nothing is kept
    found = []
    for item in items:
        held = item.held
        if held is not None:
            if held.path not in paths:
                path = folder / f"{FOLDER}-{held.path.rpartition('/')[2]}"
                path.write_bytes(stores.get(objects.ObjectUri.parse(held.path)))
                paths[held.path] = str(path)
            held = held._replace(path=paths[held.path])
        found.append(Item(item.id, item.failure, held))
    return found


def removed(items: Sequence[Item]) -> None:
    """Removes what `fetched` has left on this machine."""
    for path in {item.held.path for item in items if item.held is not None and item.held.path}:
        pathlib.Path(path).unlink(missing_ok=True)
