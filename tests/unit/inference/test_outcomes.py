"""What was found in an evaluation's images: kept, and counted as the evaluation itself counts."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from boxwright import boxes
from boxwright.classifier.evaluation import evaluate as classification
from boxwright.detector.evaluation import comparison, evaluate
from boxwright.inference import evaluated_examples, outcomes
from boxwright.predictions import LabelScores

LABELS = ["car", "none", 'odd "label"\n']
DICTS = [{"display_name": one, "annotation_spec_id": str(index)} for index, one in enumerate(LABELS)]


def _detections(seed: int, count: int = 40) -> list[evaluated_examples.EvaluatedImage]:
    """Crowded images: findings lie near several boxes, with wrong labels, on nothing, and with equal scores."""
    random = np.random.default_rng(seed)
    images = []
    for number in range(count):
        there, found = random.integers(0, 7), random.integers(0, 140)
        corners = random.uniform(0, 0.6, (there, 2))
        truth = np.hstack([corners, corners + random.uniform(0.1, 0.4, (there, 2))]).astype(np.float32)
        places = random.uniform(0, 0.6, (found, 2))
        places = np.hstack([places, places + random.uniform(0.1, 0.4, (found, 2))])
        if there:
            near = random.random(found) < 0.7
            places[near] = truth[random.integers(0, there, near.sum())] + random.normal(0, 0.03, (near.sum(), 4))
        scores = np.sort(np.round(random.random(found), random.integers(1, 4)))[::-1].astype(np.float32)
        detections = boxes.Detections(places.astype(np.float32), scores, random.integers(0, 2, found))
        labels = random.integers(0, 3, there)
        images.append(
            evaluated_examples.EvaluatedImage(
                f"gs://b/{number}.jpg", f"{number:064x}", (9, 16), labels, truth, detections
            )
        )
    return images


def _classifications(seed: int, *, is_multiclass: bool, count: int = 60) -> list[evaluated_examples.EvaluatedImage]:
    random = np.random.default_rng(seed)
    images = []
    for number in range(count):
        scores = random.dirichlet(np.ones(3) / 2) if is_multiclass else random.random(3)
        order = np.argsort(-scores, kind="stable")
        labels = random.integers(0, 3, 1) if is_multiclass else np.flatnonzero(random.random(3) < 0.4)
        found = LabelScores(scores[order].astype(np.float32), order)
        images.append(evaluated_examples.EvaluatedImage(f"{number}", f"{number:064x}", (9, 16), labels, None, found))
    return images


def _collected(images: list[evaluated_examples.EvaluatedImage], *, has_boxes: bool) -> outcomes.OutcomeTable:
    return outcomes.OutcomeTable(evaluated_examples.collect(images, LABELS, split="TEST", has_boxes=has_boxes))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_counts_are_those_of_a_detectors_evaluation_at_every_threshold(seed: int) -> None:
    images = _detections(seed)
    truth = [evaluate.GroundTruth(one.boxes_norm, one.label_indices) for one in images if one.boxes_norm is not None]
    found = [one.found for one in images if isinstance(one.found, boxes.Detections)]
    said = evaluate.evaluate(DICTS, truth, found, split="TEST")
    table = _collected(images, has_boxes=True)
    for row, iou in enumerate(evaluate.GRID):
        for column, score in enumerate(outcomes.SCORES):
            counts = table.at(iou, score).counts()
            for one, numbers in [*zip(said["labels"], counts, strict=True), (said["overall"], counts.sum(axis=0))]:
                entry = one["bounding_box_metrics_entries"][row]["confidence_metrics_entries"][column]
                assert entry["confidence_threshold"] == score
                precision, recall, f1 = outcomes.precision_recall_f1(*numbers)
                assert (precision, recall) == (entry["precision"], entry["recall"])
                assert f1 == pytest.approx(entry["f1_score"], abs=1e-12)
    assert outcomes.best_score(table, 0.5) == comparison.best_threshold(said)


@pytest.mark.parametrize("kind", ["MULTICLASS", "MULTILABEL"])
def test_the_counts_are_those_of_a_classifiers_evaluation_at_every_threshold(kind: str) -> None:
    images = _classifications(3, is_multiclass=kind == "MULTICLASS")
    targets = np.array([[label in one.label_indices for label in range(3)] for one in images])
    scores = np.stack([one.found.by_label(3) for one in images if isinstance(one.found, LabelScores)])
    said = classification.evaluate(DICTS, targets, scores, classification_type=kind, split="TEST")
    table = _collected(images, has_boxes=False)
    for score in outcomes.SCORES:
        counts = table.at(0.5, score).counts()
        for one, numbers in [*zip(said["labels"], counts, strict=True), (said["overall"], counts.sum(axis=0))]:
            (entry,) = [row for row in one["confidence_metrics_entry"] if row["confidence_threshold"] == score]
            names = ("true_positive_count", "false_positive_count", "false_negative_count")
            assert numbers.tolist() == [entry[name] for name in names]


def test_the_rows_of_the_matrix_sum_to_the_boxes_and_partners_point_at_each_other() -> None:
    table = _collected(_detections(4), has_boxes=True)
    examples = table.examples
    boxes_by_label = np.bincount(examples.truth_labels, minlength=3)
    for iou, score in [(0.05, 0.05), (0.5, 0.3), (0.5, 0.77), (0.99, 0.99)]:
        found = table.at(iou, score)
        matrix = found.confusion()
        assert matrix[:-1].sum(axis=1).tolist() == boxes_by_label.tolist()
        assert matrix[:, :-1].sum() == found.kept.sum()
        assert matrix[-1, -1] == 0
        paired = np.flatnonzero(found.truth_partners != outcomes.NOTHING)
        assert found.finding_partners[found.truth_partners[paired]].tolist() == paired.tolist()
        assert (examples.finding_images[found.truth_partners[paired]] == examples.truth_images[paired]).all()
        assert (found.truth_ious[paired] >= iou).all()
        assert len(found.losses) == len(examples)
    perfect = _collected(_detections(4, 0), has_boxes=True)  # no image at all
    assert perfect.at(0.5, 0.5).confusion().sum() == 0
    assert outcomes.best_score(perfect, 0.5) == 0.5


def test_a_confused_box_is_no_false_alarm_and_no_miss() -> None:
    square = np.array([[0.1, 0.1, 0.5, 0.5]], np.float32)
    found = boxes.Detections(square, np.array([0.9], np.float32), np.array([1]))
    image = evaluated_examples.EvaluatedImage("a", "", (1, 1), np.array([0]), square, found)
    outcome = _collected([image], has_boxes=True).at(0.5, 0.5)
    assert outcome.confusion().tolist() == [[0, 1, 0, 0], [0] * 4, [0] * 4, [0] * 4]
    assert outcome.counts().tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert outcome.losses.tolist() == [1.0]


def test_what_is_kept_comes_back_and_has_the_same_bytes_each_time(tmp_path: pathlib.Path) -> None:
    examples = _collected(_detections(5), has_boxes=True).examples
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        evaluated_examples.write(tmp_path / folder, examples)
    file = tmp_path / "a" / evaluated_examples.FILE
    assert file.read_bytes() == (tmp_path / "b" / evaluated_examples.FILE).read_bytes()
    again = evaluated_examples.read(tmp_path / "a")
    assert again is not None
    assert (again.labels, again.uris, again.score_floor) == (tuple(LABELS), examples.uris, 0.01)
    for name in ("truth_boxes_norm", "finding_boxes_norm", "finding_scores", "finding_labels", "truth_images"):
        assert np.array_equal(getattr(again, name), getattr(examples, name))
    whole = file.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"PK" + whole):
        file.write_bytes(damaged)
        assert evaluated_examples.read(tmp_path / "a") is None
    assert evaluated_examples.read(tmp_path / "nowhere") is None


def test_too_many_findings_raise_the_least_score_that_is_kept() -> None:
    images = _detections(6)
    everything = evaluated_examples.collect(images, LABELS, split="TEST", has_boxes=True)
    few = evaluated_examples.collect(
        images, LABELS, split="TEST", has_boxes=True, max_findings=len(everything.finding_scores) - 1
    )
    assert few.score_floor > everything.score_floor
    kept = everything.finding_scores >= few.score_floor
    assert few.finding_scores.tolist() == everything.finding_scores[kept].tolist()
    assert outcomes.OutcomeTable(few).at(0.5, 0.5).counts().tolist() == (
        outcomes.OutcomeTable(everything).at(0.5, 0.5).counts().tolist()
    )


def test_crowds_are_paired_as_if_findings_took_turns() -> None:
    """Many boxes on one place, so that findings ask one label after another."""
    for seed in range(5):
        random = np.random.default_rng(seed)
        images = []
        for number in range(6):
            corners = random.uniform(0.3, 0.4, (30, 2))
            there = np.hstack([corners, corners + 0.3]).astype(np.float32)
            places = random.uniform(0.3, 0.4, (60, 2))
            scores = np.sort(np.round(random.random(60), 1))[::-1].astype(np.float32)
            boxes_norm = np.hstack([places, places + 0.3]).astype(np.float32)
            found = boxes.Detections(boxes_norm, scores, random.integers(0, 3, 60))
            images.append(
                evaluated_examples.EvaluatedImage(str(number), "", (9, 9), random.integers(0, 3, 30), there, found)
            )
        table = _collected(images, has_boxes=True)
        examples, outcome = table.examples, table.at(0.5, 0.2)
        partners = np.full(len(examples.finding_labels), outcomes.NOTHING)
        taken: set[int] = set()
        for is_same in (True, False):
            for finding in np.flatnonzero(examples.finding_scores >= 0.2):
                if partners[finding] != outcomes.NOTHING:
                    continue
                own = np.flatnonzero(examples.truth_images == examples.finding_images[finding])
                right = examples.truth_labels[own] == examples.finding_labels[finding]
                iou = boxes.pairwise_iou(
                    examples.finding_boxes_norm[[finding]].astype(np.float64),
                    examples.truth_boxes_norm[own].astype(np.float64),
                )[0]
                usable = [(-iou[at], row) for at, row in enumerate(own) if right[at] == is_same and row not in taken]
                if usable and -min(usable)[0] >= 0.5:
                    partners[finding] = min(usable)[1]
                    taken.add(int(partners[finding]))
        assert outcome.finding_partners.tolist() == partners.tolist()
