"""What an example's row says of its annotations, so that lists are filtered and sorted by it without counting."""

from typing import Any

import sqlalchemy as sa

from boxwright.metadata.schema import annotations, datasets, examples

_width_px = (annotations.c.x_max - annotations.c.x_min) * examples.c.width_px
_height_px = (annotations.c.y_max - annotations.c.y_min) * examples.c.height_px
EDGE_PX = sa.case((_width_px < _height_px, _width_px), else_=_height_px)  # shorter edge of a box; NULL without one


def recount(connection: sa.Connection, which: sa.ColumnElement[bool], **values: Any) -> None:
    """Counts the annotations of these examples, and measures their shortest edge.

    Args:
        which: condition on rows of `examples`; of those whose annotations were changed in this transaction.
        values: of other columns, by their names, which are written with them.
    """
    connection.execute(examples.update().where(which).values(**counted(), **values))


def counted() -> dict[str, Any]:
    """The columns of `examples` that say something of its annotations, as they are now."""
    mine = annotations.c.example_id == examples.c.id
    count = sa.select(sa.func.count()).select_from(annotations).where(mine).correlate(examples)
    edge_px = sa.select(sa.func.min(EDGE_PX)).where(mine).correlate(examples)
    return {"annotation_count": count.scalar_subquery(), "min_edge_px": edge_px.scalar_subquery()}


def touch(connection: sa.Connection, dataset_id: str) -> None:
    """Says that something in a dataset has changed: examples, annotations or labels. Whoever changes them calls it."""
    connection.execute(
        datasets.update().where(datasets.c.id == dataset_id).values(content_version=datasets.c.content_version + 1)
    )
