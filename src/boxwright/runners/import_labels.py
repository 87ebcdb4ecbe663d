"""Imports into datasets with one label an image, MULTICLASS: the first label of an image stays, rows with another are bad.

An image is one image by its content: copies under other paths and the dataset's own image count too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from boxwright import states
from boxwright.metadata import datasets
from boxwright.runners.import_rows import BadRow, ImportRow
from boxwright.runners.import_sets import copied

_RULE = "a MULTICLASS dataset has one label an image, and '{}' stays; for several labels, create a MULTILABEL dataset"


def of_row(staging: sqlite3.Connection, image_id: int, row: ImportRow) -> str | None:
    """Stages the label of a row, unless its image has one.

    Returns:
        The image's label, None if it is not labelled so far.

    Raises:
        BadRow: the row has another label than its image, or several.
    """
    labels = [annotation.label for annotation in row.annotations]
    had = staging.execute("SELECT label FROM annotations WHERE image_id = ?", (image_id,)).fetchone()
    stays = had[0] if had else next(iter(labels), None)
    if had is None and stays is not None:
        staging.execute("INSERT INTO annotations (image_id, label) VALUES (?, ?)", (image_id, stays))
    others = [label for label in labels if label != stays]
    if stays is None or not others:
        return stays
    listed = ", ".join(f"'{label}'" for label in others[:3]) + (", …" if len(others) > 3 else "")
    before = f"and '{stays}' in an earlier row" if had else f"beside '{stays}'"
    raise BadRow(f"{row.uri} is labelled {listed} here {before}; {_RULE.format(stays)}")


def of_copies(staging: sqlite3.Connection, fail: Callable[[str, str], None]) -> None:
    """Compares the paths that have the same content: the first label, in order of the rows, stays."""
    for sha256 in copied(staging):
        labelled = staging.execute(
            "SELECT images.id, uri, place, label FROM images JOIN annotations ON image_id = images.id "
            "WHERE sha256 = ? ORDER BY images.id",
            (sha256,),
        ).fetchall()
        for image_id, uri, place, label in labelled[1:]:
            _, first_uri, _, stays = labelled[0]
            if label != stays:
                staging.execute("DELETE FROM annotations WHERE image_id = ?", (image_id,))
                fail(
                    place,
                    f"{uri} is labelled '{label}' and has the content of {first_uri}, '{stays}'; {_RULE.format(stays)}",
                )


def of_dataset(images: Sequence[Mapping[str, Any]], known: Mapping[str, datasets.KnownExample]) -> Iterator[str]:
    """Yields what is told of images, about to be merged, that the dataset has with another label.

    Args:
        images: see `datasets.merge`; with place.
        known: what the dataset had, by content.
    """
    for image in images:
        had = known.get(image["sha256"])
        if had is None or not had.labels or not image["annotations"] or had.state == states.ExampleState.SUGGESTED:
            continue
        label, stays = image["annotations"][0][0], had.labels[0]
        if label != stays:
            yield (
                f"{image['place']}: {image['uri']} is labelled '{label}' here and '{stays}' in the dataset already; "
                f"{_RULE.format(stays)}."
            )
