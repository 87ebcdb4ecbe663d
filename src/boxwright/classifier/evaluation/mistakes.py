"""What was taken for what, which images are worst, and which labels are likely to be wrong. Pure numpy.

    worst(targets, scores) -> [Mistake]
    confused_pairs(table) -> [(true label, given label, images)]
    doubtful(examples, targets, scores, …) -> [DoubtfulLabel]

A label is doubted where scores that do not come from training on that very image contradict it strongly (Northcutt et al.,
Confident Learning, 2021, in its simplest form).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from boxwright.classifier.data import dataset

SURE = 0.9  # a score this high for another label, or for one that is missing
UNLIKELY = 0.05  # a score this low for the label that an image has
LEAST = 1e-7


@dataclasses.dataclass(frozen=True)
class Mistake:
    """One image that the model gets wrong.

    Attributes:
        row: of the image.
        cost: its loss.
        given: labels that it has.
        predicted: labels that the model gives it.
    """

    row: int
    cost: float
    given: tuple[int, ...]
    predicted: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class DoubtfulLabel:
    """One image whose label is likely to be wrong.

    Attributes:
        example: the image.
        split: the set that it is in.
        label: the label that it has and probably should not have, None where one is missing.
        instead: the label that it probably should have, None where it should only lose one.
        doubt: how strong the contradiction is, in [0, 1].
    """

    example: dataset.Example
    split: str
    label: int | None
    instead: int | None
    doubt: float


def worst(targets: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64], *, is_multiclass: bool) -> list[Mistake]:
    """Images with a mistake, the costliest first."""
    clipped = np.clip(scores, LEAST, 1.0 - LEAST)
    if is_multiclass:
        costs = -np.log(clipped[targets]) if len(targets) else np.zeros(0)
        predicted = np.zeros(targets.shape, bool)
        if len(targets):
            predicted[np.arange(len(targets)), scores.argmax(axis=1)] = True
    else:
        costs = -np.where(targets, np.log(clipped), np.log(1.0 - clipped)).sum(axis=1)
        predicted = scores >= 0.5
    rows = np.flatnonzero((predicted != targets).any(axis=1))
    found = [Mistake(int(row), float(costs[row]), _indices(targets[row]), _indices(predicted[row])) for row in rows]
    return sorted(found, key=lambda one: (-one.cost, one.row))


def _indices(present: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.flatnonzero(present))


def confused_pairs(table: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(true label, given label, images) of every pair that was confused, the most frequent first."""
    pairs = [
        (int(truth), int(given), int(table[truth, given]))
        for truth, given in zip(*np.nonzero(table), strict=True)
        if truth != given
    ]
    return sorted(pairs, key=lambda one: (-one[2], one[0], one[1]))


def doubtful(
    examples: Sequence[dataset.Example],
    splits: Sequence[str],
    scores: npt.NDArray[np.float64],
    *,
    is_multiclass: bool,
) -> list[DoubtfulLabel]:
    """Likely wrong labels, the most doubtful first.

    Args:
        examples: the images.
        splits: the set of each.
        scores: (N, C), of models that have not learned from the image itself.
        is_multiclass: whether each image has exactly one label.
    """
    found = []
    for example, split, row in zip(examples, splits, scores, strict=True):
        given = set(example.label_indices.tolist())
        if is_multiclass:
            (own,), best = tuple(given), int(row.argmax())
            if best != own and row[best] >= SURE and row[own] <= UNLIKELY:
                found.append(DoubtfulLabel(example, split, own, best, float(row[best] - row[own])))
            continue
        for label, score in enumerate(row.tolist()):
            if label in given and score <= UNLIKELY / 2:
                found.append(DoubtfulLabel(example, split, label, None, 1.0 - score))
            if label not in given and score >= (1.0 + SURE) / 2:
                found.append(DoubtfulLabel(example, split, None, label, score))
    return sorted(found, key=lambda one: (-one.doubt, one.example.sha256, one.example.uri))
