"""How good detections are: the API's evaluation grid, and the COCO figures beside it. Pure numpy.

    evaluate(labels, ground_truth, detections) -> dict      ready for JSON; docs/training.md states the rules

One matching serves everything: per image and label, detections in descending score take the unmatched ground-truth box
that they overlap most, if the overlap reaches the threshold; each box is taken once. The grid's average precision is the
full area under the monotone precision-recall curve; the extras use COCO's 101 recall points.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright import boxes

# The API's 23 thresholds, for IoU and for confidence; from literals, so that 0.5 is exactly 0.5.
GRID = tuple(float(f"0.{hundredths:02d}") for hundredths in (*range(5, 100, 5), 96, 97, 98, 99))
COCO_THRESHOLDS = tuple(float(f"0.{hundredths:02d}") for hundredths in range(50, 100, 5))
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
MAX_BOXES_PER_IMAGE = 100
_GRID = np.asarray(GRID)
_COCO_COLUMNS = np.asarray([GRID.index(threshold) for threshold in COCO_THRESHOLDS])


@dataclasses.dataclass(frozen=True)
class GroundTruth:
    """What is in one image.

    Attributes:
        boxes_norm: (G, 4) float32, xyxy in [0, 1].
        label_indices: (G,) int64.
    """

    boxes_norm: npt.NDArray[np.float32]
    label_indices: npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class LabelCurve:
    """All detections of one label, best score first, in every image together.

    Attributes:
        scores: (N,) float64, descending.
        true_positives: (N, T) int64, cumulated, one column per IoU threshold of the grid.
        matched: (N, T) bool.
        box_count: ground-truth boxes of the label.
        image_count: images that carry the label.
        image_indices: (N,) int64, the image of each detection.
        boxes_by_image: (I,) int64, ground-truth boxes of the label in each image.
    """

    scores: npt.NDArray[np.float64]
    true_positives: npt.NDArray[np.int64]
    matched: npt.NDArray[np.bool_]
    box_count: int
    image_count: int
    image_indices: npt.NDArray[np.int64]
    boxes_by_image: npt.NDArray[np.int64]


def match_boxes(iou: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Greedy matching at every threshold of the grid.

    Args:
        iou: (D, G), detections best first.

    Returns:
        (D, T) bool: whether a detection takes a box at a threshold.
    """
    if iou.shape[1] == 1:  # the common case needs no loop: the first that is good enough takes the box
        good = iou >= _GRID
        return good & (np.cumsum(good, axis=0) == 1)
    matched = np.zeros((len(iou), len(GRID)), bool)
    taken = np.zeros((len(GRID), iou.shape[1]), bool)
    every = np.arange(len(GRID))
    for row in np.flatnonzero(iou.max(axis=1, initial=0.0) >= GRID[0]):
        free = np.where(taken, -1.0, iou[row])  # (T, G)
        best = free.argmax(axis=1)  # (T,)
        good = free[every, best] >= _GRID
        taken[every[good], best[good]] = True
        matched[row] = good
    return matched


def label_curves(
    label_count: int, ground_truth: Sequence[GroundTruth], detections: Sequence[boxes.Detections]
) -> list[LabelCurve]:
    """Matches all images; rows of equal score keep the order of the images."""
    scores: list[list[npt.NDArray[np.float64]]] = [[np.empty(0)] for _ in range(label_count)]
    matched: list[list[npt.NDArray[np.bool_]]] = [[np.empty((0, len(GRID)), bool)] for _ in range(label_count)]
    images: list[list[npt.NDArray[np.int64]]] = [[np.empty(0, np.int64)] for _ in range(label_count)]
    box_counts = np.zeros((label_count, len(ground_truth)), np.int64)
    for image, (truth, found) in enumerate(zip(ground_truth, detections, strict=True)):
        found = found.keep(0.0, MAX_BOXES_PER_IMAGE)
        found_scores = boxes.rounded_scores(found.scores)
        present = set(truth.label_indices.tolist())
        for label in present | set(found.label_indices.tolist()):
            rows = np.flatnonzero(found.label_indices == label)
            hits = np.zeros((len(rows), len(GRID)), bool)
            if label in present:
                own_boxes = truth.boxes_norm[truth.label_indices == label].astype(np.float64)
                box_counts[label, image] = len(own_boxes)
                hits = match_boxes(boxes.pairwise_iou(found.boxes_norm[rows].astype(np.float64), own_boxes))
            scores[label].append(found_scores[rows])
            images[label].append(np.full(len(rows), image))
            matched[label].append(hits)
    curves = []
    for label in range(label_count):
        label_scores = np.concatenate(scores[label])
        order = np.argsort(-label_scores, kind="stable")
        hits = np.concatenate(matched[label])[order]
        true_positives = np.cumsum(hits, axis=0, dtype=np.int64)
        curves.append(
            LabelCurve(
                scores=label_scores[order],
                true_positives=true_positives,
                matched=hits,
                box_count=int(box_counts[label].sum()),
                image_count=int(np.count_nonzero(box_counts[label])),
                image_indices=np.concatenate(images[label])[order],
                boxes_by_image=box_counts[label],
            )
        )
    return curves


def _monotone_precision(curve: LabelCurve) -> npt.NDArray[np.float64]:
    """Precision after each detection, made non-increasing; (N, T)."""
    precision = curve.true_positives / np.arange(1, len(curve.scores) + 1)[:, None]
    return np.maximum.accumulate(precision[::-1], axis=0)[::-1]


