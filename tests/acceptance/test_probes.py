"""Probes of a service and of a worker, while the database goes away and comes back."""

from __future__ import annotations

import pathlib

import httpx
import pytest
from tests.support.databases.postgres import Cluster, running
from tests.support.machine import ports
from tests.support.machine.waiting import wait_until
from tests.support.services import worker_process


def _asked(port: int, page: str) -> tuple[int, str]:
    answer = httpx.get(f"http://127.0.0.1:{port}{page}", trust_env=False, timeout=20)
    return answer.status_code, answer.text


def test_a_worker_answers_on_a_port_of_its_own(service_factory, tmp_path: pathlib.Path) -> None:
    service = service_factory(no_worker=True)
    port = ports.free_port()
    environment = {"BOXWRIGHT_HEALTH_PORT": str(port)}
    worker = worker_process.start(service.data_dir, service.buckets, tmp_path / "log", environment)
    try:
        wait_until(lambda: _asked(port, "/readyz") == (200, "ok\n"), "the worker to be ready")
        assert _asked(port, "/healthz") == (200, "ok\n")
        assert _asked(port, "/else")[0] == 404
        assert f"http://127.0.0.1:{port}/readyz" in worker.log.read_text()
    finally:
        assert worker.stop() == 0
    with pytest.raises(httpx.TransportError):
        _asked(port, "/healthz")
