"""What jobs ask of the cluster, and which clusters are refused. JSON in, JSON out, beside the job that it belongs to."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os

from boxwright import errors

TOKEN_MODE = ("RAY_AUTH_MODE", "token")
DRIVER_MODULE = "boxwright.cluster.driver_main"  # the inference child whose engine is the cluster
VARIABLE = "BOXWRIGHT_CLUSTER_SHARE"  # of the inference child whose engine is the cluster


@dataclasses.dataclass(frozen=True)
class ClusterShare:
    """What the jobs of a driver may use together.

    Attributes:
        address: of the cluster's head, ``HOST:PORT``; ``auto`` for the one that this machine belongs to.
        most_hosts: hosts at the same time, at least 1.
        cores: of a host, at least 1: as many images are worked on at once.
        gpus: of a host of a job whose network runs on a GPU; others have none.
        gpu_wait_s: for how long a job waits for its first host with a GPU; then it goes to hosts without.
        cache_dir: a folder of each node for models; empty: the job's folders are the same on all nodes.
        cache_bytes: how much of it models may take.
    """

    address: str = "auto"
    most_hosts: int = 100
    cores: int = 1
    gpus: float = 0.0
    gpu_wait_s: float = 120.0
    cache_dir: str = ""
    cache_bytes: int = 10_000_000_000

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def of_environment(cls) -> ClusterShare:
        """What the parent has put into `VARIABLE`. Raises KeyError without it."""
        return cls(**json.loads(os.environ[VARIABLE]))


def check(address: str) -> None:
    """Raises FAILED_PRECONDITION for a cluster that would take anybody."""
    variable, value = TOKEN_MODE
    if os.environ.get(variable) == value or _is_loopback(address):
        return
    raise errors.failed_precondition(
        f"Refusing to use the Ray cluster at {address}: every client that reaches it could run code on all of its machines. "
        f"Start it, and this process, with {variable}={value}."
    )


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
