"""Which networks are trained, which of them becomes the model, and that a stop in between changes nothing."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import pytest
import torch
from tests.unit.detector import conftest
from tests.unit.detector.conftest import Watcher, elapsed

from boxwright.detector import session
from boxwright.detector.data import dataset
from boxwright.detector.evaluation import orientation
from boxwright.detector.network import coco, dense, pretrained
from boxwright.detector.planning import candidates, input_size, schedule, trained
from boxwright.detector.training import trainer
from boxwright.learning import checkpoint, listener, model_draft
from boxwright.learning import trainer as learning_trainer
from boxwright.learning.job import TrainingJob
from boxwright.operations import ledger

FAILED = "from random weights: the training on pretrained weights failed"
INPUT_HW = (96, 96)
CHOSEN = input_size.InputSize(INPUT_HW, 1.0, "large enough")
RECIPE = {name: value for name, value in conftest.RECIPE.items() if name != "network"} | {
    "steps": 12,
    "holds_out": False,
}


class Stopping(Watcher):
    """Asks to stop at a step of the second network."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def stop_requested(self) -> bool:
        if not self.events or self.events[-1][1] != "training":
            return False
        details = self.events[-1][2]
        return details.get("initial_weights") == pretrained.SOURCE and details["step"] >= self.step


def _time(budget_s: float, needed_s: float) -> input_size.TimeBudget:
    """Time whose planned steps need so many seconds."""
    time = input_size.TimeBudget(budget_s, lambda passes: round(1000 * passes), 1.0, lambda input_hw: 10.0)
    return dataclasses.replace(time, px_per_s=time.needed_s(INPUT_HW) / needed_s)


def _candidate(start: str, recipe: schedule.Recipe) -> candidates.Candidate:
    return candidates.Candidate(start, pathlib.Path(), "", lambda labels, prior: dense.Network(dense.TINY, 1), recipe)


@pytest.mark.parametrize(
    ("model_type", "recipe", "budget_s", "images", "starts", "reason"),
    [
        ("cloud-high-accuracy-1", {}, 86_400.0, 50, ["random", pretrained.SOURCE], ""),
        ("cloud-high-accuracy-1", {}, 86_400.0, 5000, ["random", pretrained.SOURCE], ""),
        ("mobile-high-accuracy-1", {}, 150.0, 50, [pretrained.SOURCE], "more than the budget"),
        ("mobile-high-accuracy-1", {}, 150.0, 5000, ["random"], "more than the budget"),
        ("cloud-low-latency-1", {}, 86_400.0, 50, ["random"], "as always for this model type"),
        ("cloud-low-latency-1", {"network": "pretrained"}, 60.0, 50, [pretrained.SOURCE], "as the recipe asks"),
        ("cloud-high-accuracy-1", {"network": "tiny"}, 86_400.0, 50, ["random"], "of the recipe"),
        ("cloud-high-accuracy-1", {"pretrained": False}, 86_400.0, 50, ["random"], "the settings allow no others"),
    ],
)
def test_what_is_trained_follows_from_type_data_and_budget(
    tmp_path: pathlib.Path,
    drawn: conftest.Drawn,
    model_type: str,
    recipe: dict[str, Any],
    budget_s: float,
    images: int,
    starts: list[str],
    reason: str,
) -> None:
    job = TrainingJob.read(conftest.write_job(tmp_path, drawn.rows, model_type=model_type))
    found = candidates.plan(
        job,
        schedule.Recipe(**recipe),
        dense.MODEL_TYPES[model_type],
        _time(budget_s, 100.0),
        lambda *evidence: CHOSEN,
        images,
        40,
    )
    assert [one.start for one in found.candidates] == starts and reason in found.reason
    expected = {"random": job.folder, pretrained.SOURCE: job.folder / "pretrained"}
    assert [one.folder for one in found.candidates] == [expected[start] for start in starts]


