"""Object detection in the tour: what is created, what its evaluations say, and how boxes compare with labels.

The names are those of `kinds.DemoKind`.
"""

from __future__ import annotations

from collections.abc import Iterable

from google.cloud import automl_v1

from boxwright.contact_sheet.boxes import Prediction
from boxwright.demo import dataset, results, table

SHOWN_IOU = 0.5
HEADINGS = ("label", "images", "boxes", "AP@0.5", "AP@grid", "precision", "recall")
TABLE_NOTE = (
    "AP@0.5: average precision at an IoU of 0.5; of all labels, its mean. AP@grid: averaged over the API's 23 IoU "
    "thresholds from 0.05 to 0.99. Precision and recall: at an IoU and a confidence of 0.5."
)
PAGE_NOTE = (
    "At first, boxes are shown from a score of {threshold:.2f} on, where the evaluation's F1 is best; the counts below the "
    "images are taken there too, at an IoU of 0.5."
)


def new_dataset(display_name: str, data: dataset.DataSet) -> automl_v1.Dataset:
    """What CreateDataset gets."""
    metadata = automl_v1.ImageObjectDetectionDatasetMetadata()
    return automl_v1.Dataset(display_name=display_name, image_object_detection_dataset_metadata=metadata)


def new_model(display_name: str, dataset_id: str) -> automl_v1.Model:
    """What CreateModel gets: the default type and budget; the limit of the service ends the training earlier."""
    return automl_v1.Model(
        display_name=display_name,
        dataset_id=dataset_id,
        image_object_detection_model_metadata=automl_v1.ImageObjectDetectionModelMetadata(),
    )


def stop_reason(model: automl_v1.Model) -> str:
    """Why the training has ended."""
    return str(model.image_object_detection_model_metadata.stop_reason)


def row(evaluation: automl_v1.ModelEvaluation) -> table.EvaluationRow:
    """One evaluation; precision and recall are those at IoU 0.5 and confidence 0.5."""
    metrics, entry = evaluation.image_object_detection_evaluation_metrics, _entry(evaluation)
    at = next(c for c in entry.confidence_metrics_entries if _is_shown(c.confidence_threshold))
    shares = (entry.mean_average_precision, metrics.bounding_box_mean_average_precision, at.precision, at.recall)
    return table.EvaluationRow(
        evaluation.display_name or table.ALL_LABELS,
        evaluation.evaluated_example_count,
        (str(metrics.evaluated_bounding_box_count), *(f"{share:.3f}" for share in shares)),
    )


def confidences(overall: automl_v1.ModelEvaluation) -> list[tuple[float, float]]:
    """(threshold, F1) of the evaluation of all labels, at IoU 0.5."""
    return [(at.confidence_threshold, at.f1_score) for at in _entry(overall).confidence_metrics_entries]


def quality(data: dataset.DataSet, overall: automl_v1.ModelEvaluation) -> tuple[str, float]:
    """The one figure of the summary."""
    return "mAP@0.5", _entry(overall).mean_average_precision


def verdict(
    data: dataset.DataSet, picture: dataset.DemoImage, predictions: tuple[Prediction, ...], threshold: float
) -> tuple[str, bool]:
    """What the caption says of an image at a threshold, and whether all is right."""
    counts = results.compare(picture.boxes, predictions, threshold)
    words = [f"{counts.found} of {len(picture.boxes)} found"] if picture.boxes else ["nothing to find"]
    words += [f"{counts.extra} extra"] if counts.extra else []
    return ", ".join(words), counts.missed == counts.extra == 0


def labels(pictures: Iterable[dataset.DemoImage]) -> set[str]:
    """The labels of images."""
    return {box.label for picture in pictures for box in picture.boxes}


def _entry(evaluation: automl_v1.ModelEvaluation) -> automl_v1.BoundingBoxMetricsEntry:
    """The evaluation's figures at IoU 0.5."""
    entries = evaluation.image_object_detection_evaluation_metrics.bounding_box_metrics_entries
    return next(entry for entry in entries if table.is_close(entry.iou_threshold, SHOWN_IOU))


def _is_shown(threshold: float) -> bool:
    return table.is_close(threshold, table.SHOWN_CONFIDENCE)
