"""How often an image is shown: once a pass, rare labels more often, images without objects no more than is useful.

weights(examples) -> (N,)                    mean number of times a pass shows each image
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from boxwright.detector.data import dataset
from boxwright.learning import sampling

EMPTY_SHARE = 1 / 3  # of a pass, at most, is images without objects; each pass takes others of them


def weights(examples: Sequence[dataset.Example]) -> npt.NDArray[np.float64]:
    """Mean number of times that one pass shows each image, (N,)."""
    full = any(len(one.label_indices) for one in examples)
    result = sampling.repeats([one.label_indices.tolist() for one in examples])
    empty = np.asarray([len(one.label_indices) == 0 for one in examples], bool)
    if empty.any():
        allowed = result.sum() * EMPTY_SHARE / (1.0 - EMPTY_SHARE)
        result[empty] = min(1.0, allowed / empty.sum()) if full else 1.0
    return result
