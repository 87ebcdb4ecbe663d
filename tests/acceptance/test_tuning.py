"""Tuning of a real service: measured after the first batch, used by the next, never in the way of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from tests.support.clients.api import Api, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.processes.crashes import children_of, contents, result_folder, wait_until_gone
from tests.support.services import patient

from boxwright.batch.tuning.scheduler import TUNE_MODULE
from boxwright.batch.tuning.tuning_file import FILE

CORES = "2"
ENVIRONMENT = {"BOXWRIGHT_TUNE": "true", "BOXWRIGHT_CORES": CORES, "BOXWRIGHT_HOLD_S": "0"}
LONGEST_S = 300.0


@pytest.fixture
def bench(service_factory, tiny_model):
    """A service that tunes, a model and a list."""
    service = service_factory(environment=ENVIRONMENT, program=patient.CLI)
    bucket = service.bucket("b")
    names = drawn_images.write_images(bucket / "images", 60)
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/images/{name}" for name in names])
    with open_api(service, "grpc") as api:
        yield service, api, tiny_model.install(service.data_dir)


def _batch(api: Api, service, model: str, prefix: str) -> dict[str, bytes]:
    name = api.start_batch(model, "gs://b/list.csv", f"gs://b/{prefix}/")
    assert not api.finished(name).HasField("error")
    found = contents(result_folder(service.bucket("b"), prefix))
    return {name: content for name, content in found.items() if name != "manifest.json"}


def _doctor(data_dir) -> dict[str, dict]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
    here = {"BOXWRIGHT_DATA_DIR": str(data_dir), "BOXWRIGHT_PORT": "0", "BOXWRIGHT_GRPC_PORT": "0"}
    command = [sys.executable, "-m", "boxwright.cli", "doctor", "--json"]
    environment = inherited | here | {"BOXWRIGHT_CORES": CORES}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return {fact["key"]: fact for fact in json.loads(done.stdout)["facts"]}


@pytest.mark.slow
def test_a_batch_is_measured_after_another_one_ends_that_and_a_later_one_uses_it(bench):
    service, api, model = bench
    file = service.data_dir / FILE
    look = lambda: children_of(service.process.pid, TUNE_MODULE)  # noqa: E731
    first = _batch(api, service, model, "first")
    measuring = wait_until(look, "the measurement", timeout_s=LONGEST_S)
    assert "event=tuning operation=" not in service.log.read_text()
    assert _batch(api, service, model, "second") == first
    wait_until_gone(measuring)
    wait_until(lambda: "event=tuned " in service.log.read_text(), "another measurement", timeout_s=LONGEST_S)
    (found,) = json.loads(file.read_text())["tunings"]
    assert _batch(api, service, model, "tuned") == first
    expected = f"processes={found['processes']} threads={found['threads']}"
    used = [line for line in service.log.read_text().splitlines() if "event=tuning operation=" in line]
    assert used[-1].endswith(expected)
    facts = _doctor(service.data_dir)
    assert facts["tuning"]["ok"]
    assert "mobile-low-latency-1 96×64 fp32" in facts["tuning"]["text"]
    assert found["measured_at"] in facts["tuning"]["text"]


@pytest.mark.full
def test_a_service_that_stops_ends_what_it_measures(bench):
    service, api, model = bench
    _batch(api, service, model, "first")
    measuring = wait_until(
        lambda: children_of(service.process.pid, TUNE_MODULE), "the measurement", timeout_s=LONGEST_S
    )
    service.stop()
    wait_until_gone(measuring)
