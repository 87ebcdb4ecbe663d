"""Image classification in the tour: what is created, what its evaluations say, and how labels compare.

The names are those of `kinds.DemoKind`.
"""

from __future__ import annotations

from collections.abc import Iterable

from google.cloud import automl_v1

from boxwright.contact_sheet.boxes import Prediction
from boxwright.demo import dataset, table

HEADINGS = ("label", "images", "AU-PRC", "AU-ROC", "precision", "recall")
TABLE_NOTE = (
    "AU-PRC and AU-ROC: areas under the precision-recall curve and under the ROC curve; of all labels, over all pairs of an "
    "image and a label. Precision and recall: at a confidence of 0.5."
)
PAGE_NOTE = (
    "At first, labels are shown from a score of {threshold:.2f} on, where the evaluation's F1 is best. Below an image stand "
    "its own labels: green where the prediction is right. That is the best label where images have one each, otherwise "
    "every label from this score on."
)


def new_dataset(display_name: str, data: dataset.DataSet) -> automl_v1.Dataset:
    """What CreateDataset gets: MULTILABEL if an image has several labels."""
    kinds = automl_v1.ClassificationType
    metadata = automl_v1.ImageClassificationDatasetMetadata(
        classification_type=kinds.MULTILABEL if data.is_multilabel else kinds.MULTICLASS
    )
    return automl_v1.Dataset(display_name=display_name, image_classification_dataset_metadata=metadata)


def new_model(display_name: str, dataset_id: str) -> automl_v1.Model:
    """What CreateModel gets: the default type and budget; the limit of the service ends the training earlier."""
    return automl_v1.Model(
        display_name=display_name,
        dataset_id=dataset_id,
        image_classification_model_metadata=automl_v1.ImageClassificationModelMetadata(),
    )


def stop_reason(model: automl_v1.Model) -> str:
    """Why the training has ended."""
    return str(model.image_classification_model_metadata.stop_reason)


def row(evaluation: automl_v1.ModelEvaluation) -> table.EvaluationRow:
    """One evaluation; precision and recall are those at confidence 0.5."""
    metrics = evaluation.classification_evaluation_metrics
    entries = metrics.confidence_metrics_entry
    at = next(one for one in entries if table.is_close(one.confidence_threshold, table.SHOWN_CONFIDENCE))
    shares = (metrics.au_prc, metrics.au_roc, at.precision, at.recall)
    return table.EvaluationRow(
        evaluation.display_name or table.ALL_LABELS,
        evaluation.evaluated_example_count,
        tuple(f"{share:.3f}" for share in shares),
    )


def confidences(overall: automl_v1.ModelEvaluation) -> list[tuple[float, float]]:
    """(threshold, F1) of the evaluation of all labels."""
    entries = overall.classification_evaluation_metrics.confidence_metrics_entry
    return [(one.confidence_threshold, one.f1_score) for one in entries]


def quality(data: dataset.DataSet, overall: automl_v1.ModelEvaluation) -> tuple[str, float]:
    """The one figure of the summary: the share of images whose best label is right; with several labels, the AU-PRC."""
    metrics = overall.classification_evaluation_metrics
    if data.is_multilabel:
        return "AU-PRC", metrics.au_prc
    return "accuracy", max(one.recall_at1 for one in metrics.confidence_metrics_entry)


def verdict(
    data: dataset.DataSet, picture: dataset.DemoImage, predictions: tuple[Prediction, ...], threshold: float
) -> tuple[str, bool]:
    """What the caption says of an image at a threshold, and whether all is right."""
    if data.is_multilabel:
        found = {one.label for one in predictions if one.score >= threshold}
    else:
        found = {one.label for one in predictions[:1]}
    return ", ".join(picture.labels) or "no label", found == set(picture.labels)


def labels(pictures: Iterable[dataset.DemoImage]) -> set[str]:
    """The labels of images."""
    return {label for picture in pictures for label in picture.labels}
