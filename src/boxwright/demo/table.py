"""The per-label table: what the model's evaluations say, one row a label and one for all."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from google.cloud import automl_v1
from rich import table as rich_table

SHOWN_IOU = 0.5
SHOWN_CONFIDENCE = 0.5
GRID_TOLERANCE = 0.001  # the thresholds travel as 32-bit floats
ALL_LABELS = "all labels"
HEADINGS = ("label", "images", "boxes", "AP@0.5", "AP@grid", "precision", "recall")


@dataclasses.dataclass(frozen=True)
class EvaluationRow:
    """One evaluation in short.

    Attributes:
        images: test images evaluated; of a label: those that carry it.
        ap50: average precision at IoU 0.5 (of all labels: its mean).
        ap_grid: the same averaged over the service's grid of IoU thresholds, 0.05 to 0.99.
        precision, recall: at IoU 0.5 and confidence 0.5.
    """

    label: str
    images: int
    boxes: int
    ap50: float
    ap_grid: float
    precision: float
    recall: float


def rows(evaluations: Iterable[automl_v1.ModelEvaluation]) -> list[EvaluationRow]:
    """One row per label in alphabetical order, then the overall one."""
    made = [_row(evaluation) for evaluation in evaluations]
    return sorted(made, key=lambda row: (row.label == ALL_LABELS, row.label))


def best_confidence(evaluations: Iterable[automl_v1.ModelEvaluation]) -> tuple[float, float]:
    """The confidence at which the overall F1 at IoU 0.5 is highest, and that F1; 0.5 when nothing was found at all."""
    overall = next(evaluation for evaluation in evaluations if not evaluation.display_name)
    at = _entry(overall).confidence_metrics_entries
    best = max(at, key=lambda row: row.f1_score)
    return (round(best.confidence_threshold, 2), best.f1_score) if best.f1_score > 0 else (SHOWN_CONFIDENCE, 0.0)


def render(made: Iterable[EvaluationRow]) -> rich_table.Table:
    """The rows as a table for the terminal."""
    shown = rich_table.Table(box=None, pad_edge=False, padding=(0, 2))
    shown.add_column(HEADINGS[0])
    for heading in HEADINGS[1:]:
        shown.add_column(heading, justify="right")
    for row in made:
        shown.add_row(*cells(row), style="bold" if row.label == ALL_LABELS else None)
    return shown


def cells(row: EvaluationRow) -> tuple[str, ...]:
    """A row as text, in the order of the headings."""
    shares = (row.ap50, row.ap_grid, row.precision, row.recall)
    return (row.label, str(row.images), str(row.boxes), *(f"{share:.3f}" for share in shares))


def _row(evaluation: automl_v1.ModelEvaluation) -> EvaluationRow:
    metrics, entry = evaluation.image_object_detection_evaluation_metrics, _entry(evaluation)
    at = next(c for c in entry.confidence_metrics_entries if _is_close(c.confidence_threshold, SHOWN_CONFIDENCE))
    return EvaluationRow(
        evaluation.display_name or ALL_LABELS,
        evaluation.evaluated_example_count,
        metrics.evaluated_bounding_box_count,
        entry.mean_average_precision,
        metrics.bounding_box_mean_average_precision,
        at.precision,
        at.recall,
    )


def _entry(evaluation: automl_v1.ModelEvaluation) -> automl_v1.BoundingBoxMetricsEntry:
    """The evaluation's figures at IoU 0.5."""
    entries = evaluation.image_object_detection_evaluation_metrics.bounding_box_metrics_entries
    return next(entry for entry in entries if _is_close(entry.iou_threshold, SHOWN_IOU))


def _is_close(value: float, wanted: float) -> bool:
    return abs(value - wanted) < GRID_TOLERANCE
