"""How good a classifier's scores are: the API's metrics, and the usual figures beside them. Pure numpy.

    evaluate(labels, targets, scores, …) -> dict      ready for JSON; docs/training.md states the rules

Scores are rounded as they are published before anything is counted. The overall evaluation pools all pairs of an image and a
label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright.classifier.evaluation import curves, intervals
from boxwright.inference import model_folder

# The API's 24 confidence thresholds; from literals, so that 0.5 is exactly 0.5.
THRESHOLDS = tuple(float(f"0.{hundredths:02d}") for hundredths in (*range(0, 100, 5), 96, 97, 98, 99))
EVERY_POSITION = 2**31 - 1  # the API's position threshold: no label is left out for its rank
MOST_IN_CONFUSION_MATRIX = 10  # labels: with more, the API has none
LEAST_PROBABILITY = 1e-7  # of what the logarithm is taken
CALIBRATION_BINS = 15
TOP = 5
LAST_LABEL = "None_of_the_above"  # the API's word for an image without any other label: shown last

_THRESHOLDS = np.asarray(THRESHOLDS)


@dataclasses.dataclass(frozen=True)
class ScoredImages:
    """Images with what is known of them and what was said.

    Attributes:
        targets: (N, C) bool.
        scores: (N, C) float64, rounded as published.
        classification_type: MULTICLASS or MULTILABEL.
    """

    targets: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float64]
    classification_type: str

    @property
    def is_multiclass(self) -> bool:
        """Whether every image has exactly one label."""
        return self.classification_type == model_folder.MULTICLASS

    @property
    def best(self) -> npt.NDArray[np.int64]:
        """(N,) the best-scored label of each image; of equals the earlier one."""
        return self.scores.argmax(axis=1)


def counts(targets: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """(24, 4): true positives, false positives, false negatives, true negatives of pairs at each threshold."""
    thresholds = -_THRESHOLDS
    positive = np.sort(-scores[targets])
    negative = np.sort(-scores[~targets])
    hits = np.searchsorted(positive, thresholds, side="right")
    alarms = np.searchsorted(negative, thresholds, side="right")
    return np.stack([hits, alarms, len(positive) - hits, len(negative) - alarms], axis=1)


def _rates(table: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
    hits, alarms, misses, quiet = table.T.astype(np.float64)
    precision, recall = ratio(hits, hits + alarms), ratio(hits, hits + misses)
    return {
        "recall": recall,
        "precision": precision,
        "f1_score": ratio(2 * precision * recall, precision + recall),
        "false_positive_rate": ratio(alarms, alarms + quiet),
    }


def ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The quotient part / whole, 0 where the whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _entry(one: ScoredImages, columns: slice, example_count: int, log_loss: float) -> dict[str, Any]:
    """One evaluation in the API's shape, over some of the labels."""
    targets, scores = one.targets[:, columns], one.scores[:, columns]
    alone = np.full(one.scores.shape, -1.0)  # below every threshold
    if len(alone):
        rows = np.arange(len(alone))
        alone[rows, one.best] = one.scores[rows, one.best]
    table = counts(targets, scores)
    usual, at_one = _rates(table), _rates(counts(targets, alone[:, columns]))
    return {
        "evaluated_example_count": example_count,
        "au_prc": curves.average_precision(targets.ravel(), scores.ravel()),
        "au_roc": curves.area_under_roc(targets.ravel(), scores.ravel()),
        "log_loss": log_loss,
        "confidence_metrics_entry": [
            {
                "confidence_threshold": threshold,
                "position_threshold": EVERY_POSITION,
                **{name: float(values[row]) for name, values in usual.items()},
                **{f"{name}_at1": float(values[row]) for name, values in at_one.items()},
                **dict(
                    zip(
                        ("true_positive_count", "false_positive_count", "false_negative_count", "true_negative_count"),
                        table[row].tolist(),
                        strict=True,
                    )
                ),
            }
            for row, threshold in enumerate(THRESHOLDS)
        ],
    }


def log_loss(one: ScoredImages) -> float:
    """Mean over images of −ln of the true label's score; of MULTILABEL the binary cross entropy, mean over pairs."""
    if not len(one.targets):
        return 0.0
    scores = np.clip(one.scores, LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY)
    if one.is_multiclass:
        return float(-np.log(scores[one.targets]).mean())
    return float(-np.where(one.targets, np.log(scores), np.log(1.0 - scores)).mean())


def confusion(one: ScoredImages) -> npt.NDArray[np.int64]:
    """(C, C) of MULTICLASS: row the true label, column the best-scored one."""
    size = one.targets.shape[1]
    table = np.zeros((size, size), np.int64)
    if len(one.targets):
        np.add.at(table, (one.targets.argmax(axis=1), one.best), 1)
    return table


