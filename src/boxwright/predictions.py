"""What a model says of one image, detections or scores of labels, and the selection of it that is published."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from boxwright import boxes


@dataclasses.dataclass(frozen=True)
class LabelScores:
    """What a classifier says of one image, best score first.

    Attributes:
        scores: (N,) float32 in [0, 1], descending.
        label_indices: (N,) int64, indices into the model's label list; of equal scores the earlier label comes first.
    """

    scores: npt.NDArray[np.float32]
    label_indices: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or self.label_indices.shape != self.scores.shape:
            raise ValueError(
                f"expected scores (N,) and as many label_indices, got {self.scores.shape} and {self.label_indices.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def keep(self, score_threshold: float, max_count: int | None = None) -> LabelScores:
        """Returns those whose score, rounded as it is published, is at least `score_threshold`.

        Args:
            score_threshold: in [0, 1].
            max_count: the best of them; None: all.
        """
        count = int(np.count_nonzero(boxes.rounded_scores(self.scores) >= score_threshold))
        count = count if max_count is None else min(count, max_count)
        return LabelScores(self.scores[:count], self.label_indices[:count])

    def by_label(self, label_count: int) -> npt.NDArray[np.float64]:
        """(C,) scores as they are published, in the order of the labels; 0 for those that are not there."""
        table = np.zeros(label_count)
        table[self.label_indices] = boxes.rounded_scores(self.scores)
        return table


ImagePrediction: TypeAlias = boxes.Detections | LabelScores


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which results of an image are published: a threshold for each label, then the best of what is left.

    Attributes:
        thresholds: (C,) float64 by label index, in [0, 1]; infinite for a label that is not wanted.
        max_count: results of one image, at least 1; None for all.
    """

    thresholds: npt.NDArray[np.float64]
    max_count: int | None = None

    @classmethod
    def of(
        cls,
        display_names: Sequence[str],
        score_threshold: float,
        label_thresholds: Mapping[str, float],
        wanted: Collection[str] | None,
        max_count: int | None,
    ) -> Selection:
        """The selection that a request describes.

        Args:
            display_names: the model's labels, in their order.
            score_threshold: of the labels that have no own, in [0, 1].
            label_thresholds: a threshold by display name; names that the model does not have mean nothing.
            wanted: display names; None for all labels.
            max_count: see the class.
        """
        thresholds = [
            label_thresholds.get(name, score_threshold) if wanted is None or name in wanted else np.inf
            for name in display_names
        ]
        return cls(np.array(thresholds, np.float64), max_count)

    @functools.cached_property
    def _is_one_threshold(self) -> bool:
        return bool((self.thresholds == self.lowest_threshold).all())

    @functools.cached_property
    def lowest_threshold(self) -> float:
        """The least score that any label may have; 1 if no label is wanted."""
        return float(min(1.0, self.thresholds.min(initial=1.0)))

    def mask(
        self, scores: npt.NDArray[np.float64], label_indices: npt.NDArray[np.integer], offsets: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.bool_]:
        """Which results of several images are selected, (M,) bool.

        Args:
            scores: (M,) as they are published, those of one image side by side and descending.
            label_indices: (M,).
            offsets: (N + 1,) where the results of each image begin, and the last ones end.
        """
        selected: npt.NDArray[np.bool_] = scores >= self.thresholds[label_indices]
        if self.max_count is not None:
            ranks: npt.NDArray[np.int64] = np.cumsum(selected)  # among the selected ones of all images, from 1
            before = np.concatenate([[0], ranks])[offsets[:-1]]  # those of earlier images
            selected &= ranks - np.repeat(before, np.diff(offsets)) <= self.max_count
        return selected

    def keep(self, found: ImagePrediction) -> ImagePrediction:
        """What is selected of one image."""
        if self._is_one_threshold:  # as nearly always: what is selected is the start
            return found.keep(self.lowest_threshold, self.max_count)
        rows = self.mask(boxes.rounded_scores(found.scores), found.label_indices, np.array([0, len(found)]))
        if isinstance(found, boxes.Detections):
            return boxes.Detections(found.boxes_norm[rows], found.scores[rows], found.label_indices[rows])
        return LabelScores(found.scores[rows], found.label_indices[rows])
