"""When a job starts from COCO's weights, what it does with them, and what it says of them."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import pytest
from tests.unit.detector import conftest
from tests.unit.detector.conftest import Watcher, elapsed

from boxwright.detector import session
from boxwright.detector.data import dataset
from boxwright.detector.network import coco, dense, pretrained
from boxwright.detector.planning import candidates, input_size, schedule, trained
from boxwright.detector.training import fit
from boxwright.inference import export_formats
from boxwright.learning import listener
from boxwright.learning import trainer as learning_trainer
from boxwright.learning.job import JobError, TrainingJob

INPUT_HW = (96, 96)
CHOSEN = input_size.InputSize(INPUT_HW, 1.0, "large enough")
RECIPE = {name: value for name, value in conftest.RECIPE.items() if name != "network"}
RECIPE |= {"steps": 6, "quantise": False, "holds_out": False}
KNOWN = [{"display_name": "Cars", "annotation_spec_id": "1"}, {"display_name": "disc", "annotation_spec_id": "2"}]
FIRST = ["random", coco.SOURCE]


def _time(budget_s: float) -> input_size.TimeBudget:
    """Time in which the plain network needs 100 s."""
    time = input_size.TimeBudget(budget_s, lambda passes: round(1000 * passes), 1.0, lambda input_hw: 10.0)
    return dataclasses.replace(time, px_per_s=time.needed_s(INPUT_HW) / 100.0)


@pytest.mark.parametrize(
    ("labels", "recipe", "budget_s", "images", "starts"),
    [
        (conftest.LABELS, {}, 86_400.0, 50, FIRST[::-1]),
        (conftest.LABELS, {}, 86_400.0, 150, FIRST),
        (KNOWN, {}, 86_400.0, 5000, FIRST[::-1]),
        (conftest.LABELS, {}, 60.0, 50, FIRST[1:]),
        (conftest.LABELS, {}, 120.0, 5000, FIRST[:1]),
        (KNOWN, {}, 60.0, 5000, FIRST[1:]),
        (KNOWN, {"pretrained": False}, 86_400.0, 50, FIRST[:1]),
        (conftest.LABELS, {"network": "coco"}, 86_400.0, 5000, FIRST[1:]),
        (conftest.LABELS, {"network": "pretrained"}, 86_400.0, 50, [pretrained.SOURCE]),
    ],
)
def test_it_comes_first_where_images_are_few_or_names_match(
    coco_weights: pathlib.Path,
    drawn: conftest.Drawn,
    tmp_path: pathlib.Path,
    labels: list[dict[str, str]],
    recipe: dict[str, Any],
    budget_s: float,
    images: int,
    starts: list[str],
) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows, labels=labels, weights_dir=str(coco_weights))
    plan = candidates.plan(
        TrainingJob.read(folder),
        schedule.Recipe(**recipe),
        dense.ACCURATE,
        _time(budget_s),
        lambda *evidence: CHOSEN,
        images,
        images,
    )
    assert [one.start for one in plan.candidates] == starts and not plan.note
    assert bool(plan.reason) == (len(starts) == 1)


def test_a_recipe_is_gentle_unless_the_job_says_otherwise(
    coco_weights: pathlib.Path, drawn: conftest.Drawn, tmp_path: pathlib.Path
) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows, weights_dir=str(coco_weights), recipe={"colour_jitter": 0.9})
    job = TrainingJob.read(folder)
    for images, mosaic in ((99, 0.0), (100, 0.4)):
        recipe = schedule.Recipe.from_job(job.recipe)
        plan = candidates.plan(job, recipe, dense.ACCURATE, _time(1e6), lambda *evidence: CHOSEN, images, images)
        assert plan.candidates[0].start == coco.SOURCE
        assert (plan.candidates[0].recipe.mosaic, plan.candidates[0].recipe.colour_jitter) == (mosaic, 0.9)
        assert plan.candidates[1].recipe == recipe
    plan = candidates.plan(
        dataclasses.replace(job, recipe={}),
        schedule.Recipe(),
        dense.ACCURATE,
        _time(1e6),
        lambda *evidence: CHOSEN,
        50,
        50,
    )
    assert plan.candidates[0].recipe.colour_jitter == 0.5


def test_missing_weights_are_mentioned_and_lite0_takes_their_place(
    drawn: conftest.Drawn, tmp_path: pathlib.Path
) -> None:
    job = TrainingJob.read(conftest.write_job(tmp_path, drawn.rows, weights_dir=str(tmp_path / "none")))
    plan = candidates.plan(job, schedule.Recipe(), dense.ACCURATE, _time(1e6), lambda *evidence: CHOSEN, 50, 50)
    assert [one.start for one in plan.candidates] == ["random", pretrained.SOURCE]
    assert "nanodet-g-coco are not installed (`boxwright weights install`)" in plan.note
    with pytest.raises(JobError, match="asks for the coco network: the weights nanodet-g-coco are not installed"):
        candidates.plan(
            job, schedule.Recipe(network="coco"), dense.ACCURATE, _time(1e6), lambda *evidence: CHOSEN, 50, 50
        )


@pytest.mark.parametrize(("known", "reason"), [(True, "knew the labels before: 0.50 on validation"), (False, "")])
def test_few_images_of_known_labels_need_no_second_network(
    coco_weights: pathlib.Path, drawn: conftest.Drawn, tmp_path: pathlib.Path, known: bool, reason: str
) -> None:
    first = _first(coco_weights, drawn, tmp_path, 100)
    found = candidates.reason_to_stop(first, 0.5, 1e4, 100.0, begun=False, known=known)
    assert reason in found and bool(found) == bool(reason)
    assert candidates.is_known(149, 0.2) and not candidates.is_known(150, 0.9)
    assert not candidates.is_known(50, 0.19) and not candidates.is_known(50, None)


@pytest.mark.parametrize(("images", "stops"), [(99, True), (100, False)])
def test_with_tens_of_images_a_useful_network_is_enough(
    coco_weights: pathlib.Path, drawn: conftest.Drawn, tmp_path: pathlib.Path, images: int, stops: bool
) -> None:
    first = _first(coco_weights, drawn, tmp_path, images)
    assert bool(candidates.reason_to_stop(first, 0.65, 1e4, 100.0, begun=False)) == stops
    assert not candidates.reason_to_stop(first, 0.64, 1e4, 100.0, begun=False)


def _first(weights: pathlib.Path, drawn: conftest.Drawn, folder: pathlib.Path, images: int) -> candidates.Candidate:
    """The network that a job tries first."""
    job = TrainingJob.read(conftest.write_job(folder, drawn.rows, weights_dir=str(weights)))
    plan = candidates.plan(job, schedule.Recipe(), dense.ACCURATE, _time(1e6), lambda *evidence: CHOSEN, images, images)
    assert plan.candidates[0].start == coco.SOURCE
    return plan.candidates[0]


@pytest.mark.parametrize(("labels", "most_px"), [(KNOWN, coco.MOST_KNOWN_AREA_PX), (conftest.LABELS, 600_000)])
def test_what_it_knows_of_a_label_limits_its_input(
    coco_weights: pathlib.Path,
    drawn: conftest.Drawn,
    tmp_path: pathlib.Path,
    labels: list[dict[str, str]],
    most_px: int,
) -> None:
    job = TrainingJob.read(conftest.write_job(tmp_path, drawn.rows, labels=labels, weights_dir=str(coco_weights)))
    seen: dict[str, int] = {}

    def choose(folder: pathlib.Path, kind: dense.ModelType, time: input_size.TimeBudget) -> input_size.InputSize:
        seen[folder.name] = kind.most_area_px
        return CHOSEN

    candidates.plan(job, schedule.Recipe(), dense.ACCURATE, _time(1e6), choose, 50, 50)
    assert seen == {"coco": most_px, job.folder.name: dense.ACCURATE.most_area_px}


def test_each_network_has_an_input_of_its_own(
    coco_weights: pathlib.Path, drawn: conftest.Drawn, tmp_path: pathlib.Path
) -> None:
    """COCO's network sees more pixels, and its fewer steps leave it more time for them."""
    job = TrainingJob.read(conftest.write_job(tmp_path, drawn.rows, weights_dir=str(coco_weights)))
    seen: dict[str, tuple[int, float]] = {}

    def choose(folder: pathlib.Path, kind: dense.ModelType, time: input_size.TimeBudget) -> input_size.InputSize:
        seen[folder.name] = (kind.input_area_px, time.needed_s(INPUT_HW))
        return dataclasses.replace(CHOSEN, reason=folder.name)

    plan = candidates.plan(job, schedule.Recipe(), dense.ACCURATE, _time(1e6), choose, 50, 50)
    assert seen["coco"][0] == dense.ACCURATE.coco_area_px > seen[job.folder.name][0] == dense.ACCURATE.input_area_px
    assert seen["coco"][1] < seen[job.folder.name][1] / 2
    assert [one.input.reason for one in plan.candidates] == ["coco", job.folder.name]


