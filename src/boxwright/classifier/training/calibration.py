"""The temperature that makes scores mean what they say (Guo et al., On Calibration of Modern Neural Networks, 2017).

    temperature(logits, targets, type) -> float

Logits are divided by it. It is chosen on VALIDATION by the loss, drawn towards 1 where there are few images.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from boxwright.classifier.training import probe

RANGE = (0.2, 5.0)
PRIOR_DEVIATION = 0.5  # of the logarithm: what is expected before any image was seen
EVALUATIONS = 40  # of the golden section search: the last interval is far below what matters


def temperature(logits: npt.NDArray[np.float64], targets: npt.NDArray[np.float32], classification_type: str) -> float:
    """The temperature, 1.0 without images.

    Args:
        logits: (N, C).
        targets: (N, C).
        classification_type: MULTICLASS or MULTILABEL.
    """
    if not len(logits):
        return 1.0

    def cost(logarithm: float) -> float:
        loss = probe.loss_of(logits / math.exp(logarithm), targets, classification_type)
        return len(logits) * loss + 0.5 * (logarithm / PRIOR_DEVIATION) ** 2

    return math.exp(_minimum(cost, math.log(RANGE[0]), math.log(RANGE[1])))


def _minimum(cost: Callable[[float], float], low: float, high: float) -> float:
    """Where a function of one valley is lowest: golden section search."""
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = cost(left), cost(right)
    for _ in range(EVALUATIONS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = cost(right)
    return (low + high) / 2.0
