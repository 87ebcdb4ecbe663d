"""What a model says of one image: detections from a detector, scores of labels from a classifier."""

from __future__ import annotations

import dataclasses
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
