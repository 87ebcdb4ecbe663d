"""How long to train and what each step looks like: numbers, no tensors.

    planned_steps(images)          from the data, so that equal jobs end with equal weights
    Schedule.progress(step, now)   0 to 1; learning rate, input size and mosaic follow it

When the budget is too short for the planned steps, the schedule is bound to the clock: progress then follows time, so
that the learning rate always comes down in time. Binding happens at most once and is kept in the checkpoint.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from boxwright.detector.data import augment
from boxwright.detector.evaluation import orientation
from boxwright.detector.network import dense

EPOCHS = 200  # up to `FULL_EPOCHS_IMAGES`; more images need fewer passes
FULL_EPOCHS_IMAGES = 360
MIN_STEPS = 1500  # twenty images still need this many to learn boxes at all
CALIBRATION_STEPS = 60  # the first steps are slow, the later ones tell the speed
PACE_MEMORY = 0.95  # of the running mean of a step's time
STALL = 4.0  # ordinary steps that the longest one counts as
WARM_UP_STEPS = 60
FINAL_RATE = 0.02  # of the peak learning rate
MOSAIC_UNTIL = 0.7
ORIENTATION_AT = 1 / 3  # what the objects look like is known by then, and there is time to use it
ORIENTATION_OF_TRIAL_AT = 0.95  # a trial follows nothing that is learned in it
COARSE_SCALE = 2 / 3
CHECKPOINTS = 20  # of a training, at least, as long as they come no closer than
LEAST_CHECKPOINT_S = 5.0
MOST_CHECKPOINT_S = 25.0
CHECK_EVERY = 0.05  # validation, from `CHECK_FROM` on
CHECK_EVERY_WINDOWS = 0.15
CHECK_FROM = 0.5
ENOUGH_IMAGES = 20  # with objects: fewer say little about a network, and end no training early
PATIENCE_CHECKS = 4
PATIENCE_FROM = MOSAIC_UNTIL  # nothing but the learning rate changes after that, so the rest may be shortened
COOL_DOWN = 0.1  # of the planned steps: in these the rate comes down when validation has stopped improving
MIN_GAIN = 0.002  # of mean average precision
LARGE_BATCHES = 4  # batches of the default recipe in one, where a step costs more than its pixels (ADR 0018)
LARGE_RATE = 2.0  # the square root of that, the rule for Adam's learning rate (Malladi et al., 2022)
MANY_CORES = 8
LARGE_FROM_IMAGES = 200  # a pass: with fewer, `MIN_STEPS` of large batches would show far more than planned
LEAST_SCORE = 0.05  # a network that finds next to nothing is not done, however steady it is


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Hyper-parameters. The defaults are what users get; jobs may override them for tests and experiments."""

    batch_size: int = 8
    peak_rate: float = 2e-3
    weight_decay: float = 0.2
    ema_decay: float = 0.998
    clip_norm: float = 10.0
    mosaic: float = 0.4
    framed: float = 0.5  # of the images, from the last mosaic on
    coarse_until: float = 0.45  # low resolution up to this progress
    scale_jitter: float = 1.0  # strength of the changes of scale, 0 for none
    colour_jitter: float = 1.0  # strength of the changes of colour and brightness, 0 for none
    upside_down: bool = True  # whether images may be flipped top to bottom where the objects allow it
    steps: int = 0  # 0: planned from the data
    input_area_px: int = 0  # 0: by model type
    network: str | dict[str, Any] = ""  # "": by model type; "pretrained"; "coco"; else as `dense.network_config` has it
    pretrained: bool = True  # whether networks on pretrained weights may be tried
    checkpoint_every_s: float = 0.0  # 0: by the time there is
    quantise: bool = True  # whether int8 is built and compared
    holds_out: bool = True  # whether training images help to judge where VALIDATION is small
    rounding_from: float = (
        MOSAIC_UNTIL  # the network is trained as int8 will round it from this progress on; 1 for never
    )

    def steps_for(self, images: int, share: float = 1.0, least: int | None = None) -> int:
        """Steps of a training whose passes show so many images: its own number, or a share of the planned ones."""
        return self.steps or planned_steps(images, self.batch_size, share, least)

    @classmethod
    def from_job(cls, overrides: dict[str, Any], *, large_batches: bool = False) -> Recipe:
        """Defaults, or those of a GPU and of many cores, with overrides by field name.

        Raises:
            TypeError: an unknown field.
        """
        defaults = cls()
        if large_batches:
            defaults = dataclasses.replace(
                defaults, batch_size=LARGE_BATCHES * defaults.batch_size, peak_rate=LARGE_RATE * defaults.peak_rate
            )
        return dataclasses.replace(defaults, **overrides)


