"""How far a figure can be trusted: percentile bootstrap over the evaluated images.

Images are drawn with replacement, as many as there are, and the figure is computed again; the interval holds the middle 95 %
of the results (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). It covers the choice of test
images, not the chance in training.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

REPLICATES = 400
WORK_LIMIT = (
    40_000_000  # images times labels times replicates: a few seconds at most, with fewer replicates on large sets
)
LEAST_REPLICATES = 50
COVERAGE_PERCENT = 95.0


def of_mean(values: npt.NDArray[np.float64]) -> list[float] | None:
    """[low, high] of the mean of one number an image; None without images."""
    if not len(values):
        return None
    rng = np.random.default_rng(0)  # the same evaluation gives the same intervals
    means = [float(values[rng.integers(0, len(values), len(values))].mean()) for _ in range(REPLICATES)]
    return interval(np.asarray(means))


def average_precision_intervals(
    targets: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]
) -> list[list[float] | None]:
    """[low, high] of each label's average precision, None for a label that no image carries.

    Args:
        targets: (N, C).
        scores: (N, C).
    """
    images, label_count = targets.shape
    if not images:
        return [None] * label_count
    replicates = int(min(REPLICATES, max(LEAST_REPLICATES, WORK_LIMIT // max(1, images * label_count))))
    rng = np.random.default_rng(0)
    drawn = [np.bincount(rng.integers(0, images, images), minlength=images) for _ in range(replicates)]
    result: list[list[float] | None] = []
    for label in range(label_count):
        if not targets[:, label].any():
            result.append(None)
            continue
        order = np.argsort(-scores[:, label], kind="stable")
        hits, ordered = targets[order, label], scores[order, label]
        last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        values = [_precision(hits, weights[order], last) for weights in drawn]
        kept = np.asarray([value for value in values if value is not None])
        result.append(interval(kept) if len(kept) else None)
    return result


def _precision(
    hits: npt.NDArray[np.bool_], weights: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
) -> float | None:
    """Average precision when image i counts `weights[i]` times; None if no positive is left."""
    found, predicted = np.cumsum(weights * hits)[last], np.cumsum(weights)[last]
    if found[-1] == 0:
        return None
    with_any = predicted > 0
    precision = np.maximum.accumulate((found[with_any] / predicted[with_any])[::-1])[::-1]
    return float((precision * np.diff(found[with_any], prepend=0)).sum() / found[-1])


def interval(values: npt.NDArray[np.float64]) -> list[float]:
    """The middle 95 % of some values."""
    outside = (100.0 - COVERAGE_PERCENT) / 2
    low, high = np.percentile(values, [outside, 100.0 - outside])
    return [float(low), float(high)]
