"""Boxes and detections as arrays: the empty case first, then what must hold for any boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from boxwright import boxes

COORDINATES = st.floats(0, 1, width=32)


@st.composite
def box_arrays(draw, max_count: int = 6) -> np.ndarray:
    corners = draw(arrays.arrays(np.float32, (draw(st.integers(0, max_count)), 2, 2), elements=COORDINATES))
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)  # (N, 4) xyxy


def _detections(scores: list[float]) -> boxes.Detections:
    count = len(scores)
    corners = np.tile(np.asarray([[0.1, 0.2, 0.3, 0.4]], np.float32), (count, 1))
    return boxes.Detections(corners, np.asarray(scores, np.float32), np.arange(count))


IOUS = [
    ([], [], np.empty((0, 0))),  # nothing
    ([], [[0, 0, 1, 1]], np.empty((0, 1))),  # nothing against one
    ([[0, 0, 1, 1]], [[0, 0, 1, 1]], [[1.0]]),  # the same
    ([[0, 0, 1, 1]], [[0, 0, 0.5, 1]], [[0.5]]),  # a half
    ([[0, 0, 0.5, 1]], [[0.5, 0, 1, 1]], [[0.0]]),  # side by side
    ([[0, 0, 0.2, 0.2]], [[0.1, 0.1, 0.3, 0.3]], [[1 / 7]]),  # a corner
    ([[0.5, 0.5, 0.5, 0.5]], [[0.5, 0.5, 0.5, 0.5]], [[0.0]]),  # no area: 0, not a division by zero
    ([[0, 0, 1, 1]], [[0.5, 0, 0.5, 1]], [[0.0]]),  # a line inside
]


@pytest.mark.parametrize(("boxes_a", "boxes_b", "expected"), IOUS)
def test_overlap_of_known_pairs(boxes_a, boxes_b, expected):
    found = boxes.pairwise_iou(np.reshape(boxes_a, (-1, 4)).astype(float), np.reshape(boxes_b, (-1, 4)).astype(float))
    assert found == pytest.approx(np.asarray(expected))
    assert found.shape == (len(boxes_a), len(boxes_b))


@given(box_arrays(), box_arrays())
def test_overlap_is_symmetric_and_between_0_and_1(boxes_a, boxes_b):
    there, back = boxes.pairwise_iou(boxes_a, boxes_b), boxes.pairwise_iou(boxes_b, boxes_a)
    assert np.array_equal(there, back.T)
    assert np.isfinite(there).all()
    assert ((there >= 0) & (there <= 1 + 1e-6)).all()


@given(box_arrays())
def test_a_box_with_area_overlaps_itself_wholly(some):
    wide = some[(some[:, 2:] - some[:, :2]).min(axis=1, initial=1) > 1e-3]
    assert np.diag(boxes.pairwise_iou(wide, wide)) == pytest.approx(np.ones(len(wide)))


def test_no_detections_keep_nothing():
    kept = boxes.Detections.none().keep(0.0, 100)
    assert len(kept) == 0
    assert kept.boxes_norm.shape == (0, 4)


KEPT = [
    ([], 0.5, 100, 0),  # nothing
    ([0.9, 0.5, 0.4], 0.5, 100, 2),  # exactly at the threshold stays
    ([0.9, 0.8], 0.0, 1, 1),  # the count decides
    ([0.9, 0.8], 1.0, 100, 0),  # all below
    ([1.0], 1.0, 100, 1),  # certain
    ([0.29999999], 0.3, 100, 1),  # shown as 0.3, so not below 0.3
    ([0.2999994], 0.3, 100, 0),  # shown as 0.299999
]


@pytest.mark.parametrize(("scores", "threshold", "count", "kept"), KEPT)
def test_detections_are_kept_by_the_score_that_is_shown(scores, threshold, count, kept):
    assert len(_detections(scores).keep(threshold, count)) == kept


@given(
    st.lists(st.floats(0, 1, width=32), max_size=30).map(lambda scores: sorted(scores, reverse=True)),
    st.floats(0, 1),
    st.integers(1, 40),
)
def test_what_is_kept_is_the_best_and_never_shown_below_the_threshold(scores, threshold, count):
    everything = _detections(scores)
    kept = everything.keep(threshold, count)
    shown = boxes.rounded_scores(kept.scores)
    assert (shown >= threshold).all()
    assert np.array_equal(kept.scores, everything.scores[: len(kept)])
    assert np.array_equal(kept.label_indices, everything.label_indices[: len(kept)])
    if len(kept) < min(count, len(scores)):
        assert boxes.rounded_scores(everything.scores)[len(kept)] < threshold


def test_detections_of_differing_lengths_are_refused():
    with pytest.raises(ValueError, match="expected boxes_norm"):
        boxes.Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="expected boxes_norm"):
        boxes.Detections(np.zeros((1, 4), np.float32), np.zeros(1, np.float32), np.zeros(2, np.int64))


def test_published_numbers_have_six_decimals_and_stay_inside_the_image():
    rounded = boxes.rounded_boxes(np.asarray([[-0.0000001, 0.12345678, 0.5, 1.0000001]], np.float32))
    assert rounded.tolist() == [[0.0, 0.123457, 0.5, 1.0]]
    assert boxes.rounded_scores(np.asarray([0.1], np.float32)).tolist() == [0.1]
