"""Counts of what is in a dataset. Statements that read every example; who asks often keeps what they say."""

import math

import sqlalchemy as sa

from boxwright import states
from boxwright.metadata.example_counts import EDGE_PX
from boxwright.metadata.schema import annotations, examples

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
    measured = (
        sa.select(annotations.c.annotation_spec_id, EDGE_PX.label("edge_px"))
        .join(examples, examples.c.id == annotations.c.example_id)
        .where(examples.c.dataset_id == dataset_id, annotations.c.x_min.is_not(None))
        .offset(0)  # so that each edge is measured once, not for every bound
        .subquery()
    )
    edge_px = measured.c.edge_px
    number = sa.case(*((edge_px < bound, index) for index, bound in enumerate(EDGES_PX)), else_=len(EDGES_PX))
    classed = sa.select(*measured.c, number.label("number")).subquery()
    group = (classed.c.annotation_spec_id, classed.c.number)
    rows = connection.execute(sa.select(*group, sa.func.count(), sa.func.min(classed.c.edge_px)).group_by(*group))
    found: dict[str, tuple[float, list[int]]] = {}
    for spec_id, index, count, shortest_px in rows:
        before_px, counts = found.get(spec_id, (math.inf, [0] * (len(EDGES_PX) + 1)))
        counts[index] = count
        found[spec_id] = (min(before_px, shortest_px), counts)
    return found
