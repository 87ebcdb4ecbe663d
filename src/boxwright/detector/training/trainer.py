"""The optimisation loop: steps, moving average, validation checks, checkpoints.

    Trainer(...).run() -> stop reason        resumes from the job's checkpoint; the result is in `average`

Everything that influences the weights comes from the job's data, budget, seed and thread count and from the kind of
processor, unless the budget is too short for the planned steps; then time decides how many there are.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from boxwright import boxes
from boxwright.detector.data import augment
from boxwright.detector.evaluation import evaluate, orientation
from boxwright.detector.listener import ProgressListener, TrainingStopped
from boxwright.detector.network import dense, device
from boxwright.detector.planning import input_size, schedule
from boxwright.detector.training import checkpoint, parallel_step, validation_set
from boxwright.images import letterbox
from boxwright.inference import runtime, suppression

PROGRESS_EVERY_S = 1.5
MODEL_CONVERGED = "MODEL_CONVERGED"
BUDGET_REACHED = "BUDGET_REACHED"
EARLY_STOPPED = "MODEL_EARLY_STOPPED"  # on request
CHECK_BATCH = 4
CHECK_SCORE_FLOOR = 0.01
RELATIVE_RATE = "relative_rate"  # of a group of parameters, kept by the optimizer
HISTORY_POINTS = 200  # of the losses, over the planned steps


@dataclasses.dataclass(frozen=True)
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
        input: the network's, kept for later attempts.
        start: the weights that the network starts from, in words.
        untrained: (mAP at 0.5, mAP at 0.50 … 0.95) on validation before the first step; None if that is not known.
        is_trial: whether it is there to decide: it is not ended for what it brings, and looks at the orientation late.
    """

    folder: pathlib.Path
    fingerprint: str
    image_count: int
    threads: int
    elapsed_s: Callable[[], float]
    where: device.Device = device.CPU
    after_s: Callable[[Sequence[tuple[float, float]], float], float] = lambda checks, left_s: 0.0
    input: input_size.InputSize = input_size.UNKNOWN
    start: str = "random"
    untrained: tuple[float, float] | None = None
    is_trial: bool = False

    @property
    def gives_up_below(self) -> float | None:
        """The score that half of the training must reach; None: it may be any."""
        return None if self.untrained is None or self.is_trial else sum(self.untrained) / 2


def _optimizer(network: dense.Network, recipe: schedule.Recipe) -> torch.optim.AdamW:
    """Weight decay on matrices only; biases and normalisation go free."""
    groups = []
    for parameters, relative in network.learned():
        matrices = [one for one in parameters if one.ndim > 1]
        others = [one for one in parameters if one.ndim <= 1]
        decay = network.decay_share * recipe.weight_decay
        groups.append({"params": matrices, "weight_decay": decay, RELATIVE_RATE: relative})
        groups.append({"params": others, "weight_decay": 0.0, RELATIVE_RATE: relative})
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, fused=True)


