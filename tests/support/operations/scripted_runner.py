"""A runner that does what a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from google.protobuf import empty_pb2
from tests.support.machine.waiting import wait_until
from tests.support.operations.ledgers import row_of

from boxwright import names, states
from boxwright.operations.ledger import Ledger
from boxwright.operations.runner import Context, Runner, Success


def _done(connection: sa.Connection) -> empty_pb2.Empty:
    return empty_pb2.Empty()


class Scripted(Runner):
    """A runner that does what the test says, and remembers how often it was asked."""

    def __init__(self, act: Callable[[Context], object]) -> None:
        self._act = act
        self.runs = 0
        self.tidied: list[str] = []
        self.started = threading.Event()

    def run(self, request: bytes, context: Context) -> Success:
        self.runs += 1
        self.started.set()
        found = self._act(context)
        return found if isinstance(found, Success) else Success(respond=_done)

    def tidy(self, operation: names.OperationName) -> None:
        self.tidied.append(operation.operation)


def end_of(ledger: Ledger, operation_id: str, *wanted: states.OperationState) -> sa.Row[Any]:
    """Waits until the operation is in one of these states; returns its row."""
    return wait_until(
        lambda: row if (row := row_of(ledger, operation_id)).state in wanted else None,
        f"a state of {wanted}",
        timeout_s=20,
    )
