"""The trained model that these tests share, the databases on which they run, and workers."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import pytest
from tests.support.predictions.tiny_classifier import tiny_classifier as tiny_classifier
from tests.support.predictions.tiny_model import tiny_model as tiny_model
from tests.support.processes.crashes import ENVIRONMENT
from tests.support.services import worker_process


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.full)])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of services that are killed; on PostgreSQL it names an empty database."""
    if request.param == "sqlite":
        return ENVIRONMENT
    return {**ENVIRONMENT, "BOXWRIGHT_DATABASE_URL": request.getfixturevalue("postgres").new_database()}


@pytest.fixture
def start_worker(tmp_path: pathlib.Path) -> Iterator[Callable[..., worker_process.WorkerProcess]]:
    """Starts workers on a service's buckets and files, ``start_worker(service, environment)``, and ends them.

    With `data_dir` they keep their files there.
    """
    started: list[worker_process.WorkerProcess] = []

    def start(
        service, environment: dict[str, str], data_dir: pathlib.Path | None = None
    ) -> worker_process.WorkerProcess:
        log = tmp_path / f"worker-{len(started)}.log"
        started.append(worker_process.start(data_dir or service.data_dir, service.buckets, log, environment))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.stop()
