"""The network's input follows the objects, within the limits of images, model type and time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from boxwright.detector.network import dense
from boxwright.detector.planning import input_size

KIND = dense.ACCURATE


def time_of(budget_s: float, samples: int, px_per_s: float = 8e6, reserve_s: float = 0.0) -> input_size.TimeBudget:
    return input_size.TimeBudget(budget_s, lambda passes: round(passes * samples), px_per_s, lambda input_hw: reserve_s)


AMPLE = time_of(86_400.0, 10_000, 1e9)


def evidence(side_px: float, size_hw: tuple[int, int] = (1200, 1600), images: int = 5) -> input_size.ObjectSizes:
    """Images with square objects of a side, given in pixels of the original."""
    height, width = size_hw
    box = np.asarray([[0.2, 0.2, 0.2 + side_px / width, 0.2 + side_px / height]], np.float32)
    return input_size.ObjectSizes([size_hw] * images, [box] * images, [np.zeros(1, np.int64)] * images)


WINDOWED = dataclasses.replace(KIND, windows_below=0.9)


def area(choice: input_size.InputSize) -> int:
    return choice.input_hw[0] * choice.input_hw[1]


def test_large_objects_leave_the_model_types_own_input() -> None:
    choice = input_size.choose(evidence(300), KIND, AMPLE)
    assert choice.input_hw == (288, 384) and choice.readable == 1.0 and "large enough" in choice.reason


def test_the_input_grows_until_the_objects_are_large_enough_and_no_further() -> None:
    choice = input_size.choose(evidence(48), KIND, AMPLE)  # 11.5 pixels in 384 x 288
    scale = choice.input_hw[1] / 1600
    assert choice.readable == 1.0 and input_size.READABLE_PX <= 48 * scale < 1.4 * input_size.READABLE_PX


def test_the_model_type_limits_the_input() -> None:
    choice = input_size.choose(evidence(10), KIND, AMPLE)
    assert "largest of this model type" in choice.reason
    assert KIND.most_area_px / input_size.GROWTH * 0.9 < area(choice) <= KIND.most_area_px * 1.1
    assert area(input_size.choose(evidence(10), dense.FAST, AMPLE)) < area(choice)


def test_images_are_enlarged_to_twice_their_sides_at_most() -> None:
    choice = input_size.choose(evidence(4, (240, 320)), KIND, AMPLE)
    assert "all that the images hold" in choice.reason
    assert choice.input_hw[1] <= 2.2 * 320


@pytest.mark.parametrize(
    "time",
    [
        time_of(180.0, 40_000),
        time_of(86_400.0, 400_000),
        time_of(86_400.0, 1, reserve_s=2000.0),  # evaluation alone takes longer
    ],
)
def test_what_cannot_be_trained_in_time_is_not_chosen(time: input_size.TimeBudget) -> None:
    choice = input_size.choose(evidence(10), KIND, time)
    assert choice.input_hw == (288, 384) and "in the time" in choice.reason and choice.passes == 1.0


def test_small_objects_are_worth_two_thirds_of_the_passes() -> None:
    areas = {}
    for samples in (60_000, 90_000, 120_000):  # of 118,000 pixels each, they take 12 to 24 minutes
        time = time_of(86_400.0, samples)
        choice = input_size.choose(evidence(10), KIND, time)
        assert choice.passes < 1.0 and f"for {choice.passes:.0%} of the passes" in choice.reason
        assert time.fits(choice.input_hw, choice.passes) and not time.fits(choice.input_hw)
        areas[samples] = area(choice)
    assert areas[60_000] > areas[90_000] > areas[120_000] > 1.4 * area(input_size.choose(evidence(300), KIND, AMPLE))


def test_a_training_that_has_the_fewest_steps_already_has_no_passes_to_give() -> None:
    fixed = input_size.TimeBudget(600.0, lambda passes: 20_000, 8e6, lambda input_hw: 0.0)
    choice = input_size.choose(evidence(10), KIND, fixed)
    assert "in the time" in choice.reason and choice.passes == 1.0 and fixed.fits(choice.input_hw)


def test_every_label_weighs_the_same() -> None:
    rare_and_tiny = np.asarray([[0.1, 0.1, 0.11, 0.11]], np.float32)
    common = np.tile(np.asarray([[0.1, 0.1, 0.6, 0.6]], np.float32), (9, 1))
    seen = input_size.ObjectSizes(
        [(1200, 1600)], [np.concatenate([common, rare_and_tiny])], [np.asarray([0] * 9 + [1], np.int64)]
    )
    assert seen.readable((288, 384)) == pytest.approx(0.5)


def test_without_boxes_or_readable_images_the_own_input_stays() -> None:
    nothing = input_size.ObjectSizes([], [], [])
    assert input_size.choose(nothing, KIND, AMPLE).readable == 1.0
    assert area(input_size.choose(nothing, KIND, AMPLE)) == pytest.approx(KIND.input_area_px, rel=0.15)


def test_prediction_of_a_larger_input_has_more_time_set_aside() -> None:
    assert input_size.prediction_s((64, 64)) == input_size.prediction_s((288, 384)) == input_size.PREDICTION_S
    assert input_size.prediction_s((576, 768)) == pytest.approx(4 * 110_592 / 118_000 * input_size.PREDICTION_S)


def test_what_is_small_is_learned_in_windows_of_a_larger_input() -> None:
    choice = input_size.choose(evidence(30), WINDOWED, AMPLE)
    assert choice.readable == 1.0 and choice.window_hw == choice.view_hw == (320, 448)
    assert area(choice) > KIND.most_area_px
    assert "objects are small" in choice.reason and "448 x 320 of it at a time" in choice.reason
    whole = input_size.choose(evidence(30), KIND, AMPLE)
    assert whole.window_hw is None and area(whole) < area(choice)


def test_windows_end_at_a_limit_of_their_own_and_where_the_images_hold_no_more() -> None:
    assert area(input_size.choose(evidence(3), WINDOWED, AMPLE)) <= 1.1 * input_size.MOST_WINDOWED_PX
    choice = input_size.choose(evidence(4, (240, 320)), WINDOWED, AMPLE)
    assert choice.input_hw[1] <= 2.2 * 320


@pytest.mark.parametrize("side_px", [80.0, 300.0])
def test_what_is_large_enough_is_seen_as_a_whole(side_px: float) -> None:
    assert input_size.choose(evidence(side_px), WINDOWED, AMPLE) == input_size.choose(evidence(side_px), KIND, AMPLE)


def test_a_larger_window_is_taken_for_larger_objects_and_none_for_objects_that_fit_no_window() -> None:
    """Half of the objects have 12 pixels, a sixth of them, which no window must cut, have several hundred."""

    def mixed(largest_px: float) -> input_size.ObjectSizes:
        sides = [12.0] * 3 + [200.0] * 2 + [largest_px]
        boxes = np.asarray([[0.1, 0.1, 0.1 + side / 1600, 0.1 + side / 1200] for side in sides], np.float32)
        return input_size.ObjectSizes([(1200, 1600)] * 4, [boxes] * 4, [np.zeros(len(sides), np.int64)] * 4)

    windows = [input_size.choose(mixed(side), WINDOWED, AMPLE).window_hw for side in (220.0, 320.0, 1100.0)]
    assert windows == [(320, 448), (448, 576), None]


def test_windows_take_the_time_of_what_a_step_sees() -> None:
    """Whole inputs of so many pixels would take 20 times as long as there is."""
    time = time_of(400.0, 2_000, 1e6)
    choice = input_size.choose(evidence(24), WINDOWED, time)
    assert choice.window_hw is not None and not time.fits(choice.input_hw, 0.35)
    assert time.fits(choice.view_hw, choice.passes)
    assert input_size.choose(evidence(24), WINDOWED, time_of(60.0, 2_000, 1e6)).window_hw is None
