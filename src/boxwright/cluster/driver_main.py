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

from boxwright import faults, objects, processes
from boxwright.batch import child_main
from boxwright.batch.engine import opening
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.events import Events
from boxwright.batch.job import BatchJob
from boxwright.batch.output.sink import Sink
from boxwright.batch.reuse.opening import OpenedBase
from boxwright.batch.rewrite.rewriter import NoteUse
from boxwright.cluster import connection
from boxwright.cluster.cluster_share import ClusterShare
from boxwright.cluster.host_pool import HostPool
from boxwright.cluster.ray_engine import RayEngine

HOST_VARIABLES = (faults.VARIABLE, faults.ONCE_VARIABLE)
HEAD_PATIENCE_S = 600.0  # a head is started again by whoever keeps it, on another machine perhaps


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
    def opened(
        self,
        job: BatchJob,
        models: LoadedModels,
        peers: PeerPool,
        stores: objects.Stores,
        sink: Sink,
        base: OpenedBase | None,
        note_use: NoteUse,
    ) -> Iterator[child_main.JobEngine]:
        """The cluster as an engine for a job; that of this machine if results are taken over, whose index is here.

        Raises:
            ApiError: the cluster cannot be used, or the model cannot be loaded.
        """
        if base is not None and base.results is not None:
            with opening.opened(job, models, peers, stores, sink, base) as engine:
                yield engine
            return
        with contextlib.ExitStack() as here:

            def engine_here() -> child_main.JobEngine:
                return here.enter_context(opening.opened(job, models, peers, stores, sink, base))

            yield RayEngine(job, stores, sink, self.pool(), engine_here, note_use)


if __name__ == "__main__":
    processes.end_quickly()
    child_main.main(Driver().opened)
