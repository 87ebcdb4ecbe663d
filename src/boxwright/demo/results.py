"""What a batch prediction wrote, read back: `image_object_detection_N.jsonl` and `errors_N.jsonl`."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from boxwright.demo import dataset

MATCH_IOU = 0.5


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One predicted box with its score."""

    box: dataset.Box
    score: float


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
    predictions: dict[str, tuple[Prediction, ...]] = {}
    errors: dict[str, str] = {}
    for line in _lines(folder, "image_object_detection"):
        predictions[line["ID"]] = tuple(_read_annotation(annotation) for annotation in line.get("annotations", ()))
    for line in _lines(folder, "errors"):
        errors[line["ID"]] = line["status"]["message"]
    return Results(predictions, errors)


def compare(labels: tuple[dataset.Box, ...], predictions: tuple[Prediction, ...], threshold: float) -> Comparison:
    """Matches predictions of at least `threshold` with the labels: best score first, each label once, IoU ≥ 0.5."""
    kept = sorted((p for p in predictions if p.score >= threshold), key=lambda prediction: -prediction.score)
    open_labels = list(labels)
    for prediction in kept:
        candidates = [label for label in open_labels if label.label == prediction.box.label]
        best = max(candidates, key=lambda label: iou(label, prediction.box), default=None)
        if best is not None and iou(best, prediction.box) >= MATCH_IOU:
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


def _lines(folder: pathlib.Path, stem: str) -> Iterator[dict[str, Any]]:
    """The objects in `stem`_1.jsonl, `stem`_2.jsonl and so on; there may be no such file."""
    number = 1
    while (path := folder / f"{stem}_{number}.jsonl").exists():
        with path.open(encoding="utf-8") as file:
            yield from (json.loads(line) for line in file)
        number += 1


def _read_annotation(annotation: dict[str, Any]) -> Prediction:
    """One annotation; protobuf's JSON leaves out what is zero."""
    detection = annotation["image_object_detection"]
    top_left, bottom_right = detection["bounding_box"]["normalized_vertices"]
    corners = (vertex.get(axis, 0.0) for vertex in (top_left, bottom_right) for axis in ("x", "y"))
    return Prediction(dataset.Box(annotation["display_name"], *corners), detection.get("score", 0.0))
