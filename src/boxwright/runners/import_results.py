"""Results of batch predictions as rows of an import: what a model has found becomes labels with scores."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from boxwright import boxes, errors, objects, states
from boxwright.runners.import_rows import BadRow, ImportRow, RowAnnotation, check_label

_MEMBER = re.compile(r"\.(?:tar|tar\.gz|tgz)#", re.IGNORECASE)


class AddedResults(Protocol):
    """Results of a batch prediction that go into a dataset."""

    @property
    def operation(self) -> str:
        """Name of the batch prediction."""

    @property
    def state(self) -> str:
        """Of the examples: a name of `states.ExampleState`."""

    def images(self, stores: objects.Stores) -> Iterator[dict[str, Any]]:
        """Yields them, as `as_row` takes them."""


def as_row(image: Mapping[str, Any], state: str, *, has_one_label: bool) -> tuple[ImportRow, list[float]]:
    """An image and what was found in it, as a row with a score for each annotation.

    Args:
        image: ``id``, ``failure``, and ``found``: (label, corners or None, score), the best first.
        state: of the example: where it is UNLABELED, nothing is said of the image.
        has_one_label: whether only the best label counts.

    Raises:
        ValueError: the image cannot be imported; the message says why.
    """
    if image["failure"]:
        raise ValueError(image["failure"])
    if _MEMBER.search(image["id"]):
        raise ValueError("it is in an archive; unpack the archive and predict its images, which can be added then")
    try:
        objects.ObjectUri.parse(image["id"])
    except errors.ApiError as error:
        raise ValueError(error.message) from error
    found = [] if state == states.ExampleState.UNLABELED else list(image["found"])
    kept = found[: 1 if has_one_label else boxes.MAX_LABELLED]
    for label, *_ in kept:  # the folder's files may have been written by others
        try:
            check_label(label)
        except BadRow as error:
            raise ValueError(str(error)) from error
    annotations = tuple(RowAnnotation(label, corners) for label, corners, _ in kept)
    return ImportRow(states.MlUse.UNASSIGNED, image["id"], annotations), [score for _, _, score in kept]


def stage_scores(staging: sqlite3.Connection, row: ImportRow, scores: Iterable[float]) -> None:
    """Writes the scores of a row that is staged."""
    (image_id,) = staging.execute("SELECT id FROM images WHERE uri = ?", (row.uri,)).fetchone()
    for annotation, score in zip(row.annotations, scores, strict=True):
        corners = annotation.box or (None,) * 4
        staging.execute(
            "UPDATE annotations SET score = ? WHERE image_id = ? AND label = ? AND score IS NULL "
            "AND x_min IS ? AND y_min IS ? AND x_max IS ? AND y_max IS ?",
            (score, image_id, annotation.label, *corners),
        )


def of_model(image: Mapping[str, Any], *, is_bare: bool) -> dict[str, Any]:
    """A staged image whose labels are the model's; `is_bare`: nothing is said of it."""
    changed = {**image, "source": states.AnnotationSource.MODEL}
    return changed | ({"state": states.ExampleState.UNLABELED} if is_bare else {})
