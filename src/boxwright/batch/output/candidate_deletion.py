"""Deletes the candidates of a finished job and leaves a tombstone; the results and the manifest stay as they are."""

from __future__ import annotations

import hashlib

from boxwright import faults, objects
from boxwright.batch import read_ahead
from boxwright.batch.output import sidecars, tombstone
from boxwright.batch.output.manifest import MANIFEST_FILE, Manifest


def delete(stores: objects.Stores, folder: objects.ObjectUri, delete_time: str) -> int:
    """Deletes the candidates that a folder's manifest names; may be done again after a crash. Returns how many it names.

    Nothing else is deleted: not what the manifest does not name, and no file whose name no candidates have.

    Raises:
        ApiError: the manifest or an earlier tombstone cannot be understood; or as the store says.
    """
    try:
        content = stores.get(folder.child(MANIFEST_FILE))
    except objects.ObjectNotFound:  # the job did not get so far, or somebody has deleted the folder
        return 0
    named = [file.name for file in Manifest.from_json(content).candidates]
    files = [name for name in named if name.startswith(f"{sidecars.CANDIDATES}/") and _is_plain(name)]
    if not files:
        return 0
    if tombstone.read(stores, folder, content) is None:
        made = tombstone.Tombstone(hashlib.sha256(content).hexdigest(), delete_time, files)
        stores.put(folder.child(tombstone.TOMBSTONE_FILE), made.to_json())

    def delete(name: str) -> None:
        faults.point("retention.before_delete")
        stores.delete_written(folder.child(name))

    return sum(1 for _ in read_ahead.in_order(delete, files))


def _is_plain(name: str) -> bool:
    """Whether a name is one that candidates have: a folder and a file, and nothing else."""
    return sidecars.looks_like_one(name) and name.count("/") == 1 and ".." not in name
