"""What is wrong with a row as a whole, for rows that people really write: another separator, a header, another list's form.

A hint never repeats a cell: what is in a file that is no list is nobody's business.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

SETS = ("TRAIN", "TRAINING", "VALIDATE", "VALIDATION", "TEST", "UNASSIGNED", "")
_HEADER_WORDS = re.compile(
    "(set|mluse|use|split|subset|partition|(gs|gcs|s3)?(image|file|img)*(path|uri|url|name)?|id|(labels?|class(name)?)[0-9]*|score"
    "|[xy](min|max|[1-4])?)"
)
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_NOT_LETTERS = re.compile(r"[\W_]+")


def of_import(cells: Sequence[str], schemes: Collection[str]) -> str | None:
    """What an unusable row of an import CSV is, in a sentence without a full stop; None if nothing typical."""
    return _of_any(cells, schemes)


def of_image_list(cells: Sequence[str], schemes: Collection[str], *, is_first: bool = False) -> str | None:
    """What an unusable row of a list of images is, in a sentence without a full stop; None if nothing typical.

    Args:
        cells: the row's cells.
        schemes: those of addresses that are served.
        is_first: whether it is the first line of its file.
    """
    column = next((number for number, cell in enumerate(cells, 1) if _begins_with_address(cell, schemes)), 1)
    if column == 2 and cells[0].upper() in SETS:
        return "this is a row of an import CSV; a list for predictions has the image's address in column 1"
    if column > 1:
        return f"the address is in column {column}; a list has it in column 1"
    if _begins_with_address(cells[0], schemes) and cells[0].endswith("/"):
        return "a folder is no row of a list; name it beside the list, as an input of its own"
    if is_first and not any(character in cells[0] for character in "/\\.:;"):
        return _of_any(cells, schemes) or "if this is a header row, delete it"
    return _of_any(cells, schemes)


def _of_any(cells: Sequence[str], schemes: Collection[str]) -> str | None:
    text = ",".join(cells)
    if text.lower().startswith("sep="):
        return "this line is meant for spreadsheet programs; delete it, and separate columns by commas"
    for separator, name in _SEPARATORS.items():
        cell = next((cell for cell in cells if separator in cell), None)
        if cell is not None and any(_begins_with_address(part.strip(), schemes) for part in cell.split(separator)):
            return f"the columns are separated by {name}; separate them by commas"
    if cells[0].startswith("#"):
        return "lists have no comments; delete the line"
    if is_header(cells):
        return "this looks like a header row; delete it"
    return None


def is_header(cells: Sequence[str]) -> bool:
    """Whether every cell of a row that is not empty names a column."""
    words = [_NOT_LETTERS.sub("", part).lower() for cell in cells for part in re.split(r"[;\t|]", cell)]
    return any(words) and all(_HEADER_WORDS.fullmatch(word) for word in words)


def _begins_with_address(cell: str, schemes: Collection[str]) -> bool:
    return cell.lstrip("\"'").startswith(tuple(f"{scheme}://" for scheme in schemes))
