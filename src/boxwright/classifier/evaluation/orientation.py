"""Which flips leave the labels as they are: measured by the probe, on images that it does not learn from.

    Orientation(…).mirrored, .flips             what the augmentation may do

Clothes may be mirrored and cells turned over; letters, arrows and left and right hands may not. A probe that has seen its
images one way alone knows the former the other way as well, and the latter not.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

AGREEMENT = 0.94  # of the upright score
LEAST_SCORE = 0.2  # a probe that knows little says nothing about orientation
LEAST_IMAGES = 30  # fewer agree by chance
LEAST_OF_LABEL = 5  # images, for a label to be looked at by itself
LABEL_SHARE = 0.5  # of a label's right answers that have to stay: mirroring may spoil two labels of twenty


@dataclasses.dataclass(frozen=True)
class Orientation:
    """What was measured once, before fine-tuning.

    Attributes:
        upright: share of right answers on VALIDATION, in [0, 1].
        mirror_image: the same, of the images flipped left to right.
        upside_down: the same, flipped top to bottom.
        images: that the shares come from.
        spoilt_by_mirror: labels that lose more than half of their right answers when mirrored.
        spoilt_by_turn: likewise, upside down.
    """

    upright: float
    mirror_image: float
    upside_down: float
    images: int
    spoilt_by_mirror: tuple[int, ...] = ()
    spoilt_by_turn: tuple[int, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether there was enough for this to say anything."""
        return self.upright >= LEAST_SCORE and self.images >= LEAST_IMAGES

    @property
    def mirrored(self) -> bool:
        """Whether images may be flipped left to right; where nothing is known they may, as most photographs."""
        if not self.is_known:
            return True
        return self.mirror_image >= AGREEMENT * self.upright and not self.spoilt_by_mirror

    @property
    def flips(self) -> bool:
        """Whether images may be flipped top to bottom; where nothing is known they may not."""
        return self.is_known and self.upside_down >= AGREEMENT * self.upright and not self.spoilt_by_turn

    @property
    def in_words(self) -> str:
        """For the report."""
        ways = {(True, True): "any way", (True, False): "upright, mirrored or not", (False, True): "not mirrored"}
        way = ways.get((self.mirrored, self.flips), "upright and not mirrored")
        if not self.is_known:
            return f"{way} (too few images to measure)"
        return (
            f"{way} (right upright {self.upright:.2f}, mirrored {self.mirror_image:.2f}, "
            f"upside down {self.upside_down:.2f})"
        )


UNKNOWN = Orientation(0.0, 0.0, 0.0, 0)


def measure(
    upright: npt.NDArray[np.float64],
    mirror_image: npt.NDArray[np.float64],
    upside_down: npt.NDArray[np.float64],
    targets: npt.NDArray[np.float32],
    is_multiclass: bool,
) -> Orientation:
    """Compares the logits (N, C) of the same images in three ways, given their targets (N, C)."""
    right = [_right(found, targets, is_multiclass) for found in (upright, mirror_image, upside_down)]
    shares = [float(hits.sum() / max(1.0, targets.sum())) for hits in right]
    spoilt = [_spoilt(right[0], hits, targets) for hits in right[1:]]
    return Orientation(shares[0], shares[1], shares[2], len(targets), spoilt[0], spoilt[1])


def _right(found: npt.NDArray[np.float64], targets: npt.NDArray[np.float32], multiclass: bool) -> npt.NDArray[np.bool_]:
    """(N, C) which labels of which images are found: by the best score, or by those above a half."""
    if not len(found):
        return np.zeros(targets.shape, bool)
    predicted = found == found.max(axis=1, keepdims=True) if multiclass else found > 0.0
    return predicted & (targets > 0.5)


def _spoilt(
    before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_], targets: npt.NDArray[np.float32]
) -> tuple[int, ...]:
    counted = before.sum(axis=0) >= LEAST_OF_LABEL
    lost = after.sum(axis=0) < LABEL_SHARE * before.sum(axis=0)
    return tuple(int(label) for label in np.flatnonzero(counted & lost & (targets.sum(axis=0) > 0)))
