"""How long to train: plans from data alone, and what the clock does to them."""

from __future__ import annotations

import dataclasses

import pytest

from boxwright.detector.evaluation import orientation
from boxwright.detector.network import dense
from boxwright.detector.planning import schedule
from boxwright.learning import schedule as learning_schedule


def plan(steps: int = 1000, until_s: float = 100.0) -> schedule.Schedule:
    return schedule.Schedule(steps=steps, input_hw=(288, 384), train_until_s=until_s)


def test_steps_grow_with_the_data_but_ever_slower() -> None:
    steps = [schedule.planned_steps(images, 8) for images in (1, 20, 205, 1000, 4000, 100_000)]
    assert steps == sorted(steps) and steps[0] == schedule.MIN_STEPS
    assert steps[4] == 2 * steps[3]
    assert steps[5] * 8 / 100_000 > 5  # a hundred thousand images are still seen several times


def test_unbound_progress_knows_no_time() -> None:
    assert plan().progress(500, 3.0) == plan().progress(500, 1e6) == 0.5


def test_a_bound_schedule_ends_when_the_time_does_and_never_goes_back() -> None:
    bound = plan()
    bound.bind_to_clock(100, 20.0)
    values = [bound.progress(100 + second, 20.0 + second) for second in range(81)]
    assert values == sorted(values) and values[0] == 0.1 and values[-1] == pytest.approx(1.0)
    assert bound.progress(1000, 30.0) == 1.0  # faster than feared: all planned steps are done


def test_the_rest_counts_the_larger_input_of_the_second_phase() -> None:
    assert plan().remaining_s(450, 0.1) == pytest.approx(550 * 0.1 * 2.25)
    assert plan().remaining_s(0, 0.1) == pytest.approx(450 * 0.1 + 550 * 0.1 * 2.25)
    even = dataclasses.replace(plan(), even_steps=True)  # a GPU
    assert even.remaining_s(0, 0.1) == pytest.approx(1000 * 0.1)


@pytest.mark.parametrize(("train_until_s", "every_s"), [(24.0, 5.0), (200.0, 10.0), (1800.0, 25.0)])
def test_a_short_training_writes_checkpoints_more_often(train_until_s: float, every_s: float) -> None:
    assert dataclasses.replace(plan(), train_until_s=train_until_s).checkpoint_every_s == every_s
    fixed = schedule.Recipe(checkpoint_every_s=1.0)
    assert dataclasses.replace(plan(), train_until_s=train_until_s, recipe=fixed).checkpoint_every_s == 1.0


def test_views_follow_progress() -> None:
    assert plan().view(0.0, 0).view_hw == (192, 256) and plan().view(0.0, 0).mosaic == 0.4
    assert plan().view(0.5, 500).view_hw == (288, 384) and plan().view(0.5, 500).mosaic == 0.4
    assert plan().view(0.71, 710).mosaic == 0.0
    assert plan().view(0.69, 690).framed == 0.0 and plan().view(0.71, 710).framed == 0.5


def test_windows_show_the_input_at_its_full_size_from_the_first_step() -> None:
    windows = dataclasses.replace(plan(), input_hw=(864, 1152), window_hw=(288, 384))
    views = [windows.view(progress, 0) for progress in (0.0, 0.5, 1.0)]
    assert {(view.view_hw, view.scaled_to_hw) for view in views} == {((288, 384), (864, 1152))}
    assert windows.remaining_s(0, 0.1) == pytest.approx(1000 * 0.1)
    assert windows.check_every > plan().check_every  # a validation looks at nine times as much
    assert {plan().view(progress, 0).input_hw for progress in (0.0, 1.0)} == {None}


def test_views_are_upright_until_the_objects_are_known_to_have_no_up() -> None:
    free = plan()
    free.ways_up = orientation.Orientation(340, upright=0.5, upside_down=0.49, boxes=100)
    assert not free.view(0.339, 339).flips  # made ahead, before it was known
    assert free.view(0.34, 340).flips
    free.ways_up = orientation.Orientation(340, upright=0.5, upside_down=0.1, boxes=100)
    assert not free.view(0.34, 340).flips


def test_a_stall_hardly_changes_the_pace_and_a_slower_machine_does() -> None:
    pace = learning_schedule.StepTime()
    pace.note(30.0)
    assert not pace.is_settled
    for _ in range(100):
        pace.note(1.0)
    assert pace.is_settled and pace.unit_s == pytest.approx(1.0)
    pace.note(500.0)
    assert 1.0 < pace.unit_s < 1.2
    for _ in range(60):
        pace.note(3.0)
    assert pace.unit_s > 2.8


def test_the_rate_warms_up_and_comes_down() -> None:
    assert learning_schedule.rate(0.0, 0) < 0.02
    assert learning_schedule.rate(0.02, 60) > 0.99
    assert learning_schedule.rate(1.0, 5000) == pytest.approx(learning_schedule.FINAL_RATE)


def test_convergence_needs_several_late_checks_without_gain() -> None:
    rising = [(0.5 + 0.05 * index, 0.5 + 0.01 * index) for index in range(10)]
    flat = [(progress, 0.5) for progress, _ in rising]
    assert not schedule.has_converged([]) and not schedule.has_converged(rising)
    assert not schedule.has_converged(flat[:4])  # too early
    assert schedule.has_converged(flat[:6])
    assert not schedule.has_converged([*flat[:6], (0.8, 0.51)])


def test_an_unknown_recipe_field_is_an_error() -> None:
    with pytest.raises(TypeError):
        schedule.Recipe.from_job({"learning_rate": 1})
    assert schedule.Recipe.from_job({"steps": 5}).steps == 5


@pytest.mark.parametrize(
    ("area_px", "sizes_hw", "expected"),
    [
        (118_000, [(480, 640)], (288, 384)),
        (118_000, [(640, 480)] * 3 + [(480, 640)], (384, 288)),
        (80_000, [(480, 640)], (256, 320)),
        (118_000, [(1000, 1000)], (352, 352)),
        (118_000, [(100, 5000)], (256, 512)),  # never longer than 2 : 1
        (118_000, [], (352, 352)),
    ],
)
def test_the_input_takes_the_shape_of_the_images(
    area_px: int, sizes_hw: list[tuple[int, int]], expected: tuple[int, int]
) -> None:
    assert dense.choose_input_hw(area_px, sizes_hw) == expected
