"""The sources of a job that predicts nothing: manifests of former jobs, and the candidates that these have kept.

Sources(spec, stores) reads the manifests, refuses what cannot be answered from them, and freezes their digests, so that a
second attempt reads the same. It stands where a plan stands.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from google.rpc import status_pb2

from boxwright import errors, faults, names, objects
from boxwright.batch.job import BatchSpec
from boxwright.batch.output import tombstone
from boxwright.batch.output.account import CarriedOver
from boxwright.batch.output.manifest import Manifest
from boxwright.batch.output.shard_index import OutputFile

HEADER = "plan/sources.json"
_WORST_FIRST = ("CANCELLED", "FAILED", "SUCCEEDED")


@dataclasses.dataclass(frozen=True)
class SourceShard:
    """A file of candidates, and the shard that is made of it.

    Attributes:
        shard: the number of the new shard, from 1.
        uri: of the file.
        images: in it.
        sha256: of its bytes.
    """

    shard: int
    uri: str
    images: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class _Source:
    """One manifest that was read; `first_shard` is what its shard 1 becomes."""

    uri: objects.ObjectUri
    sha256: str
    manifest: Manifest
    first_shard: int

    @property
    def folder(self) -> objects.ObjectUri:
        return dataclasses.replace(self.uri, key=self.uri.key.rpartition("/")[0])

    def shards(self) -> Iterator[SourceShard]:
        for file in self.manifest.candidates:
            number = self.first_shard - 1 + _number(file.name)
            yield SourceShard(number, str(self.folder.child(file.name)), file.images, file.sha256)


class Sources:
    """The manifests of one job, read and checked.

    Args:
        spec: names the manifests, the model and the selection.
        stores: where they are.

    Raises:
        ApiError: NOT_FOUND and the like from the store; INVALID_ARGUMENT: one is no manifest; FAILED_PRECONDITION: it is of
            another model or project, or has no candidates; OUT_OF_RANGE: a threshold is below the floor of its candidates;
            ABORTED: it changed since the first attempt.
    """

    is_complete = True

    def __init__(self, spec: BatchSpec, stores: objects.Stores) -> None:
        self._spec = spec
        self._stores = stores
        self._named = stores.named()
        self._sources: list[_Source] = []
        first_shard = 1
        for text in spec.input_uris:
            source = self._read(objects.ObjectUri.parse(text), first_shard)
            first_shard += max((_number(file.name) for file in source.manifest.shards), default=0)
            self._sources.append(source)
        self._freeze()
        manifests = [source.manifest for source in self._sources]
        self.rows_read = sum(manifest.rows_read for manifest in manifests)
        self.duplicates = sum(manifest.duplicates_removed for manifest in manifests)
        self.rows_failed = 0  # they are among the images that failed
        self.images_failed = sum(sum(manifest.errors_by_code.values()) for manifest in manifests)
        self.images_planned = self.images_failed + sum(
            manifest.images_predicted + manifest.left_to_base for manifest in manifests
        )
        self.row_failures: list[status_pb2.Status] = []
        self.left_out: dict[str, dict[str, int]] = {}  # names are not listed again

    @property
    def state(self) -> str:
        """Of the new manifest: what is made of incomplete folders is incomplete."""
        states = {source.manifest.state for source in self._sources}
        return next((state for state in _WORST_FIRST if state in states), _WORST_FIRST[0])

    def estimated_images(self) -> float:
        """How many images the whole job has."""
        return self.images_planned

    def shards(self) -> Iterator[SourceShard]:
        """Yields every file of candidates, in order."""
        for source in self._sources:
            yield from source.shards()

    def carry_over(self) -> CarriedOver:
        """Copies the errors files into the output folder; what else the new manifest takes from the former ones.

        Raises:
            ApiError: DATA_LOSS: an errors file is not as its manifest says.
        """
        by_code: collections.Counter[str] = collections.Counter()
        files: list[OutputFile] = []
        output = objects.ObjectUri.parse(self._spec.output_directory)
        for source in self._sources:
            by_code.update(source.manifest.errors_by_code)
            for file in source.manifest.errors_files:
                content = checked(self._named, source.folder.child(file.name), file.sha256)
                files.append(OutputFile(f"errors_{len(files) + 1}.jsonl", file.lines, file.sha256))
                self._stores.put(output.child(files[-1].name), content)
        return CarriedOver(
            errors_by_code=dict(by_code),
            errors_files=files,
            one_colour=sum(source.manifest.images_of_one_colour for source in self._sources),
            sources=[
                {"manifest": str(source.uri), "sha256": source.sha256, "state": source.manifest.state}
                for source in self._sources
            ],
        )

    # ---- inside -------------------------------------------------------------------------------------------------

    def _read(self, uri: objects.ObjectUri, first_shard: int) -> _Source:
        try:
            content = self._named.get(uri)
        except objects.ObjectNotFound as error:
            raise objects.explained(self._named, uri, error) from error
        try:
            manifest = Manifest.from_json(content)
            manifest.check_files(self._spec.kind)
        except errors.ApiError as error:
            raise errors.ApiError(error.code, f"{uri}: {error.message}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise errors.bad_request(f"{uri}: This is not a manifest of a batch prediction: {error}.") from error
        self._check(uri, manifest)
        self._check_kept(uri, content)
        return _Source(uri, hashlib.sha256(content).hexdigest(), manifest, first_shard)

    def _check(self, uri: objects.ObjectUri, manifest: Manifest) -> None:
        """Refuses a manifest that this job cannot be answered from."""
        former = manifest.model["name"]
        if _project_of(former) != _project_of(self._spec.model):
            raise errors.failed_precondition(
                f"{uri} is of another project ({former or 'it names no model'}) than {self._spec.model}."
            )
        if manifest.model["digest"] != self._spec.model_digest:
            raise errors.failed_precondition(
                f"{uri} was predicted with another model ({former}, digest {manifest.model['digest'][:12]}) than "
                f"{self._spec.model} (digest {self._spec.model_digest[:12]}); name the model that it was predicted with."
            )
        if sum(file.images for file in manifest.candidates) != manifest.images_predicted + manifest.left_to_base:
            origin = ", ".join(source["manifest"] for source in manifest.sources)
            remedy = (
                f"name its source instead: {origin}" if origin else "predict its images again, with candidates=keep"
            )
            raise errors.failed_precondition(f"{uri}: this job kept no candidates; {remedy}.")
        floor = float(manifest.settings.get("candidate_floor", 0.0))
        lowest = self._spec.selection([name for _, name in self._spec.labels]).lowest_threshold
        if lowest < floor and manifest.candidates:
            raise errors.out_of_range(
                f"{uri} has candidates with scores of at least {floor:g}, and a score threshold is {lowest:g}; choose a "
                "higher one, or predict the images again with a lower batch_candidate_floor or score_threshold."
            )

    def _check_kept(self, uri: objects.ObjectUri, content: bytes) -> None:
        """Refuses a manifest whose candidates were deleted since."""
        folder = dataclasses.replace(uri, key=uri.key.rpartition("/")[0])
        try:
            stone = tombstone.read(self._named, folder, content)
        except errors.ApiError as error:
            raise errors.ApiError(error.code, f"{uri}: {error.message}") from error
        if stone is not None:
            raise errors.failed_precondition(
                f"{uri}: the candidates of this job were deleted on {stone.delete_time} (setting candidates_days); predict "
                "its images again."
            )

    def _freeze(self) -> None:
        """Puts the digests of the manifests once; a later attempt must have read the same."""
        uri = objects.ObjectUri.parse(self._spec.scratch).child(HEADER)
        digests = {str(source.uri): source.sha256 for source in self._sources}
        faults.point("rewrite.before_header")
        if not self._stores.put_once(uri, json.dumps(digests).encode()):
            first: dict[str, Any] = json.loads(self._stores.get(uri))
            for source_uri, digest in digests.items():
                if first.get(source_uri) != digest:
                    raise errors.aborted(f"{source_uri} changed while the job was running; start a new job.")


def checked(stores: objects.Stores, uri: objects.ObjectUri, sha256: str) -> bytes:
    """Reads a file of a former job.

    Raises:
        ApiError: DATA_LOSS if it has other bytes than its manifest says or is gone.
    """
    try:
        content = stores.get(uri)
    except objects.ObjectNotFound as error:
        raise errors.data_loss(f"{uri} is missing, and its manifest names it; predict the images again.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise errors.data_loss(f"{uri} has other bytes than its manifest says; predict the images again.")
    return content


def _number(name: str) -> int:
    """The number in the name of a result file or of one beside it."""
    return int(name.rpartition("_")[2].partition(".")[0])


def _project_of(model: str) -> str:
    try:
        return names.ModelName.parse(model).project
    except errors.ApiError:
        return ""
