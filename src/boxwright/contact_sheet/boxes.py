"""Labels of images, with or without boxes; boxes are fractions of the displayed image."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

# Colours that differ in lightness as well as in hue; labels take them in alphabetical order.
COLOURS = ("#e69f00", "#56b4e9", "#00b386", "#f0e442", "#e8602c", "#cc79a7", "#7f9cff", "#a6d854", "#ff6f91", "#c0a16b")
OTHER_COLOUR = "#ffffff"


@dataclasses.dataclass(frozen=True)
class Box:
    """One labelled rectangle; fractions of the displayed image's width and height, origin at the top left."""

    label: str
    x_min: float
    y_min: float
    x_max: float
    y_max: float


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One predicted label with its score, from 0 to 1.

    Attributes:
        box: what the label belongs to; None for the image as a whole.
    """

    label: str
    score: float
    box: Box | None = None

    @classmethod
    def of_box(cls, box: Box, score: float) -> Prediction:
        """A predicted box."""
        return cls(box.label, score, box)


def colours(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each label, ``#rrggbb``; the same labels get the same colours."""
    return {label: COLOURS[index % len(COLOURS)] for index, label in enumerate(sorted(set(labels)))}
