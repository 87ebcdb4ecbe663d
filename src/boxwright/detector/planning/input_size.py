"""How large the network's input is: from the images, the objects in them, and the time there is.

    choose(ObjectSizes(...), kind, time) -> InputSize

Objects of a few pixels are not found, so the input grows from the model type's own size until nearly all objects are large
enough, and stops where the images hold no more detail, where the model would become too slow, or where the training would,
with as few as a third of the passes: where objects are small, pixels are worth more.
Only the data, the budget and the kind of processor decide, not a measured speed: equal jobs must train equal networks.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from boxwright.detector.network import dense
from boxwright.detector.planning import schedule

READABLE_PX = 20.0  # side of an object that stride 8 tells apart well: two to three cells
READABLE_SHARE = 0.9  # of the objects, as a mean over labels
GROWTH = 1.5  # of the area from one candidate to the next
MOST_ENLARGED = 2.0  # of an image's sides: beyond that there is nothing to see
LONGEST_S = 1800.0  # a training that is longer is not made longer still for a larger input
TIME_SHARE = 0.8  # of the time for steps that the planned ones may take
PASSES = (1.0, 0.7, 0.5, 0.35)  # shares of the planned passes: fewer are tried where a larger input needs the time
# Pixels a second that one thread trains on, rather too few than too many: 2.5 and 4.7 million measured on one processor.
FULL_PRECISION_PX_PER_S = 2.0e6
LOW_PRECISION_PX_PER_S = 4.0e6
GPU_PX_PER_S = 40e6  # 46 million measured on an H200, which waits for its orders
WINDOWS_PX = (147_000, 253_000)  # that a step sees of a larger input, the smallest that the objects fit into
MOST_WINDOWED_PX = 1_300_000  # of an input that is learned in windows: eleven times the model type's own
LARGER = 2.0  # times the kind's own pixels: what is learned as a whole up to there is learned in windows from there
FITTING_SHARE = 0.85  # of the objects, at least, have sides of no more than
FITTING_SIDE = 0.6  # of the window's
PREDICTION_S = 0.05  # network and suppression on a busy core, for an image of `PREDICTION_PX`
PREDICTION_PX = 118_000


def prediction_s(input_hw: tuple[int, int]) -> float:
    """Seconds to set aside for predicting one image on one busy core."""
    return PREDICTION_S * max(1.0, input_hw[0] * input_hw[1] / PREDICTION_PX)


@dataclasses.dataclass(frozen=True)
class ObjectSizes:
    """What a sample of the training images shows.

    Attributes:
        sizes_hw: upright, in pixels.
        boxes_norm: of each image, (N, 4) xyxy in [0, 1].
        label_indices: of each image, (N,).
    """

    sizes_hw: Sequence[tuple[int, int]]
    boxes_norm: Sequence[npt.NDArray[np.float32]]
    label_indices: Sequence[npt.NDArray[np.int64]]

    def _edges(self, input_hw: tuple[int, int]) -> Iterator[npt.NDArray[np.float64]]:
        """Width and height of each image's objects in the input; (N, 2)."""
        for (height, width), boxes_norm in zip(self.sizes_hw, self.boxes_norm, strict=True):
            scale = min(input_hw[0] / height, input_hw[1] / width)
            yield (boxes_norm[:, 2:] - boxes_norm[:, :2]).astype(np.float64) * (width * scale, height * scale)

    def fitting(self, input_hw: tuple[int, int], window_hw: tuple[int, int]) -> float:
        """Share of objects whose sides in the input are no longer than `FITTING_SIDE` of the window's."""
        edges = np.concatenate([np.empty((0, 2)), *self._edges(input_hw)])  # (M, 2)
        fits = (edges <= FITTING_SIDE * np.asarray(window_hw[::-1])).all(axis=1)
        return float(np.mean(fits)) if edges.size else 1.0

    def readable(self, input_hw: tuple[int, int]) -> float:
        """Share of objects whose geometric mean side is at least `READABLE_PX` in the input, in [0, 1].

        Every label weighs the same.
        """
        sides = [np.sqrt(edges.prod(axis=1)) for edges in self._edges(input_hw)]
        flat = np.concatenate([np.empty(0), *sides])  # (M,)
        owners = np.concatenate([np.empty(0, np.int64), *self.label_indices])  # (M,)
        shares = [float((flat[owners == label] >= READABLE_PX).mean()) for label in np.unique(owners)]
        return float(np.mean(shares)) if shares else 1.0