def average_precisions(curve: LabelCurve) -> npt.NDArray[np.float64]:
    """Area under the whole precision-recall curve at every threshold; (T,), zero for a label without ground truth."""
    if curve.box_count == 0 or len(curve.scores) == 0:
        return np.zeros(len(GRID))
    return (_monotone_precision(curve) * curve.matched).sum(axis=0) / curve.box_count


def coco_average_precisions(curve: LabelCurve) -> npt.NDArray[np.float64]:
    """Mean precision at COCO's 101 recall points, at 0.50, 0.55 … 0.95; (10,)."""
    result = np.zeros(len(_COCO_COLUMNS))
    if curve.box_count == 0 or len(curve.scores) == 0:
        return result
    precision = _monotone_precision(curve)
    for index, column in enumerate(_COCO_COLUMNS):
        recall = curve.true_positives[:, column] / curve.box_count
        at = np.searchsorted(recall, RECALL_POINTS, side="left")
        reached = at[at < len(recall)]
        result[index] = precision[reached, column].sum() / len(RECALL_POINTS)
    return result


def _counts(curves: Sequence[LabelCurve]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """True positives (T, K) and detections (K,) with at least each confidence of the grid, pooled over labels."""
    true_positives = np.zeros((len(GRID), len(GRID)), np.int64)
    kept = np.zeros(len(GRID), np.int64)
    for curve in curves:
        count = np.searchsorted(-curve.scores, -_GRID, side="right")  # (K,) detections with score >= confidence
        kept += count
        padded = np.vstack([np.zeros((1, len(GRID)), np.int64), curve.true_positives])  # (N+1, T)
        true_positives += padded[count].T
    return true_positives, kept


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The quotient part / whole, 0 where the whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _entry(
    curves: Sequence[LabelCurve], precisions_by_threshold: npt.NDArray[np.float64], example_count: int
) -> dict[str, Any]:
    """One evaluation in the API's shape."""
    true_positives, kept = _counts(curves)
    box_count = sum(curve.box_count for curve in curves)
    precision = _ratio(true_positives, kept[None])  # (T, K)
    recall = _ratio(true_positives, np.asarray(box_count))  # (T, K)
    f1 = _ratio(2 * precision * recall, precision + recall)  # (T, K)
    entries = [
        {
            "iou_threshold": iou_threshold,
            "mean_average_precision": float(precisions_by_threshold[row]),
            "confidence_metrics_entries": [
                {
                    "confidence_threshold": confidence,
                    "recall": float(recall[row, column]),
                    "precision": float(precision[row, column]),
                    "f1_score": float(f1[row, column]),
                }
                for column, confidence in enumerate(GRID)
            ],
        }
        for row, iou_threshold in enumerate(GRID)
    ]
    return {
        "evaluated_example_count": example_count,
        "evaluated_bounding_box_count": box_count,
        "bounding_box_mean_average_precision": float(precisions_by_threshold.mean()),
        "bounding_box_metrics_entries": entries,
    }


def _extras(labels: Sequence[dict[str, str]], curves: Sequence[LabelCurve]) -> dict[str, Any]:
    """The figures that the literature compares; means run over labels with ground truth."""
    table = np.stack([coco_average_precisions(curve) for curve in curves]) if curves else np.zeros((0, 10))  # (C, 10)
    counted = np.asarray([curve.box_count > 0 for curve in curves], bool)
    mean = table[counted].mean(axis=0) if counted.any() else np.zeros(len(COCO_THRESHOLDS))
    return {
        "map50": float(mean[0]),
        "map75": float(mean[COCO_THRESHOLDS.index(0.75)]),
        "map50_95": float(mean.mean()),
        "labels": [
            {
                "display_name": label["display_name"],
                "boxes": curve.box_count,
                "ap50": float(row[0]),
                "ap75": float(row[COCO_THRESHOLDS.index(0.75)]),
                "ap50_95": float(row.mean()),
            }
            for label, curve, row in zip(labels, curves, table, strict=True)
        ],
    }


def quick_scores(
    label_count: int, ground_truth: Sequence[GroundTruth], detections: Sequence[boxes.Detections]
) -> tuple[float, float]:
    """(mAP at 0.5, mAP at 0.50 … 0.95) alone, for checks during training."""
    extras = _extras([{"display_name": ""}] * label_count, label_curves(label_count, ground_truth, detections))
    return extras["map50"], extras["map50_95"]


def evaluate(
    labels: Sequence[dict[str, str]],
    ground_truth: Sequence[GroundTruth],
    detections: Sequence[boxes.Detections],
    *,
    split: str,
) -> dict[str, Any]:
    """Evaluates one set of images.

    Args:
        labels: display_name and annotation_spec_id of every label, in index order.
        ground_truth: per image.
        detections: per image, best first, down to a score near zero; the first `MAX_BOXES_PER_IMAGE` count.
        split: TEST or VALIDATION, noted in the extras.

    Returns:
        `overall`, `labels` (one entry each), `extras`; plain JSON data.
    """
    curves = label_curves(len(labels), ground_truth, detections)
    by_label = [average_precisions(curve) for curve in curves]
    counted = [row for row, curve in zip(by_label, curves, strict=True) if curve.box_count > 0]
    overall = np.mean(counted, axis=0) if counted else np.zeros(len(GRID))
    return {
        "overall": _entry(curves, overall, len(ground_truth)),
        "labels": [
            {
                "display_name": label["display_name"],
                "annotation_spec_id": label["annotation_spec_id"],
                **_entry([curve], row, curve.image_count),
            }
            for label, curve, row in zip(labels, curves, by_label, strict=True)
        ],
        "extras": {"split": split, "images": len(ground_truth), **_extras(labels, curves)},
    }
