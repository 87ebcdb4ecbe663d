"""What a training of one kind reads and writes: a table that `train_model` reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from google.cloud.automl_v1 import types

from boxwright import kinds, states
from boxwright.metadata import datasets


@dataclasses.dataclass(frozen=True)
class TrainingForm:
    """The form of one kind.

    Attributes:
        annotations: what a line of examples.jsonl says of an example beside its image, from the label index by spec id.
        metrics: an entry of evaluation.json as the kind's metrics message, serialised.
    """

    annotations: Callable[[datasets.Example, Mapping[str, int]], dict[str, Any]]
    metrics: Callable[[dict[str, Any]], bytes]


def _boxes(example: datasets.Example, index_of: Mapping[str, int]) -> dict[str, Any]:
    return {"boxes": [[index_of[one.spec_id], *(one.box or ())] for one in example.annotations]}


def _labels(example: datasets.Example, index_of: Mapping[str, int]) -> dict[str, Any]:
    return {"labels": sorted({index_of[one.spec_id] for one in example.annotations})}


def _detection_metrics(entry: dict[str, Any]) -> bytes:
    metrics = types.ImageObjectDetectionEvaluationMetrics(
        evaluated_bounding_box_count=entry["evaluated_bounding_box_count"],
        bounding_box_mean_average_precision=entry["bounding_box_mean_average_precision"],
        bounding_box_metrics_entries=entry["bounding_box_metrics_entries"],
    )
    serialised: bytes = types.ImageObjectDetectionEvaluationMetrics.serialize(metrics)
    return serialised


def _classification_metrics(entry: dict[str, Any]) -> bytes:
    ids = entry["annotation_spec_id"]  # of the overall evaluation all that it is about
    metrics = types.ClassificationEvaluationMetrics(
        au_prc=entry["au_prc"],
        au_roc=entry["au_roc"],
        log_loss=entry["log_loss"],
        confidence_metrics_entry=entry["confidence_metrics_entry"],
        confusion_matrix=entry.get("confusion_matrix"),
        annotation_spec_id=[ids] if isinstance(ids, str) else ids,
    )
    serialised: bytes = types.ClassificationEvaluationMetrics.serialize(metrics)
    return serialised


_FORMS = {
    kinds.OBJECT_DETECTION: TrainingForm(_boxes, _detection_metrics),
    kinds.IMAGE_CLASSIFICATION: TrainingForm(_labels, _classification_metrics),
}


def of(kind: kinds.DatasetKind) -> TrainingForm:
    """The form of a served kind."""
    return _FORMS[kind]


def is_learned(
    example: datasets.Example, labels: states.ClassificationType | None, *, unlabelled_as_negative: bool
) -> bool:
    """Whether a training gets an example: it is labelled, or said to have none of the labels.

    Args:
        example: of a dataset.
        labels: how many an image has; None for detection.
        unlabelled_as_negative: what is not labelled counts as an image without any label, where there may be such images.
    """
    if example.state == states.ExampleState.LABELED:
        return True
    is_negative = example.state == states.ExampleState.UNLABELED and labels is states.ClassificationType.MULTILABEL
    return is_negative and unlabelled_as_negative
