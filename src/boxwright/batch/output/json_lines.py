"""Lines of the output files: one image, one line of compact JSON."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from google.rpc import status_pb2

from boxwright import boxes
from boxwright.predictions import ImagePrediction, LabelScores

quoted: Callable[[str], str] = json.encoder.encode_basestring  # a text as JSON; json.dumps would look at its type first


@dataclasses.dataclass(frozen=True)
class Keys:
    """The spelling of the keys inside ``annotations``; JSON parsers of protobuf accept either."""

    spec_id: str = "annotation_spec_id"
    detection: str = "image_object_detection"
    box: str = "bounding_box"
    vertices: str = "normalized_vertices"
    display_name: str = "display_name"
    classification: str = "classification"


SNAKE_CASE = Keys()
CAMEL_CASE = Keys("annotationSpecId", "imageObjectDetection", "boundingBox", "normalizedVertices", "displayName")


def success_line(
    image_id: str, found: ImagePrediction, labels: Sequence[tuple[str, str]], keys: Keys = SNAKE_CASE
) -> bytes:
    """Returns ``{"ID":…,"annotations":[…]}`` and a line break.

    Coordinates that are exactly 0 are written out: proto JSON allows it, and a reader that indexes ``x`` never stumbles.

    Args:
        labels: (annotation spec id, display name) by label index.
        keys: how the keys are spelt.
    """
    # Written out instead of built as dictionaries and dumped, at a third of the time: floats are written by repr, as
    # the json module does, and nothing else varies.
    line = f'{{"ID":{quoted(image_id)},"annotations":[{",".join(_ANNOTATIONS[type(found)](found, labels, keys))}]}}\n'
    return line.encode("utf-8", "replace")


def _detections(found: boxes.Detections, labels: Sequence[tuple[str, str]], keys: Keys) -> Iterator[str]:
    corners = boxes.rounded_boxes(found.boxes_norm).tolist()
    scores = boxes.rounded_scores(found.scores).tolist()
    for (x_min, y_min, x_max, y_max), score, index in zip(corners, scores, found.label_indices.tolist(), strict=True):
        head, middle, tail = detection_frame(keys, *labels[index])
        yield f'{head}{{"x":{x_min!r},"y":{y_min!r}}},{{"x":{x_max!r},"y":{y_max!r}}}{middle}{score!r}{tail}'


def _classifications(found: LabelScores, labels: Sequence[tuple[str, str]], keys: Keys) -> Iterator[str]:
    scores = boxes.rounded_scores(found.scores).tolist()
    for score, index in zip(scores, found.label_indices.tolist(), strict=True):
        head, tail = classification_frame(keys, *labels[index])
        yield f"{head}{score!r}{tail}"


_ANNOTATIONS: dict[type, Callable[[Any, Sequence[tuple[str, str]], Keys], Iterator[str]]] = {
    boxes.Detections: _detections,
    LabelScores: _classifications,
}


@functools.lru_cache(maxsize=1024)
def detection_frame(keys: Keys, spec_id: str, display_name: str) -> tuple[str, str, str]:
    """What stands before the vertices, between them and the score, and behind the score."""
    names = _quoted_keys(keys)
    head = f"{{{names['spec_id']}:{quoted(spec_id)},{names['detection']}:{{{names['box']}:{{{names['vertices']}:["
    return head, ']},"score":', f"}},{names['display_name']}:{quoted(display_name)}}}"


@functools.lru_cache(maxsize=10_000)  # more than the labels of any one model: each image may name them all
def classification_frame(keys: Keys, spec_id: str, display_name: str) -> tuple[str, str]:
    """What stands before the score and behind it."""
    names = _quoted_keys(keys)
    head = f"{{{names['spec_id']}:{quoted(spec_id)},{names['display_name']}:{quoted(display_name)}"
    return f'{head},{names["classification"]}:{{"score":', "}}"


def _quoted_keys(keys: Keys) -> dict[str, str]:
    return {field.name: quoted(getattr(keys, field.name)) for field in dataclasses.fields(keys)}


def error_line(image_id: str, status: status_pb2.Status) -> bytes:
    """Returns ``{"ID":…,"status":{"code":…,"message":…}}`` and a line break."""
    return _line({"ID": image_id, "status": {"code": status.code, "message": status.message}})


def _line(value: dict[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
