"""How long to fine-tune and what each step looks like: numbers, no tensors."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from boxwright.classifier.data import augment
from boxwright.learning import schedule

PASSES = 20  # up to `FULL_PASSES_IMAGES`; more images need fewer passes
FULL_PASSES_IMAGES = 2000
MIN_STEPS = 700  # with few images, fine details need many views of each
COARSE_SCALE = 2 / 3
SIDE_MULTIPLE_PX = 4
CHECK_EVERY = 0.2
MIXUP_UNTIL = 0.7
FEATURE_VIEWS = 2  # of each image that the probe learns from: as it is, and mirrored
STEP_COST = 2.5  # of a step for one image, to one prediction of the same size: to set aside
TYPICAL_COST = 0.9  # the same, as it usually is on idle cores: 743 steps in 200 s on two


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Hyper-parameters. The defaults are what users get; jobs may override them for tests and experiments."""

    batch_size: int = 16
    peak_rate: float = 2e-3
    weight_decay: float = 0.05
    ema_decay: float = 0.99
    clip_norm: float = 5.0
    smoothing: float = 0.1
    mixup: float = 0.2  # of MULTICLASS, up to `MIXUP_UNTIL`
    framed: float = 0.3  # of the images, from there on
    coarse_until: float = 0.5  # low resolution up to this progress
    crop_jitter: float = 1.0
    colour_jitter: float = 0.5
    flips: bool = True  # whether images may be flipped where the labels allow it
    steps: int = 0  # 0: planned from the data
    input_hw: tuple[int, ...] = ()  # (): by model type and images
    pretrained: bool = True  # whether published weights may be used, without which nothing can be trained
    finetune: bool = True  # whether more than the probe is tried
    quantise: bool = True  # whether int8 is built and compared
    checkpoint_every_s: float = 0.0  # 0: by the time there is

    def steps_for(self, images: int) -> int:
        """Steps of a training whose passes show so many images."""
        return self.steps or planned_steps(images, self.batch_size)

    def share_for(self, images: int, budget_s: float, image_s: float, threads: int) -> float:
        """Share of the planned steps that a budget usually allows, in [0, 1].

        Args:
            images: of TRAIN.
            budget_s: for features and steps.
            image_s: to set aside for predicting one image on one busy core.
            threads: that learn.
        """
        views = FEATURE_VIEWS * images
        coarse_share = self.coarse_until * COARSE_SCALE**2 + 1.0 - self.coarse_until
        step_s = TYPICAL_COST * coarse_share * self.batch_size * image_s / threads
        return max(0.0, min(1.0, (budget_s - views * image_s / threads) / (self.steps_for(images) * step_s)))

    @classmethod
    def from_job(cls, overrides: dict[str, Any]) -> Recipe:
        """Defaults with overrides by field name.

        Raises:
            TypeError: an unknown field.
        """
        known = {**overrides, "input_hw": tuple(overrides.get("input_hw", ()))}
        return dataclasses.replace(cls(), **known)


def planned_steps(images: int, batch_size: int) -> int:
    """Steps of a training that no clock cuts short: four times the images beyond `FULL_PASSES_IMAGES`, twice the steps."""
    full = min(images, FULL_PASSES_IMAGES)
    growth = math.sqrt(max(1.0, images / FULL_PASSES_IMAGES))
    return max(MIN_STEPS, round(PASSES * full * growth / batch_size))


def coarse_hw(input_hw: tuple[int, int]) -> tuple[int, int]:
    """Input of the first phase: two thirds of each side."""
    height, width = (round(side * COARSE_SCALE / SIDE_MULTIPLE_PX) * SIDE_MULTIPLE_PX for side in input_hw)
    return height, width


@dataclasses.dataclass(kw_only=True)
class FineTuningSchedule(schedule.StepSchedule):
    """Progress of one fine-tuning.

    Attributes:
        input_hw: full network input in pixels.
        recipe: what the views follow.
        mirrored: whether images may be flipped left to right.
        flips: whether they may be flipped top to bottom.
        has_one_label: whether an image has one label: it may be cropped then, and mixed with another.
    """

    input_hw: tuple[int, int]
    recipe: Recipe
    mirrored: bool
    flips: bool
    has_one_label: bool

    @property
    def checkpoint_every_s(self) -> float:
        """Seconds from one checkpoint to the next."""
        return self.recipe.checkpoint_every_s or super().checkpoint_every_s

    def remaining_s(self, step: int, unit_s: float) -> float:
        """Time that the planned rest takes, given what a low-resolution step takes."""
        left = max(0, self.last_step - step)
        coarse_left = min(left, max(0.0, self.steps * self.recipe.coarse_until - step))
        return (coarse_left + (left - coarse_left) * self.cost(self.input_hw)) * unit_s

    def cost(self, view_hw: tuple[int, int]) -> float:
        """Time that a step at this size of input takes, relative to one of the coarse phase."""
        height, width = coarse_hw(self.input_hw)
        return view_hw[0] * view_hw[1] / (height * width)

    def view_hw(self, progress: float) -> tuple[int, int]:
        """The size of input at this progress, in pixels."""
        return coarse_hw(self.input_hw) if progress < self.recipe.coarse_until else self.input_hw

    def view(self, progress: float) -> augment.View:
        """What a step at this progress looks at."""
        is_early = progress < MIXUP_UNTIL
        return augment.View(
            self.view_hw(progress),
            framed=0.0 if is_early else self.recipe.framed,
            mirrored=self.mirrored,
            flips=self.flips,
            mixup=self.recipe.mixup if is_early and self.has_one_label else 0.0,
            keeps_whole=not self.has_one_label,
            crop_jitter=self.recipe.crop_jitter,
            colour_jitter=self.recipe.colour_jitter,
        )
