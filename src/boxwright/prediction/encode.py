"""Lines of the output files: one image, one line of compact snake_case JSON (spec 10.3)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from google.rpc import status_pb2

from boxwright import boxes


def success_line(image_id: str, found: boxes.Detections, labels: Sequence[tuple[str, str]]) -> bytes:
    """Returns ``{"ID":…,"annotations":[…]}`` and a line break.

    Coordinates that are exactly 0 are written out: proto JSON allows it, and a reader that indexes ``x`` never stumbles.

    Args:
        labels: (annotation spec id, display name) by label index.
    """
    corners = boxes.rounded_boxes(found.boxes_norm).tolist()
    scores = boxes.rounded_scores(found.scores).tolist()
    annotations = []
    for (x_min, y_min, x_max, y_max), score, index in zip(corners, scores, found.label_indices.tolist(), strict=True):
        spec_id, display_name = labels[index]
        vertices = [{"x": x_min, "y": y_min}, {"x": x_max, "y": y_max}]
        annotations.append(
            {
                "annotation_spec_id": spec_id,
                "image_object_detection": {"bounding_box": {"normalized_vertices": vertices}, "score": score},
                "display_name": display_name,
            }
        )
    return _line({"ID": image_id, "annotations": annotations})


def error_line(image_id: str, status: status_pb2.Status) -> bytes:
    """Returns ``{"ID":…,"status":{"code":…,"message":…}}`` and a line break."""
    return _line({"ID": image_id, "status": {"code": status.code, "message": status.message}})


def _line(value: dict[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
