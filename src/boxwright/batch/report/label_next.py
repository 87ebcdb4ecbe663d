"""Which images to label next: those of which the model is unsure, rare labels first, no two of them alike.

An image's uncertainty is u = 1 - prod(1 - 4 s (1 - s)) over its candidates with scores s in 0.15 to 0.75: how likely it is
that at least one of them is undecided. The choice is greedy: each next image has the largest product of its value and its
distance from all that are chosen (k-centre; Sener and Savarese, "Active Learning for Convolutional Neural Networks", 2018).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from boxwright.batch.output.candidates import SCALE, CandidateTable
from boxwright.batch.report.leaders import Leaders, RankedImage, merged
from boxwright.images import appearance

COUNT = 100
POOL = 2_000  # images among which is chosen
POOL_A_LABEL, MOST_LABELS = 20, 200  # of each label, where there are not too many
UNSURE = (0.15, 0.75)
RARE_BONUS = 0.3  # of an image with the rarest label
_DIFFERENT_BITS = 24  # images whose hashes differ in so many bits are not alike at all


def uncertainties(table: CandidateTable) -> npt.NDArray[np.float64]:
    """(N,) u of each image, 0 to 1."""
    scores = table.scores
    doubt = np.where((scores >= UNSURE[0]) & (scores <= UNSURE[1]), 4 * scores * (1 - scores), 0.0)
    image = np.repeat(np.arange(len(table)), np.diff(table.offsets))
    surely = np.bincount(image, np.log(np.maximum(1 - doubt, 1e-12)), len(table))
    return np.asarray(1 - np.exp(surely), np.float64)


@dataclasses.dataclass(frozen=True)
class UncertainImage:
    """An image that should be labelled: `uncertainty` is u, `rarest` the index of its rarest unsure label, -1 for none."""

    image: RankedImage
    uncertainty: float
    rarest: int


class Pool:
    """The images among which is chosen, by the most uncertain ones of all and of each label."""

    def __init__(self, label_count: int) -> None:
        self._all = Leaders(POOL, least=0.0)
        self._of_label = [
            Leaders(POOL_A_LABEL, least=0.0) for _ in range(label_count if label_count <= MOST_LABELS else 0)
        ]

    def add(self, table: CandidateTable) -> None:
        """Takes the images of a table."""
        u = uncertainties(table)
        self._all.add(table, u)
        scores = table.scores
        is_unsure = (scores >= UNSURE[0]) & (scores <= UNSURE[1])
        image = np.repeat(np.arange(len(table)), np.diff(table.offsets))
        for label in np.unique(table.label_indices[is_unsure]).tolist() if self._of_label else []:
            has_it = np.bincount(image[is_unsure & (table.label_indices == label)], minlength=len(table)) > 0
            self._of_label[label].add(table, np.where(has_it, u, 0.0))

    def chosen(self, counts: npt.NDArray[np.int64]) -> list[UncertainImage]:
        """At most `COUNT` images, the most useful first.

        Args:
            counts: (C,) candidates of each label in the whole job.
        """
        pool = merged([self._all.ranked(), *(leaders.ranked() for leaders in self._of_label)])
        pool.sort(key=lambda one: (-one.key, one.sha256))
        rarity = 1 - np.log1p(counts) / np.log1p(max(1, int(counts.max(initial=0))))  # (C,) 0 for the most frequent
        listed = [UncertainImage(one, one.key, _rarest(one, rarity)) for one in pool]
        value = np.array(
            [one.uncertainty + (RARE_BONUS * rarity[one.rarest] if one.rarest >= 0 else 0.0) for one in listed]
        )
        return [listed[place] for place in _spread(pool, value, len(counts))]


def _rarest(image: RankedImage, rarity: npt.NDArray[np.float64]) -> int:
    scores = image.values[0] / SCALE
    labels = image.label_indices[(scores >= UNSURE[0]) & (scores <= UNSURE[1])].astype(np.int64)
    return int(labels[rarity[labels].argmax()]) if len(labels) else -1


def _spread(pool: Sequence[RankedImage], value: npt.NDArray[np.float64], label_count: int) -> list[int]:
    """The greedy choice, as places in the pool; images that do not differ from a chosen one are left out."""
    hashes = np.array([one.dhash for one in pool], np.uint64)
    contents = np.zeros((len(pool), min(label_count, MOST_LABELS)))
    for place, one in enumerate(pool):
        np.add.at(contents[place], one.label_indices % max(1, contents.shape[1]), one.values[0] / SCALE)
    distance = np.ones(len(pool))
    chosen: list[int] = []
    while len(chosen) < min(COUNT, len(pool)):
        gain = value * distance
        place = int(gain.argmax())
        if gain[place] <= 0:
            break
        chosen.append(place)
        bits = appearance.distances(hashes, hashes[place]).astype(np.float64)
        looks = np.minimum(1.0, bits / _DIFFERENT_BITS)
        unlike = np.abs(contents - contents[place]).sum(axis=1) / (contents + contents[place]).sum(axis=1).clip(1e-9)
        near = np.where(bits == 0, 0.0, (looks + np.minimum(1.0, unlike)) / 2)
        near[place] = 0.0
        distance = np.minimum(distance, near)
    return chosen
