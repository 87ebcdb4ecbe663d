"""How long a training takes and how its learning rate comes down: numbers, no tensors.

    StepSchedule(…).progress(step, now)    0 to 1; the learning rate follows it
    StepTime()                             what a step takes
    rate(progress, step)                   of learning, relative to its peak

When the time is too short for the planned steps, the schedule is bound to the clock: progress then follows time, so that the
learning rate always comes down in time. Binding happens at most once and is kept in the checkpoint.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

CALIBRATION_STEPS = 60  # the first steps are slow, the later ones tell the speed
PACE_MEMORY = 0.95  # of the running mean of a step's time
STALL = 4.0  # ordinary steps that the longest one counts as
WARM_UP_STEPS = 60
FINAL_RATE = 0.02  # of the peak learning rate
CHECKPOINTS = 20  # of a training, at least, as long as they come no closer than
LEAST_CHECKPOINT_S = 5.0
MOST_CHECKPOINT_S = 25.0
COOL_DOWN = 0.1  # of the planned steps: in these the rate comes down when validation has stopped improving


@dataclasses.dataclass(kw_only=True)
class StepSchedule:
    """Progress of one training.

    Attributes:
        steps: planned.
        train_until_s: elapsed time at which training ends at the latest.
        bound_at: (progress, elapsed_s) where the clock took over, None while the steps decide.
        cooling_from: (progress, step) where validation had stopped improving and the rest was shortened, None before.
        calibration_steps: before the clock may take over.
    """

    steps: int
    train_until_s: float
    bound_at: tuple[float, float] | None = None
    cooling_from: tuple[float, int] | None = None
    calibration_steps: int = CALIBRATION_STEPS

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
    def checkpoint_every_s(self) -> float:
        """Seconds from one checkpoint to the next."""
        return min(MOST_CHECKPOINT_S, max(LEAST_CHECKPOINT_S, self.train_until_s / CHECKPOINTS))

    def cool_down(self, step: int, elapsed_s: float) -> None:
        """From here on the learning rate comes down in few steps: more of them would bring nothing."""
        self.cooling_from = (self.progress(step, elapsed_s), step)

    def bind_to_clock(self, step: int, elapsed_s: float) -> None:
        """From here on progress follows time."""
        self.bound_at = (self.progress(step, elapsed_s), elapsed_s)

    def remaining_s(self, step: int, unit_s: float) -> float:
        """Time that the planned rest takes, given what a step of cost 1 takes."""
        return max(0, self.last_step - step) * unit_s

    def cost(self, view_hw: tuple[int, int]) -> float:
        """Time that a step at this size of input takes, relative to the unit of `remaining_s`."""
        return 1.0

    def view_hw(self, progress: float) -> tuple[int, int]:
        """The size of input at this progress, in pixels."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to keep."""
        bound_at, cooling = self.bound_at, self.cooling_from
        return {
            "bound_at": None if bound_at is None else list(bound_at),
            "cooling_from": None if cooling is None else list(cooling),
            "steps": self.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken."""
        bound_at, cooling = state["bound_at"], state["cooling_from"]
        self.bound_at = None if bound_at is None else (float(bound_at[0]), float(bound_at[1]))
        self.cooling_from = None if cooling is None else (float(cooling[0]), int(cooling[1]))


class StepTime:
    """Running mean of what recent steps took, in seconds of a step of cost 1 (`StepSchedule.cost`).

    A step that waited for the processor, the disk or a suspended machine counts as at most `STALL` ordinary ones: a short
    pause must not bind a training to the clock, which would make it another one.
    """

    def __init__(self, calibration_steps: int = CALIBRATION_STEPS) -> None:
        self.unit_s = 0.0
        self._steps = 0
        self._settled_from = calibration_steps // 2

    @property
    def is_settled(self) -> bool:
        """Whether enough steps were seen to plan by; the first ones of every attempt are slow."""
        return self._steps >= self._settled_from

    def note(self, unit_s: float) -> None:
        """Takes in what one step took, over its cost."""
        if self.is_settled:
            unit_s = min(unit_s, STALL * self.unit_s)
        memory = PACE_MEMORY if self.is_settled else 0.0
        self._steps += 1
        self.unit_s = memory * self.unit_s + (1 - memory) * unit_s


def rate(progress: float, step: int, warm_up_steps: int = WARM_UP_STEPS) -> float:
    """Learning rate relative to its peak: linear warm-up, then half a cosine."""
    warm_up = min(1.0, (step + 1) / warm_up_steps)
    return warm_up * (FINAL_RATE + (1.0 - FINAL_RATE) * 0.5 * (1.0 + math.cos(math.pi * progress)))
