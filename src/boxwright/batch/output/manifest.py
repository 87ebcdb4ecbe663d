"""The manifest of a batch job: what was read, what became of every row, and the digest of every file.

``manifest.json`` is written last into the output folder, so its presence says that the folder is complete. It holds nothing
that depends on when the job ran: a second run gives the same bytes. `examine` proves it against the folder.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from google.rpc import code_pb2

import boxwright
from boxwright import errors, kinds, objects
from boxwright.batch.job import MANIFEST_FILE as MANIFEST_FILE
from boxwright.batch.output import sidecars, tombstone
from boxwright.batch.output.shard_index import OutputFile
from boxwright.batch.output.sidecars import SidecarFile

FORMAT_VERSION = 1
REPORT_FOLDER = "report"
REPORT_FILES = tuple(
    f"{REPORT_FOLDER}/{name}"
    for name in ("duplicates.csv", "label_next.csv", "prelabels.csv", "report.html", "report.json")
)
REMOVED_FILE = "removed.csv"
OUTPUT_PATTERNS = (
    *(f"{kind.name}_*.jsonl" for kind in kinds.SERVED),
    "errors_*.jsonl",
    REMOVED_FILE,
)  # what readers look for
MAX_SHARDS = 1_000_000  # of one job; a manifest that says more would take memory for nothing
RETRYABLE = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"})  # another job may succeed with these


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says.

    Attributes:
        state: SUCCEEDED; FAILED if every image was tried and too many failed; CANCELLED if only the shards that were
            whole by then are there.
        rows_read: rows of the lists that are not blank; 0 if the job was cancelled.
        duplicates_removed: rows whose image had been listed before.
        images_predicted: lines in the shards.
        errors_by_code: lines in the errors files, by canonical code name.
        shards: the result files, in order.
        errors_files: the error files, in order.
        model: the model's resource name and digest.
        settings: what the request and the installation chose that influences the lines or the state.
        ignored_params: the request's ``params`` keys that mean nothing: ``{"key", "nearest"}`` each.
        images_of_one_colour: predicted images that the network has seen as a single colour; nothing can be found in them.
        left_out: by address of a folder, a pattern or an archive, how many names of which suffix are no images.
        candidates: the files of candidates, in order; empty if the job kept none.
        formats: the files of results in other formats, by format, in order.
        reused: images whose results were taken over from `base`.
        base: the former job that they are of, ``{"manifest", "sha256"}``; None if there is none.
        removed: the file of the images of the base that are not listed any more; None if it is not wanted.
        sources: the former jobs whose candidates the results are made of, without inference: ``{"manifest", "sha256",
            "state"}`` each; empty if images were predicted.
        report: the files of the report; empty if there is none.
    """

    state: str
    rows_read: int
    duplicates_removed: int
    images_predicted: int
    errors_by_code: dict[str, int]
    shards: Sequence[OutputFile]
    errors_files: list[OutputFile]
    model: dict[str, str]
    settings: dict[str, Any]
    ignored_params: list[dict[str, str | None]] = dataclasses.field(default_factory=list)
    images_of_one_colour: int = 0
    left_out: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    candidates: list[SidecarFile] = dataclasses.field(default_factory=list)
    formats: dict[str, list[SidecarFile]] = dataclasses.field(default_factory=dict)
    sources: list[dict[str, str]] = dataclasses.field(default_factory=list)
    report: list[OutputFile] = dataclasses.field(default_factory=list)
    reused: int = 0
    base: dict[str, str] | None = None
    removed: OutputFile | None = None

    @property
    def left_to_base(self) -> int:
        """Images that have candidates here and their lines in the results of the base only."""
        return self.reused if self.settings.get("only_new") else 0

    @property
    def sidecars(self) -> list[SidecarFile]:
        """All files beside the shards."""
        return [*self.candidates, *(file for files in self.formats.values() for file in files)]

    def check_files(self, kind: str) -> None:
        """Raises ValueError or the like unless every file has the one name that it can have: it is read by that name."""
        patterns = {
            f"{kind}_{{}}.jsonl": [(file.name, file.lines) for file in self.shards],
            sidecars.name_pattern(sidecars.CANDIDATES, kind): [(file.name, file.images) for file in self.candidates],
            "errors_{}.jsonl": [(file.name, file.lines) for file in self.errors_files],
        }
        for pattern, files in patterns.items():
            former = 0
            for name, count in files:
                number = int(name.rpartition("_")[2].partition(".")[0])
                if name != pattern.format(number) or not former < number <= MAX_SHARDS or count < 0:
                    raise ValueError(f"the file {name[:80]} has a name or a place that no job gives")
                former = number
        counts = (
            self.rows_read,
            self.duplicates_removed,
            self.images_predicted,
            self.images_of_one_colour,
            self.reused,
        )
        if min(*counts, *self.errors_by_code.values()) < 0:
            raise ValueError("a number is negative")
        if not all(isinstance(self.model[key], str) for key in ("name", "digest")):
            raise ValueError("the model has no name or digest")
        float(self.settings.get("candidate_floor", 0.0))

    def to_json(self) -> bytes:
        """The file's bytes."""
        document = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        document |= {
            "errors_by_code": {
                code: {"images": count, "retryable": code in RETRYABLE}
                for code, count in sorted(self.errors_by_code.items())
            },
            "shards": [],
            "removed": None if self.removed is None else dataclasses.asdict(self.removed),
            "errors_files": [dataclasses.asdict(file) for file in self.errors_files],
            "candidates": [dataclasses.asdict(file) for file in self.candidates],
            "formats": {name: [dataclasses.asdict(file) for file in files] for name, files in self.formats.items()},
            "report": [dataclasses.asdict(file) for file in self.report],
        }
        document = {"format_version": FORMAT_VERSION, "software": f"boxwright {boxwright.__version__}", **document}
        head, mark, rest = json.dumps(document, ensure_ascii=False, indent=1).encode().partition(b'\n "shards": []')
        content = io.BytesIO()  # hands its bytes over without copying them: they may be megabytes
        content.write(head + mark)
        if self.shards:  # they may be very many: each is written by itself
            content.seek(-1, io.SEEK_CUR)
            for number, file in enumerate(self.shards):
                entry = json.dumps(dataclasses.asdict(file), ensure_ascii=False, indent=1)
                content.write((b",\n  " if number else b"\n  ") + entry.replace("\n", "\n  ").encode())
            content.write(b"\n ]")
        content.write(rest + b"\n")
        return content.getvalue()

    @classmethod
    def from_json(cls, content: bytes) -> Manifest:
        """Parses the file. Raises ApiError if it is no manifest of a version that this program reads."""
        try:
            document = json.loads(content)
            if document.pop("format_version") != FORMAT_VERSION:
                raise errors.failed_precondition("The manifest has a format version that this Boxwright does not read.")
            del document["software"]
            document["errors_by_code"] = {code: entry["images"] for code, entry in document["errors_by_code"].items()}
            for kind in ("shards", "errors_files"):
                document[kind] = [OutputFile(**entry) for entry in document[kind]]
            document["candidates"] = [SidecarFile(**entry) for entry in document.get("candidates", [])]
            document["formats"] = {
                name: [SidecarFile(**entry) for entry in files] for name, files in document.get("formats", {}).items()
            }
            document["report"] = [OutputFile(**entry) for entry in document.get("report", [])]
            removed = document.pop("removed", None)
            document["removed"] = None if removed is None else OutputFile(**removed)
            known = {field.name for field in dataclasses.fields(cls)}  # a later version may say more
            return cls(**{key: value for key, value in document.items() if key in known})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise errors.bad_request(f"This is not a manifest of a batch prediction: {error}.") from error


