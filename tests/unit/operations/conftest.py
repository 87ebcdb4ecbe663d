"""A ledger in a file, and workers whose lanes do what a test says."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import pytest
from tests.support.machine.waiting import PATIENCE_S
from tests.support.operations.ledgers import Kind, open_ledger
from tests.support.operations.scripted_runner import Scripted

from boxwright.operations.ledger import Ledger
from boxwright.operations.runner import Context
from boxwright.operations.worker import Worker


@pytest.fixture
def ledger(tmp_path: pathlib.Path):
    opened = open_ledger(tmp_path / "metadata.sqlite", lease_ttl_s=1.0)
    yield opened
    opened._db.close()


@pytest.fixture
def work(ledger: Ledger):
    """Starts a worker whose one lane runs imports as the test says."""
    workers = []

    def begin(act: Callable[[Context], object], lanes: int = 1) -> tuple[Worker, Scripted]:
        runner = Scripted(act)
        workers.append(Worker(ledger, {Kind.IMPORT_DATA: runner}, [[Kind.IMPORT_DATA]] * lanes))
        workers[-1].start()
        return workers[-1], runner

    yield begin
    for worker in workers:
        worker.drain(timeout_s=PATIENCE_S)
