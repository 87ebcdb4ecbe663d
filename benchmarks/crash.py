"""Kills the service, its inference child, or a process at a named fault point, again and again, while batches run.

    python benchmarks/crash.py --kills 50 [--images 1200] [--quick]

One undisturbed batch is the reference. Then batches over the same list are disturbed by kill -9 until the asked number of
kills is reached; after each batch its folder must be byte for byte the reference's and verify by its manifest. Prints a
table of kills per target and ends with one JSON object: kills, batches, lost, doubled, different.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np

from boxwright import objects
from boxwright.demo import dataset, drawn
from boxwright.prediction import manifest

PROJECT = "projects/crash/locations/us-central1"
POINTS = (
    "plan.before_header",
    "plan.after_segment",
    "sink.after_errors",
    "sink.before_put",
    "sink.after_put",
    "sink.after_errors_file",
    "sink.before_manifest",
    "sink.after_manifest",
)
OFTEN_PASSED = ("plan.after_segment", "sink.before_put", "sink.after_put")
TARGETS = ("service", "child", *POINTS)
OPERATION_TIMEOUT_S = 300


class Service:
    """A real `boxwright serve` process on its own folders, restarted at will."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.marks = folder / "marks"
        self.marks.mkdir()
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self, faults: str = "") -> None:
        """Starts the service and waits until it says where it listens."""
        command = [sys.executable, "-m", "boxwright.cli", "serve", "--port", "0", "--grpc-port", "0"]
        command += ["--data-dir", str(self.folder / "data"), "--buckets", str(self.folder / "buckets")]
        environment = {
            **os.environ,
            "BOXWRIGHT_FAULTS": faults,
            "BOXWRIGHT_FAULTS_ONCE": str(self.marks),
            "BOXWRIGHT_LEASE_TTL_S": "2",
            "BOXWRIGHT_SHARD_IMAGES": "40",
            "BOXWRIGHT_TRAIN_MINUTES_MAX": "0.75",
        }
        self._process = subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=(self.folder / "log").open("a")
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip().startswith("REST"):
                self.url = line.split()[1].split("/v1/")[0] + "/v1/"
            if "curl" in line:
                return
        raise RuntimeError(f"the service did not start; see {self.folder / 'log'}")

    def kill(self) -> None:
        """kill -9, and waits for the end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def kill_child(self) -> bool:
        """Kills an inference child; returns whether there was one."""
        assert self._process is not None
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self._process.pid)], capture_output=True, text=True
        )
        for line in listed.stdout.splitlines():
            pid, _, arguments = line.strip().partition(" ")
            if "prediction.child" in arguments:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
                    return True
        return False

    def call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One REST call."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data=data, method=verb, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    def finished(self, name: str) -> dict[str, Any]:
        """Waits for an operation's end."""
        deadline_s = time.monotonic() + OPERATION_TIMEOUT_S
        while time.monotonic() < deadline_s:
            operation = self.call("POST", f"{name}:wait", {"timeout": "20s"})
            if operation.get("done"):
                return operation
        raise TimeoutError(f"{name} did not end in {OPERATION_TIMEOUT_S} s")


def train(service: Service) -> str:
    """Trains a small model on drawn pictures; returns its name."""
    bucket = service.folder / "buckets" / dataset.BUCKET
    data = drawn.draw_dataset(bucket, seed=0)
    uri = dataset.write_import_csv(data)
    member = {"imageObjectDetectionDatasetMetadata": {}}
    created = service.call("POST", f"{PROJECT}/datasets", {"displayName": "crash", **member})
    name = created["response"]["name"]
    started = service.call("POST", f"{name}:importData", {"inputConfig": {"gcsSource": {"inputUris": [uri]}}})
    assert "error" not in service.finished(started["name"])
    body = {"displayName": "crash", "datasetId": name.rpartition("/")[2], "imageObjectDetectionModelMetadata": {}}
    trained = service.finished(service.call("POST", f"{PROJECT}/models", body)["name"])
    model: str = trained["response"]["name"]
    return model


