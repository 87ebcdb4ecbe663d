"""How much a project may have, and how much room work needs: unfinished operations, datasets, models, bytes, a free disk.

What may be counted in the database is counted in the transaction that adds to it, so that two calls at once cannot pass the
limit together. A project is the one that a resource's name has; unfinished operations are those that are charged to it.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
from collections.abc import Callable

import sqlalchemy as sa

from boxwright import errors, states
from boxwright.metadata import database
from boxwright.metadata.schema import datasets, models, operations
from boxwright.operations import batch_amounts, sharing

Kind = states.OperationKind
_UNFINISHED = (states.OperationState.PENDING, states.OperationState.RUNNING)
# staging files, checkpoints and networks, plans and notes
_WRITES = frozenset((Kind.IMPORT_DATA, Kind.CREATE_MODEL, Kind.BATCH_PREDICT, Kind.IMPORT_MODEL))
MODEL_MAKERS = (Kind.CREATE_MODEL, Kind.IMPORT_MODEL)

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class DiskSpace:
    """The room that must be free before work begins that writes to the data directory.

    Attributes:
        folder: the data directory.
        least_bytes: that must be free in it; 0: nobody looks.
    """

    folder: pathlib.Path = pathlib.Path()
    least_bytes: int = 0

    def check(self, kind: Kind, project: str) -> None:
        """Lets work of a kind begin, or not.

        Raises:
            ApiError: RESOURCE_EXHAUSTED naming the folder and the bytes that are free.
        """
        if not self.least_bytes or kind not in _WRITES:
            return
        try:
            status = os.statvfs(self.folder)
        except OSError as error:  # the work says what is wrong
            log.warning("event=free_space_unknown folder=%s reason=%s", self.folder, error.strerror)
            return
        free_bytes = status.f_bavail * status.f_frsize
        if free_bytes < self.least_bytes:
            raise errors.quota_exceeded(
                f"{free_bytes} bytes are free in {self.folder}, and {self.least_bytes} must be before work begins that "
                "writes there (setting data_dir_free_bytes). Make room on that disk, then try again.",
                project,
                "data_dir_free_bytes",
                self.least_bytes,
            )


@dataclasses.dataclass(frozen=True)
class AmountLimits:
    """What a project may have; 0: without limit.

    Attributes:
        operations: unfinished ones.
        datasets: datasets.
        models: models, with those that are being trained.
        stored_bytes: of its models' folders, above which no training begins.
        batch_jobs_waiting: batch predictions that wait for a worker.
        batch_images_a_day: images that batch predictions work on in a day of UTC, above which none is started.
        size_of: bytes of a model's folder.
        space: that the work needs here; of a process that only starts operations for others: no matter how much.
    """

    operations: int = 0
    datasets: int = 0
    models: int = 0
    stored_bytes: int = 0
    batch_jobs_waiting: int = 0
    batch_images_a_day: int = 0
    size_of: Callable[[str], int] = lambda folder: 0
    space: DiskSpace = DiskSpace()

    def check_start(self, connection: sa.Connection, kind: Kind, project: str, charged: str) -> None:
        """Lets an operation be added that is to run, or not; in the exclusive transaction that adds it.

        Args:
            connection: the transaction.
            kind: of the operation.
            project: in its name.
            charged: the project that it is charged to.

        Raises:
            ApiError: RESOURCE_EXHAUSTED.
        """
        self.space.check(kind, project)
        if self.operations:
            sharing.check_unfinished(connection, charged, self.operations)
        if kind == Kind.BATCH_PREDICT:
            batch_amounts.check_waiting(connection, charged, self.batch_jobs_waiting)
            batch_amounts.check_images(connection, charged, self.batch_images_a_day)
        if kind in MODEL_MAKERS and self.models:
            under_way = _count(connection, operations, project, operations.c.kind.in_(MODEL_MAKERS), _is_unfinished())
            found = _count(connection, models, project) + under_way
            if found >= self.models:
                raise errors.quota_exceeded(
                    f"Project {project} has {found} models, {under_way} of them in the making, and may have {self.models} "
                    "(setting quota_models). Delete some.",
                    project,
                    "quota_models",
                    self.models,
                )

    def check_added(self, connection: sa.Connection, kind: Kind, project: str) -> None:
        """Lets what an operation has just added in this exclusive transaction stay, or not.

        Raises:
            ApiError: RESOURCE_EXHAUSTED; the transaction is to be rolled back.
        """
        if kind != Kind.CREATE_DATASET or not self.datasets:
            return
        before = _count(connection, datasets, project) - 1
        if before >= self.datasets:
            raise errors.quota_exceeded(
                f"Project {project} has {before} datasets, and may have {self.datasets} (setting quota_datasets). Delete "
                "some.",
                project,
                "quota_datasets",
                self.datasets,
            )

    def check_stored(self, db: database.Database, project: str) -> None:
        """Lets a project store one more model, or not; outside of a transaction, as folders are looked at.

        Raises:
            ApiError: RESOURCE_EXHAUSTED.
        """
        if not self.stored_bytes:
            return
        with db.read() as connection:
            folders = connection.execute(sa.select(models.c.folder).where(models.c.project == project)).scalars().all()
        found = sum(map(self.size_of, folders))
        if found >= self.stored_bytes:
            raise errors.quota_exceeded(
                f"The models of project {project} take {found} bytes, and may take {self.stored_bytes} (setting "
                "quota_stored_bytes). Delete some.",
                project,
                "quota_stored_bytes",
                self.stored_bytes,
            )


def _is_unfinished() -> sa.ColumnElement[bool]:
    return operations.c.state.in_(_UNFINISHED)


def _count(connection: sa.Connection, table: sa.Table, project: str, *clauses: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(table.c.project == project, *clauses)
    return int(connection.execute(query).scalar_one())
