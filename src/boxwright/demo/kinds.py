"""What differs between the kinds of model in the tour, as a table.

KINDS     by the name that the command takes
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Sequence

from google.cloud import automl_v1

from boxwright.contact_sheet.boxes import Prediction
from boxwright.demo import classification, dataset, detection, drawn, folder, image_labels, table

Drew = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class DemoKind:
    """One kind.

    Attributes:
        headings: of the per-label table.
        table_note, page_note: what the page says below the table, and about the images; the latter has ``{threshold}``.
        has_boxes: whether images show boxes of their own.
        draw: makes a data set in a folder, from a seed and the sizes of its sets.
        sizes: of the drawn set.
        read: the images that a folder describes.
        rows_of: the rows of the import list for an image.
        new_dataset: of a display name and the data.
        new_model: of a display name and a dataset id.
        stop_reason: why the training of a model has ended, in the API's words.
        row: the table's row for an evaluation.
        confidences: (threshold, F1) of the evaluation of all labels.
        quality: name and value of the summary's figure.
        verdict: what an image's caption says at a threshold, and whether all is right.
        labels: of images.
    """

    headings: Sequence[str]
    table_note: str
    page_note: str
    has_boxes: bool
    draw: Callable[[pathlib.Path, int, drawn.Sizes, Drew], dataset.DataSet]
    sizes: drawn.Sizes
    read: Callable[[pathlib.Path], list[dataset.DemoImage]]
    rows_of: Callable[[dataset.DemoImage], list[Sequence[object]]]
    new_dataset: Callable[[str, dataset.DataSet], automl_v1.Dataset]
    new_model: Callable[[str, str], automl_v1.Model]
    stop_reason: Callable[[automl_v1.Model], str]
    row: Callable[[automl_v1.ModelEvaluation], table.EvaluationRow]
    confidences: Callable[[automl_v1.ModelEvaluation], list[tuple[float, float]]]
    quality: Callable[[dataset.DataSet, automl_v1.ModelEvaluation], tuple[str, float]]
    verdict: Callable[[dataset.DataSet, dataset.DemoImage, tuple[Prediction, ...], float], tuple[str, bool]]
    labels: Callable[[Iterable[dataset.DemoImage]], set[str]]

    def best_confidence(self, overall: automl_v1.ModelEvaluation) -> tuple[float, float]:
        """The confidence at which the F1 of all labels is highest, and that F1; 0.5 when nothing was found at all.

        Of several, it is the one in the middle.
        """
        found = self.confidences(overall)
        f1 = max(pair[1] for pair in found)
        best = sorted(threshold for threshold, value in found if value == f1)
        return (round(best[len(best) // 2], 2), f1) if f1 > 0 else (table.SHOWN_CONFIDENCE, 0.0)


KINDS = {
    "detection": DemoKind(
        headings=detection.HEADINGS,
        table_note=detection.TABLE_NOTE,
        page_note=detection.PAGE_NOTE,
        has_boxes=True,
        draw=drawn.draw_dataset,
        sizes=drawn.Sizes(),
        read=folder.read_labels,
        rows_of=dataset.box_rows,
        new_dataset=detection.new_dataset,
        new_model=detection.new_model,
        stop_reason=detection.stop_reason,
        row=detection.row,
        confidences=detection.confidences,
        quality=detection.quality,
        verdict=detection.verdict,
        labels=detection.labels,
    ),
    "classification": DemoKind(
        headings=classification.HEADINGS,
        table_note=classification.TABLE_NOTE,
        page_note=classification.PAGE_NOTE,
        has_boxes=False,
        draw=drawn.draw_labelled_dataset,
        sizes=drawn.LABELLED_SIZES,
        read=image_labels.read_labels,
        rows_of=dataset.label_rows,
        new_dataset=classification.new_dataset,
        new_model=classification.new_model,
        stop_reason=classification.stop_reason,
        row=classification.row,
        confidences=classification.confidences,
        quality=classification.quality,
        verdict=classification.verdict,
        labels=classification.labels,
    ),
}
