"""What every test may use: a real service on free ports, and the mode in which a skip is a failure.

`service` is one service for the whole session; `service_factory` starts more, with flags of their own, and stops them
when the test ends. Set BOXWRIGHT_TEST_STRICT=1 (as `.ci/run` does) to turn every skip into a failure.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import hypothesis
import pytest
from tests.support.databases.postgres import database_place as database_place
from tests.support.databases.postgres import postgres as postgres
from tests.support.machine import ports
from tests.support.machine.waiting import PATIENCE_S

from boxwright import machine
from boxwright.processes import NICENESS_VARIABLE
from boxwright.weights import catalogue, installed

START_TIMEOUT_S = PATIENCE_S  # a start takes under 2 s, and far longer on a busy machine
STOP_TIMEOUT_S = PATIENCE_S  # a drain lets the running piece of work reach its next safe point
POLL_S = 0.05

# At the lowest priority children would wait for as long as anything else is at work, other test processes for example.
os.environ.setdefault(NICENESS_VARIABLE, "0")
# What a person has installed must not change the tests' trainings; those that are about it ask for `coco_weights`.
os.environ.setdefault("BOXWRIGHT_TEST_WEIGHTS_DIR", str(installed.folder(None)))
os.environ["XDG_DATA_HOME"] = "/nonexistent"
CLI = (sys.executable, "-m", "boxwright.cli")

# An example may take long on a busy machine; that says nothing about the code.
hypothesis.settings.register_profile(
    "busy",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, *hypothesis.settings().suppress_health_check],
)
hypothesis.settings.load_profile("busy")

STRICT = bool(os.environ.get("BOXWRIGHT_TEST_STRICT"))
MOST_WORKERS = 8  # more gain little: the longest file decides
WORKER_BYTES = 3 << 30  # of memory for each: a test process, its services and their children


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many test processes ``-n auto`` starts: one more than cores, since tests wait a lot, as far as memory goes."""
    return max(1, min(machine.usable_cores() + 1, machine.usable_memory_bytes() // WORKER_BYTES, MOST_WORKERS))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses what two test processes would call by different names; they have to agree on what there is to run."""
    changing = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if changing:
        raise pytest.UsageError(
            f"The name of a test contains an address in memory; give its parameters ids: {changing[0]}"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which strict mode forbids: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    if STRICT and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, which strict mode forbids: {_reason(report.longrepr)}"
    return report


def _reason(longrepr: object) -> str:
    return longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)


@dataclasses.dataclass
class Service:
    """A running `boxwright serve`.

    Attributes:
        port: where REST, health and metrics answer.
        grpc_port: where gRPC answers.
        data_dir: its state; start another service on it to see what survives.
        buckets: each sub-folder is a bucket, reachable as ``gs://NAME/…``.
        log: what it wrote to standard output and error.
    """

    process: subprocess.Popen[bytes]
    port: int
    grpc_port: int
    data_dir: pathlib.Path
    buckets: pathlib.Path
    log: pathlib.Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc_target(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @contextlib.contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        """A plaintext gRPC channel to the service."""
        with grpc.insecure_channel(self.grpc_target) as channel:
            yield channel

    def bucket(self, name: str) -> pathlib.Path:
        """The folder behind ``gs://name``, made if it is not there."""
        folder = self.buckets / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Asks it to end, waits, and returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
                pytest.fail(f"the service did not end within {STOP_TIMEOUT_S:.0f} s of SIGTERM:\n{self.tail()}")
        return self.process.returncode

    def tail(self) -> str:
        """The last of what it printed."""
        return self.log.read_text(errors="replace")[-6000:]


def _wait_until_ready(service: Service) -> None:
    pause = threading.Event()
    for _ in range(int(START_TIMEOUT_S / POLL_S)):
        if service.process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(service.url + "/readyz", timeout=5) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        pause.wait(POLL_S)
    service.kill()
    pytest.fail(f"the service did not become ready:\n{service.tail()}")


def _start(folder: pathlib.Path, flags: dict[str, Any], environment: dict[str, str]) -> Service:
    """Starts a service whose files lie in `folder`; `train_minutes_max=2` becomes ``--train-minutes-max 2``.

    Args:
        flags: also `data_dir`, `buckets`, `port`, `grpc_port`, and as `program` the command line's first words.
    """
    data_dir = pathlib.Path(str(flags.pop("data_dir", folder / "data")))
    buckets = pathlib.Path(str(flags.pop("buckets", folder / "buckets")))
    port = int(str(flags.pop("port", None) or ports.free_port()))
    grpc_port = int(str(flags.pop("grpc_port", None) or ports.free_port()))
    buckets.mkdir(parents=True, exist_ok=True)
    command = [*flags.pop("program", CLI), "serve"]
    command += ["--data-dir", str(data_dir), "--buckets", str(buckets)]
    command += ["--port", str(port), "--grpc-port", str(grpc_port)]
    for name, value in flags.items():
        command += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
    inherited["BOXWRIGHT_TUNE"] = "false"  # nothing runs beside a test that the test has not started
    inherited[NICENESS_VARIABLE] = os.environ[NICENESS_VARIABLE]
    log = folder / f"service-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=inherited | environment
        )
    service = Service(process, port, grpc_port, data_dir, buckets, log)
    _wait_until_ready(service)
    return service


@pytest.fixture(autouse=True)
def _denormals_stay() -> Iterator[None]:
    """Training lets the processor round tiny floats to zero; what runs after it in this process shall not."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on."""
    return ports.free_port()


@pytest.fixture
def service_factory(tmp_path: pathlib.Path) -> Iterator[Callable[..., Service]]:
    """Starts services: ``service_factory(train_minutes_max=1, environment={"BOXWRIGHT_FAULTS": "…"})``."""
    started: list[Service] = []

    def start(environment: dict[str, str] | None = None, **flags: object) -> Service:
        service = _start(tmp_path, flags, environment or {})
        started.append(service)
        return service

    try:
        yield start
    finally:
        for service in started:
            service.stop()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the whole session; each test uses names of its own in it."""
    audit = {"BOXWRIGHT_REUSE_AUDIT": "0"}  # which images are audited differs from run to run
    service = _start(tmp_path_factory.mktemp("service"), {"train_minutes_max": 1}, audit)
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="session")
def coco_weights() -> pathlib.Path:
    """The folder of the weights that `make test` has installed."""
    folder = pathlib.Path(os.environ["BOXWRIGHT_TEST_WEIGHTS_DIR"])
    if not (folder / catalogue.NANODET_G.file_name).exists():
        pytest.skip("the weights are not installed: boxwright weights install")
    return folder
