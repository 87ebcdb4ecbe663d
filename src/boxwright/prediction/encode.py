"""Lines of the output files: one image, one line of compact JSON."""

from __future__ import annotations

import dataclasses
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
    for (x_min, y_min, x_max, y_max), score, index in zip(corners, scores, found.label_indices.tolist(), strict=True):
        spec_id, display_name = labels[index]
        vertices = [{"x": x_min, "y": y_min}, {"x": x_max, "y": y_max}]
        annotations.append(
            {
                keys.spec_id: spec_id,
                keys.detail: {keys.box: {keys.vertices: vertices}, "score": score},
                keys.display_name: display_name,
            }
        )
    return _line({"ID": image_id, "annotations": annotations})


def error_line(image_id: str, status: status_pb2.Status) -> bytes:
    """Returns ``{"ID":…,"status":{"code":…,"message":…}}`` and a line break."""
    return _line({"ID": image_id, "status": {"code": status.code, "message": status.message}})


def _line(value: dict[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
