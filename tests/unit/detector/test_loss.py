"""The loss of a batch does not depend on how it is split among threads or cut up for memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from boxwright.detector import augment, loss, model, shards

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


def outputs(images: int) -> tuple[Tensor, Tensor, model.Points]:
    torch.manual_seed(1)
    points = model.points_for(HW)
    anchors = len(points.centres_px)
    return torch.randn(images, anchors, 3), torch.randn(images, anchors, 4 * 17), points


@pytest.mark.parametrize("boxes", [[60, 50, 0, 0], [40, 30, 35, 60]])
def test_parts_add_up_to_the_batch(boxes: list[int]) -> None:
    given, (scores, distances, points) = targets(batch(boxes)), outputs(len(boxes))
    whole = loss.detection_loss(scores, distances, points, given)
    halves = [slice(0, 2), slice(2, 4)]
    quality: list[float] = []
    for rows in halves:
        loss.detection_loss(
            scores[rows], distances[rows], points, given.part(rows), lambda own: quality.append(own) or own
        )
    mean = sum(quality) / 2
    assert mean > 1.0  # below it the terms are not divided any more
    parts = [
        loss.detection_loss(scores[rows], distances[rows], points, given.part(rows), lambda own: mean)
        for rows in halves
    ]
    for name in ("score", "box", "distribution"):
        average = (getattr(parts[0], name) + getattr(parts[1], name)) / 2
        assert average.item() == pytest.approx(getattr(whole, name).item(), rel=1e-4)


def test_a_part_without_objects_does_not_outweigh_the_others() -> None:
    """The same images in one part or in two give the same gradient, up to what normalisation sees."""
    torch.manual_seed(0)
    network = model.Network(model.TINY, 3)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    lengths = []
    for order in ([20, 0, 20, 0], [20, 20, 0, 0]):  # the second has a part without any object
        split = shards.Shards(network, 2, 4)
        for view in split._views:
            view.eval()  # so that normalisation does not depend on the part
        rows = batch([20, 20, 0, 0])
        index = [0, 2, 1, 3] if order[1] == 0 else [0, 1, 2, 3]
        mixed = augment.Batch(
            *(getattr(rows, name)[index] for name in ("pixels", "boxes_px", "label_indices", "present"))
        )
        gradients, _ = split.gradients(mixed)
        split.close()
        lengths.append(torch.cat([one.flatten() for one in gradients]))
    assert torch.allclose(lengths[0], lengths[1], rtol=1e-3, atol=1e-6)


def test_images_that_are_assigned_one_by_one_get_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    given, (scores, distances, points) = targets(batch([7, 0, 30, 1])), outputs(4)
    boxes_px = model.decode_boxes(distances, points)
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
    split = shards.Shards(model.Network(model.TINY, 3), 2, 4)
    try:
        with pytest.raises(MemoryError, match="no room"):
            split.gradients(batch([1, 2, 3, 4]))
    finally:
        split.close()
