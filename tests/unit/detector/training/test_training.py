"""Whole trainings of a tiny network: what they leave behind, how they stop, and that a resumed one is the same one."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.support.machine.waiting import promptly
from tests.unit.detector import conftest
from tests.unit.detector.conftest import Watcher, elapsed

from boxwright.detector import session
from boxwright.detector.network import loss
from boxwright.detector.planning import input_size, schedule
from boxwright.inference import baseline, evaluated_examples, outcomes, predictor
from boxwright.learning import checkpoint, listener, pixel_cache
from boxwright.learning import trainer as learning_trainer
from boxwright.learning.job import JobError, Outcome, TrainingJob

PATIENCE_S = 60.0  # for a child on a loaded machine; the promises below are much shorter


@pytest.fixture(autouse=True, scope="module")
def every_step_is_reported() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning_trainer, "PROGRESS_EVERY_S", 0.0)
        yield


@pytest.fixture(scope="module")
def undisturbed(
    drawn: conftest.Drawn, tmp_path_factory: pytest.TempPathFactory
) -> tuple[pathlib.Path, Outcome, Watcher]:
    folder = conftest.write_job(tmp_path_factory.mktemp("job"), drawn.rows)
    watcher = Watcher()
    return folder, session.run(TrainingJob.read(folder), drawn.read, watcher, elapsed()), watcher


def test_a_training_leaves_a_model_that_predicts(
    undisturbed: tuple[pathlib.Path, Outcome, Watcher], drawn: conftest.Drawn
) -> None:
    folder, outcome, watcher = undisturbed
    assert outcome.stop_reason == "MODEL_CONVERGED"
    assert sorted(path.name for path in (folder / "model").iterdir()) == [
        "baseline.json",
        "evaluated.npz",
        "evaluation.json",
        "model.json",
        "model.onnx",
        "report.html",
    ]
    assert not (folder / "checkpoint.pt").exists() and not (folder / "model.draft").exists()
    opened = predictor.Predictor.open(folder / "model", streams=1)
    assert [label.annotation_spec_id for label in opened.labels] == ["11", "22"]
    opened.predict(next(iter(drawn.images.values())))
    document = json.loads((folder / "model" / "model.json").read_text())
    assert document["provenance"]["weights_sha256"] == outcome.weights_sha256
    assert document["provenance"]["steps"] == 40 and document["provenance"]["seed"] == 0
    assert sum(document["provenance"]["images"].values()) == 24
    evaluation = json.loads((folder / "model" / "evaluation.json").read_text())
    assert evaluation["extras"]["split"] == "TEST"
    known = baseline.read(folder / "model")
    assert known is not None
    assert known.profile.images == document["provenance"]["images"]["TEST"]
    assert known.quality.truth == evaluation["overall"]["evaluated_bounding_box_count"]
    assert evaluation["overall"]["evaluated_example_count"] == document["provenance"]["images"]["TEST"]
    kept = evaluated_examples.read(folder / "model")
    assert kept is not None and (kept.split, kept.labels) == ("TEST", tuple(one.display_name for one in opened.labels))
    assert len(kept) == evaluation["overall"]["evaluated_example_count"]
    for entry in evaluation["overall"]["bounding_box_metrics_entries"][::5]:
        for at in entry["confidence_metrics_entries"][::5]:
            counts = outcomes.OutcomeTable(kept).at(entry["iou_threshold"], at["confidence_threshold"]).counts()
            rates = outcomes.precision_recall_f1(*counts.sum(axis=0))
            assert rates == pytest.approx((at["precision"], at["recall"], at["f1_score"]), abs=1e-9)
    stages = [stage for _, stage, _ in watcher.events]
    assert set(stages) == {"training", "exporting", "quantising", "evaluating"} and stages == sorted(
        stages, key=stages.index
    )
    percents = [percent for percent, _, _ in watcher.events]
    assert percents == sorted(percents) and percents[-1] < 100
    details = next(details for _, _, details in watcher.events if details.get("step") == 30)
    assert set(details) >= {"step", "steps", "epoch", "losses", "images_per_s", "eta_s"}


def test_a_finished_job_is_found_not_repeated(
    undisturbed: tuple[pathlib.Path, Outcome, Watcher],
) -> None:
    folder, outcome, _ = undisturbed

    def read(uri: str) -> bytes:
        raise AssertionError("nothing is read again")

    again = session.run(TrainingJob.read(folder), read, Watcher(), elapsed())
    assert again.weights_sha256 == outcome.weights_sha256 and again.stop_reason == outcome.stop_reason


@pytest.mark.parametrize(
    "stop_at", [2.5, 75.0, 92.0, *(pytest.param(percent, marks=pytest.mark.full) for percent in (40.0, 90.0))]
)
def test_a_resumed_training_ends_with_the_same_weights(
    undisturbed: tuple[pathlib.Path, Outcome, Watcher],
    drawn: conftest.Drawn,
    tmp_path: pathlib.Path,
    stop_at: float,
) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows)
    with pytest.raises(listener.TrainingStopped):
        session.run(TrainingJob.read(folder), drawn.read, Watcher(stop_at), elapsed())
    assert not (folder / "model").exists()
    outcome = session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed())
    assert outcome.weights_sha256 == undisturbed[1].weights_sha256
    curves = [(one / "model" / "report.html").read_text().count("<polyline") for one in (folder, undisturbed[0])]
    assert curves[0] == curves[1] == 3 + 2 + 2  # three losses, two averages, two labels: none is lost by the stop
    same = [(one / "model" / "model.onnx").read_bytes() for one in (folder, undisturbed[0])]
    assert same[0] == same[1]


def test_passes_that_a_larger_input_takes_are_left_out_and_a_stop_changes_nothing(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "MIN_STEPS", 1)
    monkeypatch.setattr(schedule, "EPOCHS", 10)
    choice = input_size.InputSize((96, 96), 0.7, "half of the passes are left", passes=0.5)
    monkeypatch.setattr(input_size, "choose", lambda *evidence: choice)
    recipe = {name: value for name, value in conftest.RECIPE.items() if name not in ("steps", "input_area_px")}
    provenances = []
    for name in ("whole", "stopped"):
        folder = conftest.write_job(tmp_path / name, drawn.rows, recipe=recipe)
        if name == "stopped":
            with pytest.raises(listener.TrainingStopped):
                session.run(TrainingJob.read(folder), drawn.read, Watcher(40.0), elapsed())
        session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed())
        provenances.append(json.loads((folder / "model" / "model.json").read_text())["provenance"])
    for provenance in provenances:
        planned = schedule.planned_steps(provenance["images_a_pass"], conftest.RECIPE["batch_size"])
        assert provenance["steps"] == pytest.approx(planned / 2, abs=1)
        assert provenance["input"]["passes"] == 0.5
    assert provenances[0]["weights_sha256"] == provenances[1]["weights_sha256"]


@pytest.mark.full
def test_several_threads_repeat_their_result_too(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    folders = [conftest.write_job(tmp_path / name, drawn.rows, threads=2) for name in ("whole", "stopped")]
    with pytest.raises(listener.TrainingStopped):
        session.run(TrainingJob.read(folders[1]), drawn.read, Watcher(55.0), elapsed())
    outcomes = [session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed()) for folder in folders]
    assert outcomes[0].weights_sha256 == outcomes[1].weights_sha256


def test_another_seed_gives_other_weights_and_an_old_checkpoint_is_not_used(
    undisturbed: tuple[pathlib.Path, Outcome, Watcher], drawn: conftest.Drawn, tmp_path: pathlib.Path
) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows, seed=1)
    with pytest.raises(listener.TrainingStopped):
        session.run(TrainingJob.read(folder), drawn.read, Watcher(50), elapsed())
    conftest.write_job(tmp_path, drawn.rows, seed=2)
    watcher = Watcher()
    outcome = session.run(TrainingJob.read(folder), drawn.read, watcher, elapsed())
    assert outcome.weights_sha256 != undisturbed[1].weights_sha256
    assert any("belongs to another job" in warning for warning in watcher.warnings)


def test_a_damaged_checkpoint_is_reported_and_training_starts_anew(
    undisturbed: tuple[pathlib.Path, Outcome, Watcher], drawn: conftest.Drawn, tmp_path: pathlib.Path
) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows)
    (folder / checkpoint.CHECKPOINT_FILE).write_bytes(b"PK not really")
    watcher = Watcher()
    outcome = session.run(TrainingJob.read(folder), drawn.read, watcher, elapsed())
    assert outcome.weights_sha256 == undisturbed[1].weights_sha256
    assert "starts anew" in watcher.warnings[0]


def test_a_short_budget_is_kept_and_said_so(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    recipe = {**conftest.RECIPE, "steps": 1_000_000}
    folder = conftest.write_job(tmp_path, drawn.rows, budget_s=10.0, recipe=recipe)
    spent = listener.ElapsedTime(time.process_time, time.process_time())  # what another process does costs no budget
    outcome = session.run(TrainingJob.read(folder), drawn.read, Watcher(), spent)
    assert outcome.elapsed_s < 10.0
    assert outcome.stop_reason == "BUDGET_REACHED"
    assert (folder / "model" / "evaluation.json").exists()


def test_time_spent_before_counts(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    recipe = {**conftest.RECIPE, "steps": 1_000_000}
    folder = conftest.write_job(tmp_path, drawn.rows, budget_s=600.0, recipe=recipe)
    with pytest.raises(listener.TrainingStopped):
        session.run(TrainingJob.read(folder), drawn.read, Watcher(2.1), elapsed())
    state = checkpoint.load(folder)
    assert state is not None
    state.elapsed_s = 599.0
    checkpoint.save(folder, state)
    outcome = session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed())
    assert outcome.stop_reason == "BUDGET_REACHED" and outcome.elapsed_s > 599.0


def test_without_test_images_validation_is_used_and_said_so(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    rows = [{**drawn.rows[0], "ml_use": "TRAIN"}, {**drawn.rows[1], "ml_use": "VALIDATION"}]
    folder = conftest.write_job(tmp_path, rows, recipe={**conftest.RECIPE, "steps": 2})
    watcher = Watcher()
    session.run(TrainingJob.read(folder), drawn.read, watcher, elapsed())
    evaluation = json.loads((folder / "model" / "evaluation.json").read_text())
    assert evaluation["extras"]["split"] == "VALIDATION"
    assert any("no test image" in warning for warning in watcher.warnings)


def test_unreadable_images_are_left_out_with_a_warning(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    rows = [
        {**row, "ml_use": "TEST" if index < 4 else "VALIDATION" if index < 8 else "TRAIN"}
        for index, row in enumerate(drawn.rows)
    ]
    broken = {rows[0]["uri"]: b"", rows[5]["uri"]: b"text", rows[10]["uri"]: b"\xff\xd8\xff"}
    folder = conftest.write_job(tmp_path, rows, recipe={**conftest.RECIPE, "steps": 8})
    watcher = Watcher()
    session.run(TrainingJob.read(folder), lambda uri: broken.get(uri, drawn.images[uri]), watcher, elapsed())
    text = " ".join(watcher.warnings)
    assert rows[0]["uri"] in text and rows[10]["uri"] in text
    evaluation = json.loads((folder / "model" / "evaluation.json").read_text())
    assert evaluation["overall"]["evaluated_example_count"] == 3


@pytest.mark.parametrize(
    ("fields", "rows", "message"),
    [
        ({"model_type": "cloud-1"}, None, "Unknown model type 'cloud-1'"),
        ({"labels": []}, None, "no label"),
        ({"labels": conftest.LABELS[:1]}, None, "refers to label 1"),
        ({"recipe": {"magic": 1}}, None, "Unknown recipe field"),
        ({}, [], "nothing to learn"),
        ({}, [{"uri": "a", "sha256": "a", "ml_use": "TRAIN", "boxes": []}], "nothing to learn"),
        ({}, [{"uri": "a"}], "line 1 is unreadable"),
        ({"budget_s": 0}, None, "must be positive"),
    ],
)
def test_an_impossible_job_says_why(
    drawn: conftest.Drawn,
    tmp_path: pathlib.Path,
    fields: dict[str, Any],
    rows: list[dict[str, Any]] | None,
    message: str,
) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows if rows is None else rows, **fields)
    with pytest.raises(JobError, match=message):
        session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed())


def test_a_loss_that_is_not_finite_ends_the_training_and_keeps_the_checkpoint(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows)
    with pytest.raises(listener.TrainingStopped):
        session.run(TrainingJob.read(folder), drawn.read, Watcher(40), elapsed())
    before = (folder / checkpoint.CHECKPOINT_FILE).read_bytes()

    def spoilt(scores: torch.Tensor, distances: torch.Tensor, *rest: object) -> loss.Losses:
        nan = (scores.sum() + distances.sum()) * float("nan")
        return loss.Losses(nan, nan, nan)

    monkeypatch.setattr(loss, "detection_loss", spoilt)
    with pytest.raises(FloatingPointError, match="not finite at step"):
        session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed())
    assert (folder / checkpoint.CHECKPOINT_FILE).read_bytes() == before


# The child process: what the parent sees.


class Child:
    """A running trainer."""

    def __init__(self, folder: pathlib.Path) -> None:
        command = [sys.executable, "-m", "boxwright.detector.train_main", str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def events(self) -> list[dict[str, Any]]:
        assert self.process.stdout is not None
        return [json.loads(line) for line in self.process.stdout]

    def wait_for_a_step(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if json.loads(line).get("step"):
                return
        raise AssertionError("the child ended early")

    def close(self) -> None:
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait(PATIENCE_S)


@pytest.fixture
def long_job(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> pathlib.Path:
    """A job that would take hours, with its images in a bucket."""
    for uri, content in drawn.images.items():
        path = tmp_path / "buckets" / uri.removeprefix("gs://")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return conftest.write_job(
        tmp_path / "job",
        drawn.rows,
        stores={"buckets_dir": str(tmp_path / "buckets"), "state_dir": str(tmp_path)},
        recipe={**conftest.RECIPE, "steps": 10_000_000},
    )


def test_a_child_stops_when_told_and_a_later_one_finishes_its_work(
    long_job: pathlib.Path, drawn: conftest.Drawn
) -> None:
    child = Child(long_job)
    try:
        child.wait_for_a_step()
        assert child.process.stdin is not None
        child.process.stdin.write("stop\n")
        child.process.stdin.flush()
        with promptly(5):
            assert child.process.wait(PATIENCE_S) == 3
    finally:
        child.close()
    state = checkpoint.load(long_job)
    assert state is not None and state.step > 0 and state.elapsed_s > 0


def test_a_child_whose_parent_is_gone_ends_at_once(long_job: pathlib.Path) -> None:
    child = Child(long_job)
    try:
        child.wait_for_a_step()
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert child.process.wait(PATIENCE_S) == 4
    finally:
        child.process.kill()
        assert child.process.stdout is not None
        child.process.stdout.close()


def test_a_killed_child_leaves_nothing_half_done(long_job: pathlib.Path) -> None:
    child = Child(long_job)
    try:
        child.wait_for_a_step()
        os.kill(child.process.pid, signal.SIGKILL)
        assert child.process.wait(PATIENCE_S) == -signal.SIGKILL
    finally:
        child.close()
    fields = json.loads((long_job / "job.json").read_text())
    fields["recipe"]["steps"] = 12
    (long_job / "job.json").write_text(json.dumps(fields))
    child = Child(long_job)
    try:
        events = child.events()
        assert child.process.wait(PATIENCE_S) == 0
    finally:
        child.close()
    assert events[-1]["event"] == "done" and set(events[-1]) == {"event", "stop_reason", "elapsed_s", "weights_sha256"}
    assert (long_job / "model" / "model.json").exists()


def test_a_child_that_fails_says_why(tmp_path: pathlib.Path) -> None:
    stores = {"buckets_dir": str(tmp_path), "state_dir": str(tmp_path)}
    child = Child(conftest.write_job(tmp_path / "job", [], stores=stores))
    try:
        events = child.events()
        assert child.process.wait(PATIENCE_S) == 1
    finally:
        child.close()
    assert events == [
        {"event": "failed", "message": "There is nothing to learn from: no training image has a bounding box."}
    ]


def test_the_stores_error_is_an_unreadable_image(long_job: pathlib.Path, drawn: conftest.Drawn) -> None:
    from boxwright import objects

    stores = objects.Stores.from_config(json.loads((long_job / "job.json").read_text())["stores"])
    cache = pixel_cache.PixelCache(lambda uri: stores.get(objects.ObjectUri.parse(uri)), (96, 96), 1 << 20)
    assert cache.get(drawn.rows[0]["uri"]).shape[2] == 3
    with pytest.raises(pixel_cache.UnreadableImage, match="gone"):
        cache.get("gs://shapes/gone.jpg")
