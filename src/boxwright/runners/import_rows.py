"""One row of an import CSV, whatever its dataset holds: the set, the image, and what the following columns say of it.

`box_rows` and `label_rows` parse the columns after the image; `data_forms` says which of them is for a dataset.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from boxwright import objects, row_hints, rows, states

MAX_LABEL_CHARS = 128
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


class RowAnnotation(NamedTuple):
    """A label that a row gives to its image; `box` is x_min, y_min, x_max, y_max in [0, 1], None for the whole image."""

    label: str
    box: tuple[float, float, float, float] | None = None


@dataclasses.dataclass(frozen=True)
class ImportRow:
    """A row of an import CSV.

    Attributes:
        ml_use: the split the row asks for.
        uri: the image.
        annotations: empty for an image with nothing in it, or one that is not labelled.
    """

    ml_use: states.MlUse
    uri: str
    annotations: tuple[RowAnnotation, ...] = ()


def with_header_hint(reason: str, row: rows.Row) -> str:
    """What is wrong with a row, and that it may be a header row if it is a file's first line and names no image."""
    is_known = "header row" in reason or row.line > 1 or any("://" in cell for cell in row.cells)
    return reason if is_known else f"{reason}; if this is a header row, delete it"


def with_set(cells: Sequence[str], schemes: Sequence[str]) -> Sequence[str]:
    """The cells with one for the set, which may be left out altogether."""
    if cells[0].startswith(tuple(f"{scheme}://" for scheme in schemes)):
        return ["", *cells]
    return cells


def image_of(cells: Sequence[str], schemes: Sequence[str]) -> tuple[states.MlUse, str]:
    """The set and the image that a row names in its first two cells.

    Raises:
        BadRow: with the column and the reason.
    """
    ml_use_text, uri = cells[0], cells[1] if len(cells) > 1 else ""
    ml_use = ML_USES.get(ml_use_text.upper())
    if ml_use is None:
        if hint := row_hints.of_import(cells, schemes):
            raise BadRow(hint)
        if "://" in ml_use_text:
            _check_uri(ml_use_text, schemes, 1)
        raise BadRow(f"column 1: {rows.quoted(ml_use_text, ML_USES)} is none of TRAIN, VALIDATION, TEST, UNASSIGNED")
    _check_uri(uri, schemes)
    return ml_use, uri


def check_label(label: str, column: int | None = None) -> None:
    """Raises BadRow unless a text, that of a cell of this column if there is one, can be a label."""
    if len(label) > MAX_LABEL_CHARS or not label.isprintable():
        where = "" if column is None else f"column {column}: "
        raise BadRow(f"{where}a label is printable text of at most {MAX_LABEL_CHARS} characters")


def _check_uri(uri: str, schemes: Sequence[str], column: int = 2) -> None:
    if not uri:
        raise BadRow(f"column {column}: the image's gs:// path is missing")
    try:
        objects.caller_uri(uri, schemes)
    except objects.BadUri as error:
        raise BadRow(f"column {column}: {error.about(rows.quoted(uri))}") from error
