"""How far an average precision can be trusted: percentile bootstrap over the evaluated images.

Images are drawn with replacement, as many as there are, and the average precision is computed again; the interval holds the
middle 95 % of the results (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). It covers the choice
of test images, not the chance in training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from boxwright.detector.evaluation.evaluate import GRID, RECALL_POINTS, LabelCurve

REPLICATES = 400
WORK_LIMIT = 150_000_000  # detections times replicates: a few seconds at most, with fewer replicates on large sets
LEAST_REPLICATES = 50
COVERAGE_PERCENT = 95.0
_AT_HALF = GRID.index(0.5)


def average_precision_intervals(curves: Sequence[LabelCurve], image_count: int) -> dict[str, object]:
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
    box_count = int((curve.boxes_by_image * weights[: len(curve.boxes_by_image)]).sum())
    if box_count == 0:
        return float("nan")
    times = weights[curve.image_indices]  # (N,)
    found = np.cumsum(times)
    hits = np.cumsum(times * curve.matched[:, _AT_HALF])
    drawn = times > 0
    if not drawn.any():
        return 0.0
    precision = np.maximum.accumulate((hits[drawn] / found[drawn])[::-1])[::-1]
    at = np.searchsorted(hits[drawn] / box_count, RECALL_POINTS, side="left")
    return float(precision[at[at < len(precision)]].sum() / len(RECALL_POINTS))
