"""A real `boxwright serve` with a model that costs next to nothing: a tiny network with random weights."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import psutil

from boxwright.batch.job import DEFAULT_SHARD_IMAGES
from boxwright.metadata import database, models

PARENT = "projects/bench/locations/us-central1"
MODEL_ID = "IOD1000000000000000001"
INPUT_HW = (64, 96)


def install(data_dir: pathlib.Path) -> None:
    """Puts the model into a data directory that has never been served."""
    import torch  # seconds to import, and much memory: only while the model is made

    from boxwright.detector.delivery import export
    from boxwright.detector.network import dense

    torch.manual_seed(1)
    target = data_dir / "models" / MODEL_ID
    target.parent.mkdir(parents=True)
    export.write_draft(
        target,
        dense.Network(dense.TINY, 1).eval(),
        labels=[{"display_name": "thing", "annotation_spec_id": "1"}],
        model_type="mobile-low-latency-1",
        input_hw=INPUT_HW,
        score_floor=export.DEFAULT_SCORE_FLOOR,
        provenance={},
    )
    db = database.Database(data_dir / "metadata.sqlite")
    with db.write() as connection:
        now = database.now_us(connection)
        row = {
            "id": MODEL_ID, "project": "bench", "location": "us-central1", "display_name": "tiny", "dataset_id": "IOD1",
            "model_type": "mobile-low-latency-1", "labels": {}, "etag": "1", "create_time_us": now,
            "update_time_us": now, "deployment_state": "UNDEPLOYED", "stop_reason": "MODEL_CONVERGED",
            "train_budget_milli_node_hours": 1, "train_cost_milli_node_hours": 1, "folder": MODEL_ID,
        }  # fmt: skip
        models.insert(connection, row, [])
    db.close()


def install_apart(data_dir: pathlib.Path) -> None:
    """Does that in a process of its own, whose memory is gone afterwards."""
    program = (
        "import sys, pathlib; from benchmarks.harness import tiny_service as t; t.install(pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", program, str(data_dir)], check=True, cwd=pathlib.Path(__file__).parents[2])


@dataclasses.dataclass
class TinyService:
    """A running service; `url` is where REST answers, with ``/v1/`` at its end."""

    process: subprocess.Popen[str]
    url: str
    shard_images: int

    def call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One REST call."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data=data, method=verb, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    def start_batch(self, list_uri: str, output_uri: str) -> str:
        """Starts a batch prediction; returns the operation's name."""
        body = {
            "inputConfig": {"gcsSource": {"inputUris": [list_uri]}},
            "outputConfig": {"gcsDestination": {"outputUriPrefix": output_uri}},
        }
        name: str = self.call("POST", f"{PARENT}/models/{MODEL_ID}:batchPredict", body)["name"]
        return name

    def finished(self, name: str) -> dict[str, Any]:
        """Waits for an operation's end and returns it."""
        while True:
            operation = self.call("POST", f"{name}:wait", {"timeout": "20s"})
            if operation.get("done"):
                return operation

    def processes(self) -> list[psutil.Process]:
        """The service and its children."""
        service = psutil.Process(self.process.pid)
        return [service, *service.children(recursive=True)]

    def resident_bytes(self) -> int:
        """Resident memory of the service and its children; what they share is counted for each."""
        total = 0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total


@contextlib.contextmanager
def running(folder: pathlib.Path, **settings: object) -> Iterator[TinyService]:
    """Starts a service on ``data`` and ``buckets`` below a folder and ends it afterwards."""
    install_apart(folder / "data")
    (folder / "buckets").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "boxwright.cli", "serve", "--port", "0", "--grpc-port", "0"]
    command += ["--data-dir", str(folder / "data"), "--buckets", str(folder / "buckets")]
    environment = {"BOXWRIGHT_TUNE": "false", **os.environ}
    environment |= {f"BOXWRIGHT_{name.upper()}": str(value) for name, value in settings.items()}
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    url = ""
    try:
        for line in process.stdout:
            if line.strip().startswith("REST"):
                url = line.split()[1].split("/v1/")[0] + "/v1/"
            if "curl" in line:
                break
        else:
            raise RuntimeError(f"the service did not start; see {folder / 'log'}")
        yield TinyService(process, url, int(str(settings.get("shard_images", DEFAULT_SHARD_IMAGES))))
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()
