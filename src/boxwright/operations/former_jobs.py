"""Batch predictions that have ended, by whose output folders a new one may go."""

from __future__ import annotations

import sqlalchemy as sa

from boxwright import names, states
from boxwright.metadata.schema import operations


def succeeded(connection: sa.Connection, model: names.ModelName, most: int) -> list[str]:
    """The output folders of the last batch predictions of a model that succeeded, newest first.

    Args:
        connection: to the database.
        model: of the project whose operations are meant.
        most: how many.
    """
    query = sa.select(operations.c.output_directory).where(
        operations.c.project == model.project,
        operations.c.location == model.location,
        operations.c.kind == states.OperationKind.BATCH_PREDICT,
        operations.c.state == states.OperationState.SUCCEEDED,
        operations.c.works_on == str(model),
        operations.c.output_directory != "",
    )
    return list(connection.execute(query.order_by(operations.c.create_time_us.desc()).limit(most)).scalars())


def output_of(connection: sa.Connection, project: str, operation: str) -> str:
    """The output folder of an ended operation of a project; empty if there is no such operation, or it has no folder."""
    query = sa.select(operations.c.output_directory).where(
        operations.c.project == project,
        operations.c.id == operation,
        operations.c.kind == states.OperationKind.BATCH_PREDICT,
        operations.c.state.in_(states.OPERATION_TERMINAL),
    )
    return connection.execute(query).scalar() or ""
