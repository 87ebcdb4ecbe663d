"""A service of a benchmark's own: a model folder, a data directory, a bucket, and `boxwright serve` as a process.

make_model(folder, model_type)      a network of the real size with random weights, which finds a few boxes in an image
install(data_dir, model_folder)     puts a model where the service finds it
served(data_dir, buckets, log)       a service on folders that are there
Service(folder, model_folder)       the running service; `batch` calls batchPredict and waits for its end
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

PROJECT = "bench"
PARENT = f"projects/{PROJECT}/locations/us-central1"
MODEL_ID = "IOD1000000000000000001"
MODEL = f"{PARENT}/models/{MODEL_ID}"
BUCKET = "bench"
NODES = 2
IMAGE_HW = (480, 640)  # what the random network is made for
LABELS = ("bolt", "nut", "washer")
CANDIDATES = 40  # anchors per image above the default threshold, where the weights are random
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def make_model(folder: pathlib.Path, model_type: str = "cloud-high-accuracy-1", precision: str = "fp32") -> None:
    """Writes a model folder with random weights, scores shifted so that an image has about `CANDIDATES` sure anchors.

    Args:
        folder: is made.
        model_type: as the API names it.
        precision: what predicts; "int8" is built as training builds it and chosen without comparing.
    """
    import torch  # seconds to import: only where it is needed

    from benchmarks.harness import pictures
    from boxwright.detector.delivery import export
    from boxwright.detector.network import dense
    from boxwright.learning import model_draft, quantise_main

    torch.manual_seed(1)
    kind = dense.MODEL_TYPES[model_type]
    network = dense.Network(kind.network, len(LABELS)).eval()
    input_hw = dense.choose_input_hw(kind.input_area_px, [IMAGE_HW])
    frames = [pictures.draw("vga", seed).resize(input_hw[::-1]) for seed in range(4)]
    pixels = torch.from_numpy(np.stack([np.asarray(frame) for frame in frames]))  # (4, H, W, 3)
    with torch.no_grad():
        for head in network.heads:
            assert isinstance(head, dense.Head)
            assert isinstance(head.scores, torch.nn.Conv2d)
            head.scores.weight *= 200  # random features hardly differ: this spreads the scores
        logits, _ = network(pixels)  # (4, A, C)
        cut = logits.flatten(1).sort(dim=1).values[:, -CANDIDATES].median()
        for head in network.heads:
            assert isinstance(head, dense.Head)
            head.scores.bias -= cut
    export.write_draft(
        folder,
        network,
        labels=[{"display_name": name, "annotation_spec_id": str(number)} for number, name in enumerate(LABELS, 1)],
        model_type=model_type,
        input_hw=input_hw,
        score_floor=export.DEFAULT_SCORE_FLOOR,
        provenance={},
    )
    if precision == "int8":
        np.save(folder / quantise_main.FRAMES_FILE, pixels.numpy())
        cores = str(len(os.sched_getaffinity(0)))
        command = [sys.executable, "-m", quantise_main.__name__, str(folder), cores, quantise_main.KEPT[0]]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as child:
            assert child.stdout is not None
            said = child.stdout.read()  # the child ends itself when its input does: not before it has finished
        if child.returncode:
            raise RuntimeError(f"no int8 network could be built: {said.decode()[-2000:]}")
        (folder / quantise_main.FRAMES_FILE).unlink()
        model_draft.write_choice(folder, {"chosen": "int8", "reason": "A benchmark's choice."}, quantise_main.INT8_FILE)


def install(data_dir: pathlib.Path, model_folder: pathlib.Path) -> None:
    """Copies a model folder into a data directory, with the row that names it; the model is deployed."""
    from boxwright.inference.model_folder import ModelInfo
    from boxwright.metadata import database, models

    shutil.copytree(model_folder, data_dir / "models" / MODEL_ID)
    db = database.Database(data_dir / "metadata.sqlite")
    with db.write() as connection:
        now = database.now_us(connection)
        row = {
            "id": MODEL_ID, "project": PROJECT, "location": "us-central1", "display_name": "bench", "dataset_id": "IOD1",
            "model_type": "cloud-high-accuracy-1", "labels": {}, "etag": "1", "create_time_us": now, "update_time_us": now,
            "deployment_state": "DEPLOYED", "node_count": NODES, "stop_reason": "MODEL_CONVERGED",
            "train_budget_milli_node_hours": 1, "train_cost_milli_node_hours": 1, "folder": MODEL_ID,
            "metadata_member": f"{ModelInfo.read(model_folder).kind}_model_metadata",
        }  # fmt: skip
        models.insert(connection, row, [])
    db.close()


def fill_bucket(bucket: pathlib.Path, name: str, files: Sequence[pathlib.Path]) -> str:
    """Links files into a folder of the bucket under names of their own, in order; returns the URI of the list of them."""
    folder = bucket / name
    folder.mkdir(parents=True)
    rows = []
    for number, path in enumerate(files):
        target = folder / f"{number:06d}{path.suffix}"
        target.hardlink_to(path)
        rows.append(f"gs://{bucket.name}/{name}/{target.name}\n")
    (bucket / f"{name}.csv").write_text("".join(rows))
    return f"gs://{bucket.name}/{name}.csv"


def tree_cpu_s(pid: int) -> float:
    """CPU seconds that a process and its living descendants have used so far."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = (
                stat.read_text().rpartition(")")[2].split()
            )  # state, parent, …; user and system time are 12th, 13th
            number = int(stat.parent.name)
            children.setdefault(int(fields[1]), []).append(number)
            used[number] = sum(int(ticks) for ticks in fields[11:15]) / TICKS_PER_S  # with reaped children
    total, waiting = 0.0, [pid]
    while waiting:
        one = waiting.pop()
        total += used.get(one, 0.0)
        waiting += children.get(one, [])
    return total


