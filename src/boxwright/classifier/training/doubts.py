"""Scores of training images from models that have not learned from them: for finding wrong labels.

out_of_fold(train, …) -> (N, C) scores       the probe again, five times, each time without a fifth of the images
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from boxwright.classifier.network import loss
from boxwright.classifier.training import calibration, probe

FOLDS = 5


def out_of_fold(
    train: probe.LabelledFeatures,
    l2: float,
    classification_type: str,
    has_time: Callable[[], bool] = lambda: True,
) -> npt.NDArray[np.float64] | None:
    """Calibrated scores (N, C); None where there are too few images, or no time."""
    if len(train.targets) < 2 * FOLDS:
        return None
    fold = np.arange(len(train.targets)) % FOLDS
    label_weights = np.ones(train.targets.shape[1])
    found = np.zeros(train.targets.shape)
    for number in range(FOLDS):
        if not has_time():
            return None
        own = train.some(fold != number)
        head = probe.solve(own, classification_type, label_weights, l2)
        found[fold == number] = probe.logits(head, train.features[fold == number])
    found /= calibration.temperature(found, train.targets, classification_type)
    scores: npt.NDArray[np.float64] = loss.scores_of(torch.from_numpy(found), classification_type).numpy()
    return scores
