"""A Ray cluster of several nodes on this machine: a head that runs nothing, and nodes of one core, each a process."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import psutil
from tests.support.machine import ports
from tests.support.machine.waiting import wait_until

HOST = "127.0.0.1"
# one token for all clusters of a test process: ray reads it when it is imported
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(16),
    "RAY_USAGE_STATS_ENABLED": "0",
    # a busy machine is slow to answer, and short of memory for a moment: neither is a lost node
    "RAY_health_check_initial_delay_ms": "60000",
    "RAY_health_check_period_ms": "10000",
    "RAY_health_check_timeout_ms": "30000",
    "RAY_health_check_failure_threshold": "10",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "120",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_worker_niceness": "0",  # hosts would wait for as long as anything else is at work
}
os.environ.update(ENVIRONMENT)
STORE_BYTES = 80_000_000


@dataclasses.dataclass
class RayCluster:
    """A running cluster.

    Attributes:
        address: of the head.
        environment: variables of whoever joins it.
        head: the process of the head.
        nodes: those of the nodes.
    """

    address: str
    environment: dict[str, str]
    head: subprocess.Popen[bytes]
    nodes: list[subprocess.Popen[bytes]]
    folder: pathlib.Path

    def add_node(self, core: int | None = None) -> subprocess.Popen[bytes]:
        """Starts a node with one core; `core` is the one that it is bound to."""
        options = [f"--address={self.address}", "--num-cpus=1"]
        node = started(options, self.folder / f"node-{len(self.nodes)}.log", self.environment, core)
        self.nodes.append(node)
        return node

    def kill_node(self, number: int) -> None:
        """Ends a node as a power cut would."""
        kill_tree(self.nodes[number])

    def hosts(self) -> list[psutil.Process]:
        """The processes of hosts, on all nodes."""
        found = []
        for node in self.nodes:
            with contextlib.suppress(psutil.Error):
                family = psutil.Process(node.pid).children(recursive=True)
                found += [one for one in family if _is_host(one)]
        return found

    def stop(self) -> None:
        """Ends every process of it."""
        for one in [*self.nodes, self.head]:
            kill_tree(one)


@contextlib.contextmanager
def running(nodes: int = 2) -> Iterator[RayCluster]:
    """A cluster; skipped where ray is not installed."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bxray-"))  # a socket's path is short
    port = ports.free_port()
    environment = ENVIRONMENT
    head = started(
        ["--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={folder / 'ray'}"],
        folder / "head.log",
        environment,
    )
    cluster = RayCluster(f"{HOST}:{port}", environment, head, [], folder)
    try:
        for _ in range(nodes):
            cluster.add_node()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _is_host(process: psutil.Process) -> bool:
    try:
        return (process.cmdline() or [""])[0].startswith("ray::Host")
    except psutil.Error:
        return False


def started(
    options: list[str], log: pathlib.Path, environment: dict[str, str], core: int | None = None
) -> subprocess.Popen[bytes]:
    """A process of Ray that has started; `core` is the one that it is bound to."""
    ray = pathlib.Path(sys.executable).with_name("ray")
    command = [] if core is None else ["taskset", "-c", str(core)]
    command += [str(ray), "start", "--block", f"--node-ip-address={HOST}", f"--object-store-memory={STORE_BYTES}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *options],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **environment},
        )  # fmt: skip
    wait_until(lambda: process.poll() is not None or b"Ray runtime started" in log.read_bytes(), "a node of Ray")
    assert process.poll() is None, log.read_text()
    return process


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and its children as a power cut would."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid)
        for one in [*family.children(recursive=True), family]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    process.wait()