def planned_steps(images: int, batch_size: int, share: float = 1.0, least: int | None = None) -> int:
    """Steps of a training that no clock cuts short: at least `least`, else `MIN_STEPS`, and of more than that a share."""
    full = min(images, FULL_EPOCHS_IMAGES)
    growth = math.sqrt(max(1.0, images / FULL_EPOCHS_IMAGES))  # four times the images: twice the steps
    return max(MIN_STEPS if least is None else least, round(share * EPOCHS * full * growth / batch_size))


def coarse_hw(input_hw: tuple[int, int]) -> tuple[int, int]:
    """Input of the first phase: two thirds of each side, a multiple of 32."""
    multiple = dense.SIDE_MULTIPLE_PX
    height, width = (max(multiple, round(side * COARSE_SCALE / multiple) * multiple) for side in input_hw)
    return height, width


@dataclasses.dataclass
class Schedule:
    """Progress of one training.

    Attributes:
        steps: planned.
        input_hw: full network input in pixels.
        bound_at: (progress, elapsed_s) where the clock took over, None while the steps decide.
        train_until_s: elapsed time at which training ends at the latest.
        recipe: what the views follow.
        ways_up: which ways up the objects may be, None until it is measured.
        cooling_from: (progress, step) where validation had stopped improving and the rest was shortened, None before.
        even_steps: whether a step takes as long at any size of input: a GPU waits for its orders, not for pixels.
        window_hw: of the input that a step sees; None if it sees all of it. There is no coarse phase then.
    """

    steps: int
    input_hw: tuple[int, int]
    train_until_s: float
    recipe: Recipe = dataclasses.field(default_factory=Recipe)
    bound_at: tuple[float, float] | None = None
    ways_up: orientation.Orientation | None = None
    cooling_from: tuple[float, int] | None = None
    even_steps: bool = False
    window_hw: tuple[int, int] | None = None

    def progress(self, step: int, elapsed_s: float) -> float:
        """Fraction done before this step, in [0, 1]."""
        by_steps = step / self.steps
        if self.cooling_from is not None and step > self.cooling_from[1]:
            start, first = self.cooling_from
            by_steps = start + (1.0 - start) * min(1.0, (step - first) / (self.last_step - first))
        if self.bound_at is None:
            return min(1.0, by_steps)
        start, start_s = self.bound_at
        if elapsed_s <= start_s:
            return min(1.0, max(start, by_steps))
        left_s = self.train_until_s - start_s
        by_time = start + (1.0 - start) * (elapsed_s - start_s) / left_s if left_s > 0 else 1.0
        return min(1.0, max(by_time, by_steps))

    @property
    def last_step(self) -> int:
        """Steps that a training does when no clock cuts it short."""
        if self.cooling_from is None:
            return self.steps
        return min(self.steps, self.cooling_from[1] + max(1, round(COOL_DOWN * self.steps)))

    @property
    def coarse_until(self) -> float:
        """Progress at which the first phase ends."""
        return 0.0 if self.window_hw else self.recipe.coarse_until

    @property
    def check_every(self) -> float:
        """Progress from one validation to the next: fewer of them where a step sees a part of what they see."""
        return CHECK_EVERY_WINDOWS if self.window_hw else CHECK_EVERY

    @property
    def checkpoint_every_s(self) -> float:
        """Seconds from one checkpoint to the next."""
        by_time_s = min(MOST_CHECKPOINT_S, max(LEAST_CHECKPOINT_S, self.train_until_s / CHECKPOINTS))
        return self.recipe.checkpoint_every_s or by_time_s

    def cool_down(self, step: int, elapsed_s: float) -> None:
        """From here on the learning rate comes down in few steps: more of them would bring nothing."""
        self.cooling_from = (self.progress(step, elapsed_s), step)

    def bind_to_clock(self, step: int, elapsed_s: float) -> None:
        """From here on progress follows time."""
        self.bound_at = (self.progress(step, elapsed_s), elapsed_s)

    def remaining_s(self, step: int, coarse_step_s: float) -> float:
        """Time that the planned rest takes, given what a low-resolution step takes."""
        fine_step_s = coarse_step_s * self.cost(self.window_hw or self.input_hw)
        left = max(0, self.last_step - step)
        coarse_left = min(left, max(0.0, self.steps * self.coarse_until - step))
        return coarse_left * coarse_step_s + (left - coarse_left) * fine_step_s

    def cost(self, view_hw: tuple[int, int]) -> float:
        """Time that a step at this size of input takes, relative to one of the coarse phase."""
        height, width = self.window_hw or coarse_hw(self.input_hw)
        return 1.0 if self.even_steps else view_hw[0] * view_hw[1] / (height * width)

    def view(self, progress: float, step: int) -> augment.View:
        """What this step, at this progress, looks at."""
        size_hw = self.window_hw or (coarse_hw(self.input_hw) if progress < self.coarse_until else self.input_hw)
        known = self.ways_up if self.ways_up and step >= self.ways_up.from_step else None
        return augment.View(
            size_hw,
            self.recipe.mosaic if progress < MOSAIC_UNTIL else 0.0,
            framed=self.recipe.framed if progress >= MOSAIC_UNTIL else 0.0,
            flips=self.recipe.upside_down and known is not None and known.flips,
            scale_jitter=self.recipe.scale_jitter,
            colour_jitter=self.recipe.colour_jitter,
            input_hw=self.input_hw if self.window_hw else None,
        )


