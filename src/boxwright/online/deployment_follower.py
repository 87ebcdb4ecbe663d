"""Follows the rows of models: what another process has deployed is loaded here, what it has undeployed is freed."""

from __future__ import annotations

import logging
import threading

from boxwright.metadata import database, models
from boxwright.online.deployed_models import DeployedModels

LOOK_S = 1.0
RETRY_LOOKS = 60  # a model that could not be loaded is tried again once a minute

log = logging.getLogger(__name__)


class DeploymentFollower:
    """Looks every second, in a thread, until it is closed.

    Args:
        db: the metadata database.
        online: what is brought to what the rows say.
    """

    def __init__(self, db: database.Database, online: DeployedModels) -> None:
        self._db = db
        self._online = online
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deployment-follower", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def close(self) -> None:
        """Ends after the look under way."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self, *, retry: bool = False) -> None:
        """Looks once.

        Args:
            retry: whether models that could not be loaded are tried again.

        Raises:
            ApiError: UNAVAILABLE, the database does not answer; what is loaded stays.
        """
        changes = self._online.changes  # before the rows are read: see `follow`
        with self._db.read() as connection:
            wanted = dict(models.deployed(connection))
        self._online.follow(wanted, changes, retry=retry)

    def _run(self) -> None:
        looks = 0
        while not self._closing.wait(LOOK_S):
            looks += 1
            try:
                self.look(retry=looks % RETRY_LOOKS == 0)
            except Exception as error:  # the database may be away; models that are loaded go on to answer
                log.warning("event=deployments_not_followed reason=%s", error)
