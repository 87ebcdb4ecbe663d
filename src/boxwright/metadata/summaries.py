"""Counts of what is in a dataset. Statements that read every example; who asks often keeps what they say."""

import itertools

import sqlalchemy as sa

from boxwright import states
from boxwright.metadata.example_counts import EDGE_PX
from boxwright.metadata.schema import annotation_specs, annotations, examples

EDGES_PX = (8, 16, 32, 64, 128, 256)


def by_use_and_state(connection: sa.Connection, dataset_id: str) -> list[tuple[str, str, int]]:
    """Rows of (ml_use, state, number of examples), ordered by both."""
    pair = (examples.c.ml_use, examples.c.state)
    query = sa.select(*pair, sa.func.count()).where(examples.c.dataset_id == dataset_id)
    return [tuple(row) for row in connection.execute(query.group_by(*pair).order_by(*pair))]


def labelled_by_use(connection: sa.Connection, dataset_id: str) -> dict[tuple[str, str], int]:
    """Labelled examples by (annotation spec id, ml_use)."""
    pair = (annotations.c.annotation_spec_id, examples.c.ml_use)
    rows = connection.execute(
        sa.select(*pair, sa.func.count(sa.distinct(annotations.c.example_id)))
        .join(examples, examples.c.id == annotations.c.example_id)
        .where(examples.c.dataset_id == dataset_id, examples.c.state == states.ExampleState.LABELED)
        .group_by(*pair)
    )
    return {(row[0], row[1]): row[2] for row in rows}


def edges(connection: sa.Connection, dataset_id: str) -> dict[str, tuple[float, list[int]]]:
    """The shortest edge of a label's boxes in px, and how many of them are in each class of `EDGES_PX`, by spec id.

    A class holds the boxes whose shorter edge is below its bound, and not below that of the class before; the last one,
    which has no bound, the rest. Labels without boxes are left out.
    """
    below = [sa.func.sum(sa.case((edge_px > EDGE_PX, 1), else_=0)) for edge_px in EDGES_PX]
    mine = sa.select(annotation_specs.c.id).where(annotation_specs.c.dataset_id == dataset_id)
    rows = connection.execute(
        sa.select(annotations.c.annotation_spec_id, sa.func.min(EDGE_PX), sa.func.count(), *below)
        .join(examples, examples.c.id == annotations.c.example_id)
        .where(annotations.c.annotation_spec_id.in_(mine), annotations.c.x_min.is_not(None))
        .group_by(annotations.c.annotation_spec_id)
    )
    found = {}
    for spec_id, shortest_px, total, *counts in rows:
        bounds = [0, *(int(count) for count in counts), total]
        found[spec_id] = (
            float(shortest_px),
            [after - before for before, after in itertools.pairwise(bounds)],
        )
    return found
