"""Anybody's images with labels and no boxes: `labels.csv`, or a folder for each label.

labels.csv    SET,path,label and further labels, no header; the path is relative to the folder; an image without a label
              has none
label/…       without labels.csv, every folder is a label of the images in it; the service divides them into sets
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from boxwright.demo import dataset, folder

SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".ico", ".webp", ".tif", ".tiff"}


def read_labels(source: pathlib.Path) -> list[dataset.DemoImage]:
    """The images that a folder describes.

    Raises:
        DataError: naming the file, the line and what is wrong with it.
    """
    if (source / folder.LABELS_CSV).is_file():
        return _from_csv(source, source / folder.LABELS_CSV)
    return _from_folders(source)


def _from_csv(source: pathlib.Path, path: pathlib.Path) -> list[dataset.DemoImage]:
    found: dict[str, dataset.DemoImage] = {}
    for where, row in folder.read_rows(path):
        ml_use, key = folder.read_image(source, row, where)
        if _has_boxes(row):
            raise dataset.DataError(f"{where} has a box. For boxes, leave out --kind classification (KIND= with make).")
        labels = tuple(dict.fromkeys(cell for cell in row[2:] if cell))
        before = found.get(key)
        if before is not None:
            raise dataset.DataError(f"{where}: {key} has a row already. Write all labels of an image into one row.")
        found[key] = dataset.DemoImage(ml_use, key, labels=labels)
    if not any(image.labels for image in found.values()):
        raise dataset.DataError(f"{path} has no labels; the third column of a row is the image's label.")
    return list(found.values())


def _has_boxes(row: Sequence[str]) -> bool:
    """Whether a row looks like one with a box: numbers from 0 to 1 behind the label."""
    numbers = [cell for cell in row[3:] if cell]
    return len(numbers) >= 4 and all(_is_fraction(cell) for cell in numbers)


def _is_fraction(cell: str) -> bool:
    try:
        return 0 <= float(cell) <= 1
    except ValueError:
        return False


def _from_folders(source: pathlib.Path) -> list[dataset.DemoImage]:
    images = [
        dataset.DemoImage("UNASSIGNED", path.relative_to(source).as_posix(), labels=(inner.name,))
        for inner in sorted(source.iterdir() if source.is_dir() else ())
        if inner.is_dir() and not inner.name.startswith(".")
        for path in sorted(inner.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    ]
    if not images:
        raise dataset.DataError(
            f"{source} has neither {folder.LABELS_CSV} nor a folder of images for each label; "
            "see docs/getting-started.md for what it may hold."
        )
    return images
