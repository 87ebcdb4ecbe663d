"""``boxwright verify``: compares a batch prediction's folder, in a bucket or on this machine, with its manifest."""

from __future__ import annotations

import pathlib

from boxwright import errors, objects
from boxwright.batch.output import manifest, tombstone
from boxwright.settings import StorageSettings

COMPLETE, WRONG, CANCELLED, FAILED = 0, 1, 3, 4  # 2 is a folder that cannot be examined, as with every command
ENDS = {
    "SUCCEEDED": (COMPLETE, "every row and every byte is accounted for"),
    "CANCELLED": (CANCELLED, "as its manifest says: the job was cancelled, so only the files named there are complete"),
    "FAILED": (
        FAILED,
        "as its manifest says: every row is accounted for, and the job failed because too many images did",
    ),
}


def run(folder: str, storage: StorageSettings, project: str = "") -> int:
    """Prints what is wrong with a folder, and a line about the whole; returns the exit status.

    Args:
        folder: an address, or a path of this machine; the address or path of its manifest will do too.
        storage: where ``gs://`` is.
        project: whose credential profiles are used, beside those of all projects.

    Raises:
        ApiError: the folder cannot be examined.
    """
    stores, directory = _located(folder, storage)
    found = manifest.examine(stores.of_project(project), directory)
    for problem in found.problems:
        print(problem)
    if found.candidates_deleted:
        print(f"The candidates were deleted on {found.candidates_deleted}, as {tombstone.TOMBSTONE_FILE} says.")
    status, text = ENDS.get(found.state, (WRONG, f"its manifest has the unknown state {found.state}"))
    if found.problems:
        status, text = WRONG, "not as its manifest says"
    print(f"{folder}: {text}.")
    return status


def _located(folder: str, storage: StorageSettings) -> tuple[objects.Stores, objects.ObjectUri]:
    """The stores that have the folder, and its address there."""
    shown = folder.rstrip("/").removesuffix(f"/{manifest.MANIFEST_FILE}")
    scheme, separator, rest = shown.partition("://")
    if separator and scheme != "file":
        stores = objects.Stores(storage.buckets_dir, storage.data_dir / "state", storage.choices)
        return stores.enduring(), objects.caller_uri(shown, stores.schemes, directory=True)
    path = pathlib.Path(rest if separator else shown or "/").resolve()
    if path.name == manifest.MANIFEST_FILE:
        path = path.parent
    if not path.is_dir():
        raise errors.not_found(f"There is no folder {path} on this machine; a bucket's folder starts with gs://.")
    stores = objects.Stores(
        storage.buckets_dir, storage.data_dir / "state", objects.StoreConfig(file_roots=(str(path),))
    )
    return stores, objects.ObjectUri.parse(f"file://{path}")
