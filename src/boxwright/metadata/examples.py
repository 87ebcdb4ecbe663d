"""Rows of examples for reading and changing one by one. Statements only, no rules."""

import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from boxwright.metadata.datasets import Annotation
from boxwright.metadata.example_counts import recount
from boxwright.metadata.schema import annotation_specs, annotations, examples


def find(connection: sa.Connection, dataset_id: str, sha256: str) -> sa.Row[Any] | None:
    """Returns the row of the example with this content, or None."""
    return connection.execute(
        sa.select(examples).where(examples.c.dataset_id == dataset_id, examples.c.sha256 == sha256)
    ).first()


def present(connection: sa.Connection, dataset_id: str, sha256s: Collection[str]) -> set[str]:
    """Those of these contents that a dataset has; at most as many as one statement takes, some thousands."""
    query = sa.select(examples.c.sha256).where(examples.c.dataset_id == dataset_id, examples.c.sha256.in_(sha256s))
    return set(connection.execute(query).scalars())


def select_of(dataset_id: str) -> sa.Select[Any]:
    """The query for a dataset's examples, to be filtered and paged."""
    return sa.select(examples).where(examples.c.dataset_id == dataset_id)


def count(connection: sa.Connection, query: sa.Select[Any]) -> int:
    """How many examples a query of `select_of` finds."""
    return int(connection.execute(query.with_only_columns(sa.func.count())).scalar_one())


ORDERS: dict[str, sa.Column[Any]] = {  # by what a list of examples can be ordered; equal ones in the order of import
    "import_order": examples.c.id,
    "update_time": examples.c.update_time_us,
    "display_name": examples.c.display_name,
    "boxes": examples.c.annotation_count,
}


def page_of(
    query: sa.Select[Any],
    *,
    after: tuple[int, Any] | None = None,
    order: str = "import_order",
    is_turned: bool = False,
    skip: int,
    limit: int,
) -> sa.Select[Any]:
    """The part of a query of `select_of` that follows a row.

    Args:
        after: id of that row, and its value of the order's column; None: from the start.
        order: key of `ORDERS`.
        is_turned: whether the last of that order is first.
    """
    columns = list(dict.fromkeys((ORDERS[order], examples.c.id)))
    if after is not None:
        row_id, value = after
        place = sa.tuple_(*(sa.literal(row_id if column is examples.c.id else value) for column in columns))
        query = query.where(sa.tuple_(*columns) < place if is_turned else sa.tuple_(*columns) > place)
    return query.order_by(*(column.desc() if is_turned else column for column in columns)).offset(skip).limit(limit)


def carries(dataset_id: str, label: str | None) -> sa.ColumnElement[bool]:
    """Whether an example has an annotation with this label; None: with any label."""
    found = sa.select(annotations.c.example_id)
    if label is None:
        return sa.exists(found.where(annotations.c.example_id == examples.c.id))
    spec = sa.select(annotation_specs.c.id).where(
        annotation_specs.c.dataset_id == dataset_id, annotation_specs.c.display_name == label
    )
    return examples.c.id.in_(found.where(annotations.c.annotation_spec_id.in_(spec)))


def carries_spec(spec_id: str) -> sa.ColumnElement[bool]:
    """Whether an example has an annotation of this annotation spec."""
    return examples.c.id.in_(sa.select(annotations.c.example_id).where(annotations.c.annotation_spec_id == spec_id))


def has_source(source: str) -> sa.ColumnElement[bool]:
    """Whether an example has an annotation that comes from there."""
    mine = annotations.c.example_id == examples.c.id
    return sa.exists(sa.select(annotations.c.id).where(mine, annotations.c.source == source))


def annotations_of(connection: sa.Connection, example_ids: Collection[int]) -> dict[int, list[Annotation]]:
    """Returns the annotations of examples by the example's id, in the order in which they were added."""
    found: dict[int, list[Annotation]] = {example_id: [] for example_id in example_ids}
    rows = connection.execute(
        sa.select(annotations, annotation_specs.c.display_name)
        .join(annotation_specs, annotation_specs.c.id == annotations.c.annotation_spec_id)
        .where(annotations.c.example_id.in_(example_ids))
        .order_by(annotations.c.id)
    )
    for row in rows:
        box = None if row.x_min is None else (row.x_min, row.y_min, row.x_max, row.y_max)
        one = Annotation(row.annotation_spec_id, row.display_name, box, row.source, row.score)
        found[row.example_id].append(one)
    return found


def etag(row: sa.Row[Any], found: Sequence[Annotation]) -> str:
    """The etag of an example with these annotations: 16 hexadecimal digits of what it says, an import's changes included."""
    said = [row.ml_use, row.state, [[one.spec_id, one.box] for one in found]]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def update(connection: sa.Connection, example_id: int, values: dict[str, Any]) -> None:
    """Changes columns of one example, which no change of many examples has left as it is then."""
    connection.execute(examples.update().where(examples.c.id == example_id).values(**{"change_id": "", **values}))


def replace_annotations(connection: sa.Connection, example_id: int, wanted: Sequence[Annotation]) -> None:
    """Gives an example these annotations instead of those that it has."""
    connection.execute(annotations.delete().where(annotations.c.example_id == example_id))
    rows = [
        {
            "example_id": example_id,
            "annotation_spec_id": one.spec_id,
            **dict(zip(("x_min", "y_min", "x_max", "y_max"), one.box or (None,) * 4, strict=True)),
            "source": one.source,
            "score": one.score,
        }
        for one in wanted
    ]
    if rows:
        connection.execute(annotations.insert(), rows)
    recount(connection, examples.c.id == example_id)
