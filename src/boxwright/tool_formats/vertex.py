"""Vertex AI's JSONL: an image a line, to import, or predicted; boxes are fractions of the image's sides.

Import: https://cloud.google.com/vertex-ai/docs/image-data/object-detection/prepare-data. In a prediction a box is x_min,
x_max, y_min, y_max, in this order.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Any

from boxwright import states
from boxwright.tool_formats.pictures import Picture

ML_USE = "aiplatform.googleapis.com/ml_use"
SIDES = ("xMin", "yMin", "xMax", "yMax")
_PLACES = 9
_ML_USES = {
    states.MlUse.TRAIN: "training",
    states.MlUse.VALIDATION: "validation",
    states.MlUse.TEST: "test",
}


def import_line(picture: Picture, address: str, *, has_several: bool) -> dict[str, Any]:
    """The line of an image to import, as JSON.

    Args:
        picture: with its boxes and labels.
        address: of the image, gs://….
        has_several: whether images of this list have several labels.
    """
    line: dict[str, Any] = {"imageGcsUri": address}
    named = [{"displayName": label} for label in picture.labels]
    if has_several and named:
        line["classificationAnnotations"] = named
    elif named:
        line["classificationAnnotation"] = named[0]
    if picture.boxes:
        line["boundingBoxAnnotations"] = [
            {
                "displayName": box.label,
                **{side: round(value, _PLACES) for side, value in zip(SIDES, box.corners_norm, strict=True)},
            }
            for box in picture.boxes
        ]
    if picture.split in _ML_USES:
        line["dataItemResourceLabels"] = {ML_USE: _ML_USES[picture.split]}
    return line


def prediction(picture: Picture, address: str, ids: Mapping[str, str], *, has_boxes: bool = True) -> dict[str, Any]:
    """The line of an image that was predicted, as JSON; what has no score counts as sure.

    Args:
        picture: with its boxes or labels.
        address: of the image, gs://….
        ids: of the labels.
        has_boxes: whether an image in which nothing was found has an empty list of boxes.
    """
    kind = mimetypes.guess_type(picture.path)[0] or "application/octet-stream"
    labels = [*picture.labels, *(box.label for box in picture.boxes)]
    scores = [*picture.label_scores, *(box.score for box in picture.boxes)]
    found: dict[str, Any] = {
        "ids": [ids[label] for label in labels],
        "displayNames": labels,
        "confidences": [1.0 if score is None else score for score in scores],
    }
    if has_boxes and not picture.labels:
        corners = ((round(value, _PLACES) for value in box.corners_norm) for box in picture.boxes)
        found["bboxes"] = [[left, right, top, bottom] for left, top, right, bottom in corners]
    return {"instance": {"content": address, "mimeType": kind}, "prediction": found}
