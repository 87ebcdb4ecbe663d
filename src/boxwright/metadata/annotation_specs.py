"""Rows of annotation specs, the labels of a dataset. Statements only, no rules."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from boxwright.metadata.schema import annotation_specs, annotations


def all_of(connection: sa.Connection, dataset_id: str) -> Sequence[sa.Row[Any]]:
    """The rows of a dataset's labels, by display name."""
    query = sa.select(annotation_specs).where(annotation_specs.c.dataset_id == dataset_id)
    return connection.execute(query.order_by(annotation_specs.c.display_name)).all()


def insert(connection: sa.Connection, values: dict[str, Any]) -> None:
    """Adds a label."""
    connection.execute(annotation_specs.insert().values(**values))


def update(connection: sa.Connection, spec_id: str, values: dict[str, Any]) -> None:
    """Changes columns of one label."""
    connection.execute(annotation_specs.update().where(annotation_specs.c.id == spec_id).values(**values))


def delete(connection: sa.Connection, spec_id: str) -> None:
    """Removes a label, and whatever carries it."""
    connection.execute(annotations.delete().where(annotations.c.annotation_spec_id == spec_id))
    connection.execute(annotation_specs.delete().where(annotation_specs.c.id == spec_id))


def replace(connection: sa.Connection, spec_id: str, by: str) -> None:
    """Gives every annotation with one label the other instead."""
    connection.execute(
        annotations.update().where(annotations.c.annotation_spec_id == spec_id).values(annotation_spec_id=by)
    )


def counts(connection: sa.Connection, dataset_id: str) -> dict[str, tuple[int, int]]:
    """How many examples carry each label of a dataset, and how many annotations have it, by the label's id."""
    mine = sa.select(annotation_specs.c.id).where(annotation_specs.c.dataset_id == dataset_id)
    rows = connection.execute(
        sa.select(
            annotations.c.annotation_spec_id,
            sa.func.count(sa.distinct(annotations.c.example_id)),
            sa.func.count(),
        )
        .where(annotations.c.annotation_spec_id.in_(mine))
        .group_by(annotations.c.annotation_spec_id)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def count(connection: sa.Connection, spec_id: str) -> int:
    """How many annotations have this label."""
    query = sa.select(sa.func.count()).where(annotations.c.annotation_spec_id == spec_id)
    return int(connection.execute(query).scalar_one())
