"""The images of one shard with what was found, as a table: from its candidates, or from its result lines."""

from __future__ import annotations

import array
import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from boxwright import errors, objects
from boxwright.batch.output import candidates
from boxwright.batch.output.candidates import SCALE, CandidateTable
from boxwright.batch.results.folder import ResultFile, ResultFolder
from boxwright.images import appearance

_DIGEST = bytes(candidates.SHA256_BYTES)
_CORNERS = 4


@dataclasses.dataclass(frozen=True)
class ShardTable:
    """A shard.

    Attributes:
        number: of the shard.
        table: with its images; of result lines it has no sizes, digests and looks.
        labels: (annotation spec id, display name) by label index.
    """

    number: int
    table: CandidateTable
    labels: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class FailedImage:
    """An image without a prediction.

    Attributes:
        file: number of the errors file.
        row: its line there, from 0.
        id: its address.
        code: number of a `google.rpc.Code`.
        message: why.
    """

    file: int
    row: int
    id: str
    code: int
    message: str


def read(stores: objects.Stores, folder: ResultFolder, file: ResultFile, kind: str) -> ShardTable:
    """Reads a shard.

    Raises:
        ApiError: NOT_FOUND and the like from the store; INVALID_ARGUMENT or DATA_LOSS: the file is damaged.
    """
    uri = folder.uri.child(file.name)
    content = stores.get(uri)
    if folder.has_candidates:
        table, origin = candidates.from_parquet(content, str(uri))
        if not table.holds(len(origin.labels)) or origin.kind != kind:
            raise errors.data_loss(f"{uri} does not belong to this job; predict the images again.")
        return ShardTable(file.number, table, origin.labels)
    try:
        return ShardTable(file.number, *_of_lines(content.splitlines(), has_boxes=kind == "image_object_detection"))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise errors.data_loss(f"{uri} is no file of results ({type(error).__name__}); predict again.") from error


def failed(stores: objects.Stores, folder: ResultFolder, file: ResultFile, start: int = 0) -> Iterator[FailedImage]:
    """Yields the failed images of an errors file from a line on.

    Raises:
        ApiError: from the store; DATA_LOSS: the file is damaged.
    """
    uri = folder.uri.child(file.name)
    for row, line in enumerate(error_lines(stores.stream(uri))):
        if row < start:
            continue
        try:
            said = json.loads(line)
            status = said["status"]
            yield FailedImage(file.number, row, str(said["ID"]), int(status["code"]), str(status.get("message", "")))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise errors.data_loss(f"{uri} is no file of errors ({type(error).__name__}).") from error


def error_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields lines of JSON: breaks other than LF are no ends of lines."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _of_lines(lines: Sequence[bytes], *, has_boxes: bool) -> tuple[CandidateTable, list[tuple[str, str]]]:
    ids: list[str] = []
    offsets = [0]
    labels: dict[tuple[str, str], int] = {}
    indices = array.array("H")
    values: list[list[float]] = []
    for line in lines:
        said = json.loads(line)
        ids.append(str(said["ID"]))
        for one in said["annotations"]:
            spec_id = str(one.get("annotation_spec_id", one.get("annotationSpecId", "")))
            name = str(one.get("display_name", one.get("displayName", "")))
            indices.append(labels.setdefault((spec_id, name), len(labels)))
            values.append(_values(one, has_boxes=has_boxes))
        offsets.append(len(values))
    numbers = np.array(values, np.float64).reshape(len(values), 1 + _CORNERS * has_boxes)
    table = CandidateTable(
        ids=ids,
        sha256=[_DIGEST] * len(ids),
        size_bytes=np.zeros(len(ids), np.int64),
        width_px=np.zeros(len(ids), np.int32),
        height_px=np.zeros(len(ids), np.int32),
        looks=np.repeat(np.frombuffer(appearance.UNKNOWN, appearance.RECORD), len(ids)),
        versions=[""] * len(ids),
        one_colour=np.zeros(len(ids), bool),
        offsets=np.array(offsets, np.int32),
        label_indices=np.array(indices, np.uint16),
        values=np.ascontiguousarray(np.rint(numbers * SCALE).astype(np.int32).T),
    )
    return table, list(labels)


def _values(one: dict[str, Any], *, has_boxes: bool) -> list[float]:
    """Score, and of a box its corners."""
    if not has_boxes:
        return [float(one["classification"]["score"])]
    found: dict[str, Any] = one.get("image_object_detection") or one["imageObjectDetection"]
    box: dict[str, Any] = found.get("bounding_box") or found["boundingBox"]
    first, last = box.get("normalized_vertices") or box["normalizedVertices"]
    corners = (first.get("x", 0.0), first.get("y", 0.0), last.get("x", 0.0), last.get("y", 0.0))
    return [float(found["score"]), *map(float, corners)]