def test_without_the_package_there_is_one_network_and_a_reason(
    tmp_path: pathlib.Path, drawn: conftest.Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobodys = dataclasses.replace(pretrained.PUBLISHED, name="a-network-of-nobody")
    monkeypatch.setattr(pretrained, "PUBLISHED", nobodys)
    job = TrainingJob.read(conftest.write_job(tmp_path, drawn.rows))
    found = candidates.plan(job, schedule.Recipe(), dense.ACCURATE, _time(1e5, 100.0), lambda *evidence: CHOSEN, 50, 40)
    assert [one.start for one in found.candidates] == ["random"] and "not installed" in found.reason


@pytest.fixture(autouse=True)
def every_step_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_trainer, "PROGRESS_EVERY_S", 0.0)


class Killed(BaseException):
    """Nothing of the process is left to handle it."""


def _killed(*arguments: object) -> None:
    raise Killed


def _run(folder: pathlib.Path, drawn: conftest.Drawn, watcher: Watcher | None = None) -> dict[str, Any]:
    session.run(TrainingJob.read(folder), drawn.read, watcher or Watcher(), elapsed())
    provenance: dict[str, Any] = json.loads((folder / "model" / "model.json").read_text())["provenance"]
    return provenance


@pytest.mark.full
def test_the_second_network_is_trained_where_the_first_finds_too_little_and_a_stop_changes_nothing(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "GAIN", -1.0)  # whatever validation says
    folders = [
        conftest.write_job(tmp_path / name, drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
        for name in ("whole", "stopped")
    ]
    watcher = Watcher()
    whole = _run(folders[0], drawn, watcher)
    assert whole["initial_weights"] == pretrained.SOURCE and whole["network"].startswith("on pretrained weights: ")
    seen = [details["initial_weights"] for _, _, details in watcher.events if "initial_weights" in details]
    assert seen == ["random"] * seen.count("random") + [pretrained.SOURCE] * seen.count(pretrained.SOURCE)
    assert min(seen.count("random"), seen.count(pretrained.SOURCE)) >= 12
    percents = [percent for percent, _, _ in watcher.events]
    assert percents == sorted(percents)
    with pytest.raises(listener.TrainingStopped):
        session.run(TrainingJob.read(folders[1]), drawn.read, Stopping(6), elapsed())
    assert (folders[1] / "pretrained" / "checkpoint.pt").exists()
    again = Watcher()
    assert _run(folders[1], drawn, again)["weights_sha256"] == whole["weights_sha256"]
    steps = [details["step"] for _, _, details in again.events if details.get("initial_weights")]
    assert min(steps) >= 6, "the first network, or what was done of the second, was trained again"
    assert sorted(path.name for path in folders[1].iterdir()) == ["examples.jsonl", "job.json", "model"]


@pytest.mark.full
def test_a_stop_between_the_two_changes_nothing(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "GAIN", -1.0)
    folder = conftest.write_job(tmp_path / "stopped", drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    with monkeypatch.context() as patch, pytest.raises(listener.TrainingStopped):
        patch.setattr(candidates, "reason_to_stop", _stop)
        session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed())
    state = checkpoint.load(folder)
    assert state is not None and state.trained and not (folder / "pretrained").exists()
    watcher = Watcher()
    resumed = _run(folder, drawn, watcher)
    assert not any(details.get("initial_weights") == "random" for _, _, details in watcher.events)
    whole = conftest.write_job(tmp_path / "whole", drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    assert _run(whole, drawn)["weights_sha256"] == resumed["weights_sha256"]


def _stop(*arguments: object, **named: object) -> str:
    raise listener.TrainingStopped


def test_a_package_that_is_gone_when_a_training_goes_on_costs_no_budget_twice(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    with pytest.raises(listener.TrainingStopped):
        session.run(TrainingJob.read(folder), drawn.read, Stopping(6), elapsed())
    spent_s = [checkpoint.load(one).elapsed_s for one in (folder, folder / "pretrained")]  # type: ignore[union-attr]
    nobodys = dataclasses.replace(pretrained.PUBLISHED, name="a-network-of-nobody")
    monkeypatch.setattr(pretrained, "PUBLISHED", nobodys)
    clock = elapsed()
    session.run(TrainingJob.read(folder), drawn.read, Watcher(), clock)
    assert clock.before_s == max(spent_s) == spent_s[1] > spent_s[0]
    provenance = json.loads((folder / "model" / "model.json").read_text())["provenance"]
    assert provenance["initial_weights"] == "random" and "not installed" in provenance["network"]


@pytest.mark.parametrize(("found", "handed_over"), [(0.9, True), pytest.param(0.1, False, marks=pytest.mark.full)])
def test_the_second_network_knows_which_way_is_up_if_the_first_one_does(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, found: float, handed_over: bool
) -> None:
    asked: list[int] = []

    def measured(self: trainer.DetectionTrainer) -> orientation.Orientation:
        asked.append(self.step)
        return orientation.Orientation(self.step, found, found, 100)

    monkeypatch.setattr(trainer.DetectionTrainer, "_measure_orientation", measured)
    monkeypatch.setattr(candidates, "GAIN", -1.0)
    folder = conftest.write_job(tmp_path, drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    known = _run(folder, drawn)["orientation"]
    assert len(asked) == (1 if handed_over else 2)
    assert (known["from_step"] == 0, known["flips"]) == (handed_over, handed_over)


def test_without_objects_in_validation_nothing_is_compared(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    rows = [{**row, "ml_use": "TRAIN"} for row in drawn.rows]
    rows[0] = {**rows[0], "ml_use": "VALIDATION", "boxes": []}
    rows[1] = {**rows[1], "ml_use": "TEST"}
    folder = conftest.write_job(tmp_path, rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    watcher = Watcher()
    provenance = _run(folder, drawn, watcher)
    assert provenance["initial_weights"] == "random" and "no validation to compare" in provenance["network"]


@pytest.mark.parametrize(
    ("score", "left_s", "begun", "reason"),
    [
        (None, 1e4, False, "no validation"),
        (0.9, 1e4, False, "good enough: 0.90"),
        (0.3, 1e4, False, ""),
        (0.3, 29.0, False, "no time was left"),
        (0.3, 31.0, False, ""),
        (0.3, 5.0, True, ""),
    ],
)
def test_a_second_training_needs_a_reason_and_time(
    score: float | None, left_s: float, begun: bool, reason: str
) -> None:
    found = candidates.reason_to_stop(_candidate("random", schedule.Recipe()), score, left_s, 100.0, begun=begun)
    assert reason in found and bool(found) == bool(reason)


@pytest.mark.parametrize(
    ("first", "second", "taken"), [(0.50, 0.53, 1), (0.50, 0.51, 0), (0.50, 0.30, 0), (0.50, None, 0), (0.0, 0.02, 1)]
)
def test_the_slower_network_is_taken_if_it_is_clearly_ahead(first: float, second: float | None, taken: int) -> None:
    plain = trained.Trained(
        network=dense.Network(dense.TINY, 1), input=input_size.UNKNOWN, splits=dataset.Splits((), (), (), ()), steps=1,
        batch_size=1, stop_reason="", training_s=1.0, history={}, score=first,
    )  # fmt: skip
    other = dataclasses.replace(plain, start=pretrained.SOURCE, score=second)
    chosen = candidates.better(plain, other)
    assert chosen.start == ("random", pretrained.SOURCE)[taken]
    assert ("validation" in chosen.choice) and chosen.choice.startswith(("from random", "on pretrained")[taken])


def test_the_time_of_the_second_training_is_that_of_its_steps() -> None:
    recipe = schedule.Recipe()
    plain = _candidate("random", recipe)
    other = dataclasses.replace(plain, step_share=0.5, step_cost=1.8)
    assert plain.relative_time(40) == plain.relative_time(360) == 1.0
    assert other.relative_time(40) == 1.8  # both do the least number of steps
    assert other.relative_time(360) == pytest.approx(0.9, rel=0.01)
    assert recipe.steps_for(360, 0.5) == pytest.approx(recipe.steps_for(360) / 2, abs=1)
    assert other.relative_time(60, 0.5) == 1.8  # of half the passes both do the least number of steps
    gentle = dataclasses.replace(plain, step_share=coco.STEP_SHARE, least_steps=240)
    assert (gentle.steps(20, 1.0), gentle.steps(80, 1.0), gentle.steps(80, 0.35)) == (240, 500, 240)


def test_a_first_network_that_is_good_enough_stays_alone(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "GOOD_SCORE", 0.0)
    folder = conftest.write_job(tmp_path, drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    watcher = Watcher()
    provenance = _run(folder, drawn, watcher)
    assert provenance["initial_weights"] == "random" and "good enough" in provenance["network"]
    assert {details.get("initial_weights", "random") for _, _, details in watcher.events} == {"random"}


def test_a_second_training_that_diverges_leaves_the_first_model(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(self: dense.Network, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(one * float("nan") for one in dense.Network.forward(self, pixels))

    monkeypatch.setattr(pretrained.PretrainedNetwork, "forward", spoilt)
    folder = conftest.write_job(tmp_path, drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    watcher = Watcher()
    with monkeypatch.context() as in_delivery, pytest.raises(Killed):
        in_delivery.setattr(model_draft, "publish", _killed)
        _run(folder, drawn, watcher)
    assert any("not finite at step" in warning for warning in watcher.warnings)
    again = Watcher()
    provenance = _run(folder, drawn, again)
    assert provenance["initial_weights"] == "random" and provenance["network"] == FAILED
    assert {details.get("initial_weights", "random") for _, _, details in again.events} == {"random"}


def test_a_second_training_that_kills_the_process_leaves_the_first_model(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained.PretrainedNetwork, "forward", _killed)
    folder = conftest.write_job(tmp_path, drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    for _ in range(candidates.MOST_ATTEMPTS):
        with pytest.raises(Killed):
            _run(folder, drawn)
    provenance = _run(folder, drawn)
    assert provenance["initial_weights"] == "random" and provenance["network"] == FAILED
    assert candidates.MOST_ATTEMPTS < ledger.MAX_ATTEMPTS_WITHOUT_PROGRESS


@pytest.mark.full
def test_what_kills_the_process_after_the_second_training_is_not_its_fault(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "GAIN", -1.0)
    folder = conftest.write_job(tmp_path, drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    with monkeypatch.context() as in_delivery:
        in_delivery.setattr(model_draft, "publish", _killed)
        for _ in range(candidates.MOST_ATTEMPTS + 1):
            with pytest.raises(Killed):
                _run(folder, drawn)
    assert _run(folder, drawn)["initial_weights"] == pretrained.SOURCE


def test_what_is_stopped_on_request_has_not_died(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    for _ in range(candidates.MOST_ATTEMPTS + 1):
        with pytest.raises(listener.TrainingStopped):
            _run(folder, drawn, Stopping(0))
    assert _run(folder, drawn)["network"] != FAILED


def test_a_second_network_that_is_not_better_is_not_taken(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "GAIN", 1.0)
    folder = conftest.write_job(tmp_path, drawn.rows, model_type="mobile-high-accuracy-1", recipe=RECIPE)
    provenance = _run(folder, drawn)
    assert provenance["initial_weights"] == "random" and "on pretrained weights" in provenance["network"]


def test_two_trainings_that_take_more_than_an_hour_are_not_planned(
    tmp_path: pathlib.Path, drawn: conftest.Drawn
) -> None:
    job = TrainingJob.read(conftest.write_job(tmp_path, drawn.rows))

    def starts(needed_s: float) -> list[str]:
        time = _time(1e6, needed_s)
        plan = candidates.plan(job, schedule.Recipe(), dense.ACCURATE, time, lambda *evidence: CHOSEN, 500, 1.8)
        return [one.start for one in plan.candidates]

    assert starts(1800.0) == ["random", pretrained.SOURCE] and starts(1900.0) == ["random"]
