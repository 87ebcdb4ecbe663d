"""The training of the last groups, from the probe's last layer.

FineTuning(…).run() -> stop reason      see `learning.trainer`; the result is in `average`
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from boxwright.classifier.data import augment
from boxwright.classifier.network import loss
from boxwright.classifier.network.network import ClassificationNetwork
from boxwright.classifier.training import probe
from boxwright.classifier.training.recipe import CHECK_EVERY, FineTuningSchedule, Recipe
from boxwright.inference import model_folder
from boxwright.learning import parallel_step, trainer, views
from boxwright.learning.listener import ProgressListener, TrainingStopped

CHECK_BATCH = 4


@dataclasses.dataclass(frozen=True)
class ValidationSet:
    """Images for checks during training.

    Attributes:
        frames: (1, H, W, 3) uint8 each, letterboxed.
        targets: (N, C) float32.
    """

    frames: tuple[npt.NDArray[np.uint8], ...]
    targets: npt.NDArray[np.float32]


class FineTuning(trainer.Trainer):
    """One fine-tuning, from the probe or from a checkpoint."""

    network: ClassificationNetwork
    average: ClassificationNetwork
    plan: FineTuningSchedule
    recipe: Recipe

    def __init__(
        self,
        learner: ClassificationNetwork,
        source: augment.BatchSource,
        plan: FineTuningSchedule,
        own_recipe: Recipe,
        setting: trainer.TrainerOptions,
        validation: ValidationSet,
        watcher: ProgressListener,
        *,
        classification_type: str,
        label_weights: npt.NDArray[np.float64],
    ) -> None:
        learner = learner.to(setting.where.name, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = trainer.optimizer_of(learner.learned(), own_recipe, learner.decay_share)
        super().__init__(learner, plan, own_recipe, setting, watcher, optimizer)
        self.source = source
        self.validation = validation
        self._type = classification_type
        self._correction = np.log(label_weights)  # what counting the positive terms more has added
        self._label_weights = torch.from_numpy(label_weights).float().to(setting.where.name)

    def _open_step(self) -> parallel_step.ParallelStep:
        setting = self.setting
        return parallel_step.ParallelStep(
            self.network, setting.threads, self.recipe.batch_size, self._losses, setting.where
        )

    def _losses(
        self,
        view: ClassificationNetwork,
        batch: augment.Batch,
        rows: slice,
        mean: Callable[[float], float],
    ) -> dict[str, Tensor]:
        where = self.setting.where
        targets = where.put(torch.from_numpy(batch.targets[rows]))
        with where.autocast():
            logits = view(where.put(torch.from_numpy(batch.pixels[rows])))
        total = loss.classification_loss(
            logits.float(), targets, self._type, self.recipe.smoothing, self._label_weights
        )
        return {parallel_step.TOTAL: total}

    def _supply(self) -> views.Prefetcher:
        def view_of(step: int) -> augment.View:
            return self.plan.view(self.plan.progress(step, self.setting.elapsed_s()))

        return views.Prefetcher(self.source, view_of, self.step, self._prefetching())

    def _is_check_due(self, progress: float) -> bool:
        last_check = self.checks[-1][0] if self.checks else 0.0
        return progress >= last_check + CHECK_EVERY - 1e-9

    def _has_converged(self, progress: float) -> bool:
        return False  # passes are few; the last layer has converged before

    def _validate(self, progress: float) -> None:
        """Validates the moving average: the share of right answers, and the loss."""
        frames, targets = self.validation.frames, self.validation.targets
        chunks = [frames[first : first + CHECK_BATCH] for first in range(0, len(frames), CHECK_BATCH)]
        found = np.concatenate([np.zeros((0, targets.shape[1])), *self.shards.map(self._logits, chunks)])
        found -= self._correction
        lost = probe.loss_of(found, targets, self._type)
        right = float((found.argmax(axis=1) == targets.argmax(axis=1)).mean()) if len(found) else 0.0
        if self._type == model_folder.MULTILABEL and len(found):
            right = float(((found > 0.0) == (targets > 0.5)).mean())
        self.checks.append((progress, right))
        self.history["checks"].append([self.step, right, 0.0 if np.isnan(lost) else lost])

    def _logits(self, frames: tuple[npt.NDArray[np.uint8], ...]) -> npt.NDArray[np.float64]:
        if self.watcher.stop_requested():
            raise TrainingStopped  # without saving; the steps since the last checkpoint are repeated, and so is the check
        return self.average.logits(np.concatenate(frames), self.setting.where)

    def _details(self) -> dict[str, object]:
        return {"validation_accuracy": round(self.checks[-1][1], 4)} if self.checks else {}

    def _extra_state(self) -> dict[str, Any]:
        return {"mirrored": self.plan.mirrored, "flips": self.plan.flips}