def evaluate(
    labels: Sequence[dict[str, str]],
    targets: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float64],
    *,
    classification_type: str,
    split: str,
) -> dict[str, Any]:
    """Evaluates one set of images.

    Args:
        labels: display_name and annotation_spec_id of every label, in index order.
        targets: (N, C) bool; exactly one a row for MULTICLASS.
        scores: (N, C) float64, rounded as they are published.
        classification_type: MULTICLASS or MULTILABEL.
        split: TEST or VALIDATION, noted in the extras.

    Returns:
        `overall`, `labels` (one entry each, `None_of_the_above` last), `extras`; plain JSON data.
    """
    one = ScoredImages(targets, scores, classification_type)
    overall = _entry(one, slice(None), len(targets), log_loss(one))
    ids = [label["annotation_spec_id"] for label in labels]
    overall["annotation_spec_id"] = ids
    table = confusion(one) if one.is_multiclass else None
    if table is not None and len(labels) <= MOST_IN_CONFUSION_MATRIX:
        order = shown_order(labels)
        overall["confusion_matrix"] = {
            "annotation_spec_id": [ids[index] for index in order],
            "display_name": [labels[index]["display_name"] for index in order],
            "row": [{"example_count": table[index, order].tolist()} for index in order],
        }
    entries = []
    for index in shown_order(labels):
        column = ScoredImages(targets[:, [index]], scores[:, [index]], model_folder.MULTILABEL)
        support = int(targets[:, index].sum())
        entries.append(
            {
                "display_name": labels[index]["display_name"],
                **_entry(one, slice(index, index + 1), support, log_loss(column)),
                "annotation_spec_id": ids[index],
            }
        )
    return {"overall": overall, "labels": entries, "extras": {"split": split, **_extras(one, labels, table)}}


def shown_order(labels: Sequence[dict[str, str]]) -> list[int]:
    """Indices of the labels as they are shown: in their order, `None_of_the_above` last."""
    return sorted(range(len(labels)), key=lambda index: labels[index]["display_name"] == LAST_LABEL)


def _extras(one: ScoredImages, labels: Sequence[dict[str, str]], table: npt.NDArray[np.int64] | None) -> dict[str, Any]:
    precisions = [curves.average_precision(one.targets[:, index], one.scores[:, index]) for index in range(len(labels))]
    support = one.targets.sum(axis=0)
    bins = calibration(one)
    extras: dict[str, Any] = {
        "images": len(one.targets),
        "classification_type": one.classification_type,
        "macro_average_precision": _mean_where(precisions, support),
        "calibration": bins,
        "expected_calibration_error": sum(
            row["images"] * abs(row["confidence"] - row["accuracy"]) for row in bins
        ) / max(1, sum(row["images"] for row in bins)),
    }  # fmt: skip
    recalls: list[float] = [0.0] * len(labels)
    if one.is_multiclass:
        best = one.best if len(one.targets) else np.zeros(0, np.int64)
        truth = one.targets.argmax(axis=1) if len(one.targets) else best
        right = best == truth
        recalls = ratio(np.bincount(truth[right], minlength=len(labels)), support).tolist()
        rank = (one.scores > one.scores[np.arange(len(truth)), truth][:, None]).sum(axis=1)
        extras |= {
            "top1_accuracy": float(right.mean()) if len(right) else 0.0,
            "top5_accuracy": float((rank < TOP).mean()) if len(right) else 0.0,
            "macro_accuracy": _mean_where(recalls, support),
            "intervals": {"top1_accuracy": intervals.of_mean(right.astype(np.float64))},
        }
        assert table is not None
        extras["confusion_matrix"] = table.tolist()
    else:
        exact = ((one.scores >= 0.5) == one.targets).all(axis=1)
        half = THRESHOLDS.index(0.5)
        hits = [counts(one.targets[:, index], one.scores[:, index])[half] for index in range(len(labels))]
        recalls = [float(row[0]) / max(1, int(row[0] + row[2])) for row in hits]
        extras |= {
            "exact_match": float(exact.mean()) if len(exact) else 0.0,
            "intervals": {"exact_match": intervals.of_mean(exact.astype(np.float64))},
        }
    ranges = intervals.average_precision_intervals(one.targets, one.scores)
    extras["labels"] = [
        {
            "display_name": labels[index]["display_name"],
            "images": int(support[index]),
            "average_precision": precisions[index],
            "interval": ranges[index],
            "recall": float(recalls[index]),
        }
        for index in shown_order(labels)
    ]
    return extras


def _mean_where(values: Sequence[float], support: npt.NDArray[np.int64]) -> float:
    """The mean over labels that the evaluated images carry."""
    counted = [value for value, images in zip(values, support, strict=True) if images]
    return float(np.mean(counted)) if counted else 0.0


def calibration(one: ScoredImages) -> list[dict[str, float]]:
    """How often scores are right, in `CALIBRATION_BINS` equal parts of [0, 1].

    Of MULTICLASS the best label's score of each image; of MULTILABEL the scores of all pairs of image and label.
    """
    if one.is_multiclass:
        rows = np.arange(len(one.targets))
        best = one.best if len(rows) else rows
        scores, right = one.scores[rows, best], one.targets[rows, best]
    else:
        scores, right = one.scores.ravel(), one.targets.ravel()
    place = np.clip(np.ceil(scores * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    filled = [number for number in range(CALIBRATION_BINS) if (place == number).any()]
    return [
        {
            "from": number / CALIBRATION_BINS,
            "images": int((place == number).sum()),
            "confidence": float(scores[place == number].mean()),
            "accuracy": float(right[place == number].mean()),
        }
        for number in filled
    ]


def quick_score(targets: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64], classification_type: str) -> float:
    """Top-1 accuracy, or of MULTILABEL the macro average precision: for comparisons."""
    if not len(targets):
        return 0.0
    if classification_type == model_folder.MULTICLASS:
        return float((scores.argmax(axis=1) == targets.argmax(axis=1)).mean())
    support = targets.sum(axis=0)
    precisions = [curves.average_precision(targets[:, index], scores[:, index]) for index in range(targets.shape[1])]
    return _mean_where(precisions, support)