@dataclasses.dataclass(frozen=True)
class TimeBudget:
    """What a training may take.

    Attributes:
        budget_s: for everything.
        samples: from a share of the planned passes to the images that their steps look at, repeats included.
        px_per_s: pixels that this machine is taken to train on in a second.
        reserve_s: what is set aside for the delivery of a network of an input.
    """

    budget_s: float
    samples: Callable[[float], int]
    px_per_s: float
    reserve_s: Callable[[tuple[int, int]], float]

    def needed_s(self, view_hw: tuple[int, int], passes: float = 1.0) -> float:
        """Seconds that this share of the planned passes takes, whose steps see so many pixels."""
        coarse_saving = schedule.Recipe().coarse_until * (1.0 - schedule.COARSE_SCALE**2)
        return self.samples(passes) * view_hw[0] * view_hw[1] * (1.0 - coarse_saving) / self.px_per_s

    def allows(self, needed_s: float, input_hw: tuple[int, int], longest_s: float = LONGEST_S) -> bool:
        """Whether so many seconds of training fit into the budget, and into `longest_s`."""
        return needed_s <= TIME_SHARE * (min(self.budget_s, longest_s) - self.reserve_s(input_hw))

    def fits(self, input_hw: tuple[int, int], passes: float = 1.0) -> bool:
        """Whether this share of the planned passes fits."""
        return self.allows(self.needed_s(input_hw, passes), input_hw)

    def passes_for(self, input_hw: tuple[int, int]) -> float:
        """The largest share of the planned passes, of `PASSES`, that fits; 0.0 if none does."""
        return next((passes for passes in PASSES if self.fits(input_hw, passes)), 0.0)


@dataclasses.dataclass(frozen=True)
class InputSize:
    """The input, and why.

    Attributes:
        input_hw: in pixels.
        readable: share of the objects that are large enough in it.
        reason: for the report, in words.
        passes: share of the planned passes that are left for it.
        window_hw: of it, that a step of the training sees; None if a step sees all of it.
    """

    input_hw: tuple[int, int]
    readable: float
    reason: str
    passes: float = 1.0
    window_hw: tuple[int, int] | None = None

    @property
    def view_hw(self) -> tuple[int, int]:
        """What a step of the training sees."""
        return self.window_hw or self.input_hw


UNKNOWN = InputSize((0, 0), 1.0, "not chosen")


def _windowed(evidence: ObjectSizes, kind: dense.ModelType, time: TimeBudget, native_px: float) -> InputSize | None:
    """An input that is learned in windows; None if the objects are too large for that, or time too short."""
    area_px = float(kind.input_area_px)
    while True:
        input_hw = dense.choose_input_hw(round(area_px), evidence.sizes_hw)
        readable = evidence.readable(input_hw)
        if readable >= READABLE_SHARE or GROWTH * area_px > min(MOST_WINDOWED_PX, native_px * MOST_ENLARGED**2):
            break
        area_px *= GROWTH
    for window_px in WINDOWS_PX:
        window_hw = dense.choose_input_hw(window_px, evidence.sizes_hw)
        if window_px < area_px and evidence.fitting(input_hw, window_hw) >= FITTING_SHARE:
            break
    else:
        return None
    passes = next((share for share in PASSES if time.allows(time.needed_s(window_hw, share), input_hw)), 0.0)
    reason = (
        f"objects are small: {readable:.0%} of them are {READABLE_PX:.0f} pixels or larger in it; training sees "
        f"{window_hw[1]} x {window_hw[0]} of it at a time"
    )
    return InputSize(input_hw, readable, reason, passes, window_hw) if passes else None


def choose(evidence: ObjectSizes, kind: dense.ModelType, time: TimeBudget) -> InputSize:
    """The smallest candidate that shows enough objects, or the largest that the limits allow."""
    area_px, passes = float(kind.input_area_px), 1.0
    native_px = (
        float(np.median([height * width for height, width in evidence.sizes_hw])) if evidence.sizes_hw else math.inf
    )
    while True:
        input_hw = dense.choose_input_hw(round(area_px), evidence.sizes_hw)
        readable = evidence.readable(input_hw)
        size = f"{readable:.0%} of the objects are {READABLE_PX:.0f} pixels or larger in it"
        larger_px = area_px * GROWTH
        if readable >= READABLE_SHARE:
            reason = "large enough"
        elif larger_px > kind.most_area_px:
            reason = "the largest of this model type"
        elif larger_px > native_px * MOST_ENLARGED**2:
            reason = "all that the images hold"
        elif not (left := time.passes_for(dense.choose_input_hw(round(larger_px), evidence.sizes_hw))):
            reason = "the largest that can be trained in the time"
        else:
            area_px, passes = larger_px, left
            continue
        if passes < 1.0:
            size += f", which leaves time for {passes:.0%} of the passes"
        found = InputSize(input_hw, readable, f"{reason}: {size}", passes)
        small = readable < kind.windows_below or (kind.windows_below > 0 and area_px >= LARGER * kind.input_area_px)
        return (_windowed(evidence, kind, time, native_px) if small else None) or found
