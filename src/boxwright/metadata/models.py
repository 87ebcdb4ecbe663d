"""Rows of models and their evaluations. Statements only, no rules."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from boxwright import states
from boxwright.metadata.schema import model_evaluations, models


def insert(connection: sa.Connection, values: dict[str, Any], evaluations: list[dict[str, Any]]) -> None:
    """Adds a model row together with its evaluations."""
    connection.execute(models.insert().values(**values))
    if evaluations:
        connection.execute(model_evaluations.insert(), evaluations)


def find(connection: sa.Connection, project: str, location: str, model_id: str) -> sa.Row[Any] | None:
    """Returns the model's row, or None."""
    return connection.execute(
        sa.select(models).where(models.c.project == project, models.c.location == location, models.c.id == model_id)
    ).first()


def select_of(project: str, location: str) -> sa.Select[Any]:
    """The query for a location's models, to be filtered and paged."""
    return sa.select(models).where(models.c.project == project, models.c.location == location)


def deployed(connection: sa.Connection) -> list[tuple[str, int]]:
    """Returns (folder, node count) of every deployed model."""
    rows = connection.execute(
        sa.select(models.c.folder, models.c.node_count).where(
            models.c.deployment_state == states.DeploymentState.DEPLOYED
        )
    )
    return [(row.folder, row.node_count) for row in rows]


def update(connection: sa.Connection, model_id: str, values: dict[str, Any]) -> None:
    """Changes columns of one model row."""
    connection.execute(models.update().where(models.c.id == model_id).values(**values))


def delete(connection: sa.Connection, model_id: str) -> None:
    """Removes the model and its evaluations."""
    connection.execute(model_evaluations.delete().where(model_evaluations.c.model_id == model_id))
    connection.execute(models.delete().where(models.c.id == model_id))


def find_evaluation(
    connection: sa.Connection, project: str, location: str, model_id: str, evaluation_id: str
) -> sa.Row[Any] | None:
    """Returns the evaluation's row, or None."""
    return connection.execute(
        evaluations_of(project, location, model_id).where(model_evaluations.c.id == evaluation_id)
    ).first()


def evaluations_of(project: str, location: str, model_id: str | None) -> sa.Select[Any]:
    """The query for a model's evaluations, or for those of every model of the location."""
    query = (
        sa.select(model_evaluations, models.c.metadata_member)
        .join(models, models.c.id == model_evaluations.c.model_id)
        .where(models.c.project == project, models.c.location == location)
    )
    return query if model_id is None else query.where(models.c.id == model_id)
