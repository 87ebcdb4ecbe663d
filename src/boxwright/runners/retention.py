"""Deletes what has been kept for long enough: operations that have ended, and candidates in their output folders.

A sweep does so much and no more; the next one goes on. It can be killed at any moment: of candidates, the folder says first
that they are deleted; the operation's row says it last. A row goes only after its candidates, so that none are forgotten.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import Any

import sqlalchemy as sa

from boxwright import errors, objects, states
from boxwright.batch.output import candidate_deletion
from boxwright.metadata import database
from boxwright.metadata.messages import timestamp
from boxwright.metadata.schema import operations

DAY_US = 86_400_000_000
INTERVAL_S = 3600.0
MAX_ROWS, MAX_FOLDERS = 1000, 100  # of one sweep

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class KeptDays:
    """For how many days things are kept; None: for ever.

    Attributes:
        operations: rows of operations that have ended.
        candidates: candidates, from the end of the operation that made them.
        resume: plans of what failed or was cancelled, whose candidates are kept as long.
    """

    operations: float | None = None
    candidates: float | None = None
    resume: float = 0.0


class Retention:
    """Sweeps every hour, in a thread, until it is closed.

    Args:
        db: the metadata database.
        stores: where output folders are.
        kept: for how long what is kept.
    """

    def __init__(self, db: database.Database, stores: objects.Stores, kept: KeptDays) -> None:
        self._db = db
        self._stores = stores
        self._kept = kept
        self._closing = threading.Event()
        self._after_us = 0  # ends up to here were looked at; what failed is looked at again from the start
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        """Begins to sweep, if anything is to be deleted ever."""
        if self._kept.operations is not None or self._kept.candidates is not None:
            self._thread.start()

    def close(self) -> None:
        """Ends the sweep under way after what it is deleting."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def sweep(self) -> tuple[int, int]:
        """Deletes what is old enough; returns in how many folders, and how many operations."""
        folders = 0 if self._kept.candidates is None else self._sweep_candidates(self._kept.candidates)
        rows = 0 if self._kept.operations is None else self._sweep_operations(self._kept.operations)
        if folders or rows:
            log.info("event=retention folders=%d operations=%d", folders, rows)
        return folders, rows

    # ---- inside -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self.sweep()
            except Exception as error:  # a store or the database may be away; the next sweep tries again
                log.warning("event=retention_failed reason=%s", error)
            self._closing.wait(INTERVAL_S)

    def _sweep_candidates(self, days: float) -> int:
        done = 0
        with self._db.read() as connection:
            now_us = database.now_us(connection)
            rows = connection.execute(self._old_candidates(now_us, days)).all()
        self._after_us = rows[-1].done_time_us if len(rows) == MAX_FOLDERS else 0
        for row in rows:
            if self._closing.is_set():
                break
            if self._delete_candidates(row, now_us):
                done += 1
        return done

    def _old_candidates(self, now_us: int, days: float) -> sa.Select[Any]:
        """The batch predictions whose candidates are due, oldest first; nobody works in their folders."""
        other = operations.alias("other")
        since_us = now_us - round(days * DAY_US)
        resumable_since_us = min(since_us, now_us - round(self._kept.resume * DAY_US))
        needs_it = sa.exists().where(
            other.c.output_directory == operations.c.output_directory,
            other.c.done_time_us.is_(None) | (other.c.done_time_us >= since_us),
        )
        has_succeeded = operations.c.state == states.OperationState.SUCCEEDED
        return (
            sa.select(operations)
            .where(
                operations.c.kind == states.OperationKind.BATCH_PREDICT,
                operations.c.candidates_deleted_us.is_(None),
                operations.c.output_directory != "",
                operations.c.done_time_us > self._after_us,
                operations.c.done_time_us < sa.case((has_succeeded, since_us), else_=resumable_since_us),
                ~needs_it,
            )
            .order_by(operations.c.done_time_us)
            .limit(MAX_FOLDERS)
        )

    def _delete_candidates(self, row: sa.Row[Any], now_us: int) -> bool:
        """Deletes the candidates of one folder; returns whether there were any."""
        folder = objects.ObjectUri.parse(row.output_directory)
        stores = self._stores.of_project(row.project)
        found = 0
        try:
            found = candidate_deletion.delete(stores, folder, timestamp(now_us).ToJsonString())
        except errors.ApiError as error:
            log.warning("event=candidates_not_deleted operation=%s reason=%s", row.id, error.message)
            if not errors.is_lasting(error):
                return False
        with self._db.write(exclusive=False) as connection:
            own = operations.update().where(operations.c.id == row.id)
            connection.execute(own.values(candidates_deleted_us=database.now_us(connection)))
        return bool(found)

    def _sweep_operations(self, days: float) -> int:
        with self._db.write() as connection:
            since_us = database.now_us(connection) - round(days * DAY_US)
            old = sa.select(operations.c.id).where(
                operations.c.state.in_(states.OPERATION_TERMINAL), operations.c.done_time_us < since_us
            )
            if self._kept.candidates is not None:
                has_none = operations.c.output_directory == ""
                is_batch = operations.c.kind == states.OperationKind.BATCH_PREDICT
                old = old.where(sa.not_(is_batch) | has_none | operations.c.candidates_deleted_us.is_not(None))
            ids = connection.execute(old.order_by(operations.c.done_time_us).limit(MAX_ROWS)).scalars().all()
            if ids:
                connection.execute(operations.delete().where(operations.c.id.in_(ids)))
        return len(ids)