def test_a_fast_type_starts_from_coco_with_an_input_that_is_as_fast(
    coco_weights: pathlib.Path, drawn: conftest.Drawn, tmp_path: pathlib.Path
) -> None:
    """Fewer pixels, no windows of more, and ImageNet's slow network never."""
    folder = conftest.write_job(tmp_path, drawn.rows, weights_dir=str(coco_weights), model_type="mobile-low-latency-1")
    job, seen = TrainingJob.read(folder), dict[str, dense.ModelType]()

    def choose(of: pathlib.Path, kind: dense.ModelType, time: input_size.TimeBudget) -> input_size.InputSize:
        seen[of.name] = kind
        return CHOSEN

    for images, starts in ((50, [coco.SOURCE, "random"]), (500, ["random", coco.SOURCE])):
        plan = candidates.plan(job, schedule.Recipe(), dense.FAST, _time(1e6), choose, images, images)
        assert [one.start for one in plan.candidates] == starts
    fast, plain = seen["coco"], seen[job.folder.name]
    assert fast.input_area_px < plain.input_area_px / 2 and fast.most_area_px < plain.most_area_px / 2
    assert (fast.windows_below, plain.windows_below) == (0.0, 0.0)
    without = dataclasses.replace(job, weights_dir=None)
    (alone,) = candidates.plan(without, schedule.Recipe(), dense.FAST, _time(1e6), choose, 50, 50).candidates
    assert alone.start == "random"