class StepTime:
    """Running mean of what recent steps took, in seconds of a coarse one (`Schedule.cost`).

    A step that waited for the processor, the disk or a suspended machine counts as at most `STALL` ordinary ones: a short
    pause must not bind a training to the clock, which would make it another one.
    """

    def __init__(self) -> None:
        self.coarse_step_s = 0.0
        self._steps = 0

    @property
    def is_settled(self) -> bool:
        """Whether enough steps were seen to plan by; the first ones of every attempt are slow."""
        return self._steps >= CALIBRATION_STEPS // 2

    def note(self, coarse_step_s: float) -> None:
        """Takes in what one step took, over its cost."""
        if self.is_settled:
            coarse_step_s = min(coarse_step_s, STALL * self.coarse_step_s)
        memory = PACE_MEMORY if self.is_settled else 0.0
        self._steps += 1
        self.coarse_step_s = memory * self.coarse_step_s + (1 - memory) * coarse_step_s


def rate(progress: float, step: int) -> float:
    """Learning rate relative to its peak: linear warm-up, then half a cosine."""
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    return warm_up * (FINAL_RATE + (1.0 - FINAL_RATE) * 0.5 * (1.0 + math.cos(math.pi * progress)))


def brings_nothing(checks: list[tuple[float, float]], untrained: float) -> bool:
    """Whether a network that has been validated, and so is half trained, is worse than before its training."""
    return bool(checks) and max(score for _, score in checks) < untrained - MIN_GAIN


def has_converged(checks: list[tuple[float, float]]) -> bool:
    """Whether the last `PATIENCE_CHECKS` validations brought nothing; checks are (progress, score) in order."""
    if len(checks) <= PATIENCE_CHECKS or checks[-1][0] < PATIENCE_FROM:
        return False
    before = max(score for _, score in checks[:-PATIENCE_CHECKS])
    recent = max(score for _, score in checks[-PATIENCE_CHECKS:])
    return before > LEAST_SCORE and recent < before + MIN_GAIN
