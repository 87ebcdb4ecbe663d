"""A detector's training: what its steps look at, and how its moving average is validated.

DetectionTrainer(...).run() -> stop reason      see `learning.trainer`
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from boxwright import boxes
from boxwright.detector.data import augment
from boxwright.detector.evaluation import evaluate, orientation
from boxwright.detector.network import dense
from boxwright.detector.planning import input_size, schedule
from boxwright.detector.training import detection_step, validation_set
from boxwright.images import letterbox
from boxwright.inference import runtime, suppression
from boxwright.learning import checkpoint, device, trainer, views
from boxwright.learning.listener import ProgressListener, TrainingStopped

CHECK_BATCH = 4
CHECK_SCORE_FLOOR = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionOptions(trainer.TrainerOptions):
    """What a detector's training works with.

    Attributes:
        input: the network's, kept for later attempts.
        untrained: (mAP at 0.5, mAP at 0.50 … 0.95) on validation before the first step; None if that is not known.
        is_trial: whether it is there to decide: it is not ended for what it brings, and looks at the orientation late.
    """

    input: input_size.InputSize = input_size.UNKNOWN
    untrained: tuple[float, float] | None = None
    is_trial: bool = False

    @property
    def gives_up_below(self) -> float | None:
        """The score that half of the training must reach; None: it may be any."""
        return None if self.untrained is None or self.is_trial else sum(self.untrained) / 2


class DetectionTrainer(trainer.Trainer):
    """One training of a detector, from a fresh network or from a checkpoint."""

    network: dense.Network
    average: dense.Network
    plan: schedule.Schedule
    recipe: schedule.Recipe
    setting: DetectionOptions
    shards: detection_step.DetectionStep

    def __init__(
        self,
        network: dense.Network,
        source: augment.BatchSource,
        plan: schedule.Schedule,
        recipe: schedule.Recipe,
        setting: DetectionOptions,
        validation: validation_set.ValidationSet,
        watcher: ProgressListener,
    ) -> None:
        network = network.to(setting.where.name, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = trainer.optimizer_of(network.learned(), recipe, network.decay_share)
        super().__init__(network, plan, recipe, setting, watcher, optimizer)
        self.source = source
        self.validation = validation
        self.validation_map50 = None if setting.untrained is None else setting.untrained[0]

    def restore(self, state: checkpoint.State) -> None:
        """Continues where a checkpoint was taken."""
        super().restore(state)
        self.plan.ways_up = orientation_of(state)

    def _extra_state(self) -> dict[str, Any]:
        known = self.plan.ways_up
        return {
            "input": dataclasses.asdict(self.setting.input),
            "orientation": None if known is None else dataclasses.asdict(known),
        }

    def _open_step(self) -> detection_step.DetectionStep:
        setting = self.setting
        return detection_step.DetectionStep(self.network, setting.threads, self.recipe.batch_size, setting.where)

    def _supply(self) -> views.Prefetcher:
        def view_of(step: int) -> augment.View:
            return self.plan.view(self.plan.progress(step, self.setting.elapsed_s()), step)

        return views.Prefetcher(self.source, view_of, self.step, self._prefetching())

    def _own_reason_to_end(self) -> str:
        least = self.setting.gives_up_below
        if least is not None and schedule.brings_nothing(self.checks, least):
            return trainer.MODEL_CONVERGED
        return ""

    def _before_gradients(self, progress: float) -> None:
        self.shards.round_like_int8(progress >= self.recipe.rounding_from)

    def _is_check_due(self, progress: float) -> bool:
        last_check = self.checks[-1][0] if self.checks else schedule.CHECK_FROM - self.plan.check_every
        return progress >= schedule.CHECK_FROM and progress >= last_check + self.plan.check_every - 1e-9

    def _has_converged(self, progress: float) -> bool:
        settled = progress >= self.plan.coarse_until  # batches made ahead must not look different
        return settled and self.validation.is_enough and schedule.has_converged(self.checks)

    def _after_checks(self, progress: float) -> None:
        orientation_at = schedule.ORIENTATION_OF_TRIAL_AT if self.setting.is_trial else schedule.ORIENTATION_AT
        if self.plan.ways_up is None and progress >= orientation_at:
            self.plan.ways_up = self._measure_orientation()

    def _details(self) -> dict[str, object]:
        details: dict[str, object] = {}
        if self.validation_map50 is not None:
            details["validation_map50"] = round(self.validation_map50, 4)
        if self.plan.ways_up is not None:
            details["objects"] = self.plan.ways_up.in_words
        return details

    def _validate(self, progress: float) -> None:
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
            from_step=self.step + views.AHEAD,  # earlier batches may be made already
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
