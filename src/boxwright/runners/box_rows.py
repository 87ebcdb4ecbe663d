"""One row of the import CSV of object detection: eleven columns, one box a row."""

from __future__ import annotations

import math
from collections.abc import Sequence

from boxwright import boxes, objects, rows
from boxwright.runners.import_rows import BadRow, ImportRow, RowAnnotation, check_label, image_of, with_set

COLUMNS = 11
MIN_EDGE_NORM = boxes.MIN_EDGE_NORM
TOLERANCE_NORM = boxes.EDGE_TOLERANCE_NORM
NEGATIVE_IMAGE = "NEGATIVE_IMAGE"  # v1beta1's mark for an image known to be empty
_TWO_VERTICES = (True, True, False, False, True, True, False, False)


def parse(
    cells: Sequence[str], schemes: Sequence[str] = objects.DEFAULT_SCHEMES, *, min_edge_norm: float = MIN_EDGE_NORM
) -> ImportRow:
    """Parses the cells of one row, whose image must have one of these URI schemes, its box edges of that length.

    Raises:
        BadRow: with the column and the reason.
    """
    cells = with_set(cells, schemes)
    if any(cells[COLUMNS:]):
        raise BadRow(f"it has {len(cells)} columns; at most {COLUMNS} are expected")
    padded = [*cells, *[""] * COLUMNS][:COLUMNS]
    label, coordinates = padded[2], padded[3:]
    ml_use, uri = image_of(cells, schemes)
    check_label(label, 3)
    if not any(coordinates):
        if label and label.upper() != NEGATIVE_IMAGE:
            raise BadRow(
                f"column 4: label '{label}' comes without a box; labels of whole images are for datasets of image "
                "classification"
            )
        return ImportRow(ml_use, uri)
    if not label:
        raise BadRow("column 3: the box has no label")
    return ImportRow(ml_use, uri, (RowAnnotation(label, _box(coordinates, min_edge_norm)),))


def is_box(cells: Sequence[str]) -> bool:
    """Whether a row's cells after its label are those of a box: numbers, in the places where a box has them."""
    if any(cells[8:]):
        return False
    padded = [*cells, *[""] * 8][:8]
    filled = tuple(bool(cell) for cell in padded)
    if filled != _TWO_VERTICES and not all(filled):
        return False
    try:
        return all(0 <= float(cell) <= 1 for cell in padded if cell)
    except ValueError:
        return False


def _box(cells: Sequence[str], min_edge_norm: float) -> tuple[float, float, float, float]:
    filled = tuple(bool(cell) for cell in cells)
    if filled == _TWO_VERTICES:
        x_a, y_a, x_b, y_b = (_coordinate(cells[index], index) for index in (0, 1, 4, 5))
        xs: tuple[float, ...] = (x_a, x_b)
        ys: tuple[float, ...] = (y_a, y_b)
    elif all(filled):
        values = [_coordinate(cell, index) for index, cell in enumerate(cells)]
        xs, ys = tuple(values[0::2]), tuple(values[1::2])
        if not _is_rectangle(xs, ys):
            raise BadRow("columns 4 to 11: the four vertices do not form a rectangle parallel to the image's sides")
    else:
        raise BadRow("columns 4 to 11: a box is two opposite vertices (x,y,,,x,y,,) or four vertices (x,y,x,y,x,y,x,y)")
    box = (min(xs), min(ys), max(xs), max(ys))
    width, height = box[2] - box[0], box[3] - box[1]
    if width < min_edge_norm - TOLERANCE_NORM or height < min_edge_norm - TOLERANCE_NORM:
        raise BadRow(
            f"the box is {width:.4f} by {height:.4f} of the image; each edge must be at least {min_edge_norm}, or 2 pixels "
            "in an import with wide_box_limits=true"
        )
    return box


def _coordinate(cell: str, index: int) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise BadRow(f"column {index + 4}: {rows.quoted(cell)} is not a number") from None
    if not math.isfinite(value) or not -TOLERANCE_NORM <= value <= 1 + TOLERANCE_NORM:
        raise BadRow(
            f"column {index + 4}: {cell[:40]} is outside 0 to 1; coordinates are fractions of the image's sides"
        )
    return min(1.0, max(0.0, value))


def _is_rectangle(xs: tuple[float, ...], ys: tuple[float, ...]) -> bool:
    """Whether the vertices, joined in order, go round an axis-parallel rectangle."""
    sides = []
    for index in range(4):
        following = (index + 1) % 4
        same_x = abs(xs[index] - xs[following]) <= TOLERANCE_NORM
        same_y = abs(ys[index] - ys[following]) <= TOLERANCE_NORM
        if same_x == same_y:
            return False
        sides.append(same_x)
    return sides[0] == sides[2] and sides[1] == sides[3] and sides[0] != sides[1]
