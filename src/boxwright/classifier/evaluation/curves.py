"""Areas under curves of one question with two answers, over all distinct scores. Pure numpy.

average_precision(targets, scores)     under the monotone precision-recall curve
area_under_roc(targets, scores)        the Mann-Whitney statistic: ties count half
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def distinct(
    targets: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """(K,) true positives, predictions and score at each distinct score, from the highest to the lowest."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.zeros(0, np.int64)
    return np.cumsum(targets[order], dtype=np.int64)[last], (last + 1).astype(np.int64), ordered[last]


def average_precision(targets: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> float:
    """Area under the precision-recall curve that never rises; equal scores are one point; 0 without positives."""
    positive = int(targets.sum())
    if positive == 0:
        return 0.0
    hits, predicted, _ = distinct(targets, scores)
    precision = np.maximum.accumulate((hits / predicted)[::-1])[::-1]
    steps = np.diff(hits, prepend=0) / positive
    return float((precision * steps).sum())


def area_under_roc(targets: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> float:
    """Area under the receiver operating characteristic by trapezoids; 0 where one of the answers is not there."""
    positive, negative = int(targets.sum()), int((~targets).sum())
    if not positive or not negative:
        return 0.0
    hits, predicted, _ = distinct(targets, scores)
    true_rate = np.concatenate([[0.0], hits / positive])
    false_rate = np.concatenate([[0.0], (predicted - hits) / negative])
    return float((np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2).sum())
