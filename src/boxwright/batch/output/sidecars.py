"""Sidecars: files beside a shard that are made of the same images, each in a folder named after its kind.

``candidates/image_object_detection_K.parquet`` has all that was found, ``csv/…_K.csv`` and the like the results in another
format. A sidecar is put before its shard, so that the shard's existence says that it is there.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence

from boxwright import kinds
from boxwright.batch.job import BatchSpec
from boxwright.batch.output import candidates, json_lines, result_formats
from boxwright.batch.output.candidates import CandidatesOrigin, CandidateTable, ImageCandidates

CANDIDATES = "candidates"
SUFFIXES: Mapping[str, str] = {
    CANDIDATES: "parquet",
    **{name: form.suffix for name, form in result_formats.ALL.items()},
}
_PATTERNS = [f"{name}/{kind.name}_*.{suffix}" for name, suffix in SUFFIXES.items() for kind in kinds.SERVED]


@dataclasses.dataclass(frozen=True)
class SidecarFile:
    """One sidecar: its name in the output folder, the images that it is about, and the sha256 of its bytes."""

    name: str
    images: int
    sha256: str


def name_pattern(sidecar: str, kind: str) -> str:
    """Makes the name of a sidecar of the shard's number."""
    return f"{sidecar}/{kind}_{{}}.{SUFFIXES[sidecar]}"


def looks_like_one(name: str) -> bool:
    """Whether a name in an output folder is one that a sidecar could have."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _PATTERNS)


def wanted(spec: BatchSpec) -> list[str]:
    """The kinds of sidecars that a job writes."""
    return [*([] if spec.candidate_floor is None else [CANDIDATES]), *spec.formats]


def of_shard(
    spec: BatchSpec,
    shard: int,
    ids: Sequence[str],
    rows: Sequence[ImageCandidates | None],
    reused: Sequence[bool],
) -> tuple[bytes | None, dict[str, bytes]]:
    """The result lines of a shard, if images of it were taken over, else None: they are known; and its sidecars, by kind.

    Args:
        spec: says which are wanted.
        shard: its number.
        ids: of its images, in order.
        rows: of the same images; None for those that failed.
        reused: which of them were taken over.
    """
    if spec.table_floor is None:
        return None, {}
    pairs = [(image_id, row) for image_id, row in zip(ids, rows, strict=True) if row is not None]
    table = CandidateTable.of(spec.kind, pairs)
    made = {}
    if spec.candidate_floor is not None:
        origin = CandidatesOrigin(
            spec.kind, spec.model, spec.model_digest, spec.candidate_floor, spec.labels, spec.policy_digest
        )
        made[CANDIDATES] = candidates.to_parquet(table, origin)
    if not any(reused):
        return None, made | (results(spec, shard, table)[1] if spec.formats else {})
    if spec.only_new:  # the candidates are those of all images all the same: the next job's base is whole
        new = [(one, row) for one, row, old in zip(ids, rows, reused, strict=True) if row is not None and not old]
        table = CandidateTable.of(spec.kind, new)
    lines, beside = results(spec, shard, table)
    return lines, made | beside


def results(spec: BatchSpec, shard: int, table: CandidateTable) -> tuple[bytes, dict[str, bytes]]:
    """The result lines of a shard, the bytes that `json_lines.success_line` makes of each image; and what is beside them.

    Args:
        spec: says what is wanted.
        shard: its number.
        table: the candidates of its images.
    """
    keys = json_lines.CAMEL_CASE if spec.camel_case else json_lines.SNAKE_CASE
    found = result_formats.selected(table, spec.selection([name for _, name in spec.labels]), spec.labels)
    beside = {name: result_formats.ALL[name].write(found, shard) for name in spec.formats}
    return result_formats.json_lines_of(found, keys), beside
