"""`--config FILE`: a service, a worker and the commands around them with nothing but a file, and what wins over it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import psutil
import pytest
from google.longrunning import operations_pb2
from tests.support.clients.api import open_api
from tests.support.images import drawn_images
from tests.support.machine.ports import free_port
from tests.support.machine.waiting import PATIENCE_S, wait_until
from tests.support.predictions.tiny_model import TinyModel

CLI = [sys.executable, "-m", "boxwright.cli"]
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
NICENESS = 3
FILE = """
[storage]
data_dir = "data"
buckets_dir = "buckets"

[server]
port = {port}
grpc_port = {grpc_port}
locations = ["us-central1", "europe-west4"]

[operations]
worker = false
child_niceness = {niceness}

[batch]
shard_images = 2
camel_case = true
tune = false
"""


@dataclasses.dataclass
class Installation:
    """A folder with a configuration file and buckets; commands run in another folder."""

    folder: pathlib.Path
    port: int
    grpc_port: int

    @property
    def file(self) -> pathlib.Path:
        return self.folder / "boxwright.toml"

    @property
    def elsewhere(self) -> pathlib.Path:
        return self.folder.parent / "elsewhere"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc_target(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command that ends by itself."""
        return subprocess.run(
            [*CLI, *arguments], cwd=self.elsewhere, env=CLEAN | environment, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    @contextlib.contextmanager
    def running(self, *arguments: str, **environment: str) -> Iterator[tuple[psutil.Popen, pathlib.Path]]:
        """A command that runs until the end of the block, from when it has said that it is ready; and its output."""
        log = self.folder.parent / f"{arguments[0]}.log"
        with log.open("wb") as output:
            process = psutil.Popen(
                [*CLI, *arguments], cwd=self.elsewhere, env=CLEAN | environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output,
            )  # fmt: skip
        try:
            wait_until(
                lambda: process.poll() is not None or "ready.\n" in log.read_text(), f"{arguments[0]} to be ready"
            )
            assert process.poll() is None, log.read_text()
            yield process, log
        finally:
            process.terminate()
            status = process.wait(PATIENCE_S)
        assert status == 0, log.read_text()


@pytest.fixture
def installation(tmp_path: pathlib.Path) -> Installation:
    made = Installation(tmp_path / "installation", free_port(), free_port())
    (made.folder / "buckets" / "photos").mkdir(parents=True)
    made.elsewhere.mkdir()
    made.file.write_text(FILE.format(port=made.port, grpc_port=made.grpc_port, niceness=NICENESS))
    return made


def _predict(installation: Installation, model: str, csv_uri: str) -> operations_pb2.Operation:
    with open_api(installation) as api:
        return api.finished(api.start_batch(model, csv_uri, "gs://photos/out/"))


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=30) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def test_a_service_and_a_worker_do_a_batch_with_nothing_but_the_file(installation: Installation, tiny_model: TinyModel):
    model = tiny_model.install(installation.folder / "data")
    bucket = installation.folder / "buckets" / "photos"
    names = drawn_images.write_images(bucket, 5)
    (bucket / "list.csv").write_text("".join(f"gs://photos/{name}\n" for name in names))
    config = ["--config", str(installation.file)]
    with (
        installation.running("serve", BOXWRIGHT_CONFIG=str(installation.file)),
        installation.running("worker", *config) as (worker, _),
    ):
        done = _predict(installation, model, "gs://photos/list.csv")
        assert not done.error.message, done
        children = worker.children(recursive=True)
        assert children, "the worker's inference process is kept"
        assert {child.nice() for child in children} == {max(NICENESS, os.nice(0))}
    (output,) = (bucket / "out").iterdir()
    shards = sorted(output.glob("image_object_detection_*.jsonl"))
    lines = [[json.loads(line) for line in shard.read_text().splitlines()] for shard in shards]
    assert [len(part) for part in lines] == [2, 2, 1]
    assert "imageObjectDetection" in json.dumps(lines) and "image_object_detection" not in json.dumps(lines)
    assert list(installation.elsewhere.iterdir()) == [], "the file's paths start at its folder"
    verified = installation.run("verify", *config, f"gs://photos/out/{output.name}")
    assert verified.returncode == 0, verified.stderr + verified.stdout
    migrated = installation.run("migrate", *config)
    assert migrated.returncode == 0 and "nothing to do" in migrated.stdout
    looked = installation.run("doctor", *config, "--json")
    facts = {fact["key"]: fact["text"] for fact in json.loads(looked.stdout)["facts"]}
    assert str(installation.file) in facts["config"]
    assert facts["data_dir"].startswith(str(installation.folder / "data"))
    assert facts["port"].startswith(str(installation.port))
    assert "1 can be loaded" in facts["models"]


def test_the_environment_wins_over_the_file_and_flags_over_both(installation: Installation):
    port, data_dir = free_port(), installation.folder.parent / "other"
    flags = ["--config", str(installation.file), "--port", str(port), "--data-dir", str(data_dir)]
    environment = {"BOXWRIGHT_LOCATIONS": "asia-east1", "BOXWRIGHT_PORT": "1", "BOXWRIGHT_CONFIG": "/none.toml"}
    with installation.running("serve", *flags, **environment) as (_, log):
        assert _is_ready(f"http://127.0.0.1:{port}")
        assert "locations/asia-east1/" in log.read_text()
        assert f"127.0.0.1:{installation.grpc_port} (plaintext)" in log.read_text(), "this is the file's"
        assert f"{installation.folder}/buckets/NAME" in log.read_text()
    assert (data_dir / "metadata.sqlite").exists()
    assert not (installation.folder / "data").exists()


@pytest.mark.parametrize(
    "command",
    ["serve", *(pytest.param(other, marks=pytest.mark.full) for other in ("worker", "doctor", "migrate", "verify"))],
)
def test_every_command_that_has_settings_refuses_a_file_with_a_mistake(installation: Installation, command):
    installation.file.write_text("[storage]\ndata_dri = 'data'\n[server]\nport = '8470'\n[bach]\njobs = 2\n")
    before = sorted(installation.folder.rglob("*"))
    arguments = ["gs://photos/out"] if command == "verify" else []
    for done in (
        installation.run(command, "--config", str(installation.file), *arguments),
        installation.run(command, *arguments, BOXWRIGHT_CONFIG=str(installation.file)),
    ):
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines() == [
            f"boxwright: {installation.file}, [storage] data_dri: There is no such setting. Did you mean data_dir?",
            f"boxwright: {installation.file}, [server] port: A whole number is expected, not a string.",
            f"boxwright: {installation.file}, [bach]: There is no such table. Did you mean [batch]?",
        ]
    assert sorted(installation.folder.rglob("*")) == before
    missing = installation.run(command, "--config", "none.toml", *arguments)
    assert missing.returncode == 2
    assert missing.stderr == (
        "boxwright: The configuration file none.toml cannot be read: No such file or directory. Name another with --config "
        "or BOXWRIGHT_CONFIG.\n"
    )


def test_a_file_that_callers_could_read_is_refused(installation: Installation):
    inside = installation.folder / "buckets" / "photos" / "boxwright.toml"
    inside.write_text(
        f"[storage]\ndata_dir = '{installation.folder}/data'\nbuckets_dir = '{installation.folder}/buckets'\n"
    )
    done = installation.run("serve", "--config", str(inside), "--port", "0", "--grpc-port", "0")
    assert done.returncode == 2
    assert f"The configuration file is {inside}, inside {installation.folder}/buckets" in done.stderr
    assert not (installation.folder / "data").exists()
