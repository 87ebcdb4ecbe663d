"""Users' code for image classification runs as it is in Python, Node and Go: no line of it names this service.

The programs are our own. They make the calls of the published samples (`vision_classification_*`, datasets, evaluations,
operations, and the Go sample that creates a model and waits) with the same names, fields and forms of call. The proxy
stands for a line in the hosts file and the port 443.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.compatibility.test_go_client import SOURCE, compiled
from tests.compatibility.test_go_client import go_client as go_client
from tests.compatibility.test_node_client import program as program
from tests.support.access.started_service import run_started_service
from tests.support.images import drawn_images
from tests.support.machine import connect_proxy
from tests.support.machine.waiting import PATIENCE_S
from tests.support.services.env_service import EnvService

pytestmark = pytest.mark.full

SAMPLES = pathlib.Path(__file__).parent / "samples"
HOST = "automl.googleapis.com"


class Place:
    """A service that requires accounts, reached by Google's name for it; its bucket ``b`` has a dataset."""

    def __init__(self, service: EnvService, proxy: str) -> None:
        self._service, self._proxy = service, proxy
        self.csv = drawn_images.write_label_dataset(service.bucket("b"), 40)

    def run(self, *command: str, universe: bool = False) -> list[str]:
        """The lines that a program prints in the printed environment, with the proxy unless it has a universe."""
        ways = [] if universe else [f"HTTPS_PROXY={self._proxy}", f"https_proxy={self._proxy}", "NO_PROXY=localhost"]
        words = ["env", *ways, f"SSL_CERT_FILE={self._service.authority}", *command]
        done: subprocess.CompletedProcess[str] = self._service.run(*words, universe=universe, timeout_s=PATIENCE_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("named")
    with (
        run_started_service(folder, works=True, host=HOST, train_minutes_max="0.4") as service,
        connect_proxy.running({f"{HOST}:443": service.grpc_port}) as proxy,
    ):
        yield Place(service, proxy)


@pytest.fixture(scope="module")
def seen_by_python(place: Place) -> dict[str, object]:
    command = [sys.executable, "-W", "error::UserWarning", str(SAMPLES / "classification.py")]
    seen: dict[str, object] = json.loads(place.run(*command, "demo", place.csv, "gs://b/out/", universe=True)[-1])
    return seen


def test_code_in_python_that_names_no_endpoint(seen_by_python: dict[str, object]) -> None:
    seen = dict(seen_by_python)
    operation, again = seen.pop("operation")  # type: ignore[misc]
    assert operation == again and re.fullmatch(r"projects/demo/locations/us-central1/operations/ICN\d+", operation)
    assert str(seen.pop("dataset")).startswith("ICN") and str(seen.pop("model")).startswith("ICN")
    assert sorted(seen.pop("evaluations")) == ["", "blue", "red"]  # type: ignore[call-overload]
    expected = {"kinds": ["MULTILABEL"], "type": "cloud", "listed": True, "thresholds": 24, "nodes": [2, "DEPLOYED"]}
    assert seen == expected


@pytest.mark.go
@pytest.mark.parametrize("model_type, end", [("", "wait"), ("cloud", "leave")])
def test_code_in_go_that_names_no_endpoint(
    place: Place,
    seen_by_python: dict[str, object],
    go_client: None,
    tmp_path: pathlib.Path,
    model_type: str,
    end: str,
) -> None:
    sample = compiled(SOURCE.parent / "classification" / "main.go", tmp_path)
    first, *rest = place.run(sample, "demo", "us-central1", str(seen_by_python["dataset"]), "from_go", model_type, end)
    assert re.fullmatch(r"Name: projects/demo/locations/us-central1/operations/ICN\d+", first)
    if end == "wait":
        assert rest == ["budget: 1000 cloud", *["thresholds: 24"] * 3, "nodes: 2 DEPLOYED", "deleted"]


def test_code_in_node_that_names_no_endpoint(
    place: Place, seen_by_python: dict[str, object], program: list[str]
) -> None:
    node, installed = program[0], pathlib.Path(program[1]).parent
    sample = installed / "classification.js"  # beside the packages that it requires
    sample.write_bytes((SAMPLES / "classification.js").read_bytes())
    seen = json.loads(place.run(node, str(sample), "demo", "us-central1", place.csv, str(seen_by_python["model"]))[-1])
    operation = seen.pop("operation")
    assert re.fullmatch(r"projects/demo/locations/us-central1/operations/ICN\d+", operation)
    assert seen == {
        "kind": {"classificationType": "MULTILABEL"},
        "status": operation,
        "end": 1,
        "listed": True,
        "thresholds": 24,
        "nodes": ["2", "DEPLOYED"],
    }
