"""A loaded classifier: a score for every label.

Classifier.open(folder).predict(bytes) -> LabelScores         see `loaded_model`
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from boxwright import boxes
from boxwright.images.letterbox import Prepared
from boxwright.inference import loaded_model, model_folder
from boxwright.inference.runtime import RawOutput


@dataclasses.dataclass(frozen=True)
class LabelScores:
    """What a classifier says of one image, best score first.

    Attributes:
        scores: (N,) float32 in [0, 1], descending.
        label_indices: (N,) int64, indices into the model's label list; of equal scores the earlier label comes first.
    """

    scores: npt.NDArray[np.float32]
    label_indices: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def keep(self, score_threshold: float) -> LabelScores:
        """Returns those whose score, rounded as it is published, is at least `score_threshold`."""
        count = int(np.count_nonzero(boxes.rounded_scores(self.scores) >= score_threshold))
        return LabelScores(self.scores[:count], self.label_indices[:count])

    def by_label(self, label_count: int) -> npt.NDArray[np.float64]:
        """(C,) scores as they are published, in the order of the labels; 0 for those that are not there."""
        table = np.zeros(label_count)
        table[self.label_indices] = boxes.rounded_scores(self.scores)
        return table


class Classifier(loaded_model.LoadedModel):
    """A loaded classifier."""

    KIND = model_folder.IMAGE_CLASSIFICATION

    def postprocess(self, raw: RawOutput, prepared: Prepared, min_score: float = 0.0) -> LabelScores:
        """Orders the labels by their scores.

        Args:
            raw: from `infer`.
            prepared: from `prepare`.
            min_score: lower scores, as they are published, are left out.
        """
        scores = raw.scores[0]  # (C,)
        order = np.argsort(-boxes.rounded_scores(scores), kind="stable")
        return LabelScores(scores[order], order.astype(np.int64)).keep(min_score)

    def predict(self, data: bytes, min_score: float = 0.0) -> LabelScores:
        """One image from bytes to scores, in the calling thread.

        Raises:
            DecodeError: the bytes are no usable image.
        """
        prepared = self.prepare(data)
        return self.postprocess(self.infer(prepared), prepared, min_score)
