"""The optimisation loop of any network: steps, moving average, validation, the clock, checkpoints.

    class OwnTrainer(Trainer): …            says what a step looks at, what it loses, and how the average is validated
    OwnTrainer(…).run() -> stop reason      resumes from the job's checkpoint; the result is in `average`

Everything that influences the weights comes from the job's data, budget, seed and thread count and from the kind of
processor, unless the budget is too short for the planned steps; then time decides how many there are.
"""

from __future__ import annotations

import abc
import copy
import dataclasses
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from boxwright.learning import checkpoint, device, parallel_step, schedule
from boxwright.learning.listener import ProgressListener, TrainingStopped

PROGRESS_EVERY_S = 1.5
MODEL_CONVERGED = "MODEL_CONVERGED"
BUDGET_REACHED = "BUDGET_REACHED"
EARLY_STOPPED = "MODEL_EARLY_STOPPED"  # on request
RELATIVE_RATE = "relative_rate"  # of a group of parameters, kept by the optimizer
HISTORY_POINTS = 200  # of the losses, over the planned steps


class OptimiserSettings(Protocol):
    """What every recipe says of the optimiser.

    Attributes:
        batch_size: images a step.
        peak_rate: of learning.
        weight_decay: of AdamW, on matrices.
        ema_decay: of the moving average.
        clip_norm: the largest norm of a step's gradient.
    """

    @property
    def batch_size(self) -> int: ...
    @property
    def peak_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def ema_decay(self) -> float: ...
    @property
    def clip_norm(self) -> float: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainerOptions:
    """What a training works with.

    Attributes:
        folder: where the checkpoint lives.
        fingerprint: of the job.
        image_count: images that a pass shows, for counting epochs.
        threads: to compute with.
        elapsed_s: returns seconds spent so far, over all attempts.
        where: cores or GPU.
        after_s: from the validations so far, and the seconds to the last step, to about how long the rest will take.
        start: the weights that the network starts from, in words.
    """

    folder: pathlib.Path
    fingerprint: str
    image_count: int
    threads: int
    elapsed_s: Callable[[], float]
    where: device.Device = device.CPU
    after_s: Callable[[Sequence[tuple[float, float]], float], float] = lambda checks, left_s: 0.0
    start: str = "random"


class BatchSupply(Protocol):
    """Batches of the steps to come, in order; `views.Prefetcher` is one."""

    def take(self) -> Any: ...

    def close(self) -> None: ...


def optimizer_of(
    groups: Sequence[tuple[Sequence[nn.Parameter], float]], recipe: OptimiserSettings, decay_share: float
) -> torch.optim.AdamW:
    """AdamW over (parameters, relative rate); weight decay on matrices only, biases and normalisation go free."""
    made = []
    for parameters, relative in groups:
        matrices = [one for one in parameters if one.ndim > 1]
        others = [one for one in parameters if one.ndim <= 1]
        made.append({"params": matrices, "weight_decay": decay_share * recipe.weight_decay, RELATIVE_RATE: relative})
        made.append({"params": others, "weight_decay": 0.0, RELATIVE_RATE: relative})
    return torch.optim.AdamW(made, lr=recipe.peak_rate, fused=True)


