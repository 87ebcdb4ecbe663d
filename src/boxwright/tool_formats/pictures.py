"""An image with its boxes and labels, as the formats of labelling tools take it.

All boxes are xyxy, as fractions of the image's width and height in [0, 1], in the frame of the displayed image.
"""

from __future__ import annotations

import pathlib
from typing import NamedTuple

from boxwright import states

Corners = tuple[float, float, float, float]

CROWD = "crowd"  # COCO: the box holds a group of things
DIFFICULT = "difficult"  # VOC: not counted in evaluations
TRUNCATED = "truncated"  # VOC: the thing goes on outside the box


class Box(NamedTuple):
    """One labelled box.

    Attributes:
        label: printable text.
        corners_norm: x_min, y_min, x_max, y_max in [0, 1].
        marks: any of CROWD, DIFFICULT, TRUNCATED.
        score: how sure a model is of it, in [0, 1]; None of a box that no model found.
    """

    label: str
    corners_norm: Corners
    marks: frozenset[str] = frozenset()
    score: float | None = None


class Picture(NamedTuple):
    """One image and all its boxes.

    Attributes:
        image_id: counts from 1 in the order of reading.
        path: as the source names it: relative to the source's images, or a URI.
        split: the set that it belongs to.
        size_hw: height and width in pixels of the displayed image, if known.
        boxes: in the source's order.
        labels: of the image as a whole, in the source's order.
        file: where the image lies, if it was found.
        place: where the source names it.
        label_scores: of each of the labels, as a box has one.
    """

    image_id: int
    path: str
    split: states.MlUse
    size_hw: tuple[int, int] | None
    boxes: tuple[Box, ...] = ()
    file: pathlib.Path | None = None
    place: str = ""
    labels: tuple[str, ...] = ()
    label_scores: tuple[float | None, ...] = ()


def number(value: float, places: int) -> str:
    """A number with at most that many decimals and no superfluous ones."""
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if places else text


def in_pixels(corners_norm: Corners, size_hw: tuple[int, int] | None) -> Corners:
    """A box in fractions of its image's sides as pixels, to nine decimals."""
    height, width = size_hw or (0, 0)
    left, top, right, bottom = corners_norm
    return round(left * width, 9), round(top * height, 9), round(right * width, 9), round(bottom * height, 9)
