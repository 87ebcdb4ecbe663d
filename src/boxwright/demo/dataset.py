"""Pictures with boxes or labels in a bucket folder, and the two CSV files that the API reads: import list, batch list."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Sequence

from boxwright.contact_sheet.boxes import Box as Box

BUCKET = "demo"
IMPORT_CSV = "labels.csv"
BATCH_CSV = "batch.csv"


class DataError(Exception):
    """The labelled images cannot be used; the message says which line and why."""


@dataclasses.dataclass(frozen=True)
class DemoImage:
    """One image of the data set.

    Attributes:
        ml_use: TRAIN, VALIDATION, TEST or UNASSIGNED.
        key: its path inside the bucket.
        boxes: what is to be found in it; none means that nothing is.
        labels: of the whole image, where there are no boxes.
    """

    ml_use: str
    key: str
    boxes: tuple[Box, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """Its address, ``gs://demo/KEY``."""
        return uri(self.key)


@dataclasses.dataclass(frozen=True)
class DataSet:
    """Pictures that lie in a bucket folder.

    Attributes:
        folder: the folder behind ``gs://demo``.
        pictures: in the order of the import list.
        bad_keys: entries of the batch list that cannot be predicted, to show how failures are reported.
    """

    folder: pathlib.Path
    pictures: tuple[DemoImage, ...]
    bad_keys: tuple[str, ...] = ()

    @property
    def is_multilabel(self) -> bool:
        """Whether an image has several labels of its own."""
        return any(len(picture.labels) > 1 for picture in self.pictures)

    def count(self, ml_use: str) -> int:
        """How many pictures are in one of the sets."""
        return sum(picture.ml_use == ml_use for picture in self.pictures)

    def to_predict(self) -> tuple[DemoImage, ...]:
        """The images of the batch: TEST, or the nearest thing to it that the labels name."""
        for ml_use in ("TEST", "VALIDATION", "UNASSIGNED"):
            chosen = tuple(picture for picture in self.pictures if picture.ml_use == ml_use)
            if chosen:
                return chosen
        return self.pictures


def uri(key: str) -> str:
    """The address of an object in the demo's bucket."""
    return f"gs://{BUCKET}/{key}"


def write_import_csv(data: DataSet, rows_of: Callable[[DemoImage], list[Sequence[object]]]) -> str:
    """Writes the import list into the bucket and returns its URI.

    Args:
        rows_of: the rows of an image, one at least.
    """
    rows = [row for picture in data.pictures for row in rows_of(picture)]
    return _write_rows(data.folder, IMPORT_CSV, rows)


def box_rows(picture: DemoImage) -> list[Sequence[object]]:
    """A row of 11 columns for each box; an empty image gets one row."""
    rows: list[Sequence[object]] = [
        (picture.ml_use, picture.uri, box.label, *_corner(box.x_min, box.y_min), *_corner(box.x_max, box.y_max))
        for box in picture.boxes
    ]
    return rows or [(picture.ml_use, picture.uri, *[""] * 9)]


def label_rows(picture: DemoImage) -> list[Sequence[object]]:
    """One row with all labels of the image."""
    return [(picture.ml_use, picture.uri, *picture.labels)]


def write_batch_csv(data: DataSet) -> str:
    """Writes the batch list, one path a line, into the bucket and returns its URI."""
    keys = [*(picture.key for picture in data.to_predict()), *data.bad_keys]
    return _write_rows(data.folder, BATCH_CSV, [(uri(key),) for key in keys])


def _corner(x: float, y: float) -> tuple[str, str, str, str]:
    """A vertex and the empty one after it: the two-vertex form."""
    return f"{x:.6f}", f"{y:.6f}", "", ""


def _write_rows(folder: pathlib.Path, key: str, rows: Iterable[Sequence[object]]) -> str:
    with (folder / key).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return uri(key)
