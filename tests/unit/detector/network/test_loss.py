"""The assignment of points to boxes, and the loss of a batch that is split among threads, or cut up for memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from boxwright.detector.data import augment
from boxwright.detector.network import dense, loss
from boxwright.detector.training import detection_step

HW = (64, 96)


def batch(boxes: list[int], seed: int = 0) -> augment.Batch:
    """Images with so many boxes each."""
    rng = np.random.default_rng(seed)
    most = max(1, *boxes)
    low = rng.uniform(0, 50, (len(boxes), most, 2))
    corners = np.concatenate([low, low + rng.uniform(4, 40, low.shape)], axis=2).astype(np.float32)
    present = np.arange(most)[None] < np.asarray(boxes)[:, None]
    pixels = rng.integers(0, 256, (len(boxes), *HW, 3), np.uint8)
    return augment.Batch(pixels, corners * present[..., None], rng.integers(0, 3, (len(boxes), most)), present)


def targets(one: augment.Batch) -> loss.Targets:
    return loss.Targets(
        torch.from_numpy(one.boxes_px), torch.from_numpy(one.label_indices), torch.from_numpy(one.present)
    )


def outputs(images: int) -> tuple[Tensor, Tensor, dense.Points]:
    torch.manual_seed(1)
    points = dense.points_for(HW)
    anchors = len(points.centres_px)
    return torch.randn(images, anchors, 3), torch.randn(images, anchors, 4 * 17), points


def test_a_part_without_objects_does_not_outweigh_the_others() -> None:
    given, (scores, distances, points) = targets(batch([250, 200, 0, 0])), outputs(4)
    full, empty = slice(0, 2), slice(2, 4)
    sums: list[float] = []
    first = loss.detection_loss(
        scores[full], distances[full], points, given.part(full), lambda own: sums.append(own) or own
    )
    mean = sums[0] / 2
    assert mean > 4.0
    again = loss.detection_loss(scores[full], distances[full], points, given.part(full), lambda own: mean)
    assert again.score.item() == first.score.item()  # a part with objects divides by its own sum
    alone = loss.detection_loss(scores[empty], distances[empty], points, given.part(empty))
    beside = loss.detection_loss(scores[empty], distances[empty], points, given.part(empty), lambda own: mean)
    assert beside.score.item() == pytest.approx(alone.score.item() / (loss.LEAST_OF_MEAN * mean), rel=1e-5)


def test_the_threads_know_the_mean_of_their_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    means = []
    real = loss.detection_loss

    def spy(*arguments: Any) -> loss.Losses:
        *rest, together = arguments
        return real(*rest, lambda own: means.append((own, together(own))) or means[-1][1])

    monkeypatch.setattr(loss, "detection_loss", spy)
    split = detection_step.DetectionStep(dense.Network(dense.TINY, 3), 2, 4)
    split.gradients(batch([60, 50, 0, 0]))
    split.close()
    owns, told = zip(*sorted(means), strict=True)
    assert owns[0] == 0.0 < owns[1] and told[0] == told[1] == pytest.approx(sum(owns) / 2)


def test_images_that_are_assigned_one_by_one_get_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    given, (scores, distances, points) = targets(batch([7, 0, 30, 1])), outputs(4)
    boxes_px = dense.decode_boxes(distances, points)
    together = loss.assign(scores.sigmoid(), boxes_px, points, given)
    monkeypatch.setattr(loss, "PAIRS_AT_ONCE", 10)
    single = loss.assign(scores.sigmoid(), boxes_px, points, given)
    assert torch.equal(together.positive, single.positive) and together.positive.any()
    assert torch.equal(together.box_indices[together.positive], single.box_indices[single.positive])
    assert torch.equal(together.quality, single.quality)


def test_an_error_in_one_thread_ends_the_step_with_that_error(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fail_once(*arguments: object) -> loss.Losses:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError("no room")
        return real(*arguments)

    real = loss.detection_loss
    monkeypatch.setattr(loss, "detection_loss", fail_once)
    split = detection_step.DetectionStep(dense.Network(dense.TINY, 3), 2, 4)
    try:
        with pytest.raises(MemoryError, match="no room"):
            split.gradients(batch([1, 2, 3, 4]))
    finally:
        split.close()


def test_every_box_gets_a_point_and_every_point_at_most_one_box() -> None:
    torch.manual_seed(0)
    points = dense.points_for((64, 64))
    count = len(points.centres_px)
    targets = loss.Targets(
        torch.tensor(
            [[[4.0, 4, 40, 40], [20, 20, 60, 60], [33, 33, 34, 34]], [[0, 0, 64, 64], [0, 0, 0, 0], [0, 0, 0, 0]]]
        ),
        torch.tensor([[0, 1, 1], [1, 0, 0]]),
        torch.tensor([[True, True, True], [True, False, False]]),
    )
    predicted = torch.cat([points.centres_px - 12, points.centres_px + 12], dim=1).expand(2, -1, -1)
    assignment = loss.assign(torch.rand(2, count, 2), predicted, points, targets)
    for image, expected in [(0, {0, 1, 2}), (1, {0})]:
        assert set(assignment.box_indices[image][assignment.positive[image]].tolist()) == expected
    assert (assignment.quality[assignment.positive] >= 0).all() and assignment.quality.max() <= 1
    assert (assignment.quality[~assignment.positive] == 0).all()


def test_of_very_many_boxes_without_a_point_inside_each_gets_the_nearest_one() -> None:
    points = dense.points_for((256, 256))
    count = loss.BOXES_AT_ONCE + 100  # more than are looked at together
    centres = points.centres_px[:count] + 1.5  # beside a point of the finest grid, which begins the list
    boxes_px = torch.cat([centres - 0.5, centres + 0.5], dim=1)[None]
    targets = loss.Targets(boxes_px, torch.zeros(1, count, dtype=torch.int64), torch.ones(1, count, dtype=torch.bool))
    scores, predicted = torch.full((1, len(points.centres_px), 1), 0.1), torch.zeros(1, len(points.centres_px), 4)
    found = loss.assign(scores, predicted, points, targets)
    assert found.positive[0].nonzero().flatten().tolist() == list(range(count))
    assert found.box_indices[0, :count].tolist() == list(range(count))


def test_an_image_without_boxes_only_lowers_scores() -> None:
    torch.manual_seed(0)
    network = dense.Network(dense.TINY, 2)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
    nothing = loss.Targets(
        torch.zeros(2, 1, 4), torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 1, dtype=torch.bool)
    )
    losses = loss.detection_loss(*network(pixels), dense.points_for((64, 64)), nothing)
    losses.total.backward()
    assert losses.box.item() == 0 and losses.distribution.item() == 0 and losses.score.item() > 0
