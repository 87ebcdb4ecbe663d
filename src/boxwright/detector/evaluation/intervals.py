"""How far an average precision can be trusted: percentile bootstrap over the evaluated images.

    average_precision_intervals(curves, image_count)      intervals of one evaluation
    resample(label_count, ground_truth, detections)       a validation score, and what other images would have given
    agreement(chosen, rivals)                             how often other images would choose the same network
    in_words(...)                                         a sentence about an evaluation for people

Images are drawn with replacement, as many as there are, and the average precision is computed again; the interval holds the
middle 95 % of the results (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). It covers the choice
of test images, not the chance in training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright import boxes
from boxwright.detector.evaluation import evaluate
from boxwright.detector.evaluation.evaluate import COCO_THRESHOLDS, GRID, RECALL_POINTS, LabelCurve

REPLICATES = 400
WORK_LIMIT = 150_000_000  # detections times replicates: a few seconds at most, with fewer replicates on large sets
LEAST_REPLICATES = 50
COVERAGE_PERCENT = 95.0
DRAWINGS = 200  # of images that judge networks
FEW_IMAGES = 10  # with objects: with fewer of them, drawing them again says too little about other images
EQUAL = 1e-9
_AT_HALF = GRID.index(0.5)
_AT_COCO = [GRID.index(threshold) for threshold in COCO_THRESHOLDS]


@dataclasses.dataclass(frozen=True)
class ResampledScore:
    """What a network scores on some images, and on drawings of them.

    Attributes:
        score: mean of mAP at 0.5 and at 0.50 … 0.95, in [0, 1].
        drawings: (`DRAWINGS`,) float64, the same of images drawn with replacement. Drawing i is the same images for every
            network that sees as many, so two networks are compared in pairs.
    """

    score: float
    drawings: npt.NDArray[np.float64]


def resample(
    label_count: int, ground_truth: Sequence[evaluate.GroundTruth], detections: Sequence[boxes.Detections]
) -> ResampledScore:
    """Scores detections on the images, and on `DRAWINGS` drawings of them."""
    curves = evaluate.label_curves(label_count, ground_truth, detections)
    count = len(ground_truth)
    rng = np.random.default_rng(0)
    drawings = [_score(curves, np.bincount(rng.integers(0, count, count), minlength=count)) for _ in range(DRAWINGS)]
    return ResampledScore(_score(curves, np.ones(count, np.int64)), np.asarray(drawings))


def agreement(chosen: ResampledScore, rivals: Sequence[tuple[ResampledScore, float]]) -> float:
    """Share of the drawings in which `chosen` would be chosen again, in [0, 1]; equals count half.

    Args:
        chosen: the network that was chosen.
        rivals: those that it was preferred to, with the lead over each that it needs; below 0 where it may be behind.
    """
    again = np.ones(len(chosen.drawings))
    for rival, lead in rivals:
        ahead = chosen.drawings - rival.drawings - lead
        again *= (ahead > EQUAL) + 0.5 * (np.abs(ahead) <= EQUAL)
    return float(again.mean())


def in_words(split: str, image_count: int, curves: Sequence[LabelCurve], interval: Sequence[float] | None) -> str:
    """One sentence, or two, about how sure an evaluation is.

    Args:
        split: TEST or VALIDATION.
        image_count: images that were evaluated.
        curves: of every label.
        interval: of mAP at 0.5; None if no image has a box.
    """
    if interval is None:
        return f"How sure the numbers are: no {split} image has a box, so they say nothing."
    holding = np.zeros(image_count, bool)
    for curve in curves:
        holding[: len(curve.boxes_by_image)] |= curve.boxes_by_image > 0
    box_count, holding_count = sum(curve.box_count for curve in curves), int(holding.sum())
    low, high = interval
    sentence = (
        f"How sure the numbers are: they come from {_counted(image_count, split + ' image')} with "
        f"{_counted(box_count, 'box')}. With other images of the same kind, mAP at 0.5 would lie between {low:.2f} and "
        f"{high:.2f} in 95 of 100 cases."
    )
    if holding_count < FEW_IMAGES:
        return f"{sentence} Only {_counted(holding_count, 'image')} with objects: the true range is wider still."
    return sentence


def _counted(count: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("x") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def _score(curves: Sequence[LabelCurve], weights: npt.NDArray[np.int64]) -> float:
    """Mean of mAP at 0.5 and at 0.50 … 0.95 when image i counts `weights[i]` times; 0.0 if no box is left."""
    rows = [_weighted_precisions(curve, weights, _AT_COCO) for curve in curves if curve.box_count]
    table = np.asarray([row for row in rows if not np.isnan(row[0])]).reshape(-1, len(_AT_COCO))  # (C, 10)
    return float(table[:, 0].mean() + table.mean()) / 2 if len(table) else 0.0


def average_precision_intervals(curves: Sequence[LabelCurve], image_count: int) -> dict[str, Any]:
    """95 % intervals of the average precision at IoU 0.5, by COCO's 101 recall points.

    Args:
        curves: of every label, from `evaluate.label_curves`.
        image_count: how many images were evaluated.

    Returns:
        ``labels``: [low, high] for each label, None for one without boxes; ``map50``: the same for the mean over labels,
        None without any; ``replicates``.
    """
    counted = [index for index, curve in enumerate(curves) if curve.box_count > 0]
    detections = sum(len(curves[index].scores) for index in counted)
    replicates = int(min(REPLICATES, max(LEAST_REPLICATES, WORK_LIMIT // max(1, detections))))
    if not counted or image_count == 0:
        return {"replicates": 0, "map50": None, "labels": [None] * len(curves)}
    rng = np.random.default_rng(0)  # the same evaluation gives the same intervals
    samples = np.full((replicates, len(curves)), np.nan)
    for replicate in range(replicates):
        weights = np.bincount(rng.integers(0, image_count, image_count), minlength=image_count)  # (I,)
        for index in counted:
            samples[replicate, index] = _weighted_precision(curves[index], weights)
    present = ~np.isnan(samples)
    sums = np.where(present, samples, 0.0).sum(axis=1)
    means = sums[present.any(axis=1)] / present.sum(axis=1)[present.any(axis=1)]
    return {
        "replicates": replicates,
        "map50": _interval(means),
        "labels": [_interval(samples[present[:, index], index]) for index in range(len(curves))],
    }


def _interval(values: npt.NDArray[np.float64]) -> list[float] | None:
    if len(values) == 0:
        return None
    outside = (100.0 - COVERAGE_PERCENT) / 2
    low, high = np.percentile(values, [outside, 100.0 - outside])
    return [float(low), float(high)]


def _weighted_precision(curve: LabelCurve, weights: npt.NDArray[np.int64]) -> float:
    """Average precision at IoU 0.5 when image i counts `weights[i]` times; NaN if no box is left."""
    return float(_weighted_precisions(curve, weights, [_AT_HALF])[0])


def _weighted_precisions(
    curve: LabelCurve, weights: npt.NDArray[np.int64], columns: Sequence[int]
) -> npt.NDArray[np.float64]:
    """The same at each of the grid's thresholds `columns`; (len(columns),)."""
    result = np.zeros(len(columns))
    box_count = int((curve.boxes_by_image * weights[: len(curve.boxes_by_image)]).sum())
    if box_count == 0:
        return np.full(len(columns), np.nan)
    times = weights[curve.image_indices]  # (N,)
    drawn = times > 0
    if not drawn.any():
        return result
    found = np.cumsum(times)[drawn]  # (M,)
    hits = np.cumsum(times[:, None] * curve.matched[:, columns], axis=0)[drawn]  # (M, K)
    precision = np.maximum.accumulate((hits / found[:, None])[::-1], axis=0)[::-1]
    for column in range(len(columns)):
        at = np.searchsorted(hits[:, column] / box_count, RECALL_POINTS, side="left")
        result[column] = precision[at[at < len(precision)], column].sum() / len(RECALL_POINTS)
    return result
