"""One row of the import CSV: parse it or say what is wrong with it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from boxwright import objects, row_hints, rows, states

COLUMNS = 11
MIN_EDGE_NORM = 0.01  # data_items.proto: a box edge is at least 0.01 of the image's side
MAX_LABEL_CHARS = 128
TOLERANCE_NORM = 1e-6  # printed coordinates may stick out, or be askew, by their last decimal
NEGATIVE_IMAGE = "NEGATIVE_IMAGE"  # v1beta1's mark for an image known to be empty
ML_USES = {
    "TRAIN": states.MlUse.TRAIN,
    "TRAINING": states.MlUse.TRAIN,
    "VALIDATE": states.MlUse.VALIDATION,
    "VALIDATION": states.MlUse.VALIDATION,
    "TEST": states.MlUse.TEST,
    "UNASSIGNED": states.MlUse.UNASSIGNED,
    "": states.MlUse.UNASSIGNED,
}


class BadRow(Exception):
    """What is wrong with a row, in a sentence that can follow "file, line n:"."""


@dataclasses.dataclass(frozen=True)
class ImportRow:
    """A row of the import CSV; `box` is None for an image with nothing in it.

    Attributes:
        ml_use: the split the row asks for.
        uri: the image.
        label: what is in the box, empty if there is no box.
        box: x_min, y_min, x_max, y_max in [0, 1].
    """

    ml_use: states.MlUse
    uri: str
    label: str
    box: tuple[float, float, float, float] | None


def with_header_hint(reason: str, row: rows.Row) -> str:
    """What is wrong with a row, and that it may be a header row if it is a file's first line and names no image."""
    is_known = "header row" in reason or row.line > 1 or any("://" in cell for cell in row.cells)
    return reason if is_known else f"{reason}; if this is a header row, delete it"


def parse(
    cells: Sequence[str], schemes: Sequence[str] = objects.DEFAULT_SCHEMES, *, min_edge_norm: float = MIN_EDGE_NORM
) -> ImportRow:
    """Parses the cells of one row, whose image must have one of these URI schemes, its box edges of that length.

    Raises:
        BadRow: with the column and the reason.
    """
    if cells[0].startswith(tuple(f"{scheme}://" for scheme in schemes)):
        cells = ["", *cells]  # the set may be left out altogether
    if any(cells[COLUMNS:]):
        raise BadRow(f"it has {len(cells)} columns; at most {COLUMNS} are expected")
    padded = [*cells, *[""] * COLUMNS][:COLUMNS]
    ml_use_text, uri, label, *coordinates = padded
    ml_use = ML_USES.get(ml_use_text.upper())
    if ml_use is None:
        if hint := row_hints.of_import(cells, schemes):
            raise BadRow(hint)
        if "://" in ml_use_text:
            _check_uri(ml_use_text, schemes, 1)
        raise BadRow(f"column 1: {rows.quoted(ml_use_text, ML_USES)} is none of TRAIN, VALIDATION, TEST, UNASSIGNED")
    _check_uri(uri, schemes)
    if len(label) > MAX_LABEL_CHARS or not label.isprintable():
        raise BadRow(f"column 3: a label is printable text of at most {MAX_LABEL_CHARS} characters")
    if not any(coordinates):
        if label and label.upper() != NEGATIVE_IMAGE:
            raise BadRow(f"column 4: label '{label}' comes without a box")
        return ImportRow(ml_use, uri, "", None)
    if not label:
        raise BadRow("column 3: the box has no label")
    return ImportRow(ml_use, uri, label, _box(coordinates, min_edge_norm))


def _check_uri(uri: str, schemes: Sequence[str], column: int = 2) -> None:
    if not uri:
        raise BadRow(f"column {column}: the image's gs:// path is missing")
    try:
        objects.caller_uri(uri, schemes)
    except objects.BadUri as error:
        raise BadRow(f"column {column}: {error.about(rows.quoted(uri))}") from error


def _box(cells: Sequence[str], min_edge_norm: float) -> tuple[float, float, float, float]:
    filled = tuple(bool(cell) for cell in cells)
    if filled == (True, True, False, False, True, True, False, False):
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
        raise BadRow(f"the box is {width:.4f} by {height:.4f} of the image; each edge must be at least {min_edge_norm}")
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