class Trainer:
    """One training, from a fresh network or from a checkpoint."""

    def __init__(
        self,
        network: dense.Network,
        source: augment.BatchSource,
        plan: schedule.Schedule,
        recipe: schedule.Recipe,
        setting: TrainerOptions,
        validation: validation_set.ValidationSet,
        watcher: ProgressListener,
    ) -> None:
        self.network = network.to(setting.where.name, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval()
        self.shards: parallel_step.ParallelStep
        self.source = source
        self.plan = plan
        self.recipe = recipe
        self.setting = setting
        self.validation = validation
        self.watcher = watcher
        self.optimizer = _optimizer(self.network, recipe)
        self.step = 0
        self.checks: list[tuple[float, float]] = []
        self.history: dict[str, list[list[float]]] = {"losses": [], "checks": []}
        self.validation_map50 = None if setting.untrained is None else setting.untrained[0]
        self.stop_reason = ""
        self._pace = schedule.StepTime()  # waiting for data included
        self._saved_s = setting.elapsed_s()
        self._reported_s = -math.inf

    def restore(self, state: checkpoint.State) -> None:
        """Continues where a checkpoint was taken."""
        self.network.load_state_dict(state.weights)
        self.average.load_state_dict(state.average)
        self.optimizer.load_state_dict(state.optimizer)
        self.step = state.step
        self.checks = [(float(progress), float(score)) for progress, score in state.checks]
        self.history = {name: [list(row) for row in rows] for name, rows in state.history.items()}
        bound_at = state.schedule["bound_at"]
        self.plan.bound_at = None if bound_at is None else (float(bound_at[0]), float(bound_at[1]))
        self.plan.ways_up = orientation_of(state)
        cooling = state.schedule["cooling_from"]
        self.plan.cooling_from = None if cooling is None else (float(cooling[0]), int(cooling[1]))
        self.stop_reason = state.stop_reason

    def save(self) -> None:
        """Writes a checkpoint."""
        bound_at, known, cooling = self.plan.bound_at, self.plan.ways_up, self.plan.cooling_from
        checkpoint.save(
            self.setting.folder,
            checkpoint.State(
                step=self.step,
                elapsed_s=self.setting.elapsed_s(),
                weights=self.network.state_dict(),
                average=self.average.state_dict(),
                optimizer=self.optimizer.state_dict(),
                schedule={
                    "bound_at": None if bound_at is None else list(bound_at),
                    "steps": self.plan.steps,
                    "batch_size": self.recipe.batch_size,
                    "input": dataclasses.asdict(self.setting.input),
                    "cooling_from": None if cooling is None else list(cooling),
                    "orientation": None if known is None else dataclasses.asdict(known),
                },
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
        self.shards = parallel_step.ParallelStep(
            self.network, self.setting.threads, self.recipe.batch_size, self.setting.where
        )
        prefetcher = self._prefetcher()
        try:
            while not self.stop_reason:
                if self.watcher.stop_requested():
                    self.save()
                    raise TrainingStopped
                progress = self.plan.progress(self.step, self.setting.elapsed_s())
                self.stop_reason = self._reason_to_end(progress)
                if self.stop_reason == EARLY_STOPPED:
                    self._check(progress)
                if self.stop_reason:
                    self.save()
                    break
                started_s = self.setting.elapsed_s()
                batch = prefetcher.take()
                losses = self._optimise(batch, progress)
                height, width = batch.pixels.shape[1:3]
                self._pace.note((self.setting.elapsed_s() - started_s) / self.plan.cost((height, width)))
                self._after_step(losses)
        finally:
            prefetcher.close()
            self.shards.close()
        return self.stop_reason

    def _prefetcher(self) -> augment.Prefetcher:
        def view_of(step: int) -> augment.View:
            return self.plan.view(self.plan.progress(step, self.setting.elapsed_s()), step)

        return augment.Prefetcher(self.source, view_of, self.step, self._prefetching())

    def _prefetching(self) -> int:
        threads = self.setting.threads
        return threads if self.setting.where.is_gpu else max(1, threads // 2)  # a GPU leaves the cores free

    def _reason_to_end(self, progress: float) -> str:
        if self.watcher.finish_requested():
            return EARLY_STOPPED
        least = self.setting.gives_up_below
        if least is not None and schedule.brings_nothing(self.checks, least):
            return MODEL_CONVERGED
        if progress >= 1.0:
            return MODEL_CONVERGED if self.step >= self.plan.last_step else BUDGET_REACHED
        return BUDGET_REACHED if self.setting.elapsed_s() >= self.plan.train_until_s else ""

    def _optimise(self, batch: augment.Batch, progress: float) -> dict[str, float]:
        """One step; returns the losses."""
        for group in self.optimizer.param_groups:
            group["lr"] = group[RELATIVE_RATE] * self.recipe.peak_rate * schedule.rate(progress, self.step)
        self.shards.round_like_int8(progress >= self.recipe.rounding_from)
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
        torch._foreach_lerp_([averaged[name] for name in floating], [current[name] for name in floating], 1.0 - decay)

    def _after_step(self, losses: dict[str, float]) -> None:
        """Validation, the clock, reports and checkpoints, in this order."""
        elapsed_s = self.setting.elapsed_s()
        progress = self.plan.progress(self.step, elapsed_s)
        last_check = self.checks[-1][0] if self.checks else schedule.CHECK_FROM - self.plan.check_every
        if schedule.CHECK_FROM <= progress < 1.0 and progress >= last_check + self.plan.check_every - 1e-9:
            self._check(progress)
            settled = progress >= self.plan.coarse_until  # batches made ahead must not look different
            if (
                self.plan.cooling_from is None
                and settled
                and self.validation.is_enough
                and schedule.has_converged(self.checks)
            ):
                self.plan.cool_down(self.step, elapsed_s)
        orientation_at = schedule.ORIENTATION_OF_TRIAL_AT if self.setting.is_trial else schedule.ORIENTATION_AT
        if self.plan.ways_up is None and progress >= orientation_at:
            self.plan.ways_up = self._measure_orientation()
        if self.plan.bound_at is None and self.step >= schedule.CALIBRATION_STEPS and self._pace.is_settled:
            needed_s = self.plan.remaining_s(self.step, self._pace.coarse_step_s)
            if elapsed_s + needed_s > self.plan.train_until_s:
                self.plan.bind_to_clock(self.step, elapsed_s)
        if self.step % max(1, self.plan.steps // HISTORY_POINTS) == 0:
            row = [losses["score"], losses["box"], losses["distribution"]]
            self.history["losses"].append([self.step, *(round(value, 4) for value in row)])
        if elapsed_s - self._reported_s >= PROGRESS_EVERY_S:
            self._report(progress, losses)
        if elapsed_s - self._saved_s >= self.plan.checkpoint_every_s:
            self.save()

    def _report(self, progress: float, losses: dict[str, float]) -> None:
        elapsed_s = self.setting.elapsed_s()
        self._reported_s = elapsed_s
        coarse_step_s, view = self._pace.coarse_step_s, self.plan.view(progress, self.step)
        step_s = max(1e-6, coarse_step_s * self.plan.cost(view.view_hw))
        left_s, steps = self.plan.remaining_s(self.step, coarse_step_s), self.plan.last_step
        clock_s = max(0.0, self.plan.train_until_s - elapsed_s)
        if self.plan.bound_at is not None and clock_s < left_s:
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
        }
        if self.validation_map50 is not None:
            details["validation_map50"] = round(self.validation_map50, 4)
        if self.plan.ways_up is not None:
            details["objects"] = self.plan.ways_up.in_words
        share = elapsed_s / (elapsed_s + left_s)
        if not self._pace.is_settled:  # of the work, then
            share = 1.0 - self.plan.remaining_s(self.step, 1.0) / self.plan.remaining_s(0, 1.0)
        self.watcher.progress(100.0 * share, "training", **details)

    def _check(self, progress: float) -> None:
        """Validates the moving average; without a validation image there is nothing to do."""
        if not self.validation.images:
            return
        map50, map50_95 = self._scores(self.validation.images, self.validation.ground_truth)
        self.validation_map50 = map50
        self.checks.append((progress, (map50 + map50_95) / 2))
        self.history["checks"].append([self.step, map50, map50_95])

    def _measure_orientation(self) -> orientation.Orientation:
        """How well the moving average finds objects that it has seen upright alone, upright and not."""
        # windows show images at full size: that is how large the network has seen its objects
        images = self.validation.images if self.plan.window_hw else self.validation.coarse_images
        pairs = list(zip(images, self.validation.ground_truth, strict=True))
        upright, upside_down = (
            sum(self._scores(*zip(*ways, strict=True))) / 2 if ways else 0.0
            for ways in (pairs, [orientation.upside_down(*pair) for pair in pairs])
        )
        return orientation.Orientation(
            from_step=self.step + augment.AHEAD,  # earlier batches may be made already
            upright=upright,
            upside_down=upside_down,
            boxes=sum(len(truth.label_indices) for _, truth in pairs),
        )

    def _scores(
        self, images: Sequence[letterbox.Prepared], ground_truth: Sequence[evaluate.GroundTruth]
    ) -> tuple[float, float]:
        """(mAP at 0.5, mAP at 0.50 … 0.95) of the moving average."""
        chunks = [images[first : first + CHECK_BATCH] for first in range(0, len(images), CHECK_BATCH)]
        found = [one for answers in self.shards.map(self._find, chunks) for one in answers]
        return evaluate.quick_scores(self.network.label_count, ground_truth, found)

    def _find(self, images: Sequence[letterbox.Prepared]) -> list[boxes.Detections]:
        """What the moving average finds in a few images.

        Raises:
            TrainingStopped: without saving; the steps since the last checkpoint are repeated, and so is the check.
        """
        if self.watcher.stop_requested():
            raise TrainingStopped
        return find_in(self.average, images, self.setting.where)


def input_of(state: checkpoint.State) -> input_size.InputSize:
    """The input that a checkpoint's weights were trained for."""
    known = state.schedule["input"]
    height, width = known["input_hw"]
    window_hw = known.get("window_hw")
    return input_size.InputSize(
        (int(height), int(width)),
        float(known["readable"]),
        str(known["reason"]),
        float(known["passes"]),
        None if window_hw is None else (int(window_hw[0]), int(window_hw[1])),
    )


def orientation_of(state: checkpoint.State) -> orientation.Orientation | None:
    """What a checkpoint knows of the objects' orientation."""
    known = state.schedule.get("orientation")
    return None if known is None else orientation.Orientation(**known)


def find_in(
    network: dense.Network, images: Sequence[letterbox.Prepared], where: device.Device = device.CPU
) -> list[boxes.Detections]:
    """What a network, in eval mode, finds in a few images."""
    pixels = where.put(torch.from_numpy(np.concatenate([one.pixels for one in images])))
    boxes_px, scores = (one.cpu() for one in network.predict(pixels))  # (B, A, 4), (B, A, C)
    return [_detections(boxes_px[row].numpy(), scores[row].numpy(), prepared) for row, prepared in enumerate(images)]


def _detections(
    boxes_px: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], prepared: letterbox.Prepared
) -> boxes.Detections:
    return suppression.detections_from(
        runtime.RawOutput(boxes_px, scores),
        prepared,
        score_floor=CHECK_SCORE_FLOOR,
        suppression_iou=suppression.SUPPRESSION_IOU,
        voting=suppression.VOTING,
        max_detections=evaluate.MAX_BOXES_PER_IMAGE,
    )
