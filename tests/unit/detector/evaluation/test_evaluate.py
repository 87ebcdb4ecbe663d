"""Evaluation against a slow reference written from the rules, and against the COCO reference implementation."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxwright import boxes
from boxwright.detector.evaluation import evaluate

NAMES = ("cat", "dog", "owl")
LABELS = [{"display_name": name, "annotation_spec_id": f"id-{name}"} for name in NAMES]


def detections(rows: list[tuple[float, int, list[float]]]) -> boxes.Detections:
    """Rows of score, label, box; sorted here."""
    rows = sorted(rows, key=lambda row: -row[0])
    return boxes.Detections(
        np.asarray([row[2] for row in rows], np.float32).reshape(-1, 4),
        np.asarray([row[0] for row in rows], np.float32),
        np.asarray([row[1] for row in rows], np.int64),
    )


def truth(rows: list[tuple[int, list[float]]]) -> evaluate.GroundTruth:
    return evaluate.GroundTruth(
        np.asarray([row[1] for row in rows], np.float32).reshape(-1, 4), np.asarray([row[0] for row in rows], np.int64)
    )


def random_set(
    seed: int, images: int, label_count: int = 3, most: int = 8
) -> tuple[list[evaluate.GroundTruth], list[boxes.Detections]]:
    """Ground truth and detections that partly agree: jittered copies, wrong labels, inventions."""
    rng = np.random.default_rng(seed)
    all_truth, all_found = [], []
    for _ in range(images):
        count = int(rng.integers(0, most))
        corners = rng.uniform(0, 0.6, (count, 2))
        own = np.concatenate([corners, corners + rng.uniform(0.05, 0.4, (count, 2))], axis=1)
        labels = rng.integers(0, label_count, count)
        rows = []
        for box, label in zip(own, labels, strict=True):
            for _ in range(int(rng.integers(0, 3))):
                jittered = np.clip(box + rng.normal(0, 0.02, 4), 0, 1)
                other = int(rng.integers(label_count)) if rng.random() < 0.2 else int(label)
                rows.append((round(float(rng.uniform(0.01, 1)), 2), other, jittered.tolist()))
        for _ in range(int(rng.integers(0, 3))):
            corner = rng.uniform(0, 0.6, 2)
            box = [*corner, *(corner + rng.uniform(0.05, 0.3, 2))]
            rows.append((round(float(rng.uniform(0.01, 1)), 2), int(rng.integers(label_count)), box))
        rows = [row for row in rows if row[2][2] > row[2][0] and row[2][3] > row[2][1]]
        all_truth.append(truth([(int(label), box.tolist()) for label, box in zip(labels, own, strict=True)]))
        all_found.append(detections(rows))
    return all_truth, all_found


def iou(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inner = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner
    return inner / union if union > 0 else 0.0


def slow_matches(
    label: int, threshold: float, all_truth: list[evaluate.GroundTruth], all_found: list[boxes.Detections]
) -> tuple[list[tuple[float, bool]], int]:
    """Rule 1 and 2, one detection at a time: (score, matched) best first, and the number of boxes."""
    rows = []
    for image, found in enumerate(all_found):
        scores = boxes.rounded_scores(found.scores)
        rows += [(-scores[i], image, i) for i in range(len(found)) if found.label_indices[i] == label]
    taken: set[tuple[int, int]] = set()
    result = []
    for negative, image, i in sorted(rows):
        own = all_truth[image]
        best, best_iou = -1, -1.0
        for j in range(len(own.label_indices)):
            if own.label_indices[j] != label or (image, j) in taken:
                continue
            overlap = iou(all_found[image].boxes_norm[i], own.boxes_norm[j])
            if overlap > best_iou:
                best, best_iou = j, overlap
        matched = best >= 0 and best_iou >= threshold
        if matched:
            taken.add((image, best))
        result.append((-negative, matched))
    return result, sum(int((one.label_indices == label).sum()) for one in all_truth)


def slow_ap(rows: list[tuple[float, bool]], box_count: int) -> float:
    """Rule 4: area under the monotone curve."""
    if not box_count:
        return 0.0
    precisions, hits = [], 0
    for index, (_, matched) in enumerate(rows, 1):
        hits += matched
        precisions.append(hits / index)
    return sum(max(precisions[i:]) for i, (_, matched) in enumerate(rows) if matched) / box_count


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 100_000), st.integers(0, 6))
def test_every_cell_follows_the_rules(seed: int, images: int) -> None:
    all_truth, all_found = random_set(seed, images)
    result = evaluate.evaluate(LABELS, all_truth, all_found, split="TEST")
    rng = np.random.default_rng(seed)
    for row in rng.choice(23, 4, replace=False):
        threshold = evaluate.GRID[row]
        pooled = [slow_matches(label, threshold, all_truth, all_found) for label in range(3)]
        precisions = [slow_ap(*one) for one in pooled]
        counted = [ap for ap, (_, count) in zip(precisions, pooled, strict=True) if count]
        overall = result["overall"]["bounding_box_metrics_entries"][row]
        assert overall["iou_threshold"] == threshold
        assert math.isclose(overall["mean_average_precision"], np.mean(counted) if counted else 0.0, abs_tol=1e-9)
        for label in range(3):
            found = result["labels"][label]["bounding_box_metrics_entries"][row]["mean_average_precision"]
            assert math.isclose(found, precisions[label], abs_tol=1e-9)
        total = sum(count for _, count in pooled)
        for column in rng.choice(23, 5, replace=False):
            cell = overall["confidence_metrics_entries"][column]
            kept = [hit for rows, _ in pooled for score, hit in rows if score >= cell["confidence_threshold"]]
            precision = sum(kept) / len(kept) if kept else 0.0
            recall = sum(kept) / total if total else 0.0
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            assert math.isclose(cell["precision"], precision, abs_tol=1e-12)
            assert math.isclose(cell["recall"], recall, abs_tol=1e-12)
            assert math.isclose(cell["f1_score"], f1, abs_tol=1e-12)


def test_the_extras_are_those_of_the_coco_reference() -> None:
    from faster_coco_eval import COCO, COCOeval_faster

    all_truth, all_found = random_set(7, 40)
    images, annotations, results = [], [], []
    for index, (own, found) in enumerate(zip(all_truth, all_found, strict=True), 1):
        images.append({"id": index, "width": 1, "height": 1, "file_name": str(index)})
        for box, label in zip(own.boxes_norm.astype(float), own.label_indices, strict=True):
            sides = [box[2] - box[0], box[3] - box[1]]
            annotation = {"id": len(annotations) + 1, "image_id": index, "category_id": int(label) + 1, "iscrowd": 0}
            annotations.append({**annotation, "bbox": [box[0], box[1], *sides], "area": sides[0] * sides[1]})
        for box, label, score in zip(
            found.boxes_norm.astype(float), found.label_indices, boxes.rounded_scores(found.scores), strict=True
        ):
            bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            results.append({"image_id": index, "category_id": int(label) + 1, "bbox": bbox, "score": float(score)})
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(NAMES)]
    reference = COCO({"images": images, "annotations": annotations, "categories": categories})
    evaluation = COCOeval_faster(reference, reference.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    extras = evaluate.evaluate(LABELS, all_truth, all_found, split="TEST")["extras"]
    assert extras["map50_95"] == pytest.approx(evaluation.stats[0], abs=1e-6)
    assert extras["map50"] == pytest.approx(evaluation.stats[1], abs=1e-6)
    assert extras["map75"] == pytest.approx(evaluation.stats[2], abs=1e-6)
    assert 0.2 < extras["map50"] < 0.9
    quick = evaluate.quick_scores(3, all_truth, all_found)
    assert quick == (extras["map50"], extras["map50_95"])
    precision = evaluation.eval["precision"]
    for index, row in enumerate(extras["labels"]):
        assert row["ap50"] == pytest.approx(precision[0, :, index, 0, -1].mean(), abs=1e-6)


def test_the_grid_holds_exact_decimals() -> None:
    assert len(evaluate.GRID) == 23
    assert evaluate.GRID[:2] == (0.05, 0.1) and 0.5 in evaluate.GRID and 0.3 in evaluate.GRID
    assert evaluate.GRID[-5:] == (0.95, 0.96, 0.97, 0.98, 0.99)


def test_a_perfect_model_scores_one_and_the_document_is_complete() -> None:
    box = [0.1, 0.2, 0.5, 0.6]
    all_truth = [truth([(0, box), (1, [0.6, 0.6, 0.9, 0.9])]), truth([(0, box)]), truth([])]
    all_found = [
        detections([(1.0, 0, box), (0.999, 1, [0.6, 0.6, 0.9, 0.9])]),
        detections([(0.995, 0, box)]),
        detections([]),
    ]
    result = json.loads(json.dumps(evaluate.evaluate(LABELS, all_truth, all_found, split="TEST")))
    overall = result["overall"]
    assert overall["evaluated_example_count"] == 3 and overall["evaluated_bounding_box_count"] == 3
    assert overall["bounding_box_mean_average_precision"] == 1.0  # owl has no ground truth and does not count
    assert len(overall["bounding_box_metrics_entries"]) == 23
    assert {len(entry["confidence_metrics_entries"]) for entry in overall["bounding_box_metrics_entries"]} == {23}
    half = overall["bounding_box_metrics_entries"][9]["confidence_metrics_entries"][9]
    assert half == {"confidence_threshold": 0.5, "recall": 1.0, "precision": 1.0, "f1_score": 1.0}
    cat, dog, owl = result["labels"]
    assert (cat["evaluated_example_count"], cat["evaluated_bounding_box_count"]) == (2, 2)
    assert (dog["evaluated_example_count"], dog["annotation_spec_id"]) == (1, "id-dog")
    assert owl["bounding_box_mean_average_precision"] == 0.0 and owl["evaluated_example_count"] == 0
    assert result["extras"]["map50"] == 1.0 and result["extras"]["images"] == 3


def test_nothing_found_and_nothing_there_are_zeros_not_errors() -> None:
    for all_truth, all_found in [
        ([], []),
        ([truth([])], [detections([])]),
        ([truth([(0, [0, 0, 1, 1])])], [detections([])]),
        ([truth([])], [detections([(0.9, 0, [0, 0, 1, 1])])]),
    ]:
        overall = evaluate.evaluate(LABELS, all_truth, all_found, split="TEST")["overall"]
        assert overall["bounding_box_mean_average_precision"] == 0.0
        row = overall["bounding_box_metrics_entries"][0]["confidence_metrics_entries"][0]
        assert (row["precision"], row["recall"], row["f1_score"]) == (0.0, 0.0, 0.0)


def test_each_box_is_taken_once_and_the_best_overlap_wins() -> None:
    left, right = [0.0, 0.0, 0.4, 0.4], [0.1, 0.0, 0.5, 0.4]
    all_truth = [truth([(0, left), (0, right)])]
    twice = [detections([(0.9, 0, right), (0.8, 0, right)])]  # the second takes `left`, which it overlaps by 0.6
    entries = evaluate.evaluate(LABELS[:1], all_truth, twice, split="TEST")["overall"]["bounding_box_metrics_entries"]
    recall = {entry["iou_threshold"]: entry["confidence_metrics_entries"][0]["recall"] for entry in entries}
    assert recall[0.55] == 1.0 and recall[0.65] == 0.5


def test_at_most_a_hundred_boxes_of_an_image_count() -> None:
    box = [0.1, 0.1, 0.2, 0.2]
    rows = [(0.9 - index / 1000, 0, [0.5, 0.5, 0.6, 0.6]) for index in range(100)]
    result = evaluate.evaluate(LABELS[:1], [truth([(0, box)])], [detections([*rows, (0.1, 0, box)])], split="TEST")
    assert result["overall"]["bounding_box_mean_average_precision"] == 0.0
