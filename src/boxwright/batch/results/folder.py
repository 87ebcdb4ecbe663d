"""An output folder: its shards and errors files by number, and whether there are candidates.

A finished folder says by its manifest what is in it. One that grows, or was left without a manifest, is listed: a shard that
is there is whole.
"""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence

from boxwright import errors, objects
from boxwright.batch.job import MANIFEST_FILE
from boxwright.batch.output import sidecars, tombstone
from boxwright.batch.output.manifest import REPORT_FOLDER, Manifest
from boxwright.batch.output.tombstone import TOMBSTONE_FILE as TOMBSTONE_FILE

MOST_MANIFEST_BYTES = 1 << 30
REPORT_FILE = f"{REPORT_FOLDER}/report.json"
NONE_KEPT = "The job kept no candidates (parameter candidates): the threshold can only be raised."
NOT_YET = "Failed images are listed when the job has ended."


@dataclasses.dataclass(frozen=True)
class ResultFile:
    """A file of results or errors.

    Attributes:
        number: in its name, from 1.
        name: in the output folder.
        images: that it is about; -1 if that is not known without reading it.
    """

    number: int
    name: str
    images: int = -1


@dataclasses.dataclass(frozen=True)
class ResultFolder:
    """What there is to read.

    Attributes:
        uri: of the folder.
        identity: names its content: two folders of one identity have the same bytes.
        shards: in order, of candidates or of result lines.
        errors_files: in order; none before the job has ended.
        has_candidates: whether the shards are files of candidates.
        reason: why they are not, or what is missing; empty otherwise.
        is_final: whether it has a manifest.
        report_sha256: of report.json, which has the counts of all candidates; empty if there is none.
        errors_by_code: failed images by canonical code name, if it has one.
        sizes: in bytes, by name in the folder; only if it was listed.
    """

    uri: objects.ObjectUri
    identity: str
    shards: Sequence[ResultFile]
    errors_files: Sequence[ResultFile] = ()
    has_candidates: bool = False
    reason: str = ""
    is_final: bool = False
    report_sha256: str = ""
    errors_by_code: Mapping[str, int] = dataclasses.field(default_factory=dict)
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Failed images."""
        return sum(self.errors_by_code.values())

    def shard(self, number: int) -> ResultFile | None:
        """The shard with a number; None if there is none."""
        return _numbered(self.shards, number)

    def errors_file(self, number: int) -> ResultFile | None:
        """The errors file with a number; None if there is none."""
        return _numbered(self.errors_files, number)

    @property
    def images(self) -> int:
        """Images with a result; -1 if that is not known without reading files."""
        counts = [shard.images for shard in self.shards]
        return -1 if -1 in counts else sum(counts)


def opened(stores: objects.Stores, uri: objects.ObjectUri, kind: str) -> ResultFolder:
    """Opens an output folder.

    Args:
        stores: limited to what the caller may read.
        uri: of the folder.
        kind: of the model, as `kinds` names it.

    Raises:
        ApiError: PERMISSION_DENIED and the like from the store; FAILED_PRECONDITION: the manifest cannot be read.
    """
    try:
        content = stores.get(uri.child(MANIFEST_FILE), max_bytes=MOST_MANIFEST_BYTES)
    except objects.ObjectNotFound:
        return _growing(stores, uri, kind)
    return _final(stores, uri, kind, content)


def with_sizes(stores: objects.Stores, folder: ResultFolder) -> ResultFolder:
    """A folder with the sizes of its files."""
    return dataclasses.replace(folder, sizes=_sizes(stores, folder.uri))


def _final(stores: objects.Stores, uri: objects.ObjectUri, kind: str, content: bytes) -> ResultFolder:
    try:
        manifest = Manifest.from_json(content)
        manifest.check_files(kind)
    except (errors.ApiError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = error.message if isinstance(error, errors.ApiError) else str(error)
        raise errors.failed_precondition(f"{uri.child(MANIFEST_FILE)} cannot be read: {why}") from error
    reason = _why_no_candidates(stores, uri, manifest, content)
    listed = [(one.name, one.lines) for one in manifest.shards] if reason else [
        (one.name, one.images) for one in manifest.candidates
    ]  # fmt: skip
    return ResultFolder(
        uri,
        f"{uri} {hashlib.sha256(content).hexdigest()} {bool(reason)}",
        [ResultFile(_number(name), name, images) for name, images in listed],
        [ResultFile(_number(one.name), one.name, one.lines) for one in manifest.errors_files],
        has_candidates=not reason,
        reason=reason,
        is_final=True,
        report_sha256=next((one.sha256 for one in manifest.report if one.name == REPORT_FILE), ""),
        errors_by_code=manifest.errors_by_code,
    )


def _why_no_candidates(stores: objects.Stores, uri: objects.ObjectUri, manifest: Manifest, content: bytes) -> str:
    """Why results are read from their lines; empty if there are candidates of all of them."""
    if manifest.sources:
        former = ", ".join(str(one.get("manifest", "")) for one in manifest.sources[:3])
        return f"The results were made again of {former}, which has the candidates: the threshold can only be raised."
    if sum(one.images for one in manifest.candidates) != manifest.images_predicted + manifest.left_to_base:
        return NONE_KEPT
    try:
        stone = tombstone.read(stores, uri, content)
    except errors.ApiError as error:
        return error.message
    if stone is None or not manifest.candidates:
        return ""
    return f"The candidates were deleted on {stone.delete_time} (setting candidates_days): the threshold can only be raised."


def _growing(stores: objects.Stores, uri: objects.ObjectUri, kind: str) -> ResultFolder:
    sizes = _sizes(stores, uri)
    lines = re.compile(re.escape(kind) + r"_([1-9]\d*)\.jsonl")
    numbers = sorted(int(found[1]) for name in sizes if (found := lines.fullmatch(name)))
    pattern = sidecars.name_pattern(sidecars.CANDIDATES, kind)
    has_candidates = all(pattern.format(number) in sizes for number in numbers)  # each is put before its shard
    used = pattern if has_candidates else f"{kind}_{{}}.jsonl"
    shards = [ResultFile(number, used.format(number)) for number in numbers]
    digest = hashlib.sha256("\n".join(f"{one.name} {sizes[one.name]}" for one in shards).encode()).hexdigest()
    reason = NOT_YET if has_candidates else f"{NONE_KEPT} {NOT_YET}"
    return ResultFolder(
        uri, f"{uri} {digest} {has_candidates}", shards, has_candidates=has_candidates, reason=reason, sizes=sizes
    )


def _sizes(stores: objects.Stores, uri: objects.ObjectUri) -> dict[str, int]:
    start = uri.folder.key
    try:
        return {info.uri.key.removeprefix(start): info.size_bytes for info in stores.list(uri)}
    except objects.ObjectNotFound:
        return {}


def _numbered(files: Sequence[ResultFile], number: int) -> ResultFile | None:
    place = bisect.bisect_left(files, number, key=lambda file: file.number)
    return next((file for file in itertools.islice(files, place, place + 1) if file.number == number), None)


def _number(name: str) -> int:
    return int(name.rpartition("_")[2].partition(".")[0])
