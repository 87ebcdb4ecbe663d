"""A loaded classifier: a score for every label.

Classifier.open(folder).predict(bytes) -> LabelScores         see `loaded_model`
"""

from __future__ import annotations

import numpy as np

from boxwright import boxes
from boxwright.images.letterbox import Prepared
from boxwright.inference import loaded_model, model_folder
from boxwright.inference.runtime import RawOutput
from boxwright.predictions import LabelScores


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