def launch(
    data_dir: pathlib.Path, buckets: pathlib.Path, log: pathlib.Path, environment: Mapping[str, str]
) -> tuple[subprocess.Popen[str], str]:
    """Starts `boxwright serve` and waits until it calls itself ready; returns the process and its REST address."""
    command = [sys.executable, "-m", "boxwright.cli", "serve", "--port", "0", "--grpc-port", "0"]
    command += ["--data-dir", str(data_dir), "--buckets", str(buckets)]
    variables = {"BOXWRIGHT_TUNE": "false", **os.environ, **environment}  # nothing runs beside a timing
    with log.open("a") as written:
        process = subprocess.Popen(command, env=variables, text=True, stdout=subprocess.PIPE, stderr=written)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip().startswith("REST"):
            url = line.split()[1].split("/v1/")[0]
            break
    else:
        raise RuntimeError(f"the service did not start: {log.read_text()[-2000:]}")
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=10):
            return process, url


@contextlib.contextmanager
def served(data_dir: pathlib.Path, buckets: pathlib.Path, log: pathlib.Path) -> Iterator[str]:
    """Runs a service on folders that are there for a while; gives its REST address."""
    process, url = launch(data_dir, buckets, log, {})
    try:
        yield url
    finally:
        process.terminate()
        process.wait()


class Service:
    """A real `boxwright serve` process with folders of its own.

    Args:
        folder: fresh; gets `data`, `buckets` and `log`.
        model_folder: the model to serve.
        environment: settings for the service, as BOXWRIGHT_… variables.
    """

    def __init__(
        self, folder: pathlib.Path, model_folder: pathlib.Path, environment: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.bucket = folder / "buckets" / BUCKET
        self.bucket.mkdir(parents=True)
        self._environment = environment or {}
        self._process: subprocess.Popen[str] | None = None
        self._batches = 0
        self.url = ""
        install(folder / "data", model_folder)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Starts the service; returns the seconds until it called itself ready."""
        started_s = time.perf_counter()
        self._process, self.url = launch(
            self.folder / "data", self.folder / "buckets", self.folder / "log", self._environment
        )
        return time.perf_counter() - started_s

    def stop(self) -> None:
        """Ends the service in good order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One REST call."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/v1/{path}", data=data, method=verb, headers=headers)
        with urllib.request.urlopen(request, timeout=120) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    def start_batch(self, list_uri: str) -> tuple[str, pathlib.Path]:
        """Calls batchPredict; returns the operation's name and the folder below which its results appear."""
        self._batches += 1
        prefix = f"out-{self._batches}"
        body = {
            "inputConfig": {"gcsSource": {"inputUris": [list_uri]}},
            "outputConfig": {"gcsDestination": {"outputUriPrefix": f"gs://{BUCKET}/{prefix}/"}},
        }
        return str(self.call("POST", f"{MODEL}:batchPredict", body)["name"]), self.bucket / prefix

    def finish(self, name: str) -> None:
        """Waits until an operation is done; raises RuntimeError if it failed."""
        while not (operation := self.call("POST", f"{name}:wait", {"timeout": "60s"})).get("done"):
            pass
        if "error" in operation:
            raise RuntimeError(str(operation["error"]))

    def batch(self, list_uri: str) -> tuple[float, float]:
        """One batch prediction; returns (seconds from the call to `done`, CPU seconds of service and children)."""
        cpu_before_s, started_s = tree_cpu_s(self.pid), time.perf_counter()
        name, _ = self.start_batch(list_uri)
        self.finish(name)
        elapsed_s = time.perf_counter() - started_s
        return elapsed_s, tree_cpu_s(self.pid) - cpu_before_s

    @contextlib.contextmanager
    def running(self) -> Iterator[float]:
        """Runs the service for a while; gives the seconds that its start took."""
        try:
            yield self.start()
        finally:
            self.stop()
