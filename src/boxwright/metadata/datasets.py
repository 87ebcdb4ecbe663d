"""Rows of datasets: datasets, annotation specs, examples and annotations. Statements only, no rules."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from boxwright import private
from boxwright.metadata.schema import annotation_specs, annotations, datasets, examples

INSERT_BATCH_ROWS = 2000
_BOX_COLUMNS = ("example_id", "annotation_spec_id", "x_min", "y_min", "x_max", "y_max")


def insert(connection: sa.Connection, values: dict[str, Any]) -> None:
    """Adds a dataset row."""
    connection.execute(datasets.insert().values(**values))


def find(connection: sa.Connection, project: str, location: str, dataset_id: str) -> sa.Row[Any] | None:
    """Returns the dataset's row, or None."""
    return connection.execute(
        sa.select(datasets).where(
            datasets.c.project == project, datasets.c.location == location, datasets.c.id == dataset_id
        )
    ).first()


def select_of(project: str, location: str) -> sa.Select[Any]:
    """The query for a location's datasets, to be filtered and paged."""
    return sa.select(datasets).where(datasets.c.project == project, datasets.c.location == location)


def update(connection: sa.Connection, dataset_id: str, values: dict[str, Any]) -> None:
    """Changes columns of one dataset row."""
    connection.execute(datasets.update().where(datasets.c.id == dataset_id).values(**values))


def delete(connection: sa.Connection, dataset_id: str) -> None:
    """Removes the dataset with its specs, examples and annotations."""
    mine = sa.select(examples.c.id).where(examples.c.dataset_id == dataset_id)
    connection.execute(annotations.delete().where(annotations.c.example_id.in_(mine)))
    connection.execute(examples.delete().where(examples.c.dataset_id == dataset_id))
    connection.execute(annotation_specs.delete().where(annotation_specs.c.dataset_id == dataset_id))
    connection.execute(datasets.delete().where(datasets.c.id == dataset_id))


def specs(connection: sa.Connection, dataset_id: str) -> list[tuple[str, str]]:
    """Returns (id, display name) of the dataset's annotation specs, ordered by display name."""
    rows = connection.execute(
        sa.select(annotation_specs.c.id, annotation_specs.c.display_name)
        .where(annotation_specs.c.dataset_id == dataset_id)
        .order_by(annotation_specs.c.display_name)
    )
    return [(row.id, row.display_name) for row in rows]


def find_spec(connection: sa.Connection, dataset_id: str, spec_id: str) -> sa.Row[Any] | None:
    """Returns the annotation spec's row, or None."""
    return connection.execute(
        sa.select(annotation_specs).where(annotation_specs.c.dataset_id == dataset_id, annotation_specs.c.id == spec_id)
    ).first()


def examples_per_spec(connection: sa.Connection, dataset_id: str) -> dict[str, int]:
    """Counts, per annotation spec id, the examples that carry at least one box of it."""
    rows = connection.execute(
        sa.select(annotations.c.annotation_spec_id, sa.func.count(sa.distinct(annotations.c.example_id)))
        .join(examples, examples.c.id == annotations.c.example_id)
        .where(examples.c.dataset_id == dataset_id)
        .group_by(annotations.c.annotation_spec_id)
    )
    return {row[0]: row[1] for row in rows}


def examples_per_use(connection: sa.Connection, dataset_id: str) -> dict[str, int]:
    """Counts the dataset's examples per ML use."""
    rows = connection.execute(
        sa.select(examples.c.ml_use, sa.func.count())
        .where(examples.c.dataset_id == dataset_id)
        .group_by(examples.c.ml_use)
    )
    return {row[0]: row[1] for row in rows}


def uses_of(connection: sa.Connection, dataset_id: str, sha256s: Collection[str]) -> dict[str, tuple[str, str]]:
    """Returns (ml_use, uri) of those of the dataset's examples that have one of these contents."""
    rows = connection.execute(
        sa.select(examples.c.sha256, examples.c.ml_use, examples.c.uri).where(
            examples.c.dataset_id == dataset_id, examples.c.sha256.in_(sha256s)
        )
    )
    return {row.sha256: (row.ml_use, row.uri) for row in rows}


def merge(
    connection: sa.Connection,
    dataset_id: str,
    images: Iterable[dict[str, Any]],
    new_spec_id: Callable[[], str],
) -> int:
    """Adds imported images and their boxes to a dataset; returns how many examples are new.

    An image whose content is already in the dataset keeps its row, and its boxes are appended; a box that is there
    already, label and all four coordinates, is not added again.

    Args:
        images: dicts with sha256, uri, ml_use, width_px, height_px and boxes: [(label, x_min, y_min, x_max, y_max), …].
        new_spec_id: makes ids for labels not seen before.
    """
    known_specs = {name: spec_id for spec_id, name in specs(connection, dataset_id)}
    added = 0
    pending: list[dict[str, Any]] = []
    seen_in: dict[int, set[tuple[Any, ...]]] = {}  # boxes of this batch's examples, those not yet written included
    for image in images:
        example_id, known_boxes = _example(connection, dataset_id, image)
        added += known_boxes is None
        seen = seen_in.setdefault(example_id, known_boxes or set())
        for label, *corners in image["boxes"]:
            if label not in known_specs:
                known_specs[label] = new_spec_id()
                connection.execute(
                    annotation_specs.insert().values(id=known_specs[label], dataset_id=dataset_id, display_name=label)
                )
            box = (known_specs[label], *corners)
            if box not in seen:
                seen.add(box)
                pending.append(dict(zip(_BOX_COLUMNS, (example_id, *box), strict=True)))
        if len(pending) >= INSERT_BATCH_ROWS:
            connection.execute(annotations.insert(), pending)
            pending = []
    if pending:
        connection.execute(annotations.insert(), pending)
    connection.execute(
        datasets.update().where(datasets.c.id == dataset_id).values(example_count=datasets.c.example_count + added)
    )
    return added


