"""The seam between a loaded model and what runs a network: one image's pixels in, boxes and scores out."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True)
class RawOutput:
    """The network's answer for one image.

    Attributes:
        boxes_px: (A, 4) float32, xyxy in input pixels; (0, 4) for a network that has no boxes.
        scores: (A, C) float32 in [0, 1]; (1, C) for a network that has no boxes.
    """

    boxes_px: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]


NO_BOXES = np.zeros((0, 4), np.float32)


class Runtime(Protocol):
    """A network, loaded. Safe for any number of threads.

    Attributes:
        label: what runs it, for people.
        waiting_threads: threads beyond one per core that a caller should let wait in `infer`, to keep it busy.
    """

    label: str
    waiting_threads: int

    def infer(self, pixels: npt.NDArray[np.uint8]) -> RawOutput:
        """Runs one image, (1, H, W, 3) uint8; waits for its turn."""
