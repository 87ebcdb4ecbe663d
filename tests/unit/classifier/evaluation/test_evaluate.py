"""The API's metrics against a referee: scikit-learn, on random scores with many ties."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from google.cloud.automl_v1 import types
from sklearn import metrics

from boxwright.classifier.evaluation import curves, evaluate

LABELS = [{"display_name": name, "annotation_spec_id": str(number)} for number, name in enumerate("abcdefghijk", 1)]


def drawn(seed: int, images: int, labels: int, *, multiclass: bool) -> tuple[np.ndarray, np.ndarray]:
    """Targets and scores, in steps coarse enough for ties, a few of them exactly at thresholds."""
    rng = np.random.default_rng(seed)
    if multiclass:
        targets = np.eye(labels, dtype=bool)[rng.integers(0, labels, images)]
        scores = np.exp(rng.normal(size=(images, labels)) + 1.5 * targets)
        scores /= scores.sum(axis=1, keepdims=True)
    else:
        targets = rng.random((images, labels)) < 0.3
        scores = np.clip(rng.random((images, labels)) * 0.7 + 0.3 * targets, 0.0, 1.0)
    return targets, np.round(scores * 40) / 40


def evaluated(targets: np.ndarray, scores: np.ndarray, *, multiclass: bool) -> dict[str, Any]:
    kind = "MULTICLASS" if multiclass else "MULTILABEL"
    found = evaluate.evaluate(LABELS[: targets.shape[1]], targets, scores, classification_type=kind, split="TEST")
    return json.loads(json.dumps(found))


def envelope_area(targets: np.ndarray, scores: np.ndarray) -> float:
    """Under scikit-learn's precision-recall points, made monotone: its own average precision is not interpolated."""
    precision, recall, _ = metrics.precision_recall_curve(targets, scores)
    order = np.argsort(recall, kind="stable")
    precision, recall = precision[order], recall[order]
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * best[1:]).sum())


@pytest.mark.parametrize("multiclass", [True, False])
@pytest.mark.parametrize(("seed", "images", "labels"), [(0, 60, 4), (1, 200, 11), (2, 7, 2)])
def test_the_figures_are_those_of_the_referee(seed: int, images: int, labels: int, multiclass: bool) -> None:
    targets, scores = drawn(seed, images, labels, multiclass=multiclass)
    found = evaluated(targets, scores, multiclass=multiclass)
    overall, flat = found["overall"], (targets.ravel(), scores.ravel())
    assert overall["au_roc"] == pytest.approx(metrics.roc_auc_score(targets, scores, average="micro"))
    assert overall["au_prc"] == pytest.approx(envelope_area(*flat))
    assert overall["au_prc"] >= metrics.average_precision_score(targets, scores, average="micro") - 1e-12
    rows = {one["confidence_threshold"]: one for one in overall["confidence_metrics_entry"]}
    assert len(rows) == 24 and min(rows) == 0.0 and 0.5 in rows and max(rows) == 0.99
    best = np.zeros_like(targets)
    best[np.arange(images), scores.argmax(axis=1)] = True
    for threshold, row in rows.items():
        said = scores >= threshold
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(
            targets, said, average="micro", zero_division=0.0
        )
        assert (row["precision"], row["recall"], row["f1_score"]) == pytest.approx((precision, recall, f1))
        quiet, alarms, misses, hits = metrics.confusion_matrix(flat[0], said.ravel(), labels=[False, True]).ravel()
        assert [row[f"{name}_count"] for name in ("true_positive", "false_positive")] == [hits, alarms]
        assert [row[f"{name}_count"] for name in ("false_negative", "true_negative")] == [misses, quiet]
        assert row["false_positive_rate"] == pytest.approx(alarms / (alarms + quiet))
        alone = metrics.precision_recall_fscore_support(targets, said & best, average="micro", zero_division=0.0)
        assert (row["precision_at1"], row["recall_at1"], row["f1_score_at1"]) == pytest.approx(alone[:3])
        assert row["false_positive_rate_at1"] == pytest.approx((said & best & ~targets).sum() / (~targets).sum())
        assert row["position_threshold"] == 2**31 - 1


@pytest.mark.parametrize("multiclass", [True, False])
def test_each_label_is_one_against_the_rest(multiclass: bool) -> None:
    targets, scores = drawn(3, 120, 5, multiclass=multiclass)
    found = evaluated(targets, scores, multiclass=multiclass)
    assert [one["annotation_spec_id"] for one in found["labels"]] == ["1", "2", "3", "4", "5"]
    for index, one in enumerate(found["labels"]):
        own = targets[:, index], scores[:, index]
        assert one["evaluated_example_count"] == own[0].sum()
        assert one["au_roc"] == pytest.approx(metrics.roc_auc_score(*own))
        assert one["au_prc"] == pytest.approx(envelope_area(*own))
        row = next(row for row in one["confidence_metrics_entry"] if row["confidence_threshold"] == 0.5)
        assert row["recall"] == pytest.approx(metrics.recall_score(own[0], own[1] >= 0.5))


