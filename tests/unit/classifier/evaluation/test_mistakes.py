"""Mistakes, doubts, ways up, intervals, and what is said of the data."""

from __future__ import annotations

import numpy as np
import pytest

from boxwright.classifier.data import dataset
from boxwright.classifier.evaluation import curves, data_checks, intervals, mistakes, orientation

NAMES = [{"display_name": name, "annotation_spec_id": name} for name in "abc"]


def example(number: int, *labels: int) -> dataset.Example:
    return dataset.Example(f"gs://b/{number}", f"{number:03}", "TRAIN", np.array(labels, np.int64))


def test_the_worst_images_come_first_and_right_ones_not_at_all() -> None:
    targets = np.eye(3, dtype=bool)[[0, 1, 2, 0]]
    scores = np.array([[0.8, 0.1, 0.1], [0.6, 0.4, 0.0], [0.98, 0.01, 0.01], [0.4, 0.6, 0.0]])
    found = mistakes.worst(targets, scores, is_multiclass=True)
    assert [(one.row, one.given, one.predicted) for one in found] == [(2, (2,), (0,)), (1, (1,), (0,)), (3, (0,), (1,))]
    several = mistakes.worst(np.array([[True, True, False]]), np.array([[0.9, 0.1, 0.7]]), is_multiclass=False)
    assert [(one.given, one.predicted) for one in several] == [((0, 1), (0, 2))]


def test_confused_pairs_are_counted() -> None:
    assert mistakes.confused_pairs(np.array([[9, 2, 0], [0, 9, 0], [3, 2, 9]])) == [(2, 0, 3), (0, 1, 2), (2, 1, 2)]


def test_labels_are_doubted_where_scores_contradict_them_strongly() -> None:
    examples = [example(0, 0), example(1, 0), example(2, 1)]
    scores = np.array([[0.01, 0.98, 0.01], [0.2, 0.79, 0.01], [0.02, 0.98, 0.0]])
    (only,) = mistakes.doubtful(examples, ["TRAIN", "TRAIN", "TEST"], scores, is_multiclass=True)
    assert (only.example.uri, only.label, only.instead) == ("gs://b/0", 0, 1)
    found = mistakes.doubtful([example(3, 0, 1)], ["TEST"], np.array([[0.01, 0.6, 0.97]]), is_multiclass=False)
    assert [(one.label, one.instead) for one in found] == [(0, None), (None, 2)]
    assert "2 images have a label that is likely to be wrong" in data_checks.doubts(found, NAMES)[0]


def logits_of(labels: list[int], count: int = 3) -> np.ndarray:
    return np.eye(count)[labels] * 4.0 - 2.0


@pytest.mark.parametrize(
    ("mirrored", "turned", "ways"),
    [
        ([0, 1, 2] * 20, [0, 1, 2] * 20, (True, True)),  # cells
        ([0, 1, 2] * 20, [1, 2, 0] * 20, (True, False)),  # clothes
        ([1, 0, 2] * 20, [0, 1, 2] * 20, (False, True)),  # arrows to the left and to the right
    ],
)
@pytest.mark.parametrize("multiclass", [True, False])
def test_flips_are_what_the_labels_allow(
    mirrored: list[int], turned: list[int], ways: tuple[bool, bool], multiclass: bool
) -> None:
    truth = [0, 1, 2] * 20
    targets = np.eye(3, dtype=np.float32)[truth]
    found = orientation.measure(
        logits_of(truth), logits_of(mirrored), logits_of(turned), targets, is_multiclass=multiclass
    )
    assert (found.mirrored, found.flips) == ways and found.upright == 1.0 and found.images == 60


def test_two_labels_of_many_that_are_each_others_mirror_image_are_seen() -> None:
    truth = list(range(40)) * 6
    swapped = [1 if label == 0 else 0 if label == 1 else label for label in truth]
    found = orientation.measure(
        logits_of(truth, 40), logits_of(swapped, 40), logits_of(truth, 40),
        np.eye(40, dtype=np.float32)[truth], is_multiclass=True,
    )  # fmt: skip
    assert found.mirror_image == 0.95 and found.spoilt_by_mirror == (0, 1) and not found.mirrored


def test_too_few_images_say_nothing_about_flips() -> None:
    truth = [0, 1, 2] * 3
    targets = np.eye(3, dtype=np.float32)[truth]
    found = orientation.measure(logits_of(truth), logits_of([1] * 9), logits_of(truth), targets, is_multiclass=True)
    assert not found.is_known and found.mirrored and not found.flips and "too few" in found.in_words
    empty = np.zeros((0, 3))
    nothing = orientation.measure(empty, empty, empty, np.zeros((0, 3), np.float32), is_multiclass=True)
    assert nothing.images == 0 and nothing.upright == 0.0


def test_intervals_hold_the_figure_and_shrink_with_more_images() -> None:
    rng = np.random.default_rng(0)
    targets = rng.random((400, 2)) < 0.4
    scores = np.round(np.clip(0.35 * targets + rng.random((400, 2)) * 0.65, 0, 1), 2)
    wide, narrow = (intervals.average_precision_intervals(targets[:n], scores[:n]) for n in (40, 400))
    for label in range(2):
        assert wide[label] is not None and narrow[label] is not None
        low, high = narrow[label]
        assert low < curves.average_precision(targets[:, label], scores[:, label]) < high
        assert high - low < wide[label][1] - wide[label][0]
    assert intervals.average_precision_intervals(np.zeros((5, 1), bool), np.ones((5, 1))) == [None]
    low, high = intervals.of_mean(np.array([0.0, 1.0] * 50)) or (0.0, 0.0)
    assert low < 0.5 < high and high - low == pytest.approx(0.196, abs=0.03) and intervals.of_mean(np.zeros(0)) is None


def test_what_hurts_is_said() -> None:
    train = [example(number, 0) for number in range(60)] + [example(100, 1)]
    splits = dataset.Splits(tuple(train), (), (example(3, 0), example(200, 1)), ())
    said = data_checks.concerns(NAMES[:2], splits)
    assert said[0] == "1 TEST images are in TRAIN as well: the figures below are too good."
    assert any("Few TRAIN images to learn from: b (1)" in one for one in said)
    assert any("unbalanced: a has 60 training images, b has 1" in one for one in said)
