"""A detector's step: the detection loss in every part of the batch, and rounding like int8.

DetectionStep(network, threads, batch_size).gradients(batch) -> (gradients, losses)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from boxwright.detector.data import augment
from boxwright.detector.network import dense, loss
from boxwright.learning import device, parallel_step


class DetectionStep(parallel_step.ParallelStep):
    """Steps of one detector."""

    def __init__(
        self, network: dense.Network, threads: int, batch_size: int, where: device.Device = device.CPU
    ) -> None:
        super().__init__(network, threads, batch_size, self._detection_losses, where)
        self._points: dict[tuple[int, int], dense.Points] = {}

    def round_like_int8(self, rounds: bool) -> None:
        """Whether the networks round like int8 in the steps that follow."""
        for view in self.views:
            view.round_like_int8(rounds)

    def gradients(self, batch: parallel_step.StepBatch) -> tuple[list[Tensor], dict[str, float]]:
        """See `ParallelStep`."""
        height, width = batch.pixels.shape[1:3]
        if (height, width) not in self._points:
            self._points[height, width] = dense.points_for((height, width)).to(self._where.name)
        return super().gradients(batch)

    def _detection_losses(
        self, view: dense.Network, batch: augment.Batch, rows: slice, mean: Callable[[float], float]
    ) -> dict[str, Tensor]:
        targets = loss.Targets(
            self._where.put(torch.from_numpy(batch.boxes_px[rows])),
            self._where.put(torch.from_numpy(batch.label_indices[rows])),
            self._where.put(torch.from_numpy(batch.present[rows])),
        )
        with self._where.autocast():
            scores, distances = view(self._where.put(torch.from_numpy(batch.pixels[rows])))
        scores, distances = scores.float(), distances.float()  # losses are sums over many small numbers
        points = self._points[batch.pixels.shape[1], batch.pixels.shape[2]]
        losses = loss.detection_loss(scores, distances, points, targets, mean)
        return {
            "score": losses.score,
            "box": losses.box,
            "distribution": losses.distribution,
            parallel_step.TOTAL: losses.total,
        }
