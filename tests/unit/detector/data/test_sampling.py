"""How often images are shown: a pure function of the labels, and of the seed for one pass."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxwright.detector.data import dataset, sampling
from boxwright.learning import sampling as learning_sampling


def example(*labels: int) -> dataset.Example:
    boxes_norm = np.tile(np.asarray([[0.1, 0.1, 0.5, 0.5]], np.float32), (len(labels), 1))
    return dataset.Example("gs://a/b", "", "TRAIN", boxes_norm, np.asarray(labels, np.int64))


def test_ordinary_data_is_shown_once_a_pass() -> None:
    examples = [example(0), example(1, 1), example(0, 1), example()]
    assert sampling.weights(examples).tolist() == [1.0] * 4
    drawn = learning_sampling.one_pass(sampling.weights(examples), np.random.default_rng(0))
    assert sorted(drawn.tolist()) == [0, 1, 2, 3]


def test_a_rare_label_comes_more_often_and_never_more_than_three_times() -> None:
    examples = [example(0) for _ in range(990)] + [example(0, 1) for _ in range(25)] + [example(2)]
    weights = sampling.weights(examples)
    assert set(weights[:990].tolist()) == {1.0}
    assert weights[1000] == pytest.approx((0.1 * 1016 / 25) ** 0.5)
    assert weights[-1] == learning_sampling.MOST_REPEATS


def test_labels_that_are_all_as_rare_are_not_rare() -> None:
    assert sampling.weights([example(index % 20) for index in range(200)]).tolist() == [1.0] * 200


def test_empty_images_are_a_third_of_a_pass_and_take_turns() -> None:
    examples = [example(0) for _ in range(100)] + [example() for _ in range(900)]
    weights = sampling.weights(examples)
    assert learning_sampling.pass_length(weights) == 150
    rng = np.random.default_rng(3)
    passes = [learning_sampling.one_pass(weights, rng) for _ in range(60)]
    for drawn in passes:
        assert sum(index < 100 for index in drawn) == pytest.approx(100, abs=2)
    assert len(set(np.concatenate(passes).tolist())) > 950  # in sixty passes nearly every empty one had its turn


def test_images_without_any_object_at_all_are_shown_once() -> None:
    assert sampling.weights([example(), example()]).tolist() == [1.0, 1.0]


@given(
    st.lists(st.lists(st.integers(0, 4), max_size=4), min_size=1, max_size=60),
    st.integers(0, 2**32),
)
def test_a_pass_is_what_the_weights_say(labels: list[list[int]], seed: int) -> None:
    weights = sampling.weights([example(*one) for one in labels])
    drawn = learning_sampling.one_pass(weights, np.random.default_rng(seed))
    again = learning_sampling.one_pass(weights, np.random.default_rng(seed))
    assert drawn.tolist() == again.tolist() and len(drawn) == learning_sampling.pass_length(weights)
    scale = len(drawn) / weights.sum()  # a whole number of images stands for the sum of the weights
    counts = Counter(drawn.tolist())
    for index, weight in enumerate(weights * scale):
        assert np.floor(weight - 1e-9) <= counts[index] <= np.ceil(weight + 1e-9)
