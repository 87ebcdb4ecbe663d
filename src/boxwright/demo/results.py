"""What a batch prediction wrote, read back: `image_object_detection_N.jsonl` and `errors_N.jsonl`."""

from __future__ import annotations

import dataclasses
import pathlib

from boxwright.contact_sheet import results as files
from boxwright.contact_sheet.boxes import Prediction as Prediction
from boxwright.demo import dataset

MATCH_IOU = 0.5


@dataclasses.dataclass(frozen=True)
class Results:
    """All lines of one batch prediction.

    Attributes:
        predictions: URI of an image → what was found in it, best first; in the order of the files.
        errors: URI of an image → why it failed.
    """

    predictions: dict[str, tuple[Prediction, ...]]
    errors: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Predictions of one image against its labels."""

    found: int
    missed: int
    extra: int


def read_results(folder: pathlib.Path) -> Results:
    """Reads the files of an output directory, shard by shard."""
    predictions = {image.uri: image.predictions for image in files.predicted(folder)}
    return Results(predictions, {image.uri: image.why for image in files.failed(folder)})


def compare(labels: tuple[dataset.Box, ...], predictions: tuple[Prediction, ...], threshold: float) -> Comparison:
    """Matches predictions of at least `threshold` with the labels: best score first, each label once, IoU ≥ 0.5."""
    kept = sorted((p for p in predictions if p.score >= threshold), key=lambda prediction: -prediction.score)
    open_labels = list(labels)
    for prediction in kept:
        if (box := prediction.box) is None:
            continue
        candidates = [(iou(label, box), label) for label in open_labels if label.label == prediction.label]
        overlap, best = max(candidates, key=lambda candidate: candidate[0], default=(0.0, None))
        if best is not None and overlap >= MATCH_IOU:
            open_labels.remove(best)
    found = len(labels) - len(open_labels)
    return Comparison(found, len(open_labels), len(kept) - found)


def iou(one: dataset.Box, other: dataset.Box) -> float:
    """Intersection over union of two boxes of the same image."""
    width = min(one.x_max, other.x_max) - max(one.x_min, other.x_min)
    height = min(one.y_max, other.y_max) - max(one.y_min, other.y_min)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = ((box.x_max - box.x_min) * (box.y_max - box.y_min) for box in (one, other))
    return shared / (sum(areas) - shared)
