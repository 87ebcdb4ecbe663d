"""Clears what crashes left behind: folders of finished operations, model folders that no row knows."""

from __future__ import annotations

import pathlib
import shutil

import sqlalchemy as sa

from boxwright import states
from boxwright.metadata import database
from boxwright.metadata.schema import models, operations


def sweep(
    db: database.Database, work_dir: pathlib.Path, models_dir: pathlib.Path, scratch_dir: pathlib.Path | None = None
) -> None:
    """Removes folders that nothing will read again; run before the worker starts.

    Other processes may be at work in the same folders: what is looked at was there before the database is asked.
    """
    roots = [root for root in (work_dir, scratch_dir) if root is not None and root.is_dir()]
    kept_for_operations = [folder for root in roots for folder in root.iterdir()]
    kept_for_models = list(models_dir.iterdir())
    with db.read() as connection:
        unfinished = {
            row.id
            for row in connection.execute(
                sa.select(operations.c.id).where(operations.c.state.not_in(states.OPERATION_TERMINAL))
            )
        }
        training = connection.execute(
            sa.select(sa.func.count()).where(
                operations.c.kind == states.OperationKind.CREATE_MODEL,
                operations.c.state.not_in(states.OPERATION_TERMINAL),
            )
        ).scalar_one()
        known = {row.folder for row in connection.execute(sa.select(models.c.folder))}
    for folder in kept_for_operations:
        if folder.name not in unfinished:
            shutil.rmtree(folder, ignore_errors=True)
    if not training:  # a training that is about to finish has a folder before it has a row
        for folder in kept_for_models:
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
