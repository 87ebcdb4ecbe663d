"""How much images and labels count: rare labels more.

of_images(examples) -> (N,)     for the probe, as often as fine-tuning shows each image
of_labels(targets) -> (C,)      for the positive terms of MULTILABEL
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from boxwright.classifier.data import dataset
from boxwright.learning import sampling

MOST = 10.0  # of the positive terms of a rare label


def of_images(examples: Sequence[dataset.Example]) -> npt.NDArray[np.float64]:
    """Mean number of times that a pass shows each image, (N,); one without labels counts once."""
    weights = sampling.repeats([one.label_indices.tolist() for one in examples])
    weights[weights == 0.0] = 1.0
    return weights


def of_labels(targets: npt.NDArray[np.float32], *, is_multiclass: bool) -> npt.NDArray[np.float64]:
    """(C,): the root of how many images lack a label for each that has it; ones for MULTICLASS."""
    if is_multiclass or not len(targets):
        return np.ones(targets.shape[1])
    positive = targets.sum(axis=0, dtype=np.float64)
    return np.clip(np.sqrt((len(targets) - positive) / np.maximum(positive, 1.0)), 1.0, MOST)
