"""Clears what crashes left behind: folders of finished operations, model folders that no row knows, temporary folders."""

from __future__ import annotations

import logging
import pathlib
import shutil

import sqlalchemy as sa

from boxwright import errors, objects, states, temporary
from boxwright.metadata import database
from boxwright.metadata.schema import models, operations
from boxwright.operations import amounts
from boxwright.runners.plan_folders import PlanFolders

log = logging.getLogger(__name__)


def sweep(
    db: database.Database,
    stores: objects.Stores,
    work_dir: pathlib.Path,
    models_dir: pathlib.Path,
    resume_days: float = 0,
) -> None:
    """Removes folders that nothing will read again; run before the worker starts.

    Other processes may be at work in the same folders: what is looked at was there before the database is asked.
    """
    temporary.sweep()
    PlanFolders(db, stores, work_dir, resume_days).sweep()
    kept_for_models = list(models_dir.iterdir())
    try:
        remote_models = stores.state_folders("models") if stores.keeps_state_remotely else []
    except errors.ApiError as error:  # a service must start while its bucket is away
        log.warning("event=state_not_swept reason=%s", error.message)
        remote_models = []
    with db.read() as connection:
        training = connection.execute(
            sa.select(sa.func.count()).where(
                operations.c.kind.in_(amounts.MODEL_MAKERS),
                operations.c.state.not_in(states.OPERATION_TERMINAL),
            )
        ).scalar_one()
        known = {row.folder for row in connection.execute(sa.select(models.c.folder))}
    if not training:  # a training that is about to finish has a folder before it has a row
        for folder in kept_for_models:
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
        for name in remote_models:
            if name not in known:
                stores.delete_prefix(stores.state(f"models/{name}"))
