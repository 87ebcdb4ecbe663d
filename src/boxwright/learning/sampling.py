"""How often an image is shown: rare labels more often.

    repeats(labels) -> (N,)                      mean number of times a pass shows each image that has a label
    one_pass(weights, rng) -> (M,)               indices in the order of one pass, M = pass_length(weights)

The factor of rare labels is the repeat factor of LVIS (Gupta et al., 2019): the root of what is common over what is there.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

COMMON_SHARE = 0.1  # of the images with labels: a label that is in fewer of them is rare
MOST_REPEATS = 3.0


def repeats(labels: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
    """Mean number of times that one pass shows each image, (N,), given its labels; 0 for one without any."""
    holding: collections.Counter[int] = collections.Counter()
    for one in labels:
        holding.update(set(one))
    full = sum(len(one) > 0 for one in labels)
    factors = {
        label: min(MOST_REPEATS, max(1.0, (COMMON_SHARE * full / images) ** 0.5)) for label, images in holding.items()
    }
    result = np.asarray([max((factors[label] for label in one), default=0.0) for one in labels], np.float64)
    if full:
        result /= result[result > 0].min()  # twenty labels of a twentieth each are not rare: nothing is commoner
    return result


def pass_length(weights: npt.NDArray[np.float64]) -> int:
    """Images that one pass shows, repeats counted; at least 1."""
    return max(1, round(float(weights.sum())))


def one_pass(weights: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Indices of one pass, shuffled: each image as often as its weight, rounded down or up (systematic sampling)."""
    order = rng.permutation(len(weights))
    count = pass_length(weights)
    edges = np.cumsum(weights[order])
    edges *= count / edges[-1]
    drawn = np.searchsorted(edges, np.arange(count) + rng.random(), side="right")
    return rng.permutation(order[np.minimum(drawn, len(weights) - 1)])
