"""Free space where results go, where that can be told."""

from __future__ import annotations

import pathlib
import shutil

from boxwright import objects


def free_bytes(stores: objects.Stores, output: objects.ObjectUri) -> int | None:
    """Bytes that are free where an address leads; None in clouds, which do not say.

    Args:
        stores: what is served.
        output: a folder, which need not be there.
    """
    config = stores.to_config()
    match output.scheme:
        case "gs" if config["choices"]["gs"] == "folder" and not config["choices"]["gs_emulator"]:
            path = pathlib.Path(config["buckets_dir"], output.bucket, output.key)
        case "file":
            path = pathlib.Path("/", output.key)
        case _:
            return None
    try:
        return shutil.disk_usage(next(folder for folder in (path, *path.parents) if folder.is_dir())).free
    except (OSError, StopIteration):
        return None
