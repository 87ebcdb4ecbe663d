"""Where operations keep what lasts longer than an attempt: plans in the state, notes in a folder of this machine."""

from __future__ import annotations

import logging
import pathlib
import shutil
import threading

from boxwright import errors, objects
from boxwright.metadata import database
from boxwright.operations import resumable

DAY_US = 86_400_000_000

log = logging.getLogger(__name__)


class PlanFolders:
    """The folders of operations, by the id of the plan.

    Args:
        db: says which are still needed.
        stores: where the service's own state is.
        work_dir: this machine's folder.
        resume_days: how long the plan of a failed or cancelled batch prediction is kept.
    """

    def __init__(
        self, db: database.Database, stores: objects.Stores, work_dir: pathlib.Path, resume_days: float
    ) -> None:
        self._db = db
        self._stores = stores
        self._work_dir = work_dir
        self._resume_days = resume_days

    def scratch(self, plan: str) -> objects.ObjectUri:
        """The folder of a plan and its shard reports."""
        return self._stores.state(f"operations/{plan}")

    def notes(self, plan: str) -> pathlib.Path:
        """The folder of notes on images under way."""
        return self._work_dir / plan

    def sweep(self) -> None:
        """Deletes every folder that no operation will read again, here and in the state.

        Other processes may be at work in the same folders: what is looked at was there before the database is asked.

        Raises:
            ApiError: the state does not answer; the folders of this machine are swept.
        """
        self.sweep_here()
        self.sweep_state()

    def sweep_here(self) -> None:
        """As `sweep`, for the folders of this machine alone."""
        notes = list(self._work_dir.iterdir())
        needed = self._needed()
        for folder in notes:
            if folder.name not in needed:
                shutil.rmtree(folder, ignore_errors=True)

    def sweep_state(self) -> None:
        """As `sweep`, for the state alone, which may be that of many machines."""
        scratch = self._stores.state_folders("operations")
        needed = self._needed()
        for name in scratch:
            if name not in needed:
                self._stores.delete_prefix(self.scratch(name))

    def _needed(self) -> set[str]:
        with self._db.read() as connection:
            since_us = database.now_us(connection) - round(self._resume_days * DAY_US)
            return set(resumable.needed(connection, since_us))

    def sweep_soon(self) -> None:
        """Sweeps in the background, for callers who must answer quickly; the next sweep does the rest."""
        threading.Thread(target=self.sweep_quietly, name="sweep", daemon=True).start()

    def sweep_quietly(self) -> None:
        """Sweeps; trouble is logged and left to the next time."""
        try:
            self.sweep()
        except (errors.ApiError, OSError) as error:
            log.warning("event=not_swept reason=%s", error)
