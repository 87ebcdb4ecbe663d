"""One row of the import CSV of image classification: any number of labels after the image."""

from __future__ import annotations

from collections.abc import Sequence

from boxwright import objects
from boxwright.runners import box_rows
from boxwright.runners.import_rows import BadRow, ImportRow, RowAnnotation, check_label, image_of, with_set


def parse(cells: Sequence[str], schemes: Sequence[str] = objects.DEFAULT_SCHEMES) -> ImportRow:
    """Parses the cells of one row, whose image must have one of these URI schemes; a repeated label counts once.

    Raises:
        BadRow: with the column and the reason.
    """
    cells = with_set(cells, schemes)
    ml_use, uri = image_of(cells, schemes)
    if box_rows.is_box(cells[3:]):
        raise BadRow(
            "columns 4 to 11: this row has a box; boxes are for datasets of object detection, here leave labels only"
        )
    for column, label in enumerate(cells[2:], 3):
        check_label(label, column)
    labels = dict.fromkeys(label for label in cells[2:] if label)
    return ImportRow(ml_use, uri, tuple(RowAnnotation(label) for label in labels))
