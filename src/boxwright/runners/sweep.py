"""Clears what crashes left behind: folders of finished operations, model folders that no row knows, temporary folders.

`sweep_here` clears the folders of this machine, at each start. `DailySweep` clears the state in a bucket, which is that of
many machines: one process does it for all of them, once a day.
"""

from __future__ import annotations

import logging
import pathlib
import secrets
import shutil
import threading
from collections.abc import Iterable

import sqlalchemy as sa

from boxwright import objects, states, temporary
from boxwright.metadata import database, periodic_work
from boxwright.metadata.schema import models, operations
from boxwright.operations import amounts
from boxwright.runners.plan_folders import PlanFolders

WORK = "sweep"
DAY_S, CLAIM_S, LOOK_S = 86_400.0, 3_600.0, 600.0

log = logging.getLogger(__name__)


def sweep_here(db: database.Database, stores: objects.Stores, plans: PlanFolders, models_dir: pathlib.Path) -> None:
    """Removes folders of this machine that nothing will read again, those of a state that is here too; before the work.

    Other processes may be at work in the same folders: what is looked at was there before the database is asked.
    """
    temporary.sweep()
    plans.sweep_here()
    if not stores.keeps_state_remotely:
        plans.sweep_state()
    present = {folder.name: folder for folder in models_dir.iterdir()}
    for name in _unknown_models(db, present):
        shutil.rmtree(present[name], ignore_errors=True)


def sweep_state(db: database.Database, stores: objects.Stores, plans: PlanFolders) -> None:
    """Removes what nothing will read again from the service's state.

    Raises:
        ApiError: the state or the database does not answer; what is left, the next sweep removes.
    """
    plans.sweep_state()
    for name in _unknown_models(db, stores.state_folders("models") if stores.keeps_state_remotely else []):
        stores.delete_prefix(stores.state(f"models/{name}"))


class DailySweep:
    """Sweeps the state in a thread, until it is closed: when a day has passed since any process has.

    Args:
        db: the metadata database, which says who sweeps and when.
        stores: where the state is.
        plans: the folders of operations.
    """

    def __init__(self, db: database.Database, stores: objects.Stores, plans: PlanFolders) -> None:
        self._db = db
        self._stores = stores
        self._plans = plans
        self._owner = secrets.token_hex(8)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="daily-sweep", daemon=True)

    def start(self) -> None:
        """Begins to look whether a sweep is due, if the state is in a bucket."""
        if self._stores.keeps_state_remotely:
            self._thread.start()

    def close(self) -> None:
        """Ends; a sweep under way is not waited for, as a bucket may take its time and another process can do it again."""
        self._closing.set()

    def sweep(self) -> bool:
        """Sweeps if a day has passed since the last one; returns whether it was due.

        Raises:
            ApiError: as `sweep_state`; it is due again ten minutes later.
        """
        if not periodic_work.claim(self._db, WORK, self._owner, CLAIM_S):
            return False
        pause_s = LOOK_S
        try:
            sweep_state(self._db, self._stores, self._plans)
            pause_s = DAY_S
        finally:
            periodic_work.end(self._db, WORK, self._owner, pause_s)
        log.info("event=state_swept")
        return True

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self.sweep()
            except Exception as error:  # a store or the database may be away; the next look tries again
                if not self._closing.is_set():
                    log.warning("event=state_not_swept reason=%s", error)
            self._closing.wait(LOOK_S)


def _unknown_models(db: database.Database, folders: Iterable[str]) -> list[str]:
    """Those of `folders` that no row of a model names; none while a training runs, as its folder is there before its row."""
    with db.read() as connection:
        training = connection.execute(
            sa.select(sa.func.count()).where(
                operations.c.kind.in_(amounts.MODEL_MAKERS),
                operations.c.state.not_in(states.OPERATION_TERMINAL),
            )
        ).scalar_one()
        known = {row.folder for row in connection.execute(sa.select(models.c.folder))}
    return [] if training else [name for name in folders if name not in known]
