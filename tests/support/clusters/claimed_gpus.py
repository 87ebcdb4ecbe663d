"""A node that claims to have a GPU: Ray places hosts by what nodes claim, and looks for nothing."""

from __future__ import annotations

import subprocess

from tests.support.clusters import ray_cluster
from tests.support.clusters.ray_cluster import RayCluster


def add_node(cluster: RayCluster) -> subprocess.Popen[bytes]:
    """Starts a node with one core and one claimed GPU."""
    options = [f"--address={cluster.address}", "--num-cpus=1", "--num-gpus=1"]
    log = cluster.folder / f"node-{len(cluster.nodes)}.log"
    node = ray_cluster.started(options, log, cluster.environment)
    cluster.nodes.append(node)
    return node
