"""Boxes and detections as arrays: a struct of arrays, IoU, pixel and normalised frames.

All boxes are ``xyxy`` (x_min, y_min, x_max, y_max), origin at the top left of the *displayed* (EXIF-upright) image. The
suffix tells the frame: ``_norm`` is a fraction of width and height in [0, 1], ``_px`` is pixels of the named image.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

COORDINATE_DECIMALS = 6  # a millionth of the image side: below a pixel up to a million pixels a side
SCORE_DECIMALS = 6
MIN_EDGE_NORM = 0.01  # data_items.proto: the edge of an imported box is at least 0.01 of the image's side
EDGE_TOLERANCE_NORM = 1e-6  # printed coordinates may stick out, or be askew, by their last decimal
MIN_EDGE_PX = 2  # of a box in a dataset: what is drawn by hand and is smaller is a slip
EDGE_TOLERANCE_PX = 0.05  # printed coordinates, and floats of 32 bits, of large images
MAX_LABELLED = 5_000  # boxes of one image in a dataset


def is_too_small(box_norm: tuple[float, float, float, float], size_hw: tuple[int, int]) -> bool:
    """Whether an edge of a label's box is shorter than `MIN_EDGE_PX`, and than what every import takes.

    Args:
        box_norm: x_min, y_min, x_max, y_max in [0, 1].
        size_hw: of the upright image, in pixels.
    """
    x_min, y_min, x_max, y_max = box_norm
    edges = ((y_max - y_min, size_hw[0]), (x_max - x_min, size_hw[1]))
    shortest = MIN_EDGE_NORM - EDGE_TOLERANCE_NORM
    return any(edge < shortest and edge * side_px < MIN_EDGE_PX - EDGE_TOLERANCE_PX for edge, side_px in edges)


@dataclasses.dataclass(frozen=True)
class Detections:
    """What a detector found in one image, best score first.

    Attributes:
        boxes_norm: (N, 4) float32, xyxy in [0, 1].
        scores: (N,) float32 in [0, 1], descending.
        label_indices: (N,) int64, indices into the model's label list.
    """

    boxes_norm: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    label_indices: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.boxes_norm.shape != (count, 4) or self.label_indices.shape != (count,):
            raise ValueError(
                f"expected boxes_norm ({count}, 4) and label_indices ({count},), "
                f"got {self.boxes_norm.shape} and {self.label_indices.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def keep(self, score_threshold: float, max_count: int | None) -> Detections:
        """Returns the first `max_count` detections, None for all, whose score is at least `score_threshold`.

        The comparison is made on the rounded score, the one a caller reads, so that a shown score never lies below the
        threshold that was asked for.
        """
        count = int(np.count_nonzero(rounded_scores(self.scores) >= score_threshold))
        count = count if max_count is None else min(count, max_count)
        return Detections(self.boxes_norm[:count], self.scores[:count], self.label_indices[:count])

    @staticmethod
    def none() -> Detections:
        """An image with nothing in it."""
        return Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))


def rounded_scores(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Scores as they are published: float64 rounded to `SCORE_DECIMALS`; shape (N,)."""
    exact: npt.NDArray[np.float64] = scores.astype(np.float64)
    rounded: npt.NDArray[np.float64] = np.round(exact, SCORE_DECIMALS)
    return rounded


def rounded_boxes(boxes_norm: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Boxes as they are published: float64 rounded to `COORDINATE_DECIMALS`, clipped to [0, 1]; shape (N, 4)."""
    return np.clip(np.round(boxes_norm.astype(np.float64), COORDINATE_DECIMALS), 0.0, 1.0)


def pairwise_iou(boxes_a: npt.NDArray[np.floating], boxes_b: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Intersection over union of every pair; boxes in one common frame, shapes (A, 4) and (B, 4) give (A, B).

    A pair whose union has no area has IoU 0.
    """
    top_left = np.maximum(boxes_a[:, None, :2], boxes_b[None, :, :2])
    bottom_right = np.minimum(boxes_a[:, None, 2:], boxes_b[None, :, 2:])
    intersection = np.clip(bottom_right - top_left, 0, None).prod(axis=-1)
    areas_a = (boxes_a[:, 2:] - boxes_a[:, :2]).prod(axis=-1)
    areas_b = (boxes_b[:, 2:] - boxes_b[:, :2]).prod(axis=-1)
    union = areas_a[:, None] + areas_b[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