def test_losses_are_those_of_the_referee() -> None:
    targets, scores = drawn(4, 90, 4, multiclass=True)
    scores = scores / scores.sum(axis=1, keepdims=True)
    overall = evaluated(targets, scores, multiclass=True)["overall"]
    clipped = np.clip(scores, 1e-7, 1 - 1e-7)
    truth = targets.argmax(axis=1)
    assert overall["log_loss"] == pytest.approx(-np.log(clipped[np.arange(90), truth]).mean())
    assert overall["log_loss"] == pytest.approx(metrics.log_loss(truth, clipped / clipped.sum(1, keepdims=True)), 1e-4)
    targets, scores = drawn(5, 90, 4, multiclass=False)
    overall = evaluated(targets, scores, multiclass=False)["overall"]
    expected = metrics.log_loss(targets.ravel(), np.clip(scores, 1e-7, 1 - 1e-7).ravel())
    assert overall["log_loss"] == pytest.approx(expected)


def test_the_confusion_matrix_is_there_for_one_label_an_image_and_at_most_ten_labels() -> None:
    targets, scores = drawn(6, 150, 10, multiclass=True)
    found = evaluated(targets, scores, multiclass=True)
    matrix = found["overall"]["confusion_matrix"]
    expected = metrics.confusion_matrix(targets.argmax(axis=1), scores.argmax(axis=1), labels=range(10))
    assert [row["example_count"] for row in matrix["row"]] == expected.tolist()
    assert matrix["annotation_spec_id"] == [str(number) for number in range(1, 11)]
    assert found["extras"]["top1_accuracy"] == pytest.approx(np.trace(expected) / 150)
    assert not any("confusion_matrix" in one for one in found["labels"])
    more = evaluated(*drawn(6, 150, 11, multiclass=True), multiclass=True)
    assert "confusion_matrix" not in more["overall"] and len(more["extras"]["confusion_matrix"]) == 11
    several = evaluated(*drawn(6, 150, 4, multiclass=False), multiclass=False)
    assert "confusion_matrix" not in several["overall"] and "confusion_matrix" not in several["extras"]


def test_an_image_without_any_other_label_is_shown_last() -> None:
    labels = [{"display_name": name, "annotation_spec_id": name} for name in ("None_of_the_above", "a", "z")]
    targets = np.eye(3, dtype=bool)
    found = evaluate.evaluate(labels, targets, targets * 1.0, classification_type="MULTICLASS", split="TEST")
    assert [one["display_name"] for one in found["labels"]] == ["a", "z", "None_of_the_above"]
    assert found["overall"]["confusion_matrix"]["display_name"] == ["a", "z", "None_of_the_above"]
    assert [row["example_count"] for row in found["overall"]["confusion_matrix"]["row"]] == np.eye(3).tolist()


def test_of_equal_scores_the_earlier_label_counts() -> None:
    targets = np.array([[False, True]])
    row = evaluated(targets, np.array([[0.5, 0.5]]), multiclass=True)["overall"]["confidence_metrics_entry"][0]
    assert (row["recall"], row["recall_at1"], row["false_positive_count"]) == (1.0, 0.0, 1)


@pytest.mark.parametrize("multiclass", [True, False])
def test_without_images_everything_is_zero(multiclass: bool) -> None:
    found = evaluated(np.zeros((0, 3), bool), np.zeros((0, 3)), multiclass=multiclass)
    assert (found["overall"]["au_prc"], found["overall"]["au_roc"], found["overall"]["log_loss"]) == (0.0, 0.0, 0.0)
    assert found["extras"]["expected_calibration_error"] == 0.0


def test_one_answer_alone_has_no_characteristic() -> None:
    assert curves.area_under_roc(np.ones(3, bool), np.array([0.1, 0.2, 0.3])) == 0.0
    assert curves.average_precision(np.zeros(3, bool), np.array([0.1, 0.2, 0.3])) == 0.0


def test_calibration_sorts_answers_by_their_scores() -> None:
    scores = np.array([[0.95, 0.05]] * 10 + [[0.62, 0.38]] * 10)
    targets = np.array([[True, False]] * 9 + [[False, True]] + [[True, False]] * 5 + [[False, True]] * 5)
    extras = evaluated(targets, scores, multiclass=True)["extras"]
    assert [(one["images"], one["accuracy"]) for one in extras["calibration"]] == [(10, 0.5), (10, 0.9)]
    assert extras["expected_calibration_error"] == pytest.approx(0.5 * 0.05 + 0.5 * 0.12)


@pytest.mark.parametrize("multiclass", [True, False])
def test_the_entries_are_fields_of_the_api(multiclass: bool) -> None:
    found = evaluated(*drawn(7, 40, 3, multiclass=multiclass), multiclass=multiclass)
    overall = {name: value for name, value in found["overall"].items() if name != "evaluated_example_count"}
    ids = overall.pop("annotation_spec_id")
    message = types.ClassificationEvaluationMetrics(annotation_spec_id=ids, **overall)
    assert len(message.confidence_metrics_entry) == 24 and list(message.annotation_spec_id) == ["1", "2", "3"]
    assert message.confidence_metrics_entry[0].position_threshold == 2**31 - 1
    assert len(message.confusion_matrix.row) == (3 if multiclass else 0)