def make_list(bucket: pathlib.Path, count: int) -> None:
    """Writes small pictures, a few bad rows among them, and the list that names them."""
    rng = np.random.default_rng(1)
    folder = bucket / "small"
    folder.mkdir()
    rows = []
    for number in range(count):
        image, _ = drawn.compose(rng)
        image.resize((160, 120)).convert("RGB").save(folder / f"{number}.jpg", quality=85)
        rows.append(f"gs://{dataset.BUCKET}/small/{number}.jpg")
    rows[count // 3] = f"gs://{dataset.BUCKET}/small/none.jpg"
    rows[count // 2] = "no path at all"
    (bucket / "list.csv").write_text("\n".join(rows) + "\n")


def start_batch(service: Service, model: str, prefix: str) -> str:
    """Starts a batch over the list; returns the operation's name."""
    body = {
        "inputConfig": {"gcsSource": {"inputUris": [f"gs://{dataset.BUCKET}/list.csv"]}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": f"gs://{dataset.BUCKET}/{prefix}/"}},
        "params": {"score_threshold": "0.2"},
    }
    name: str = service.call("POST", f"{model}:batchPredict", body)["name"]
    return name


def contents(bucket: pathlib.Path, prefix: str) -> dict[str, bytes]:
    """The files of the one folder below a prefix."""
    (folder,) = (bucket / prefix).iterdir()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def disturb(service: Service, name: str, rng: random.Random, kills: collections.Counter[str], wanted: int) -> None:
    """Kills while one batch runs, until it ends or enough kills are reached."""
    rounds = iter(lambda: sum(kills.values()) < wanted, False)
    for _ in rounds:
        target = TARGETS[sum(kills.values()) % len(TARGETS)]
        if target in POINTS:
            if not _killed_at(service, target, rng, name):
                return
        else:
            threading.Event().wait(rng.uniform(0.05, 1.5))
            if service.call("GET", name).get("done"):
                return
            if target == "child" and not service.kill_child():
                continue
            if target == "service":
                service.kill()
                service.start()
        kills[target] += 1


def _killed_at(service: Service, point: str, rng: random.Random, name: str) -> bool:
    """Restarts the service with a fault and waits for it to happen; returns whether it did before the batch ended."""
    for mark in service.marks.iterdir():
        mark.unlink()
    service.kill()
    passage = rng.choice((1, 2, 3)) if point in OFTEN_PASSED else 1
    service.start(f"{point}:kill@{passage}")
    while not any(service.marks.iterdir()):
        if service.call("GET", name).get("done"):
            return False
        threading.Event().wait(0.02)
    return True


def run(folder: pathlib.Path, wanted: int, images: int, seed: int) -> dict[str, Any]:
    """The whole harness; returns what the last line says."""
    rng = random.Random(seed)
    service = Service(folder)
    (folder / "buckets" / dataset.BUCKET).mkdir(parents=True)
    bucket = folder / "buckets" / dataset.BUCKET
    service.start()
    model = train(service)
    make_list(bucket, images)
    service.finished(start_batch(service, model, "reference"))
    reference = contents(bucket, "reference")
    kills: collections.Counter[str] = collections.Counter()
    batches = different = lost = doubled = 0
    stores = objects.Stores(folder / "buckets", folder / "data" / "state")
    for batches in _counting(lambda: sum(kills.values()) < wanted):
        prefix = f"run{batches}"
        name = start_batch(service, model, prefix)
        disturb(service, name, rng, kills, wanted)
        operation = service.finished(name)
        if "error" in operation:
            print(f"batch {batches}: {operation['error']}; the last of the log:", flush=True)
            print("".join((folder / "log").read_text().splitlines(keepends=True)[-40:]), flush=True)
            different += 1
            continue
        output = contents(bucket, prefix)
        different += output != reference
        directory = objects.ObjectUri("gs", dataset.BUCKET, f"{prefix}/{next((bucket / prefix).iterdir()).name}")
        different += any(True for _ in manifest.verify(stores, directory))
        ids = [
            json.loads(line)["ID"]
            for key, data in output.items()
            if key != "manifest.json"
            for line in data.splitlines()
        ]
        doubled += len(ids) - len(set(ids))
        lost += images - len(set(ids))
        print(f"batch {batches}: {sum(kills.values())} kills so far, same bytes: {output == reference}", flush=True)
    service.kill()
    for target in TARGETS:
        print(f"{target:24} {kills[target]:5}")
    return {
        "kills": sum(kills.values()),
        "batches": batches,
        "lost": lost,
        "doubled": doubled,
        "different": different,
        "kills_by_target": dict(kills),
    }


def _counting(goes_on: Any) -> Iterator[int]:
    number = 0
    while goes_on():
        number += 1
        yield number


def main() -> None:
    """Parses the command line and runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--images", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="6 kills on 300 images")
    options = parser.parse_args()
    if options.quick:
        options.kills, options.images = 6, 300
    with tempfile.TemporaryDirectory() as folder:
        result = run(pathlib.Path(folder), options.kills, options.images, options.seed)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
