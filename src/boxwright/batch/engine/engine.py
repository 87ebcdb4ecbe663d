"""The engine of one machine: a plan on threads of this process, and on peer processes where there are some.

Threads of one process share an interpreter, and at a few hundred images a second they wait for it (ADR 0014). So one
process does the work of one core, or of a few where that was measured to be as fast (`tuning`): this one, which also owns
the plan and the shards, and peers (`peer_pool.Peer`), which fetch a few images at a time and return their lines.

    plan ─► ShardAssembler ─► chunks ─► ImageThreads here           ┐
                                    ├─► ImageThreads in a peer      ├─► lines ─► ShardAssembler ─► shards
                                    └─► …                           ┘
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from boxwright import objects
from boxwright.batch.engine import stages
from boxwright.batch.engine.image_threads import ImageThreads
from boxwright.batch.engine.in_flight import Journal
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.engine.pipeline import ImagePipeline
from boxwright.batch.engine.shard_assembler import Counts, Segments, ShardAssembler, ShardSink
from boxwright.batch.job import BatchJob, MachineShare
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.reuse.opening import OpenedBase
from boxwright.inference.loaded_model import LoadedModel

FIRST_CHUNK_IMAGES = 4  # until it is known how long images take
CHUNK_S = 0.02  # of one process's work: a message costs little beside it, and no core waits long at a job's end
MAX_CHUNK_IMAGES = 32
CHUNKS_PER_PROCESS = 4  # of a short shard, at least


class Engine(Protocol):
    """Runs a plan. The contract suite (tests/contract/test_engine.py) holds every engine to the same bytes.

    Attributes:
        counts: kept up to date during the run.
    """

    counts: Counts

    def run(self, plan: Segments, should_stop: Callable[[], bool]) -> Iterator[ShardReport]:
        """Yields the report of each shard as it is finished, in no particular order, until the plan is done.

        Ends early, shards whole, once `should_stop`. Raises what the plan, the sink or a store has raised.
        """

    def stage_s(self) -> dict[str, float]:
        """Seconds per stage so far, over all threads of all processes; see `stages.STAGES`."""

    def amounts(self) -> dict[str, float]:
        """What was decoded so far; see `stages.AMOUNTS`."""


class MachineEngine:
    """The `Engine` of one machine.

    Args:
        job: what to predict and how; its share is that of all processes together.
        stores: where images come from.
        predictor: the opened model, with the streams of one process (`MachineShare.of_one_process`).
        sink: where shards go.
        journal: of the images in flight in this process; None: none.
        peers: the other processes, started; None: this process does everything.
        base: the former job whose results are taken over; None for none.
    """

    def __init__(
        self,
        job: BatchJob,
        stores: objects.Stores,
        predictor: LoadedModel,
        sink: ShardSink,
        *,
        journal: Journal | None = None,
        peers: PeerPool | None = None,
        base: OpenedBase | None = None,
    ) -> None:
        self._base = base
        self._job = job
        self._part = job.of_one_process() if peers is not None else job  # what this process does of it
        self._predictor = predictor
        self._sink = sink
        self._peers = peers
        self._is_ending = threading.Event()
        stores = stores.enduring(self._is_ending.is_set)
        self._pipeline = ImagePipeline(job.spec, stores, predictor, journal, None if base is None else base.results)
        self._times = stages.StageTimes()
        self._started_s = 0.0
        self.counts = Counts()

    def run(self, plan: Segments, should_stop: Callable[[], bool]) -> Iterator[ShardReport]:
        """See `Engine`; also raises ApiError if a peer cannot load the model."""
        self._started_s = time.monotonic()
        self._is_ending.clear()
        assembler = ShardAssembler(plan, self._sink, self.counts, self._chunk_images, self._base)
        here = ImageThreads(
            self._pipeline,
            assembler,
            share=self._part.share,
            threads=image_threads(self._part.share, self._predictor),
            times=self._times,
        )
        if self._peers is not None:
            self._peers.begin(assembler, self._part, self._times.note_peer)
        here.start()
        try:
            yield from assembler.reports(should_stop, self._watch_peers)
        finally:
            self._is_ending.set()
            assembler.stop()
            here.stop()
            if self._peers is not None:
                self._peers.end()
            here.join()

    @property
    def model_digest(self) -> str:
        """Names the model's exact version."""
        return self._predictor.digest

    def stage_s(self) -> dict[str, float]:
        """See `Engine`."""
        totals = self._times.totals()
        return {stage: totals[stage] for stage in stages.STAGES}

    def amounts(self) -> dict[str, float]:
        """See `Engine`."""
        totals = self._times.totals()
        return {name: totals[name] for name in stages.AMOUNTS}

    @property
    def processes_heard(self) -> int:
        """How many processes have predicted something, this one included."""
        return self._times.processes

    def _watch_peers(self) -> None:
        if self._peers is not None:
            self._peers.kill_silent(self._job.spec.image_timeout_s)

    def _chunk_images(self, shard_images: int) -> int:
        """How many images the next chunk has: one without peers, else by what images have taken so far."""
        if self._peers is None:
            return 1
        predicted = self.counts.images_done - self.counts.images_found - self.counts.images_reused
        busy_s = (time.monotonic() - self._started_s) * self._job.share.cores
        wanted = FIRST_CHUNK_IMAGES if not predicted else int(CHUNK_S * predicted / busy_s)
        most = min(MAX_CHUNK_IMAGES, shard_images // (self._job.share.cores * CHUNKS_PER_PROCESS))
        return max(1, min(wanted, most))


def image_threads(share: MachineShare, predictor: LoadedModel) -> int:
    """How many images are worked on at once: one a core, one more to fill the gaps, and those that wait for a GPU."""
    return share.cores + 1 + predictor.runtime.waiting_threads
