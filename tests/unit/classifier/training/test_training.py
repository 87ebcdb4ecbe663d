"""Whole trainings on drawn images: what they leave, how they stop, and that a resumed one is the same one."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.unit.classifier import conftest
from tests.unit.classifier.conftest import Watcher, elapsed

from boxwright.classifier import session
from boxwright.classifier.network import network
from boxwright.classifier.training import features, label_weighting, start
from boxwright.inference import classification, evaluated_examples, outcomes
from boxwright.learning import checkpoint, device, listener, trainer
from boxwright.learning.job import JobError, Outcome, TrainingJob

PATIENCE_S = 120.0  # for a child on a loaded machine


@pytest.fixture(autouse=True, scope="module")
def every_step_is_reported() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "PROGRESS_EVERY_S", 0.0)
        yield


def trained(folder: pathlib.Path, drawn: conftest.Drawn, watcher: Watcher | None = None) -> Outcome:
    return session.run(TrainingJob.read(folder), drawn.read, watcher or Watcher(), elapsed())


def model_json(folder: pathlib.Path) -> dict[str, Any]:
    return json.loads((folder / "model" / "model.json").read_text())


def evaluation(folder: pathlib.Path) -> dict[str, Any]:
    return json.loads((folder / "model" / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def undisturbed(
    drawn: conftest.Drawn, tmp_path_factory: pytest.TempPathFactory
) -> tuple[pathlib.Path, Outcome, Watcher]:
    folder = conftest.write_job(
        tmp_path_factory.mktemp("job"), drawn.rows, recipe={**conftest.RECIPE, "quantise": True}
    )
    watcher = Watcher()
    return folder, trained(folder, drawn, watcher), watcher


def test_a_training_leaves_a_model_that_predicts(
    undisturbed: tuple[pathlib.Path, Outcome, Watcher], drawn: conftest.Drawn
) -> None:
    folder, outcome, watcher = undisturbed
    assert outcome.stop_reason == "MODEL_CONVERGED" and outcome.elapsed_s > 0
    document = model_json(folder)
    assert (document["kind"], document["classification_type"]) == ("image_classification", "MULTICLASS")
    assert document["labels"] == conftest.LABELS and document["input_hw"] == [64, 64]
    opened = classification.Classifier.open(folder / "model", streams=1)
    fresh = conftest.draw(12, seed=9)
    answers = [opened.predict(fresh.read(row["uri"])) for row in fresh.rows]
    right = [answer.label_indices[0] == row["labels"][0] for answer, row in zip(answers, fresh.rows, strict=True)]
    assert np.mean(right) >= 0.75
    assert all(one.scores.sum() == pytest.approx(1.0, abs=1e-4) for one in answers)
    assert set(document["provenance"]["initial_weights_origin"]) >= {"licences", "sha256", "trained_on"}
    assert "EfficientNet-Lite0" in (folder / "model" / "NOTICE").read_text()
    assert not (folder / "features").exists() and not (folder / "checkpoint.pt").exists()
    stages = list(dict.fromkeys(stage for _, stage, _ in watcher.events))
    assert stages == ["training", "exporting", "quantising", "evaluating"]
    percents = [percent for percent, _, _ in watcher.events]
    assert percents == sorted(percents) and percents[-1] < 100


def test_its_evaluation_and_report_are_kept_with_it(undisturbed: tuple[pathlib.Path, Outcome, Watcher]) -> None:
    found = evaluation(undisturbed[0])
    assert len(found["labels"]) == 3 and len(found["overall"]["confidence_metrics_entry"]) == 24
    assert found["extras"]["split"] == "TEST" and found["overall"]["evaluated_example_count"] == 6
    assert set(found["extras"]["candidates"]) == {"probe", "fine-tuned", "mean of both"}
    quantisation = found["extras"]["quantisation"]
    assert quantisation["compared_images"] == {"VALIDATION": 6, "TRAIN": 48} and quantisation["reason"]
    assert {"top1_accuracy", "ms_per_image"} == set(quantisation["fp32"]) == set(quantisation["int8"])
    kept = evaluated_examples.read(undisturbed[0] / "model")
    assert kept is not None and (kept.split, len(kept), kept.has_boxes) == ("TEST", 6, False)
    for at in found["overall"]["confidence_metrics_entry"][1:]:
        counts = outcomes.OutcomeTable(kept).at(0.5, at["confidence_threshold"]).counts().sum(axis=0)
        assert counts.tolist() == [
            at[f"{name}_count"] for name in ("true_positive", "false_positive", "false_negative")
        ]
    page = (undisturbed[0] / "model" / "report.html").read_text()
    assert all(one["display_name"] in page for one in conftest.LABELS) and "What was taken for what" in page
    assert "$" not in page.partition("</style>")[2].replace("$5", "")  # every place of the template is filled


def test_a_finished_job_is_done(undisturbed: tuple[pathlib.Path, Outcome, Watcher], drawn: conftest.Drawn) -> None:
    folder, outcome, _ = undisturbed
    assert trained(folder, drawn).weights_sha256 == outcome.weights_sha256


@pytest.mark.full  # a training is stopped once in `test_features_are_computed_once`
def test_a_training_that_was_stopped_ends_with_the_same_weights(
    undisturbed: tuple[pathlib.Path, Outcome, Watcher], drawn: conftest.Drawn, tmp_path: pathlib.Path
) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows)
    for stop_at in (5, 9):
        with pytest.raises(listener.TrainingStopped):
            trained(folder, drawn, Watcher(stop_at=stop_at))
        state = checkpoint.load(folder)
        assert state is not None and state.step == stop_at
    assert trained(folder, drawn).weights_sha256 == undisturbed[1].weights_sha256


def test_features_are_computed_once(
    undisturbed: tuple[pathlib.Path, Outcome, Watcher],
    drawn: conftest.Drawn,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows)
    with pytest.raises(listener.TrainingStopped):
        trained(folder, drawn, Watcher(stop_at=1))
    views = {path.name.split("-", 2)[2] for path in (folder / "features").iterdir()}
    assert views == {
        "train-whole-000000.npy", "train-mirrored-000000.npy", "validation-whole-000000.npy",
        "validation-mirrored-000000.npy", "validation-upside-down-000000.npy",
    }  # fmt: skip
    computed: list[str] = []
    frame = features.FeatureReader._frame

    def counted(self: features.FeatureReader, example: Any, view: str) -> Any:
        if self._keep_in is not None:
            computed.append(example.uri)
        return frame(self, example, view)

    monkeypatch.setattr(features.FeatureReader, "_frame", counted)
    assert trained(folder, drawn).weights_sha256 == undisturbed[1].weights_sha256
    assert computed == []


def test_any_number_of_labels_an_image(drawn_sets: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    folder = conftest.write_job(tmp_path, drawn_sets.rows, classification_type="MULTILABEL")
    trained(folder, drawn_sets)
    assert model_json(folder)["classification_type"] == "MULTILABEL"
    found = evaluation(folder)
    assert "confusion_matrix" not in found["overall"] and found["extras"]["macro_average_precision"] > 0.6
    opened = classification.Classifier.open(folder / "model", streams=1)
    fresh = conftest.draw(12, seed=9, multilabel=True)
    scores = np.stack([opened.predict(fresh.read(row["uri"])).by_label(3) for row in fresh.rows])
    truth = np.array([[label in row["labels"] for label in range(3)] for row in fresh.rows])
    assert ((scores >= 0.5) == truth).mean() >= 0.75 and scores.sum(axis=1).max() > 1.05


def test_a_short_budget_delivers_the_probe(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows, budget_s=0.5, recipe={**conftest.RECIPE, "steps": 100_000})
    watcher = Watcher()
    assert trained(folder, drawn, watcher).stop_reason == "BUDGET_REACHED"
    assert model_json(folder)["provenance"]["steps"] == 0
    assert any("too short for fine-tuning" in warning for warning in watcher.warnings)
    assert list(evaluation(folder)["extras"]["candidates"]) == ["probe"]


def test_a_training_that_is_to_finish_delivers_what_it_has(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    folder = conftest.write_job(tmp_path, drawn.rows)
    assert trained(folder, drawn, Watcher(finish_at=4)).stop_reason == "MODEL_EARLY_STOPPED"
    assert 4 <= model_json(folder)["provenance"]["steps"] < 12


@pytest.mark.full
def test_damaged_images_are_left_out_and_named(drawn: conftest.Drawn, tmp_path: pathlib.Path) -> None:
    images = {**drawn.images, "gs://shapes/000.jpg": b"not an image", "gs://shapes/001.jpg": b""}
    rows = [{**row, "ml_use": "TRAIN"} if row["uri"].endswith("/000.jpg") else row for row in drawn.rows]
    folder = conftest.write_job(tmp_path, rows, recipe={**conftest.RECIPE, "steps": 2})
    watcher = Watcher()
    trained(folder, conftest.Drawn(images, rows), watcher)
    assert any("gs://shapes/000.jpg" in warning for warning in watcher.warnings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "cloud-high-accuracy-1"}, "Unknown model type 'cloud-high-accuracy-1'"),
        ({"classification_type": "SOME"}, "Unknown classification type 'SOME'"),
        ({"recipe": {"speed": 3}}, "Unknown recipe field"),
        ({"recipe": {"pretrained": False}}, "the setting train_pretrained allows none"),
        ({"labels": conftest.LABELS[:2]}, "refers to label 2, but there are only 2 labels"),
    ],
)
def test_impossible_jobs_say_why(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(JobError, match=message):
        trained(conftest.write_job(tmp_path, drawn.rows, **changes), drawn)


def test_two_labels_of_one_image_are_refused_where_one_is_allowed(
    drawn: conftest.Drawn, tmp_path: pathlib.Path
) -> None:
    rows = [{**drawn.rows[0], "labels": [0, 1]}, *drawn.rows[1:]]
    with pytest.raises(JobError, match=r"several labels, which MULTICLASS does not allow: gs://shapes/000\.jpg"):
        trained(conftest.write_job(tmp_path, rows), drawn)


def test_images_without_a_label_teach_nothing_where_one_is_needed(
    drawn: conftest.Drawn, tmp_path: pathlib.Path
) -> None:
    rows = [{**row, "labels": []} for row in drawn.rows]
    with pytest.raises(JobError, match="no training image has a label"):
        trained(conftest.write_job(tmp_path, rows), drawn)


def test_rare_labels_count_more() -> None:
    targets = np.array([[1, 0, 1]] * 2 + [[0, 1, 1]] * 18, np.float32)
    assert label_weighting.of_labels(targets, is_multiclass=False).tolist() == pytest.approx([3.0, 1.0, 1.0])
    assert label_weighting.of_labels(targets, is_multiclass=True).tolist() == [1.0, 1.0, 1.0]


# The child process: what the parent sees.


def test_a_child_that_was_killed_goes_on_and_ends_with_the_same_weights(
    undisturbed: tuple[pathlib.Path, Outcome, Watcher], drawn: conftest.Drawn, tmp_path: pathlib.Path
) -> None:
    for uri, content in drawn.images.items():
        path = tmp_path / "buckets" / uri.removeprefix("gs://")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    folder = conftest.write_job(
        tmp_path / "job",
        drawn.rows,
        stores={"buckets_dir": str(tmp_path / "buckets"), "state_dir": str(tmp_path)},
        recipe={**conftest.RECIPE, "checkpoint_every_s": 1e-3},
    )
    command = [sys.executable, "-m", "boxwright.classifier.train_main", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if json.loads(line).get("step"):
                os.kill(child.pid, signal.SIGKILL)
                break
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        events = [json.loads(line) for line in child.stdout]
        assert child.wait(PATIENCE_S) == 0
    assert events[-1]["event"] == "done"
    assert events[-1]["weights_sha256"] == undisturbed[1].weights_sha256


def test_a_training_may_start_from_another_model(
    undisturbed: tuple[pathlib.Path, Outcome, Watcher], drawn: conftest.Drawn, tmp_path: pathlib.Path
) -> None:
    base = undisturbed[0] / "model"
    labels = [{**conftest.LABELS[2]}, {"display_name": "other", "annotation_spec_id": "7"}, {**conftest.LABELS[0]}]
    begun = start.load(network.FAST, base, [label["display_name"] for label in labels])
    assert begun.rows is not None and begun.rows.weight[1].any() == 0
    opened = classification.Classifier.open(base, streams=1, precision="fp32")
    prepared = opened.prepare(drawn.read(drawn.rows[0]["uri"]))
    begun.network.put_head(begun.rows)
    found = begun.network.logits(prepared.pixels, device.CPU)[0]
    expected = opened.infer(prepared).scores[0].astype(np.float64)  # of square, disc, cross
    assert found[2] - found[0] == pytest.approx(np.log(expected[0] / expected[2]), abs=1e-3)
    rows = [{**row, "labels": [2 - row["labels"][0]]} for row in drawn.rows]
    folder = conftest.write_job(
        tmp_path, rows, labels=labels, base_model_dir=str(base), recipe={**conftest.RECIPE, "finetune": False}
    )
    trained(folder, drawn)
    assert model_json(folder)["provenance"]["initial_weights"] == "model model"
    with pytest.raises(JobError, match="not of the model type"):
        trained(conftest.write_job(tmp_path / "b", rows, model_type="cloud", base_model_dir=str(base)), drawn)
    with pytest.raises(JobError, match="cannot be read"):
        trained(conftest.write_job(tmp_path / "c", rows, base_model_dir=str(tmp_path / "none")), drawn)
