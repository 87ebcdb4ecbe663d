"""Which former job a batch prediction takes results over from: its base, by the request's ``reuse``."""

from __future__ import annotations

import dataclasses
from typing import Any

from boxwright import errors, names, objects
from boxwright.batch.job import MANIFEST_FILE
from boxwright.batch.output.manifest import Manifest
from boxwright.metadata import database
from boxwright.operations import former_jobs

NONE, AUTO = "none", "auto"
LOOKED_AT = 10  # former jobs whose manifests are read to choose one
LEAST_SHARE = 0.5  # of the largest of them: a job of a few images, such as a retry, is no base for all


@dataclasses.dataclass(frozen=True)
class BaseChoice:
    """The base's output folder, or why there is none; both are empty if none is wanted."""

    folder: str = ""
    reason: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """Of a `BatchSpec`."""
        return {"base": self.folder, "base_reason": self.reason}


def choose(
    db: database.Database,
    stores: objects.Stores,
    wish: str,
    model: names.ModelName,
    prefix: objects.ObjectUri,
    policy_digest: str,
) -> BaseChoice:
    """Chooses a base. One that is named is judged later, by its manifest.

    Args:
        db: knows former jobs.
        stores: for objects that the caller names.
        wish: ``none``, ``auto``, an operation's id or name, or a folder.
        model: the request's.
        prefix: below which the results go.
        policy_digest: of the new job.
    """
    if wish == NONE:
        return BaseChoice()
    if wish == AUTO:
        return _newest(db, stores, model, prefix, policy_digest)
    if "://" in wish:
        return BaseChoice(wish.rstrip("/").removesuffix(f"/{MANIFEST_FILE}"))
    project, operation = model.project, wish
    if "/" in wish:
        try:
            name = names.OperationName.parse(wish)
        except errors.ApiError:
            return BaseChoice(reason=f"{wish[:200]} is no name of an operation")
        project, operation = name.project, name.operation
    if project != model.project:
        return BaseChoice(reason=f"{wish[:200]} belongs to another project")
    with db.read() as connection:
        folder = former_jobs.output_of(connection, project, operation)
    return BaseChoice(folder, "" if folder else f"{wish[:200]} is no batch prediction that has ended with results")


def _newest(
    db: database.Database,
    stores: objects.Stores,
    model: names.ModelName,
    prefix: objects.ObjectUri,
    policy_digest: str,
) -> BaseChoice:
    """The newest job of the model below the prefix, of the same policy, that is not small beside the others."""
    with db.read() as connection:
        folders = former_jobs.succeeded(connection, model, 10 * LOOKED_AT)
    below = [folder for folder in folders if folder.rpartition("/")[0] == str(prefix).rstrip("/")]
    images = {folder: _images(stores, folder, policy_digest) for folder in below[:LOOKED_AT]}
    largest = max(images.values(), default=0)
    for folder, count in images.items():
        if count and count >= LEAST_SHARE * largest:
            return BaseChoice(folder)
    return BaseChoice(reason=f"no former job below {prefix} has candidates of this model, floor and software")


def _images(stores: objects.Stores, folder: str, policy_digest: str) -> int:
    """How many images of a job's results can be taken over."""
    try:
        manifest = Manifest.from_json(stores.get(objects.ObjectUri.parse(folder).child(MANIFEST_FILE)))
    except errors.ApiError:
        return 0
    if manifest.model.get("policy_digest") != policy_digest:
        return 0
    return sum(file.images for file in manifest.candidates)
