"""Anybody's labelled images: `labels.csv` and the images it names, brought into the demo's bucket.

    labels.csv    11 columns a row, no header: SET,path,label,x_min,y_min,,,x_max,y_max,, (or all four corners); the
                  path is relative to the folder; SET is TRAIN, VALIDATION, TEST or UNASSIGNED; an image with nothing
                  to find has one row with empty label and coordinates

Images are linked, not copied, where the file system can. What the service itself checks at import (boxes too small,
labels too long, images it cannot read) is left to it: those rows show up in the import's partial failures.
"""

from __future__ import annotations

import contextlib
import csv
import os
import pathlib
import shutil
from collections.abc import Callable, Sequence

from boxwright.demo import dataset

LABELS_CSV = "labels.csv"
COLUMNS = 11
TWO_CORNERS = [True, True, False, False, True, True, False, False]
FOUR_CORNERS = [True] * 8
NEGATIVE_IMAGE = "NEGATIVE_IMAGE"  # the import's other way to say that nothing is to be found
# Every spelling that the import accepts, and the one that the demo writes.
ML_USES = {
    "TRAIN": "TRAIN",
    "TRAINING": "TRAIN",
    "VALIDATE": "VALIDATION",
    "VALIDATION": "VALIDATION",
    "TEST": "TEST",
    "UNASSIGNED": "UNASSIGNED",
    "": "UNASSIGNED",
}


def link_dataset(
    source: pathlib.Path,
    folder: pathlib.Path,
    pictures: Sequence[dataset.DemoImage],
    linked: Callable[[int], None] = lambda count: None,
) -> dataset.DataSet:
    """Brings the images of a folder into `folder`, the demo's bucket.

    Args:
        source: where they are.
        folder: where they shall be.
        pictures: the images, by paths below `source`.
        linked: told after each image how many are done.
    """
    for count, picture in enumerate(pictures, 1):
        _link_or_copy(source / picture.key, folder / picture.key)
        linked(count)
    return dataset.DataSet(folder, tuple(pictures))


def read_labels(source: pathlib.Path) -> list[dataset.DemoImage]:
    """The pictures that `source`/labels.csv describes, in the order of their first row.

    Raises:
        DataError: naming the file, the line and what is wrong with it.
    """
    path = source / LABELS_CSV
    if not path.is_file():
        raise dataset.DataError(f"{source} has no {LABELS_CSV}; see docs/import.md for what it holds.")
    ml_uses: dict[str, str] = {}
    boxes: dict[str, list[dataset.Box]] = {}
    for where, row in read_rows(path):
        _read_row(source, row, where, ml_uses, boxes)
    return [dataset.DemoImage(ml_use, key, tuple(boxes[key])) for key, ml_use in ml_uses.items()]


def read_rows(path: pathlib.Path) -> list[tuple[str, list[str]]]:
    """The rows of a CSV file that are not empty, each with its place.

    Raises:
        DataError: the file has none, or is none.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [
                (f"{path}, row {line}", [cell.strip() for cell in row]) for line, row in enumerate(csv.reader(file), 1)
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise dataset.DataError(f"{path} is not CSV in UTF-8: {error}.") from error
    found = [(where, row) for where, row in rows if any(row)]
    if not found:
        raise dataset.DataError(f"{path} has no rows.")
    return found


def read_image(source: pathlib.Path, row: Sequence[str], where: str) -> tuple[str, str]:
    """The set of a row's image, and its path inside the folder.

    Raises:
        DataError: the row has not both.
    """
    if len(row) < 2:
        raise dataset.DataError(f"{where} has one column; a row begins with the set and the path: SET,path.")
    ml_use = ML_USES.get(row[0].upper())
    if ml_use is None:
        raise dataset.DataError(f"{where}: the set '{row[0]}' is none of TRAIN, VALIDATION, TEST, UNASSIGNED.")
    return ml_use, _inner_path(source, row[1], where)


def _read_row(
    source: pathlib.Path, row: Sequence[str], where: str, ml_uses: dict[str, str], boxes: dict[str, list[dataset.Box]]
) -> None:
    """Takes one row into the two tables, which are keyed by the image's path."""
    if len(row) < 2 or any(row[COLUMNS:]):
        raise dataset.DataError(f"{where} has {len(row)} columns; {COLUMNS} are needed: SET,path,label,8 coordinates.")
    row = [*row, *[""] * COLUMNS][:COLUMNS]  # what is left out at the end is empty
    ml_use, key = read_image(source, row, where)
    ml_uses.setdefault(key, ml_use)
    found = boxes.setdefault(key, [])
    label, has_box = row[2], any(row[3:])
    if has_box and label:
        found.append(_read_box(row, where))
    elif has_box or label not in ("", NEGATIVE_IMAGE):
        raise dataset.DataError(
            f"{where}: a box needs a label, and a label a box. For labels of whole images, add --kind classification "
            "(KIND=classification with make)."
        )


def _inner_path(source: pathlib.Path, text: str, where: str) -> str:
    """The image's path inside the folder; paths that lead out of it are refused."""
    path = pathlib.PurePosixPath(text)
    if not text or "://" in text or path.is_absolute() or ".." in path.parts:
        raise dataset.DataError(f"{where}: '{text}' is not a path inside {source}; the demo takes relative paths only.")
    if not (source / path).is_file():
        raise dataset.DataError(f"{where}: there is no file {source / path}.")
    return str(path)


def _read_box(row: Sequence[str], where: str) -> dataset.Box:
    if [bool(cell) for cell in row[3:]] not in (TWO_CORNERS, FOUR_CORNERS):
        raise dataset.DataError(f"{where}: a box is two opposite corners (x,y,,,x,y,,) or all four (x,y,x,y,x,y,x,y).")
    try:
        numbers = [float(cell) for cell in row[3:] if cell]
    except ValueError as error:
        raise dataset.DataError(f"{where}: a coordinate is not a number: {','.join(row[3:])}.") from error
    if not all(0 <= number <= 1 for number in numbers):
        raise dataset.DataError(f"{where}: coordinates are fractions of the image's sides, from 0 to 1.")
    xs, ys = numbers[0::2], numbers[1::2]
    return dataset.Box(row[2], min(xs), min(ys), max(xs), max(ys))


def _link_or_copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """A second name for the file; a copy where linking is not possible (another disk, another owner)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        os.link(source.resolve(), target)
        return
    shutil.copyfile(source, target)
