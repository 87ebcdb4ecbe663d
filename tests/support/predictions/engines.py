"""The engines, each as a maker: how the contract suite builds whichever engine it is run with."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator
from typing import Protocol

from tests.support.clusters import ray_cluster  # before ray, which reads its environment when it is imported
from tests.support.predictions.batch_jobs import Bench
from tests.support.predictions.tiny_model import TinyModel

from boxwright import faults, objects
from boxwright.batch.engine.engine import Engine, MachineEngine, image_threads
from boxwright.batch.engine.in_flight import Journal
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.engine.shard_assembler import ShardSink
from boxwright.batch.job import BatchJob
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Plan
from boxwright.batch.reuse import opening
from boxwright.batch.reuse.opening import OpenedBase
from boxwright.cluster import connection
from boxwright.cluster.cluster_share import ClusterShare
from boxwright.cluster.host_pool import HostPool
from boxwright.cluster.ray_engine import RayEngine
from boxwright.inference.loaded_model import LoadedModel
from boxwright.inference.model_opening import open_model


class EngineMaker(Protocol):
    """One kind of engine. A new engine passes the contract suite with a maker of its own and no change to the suite."""

    folder: pathlib.Path

    def make(self, job: BatchJob, stores: objects.Stores, sink: ShardSink, base: OpenedBase | None = None) -> Engine:
        """An engine for one job."""

    def close(self) -> None:
        """Ends what the engines have used together."""


@dataclasses.dataclass
class _Maker:
    """Opens a model once for each number of streams."""

    folder: pathlib.Path
    _opened: dict[int, LoadedModel] = dataclasses.field(default_factory=dict)

    def predictor(self, threads: int) -> LoadedModel:
        """The model, with a stream for each of so many threads."""
        if threads not in self._opened:
            self._opened[threads] = open_model(self.folder, streams=threads)
        return self._opened[threads]


class ThreadsMaker(_Maker):
    """Threads of one process."""

    def make(self, job: BatchJob, stores: objects.Stores, sink: ShardSink, base: OpenedBase | None = None) -> Engine:
        """See `EngineMaker`."""
        return MachineEngine(job, stores, self.predictor(job.share.cores), sink, base=base)

    def close(self) -> None:
        """See `EngineMaker`."""


@dataclasses.dataclass
class PeersMaker(_Maker):
    """One process a thread of the job, two at least: this one and its peers."""

    pool: PeerPool = dataclasses.field(default_factory=PeerPool)

    def make(self, job: BatchJob, stores: objects.Stores, sink: ShardSink, base: OpenedBase | None = None) -> Engine:
        """See `EngineMaker`."""
        share = dataclasses.replace(job.share, cores=max(2, job.share.cores))
        job = dataclasses.replace(job, folders=dataclasses.replace(job.folders, model=str(self.folder)), share=share)
        self.pool.gather(share.process_count - 1)
        predictor = self.predictor(share.of_one_process().cores)
        notes, threads = job.folders.notes, image_threads(share.of_one_process(), predictor)
        journal = Journal(pathlib.Path(notes), threads) if notes else None
        return MachineEngine(job, stores, predictor, sink, journal=journal, peers=self.pool, base=base)

    def close(self) -> None:
        """See `EngineMaker`."""
        self.pool.close()


@dataclasses.dataclass
class RayMaker(_Maker):
    """Two nodes of a cluster, with a core each."""

    _pool: HostPool | None = None
    _joined: contextlib.ExitStack = dataclasses.field(default_factory=contextlib.ExitStack)

    def pool(self) -> HostPool:
        """Its hosts, which have the faults of this process."""
        if self._pool is None:
            share = ClusterShare(cluster().address, most_hosts=2)
            named = {name: os.environ[name] for name in (faults.VARIABLE,) if name in os.environ}
            if not connection.is_joined():  # no longer than needed: who leads a cluster ends with it
                self._joined.enter_context(connection.joined(share.address))
            self._pool = HostPool(share, named)
        return self._pool

    def make(self, job: BatchJob, stores: objects.Stores, sink: ShardSink, base: OpenedBase | None = None) -> Engine:
        """See `EngineMaker`."""
        job = dataclasses.replace(job, folders=dataclasses.replace(job.folders, model=str(self.folder)))
        assert isinstance(sink, Sink)
        if base is not None and base.results is not None:  # as the driver does it: the index is on its machine
            return MachineEngine(job, stores, self.predictor(job.share.cores), sink, base=base)
        return RayEngine(job, stores, sink, self.pool())

    def close(self) -> None:
        """See `EngineMaker`."""
        if self._pool is not None:
            self._pool.close()
        self._joined.close()


@functools.cache
def cluster() -> ray_cluster.RayCluster:
    """The cluster of this test process."""
    kept = contextlib.ExitStack()
    atexit.register(kept.close)
    return kept.enter_context(ray_cluster.running())


MAKERS = {"threads": ThreadsMaker, "peers": PeersMaker, "ray": RayMaker}
VARIABLE = "BOXWRIGHT_TEST_ENGINE"  # the one engine to test; Ray ends a process that leads a cluster together with it
NAMES = [os.environ[VARIABLE]] if VARIABLE in os.environ else ["threads", "peers"]


@contextlib.contextmanager
def opened(name: str, model: TinyModel) -> Iterator[EngineMaker]:
    """The maker of that name."""
    maker = MAKERS[name](model.folder)
    try:
        yield maker
    finally:
        maker.close()


def finish(
    bench: Bench,
    job: BatchJob,
    maker: EngineMaker,
    *,
    stop_after: int | None = None,
    stores: objects.Stores | None = None,
) -> tuple[Engine, list[ShardReport]]:
    """Runs a job to its end, or until so many shards are reported; see `bench.output`.

    Args:
        bench: where everything is.
        job: what to run.
        maker: of the engine.
        stop_after: see above.
        stores: to use instead of those of the bench.

    Returns:
        (engine, reports by shard): the engine has its counts.
    """
    stores = stores or bench.stores
    sink = Sink(job.spec, stores)
    sink.prepare()
    plan = Plan(job.spec, stores)
    reports: list[ShardReport] = []
    with opening.opened(job, stores) as base:
        engine = maker.make(job, stores, sink, base)
        for report in engine.run(plan, lambda: stop_after is not None and len(reports) >= stop_after):
            reports.append(report)
        if stop_after is None:
            removed = base.removed()
            sink.close(
                "SUCCEEDED",
                rows_read=plan.rows_read,
                duplicates=plan.duplicates,
                model_digest="d",
                removed=removed,
            )
    return engine, sorted(reports, key=lambda report: report.shard)
