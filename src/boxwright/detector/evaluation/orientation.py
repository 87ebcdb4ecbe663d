"""Whether the objects have an "up": measured by the network that learns them, on images that it does not learn from.

    upside_down(image, truth) -> (image, truth)      the same image and boxes, flipped top to bottom
    Orientation(...).flips                           whether the augmentation may do so from then on

Cells, screws and aerial photos have no "up"; street scenes and digits do. A network that has seen its objects upright alone
finds the former the other way up just as well, and the latter not.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from boxwright.detector.evaluation import evaluate
from boxwright.images import letterbox

AGREEMENT = 0.94  # of the upright score: as good the other way up; 0.947 to 1.028 measured where there is no "up"
LEAST_SCORE = 0.2  # a network that finds little yet says nothing about orientation
LEAST_BOXES = 30  # fewer agree by chance


@dataclasses.dataclass(frozen=True)
class Orientation:
    """What was measured, once, at a third of a training.

    Attributes:
        from_step: batches of this step and later ones follow it.
        upright: validation score (mean of mAP at 0.5 and mAP at 0.50 … 0.95), in [0, 1].
        upside_down: the same, of the images flipped top to bottom.
        boxes: that the scores come from.
    """

    from_step: int
    upright: float
    upside_down: float
    boxes: int

    @property
    def is_known(self) -> bool:
        """Whether the network found enough for this to say anything."""
        return self.upright >= LEAST_SCORE and self.boxes >= LEAST_BOXES

    @property
    def flips(self) -> bool:
        """Whether images may be flipped top to bottom."""
        return self.is_known and self.upside_down >= AGREEMENT * self.upright

    @property
    def in_words(self) -> str:
        """For the report."""
        way = "either way up" if self.flips else "upright"
        return f"{way} (found upright {self.upright:.2f}, upside down {self.upside_down:.2f})"


def upside_down(
    image: letterbox.Prepared, truth: evaluate.GroundTruth
) -> tuple[letterbox.Prepared, evaluate.GroundTruth]:
    """Flipped top to bottom."""
    (left, top), (_, height) = image.offset_xy, image.scaled_wh
    pixels = np.ascontiguousarray(image.pixels[:, ::-1])
    left_x, top_y, right_x, bottom_y = truth.boxes_norm.T
    boxes_norm = np.stack([left_x, 1 - bottom_y, right_x, 1 - top_y], axis=1)
    offset_xy = (left, image.pixels.shape[1] - height - top)
    flipped = dataclasses.replace(image, pixels=pixels, offset_xy=offset_xy)
    return flipped, dataclasses.replace(truth, boxes_norm=boxes_norm)
