"""The folder of a former job: its manifest, checked against what the present job is, and its files of candidates."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator

from boxwright import errors, names, objects
from boxwright.batch.job import MANIFEST_FILE, BatchSpec
from boxwright.batch.output import candidates
from boxwright.batch.output.candidates import CandidateTable
from boxwright.batch.output.manifest import Manifest


class UnusableError(Exception):
    """A base is of no use; the message says why, without a full stop."""


@dataclasses.dataclass(frozen=True)
class BaseFile:
    """A file of candidates: its address, the sha256 of its bytes, and the policy that its rows must be of."""

    uri: objects.ObjectUri
    sha256: str
    policy_digest: str

    def read(self, stores: objects.Stores) -> CandidateTable | None:
        """The candidates; None if the file is gone, or is not the one that the manifest names."""
        try:
            content = stores.get(self.uri)
            if hashlib.sha256(content).hexdigest() != self.sha256:
                return None
            table, origin = candidates.from_parquet(content, str(self.uri))
        except errors.ApiError:
            return None
        is_sound = origin.policy_digest == self.policy_digest and table.holds(len(origin.labels))
        return table if is_sound else None


@dataclasses.dataclass(frozen=True)
class BaseFolder:
    """A base that the present job may use.

    Attributes:
        manifest_uri: of its manifest.
        sha256: of the manifest.
        policy_digest: of its candidates.
        files: its files of candidates, in order.
    """

    manifest_uri: objects.ObjectUri
    sha256: str
    policy_digest: str
    files: list[BaseFile]

    @classmethod
    def read(cls, spec: BatchSpec, stores: objects.Stores) -> BaseFolder:
        """Reads and judges the folder `spec.base`.

        Args:
            spec: the present job's.
            stores: for objects that its caller names.

        Raises:
            UnusableError: nothing of it can be taken over.
        """
        try:
            folder = objects.ObjectUri.parse(spec.base)
            uri = folder.child(MANIFEST_FILE)
        except objects.BadUri as error:
            raise UnusableError(f"{spec.base} cannot be read: {error.message.rstrip('.')}") from error
        try:
            content = stores.get(uri)
            manifest = Manifest.from_json(content)
            why = _why_not(spec, manifest)
            manifest.check_files(spec.kind)
        except errors.ApiError as error:
            raise UnusableError(f"{uri} cannot be read: {error.message.rstrip('.')}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnusableError(f"{uri} is no manifest of a batch prediction: {error}") from error
        if why is not None:
            raise UnusableError(f"{spec.base} {why}")
        files = [BaseFile(folder.child(file.name), file.sha256, spec.policy_digest) for file in manifest.candidates]
        return cls(uri, hashlib.sha256(content).hexdigest(), spec.policy_digest, files)

    def tables(self, stores: objects.Stores) -> Iterator[tuple[int, CandidateTable]]:
        """Yields the number and the candidates of each file that can be read, from 0."""
        for number, file in enumerate(self.files):
            if (table := file.read(stores)) is not None:
                yield number, table


def _why_not(spec: BatchSpec, manifest: Manifest) -> str | None:
    """Why nothing of a base can be taken over; None if something can."""
    try:
        project = names.ModelName.parse(manifest.model.get("name", "")).project
    except errors.ApiError:
        return "does not say with which model it was predicted"
    if project != names.ModelName.parse(spec.model).project:
        return "belongs to another project"
    if not manifest.candidates:
        return "has kept no candidates"
    if manifest.model.get("policy_digest") != spec.policy_digest:
        return "was predicted with another model, another floor of candidates, or another version of the software"
    return None
