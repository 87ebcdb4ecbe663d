"""Small VALIDATION sets: which training images judge, what learns from them afterwards, and that a stop changes nothing."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.detector import conftest
from tests.unit.detector.conftest import Watcher, elapsed

from boxwright.detector import session
from boxwright.detector.data import augment, dataset
from boxwright.detector.network import coco, dense
from boxwright.detector.planning import candidates, hold_out, input_size, schedule, trained
from boxwright.detector.training import fit, trainer, validation_set
from boxwright.learning import listener
from boxwright.learning import trainer as learning_trainer
from boxwright.learning.job import TrainingJob

INPUT_HW = (96, 96)
CHOSEN = input_size.InputSize(INPUT_HW, 1.0, "large enough")


def _examples(name: str, labels: Sequence[Sequence[int]]) -> tuple[dataset.Example, ...]:
    """Images that carry these labels, one box each."""
    return tuple(
        dataset.Example(
            f"gs://{name}/{number:03}",
            f"{name}{number:03}",
            name,
            np.tile(np.asarray([0.1, 0.1, 0.6, 0.6], np.float32), (len(own), 1)),
            np.asarray(own, np.int64),
        )
        for number, own in enumerate(labels)
    )


def _splits(train: Sequence[Sequence[int]], validation: Sequence[Sequence[int]], tests: int = 5) -> dataset.Splits:
    return dataset.Splits(_examples("a", train), _examples("b", validation), _examples("c", [[0]] * tests), ())


@pytest.mark.parametrize(
    ("train", "validation", "held"), [(41, 7, 13), (41, 19, 1), (41, 20, 0), (12, 1, 4), (2, 1, 0), (90, 0, 20)]
)
def test_as_many_are_held_out_as_are_missing_but_a_third_at_most(train: int, validation: int, held: int) -> None:
    splits = _splits([[0]] * train, [[0]] * validation)
    found = hold_out.held_out(splits)
    assert len(found) == held and set(map(id, found)) <= set(map(id, splits.train))
    assert found == hold_out.held_out(splits)


def test_every_label_keeps_two_thirds_of_its_images_and_new_ones_come_first() -> None:
    train = [[0], [0], [0], [0, 2], [1], [0], [1], [0, 2], [0], [0, 2], [1], [], [], [0]]
    splits = _splits(train, [[0]])
    found = hold_out.held_out(splits)
    counts = {label: sum(label in one.label_indices for one in found) for label in range(3)}
    assert counts == {0: 3, 1: 1, 2: 1}, "9, 3 and 3 images carry them"
    first = set(found[0].label_indices.tolist()) | set(found[1].label_indices.tolist())
    assert first == {0, 1, 2}
    assert all(len(one.label_indices) for one in found), "an empty image judges little"


def _candidate(start: str, folder: pathlib.Path, **fields: Any) -> candidates.Candidate:
    recipe = schedule.Recipe()
    build = lambda labels, prior: dense.Network(dense.TINY, 1)  # noqa: E731
    own = folder if start == candidates.RANDOM else folder / "coco"
    return candidates.Candidate(start, own, f"job/{start}", build, recipe, input=CHOSEN, **fields)


def _plan(folder: pathlib.Path, *, knows_labels: bool = False) -> candidates.TrainingPlan:
    gentle = {"step_share": coco.STEP_SHARE, "least_steps": coco.LEAST_STEPS}
    first = _candidate(coco.SOURCE, folder, knows_labels=knows_labels, **gentle)
    return candidates.TrainingPlan((first, _candidate(candidates.RANDOM, folder)))


def _time(budget_s: float) -> input_size.TimeBudget:
    """Time in which the plain network needs 100 s."""
    time = input_size.TimeBudget(budget_s, lambda passes: round(1000 * passes), 1.0, lambda input_hw: 10.0)
    return dataclasses.replace(time, px_per_s=time.needed_s(INPUT_HW) / 100.0)


def test_few_images_judge_in_a_trial_and_are_learned_afterwards(tmp_path: pathlib.Path) -> None:
    splits = _splits([[0]] * 41, [[0]] * 7)
    held = hold_out.choose(_plan(tmp_path), splits, _time(1e6), 41)
    assert held is not None and held.final is not None
    assert held.judges == {"VALIDATION": 7, "TRAIN": 13}
    assert (len(held.trial.train), len(held.trial.validation), len(held.final.train)) == (28, 20, 48)
    assert not held.final.validation and held.trial.test == held.final.test == splits.test
    uris = {one.uri for one in held.trial.train} | {one.uri for one in held.trial.validation}
    assert uris == {one.uri for one in held.final.train} and len(uris) == 48
    first, second = held.plan.candidates
    assert (first.steps(28, 1.0), second.steps(28, 1.0)) == (coco.LEAST_STEPS // 2, schedule.MIN_STEPS)
    assert first.is_trial and first.later_s > 0 and 0.3 < first.time_share < 1.0
    final = held.finals[coco.SOURCE]
    assert final.folder == tmp_path / "final" == held.finals[candidates.RANDOM].folder
    assert final.steps(48, 1.0) == round(0.5 * coco.STEP_SHARE * 200 * 48 / 8) and not final.is_trial
    fingerprints = {one.fingerprint for one in (first, second, *held.finals.values(), *_plan(tmp_path).candidates)}
    assert len(fingerprints) == 6, "no training goes on from the checkpoint of another one"


def test_from_150_images_on_they_judge_for_good(tmp_path: pathlib.Path) -> None:
    held = hold_out.choose(_plan(tmp_path), _splits([[0]] * 150, [[0]] * 15), _time(1e6), 150)
    assert held is not None and held.final is None and not held.finals
    assert (len(held.trial.train), len(held.trial.validation)) == (145, 20)
    assert [one.is_trial for one in held.plan.candidates] == [False, False]
    assert all(one.is_judged and one.fingerprint.endswith("held out") for one in held.plan.candidates)


def test_nothing_is_held_out_where_nothing_depends_on_it_or_time_is_short(tmp_path: pathlib.Path) -> None:
    two, few = _plan(tmp_path), _splits([[0]] * 41, [[0]] * 7)
    plain = candidates.TrainingPlan((two.candidates[1],))
    assert hold_out.choose(plain, few, _time(1e6), 41) is None
    alone = candidates.TrainingPlan((two.candidates[0],))
    assert hold_out.choose(alone, few, _time(1e6), 41) is None
    knowing = candidates.TrainingPlan((_plan(tmp_path, knows_labels=True).candidates[0],))
    assert hold_out.choose(knowing, few, _time(1e6), 41) is not None
    assert hold_out.choose(two, _splits([[0]] * 41, [[0]] * 20), _time(1e6), 41) is None
    assert hold_out.choose(two, few, _time(60.0), 41) is None


def test_images_that_evaluate_the_model_are_never_learned(tmp_path: pathlib.Path) -> None:
    held = hold_out.choose(_plan(tmp_path), _splits([[0]] * 41, [[0]] * 7, tests=0), _time(1e6), 41)
    assert held is not None and held.final is not None
    assert {one.ml_use for one in held.final.train} == {"a"} and len(held.final.train) == 41


@pytest.mark.parametrize(("full", "empty", "expected"), [(15, 200, (15, 40)), (64, 0, (64, 0)), (100, 100, (25, 25))])
def test_among_many_empty_images_those_with_objects_are_looked_at(
    full: int, empty: int, expected: tuple[int, int]
) -> None:
    labels = [[0]] * full + [[]] * empty
    examples = _examples("v", [labels[(7 * index) % len(labels)] for index in range(len(labels))])
    seen = validation_set.looked_at(examples)
    assert (hold_out.holding(seen), len(seen) - hold_out.holding(seen)) == expected


# ---- whole jobs ---------------------------------------------------------------------------------------------------

KNOWN = [{"display_name": "Cars", "annotation_spec_id": "1"}, {"display_name": "disc", "annotation_spec_id": "2"}]
RECIPE = {name: value for name, value in conftest.RECIPE.items() if name != "network"}
RECIPE |= {"steps": 6, "quantise": False, "network": "coco", "checkpoint_every_s": 1e-9}


@pytest.fixture(autouse=True)
def _every_step_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_trainer, "PROGRESS_EVERY_S", 0.0)


class InFinal(Watcher):
    """Asks for something at a step of the training on all images."""

    def __init__(self, *, stops: bool = False, finishes: bool = False, step: int = 3) -> None:
        super().__init__()
        self._stops, self._finishes, self._step = stops, finishes, step

    def _is_there(self) -> bool:
        steps = [details["step"] for _, stage, details in self.events if stage == "training"]
        trials = [index for index, step in enumerate(steps) if step == RECIPE["steps"]]
        return bool(trials) and self._step in steps[trials[0] + 1 :]

    def stop_requested(self) -> bool:
        return self._stops and self._is_there()

    def finish_requested(self) -> bool:
        return self._finishes and self._is_there()


@pytest.fixture
def job(
    coco_weights: pathlib.Path, drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], pathlib.Path]:
    """Jobs of 24 images whose trained network is preferred to the untrained one."""
    monkeypatch.setattr(fit.CandidateTrainer, "_untrained_scores", lambda self, network: (0.0, 0.0))
    fields = {"model_type": "mobile-high-accuracy-1", "labels": KNOWN, "recipe": RECIPE}
    return lambda name: conftest.write_job(tmp_path / name, drawn.rows, weights_dir=str(coco_weights), **fields)


class Killed(BaseException):
    """Nothing of the process is left to handle it."""


def _kill(step: int, folder: pathlib.Path, drawn: conftest.Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a job whose process dies instead of this step, counted from the trial's first one to the last of all."""
    original = trainer.DetectionTrainer._optimise

    def optimise(self: trainer.DetectionTrainer, *arguments: Any) -> dict[str, float]:
        before = RECIPE["steps"] if self.setting.folder.name == trained.FINAL_FOLDER else 0
        if before + self.step == step:
            raise Killed
        return original(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(trainer.DetectionTrainer, "_optimise", optimise)
        session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed())


