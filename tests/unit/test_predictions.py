"""Scores of labels as arrays: what is kept, in which order, and what is no such thing."""

from __future__ import annotations

import numpy as np
import pytest

from boxwright.predictions import LabelScores, Selection

FOUND = LabelScores(np.array([0.7, 0.4999996, 0.2, 0.2], np.float32), np.array([2, 0, 1, 3]))


@pytest.mark.parametrize(
    ("threshold", "most", "kept"),
    [(0.0, None, [2, 0, 1, 3]), (0.5, None, [2, 0]), (0.50001, None, [2]), (0.0, 3, [2, 0, 1]), (1.0, None, [])],
)
def test_the_score_that_is_published_decides_what_is_kept(threshold, most, kept):
    assert FOUND.keep(threshold, most).label_indices.tolist() == kept
    assert len(FOUND.keep(threshold, most)) == len(kept)


def test_scores_by_label_are_those_that_are_published():
    assert FOUND.keep(0.3).by_label(5).tolist() == [0.5, 0.0, 0.7, 0.0, 0.0]


def test_every_score_has_one_label():
    with pytest.raises(ValueError, match="as many label_indices"):
        LabelScores(np.zeros(2, np.float32), np.zeros(3, np.int64))


@pytest.mark.parametrize(
    ("threshold", "by_label", "wanted", "most", "kept"),
    [
        (0.5, {}, None, None, [2, 0]),
        (0.0, {}, None, 3, [2, 0, 1]),
        (0.5, {"b": 0.1}, None, None, [2, 0, 1]),
        (0.5, {"b": 0.1, "c": 0.9}, None, None, [0, 1]),
        (0.0, {"c": 0.9}, None, 2, [0, 1]),
        (0.1, {}, ["b", "d"], None, [1, 3]),
        (0.1, {"b": 0.9}, ["b", "d"], 1, [3]),
        (0.0, {}, [], None, []),
    ],
)
def test_a_selection_has_a_threshold_for_each_label_and_then_the_best(threshold, by_label, wanted, most, kept):
    selection = Selection.of(["a", "b", "c", "d"], threshold, by_label, wanted, most)
    assert selection.keep(FOUND).label_indices.tolist() == kept
    twice = LabelScores(np.tile(FOUND.scores, 2), np.tile(FOUND.label_indices, 2))
    scores = np.round(twice.scores.astype(np.float64), 6)
    rows = selection.mask(scores, twice.label_indices, np.array([0, 4, 4, 8]))  # two images, and one without any
    assert twice.label_indices[rows].tolist() == kept * 2
