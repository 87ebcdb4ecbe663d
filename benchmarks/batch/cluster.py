"""What a Ray cluster costs and brings: one machine without it, one node, two nodes, each node of one core of its own.

    python -m benchmarks.batch.cluster [--quick] [--images 10000] [--model FOLDER] [--kills 200]

Each way predicts the same list, from a folder, with hosts and models ready before the clock starts. Seconds of processor
time are those of the hosts, of the driver (this process: plan and account), of the head, and of the nodes beside their
hosts. With --kills, hosts are killed at random instants while jobs run, every twentieth time a node; bytes are compared.
Prints a table and ends with one JSON object.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import pathlib
import random
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
from tests.support.clusters import ray_cluster
from tests.support.clusters.ray_cluster import RayCluster

from benchmarks.harness import arguments, pictures, results, serving
from boxwright import objects
from boxwright.batch.engine.engine import MachineEngine
from boxwright.batch.job import BatchJob, BatchSpec, JobFolders, MachineShare
from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Plan
from boxwright.cluster import connection
from boxwright.cluster.cluster_share import ClusterShare
from boxwright.cluster.host_pool import HostPool
from boxwright.cluster.ray_engine import RayEngine
from boxwright.inference.model_opening import open_model

SHARD_IMAGES = 500
ORIGINALS = 200
NODE_EVERY = 20  # of kills


@dataclasses.dataclass
class Run:
    """One way to do the job.

    Attributes:
        wall_s: from the first shard handed over to the end.
        host_cpu_s: of what predicts.
        driver_cpu_s: of this process; 0 where it predicts.
        head_cpu_s: of the head's processes.
        node_cpu_s: of the nodes' processes beside the hosts.
    """

    wall_s: float
    host_cpu_s: float
    driver_cpu_s: float = 0.0
    head_cpu_s: float = 0.0
    node_cpu_s: float = 0.0


class Bench:
    """A bucket of images, a list, and jobs on it."""

    def __init__(self, folder: pathlib.Path, images: int, model: pathlib.Path) -> None:
        bucket = folder / "buckets" / "b"
        bucket.mkdir(parents=True)
        made = pictures.make(folder / "originals", ["vga"], {"vga": min(images, ORIGINALS)})["vga"]
        with (bucket / "list.csv").open("w") as rows:
            for number in range(images):
                source = made[number % len(made)]
                target = bucket / f"{number:06d}{source.suffix}"
                os.link(source, target)
                rows.write(f"gs://b/{target.name}\n")
        self.bucket, self.images, self.model = bucket, images, model
        self.stores = objects.Stores(folder / "buckets", folder / "state")

    def job(self, name: str, shard_images: int = SHARD_IMAGES, images: str = "list.csv") -> BatchJob:
        """A job of one core."""
        spec = BatchSpec(
            input_uris=[f"gs://b/{images}"], output_directory=f"gs://b/out/{name}",
            scratch=str(self.stores.state(f"operations/{name}")), score_threshold=0.5, max_boxes=100,
            shard_images=shard_images, row_failure_limit=0.0,
        )  # fmt: skip
        return BatchJob(spec, JobFolders(str(self.model), self.stores.to_config()), MachineShare(1))

    def run(self, job: BatchJob, engine_of: Callable[[Sink], Any]) -> float:
        """Runs a job to its manifest; returns the seconds."""
        sink, plan = Sink(job.spec, self.stores), Plan(job.spec, self.stores)
        sink.prepare()
        started_s = time.monotonic()
        for _ in engine_of(sink).run(plan, lambda: False):
            pass
        elapsed_s = time.monotonic() - started_s
        sink.close("SUCCEEDED", rows_read=plan.rows_read, duplicates=plan.duplicates, model_digest="d")
        return elapsed_s

    def digest(self, name: str) -> str:
        """Of all files of a job's folder."""
        folder, found = self.bucket / "out" / name, hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                found.update(path.name.encode() + path.read_bytes())
        return found.hexdigest()


def alone(bench: Bench) -> Run:
    """One core of this machine, without a cluster."""
    job = bench.job("alone")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        predictor = open_model(bench.model, streams=1)
        cpu_s = time.process_time()
        wall_s = bench.run(job, lambda sink: MachineEngine(job, bench.stores, predictor, sink))
        return Run(wall_s, time.process_time() - cpu_s)
    finally:
        os.sched_setaffinity(0, before)


def on_cluster(bench: Bench, nodes: int, name: str) -> Run:
    """Nodes of one core each, pinned."""
    cores = sorted(os.sched_getaffinity(0))
    with ray_cluster.running(nodes=0) as cluster:
        for number in range(nodes):
            cluster.add_node(core=cores[number % len(cores)])
        with connection.joined(cluster.address):
            pool = HostPool(ClusterShare(cluster.address, most_hosts=nodes), {}, idle_s=3600)
            _warm(bench, pool, nodes, name)
            before = _spent(cluster)
            job = bench.job(name)
            wall_s = bench.run(job, lambda sink: RayEngine(job, bench.stores, sink, pool, _nobody))
            spent = {part: value - before[part] for part, value in _spent(cluster).items()}
            pool.close()
    return Run(wall_s, spent["hosts"], spent["driver"], spent["head"], spent["nodes"])


