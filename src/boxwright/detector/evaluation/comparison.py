"""What was found, missed, confused and imagined, image by image: the report's tables of mistakes. Pure numpy.

compare(truth, found, threshold) -> Comparison      one image
confusion(comparisons, label_count) -> (L+1, L+1)    all images
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from boxwright import boxes
from boxwright.detector.evaluation.evaluate import GroundTruth

MATCH_IOU = 0.5


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One image's detections against its boxes.

    Attributes:
        pairs: (M, 2) int64, rows of (true label, found label) of boxes that lie on each other.
        missed: (K,) int64, labels of boxes that nothing lies on.
        imagined: (N,) int64, labels of detections that lie on nothing.
        imagined_rows: (N,) int64, which detections those are.
        cost: how bad the image is: each missed or confused box counts 1, each imagined one its score.
    """

    pairs: npt.NDArray[np.int64]
    missed: npt.NDArray[np.int64]
    imagined: npt.NDArray[np.int64]
    imagined_rows: npt.NDArray[np.int64]
    cost: float


def compare(truth: GroundTruth, found: boxes.Detections, threshold: float) -> Comparison:
    """Pairs detections of at least `threshold` with boxes at an IoU of `MATCH_IOU`, best score first.

    A first round pairs equal labels, a second one what is left, whatever its label.
    """
    kept = found.keep(threshold, len(found))
    iou = boxes.pairwise_iou(kept.boxes_norm.astype(np.float64), truth.boxes_norm.astype(np.float64))  # (N, G)
    same = kept.label_indices[:, None] == truth.label_indices[None, :]  # (N, G)
    partner = np.full(len(kept), -1)
    free = np.ones(len(truth.label_indices), bool)
    for allowed in (same, ~same):
        for row in np.flatnonzero(partner < 0):
            candidates = np.where(free & allowed[row], iou[row], -1.0)
            if len(candidates) and candidates.max() >= MATCH_IOU:
                partner[row] = int(candidates.argmax())
                free[partner[row]] = False
    matched = np.flatnonzero(partner >= 0)
    alone = np.flatnonzero(partner < 0)
    pairs = np.stack([truth.label_indices[partner[matched]], kept.label_indices[matched]], axis=1)
    confused = int((pairs[:, 0] != pairs[:, 1]).sum())
    cost = float(free.sum() + confused + boxes.rounded_scores(kept.scores)[alone].sum())
    return Comparison(pairs, truth.label_indices[free], kept.label_indices[alone], alone, cost)


def confusion(comparisons: Sequence[Comparison], label_count: int) -> npt.NDArray[np.int64]:
    """Counts (label_count + 1, label_count + 1): row the true label, column the found one, the last of each is nothing."""
    table = np.zeros((label_count + 1, label_count + 1), np.int64)
    for one in comparisons:
        np.add.at(table, (one.pairs[:, 0], one.pairs[:, 1]), 1)
        np.add.at(table, (one.missed, np.full(len(one.missed), label_count)), 1)
        np.add.at(table, (np.full(len(one.imagined), label_count), one.imagined), 1)
    return table


def best_threshold(evaluation: dict[str, object]) -> float:
    """The confidence of the grid at which all labels together have the best F1 at IoU 0.5; the higher one of equals."""
    entries = evaluation["overall"]["bounding_box_metrics_entries"]  # type: ignore[index]
    (at_half,) = (entry for entry in entries if entry["iou_threshold"] == MATCH_IOU)
    rows = at_half["confidence_metrics_entries"]
    return float(max(rows, key=lambda row: (row["f1_score"], row["confidence_threshold"]))["confidence_threshold"])