@pytest.mark.parametrize(
    ("first", "second", "taken"), [(0.50, 0.49, 1), (0.50, 0.53, 1), (0.53, 0.50, 0), (0.50, None, 0)]
)
def test_random_weights_need_only_be_nearly_as_good(first: float, second: float | None, taken: int) -> None:
    started = trained.Trained(
        network=dense.Network(dense.TINY, 1), input=input_size.UNKNOWN, splits=dataset.Splits((), (), (), ()), steps=1,
        batch_size=1, stop_reason="", training_s=1.0, history={}, score=first, start=coco.SOURCE,
    )  # fmt: skip
    chosen = candidates.better(started, dataclasses.replace(started, start="random", score=second))
    assert chosen.start == (coco.SOURCE, "random")[taken]
    assert chosen.choice.startswith(("from COCO's weights: ", "from random weights: ")[taken])


# ---- whole jobs ---------------------------------------------------------------------------------------------------


class Stopping(Watcher):
    """Asks to stop at a step of the network that starts from COCO."""

    def stop_requested(self) -> bool:
        details = self.events[-1][2] if self.events else {}
        return details.get("initial_weights") == coco.SOURCE and details["step"] >= 3


@pytest.fixture(autouse=True)
def every_step_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_trainer, "PROGRESS_EVERY_S", 0.0)


def _job(folder: pathlib.Path, drawn: conftest.Drawn, weights: pathlib.Path, **fields: Any) -> pathlib.Path:
    named = {"model_type": "mobile-high-accuracy-1", "recipe": RECIPE, "weights_dir": str(weights), **fields}
    return conftest.write_job(folder, drawn.rows, **named)


def _run(folder: pathlib.Path, drawn: conftest.Drawn, watcher: Watcher | None = None) -> dict[str, Any]:
    session.run(TrainingJob.read(folder), drawn.read, watcher or Watcher(), elapsed())
    provenance: dict[str, Any] = json.loads((folder / "model" / "model.json").read_text())["provenance"]
    return provenance


def test_a_model_names_its_weights_and_a_stop_changes_nothing(
    coco_weights: pathlib.Path, drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "USEFUL_SCORE", -1.0)  # whatever validation says, no other network is tried
    whole = _run(_job(tmp_path / "whole", drawn, coco_weights), drawn)
    assert whole["initial_weights"] == coco.SOURCE and whole["network"].startswith("from COCO's weights, and good")
    origin = whole["initial_weights_origin"]
    assert origin["name"] == "nanodet-g-coco" and "Apache-2.0" in origin["licences"] and len(origin["sha256"]) == 64
    assert whole["untrained_score"] is None and whole["steps"] == 6
    folder = _job(tmp_path / "stopped", drawn, coco_weights)
    with pytest.raises(listener.TrainingStopped):
        session.run(TrainingJob.read(folder), drawn.read, Stopping(), elapsed())
    watcher = Watcher()
    assert _run(folder, drawn, watcher)["weights_sha256"] == whole["weights_sha256"]
    assert min(details["step"] for _, _, details in watcher.events if details.get("initial_weights")) >= 3
    assert sorted(path.name for path in folder.iterdir()) == ["examples.jsonl", "job.json", "model"]
    notice = dict(export_formats.files(folder / "model", "onnx"))["NOTICE"].decode()
    assert "RangiLyu" in notice and "MIT License" in notice