def _run(folder: pathlib.Path, drawn: conftest.Drawn, watcher: Watcher | None = None) -> dict[str, Any]:
    session.run(TrainingJob.read(folder), drawn.read, watcher or Watcher(), elapsed())
    provenance: dict[str, Any] = json.loads((folder / "model" / "model.json").read_text())["provenance"]
    return provenance


def test_the_chosen_network_learns_from_all_images(
    job: Callable[[str], pathlib.Path], drawn: conftest.Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[set[str]] = []
    original = augment.BatchSource.__init__

    def seen(self: augment.BatchSource, examples: Sequence[dataset.Example], *rest: Any, **named: Any) -> None:
        learned.append({one.uri for one in examples})
        original(self, examples, *rest, **named)

    monkeypatch.setattr(augment.BatchSource, "__init__", seen)
    monkeypatch.setattr(session, "FINAL_LOSS", 1.0)  # six steps teach next to nothing
    watcher, folder = Watcher(), job("whole")
    whole = _run(folder, drawn, watcher)
    trial, final = learned
    images = whole["images"]
    assert trial < final and len(final) == images["TRAIN"] + images["VALIDATION"]
    chosen_on = whole["chosen_on"]
    assert chosen_on["learned_all"] and chosen_on["judges"] == {
        "VALIDATION": images["VALIDATION"],
        "TRAIN": len(final - trial) - images["VALIDATION"],
    }
    assert 0.0 <= chosen_on["certainty"] <= 1.0 and whole["steps"] == 12 and whole["images_a_pass"] == len(final)
    (told,) = [one for one in watcher.warnings if "held out to choose" in one]
    assert "Then it learned from all images except those of TEST." in told and "still uncertain" in told
    extras = json.loads((folder / "model" / "evaluation.json").read_text())["extras"]
    page = (folder / "model" / "report.html").read_text()
    assert extras["certainty"] in page and "would choose the same in" in extras["certainty"]
    assert "With other images of the same kind" in extras["certainty"] and len(extras["map50_interval"]) == 2


@pytest.mark.full
def test_neither_kill_nor_stop_changes_the_weights(
    job: Callable[[str], pathlib.Path], drawn: conftest.Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "FINAL_LOSS", 1.0)
    whole = _run(job("whole"), drawn)
    stopped = job("stopped")
    _kill(4, stopped, drawn, monkeypatch)  # in the trial
    with pytest.raises(listener.TrainingStopped):
        session.run(TrainingJob.read(stopped), drawn.read, InFinal(stops=True), elapsed())
    _kill(6 + 5, stopped, drawn, monkeypatch)  # in what follows it
    again = Watcher()
    assert _run(stopped, drawn, again)["weights_sha256"] == whole["weights_sha256"]
    steps = [details["step"] for _, stage, details in again.events if stage == "training" and details["step"]]
    assert min(steps) >= 3, "the trial, or what was done on all images, was trained again"
    assert sorted(path.name for path in stopped.iterdir()) == ["examples.jsonl", "job.json", "model"]


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("worse", marks=pytest.mark.full),
        pytest.param("not finite", marks=pytest.mark.full),
        "ended on request",
    ],
)
def test_a_training_on_all_images_that_fails_leaves_the_network_of_the_trial(
    job: Callable[[str], pathlib.Path], drawn: conftest.Drawn, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    original = dense.Network.forward

    def spoilt(self: dense.Network, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        is_final = self.training and watcher._is_there()
        return tuple(one * (math.nan if is_final else 1.0) for one in original(self, pixels))

    watcher = InFinal(finishes=what == "ended on request", step=1)
    if what == "not finite":
        monkeypatch.setattr(dense.Network, "forward", spoilt)
    monkeypatch.setattr(session, "FINAL_LOSS", -1.0 if what == "worse" else 1.0)
    provenance = _run(job("job"), drawn, watcher)
    assert provenance["steps"] == 6 and provenance["initial_weights"] == coco.SOURCE
    assert not provenance["chosen_on"]["learned_all"]
    assert any("It has not learned from them." in one for one in watcher.warnings)
    reasons = {"worse": "made the network worse", "not finite": "is not finite", "ended on request": "held out"}
    assert any(reasons[what] in one for one in watcher.warnings)


def test_a_network_that_wins_as_it_was_needs_no_more_training(
    job: Callable[[str], pathlib.Path], drawn: conftest.Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit.CandidateTrainer, "_untrained_scores", lambda self, network: (0.9, 0.9))
    watcher = Watcher()
    provenance = _run(job("job"), drawn, watcher)
    assert provenance["steps"] == 0 and not provenance["chosen_on"]["learned_all"]
    steps = [details["step"] for _, stage, details in watcher.events if stage == "training"]
    assert steps.count(6) >= 1 and steps == sorted(steps), "one training, to its end: it is there to decide"
    (told,) = [one for one in watcher.warnings if "held out to choose" in one]
    assert "learned" not in told


def test_a_choice_says_how_it_was_made() -> None:
    record = trained.ChoiceRecord({"VALIDATION": 7, "TRAIN": 13}, 0.864, True)
    assert record.in_words == (
        "The network was chosen on 20 images with objects, 13 of them held out of TRAIN. Other images of the same kind "
        "would choose the same in 86 of 100 cases."
    )
    assert dataclasses.replace(record, certainty=None).in_words.endswith("held out of TRAIN.")
