"""What the service says about a model and its evaluations, as a person reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from boxwright.commands import metadata_members, output
from boxwright.commands.connection import RestConnection

METRICS = "imageObjectDetectionEvaluationMetrics"
LABEL_METRICS = "classificationEvaluationMetrics"
SHOWN_IOU = 0.5
ALL_LABELS = "all labels"
LABEL_COLUMNS = 17
TOLD_BEFORE = ("model_type",)  # of :describe: what the model's own message says too
HEADINGS = ("LABEL", "IMAGES", "BOXES", "AP@0.5", "AP@GRID", "PRECISION", "RECALL", "F1")
LABEL_HEADINGS = ("LABEL", "IMAGES", "AU_PRC", "AU_ROC", "PRECISION", "RECALL", "F1")


def quality_by_model(connection: RestConnection) -> dict[str, str]:
    """The measure of every model of the project, by name: mean average precision at an IoU of 0.5, or the area AU_PRC."""
    evaluations = connection.pages(
        f"{connection.parent}/models/-/modelEvaluations", "modelEvaluation", filter='annotation_spec_id=""'
    )
    return {one["name"].rpartition("/modelEvaluations/")[0]: _quality(one) for one in evaluations}


def _quality(evaluation: dict[str, Any]) -> str:
    if LABEL_METRICS in evaluation:
        return f"{evaluation[LABEL_METRICS].get('auPrc', 0):.3f} AU_PRC"
    return f"{_at_iou(evaluation).get('meanAveragePrecision', 0):.3f} mAP@0.5"


def print_model(model: dict[str, Any], details: dict[str, Any]) -> None:
    """Prints what a model is: its message, then its own document, in alphabetical order."""
    metadata = metadata_members.model_metadata(model)
    reason = metadata.get("stopReason", "").replace("_", " ").lower()
    fields = {
        "name": model["name"],
        "display name": model["displayName"],
        "model type": metadata["modelType"],
        "deployed": model["deploymentState"].lower(),
        "nodes": metadata.get("nodeCount", ""),
        "trained": f"{model['createTime']}{', ' if reason else ''}{reason}",
        "dataset": model.get("datasetId", ""),
        "labels": ", ".join(f"{key}={value}" for key, value in sorted(model.get("labels", {}).items())),
    }
    output.print_fields(fields, least_width=LABEL_COLUMNS)
    _print_nested({key: value for key, value in details.items() if key not in TOLD_BEFORE}, 0)


def evaluation_lines(evaluations: list[dict[str, Any]]) -> Iterator[str]:
    """A line for all labels and one for each, in alphabetical order."""
    for evaluation in sorted(evaluations, key=lambda one: one.get("displayName", "")):
        label = output.safe(evaluation.get("displayName") or ALL_LABELS)
        if LABEL_METRICS in evaluation:
            area = evaluation[LABEL_METRICS].get("auPrc", 0)
            yield f"{label:30} area under precision-recall {area:.4f}   {evaluation.get('evaluatedExampleCount', 0)} images"
            continue
        metrics = evaluation[METRICS]
        yield (
            f"{label:30} mean average precision {metrics.get('boundingBoxMeanAveragePrecision', 0):.4f}   "
            f"{metrics.get('evaluatedBoundingBoxCount', 0)} boxes in {evaluation.get('evaluatedExampleCount', 0)} images"
        )


def print_evaluations(evaluations: list[dict[str, Any]], threshold: float) -> None:
    """Prints a table: the labels in alphabetical order, then all of them; what the columns mean goes to standard error.

    Args:
        threshold: score in [0, 1] from which boxes count for precision, recall and F1; the nearest measured one is used.
    """
    ordered = sorted(evaluations, key=lambda one: (not one.get("displayName"), one.get("displayName", "")))
    if any(LABEL_METRICS in one for one in ordered):
        _print_label_evaluations(ordered, threshold)
        return
    rows, used = [], threshold
    for evaluation in ordered:
        metrics, at_iou = evaluation[METRICS], _at_iou(evaluation)
        at = _at_threshold(at_iou.get("confidenceMetricsEntries", []), threshold)
        used = at.get("confidenceThreshold", 0) if at else used
        shares = [at_iou.get("meanAveragePrecision", 0), metrics.get("boundingBoxMeanAveragePrecision", 0)]
        shares += [at.get(key, 0) for key in ("precision", "recall", "f1Score")]
        rows.append(
            (
                evaluation.get("displayName") or ALL_LABELS,
                output.number(evaluation.get("evaluatedExampleCount", 0)),
                output.number(metrics.get("evaluatedBoundingBoxCount", 0)),
                *(f"{share:.3f}" for share in shares),
            )
        )
    output.print_table(HEADINGS, rows)
    output.say(
        f"AP@0.5: average precision at an IoU of {SHOWN_IOU}; AP@GRID: averaged over IoU 0.05 to 0.99. Precision, recall "
        f"and F1: at an IoU of {SHOWN_IOU}, boxes with a score of at least {used:.2f}."
    )


def _print_label_evaluations(evaluations: list[dict[str, Any]], threshold: float) -> None:
    """The table of a classification model."""
    rows, used = [], threshold
    for evaluation in evaluations:
        metrics = evaluation[LABEL_METRICS]
        at = _at_threshold(metrics.get("confidenceMetricsEntry", []), threshold)
        used = at.get("confidenceThreshold", 0) if at else used
        shares = [metrics.get("auPrc", 0), metrics.get("auRoc", 0)]
        shares += [at.get(key, 0) for key in ("precision", "recall", "f1Score")]
        label = evaluation.get("displayName") or ALL_LABELS
        rows.append(
            (label, output.number(evaluation.get("evaluatedExampleCount", 0)), *(f"{one:.3f}" for one in shares))
        )
    output.print_table(LABEL_HEADINGS, rows)
    output.say(
        f"AU_PRC, AU_ROC: areas under the curves of precision-recall and of ROC. Precision, recall and F1: labels with a "
        f"score of at least {used:.2f}."
    )


def _at_threshold(steps: list[dict[str, Any]], threshold: float) -> dict[str, Any]:
    """The measured step that is nearest to a threshold."""
    return min(steps, key=lambda step: abs(step.get("confidenceThreshold", 0) - threshold), default={})


def _at_iou(evaluation: dict[str, Any]) -> dict[str, Any]:
    """The entry of an evaluation at an IoU of 0.5."""
    entries: list[dict[str, Any]] = evaluation[METRICS].get("boundingBoxMetricsEntries", [])
    return min(entries, key=lambda entry: abs(entry.get("iouThreshold", 0) - SHOWN_IOU), default={})


def _print_nested(values: dict[str, Any], depth: int) -> None:
    """Prints nested values: single ones first, then groups, each in alphabetical order; empty groups are left out."""
    indent = "  " * depth
    for key, value in sorted(values.items(), key=lambda item: (isinstance(item[1], dict), item[0])):
        label = f"{indent}{key.replace('_', ' ')}:"
        if isinstance(value, dict):
            if value:
                print(output.safe(label))
                _print_nested(value, depth + 1)
            continue
        shown = output.plain(value)
        text = json.dumps(shown, ensure_ascii=False) if isinstance(shown, list | bool) or shown is None else str(shown)
        print(output.safe(f"{label:{LABEL_COLUMNS}}{text}" if len(label) < LABEL_COLUMNS else f"{label} {text}"))
