"""What a Ray cluster costs and brings: one core without it, one node, several nodes, each node of one core of its own.

    python -m benchmarks.batch.cluster [--quick] [--images 10000] [--model FOLDER] [--nodes 2] [--kills 200]

Each way predicts the same list in at least twenty shards, from a folder, with hosts and models ready before the clock
starts. Seconds of processor time are those of the hosts, of the driver (this process: plan and account), of the head, and of
the nodes beside their hosts. With --kills, processes of a cluster are killed at random instants while jobs run, one in
twenty the head, and bytes are compared (`cluster_kills`). Prints a table and ends with one JSON object.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import tempfile
import time
from typing import Any

import psutil
from tests.support.clusters import ray_cluster
from tests.support.clusters.ray_cluster import RayCluster

from benchmarks.batch import cluster_kills
from benchmarks.batch.cluster_bench import SHARD_IMAGES, Bench
from benchmarks.harness import arguments, results, serving
from boxwright.batch.engine.engine import MachineEngine
from boxwright.cluster import connection
from boxwright.cluster.cluster_share import ClusterShare
from boxwright.cluster.host_pool import HostPool
from boxwright.cluster.ray_engine import RayEngine
from boxwright.inference.model_opening import open_model

LEAST_SHARDS = 20
KILL_IMAGES = 400  # of each job under fire, unless --images says otherwise


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
            wall_s = bench.run(job, lambda sink: RayEngine(job, bench.stores, sink, pool))
            spent = {part: value - before[part] for part, value in _spent(cluster).items()}
            pool.close()
    return Run(wall_s, spent["hosts"], spent["driver"], spent["head"], spent["nodes"])


def _warm(bench: Bench, pool: HostPool, nodes: int, name: str) -> None:
    """Starts as many hosts as there are nodes, with their model."""
    rows = (bench.bucket / "list.csv").read_text().splitlines()[: 40 * nodes]
    (bench.bucket / "warm.csv").write_text("\n".join(rows) + "\n")
    pool.start(nodes)
    while pool.up < nodes:
        time.sleep(0.1)
    job = bench.job(f"warm-{name}", 10, "warm.csv")
    bench.run(job, lambda sink: RayEngine(job, bench.stores, sink, pool))


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


def compared(bench: Bench, nodes: int) -> dict[str, Any]:
    """Measures one core alone, one node and so many nodes; returns the figures."""
    runs = {
        "one core, no cluster": alone(bench),
        "one node": on_cluster(bench, 1, "one"),
        f"{nodes} nodes": on_cluster(bench, nodes, "several"),
    }
    columns = [field.name for field in dataclasses.fields(Run)]
    print(f"{'':22} {'images/s':>10} " + " ".join(f"{column:>13}" for column in columns))
    for name, run in runs.items():
        values = " ".join(f"{getattr(run, column):13.1f}" for column in columns)
        print(f"{name:22} {bench.images / run.wall_s:10.1f} {values}")
    base, one, several = runs.values()
    return {
        "runs": {name: dataclasses.asdict(run) for name, run in runs.items()},
        "nodes": nodes,
        "equal": len({bench.digest(name) for name in ("alone", "one", "several")}) == 1,
        "overhead_of_hosts": one.host_cpu_s / base.host_cpu_s - 1,
        "overhead_of_driver": one.driver_cpu_s / base.host_cpu_s,
        "overhead_of_head": one.head_cpu_s / base.host_cpu_s,
        "overhead_of_nodes": one.node_cpu_s / base.host_cpu_s,
        "several_of_that_many_times_one": one.wall_s / several.wall_s / nodes,
        "several_of_that_many_times_alone": base.wall_s / several.wall_s / nodes,
    }


def main() -> None:
    """Measures what the command line asks for."""
    parser = arguments.parser(__doc__, "1,000 images")
    parser.add_argument("--images", type=int, help="of the list; default: 10,000, or 400 with --kills")
    parser.add_argument("--model", type=pathlib.Path, help="a trained model's folder; default: an untrained one")
    parser.add_argument("--nodes", type=int, default=2, help="compared with one node; default: 2")
    parser.add_argument("--kills", type=int, default=0)
    options = parser.parse_args()
    count = options.images or (1000 if options.quick else KILL_IMAGES if options.kills else 10_000)
    with tempfile.TemporaryDirectory(prefix="bxcluster-") as place:
        folder = pathlib.Path(place)
        model = options.model or folder / "model"
        if options.model is None:
            serving.make_model(model, "mobile-low-latency-1", "int8")
        bench = Bench(folder, count, model, min(SHARD_IMAGES, max(1, count // LEAST_SHARDS)))
        if options.kills:
            killed = cluster_kills.run(bench, options.kills, seed=1)
            print(cluster_kills.table(killed))
            found = {"fire": cluster_kills.as_figures(killed)}
            conditions = f"{count} VGA images a job, shards of {cluster_kills.SHARD_IMAGES}, two nodes of a core"
        else:
            found = compared(bench, options.nodes)
            conditions = f"{count} VGA images, shards of {bench.shard_images}, a core a node, pinned"
        results.close(__file__, options, found, source="docs/cluster.md", conditions=conditions, figures=found)


if __name__ == "__main__":
    main()
