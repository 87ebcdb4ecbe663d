"""Lines of the output files: one image, one line of compact JSON."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence

from google.rpc import status_pb2

from boxwright import boxes


@dataclasses.dataclass(frozen=True)
class Keys:
    """The spelling of the keys inside ``annotations``; JSON parsers of protobuf accept either."""

    spec_id: str = "annotation_spec_id"
    detail: str = "image_object_detection"
    box: str = "bounding_box"
    vertices: str = "normalized_vertices"
    display_name: str = "display_name"


SNAKE_CASE = Keys()
CAMEL_CASE = Keys("annotationSpecId", "imageObjectDetection", "boundingBox", "normalizedVertices", "displayName")


def success_line(
    image_id: str, found: boxes.Detections, labels: Sequence[tuple[str, str]], keys: Keys = SNAKE_CASE
) -> bytes:
    """Returns ``{"ID":…,"annotations":[…]}`` and a line break.

    Coordinates that are exactly 0 are written out: proto JSON allows it, and a reader that indexes ``x`` never stumbles.

    Args:
        labels: (annotation spec id, display name) by label index.
        keys: how the keys are spelt.
    """
    corners = boxes.rounded_boxes(found.boxes_norm).tolist()
    scores = boxes.rounded_scores(found.scores).tolist()
    annotations = []
    # Written out instead of built as dictionaries and dumped, at a third of the time: floats are written by repr, as
    # the json module does, and nothing else varies.
    for (x_min, y_min, x_max, y_max), score, index in zip(corners, scores, found.label_indices.tolist(), strict=True):
        head, middle, tail = _frame(keys, *labels[index])
        annotations.append(
            f'{head}{{"x":{x_min!r},"y":{y_min!r}}},{{"x":{x_max!r},"y":{y_max!r}}}{middle}{score!r}{tail}'
        )
    line = f'{{"ID":{_quoted(image_id)},"annotations":[{",".join(annotations)}]}}\n'
    return line.encode("utf-8", "replace")


@functools.lru_cache(maxsize=1024)
def _frame(keys: Keys, spec_id: str, display_name: str) -> tuple[str, str, str]:
    """What stands before the vertices, between them and the score, and behind the score."""
    names = {field.name: _quoted(getattr(keys, field.name)) for field in dataclasses.fields(keys)}
    head = f"{{{names['spec_id']}:{_quoted(spec_id)},{names['detail']}:{{{names['box']}:{{{names['vertices']}:["
    return head, ']},"score":', f"}},{names['display_name']}:{_quoted(display_name)}}}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def error_line(image_id: str, status: status_pb2.Status) -> bytes:
    """Returns ``{"ID":…,"status":{"code":…,"message":…}}`` and a line break."""
    return _line({"ID": image_id, "status": {"code": status.code, "message": status.message}})


def _line(value: dict[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
