"""How many results have which score: by label, and images by the best score in them. A few hundred bytes a shard.

They are in the metadata of a file of candidates, so that a slider for the threshold of a million images needs no row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

STEPS = 101  # bin k has the scores from k hundredths to below k + 1; the last one is that of 1


@dataclasses.dataclass
class ScoreCounts:
    """Counts that add up.

    Attributes:
        images: that were counted, with results or without.
        best: (STEPS,) images by the best score in them; those without any are in no bin.
        found: (STEPS,) results by score, by label.
        best_of_label: (STEPS,) images by their best score of a label, by label.
    """

    images: int = 0
    best: npt.NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(STEPS, np.int64))
    found: dict[str, npt.NDArray[np.int64]] = dataclasses.field(default_factory=dict)
    best_of_label: dict[str, npt.NDArray[np.int64]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        scores: npt.NDArray[np.integer],
        scale: int,
        label_indices: npt.NDArray[np.integer],
        offsets: npt.NDArray[np.integer],
        names: Sequence[str],
    ) -> Self:
        """Counts the results of some images.

        Args:
            scores: (M,) multiples of 1 / `scale`, those of one image side by side and descending.
            scale: what 1 is stored as.
            label_indices: (M,).
            offsets: (N + 1,) where the results of each image begin, and the last ones end.
            names: of the labels, by their index.
        """
        bins = np.minimum(np.asarray(scores, np.int64) * (STEPS - 1) // scale, STEPS - 1)
        labels = np.asarray(label_indices, np.int64)
        sizes = np.diff(offsets)
        counts = cls(images=len(sizes), best=_binned(bins[np.asarray(offsets[:-1])[sizes > 0]]))
        places = np.repeat(np.arange(len(sizes)), sizes) * max(1, len(names)) + labels
        _, first = np.unique(places, return_index=True)  # the best of each label in each image
        for label in np.unique(labels).tolist():
            counts.found[names[label]] = _binned(bins[labels == label])
            counts.best_of_label[names[label]] = _binned(bins[first[labels[first] == label]])
        return counts

    def add(self, more: ScoreCounts) -> None:
        """Takes the counts of other images."""
        self.images += more.images
        self.best = self.best + more.best
        for mine, others in ((self.found, more.found), (self.best_of_label, more.best_of_label)):
            for name, row in others.items():
                mine[name] = mine[name] + row if name in mine else row

    def to_values(self) -> dict[str, Any]:
        """JSON data, only what is not zero."""
        return {
            "images": self.images,
            "best": _sparse(self.best),
            "found": {name: _sparse(row) for name, row in self.found.items()},
            "best_of_label": {name: _sparse(row) for name, row in self.best_of_label.items()},
        }

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Reads what `to_values` has made. Raises ValueError, KeyError or TypeError if it is something else."""
        found = {str(name): _dense(row) for name, row in values["found"].items()}
        best_of_label = {str(name): _dense(row) for name, row in values["best_of_label"].items()}
        if found.keys() != best_of_label.keys() or int(values["images"]) < 0:
            raise ValueError("the counts do not belong together")
        return cls(int(values["images"]), _dense(values["best"]), found, best_of_label)


def at_least(row: npt.NDArray[np.int64]) -> list[int]:
    """(STEPS,) how many are in a bin or a higher one."""
    counts: list[int] = np.cumsum(row[::-1])[::-1].tolist()
    return counts


def _binned(bins: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.bincount(bins, minlength=STEPS).astype(np.int64, copy=False)


def _sparse(row: npt.NDArray[np.int64]) -> list[int]:
    """Bin and count in turn."""
    bins = np.flatnonzero(row)
    pairs: list[int] = np.stack([bins, row[bins]], axis=1).ravel().tolist()
    return pairs


def _dense(pairs: Sequence[int]) -> npt.NDArray[np.int64]:
    row = np.zeros(STEPS, np.int64)
    bins, counts = np.asarray(pairs[::2], np.int64), np.asarray(pairs[1::2], np.int64)
    if len(bins) != len(counts) or (len(bins) and (bins.min() < 0 or bins.max() >= STEPS or counts.min() < 0)):
        raise ValueError("no counts")
    row[bins] = counts
    return row