@dataclasses.dataclass(frozen=True)
class ManifestCheck:
    """What was found in an output folder.

    Attributes:
        state: the manifest's.
        problems: what is not as the manifest says, a sentence each.
        candidates_deleted: when the candidates were deleted, RFC 3339; empty if they were not.
    """

    state: str
    problems: list[str]
    candidates_deleted: str = ""


def examine(stores: objects.Stores, directory: objects.ObjectUri) -> ManifestCheck:
    """Compares an output folder with its manifest.

    Every row must be accounted for unless the job was cancelled, every digest must hold, and no file may be there that
    readers would take for one of the job's. Candidates may be missing only if a tombstone of this manifest names them.

    Raises:
        ApiError: there is no manifest, or it cannot be read.
    """
    content = stores.get(directory.child(MANIFEST_FILE))
    manifest = Manifest.from_json(content)
    try:
        stone, problems = tombstone.read(stores, directory, content), []
    except errors.ApiError as error:
        stone, problems = None, [error.message]
    problems += _problems(manifest, stores, directory, frozenset(stone.files if stone else ()))
    return ManifestCheck(manifest.state, problems, stone.delete_time if stone else "")


def _problems(
    manifest: Manifest, stores: objects.Stores, directory: objects.ObjectUri, deleted: frozenset[str]
) -> Iterator[str]:
    failed = sum(manifest.errors_by_code.values())
    if manifest.state != "CANCELLED":
        expected = manifest.rows_read - manifest.duplicates_removed
        results = manifest.images_predicted + manifest.left_to_base
        if expected != results + failed:
            yield f"{expected} different rows were read, but {results} results and {failed} errors are accounted for"
    beside = {file.name for file in manifest.sidecars} | {file.name for file in manifest.report}
    removed = [] if manifest.removed is None else [manifest.removed]
    known = {file.name for files in (manifest.shards, manifest.errors_files, removed) for file in files}
    for info in stores.list(directory):
        parent, _, name = info.uri.key.rpartition("/")
        looks_ours = any(fnmatch.fnmatchcase(name, pattern) for pattern in OUTPUT_PATTERNS)
        if parent == directory.key.rstrip("/") and looks_ours and name not in known:
            yield f"{name} is not of this job: the manifest does not name it"
        below = info.uri.key.removeprefix(directory.folder.key)
        if (sidecars.looks_like_one(below) or below in REPORT_FILES) and below not in beside:
            yield f"{below} is not of this job: the manifest does not name it"
    for files, total, what in (
        (manifest.shards, manifest.images_predicted, "results"),
        (manifest.errors_files, failed, "errors"),
        (removed, sum(file.lines for file in removed), "removed images"),
    ):
        found = 0
        for file in files:
            lines, problem = _check(stores, directory, file)
            found += lines
            if problem:
                yield problem
        if found != total:
            yield f"the files hold {found} {what}, the manifest says {total}"
    for reported in manifest.report:
        _, problem = _check(stores, directory, reported)
        if problem:
            yield problem
    for name, listed in {sidecars.CANDIDATES: manifest.candidates, **manifest.formats}.items():
        for sidecar in listed:
            if (
                name == sidecars.CANDIDATES
                and sidecar.name in deleted
                and not stores.exists(directory.child(sidecar.name))
            ):
                continue
            _, problem = _check(stores, directory, OutputFile(sidecar.name, 0, sidecar.sha256), has_lines=False)
            if problem:
                yield problem
        images = sum(sidecar.images for sidecar in listed)
        expected = manifest.images_predicted + (manifest.left_to_base if name == sidecars.CANDIDATES else 0)
        if listed and images != expected:
            yield f"the files of {name} are about {images} images, but {expected} have results"


def _check(
    stores: objects.Stores, directory: objects.ObjectUri, file: OutputFile, *, has_lines: bool = True
) -> tuple[int, str]:
    """Returns the lines found in one file, and what is wrong with it."""
    digest, lines = hashlib.sha256(), 0
    try:
        for chunk in stores.stream(directory.child(file.name)):
            digest.update(chunk)
            lines += chunk.count(b"\n")
    except objects.ObjectNotFound:
        return lines, f"{file.name} is missing"
    if digest.hexdigest() != file.sha256:
        return lines, f"{file.name} has other bytes than the job wrote"
    return (
        lines,
        "" if lines == file.lines or not has_lines else f"{file.name} has {lines} lines instead of {file.lines}",
    )


def code_name(code: int) -> str:
    """The canonical name of a `google.rpc.Code` number."""
    return code_pb2.Code.Name(code)
