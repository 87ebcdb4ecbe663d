"""What a training of each kind reads and writes."""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud.automl_v1 import types

from boxwright import kinds, states
from boxwright.metadata.datasets import Annotation, Example
from boxwright.runners import training_forms

MULTICLASS, MULTILABEL = states.ClassificationType
BOX = (0.1, 0.2, 0.3, 0.4)


def _example(state: str, *annotations: Annotation) -> Example:
    return Example("gs://b/a.jpg", "a", "TRAIN", state, annotations)


def test_lines_of_boxes_have_corners_and_lines_of_labels_have_each_index_once():
    index_of = {"s1": 1, "s0": 0}
    boxes = training_forms.of(kinds.OBJECT_DETECTION).annotations
    assert boxes(_example("LABELED", Annotation("s1", "b", BOX), Annotation("s1", "b", BOX)), index_of) == {
        "boxes": [[1, *BOX], [1, *BOX]]
    }
    assert boxes(_example("LABELED"), index_of) == {"boxes": []}
    labels = training_forms.of(kinds.IMAGE_CLASSIFICATION).annotations
    assert labels(_example("LABELED", Annotation("s1", "b", None), Annotation("s0", "a", None)), index_of) == {
        "labels": [0, 1]
    }


@pytest.mark.parametrize(("state", "labels", "as_negative", "is_learned"), [
    ("LABELED", None, False, True),  # also an image with nothing in it
    ("LABELED", MULTICLASS, False, True),
    ("UNLABELED", MULTICLASS, False, False),
    ("UNLABELED", MULTICLASS, True, False),  # it has one of the labels, nobody knows which
    ("UNLABELED", MULTILABEL, False, False),
    ("UNLABELED", MULTILABEL, True, True),
    ("SUGGESTED", MULTILABEL, True, False),
    ("SUGGESTED", None, False, False),
])  # fmt: skip
def test_only_what_is_known_is_learned(state, labels, as_negative, is_learned):
    found = training_forms.is_learned(_example(state), labels, unlabelled_as_negative=as_negative)
    assert found is is_learned


def _entry(**fields: Any) -> dict[str, Any]:
    step = {
        "confidence_threshold": 0.5,
        "position_threshold": 2**31 - 1,
        "recall": 0.25,
        "precision_at1": 0.75,
        "true_positive_count": 7,
        "true_negative_count": 9,
    }
    return {"au_prc": 0.5, "au_roc": 0.75, "log_loss": 0.25, "confidence_metrics_entry": [step], **fields}


def test_an_evaluation_of_labels_becomes_the_message_of_its_kind():
    form = training_forms.of(kinds.IMAGE_CLASSIFICATION)
    matrix = {"annotation_spec_id": ["1", "2"], "display_name": ["a", "b"], "row": [{"example_count": [3, 1]}] * 2}
    metrics = types.ClassificationEvaluationMetrics.deserialize(
        form.metrics(_entry(annotation_spec_id=["1", "2"], confusion_matrix=matrix))
    )
    assert (metrics.au_prc, metrics.au_roc, metrics.log_loss) == (0.5, 0.75, 0.25)
    (step,) = metrics.confidence_metrics_entry
    assert (step.position_threshold, step.recall, step.precision_at1) == (2**31 - 1, 0.25, 0.75)
    assert (step.true_positive_count, step.true_negative_count) == (7, 9)
    assert list(metrics.annotation_spec_id) == ["1", "2"]
    assert list(metrics.confusion_matrix.row[0].example_count) == [3, 1]
    of_one = types.ClassificationEvaluationMetrics.deserialize(form.metrics(_entry(annotation_spec_id="1")))
    assert list(of_one.annotation_spec_id) == ["1"]
    assert not types.ClassificationEvaluationMetrics.pb(of_one).HasField("confusion_matrix")
