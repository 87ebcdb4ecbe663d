"""What recognising a layout looks at, and how it says no.

Look        a network's outputs, as it has answered to the probes
Layout      a row of the table of layouts
MismatchError    why a network does not have a layout; evidence, and the reason of a refusal
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from boxwright.adapters.nodes import NodeWriter

TOLERANCE = 1e-3  # of scores outside [0, 1], and of sides below 0
MOST = 0.99  # share of the values that a rule must hold for; heads of random weights have outliers
SIDE_NORM, SIDE_PX = 1.5, 3.0  # coordinates up to the one are fractions; above the other they are pixels
STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32), (32,))  # of the grids that detectors have

Array = npt.NDArray[np.float32]
Decoded = tuple[str, str]  # names of boxes (1, A, 4), xyxy in input pixels, and scores (1, A, C)


class MismatchError(Exception):
    """The network does not have the layout; the text says why, as half a sentence that follows the layout's name."""


@dataclasses.dataclass(frozen=True)
class Look:
    """What a network is and answers.

    Attributes:
        labels: how many there are.
        input_hw: of the image, in pixels.
        answers: the outputs by name without a ``:0``, in the file's order; an array for each probe, float32.
        names: the outputs' names in the graph, by those of `answers`.
        inputs: names of the inputs beside the image.
        takes_bytes: whether the image goes in as uint8, (1, H, W, 3).
        metadata: what the exporter has written.
        is_said: whether the caller has named the layout.
    """

    labels: int
    input_hw: tuple[int, int]
    answers: Mapping[str, list[Array]]
    names: Mapping[str, str]
    inputs: tuple[str, ...]
    takes_bytes: bool
    metadata: Mapping[str, str]
    is_said: bool = False

    def single(self) -> tuple[str, list[Array]]:
        """The only output."""
        if len(self.answers) != 1:
            raise MismatchError(f"has one output, and the network has {len(self.answers)}")
        return next(iter(self.answers.items()))

    def named(self, *wanted: str) -> list[list[Array]]:
        """The answers of exactly these outputs."""
        if set(self.answers) != set(wanted):
            raise MismatchError(f"has the outputs {', '.join(wanted)}, and the network has {', '.join(self.answers)}")
        return [self.answers[name] for name in wanted]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A row of the table.

    Attributes:
        name: in the parameter `layout`, and in model.json.
        words: what its outputs are, for people.
        recognise: looks at the answers; returns evidence in sentences, or raises MismatchError.
        decode: adds the nodes that make boxes and scores of the outputs.
        inputs: what the image's numbers may be, names of `adapter_graph.INPUTS`; more than one: the layout does not say.
        resizes: how the image may fill the frame, of `letterbox.RESIZES`; likewise.
        fill: grey beside the image.
        is_suppressed: whether its boxes need suppression of duplicates; otherwise the network has done that.
        outputs: names that no other layout has; empty: it is recognised by shapes and values.
        second_input: a further input's name that belongs to the outputs' names; empty: none.
        takes_bytes: whether uint8 images belong to the outputs' names; None: that says nothing.
        family: word in the file's metadata that names its exporter; empty: none.
    """

    name: str
    words: str
    recognise: Callable[[Look], list[str]]
    decode: Callable[[NodeWriter, Look], Decoded]
    inputs: tuple[str, ...]
    resizes: tuple[str, ...]
    fill: int = 114
    is_suppressed: bool = False
    outputs: frozenset[str] = frozenset()
    second_input: str = ""
    takes_bytes: bool | None = None
    family: str = ""

    def has_names_of(self, look: Look) -> bool:
        """Whether the network's names are this layout's alone."""
        return (
            bool(self.outputs)
            and set(look.answers) == self.outputs
            and (not self.second_input or self.second_input in look.inputs)
            and (self.takes_bytes is None or self.takes_bytes == look.takes_bytes)
        )


def table(arrays: list[Array], width: int, what: str) -> Array:
    """The answers (1, A, width) of all probes as rows (N, width).

    Raises:
        MismatchError: they have another shape.
    """
    for array in arrays:
        if array.ndim < 1 or array.shape[-1] != width or array.size != array.shape[-1] * max(rows_of(array), 0):
            raise MismatchError(f"needs {width} columns ({what}), and the output is {shape_of(array)}")
        if any(side != 1 for side in array.shape[:-2]):
            raise MismatchError(f"needs one image's rows, and the output is {shape_of(array)}")
    return np.concatenate([array.reshape(-1, width) for array in arrays])


def rows_of(array: Array) -> int:
    """How many rows an answer (…, A, W) has."""
    return array.shape[-2] if array.ndim > 1 else 1


def shape_of(array: Array) -> str:
    """A shape for people."""
    return " x ".join(map(str, array.shape)) or "scalar"


def check_finite(values: Array) -> None:
    """Raises MismatchError for what is no number."""
    if not np.isfinite(values).all():
        raise MismatchError("needs numbers, and the network answers with NaN or infinity")


def check_scores(scores: Array) -> str:
    """Evidence that scores are shares; MismatchError if they are not."""
    check_finite(scores)
    if scores.size and not (scores.min() >= -TOLERANCE and scores.max() <= 1 + TOLERANCE):
        raise MismatchError(
            f"needs scores from 0 to 1, and these go from {scores.min():.3g} to {scores.max():.3g}: export the network with "
            "its last activation"
        )
    return "The scores of the probes are from 0 to 1."


def check_whole(classes: Array, first: int, labels: int) -> str:
    """Evidence that classes are those of the labels; MismatchError if they are not."""
    check_finite(classes)
    if classes.size and np.abs(classes - np.round(classes)).max() > TOLERANCE:
        raise MismatchError("needs whole numbers as classes, and these are none")
    if classes.size and not (classes.min() >= first - 0.5 and classes.max() < first + labels - 0.5):
        raise MismatchError(
            f"needs classes from {first} to {first + labels - 1} for {labels} labels, and these go from "
            f"{classes.min():.0f} to {classes.max():.0f}"
        )
    return f"The classes of the probes are whole numbers from {first} to {first + labels - 1}."


def check_ordered(corners: Array) -> str:
    """Evidence that boxes are corners; MismatchError if they are not."""
    check_finite(corners)
    if len(corners) and np.mean((corners[:, 2:] >= corners[:, :2] - TOLERANCE).all(axis=1)) < MOST:
        raise MismatchError("needs corners, left and top before right and bottom, and these are not in that order")
    return "The boxes of the probes are corners in order."


def check_sides(boxes_px: Array, hw: tuple[int, int]) -> str:
    """Evidence that boxes are centre, width and height in pixels; MismatchError if they are not."""
    check_finite(boxes_px)
    if not len(boxes_px):
        return ""
    if np.mean((boxes_px[:, 2:] >= -TOLERANCE).all(axis=1)) < MOST:
        raise MismatchError("needs widths and heights above 0, and these are not")
    most = float(np.abs(boxes_px).max())
    if most <= SIDE_PX:
        raise MismatchError(f"needs boxes in pixels, and the largest coordinate is {most:.3g}")
    inside = (boxes_px[:, :2] >= -0.5 * max(hw)) & (boxes_px[:, :2] <= 1.5 * max(hw))
    if np.mean(inside.all(axis=1)) < MOST:
        raise MismatchError("needs centres in the image, and these are outside")
    return "The boxes of the probes are centres in the image, with widths and heights in pixels."


def check_pixels(corners: Array, hw: tuple[int, int]) -> str:
    """Evidence that coordinates are pixels; MismatchError if they are fractions."""
    if not len(corners):
        raise MismatchError("cannot be told: the network finds no box in the probes")
    most = float(np.abs(corners).max())
    if most <= SIDE_PX:
        raise MismatchError(f"needs coordinates in pixels, and the largest is {most:.3g}")
    if most > 4 * max(hw):
        raise MismatchError(f"needs coordinates in the image, and the largest is {most:.3g}")
    return f"The largest coordinate of the probes is {most:.0f}: they are pixels."


def check_fractions(values: Array) -> str:
    """Evidence that coordinates are fractions of the sides; MismatchError if they are pixels."""
    check_finite(values)
    if not len(values):
        raise MismatchError("cannot be told: the network finds no box in the probes")
    most = float(np.quantile(np.abs(values), MOST))
    if most > SIDE_NORM:
        raise MismatchError(f"needs coordinates from 0 to 1, and these go to {np.abs(values).max():.3g}")
    return "The coordinates of the probes are fractions of the sides."


def cells(hw: tuple[int, int], strides: tuple[int, ...]) -> int:
    """How many cells the grids of these strides have."""
    return sum((hw[0] // stride) * (hw[1] // stride) for stride in strides)


def grids(rows: int, hw: tuple[int, int], each: int) -> tuple[int, ...]:
    """The strides whose grids have this many rows, `each` rows a cell; empty if no set of strides fits."""
    fitting = [one for one in STRIDES if each * cells(hw, one) == rows and all(side % one[-1] == 0 for side in hw)]
    return fitting[0] if fitting else ()
