"""Operations by kind and state, and how long the oldest has waited: looked up when somebody asks."""

from __future__ import annotations

import threading
import time

import sqlalchemy as sa

from boxwright.metadata import database
from boxwright.metadata.schema import operations
from boxwright.states import OperationKind, OperationState

CACHED_S = 5.0
MICROSECONDS = 1_000_000

Numbers = dict[str, dict[tuple[str, ...], float]]


class QueueCounts:
    """One query, at most every few seconds, however many ask.

    Args:
        db: the metadata database.
        cached_s: for how long an answer holds, seconds.
    """

    def __init__(self, db: database.Database, cached_s: float = CACHED_S) -> None:
        self._db = db
        self._cached_s = cached_s
        self._lock = threading.Lock()
        self._read_s = float("-inf")
        self._numbers: Numbers = {}

    def read(self) -> Numbers:
        """Values of metrics: by name, then by the values of the labels; every kind and state has one, 0 if there is none.

        Raises:
            ApiError: UNAVAILABLE if the database does not answer.
        """
        with self._lock:
            if time.monotonic() - self._read_s >= self._cached_s:
                self._numbers = self._look_up()
                self._read_s = time.monotonic()
            return self._numbers

    def _look_up(self) -> Numbers:
        count, oldest = sa.func.count(), sa.func.min(operations.c.queued_time_us)
        query = sa.select(operations.c.kind, operations.c.state, count, oldest)
        with self._db.read() as connection:
            rows = connection.execute(query.group_by(operations.c.state, operations.c.kind)).all()
            now_us = database.now_us(connection)
        amounts: dict[tuple[str, ...], float] = {
            (kind, state): 0.0 for kind in OperationKind for state in OperationState
        }
        ages_s: dict[tuple[str, ...], float] = {(kind,): 0.0 for kind in OperationKind}
        for kind, state, operation_count, oldest_us in rows:
            amounts[kind, state] = operation_count
            if state == OperationState.PENDING:
                ages_s[kind,] = max(0.0, (now_us - oldest_us) / MICROSECONDS)
        return {"boxwright_operations": amounts, "boxwright_operation_oldest_pending_seconds": ages_s}
