"""The inference child whose engine is the cluster: ``python -m boxwright.cluster.driver_main``.

It speaks as `batch.child_main` does, and is the cluster's driver. When the cluster's head goes, Ray ends this process, and
not the one that holds leases. Jobs that take results over from a former one, jobs of candidates, trials and estimates are
done on this machine.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator

from boxwright import faults, processes
from boxwright.batch import child_main
from boxwright.batch.child_main import EngineParts, JobEngine
from boxwright.batch.events import Events
from boxwright.cluster import connection
from boxwright.cluster.cluster_share import ClusterShare
from boxwright.cluster.host_pool import HostPool
from boxwright.cluster.ray_engine import RayEngine

HOST_VARIABLES = (faults.VARIABLE, faults.ONCE_VARIABLE)
HEAD_PATIENCE_S = 600.0  # a head is started again, perhaps on another machine


class Driver:
    """What this process keeps from job to job: its place in the cluster, and hosts that are idle."""

    def __init__(self) -> None:
        self._share = ClusterShare.of_environment()
        self._kept = contextlib.ExitStack()
        self._pool: HostPool | None = None

    def pool(self) -> HostPool:
        """Joins the cluster, unless that is done.

        Raises:
            ApiError: see `connection.joined`.
        """
        if self._pool is None:
            say_alive = functools.partial(Events().say, "alive")
            self._kept.enter_context(connection.joined(self._share.address, HEAD_PATIENCE_S, say_alive))
            environment = {name: os.environ[name] for name in HOST_VARIABLES if name in os.environ}
            self._pool = HostPool(self._share, environment)
        return self._pool

    @contextlib.contextmanager
    def opened(self, parts: EngineParts) -> Iterator[JobEngine]:
        """The cluster as an engine for a job; that of this machine if results are taken over, whose index is here.

        Raises:
            ApiError: the cluster cannot be used, or the model cannot be loaded.
        """
        with contextlib.ExitStack() as here:

            def open_here() -> JobEngine:
                return here.enter_context(child_main.open_here(parts))

            if parts.base is not None and parts.base.results is not None:
                yield open_here()
            else:
                yield RayEngine(parts.job, parts.stores, parts.sink, self.pool(), open_here, parts.note_use)


if __name__ == "__main__":
    processes.end_quickly()
    child_main.main(Driver().opened)
