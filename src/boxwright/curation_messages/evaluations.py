"""An evaluation image by image, and its confusion matrix.

EvaluatedExample        an image of the test set with what is there and what was found
EvaluationSummary       counts and confusion at a threshold
…Request, …Response     of the methods about evaluations
"""

from __future__ import annotations

import proto
from google.cloud.automl_v1 import types

__protobuf__ = proto.module(
    package="boxwright.v1",
    manifest={
        "EvaluatedExample",
        "EvaluationSummary",
        "ListEvaluatedExamplesRequest",
        "ListEvaluatedExamplesResponse",
        "SummarizeEvaluationRequest",
    },
)


class EvaluatedExample(proto.Message):
    """An image that a model was evaluated with.

    Attributes:
        example: name of the example, while it is in the dataset; empty otherwise.
        uri: of the image.
        width_px: of the upright image.
        height_px: of the upright image.
        annotations: what is there, then what was found.
        loss: how wrong the image is at these thresholds: misses, false alarms and wrong labels, by score.
    """

    class Outcome(proto.Enum):
        """What became of a label or a finding."""

        OUTCOME_UNSPECIFIED = 0
        TRUE_POSITIVE = 1
        FALSE_POSITIVE = 2
        FALSE_NEGATIVE = 3
        CONFUSED = 4

    class Annotation(proto.Message):
        """A label that is there, or a finding.

        Attributes:
            annotation: the label, with its box in a detection.
            is_truth: whether it is there; otherwise it was found.
            outcome: TRUE_POSITIVE and CONFUSED have a partner.
            partner: index of the finding or label that it was matched with; -1: none.
            iou: with the partner; 0 without one, or without boxes.
        """

        annotation = proto.Field(proto.MESSAGE, number=1, message=types.AnnotationPayload)
        is_truth = proto.Field(proto.BOOL, number=2)
        outcome = proto.Field(proto.ENUM, number=3, enum="EvaluatedExample.Outcome")
        partner = proto.Field(proto.INT32, number=4)
        iou = proto.Field(proto.FLOAT, number=5)

    example = proto.Field(proto.STRING, number=1)
    uri = proto.Field(proto.STRING, number=2)
    width_px = proto.Field(proto.INT32, number=3)
    height_px = proto.Field(proto.INT32, number=4)
    annotations = proto.RepeatedField(proto.MESSAGE, number=5, message=Annotation)
    loss = proto.Field(proto.FLOAT, number=6)


class ListEvaluatedExamplesRequest(proto.Message):
    """Asks for a page of the images of an evaluation.

    Attributes:
        parent: name of the model.
        iou_threshold: from which a finding counts as the object; 0 means 0.5. Not used without boxes.
        score_threshold: of the findings; 0 means the threshold with the best F1.
        filter: terms joined by AND; fields ``outcome``, ``true_label``, ``predicted_label``, ``uri``; an image passes if one
            of its annotations is so. ``true_label:none`` means a finding where nothing is, ``predicted_label:none`` a miss.
        order_by: ``loss desc`` (default), ``loss``, ``uri``.
        page_size: 1 to 1000; 0 means 100.
        page_token: of the page before.
        skip: how many images are left out before the page's first one, counted from the token's place.
    """

    parent = proto.Field(proto.STRING, number=1)
    iou_threshold = proto.Field(proto.FLOAT, number=2)
    score_threshold = proto.Field(proto.FLOAT, number=3)
    filter = proto.Field(proto.STRING, number=4)
    order_by = proto.Field(proto.STRING, number=5)
    page_size = proto.Field(proto.INT32, number=6)
    page_token = proto.Field(proto.STRING, number=7)
    skip = proto.Field(proto.INT32, number=8)


class ListEvaluatedExamplesResponse(proto.Message):
    """A page of images."""

    evaluated_examples = proto.RepeatedField(proto.MESSAGE, number=1, message=EvaluatedExample)
    next_page_token = proto.Field(proto.STRING, number=2)
    total_size = proto.Field(proto.INT32, number=3)


class SummarizeEvaluationRequest(proto.Message):
    """Asks for the counts of the model `name` at two thresholds, as in `ListEvaluatedExamplesRequest`."""

    name = proto.Field(proto.STRING, number=1)
    iou_threshold = proto.Field(proto.FLOAT, number=2)
    score_threshold = proto.Field(proto.FLOAT, number=3)


class EvaluationSummary(proto.Message):
    """Counts of a model's evaluation.

    Attributes:
        name: of the model.
        iou_threshold: as used.
        score_threshold: as used.
        labels: display names, in the order of the matrix.
        confusion: row by row, each with one more entry than there are labels: entry (i, j) counts what is label i and was
            found as label j; the last column counts misses, the last row findings where nothing is.
        label_counts: for each label.
        reason: why there is nothing here: the model was trained before findings were kept, or was imported.
    """

    class LabelCount(proto.Message):
        """Counts of one label; precision, recall and F1 are in [0, 1]."""

        display_name = proto.Field(proto.STRING, number=1)
        true_positive_count = proto.Field(proto.INT32, number=2)
        false_positive_count = proto.Field(proto.INT32, number=3)
        false_negative_count = proto.Field(proto.INT32, number=4)
        precision = proto.Field(proto.FLOAT, number=5)
        recall = proto.Field(proto.FLOAT, number=6)
        f1_score = proto.Field(proto.FLOAT, number=7)

    name = proto.Field(proto.STRING, number=1)
    iou_threshold = proto.Field(proto.FLOAT, number=2)
    score_threshold = proto.Field(proto.FLOAT, number=3)
    labels = proto.RepeatedField(proto.STRING, number=4)
    confusion = proto.RepeatedField(proto.INT32, number=5)
    label_counts = proto.RepeatedField(proto.MESSAGE, number=6, message=LabelCount)
    reason = proto.Field(proto.STRING, number=7)