class Trainer(abc.ABC):
    """One training, from a fresh network or from a checkpoint.

    Attributes:
        network: that learns.
        average: its moving average: the result.
        optimizer: set by the subclass.
        step: done so far.
        checks: validations so far, (progress, score).
        history: what the report draws, by step; decides nothing.
    """

    def __init__(
        self,
        network: nn.Module,
        plan: schedule.StepSchedule,
        recipe: OptimiserSettings,
        setting: TrainerOptions,
        watcher: ProgressListener,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.network = network
        self.average = copy.deepcopy(self.network).eval()
        self.shards: parallel_step.ParallelStep
        self.plan = plan
        self.recipe = recipe
        self.setting = setting
        self.watcher = watcher
        self.optimizer = optimizer
        self.step = 0
        self.checks: list[tuple[float, float]] = []
        self.history: dict[str, list[list[float]]] = {"losses": [], "checks": []}
        self.stop_reason = ""
        self._pace = schedule.StepTime(plan.calibration_steps)  # waiting for data included
        self._saved_s = setting.elapsed_s()
        self._reported_s = -math.inf

    # ---- what a kind of training says ---------------------------------------------------------------------------------

    @abc.abstractmethod
    def _open_step(self) -> parallel_step.ParallelStep:
        """What computes gradients."""

    @abc.abstractmethod
    def _supply(self) -> BatchSupply:
        """Batches from `step` on."""

    @abc.abstractmethod
    def _validate(self, progress: float) -> None:
        """Validates the moving average: adds to `checks` and `history`."""

    @abc.abstractmethod
    def _is_check_due(self, progress: float) -> bool:
        """Whether to validate now."""

    @abc.abstractmethod
    def _has_converged(self, progress: float) -> bool:
        """Whether the validations so far say that more steps would bring nothing."""

    def _own_reason_to_end(self) -> str:
        """A stop reason of this kind of training; empty to go on."""
        return ""

    def _before_gradients(self, progress: float) -> None:  # noqa: B027 — a kind of training may have nothing to do
        """Called before each step."""

    def _after_checks(self, progress: float) -> None:  # noqa: B027 — likewise
        """Called after each step."""

    def _extra_state(self) -> dict[str, Any]:
        """What a checkpoint's `schedule` keeps beside the plan's own."""
        return {}

    def _details(self) -> dict[str, object]:
        """What progress reports say beside steps, losses and speed."""
        return {}

    # ---- the loop -----------------------------------------------------------------------------------------------------

    def restore(self, state: checkpoint.State) -> None:
        """Continues where a checkpoint was taken."""
        self.network.load_state_dict(state.weights)
        self.average.load_state_dict(state.average)
        self.optimizer.load_state_dict(state.optimizer)
        self.step = state.step
        self.checks = [(float(progress), float(score)) for progress, score in state.checks]
        self.history = {name: [list(row) for row in rows] for name, rows in state.history.items()}
        self.plan.restore(state.schedule)
        self.stop_reason = state.stop_reason

    def save(self) -> None:
        """Writes a checkpoint."""
        checkpoint.save(
            self.setting.folder,
            checkpoint.State(
                step=self.step,
                elapsed_s=self.setting.elapsed_s(),
                weights=self.network.state_dict(),
                average=self.average.state_dict(),
                optimizer=self.optimizer.state_dict(),
                schedule={**self.plan.state(), "batch_size": self.recipe.batch_size, **self._extra_state()},
                checks=self.checks,
                history=self.history,
                trained=bool(self.stop_reason),
                stop_reason=self.stop_reason,
                fingerprint=self.setting.fingerprint,
            ),
        )
        self._saved_s = self.setting.elapsed_s()

    def run(self) -> str:
        """Trains until the plan ends, the budget ends, or validation stops improving; returns the stop reason.

        Raises:
            TrainingStopped: the listener asked for it.
            FloatingPointError: a loss is not finite; the last checkpoint is untouched.
            UnreadableImage: too many images cannot be read.
        """
        self.shards = self._open_step()
        supply = self._supply()
        try:
            while not self.stop_reason:
                if self.watcher.stop_requested():
                    self.save()
                    raise TrainingStopped
                progress = self.plan.progress(self.step, self.setting.elapsed_s())
                self.stop_reason = self._reason_to_end(progress)
                if self.stop_reason == EARLY_STOPPED:
                    self._validate(progress)
                if self.stop_reason:
                    self.save()
                    break
                started_s = self.setting.elapsed_s()
                batch = supply.take()
                losses = self._optimise(batch, progress)
                height, width = batch.pixels.shape[1:3]
                self._pace.note((self.setting.elapsed_s() - started_s) / self.plan.cost((height, width)))
                self._after_step(losses)
        finally:
            supply.close()
            self.shards.close()
        return self.stop_reason

    def _prefetching(self) -> int:
        """Threads that make batches."""
        threads = self.setting.threads
        return threads if self.setting.where.is_gpu else max(1, threads // 2)  # a GPU leaves the cores free

    def _reason_to_end(self, progress: float) -> str:
        if self.watcher.finish_requested():
            return EARLY_STOPPED
        own = self._own_reason_to_end()
        if own:
            return own
        if progress >= 1.0:
            return MODEL_CONVERGED if self.step >= self.plan.last_step else BUDGET_REACHED
        return BUDGET_REACHED if self.setting.elapsed_s() >= self.plan.train_until_s else ""

    def _optimise(self, batch: parallel_step.StepBatch, progress: float) -> dict[str, float]:
        """One step; returns the losses."""
        for group in self.optimizer.param_groups:
            group["lr"] = group[RELATIVE_RATE] * self.recipe.peak_rate * schedule.rate(progress, self.step)
        self._before_gradients(progress)
        gradients, values = self.shards.gradients(batch)
        if not all(math.isfinite(value) for value in values.values()):
            raise FloatingPointError(f"The loss is not finite at step {self.step}: {values}")
        learning = [one for one in self.network.parameters() if one.requires_grad]
        for parameter, gradient in zip(learning, gradients, strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_(learning, self.recipe.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self._update_average()
        return values

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.recipe.ema_decay, (1 + self.step) / (10 + self.step))
        averaged, current = self.average.state_dict(), self.network.state_dict()
        floating = [name for name, tensor in averaged.items() if tensor.is_floating_point()]
        now: list[Tensor] = [current[name] for name in floating]
        torch._foreach_lerp_([averaged[name] for name in floating], now, 1.0 - decay)

    def _after_step(self, losses: dict[str, float]) -> None:
        """Validation, the clock, reports and checkpoints, in this order."""
        elapsed_s = self.setting.elapsed_s()
        progress = self.plan.progress(self.step, elapsed_s)
        if progress < 1.0 and self._is_check_due(progress):
            self._validate(progress)
            if self.plan.cooling_from is None and self._has_converged(progress):
                self.plan.cool_down(self.step, elapsed_s)
        self._after_checks(progress)
        if self.plan.bound_at is None and self.step >= self.plan.calibration_steps and self._pace.is_settled:
            needed_s = self.plan.remaining_s(self.step, self._pace.unit_s)
            if elapsed_s + needed_s > self.plan.train_until_s:
                self.plan.bind_to_clock(self.step, elapsed_s)
        if self.step % max(1, self.plan.steps // HISTORY_POINTS) == 0:
            row = [value for name, value in losses.items() if name != parallel_step.TOTAL or len(losses) == 1]
            self.history["losses"].append([self.step, *(round(value, 4) for value in row)])
        if elapsed_s - self._reported_s >= PROGRESS_EVERY_S:
            self._report(progress, losses)
        if elapsed_s - self._saved_s >= self.plan.checkpoint_every_s:
            self.save()

    def _report(self, progress: float, losses: dict[str, float]) -> None:
        elapsed_s = self.setting.elapsed_s()
        self._reported_s = elapsed_s
        unit_s = self._pace.unit_s
        step_s = max(1e-6, unit_s * self.plan.cost(self.plan.view_hw(progress)))
        left_s, steps = self.plan.remaining_s(self.step, unit_s), self.plan.last_step
        clock_s = max(0.0, self.plan.train_until_s - elapsed_s)
        if clock_s < left_s:  # whether the plan is bound to the clock already or will be
            left_s, steps = clock_s, min(steps, self.step + round(clock_s / step_s))
        left_s += self.setting.after_s(self.checks, left_s)
        details: dict[str, object] = {
            "step": self.step,
            "steps": max(steps, self.step),
            "epoch": round(self.step * self.recipe.batch_size / self.setting.image_count, 2),
            "losses": {name: round(value, 4) for name, value in losses.items()},
            "images_per_s": round(self.recipe.batch_size / step_s, 1),
            "eta_s": round(left_s, 1),
            "initial_weights": self.setting.start,
            **self._details(),
        }
        share = elapsed_s / (elapsed_s + left_s)
        if not self._pace.is_settled:  # of the work, then
            share = 1.0 - self.plan.remaining_s(self.step, 1.0) / self.plan.remaining_s(0, 1.0)
        self.watcher.progress(100.0 * share, "training", **details)
