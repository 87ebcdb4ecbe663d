"""A loaded detector: suppression, voting, and back to the upright original.

Predictor.open(folder).predict(bytes) -> Detections         see `loaded_model`
"""

from __future__ import annotations

from boxwright import boxes
from boxwright.images.letterbox import Prepared
from boxwright.inference import loaded_model, model_folder
from boxwright.inference.runtime import RawOutput
from boxwright.inference.suppression import detections_from


class Predictor(loaded_model.LoadedModel):
    """A loaded detector."""

    KIND = model_folder.OBJECT_DETECTION

    def postprocess(self, raw: RawOutput, prepared: Prepared, min_score: float = 0.0) -> boxes.Detections:
        """Suppression, voting and the way back to the upright original.

        Args:
            raw: from `infer`.
            prepared: from `prepare`.
            min_score: a caller that will drop lower scores anyway saves time by saying so here; the detections at or
                above it are the same as without.
        """
        margin = 10.0**-boxes.SCORE_DECIMALS  # callers compare rounded scores
        return detections_from(
            raw,
            prepared,
            score_floor=self.info.score_floor,
            suppression_iou=self.info.suppression_iou,
            voting=self.info.voting,
            max_detections=self.info.max_detections,
            min_score=min_score - margin,
        )

    def predict(self, data: bytes, min_score: float = 0.0) -> boxes.Detections:
        """One image from bytes to detections, in the calling thread.

        Raises:
            DecodeError: the bytes are no usable image.
        """
        prepared = self.prepare(data)
        return self.postprocess(self.infer(prepared), prepared, min_score)
