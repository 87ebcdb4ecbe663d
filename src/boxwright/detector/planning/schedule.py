"""How long to train and what each step looks like: numbers, no tensors.

planned_steps(images)          from the data, so that equal jobs end with equal weights
Schedule.view(progress, step)  input size and mosaic follow the progress
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from boxwright.detector.data import augment
from boxwright.detector.evaluation import orientation
from boxwright.detector.network import dense
from boxwright.learning import schedule

EPOCHS = 200  # up to `FULL_EPOCHS_IMAGES`; more images need fewer passes
FULL_EPOCHS_IMAGES = 360
MIN_STEPS = 1500  # twenty images still need this many to learn boxes at all
MOSAIC_UNTIL = 0.7
ORIENTATION_AT = 1 / 3  # what the objects look like is known by then, and there is time to use it
ORIENTATION_OF_TRIAL_AT = 0.95  # a trial follows nothing that is learned in it
COARSE_SCALE = 2 / 3
CHECK_EVERY = 0.05  # validation, from `CHECK_FROM` on
CHECK_EVERY_WINDOWS = 0.15
CHECK_FROM = 0.5
ENOUGH_IMAGES = 20  # with objects: fewer say little about a network, and end no training early
PATIENCE_CHECKS = 4
PATIENCE_FROM = MOSAIC_UNTIL  # nothing but the learning rate changes after that, so the rest may be shortened
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


@dataclasses.dataclass(kw_only=True)
class Schedule(schedule.StepSchedule):
    """Progress of one detector's training.

    Attributes:
        input_hw: full network input in pixels.
        recipe: what the views follow.
        ways_up: which ways up the objects may be, None until it is measured.
        even_steps: whether a step takes as long at any size of input: a GPU waits for its orders, not for pixels.
        window_hw: of the input that a step sees; None if it sees all of it. There is no coarse phase then.
    """

    input_hw: tuple[int, int]
    recipe: Recipe = dataclasses.field(default_factory=Recipe)
    ways_up: orientation.Orientation | None = None
    even_steps: bool = False
    window_hw: tuple[int, int] | None = None

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
        return self.recipe.checkpoint_every_s or super().checkpoint_every_s

    def remaining_s(self, step: int, unit_s: float) -> float:
        """Time that the planned rest takes, given what a low-resolution step takes."""
        fine_step_s = unit_s * self.cost(self.window_hw or self.input_hw)
        left = max(0, self.last_step - step)
        coarse_left = min(left, max(0.0, self.steps * self.coarse_until - step))
        return coarse_left * unit_s + (left - coarse_left) * fine_step_s

    def cost(self, view_hw: tuple[int, int]) -> float:
        """Time that a step at this size of input takes, relative to one of the coarse phase."""
        height, width = self.window_hw or coarse_hw(self.input_hw)
        return 1.0 if self.even_steps else view_hw[0] * view_hw[1] / (height * width)

    def view_hw(self, progress: float) -> tuple[int, int]:
        """The size of input at this progress, in pixels."""
        return self.window_hw or (coarse_hw(self.input_hw) if progress < self.coarse_until else self.input_hw)

    def view(self, progress: float, step: int) -> augment.View:
        """What this step, at this progress, looks at."""
        known = self.ways_up if self.ways_up and step >= self.ways_up.from_step else None
        return augment.View(
            self.view_hw(progress),
            self.recipe.mosaic if progress < MOSAIC_UNTIL else 0.0,
            framed=self.recipe.framed if progress >= MOSAIC_UNTIL else 0.0,
            flips=self.recipe.upside_down and known is not None and known.flips,
            scale_jitter=self.recipe.scale_jitter,
            colour_jitter=self.recipe.colour_jitter,
            input_hw=self.input_hw if self.window_hw else None,
        )


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
