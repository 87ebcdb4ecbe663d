"""Probes of services and workers: alive and ready are two things, and who stops says so before it does."""

from __future__ import annotations

import json
import pathlib
import signal
import sqlite3

import httpx
import pytest
from tests.support.databases.postgres import Missing, running
from tests.support.machine import ports
from tests.support.machine.waiting import wait_until
from tests.support.services import worker_process
from tests.support.services.command_line import CommandLine

DATASETS = "/v1/projects/demo/locations/us-central1/datasets"


def _asked(port: int, page: str) -> tuple[int, str]:
    answer = httpx.get(f"http://127.0.0.1:{port}{page}", trust_env=False, timeout=20)
    return answer.status_code, answer.text


def test_a_worker_answers_on_a_port_of_its_own_and_logs_json(service_factory, tmp_path: pathlib.Path) -> None:
    service = service_factory(no_worker=True)
    port = ports.free_port()
    environment = {"BOXWRIGHT_HEALTH_PORT": str(port), "BOXWRIGHT_LOG_FORMAT": "json", "BOXWRIGHT_KINDS": "batch"}
    worker = worker_process.start(service.data_dir, service.buckets, tmp_path / "log", environment)
    try:
        wait_until(lambda: _asked(port, "/readyz") == (200, "ok\n"), "the worker to be ready")
        assert _asked(port, "/healthz") == (200, "ok\n")
        assert _asked(port, "/else")[0] == 404
        assert f"http://127.0.0.1:{port}/readyz" in worker.log.read_text()
        told = CommandLine("")("health", "--ready", BOXWRIGHT_HEALTH_PORT=str(port))
        assert (told.returncode, told.stderr) == (0, "")
    finally:
        assert worker.stop() == 0
    with pytest.raises(httpx.TransportError):
        _asked(port, "/healthz")
    told = CommandLine("")("health", "--url", f"http://127.0.0.1:{port}/")
    assert told.returncode == 1
    assert f"http://127.0.0.1:{port}/healthz does not answer" in told.stderr
    lines = [json.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines if "event" in line][-2:] == ["stopping", "stopped"]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)


@pytest.mark.full
def test_a_service_whose_database_goes_is_alive_and_not_ready(service_factory) -> None:
    try:
        with running() as cluster:
            service = service_factory(environment={"BOXWRIGHT_DATABASE_URL": cluster.new_database()})
            cluster.kill()
            wait_until(lambda: "database: does not answer" in _asked(service.port, "/readyz")[1], "the loss to be seen")
            assert _asked(service.port, "/readyz")[0] == 503
            assert _asked(service.port, "/healthz") == (200, "ok\n")
            cluster.start()
            wait_until(lambda: _asked(service.port, "/readyz") == (200, "ok\n"), "the service to be ready again")
            service.stop()
    except Missing as missing:
        pytest.skip(str(missing))


def test_a_database_of_another_version_takes_the_readiness_away(service_factory) -> None:
    service = service_factory()
    with sqlite3.connect(service.data_dir / "metadata.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = 'r9999'")
    database.close()
    wait_until(lambda: "has schema r9999" in _asked(service.port, "/readyz")[1], "the schema to be looked at")
    assert _asked(service.port, "/readyz")[0] == 503
    assert _asked(service.port, "/healthz") == (200, "ok\n")


def test_who_stops_says_so_and_answers_until_its_balancer_has_heard(service_factory) -> None:
    service = service_factory(environment={"BOXWRIGHT_DRAIN_S": "300"})
    service.process.send_signal(signal.SIGTERM)
    wait_until(lambda: _asked(service.port, "/readyz")[0] == 503, "the service to say that it stops")
    assert _asked(service.port, "/readyz")[1] == "process: starts or stops\n"
    assert _asked(service.port, DATASETS)[0] == 200
    assert _asked(service.port, "/healthz") == (200, "ok\n")
    assert service.stop() == 0  # a second signal ends it at once
