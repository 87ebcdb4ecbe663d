"""Suppression in blocks leaves the boxes that the plain rule leaves, box by box."""

from __future__ import annotations

import numpy as np
import pytest

from boxwright import boxes
from boxwright.inference import suppression


def _greedy(boxes_px: np.ndarray, label_indices: np.ndarray, iou: float) -> list[int]:
    overlaps = boxes.pairwise_iou(boxes_px.astype(np.float64), boxes_px.astype(np.float64))
    kept: list[int] = []
    for row in range(len(boxes_px)):
        if not any(label_indices[row] == label_indices[other] and overlaps[other, row] > iou for other in kept):
            kept.append(row)
    return kept


@pytest.mark.parametrize(("count", "objects", "labels"), [
    (0, 1, 1), (1, 1, 1), (60, 6, 2), (suppression.BLOCK, 9, 1), (suppression.BLOCK + 1, 9, 3), (300, 2, 1), (600, 80, 5),
    (600, 600, 1),
])  # fmt: skip
def test_what_is_left_is_what_the_plain_rule_leaves(count: int, objects: int, labels: int):
    drawn = np.random.default_rng(count + objects)
    centre, side, label = (
        drawn.random((objects, 2)) * 500,
        20 + drawn.random((objects, 2)) * 150,
        drawn.integers(labels),
    )
    of = drawn.integers(0, objects, count)
    top_left = centre[of] + drawn.normal(0, 8, (count, 2))
    found = np.concatenate([top_left, top_left + side[of] * np.exp(drawn.normal(0, 0.1, (count, 2)))], axis=1)
    found[::17, 2] = found[::17, 0]  # no area: it suppresses nothing
    label_indices = (of + label) % labels
    keep = suppression.suppress(found.astype(np.float32), label_indices, 0.6)
    assert np.flatnonzero(keep).tolist() == _greedy(found.astype(np.float32), label_indices, 0.6)
    assert count < 300 or 0 < keep.sum() < count