def test_the_plain_network_follows_where_it_finds_too_little(
    coco_weights: pathlib.Path, drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "USEFUL_SCORE", 2.0)  # whatever it is worth
    monkeypatch.setattr(candidates, "GAIN", 2.0)  # however far ahead COCO's is
    watcher = Watcher()
    folder = _job(tmp_path, drawn, coco_weights)
    provenance = _run(folder, drawn, watcher)
    assert provenance["initial_weights"] == "random" and "from COCO's weights" in provenance["network"]
    assert provenance["initial_weights_origin"] is None and not (folder / "model" / "NOTICE").exists()
    seen = [details["initial_weights"] for _, _, details in watcher.events if "initial_weights" in details]
    assert seen == [coco.SOURCE] * seen.count(coco.SOURCE) + ["random"] * seen.count("random")
    assert sorted(path.name for path in folder.iterdir()) == ["examples.jsonl", "job.json", "model"]


@pytest.mark.parametrize(("untrained", "steps", "last_step"), [(0.0, 6, 6), (0.9, 0, 3)])
def test_the_network_as_it_was_is_the_model_if_training_brings_nothing(
    coco_weights: pathlib.Path,
    drawn: conftest.Drawn,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    untrained: float,
    steps: int,
    last_step: int,
) -> None:
    """Labels that COCO knows; what the network is worth untrained on drawn squares is said by the test."""
    monkeypatch.setattr(fit.CandidateTrainer, "_untrained_scores", lambda self, network: (untrained, untrained))
    monkeypatch.setattr(candidates.Candidate, "finds_too_little", lambda self, score: False)
    watcher = Watcher()
    provenance = _run(_job(tmp_path, drawn, coco_weights, labels=KNOWN), drawn, watcher)
    assert (provenance["steps"], provenance["untrained_score"]) == (steps, untrained)
    trained_steps = [details["step"] for _, stage, details in watcher.events if stage == "training"]
    assert max(trained_steps) == last_step, "the first validation is at half of the steps"
    assert [one for one in watcher.warnings if "VALIDATION has only" in one and "uncertain" in one]
    assert ("training has brought nothing" in provenance["network"]) == (steps == 0)


class Finishing(Watcher):
    """Asks for the end of the training, with what it has, after its first step."""

    def finish_requested(self) -> bool:
        return any(details.get("step") for _, _, details in self.events)


def test_a_training_that_is_to_finish_delivers_its_best_network(
    coco_weights: pathlib.Path, drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit.CandidateTrainer, "_untrained_scores", lambda self, network: (0.3, 0.3))
    folder, watcher = _job(tmp_path, drawn, coco_weights, labels=KNOWN), Finishing()
    outcome = session.run(TrainingJob.read(folder), drawn.read, watcher, elapsed())
    assert outcome.stop_reason == "MODEL_EARLY_STOPPED" and (folder / "model" / "evaluation.json").exists()
    provenance = json.loads((folder / "model" / "model.json").read_text())["provenance"]
    assert provenance["initial_weights"] == coco.SOURCE and "ended on request" in provenance["network"]
    starts = {details["initial_weights"] for _, _, details in watcher.events if "initial_weights" in details}
    assert starts == {coco.SOURCE}, "no second network is begun"


def test_a_training_that_is_to_finish_and_has_learned_nothing_delivers_nothing(
    coco_weights: pathlib.Path, drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "LEAST_SCORE", 0.5)  # squares are found after one step
    folder = _job(tmp_path, drawn, coco_weights)
    with pytest.raises(listener.TrainingStopped):
        session.run(TrainingJob.read(folder), drawn.read, Finishing(), elapsed())
    assert not (folder / "model").exists()


def test_an_untrained_network_is_judged_by_the_validation_images(
    coco_weights: pathlib.Path, drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "USEFUL_SCORE", -1.0)
    provenance = _run(_job(tmp_path / "known", drawn, coco_weights, labels=KNOWN), drawn)
    assert 0.0 <= provenance["untrained_score"] <= 1.0
    unknown = _run(_job(tmp_path / "unknown", drawn, coco_weights), drawn)
    assert unknown["untrained_score"] is None