def kills(bench: Bench, count: int, seed: int) -> dict[str, int]:
    """Jobs under fire until so many processes were killed; how many had other bytes."""
    chance, killed, jobs, wrong, nodes_killed = random.Random(seed), 0, 0, 0, 0
    calm = bench.job("calm", 20, "short.csv")
    rows = (bench.bucket / "list.csv").read_text().splitlines()[:1000]
    (bench.bucket / "short.csv").write_text("\n".join(rows) + "\n")
    predictor = open_model(bench.model, streams=1)
    bench.run(calm, lambda sink: MachineEngine(calm, bench.stores, predictor, sink))
    with ray_cluster.running(nodes=2) as cluster, connection.joined(cluster.address):
        pool = HostPool(ClusterShare(cluster.address, most_hosts=2), {}, idle_s=3600)
        while killed < count:
            ended = threading.Event()

            def shoot(ended: threading.Event = ended) -> None:
                nonlocal killed, nodes_killed
                while not ended.wait(chance.uniform(0.5, 2.0)) and killed < count:
                    if killed % NODE_EVERY == NODE_EVERY - 1:
                        cluster.kill_node(len(cluster.nodes) - 1 - chance.randrange(2))
                        cluster.add_node()
                        nodes_killed += 1
                    elif hosts := cluster.hosts():
                        chance.choice(hosts).kill()
                    else:
                        continue
                    killed += 1

            shooter = threading.Thread(target=shoot)
            shooter.start()
            name = f"fire-{jobs}"
            job = bench.job(name, 20, "short.csv")
            try:
                bench.run(job, functools.partial(_engine, bench, job, pool))
            finally:
                ended.set()
                shooter.join()
            jobs += 1
            wrong += bench.digest(name) != bench.digest("calm")
        pool.close()
    return {"kills": killed, "of nodes": nodes_killed, "jobs": jobs, "other bytes": wrong}


def _warm(bench: Bench, pool: HostPool, nodes: int, name: str) -> None:
    """Starts as many hosts as there are nodes, with their model."""
    rows = (bench.bucket / "list.csv").read_text().splitlines()[: 40 * nodes]
    (bench.bucket / "warm.csv").write_text("\n".join(rows) + "\n")
    handles = [pool.take() for _ in range(nodes)]
    import ray

    job = bench.job(f"warm-{name}", 10, "warm.csv")
    ray.get([handle.open.remote(job.to_json()) for handle in handles])
    for handle in handles:
        pool.give(handle)
    bench.run(job, lambda sink: RayEngine(job, bench.stores, sink, pool, _nobody))


def _spent(cluster: RayCluster) -> dict[str, float]:
    """Seconds of processor time so far, by who has spent them."""
    hosts = {process.pid for process in cluster.hosts()}
    families = [psutil.Process(node.pid) for node in cluster.nodes]
    nodes = [one for family in families for one in [family, *family.children(recursive=True)]]
    head = psutil.Process(cluster.head.pid)
    return {
        "hosts": sum(_cpu_s(one) for one in nodes if one.pid in hosts),
        "nodes": sum(_cpu_s(one) for one in nodes if one.pid not in hosts),
        "head": sum(_cpu_s(one) for one in [head, *head.children(recursive=True)]),
        "driver": time.process_time(),
    }


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _engine(bench: Bench, job: BatchJob, pool: HostPool, sink: Sink) -> RayEngine:
    return RayEngine(job, bench.stores, sink, pool, _nobody)


def _nobody() -> Any:
    raise AssertionError("nothing of the list is a member of an archive")


def main() -> None:
    """Measures what the command line asks for."""
    parser = arguments.parser(__doc__, "1,000 images")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--model", type=pathlib.Path, help="a trained model's folder; default: an untrained one")
    parser.add_argument("--kills", type=int, default=0)
    options = parser.parse_args()
    count = 1000 if options.quick else options.images
    with tempfile.TemporaryDirectory(prefix="bxcluster-") as place:
        folder = pathlib.Path(place)
        model = options.model or folder / "model"
        if options.model is None:
            serving.make_model(model, "mobile-low-latency-1", "int8")
        bench = Bench(folder, count, model)
        found: dict[str, Any] = {}
        if options.kills:
            found["fire"] = kills(bench, options.kills, seed=1)
            print(found["fire"])
        else:
            runs = {
                "one core, no cluster": alone(bench),
                "one node": on_cluster(bench, 1, "one"),
                "two nodes": on_cluster(bench, 2, "two"),
            }
            for name, run in runs.items():
                rate = count / run.wall_s
                print(f"{name:22} {rate:8.1f} images/s   {run}")
            base, one, two = runs.values()
            found = {
                "runs": {name: dataclasses.asdict(run) for name, run in runs.items()},
                "equal": len({bench.digest(name) for name in ("alone", "one", "two")}) == 1,
                "overhead_of_hosts": one.host_cpu_s / base.host_cpu_s - 1,
                "overhead_of_driver": one.driver_cpu_s / base.host_cpu_s,
                "two_of_twice_one": one.wall_s / two.wall_s / 2,
                "two_of_twice_alone": base.wall_s / two.wall_s / 2,
            }
        conditions = f"{count} VGA images, shards of {SHARD_IMAGES}, a core a node, pinned"
        results.close(__file__, options, found, source="docs/cluster.md", conditions=conditions, figures=found)


if __name__ == "__main__":
    main()