def _example(
    connection: sa.Connection, dataset_id: str, image: dict[str, Any]
) -> tuple[int, set[tuple[Any, ...]] | None]:
    """Returns the example's id, and its boxes if it was there before (None if it is new)."""
    found = connection.execute(
        sa.select(examples.c.id).where(examples.c.dataset_id == dataset_id, examples.c.sha256 == image["sha256"])
    ).scalar()
    if found is None:
        values = {key: image[key] for key in ("sha256", "uri", "ml_use", "width_px", "height_px")}
        result = connection.execute(examples.insert().values(dataset_id=dataset_id, **values))
        key = result.inserted_primary_key
        assert key is not None
        return int(key[0]), None
    boxes = connection.execute(
        sa.select(
            annotations.c.annotation_spec_id,
            annotations.c.x_min,
            annotations.c.y_min,
            annotations.c.x_max,
            annotations.c.y_max,
        ).where(annotations.c.example_id == found)
    )
    return found, {tuple(box) for box in boxes}


def superseded(connection: sa.Connection, dataset_id: str) -> dict[int, str]:
    """Examples whose image was replaced at its address by one that was imported later: their ids, with the address."""
    newest = (
        sa.select(examples.c.uri, sa.func.max(examples.c.id).label("id"))
        .where(examples.c.dataset_id == dataset_id)
        .group_by(examples.c.uri)
        .having(sa.func.count() > 1)
        .subquery()
    )
    query = (
        sa.select(examples.c.id, examples.c.uri)
        .join(newest, examples.c.uri == newest.c.uri)
        .where(examples.c.dataset_id == dataset_id, examples.c.id != newest.c.id)
        .order_by(examples.c.id)
    )
    return {row.id: row.uri for row in connection.execute(query)}


def write_examples(connection: sa.Connection, dataset_id: str, path: pathlib.Path, label_ids: Sequence[str]) -> int:
    """Writes the dataset as JSON lines for training, ordered by content hash; returns the number of images.

    Of several contents that were imported from one address, the one that was imported last is there: see `superseded`.
    Each line: uri, sha256, ml_use, boxes [[label index, x_min, y_min, x_max, y_max], …]; label indices follow `label_ids`.
    """
    index_of = {spec_id: index for index, spec_id in enumerate(label_ids)}
    count, gone = 0, set(superseded(connection, dataset_id))
    with private.open_file(path, "w") as lines:
        for row, boxes in _with_boxes(connection, dataset_id):
            if row.id in gone:
                continue
            image = {
                "uri": row.uri,
                "sha256": row.sha256,
                "ml_use": row.ml_use,
                "boxes": [
                    [index_of[box.annotation_spec_id], box.x_min, box.y_min, box.x_max, box.y_max] for box in boxes
                ],
            }
            lines.write(json.dumps(image) + "\n")
            count += 1
    return count


@dataclasses.dataclass(frozen=True)
class ExportRow:
    """One row of the import CSV; an image with nothing in it has no label and no box."""

    ml_use: str
    uri: str
    label: str
    box: tuple[float, float, float, float] | None


def rows(connection: sa.Connection, dataset_id: str) -> Iterator[ExportRow]:
    """Yields the dataset as rows of the import CSV, ordered by content hash."""
    label_of = dict(specs(connection, dataset_id))
    for example, boxes in _with_boxes(connection, dataset_id):
        for box in boxes:
            corners = (box.x_min, box.y_min, box.x_max, box.y_max)
            yield ExportRow(example.ml_use, example.uri, label_of[box.annotation_spec_id], corners)
        if not boxes:
            yield ExportRow(example.ml_use, example.uri, "", None)


def _with_boxes(connection: sa.Connection, dataset_id: str) -> Iterator[tuple[sa.Row[Any], Sequence[sa.Row[Any]]]]:
    rows = connection.execution_options(yield_per=INSERT_BATCH_ROWS).execute(
        sa.select(examples).where(examples.c.dataset_id == dataset_id).order_by(examples.c.sha256)
    )
    for row in rows:
        boxes = connection.execute(
            sa.select(annotations).where(annotations.c.example_id == row.id).order_by(annotations.c.id)
        ).all()
        yield row, boxes
