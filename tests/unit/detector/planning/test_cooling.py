"""A training whose validation stops improving ends early, with its learning rate brought down first."""

from __future__ import annotations

import json
import pathlib

import pytest
from tests.unit.detector import conftest
from tests.unit.detector.conftest import Watcher, elapsed

from boxwright.detector import session
from boxwright.detector.planning import schedule
from boxwright.learning import checkpoint, listener
from boxwright.learning import schedule as learning_schedule
from boxwright.learning import trainer as learning_trainer
from boxwright.learning.job import TrainingJob


def test_the_rest_is_shortened_and_progress_goes_on_from_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_schedule, "COOL_DOWN", 0.05)
    plan = schedule.Schedule(steps=1000, input_hw=(288, 384), train_until_s=1e9)
    plan.cool_down(800, 10.0)
    assert plan.last_step == 850
    values = [plan.progress(step, 10.0) for step in range(790, 860)]
    assert values == sorted(values) and values[10] == 0.8 and values[60:] == [1.0] * 10
    assert plan.progress(825, 10.0) == pytest.approx(0.9)
    assert plan.remaining_s(800, 0.1) == pytest.approx(50 * 0.1 * 2.25)


def test_a_plateau_that_comes_late_does_not_make_the_training_longer() -> None:
    plan = schedule.Schedule(steps=1000, input_hw=(288, 384), train_until_s=1e9)
    plan.cool_down(980, 10.0)
    assert plan.last_step == 1000 and plan.progress(1000, 10.0) == 1.0


def test_a_clock_that_is_bound_still_ends_it() -> None:
    plan = schedule.Schedule(steps=1000, input_hw=(288, 384), train_until_s=100.0)
    plan.bind_to_clock(100, 10.0)
    plan.cool_down(700, 80.0)
    assert plan.progress(701, 99.9) > 0.99 and plan.progress(701, 100.0) == 1.0


def test_a_plateau_ends_a_training_early_and_a_resumed_one_the_same(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning_trainer, "PROGRESS_EVERY_S", 0.0)
    monkeypatch.setattr(schedule, "MIN_GAIN", 2.0)  # no gain is ever enough
    monkeypatch.setattr(schedule, "ENOUGH_IMAGES", 1)
    monkeypatch.setattr(schedule, "LEAST_SCORE", -1.0)
    monkeypatch.setattr(learning_schedule, "COOL_DOWN", 0.1)
    recipe = {**conftest.RECIPE, "steps": 60}
    folders = [conftest.write_job(tmp_path / name, drawn.rows, recipe=recipe) for name in ("whole", "stopped")]
    whole = session.run(TrainingJob.read(folders[0]), drawn.read, Watcher(), elapsed())
    provenance = json.loads((folders[0] / "model" / "model.json").read_text())["provenance"]
    assert whole.stop_reason == "MODEL_CONVERGED" and 60 * schedule.PATIENCE_FROM < provenance["steps"] < 55
    with pytest.raises(listener.TrainingStopped):
        session.run(
            TrainingJob.read(folders[1]), drawn.read, Watcher(2 + 88 * (provenance["steps"] - 3) / 60), elapsed()
        )
    state = checkpoint.load(folders[1])
    assert state is not None and state.schedule["cooling_from"] is not None and state.step < provenance["steps"]
    assert (
        session.run(TrainingJob.read(folders[1]), drawn.read, Watcher(), elapsed()).weights_sha256
        == whole.weights_sha256
    )


def test_a_handful_of_validation_images_ends_no_training(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "MIN_GAIN", 2.0)
    monkeypatch.setattr(schedule, "LEAST_SCORE", -1.0)
    folder = conftest.write_job(tmp_path, drawn.rows)
    session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed())
    assert json.loads((folder / "model" / "model.json").read_text())["provenance"]["steps"] == conftest.RECIPE["steps"]
