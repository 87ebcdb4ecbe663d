"""Jobs over a cluster whose processes are killed at random instants: `python -m benchmarks.batch.cluster --kills 200`.

Of twenty kills one is the head's, two are nodes', three the driver's, the others hosts'. Jobs run one after the other, by
the driver that a worker has, and go on after each death as a worker lets them; the bytes of each are compared with those of
one machine. Nothing is reset in between, and nobody has to look.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psutil
from tests.support.clusters import ray_cluster
from tests.support.clusters.ray_cluster import HOST, RayCluster

from benchmarks.batch.cluster_bench import Bench
from boxwright.batch.channels import ChannelChildren
from boxwright.batch.child_pool import JobChild
from boxwright.batch.engine.engine import MachineEngine
from boxwright.batch.job import BatchJob
from boxwright.cluster import cluster_share
from boxwright.cluster.cluster_share import DRIVER_MODULE, ClusterShare
from boxwright.inference.model_opening import open_model
from boxwright.processes import ChildExitError

OF_TWENTY = ("head", *["node"] * 2, *["driver"] * 3, *["host"] * 14)
SHARD_IMAGES = 20
NODES = 2
CALM_S = 60.0  # after which the next kill comes even if no shard was done since the last
UP_S = 120.0
STARTS = 5  # of one process of Ray, until it is given up
Started = TypeVar("Started")
# Ray's usual patience with heads and nodes that do not answer; that of the tests is for busy machines
PATIENCE = {
    "RAY_gcs_rpc_server_reconnect_timeout_s": "60",
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "3000",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "5",
}


@dataclasses.dataclass
class Kills:
    """What was killed, and what became of the jobs.

    Attributes:
        of: kills by what was killed.
        jobs: that were done.
        other_bytes: how many of them had other bytes than one machine gives.
        attempts: of all jobs; each death of a driver begins one more.
        seconds: of everything.
    """

    of: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    jobs: int = 0
    other_bytes: int = 0
    attempts: int = 0
    seconds: float = 0.0


def run(bench: Bench, count: int, seed: int) -> Kills:
    """Runs jobs until so many processes were killed, and the last job to its end."""
    calm = bench.job("calm", SHARD_IMAGES)
    predictor = open_model(bench.model, streams=1)
    bench.run(calm, lambda sink: MachineEngine(calm, bench.stores, predictor, sink))
    expected, kills, started_s = bench.digest("calm"), Kills(), time.monotonic()
    ray_cluster.ENVIRONMENT.update(PATIENCE)
    with contextlib.ExitStack() as kept:
        cluster = _again(lambda: kept.enter_context(ray_cluster.running(nodes=NODES)))
        share = ClusterShare(cluster.address, most_hosts=NODES)
        environment = {cluster_share.VARIABLE: share.to_json(), **PATIENCE}
        children = ChannelChildren(["RAY_"], DRIVER_MODULE, environment)
        shooter = _Shooter(cluster, _victims(count, random.Random(seed)), random.Random(seed), kills)
        try:
            while not shooter.has_ended or not kills.jobs:
                name = f"fire-{kills.jobs}"
                _job_to_its_end(children, bench.job(name, SHARD_IMAGES), shooter, kills)
                kills.jobs += 1
                is_equal = bench.digest(name) == expected
                kills.other_bytes += not is_equal
                kills.seconds = time.monotonic() - started_s
                print(_line(kills), "" if is_equal else f" OTHER BYTES: {name}", flush=True)
                if is_equal:  # others are kept for who looks
                    shutil.rmtree(bench.bucket / "out" / name)
        finally:
            shooter.close()
            children.close()
    return kills


def table(kills: Kills) -> str:
    """The result as lines."""
    rows = [f"{'killed':12} {'times':>6}", *(f"{victim:12} {times:6d}" for victim, times in sorted(kills.of.items()))]
    return "\n".join([*rows, f"{'all':12} {kills.of.total():6d}", _line(kills)])


def as_figures(kills: Kills) -> dict[str, Any]:
    """The result for a file."""
    return {**dataclasses.asdict(kills), "of": dict(kills.of), "kills": kills.of.total()}


def _line(kills: Kills) -> str:
    return (
        f"{kills.of.total()} kills, {kills.jobs} jobs, {kills.attempts} attempts, {kills.other_bytes} with other bytes, "
        f"{kills.seconds:.0f} s"
    )


def _victims(count: int, chance: random.Random) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        found += chance.sample(OF_TWENTY, len(OF_TWENTY))
    return found[:count]


def _job_to_its_end(children: ChannelChildren, job: BatchJob, shooter: _Shooter, kills: Kills) -> None:
    """Lets drivers do a job, another one whenever one has died, until its manifest is there."""
    while True:
        kills.attempts += 1
        try:
            with children.borrow(job.folders.model) as child:
                child.send_line(job.to_json())
                shooter.driver = child
                if _followed(child, shooter):
                    return
        except ChildExitError as death:
            print(f"  again: {death}", flush=True)
        finally:
            shooter.driver = None


def _followed(child: JobChild, shooter: _Shooter) -> bool:
    """Follows a job; whether it was done."""
    while True:
        match child.next_event(1.0):
            case {"event": "shard", "is_found": False}:
                shooter.shards += 1
            case {"event": "done"}:
                return True
            case {"event": "error", "message": message}:
                print(f"  again: {message}", flush=True)
                return False


class _Shooter:
    """Kills one victim after the other, each at a random instant after a shard was done.

    Attributes:
        driver: the child at work; None if there is none.
        shards: done so far.
    """

    def __init__(self, cluster: RayCluster, victims: list[str], chance: random.Random, kills: Kills) -> None:
        self._cluster, self._victims, self._chance, self._kills = cluster, victims, chance, kills
        self._nodes = list(range(len(cluster.nodes)))  # those that live
        self._closed = threading.Event()
        self.driver: JobChild | None = None
        self.shards = 0
        self._thread = threading.Thread(target=self._run, name="shooter", daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether all are killed."""
        return not self._thread.is_alive()

    def close(self) -> None:
        """Kills nobody any more."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        for victim in self._victims:
            seen, calm_since_s = self.shards, time.monotonic()
            while self.shards == seen and time.monotonic() - calm_since_s < CALM_S:
                if self._closed.wait(0.05):
                    return
            if self._closed.wait(self._chance.uniform(0.0, 1.5)):
                return
            while not getattr(self, f"_kill_{victim}")():
                if self._closed.wait(0.05):
                    return
            self._kills.of[victim] += 1

    def _kill_host(self) -> bool:
        hosts = self._cluster.hosts()
        with contextlib.suppress(psutil.NoSuchProcess):
            if hosts:
                self._chance.choice(hosts).kill()
                return True
        return False

    def _kill_driver(self) -> bool:
        driver = self.driver
        if driver is None or not driver.pid:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(driver.pid).kill()
            return True
        return False

    def _kill_node(self) -> bool:
        number = self._chance.choice(self._nodes)
        self._cluster.kill_node(number)
        self._nodes.remove(number)
        self._add_node()
        return True

    def _kill_head(self) -> bool:
        """Ends the head, and starts another one at its address; nodes join it anew, as those of a cluster do."""
        ray_cluster.kill_tree(self._cluster.head)
        for number in self._nodes:
            self._cluster.kill_node(number)
        self._nodes.clear()
        self._cluster.head = _again(lambda: _new_head(self._cluster))
        for _ in range(NODES):
            self._add_node()
        return True

    def _add_node(self) -> None:
        number = len(self._cluster.nodes)
        _again(self._cluster.add_node)
        self._nodes.append(number)


def _again(start: Callable[[], Started]) -> Started:
    """Starts a process of Ray; on a busy machine that may take Ray longer than it waits."""
    for _ in range(STARTS - 1):
        with contextlib.suppress(AssertionError, RuntimeError):
            return start()
    return start()


def _new_head(cluster: RayCluster) -> subprocess.Popen[bytes]:
    """A head at the former one's address, which knows nothing of what was before."""
    number = len(list(cluster.folder.glob("head-*")))
    log = cluster.folder / f"head-{number}.log"
    command = [
        str(pathlib.Path(sys.executable).with_name("ray")), "start", "--block", "--head", f"--node-ip-address={HOST}",
        f"--port={cluster.address.rpartition(':')[2]}", "--num-cpus=0", "--include-dashboard=false",
        f"--object-store-memory={ray_cluster.STORE_BYTES}", f"--temp-dir={cluster.folder / f'ray-{number}'}",
    ]  # fmt: skip
    environment = {**os.environ, **cluster.environment}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
    deadline_s = time.monotonic() + UP_S
    while b"Ray runtime started" not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline_s:
            ray_cluster.kill_tree(process)
            raise RuntimeError(f"the new head does not start: {log.read_text()}")
        time.sleep(0.1)
    return process
