"""A peer process: ``python -m boxwright.batch.engine.peer_main FD`` works on chunks of its leader's job.

See `peer_pool` for the other side.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from google.rpc import code_pb2

from boxwright import errors, objects, processes
from boxwright.batch.engine import in_flight, stages
from boxwright.batch.engine.engine import image_threads
from boxwright.batch.engine.image_threads import ImageThreads
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.pipeline import ImagePipeline, ResultLine
from boxwright.batch.engine.shard_assembler import Chunk
from boxwright.batch.job import BatchJob
from boxwright.batch.reuse.former_results import FormerResults
from boxwright.batch.segments import Item
from boxwright.objects import throttling

ALIVE_INTERVAL_S = 1.0
FAILED = "A process that predicts has failed; see the service's log."
CHUNKS_AHEAD = 2  # asked for before the first one is there: an answer takes a moment

log = logging.getLogger("boxwright.batch.engine.peer_main")


class LeaderConnection:
    """The socket to the leader, read by a thread; the process ends when the leader does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self.jobs: queue.SimpleQueue[tuple[int, BatchJob, int]] = queue.SimpleQueue()
        self.chunks: queue.SimpleQueue[tuple[int, Chunk | None]] = queue.SimpleQueue()
        self.is_stopping = threading.Event()

    def tell(self, *message: Any) -> None:
        """Sends one message."""
        with self._sending:
            self._connection.send(message)

    def listen(self) -> None:
        """Reads until the leader is gone, then ends the process."""
        try:
            while True:
                match self._connection.recv():
                    case "job", number, text, peer:
                        self.is_stopping.clear()
                        self.jobs.put((number, BatchJob.from_json(text), peer))
                    case "chunk", number, None:
                        self.chunks.put((number, None))
                    case "chunk", number, (chunk, items):
                        self.chunks.put((number, Chunk(chunk, [Item(*item) for item in items])))
                    case "stop", *_:
                        self.is_stopping.set()
        except (EOFError, OSError):
            os._exit(0)  # nothing here needs tidying

    def live(self) -> None:
        """Says that this process is alive, as long as it can."""
        while not threading.Event().wait(ALIVE_INTERVAL_S):
            self.tell("alive", throttling.count())


class LeaderSource:
    """The `ChunkSource` that the leader keeps: chunks are asked for one ahead."""

    def __init__(self, leader: LeaderConnection, number: int, times: stages.StageTimes) -> None:
        self._leader = leader
        self._number = number
        self._times = times
        self._is_begun = False
        self._is_drained = False
        self._first: Chunk | None = None

    def has_work(self) -> bool:
        """Waits for the first chunk; without one the job may be over already, and its folders gone."""
        self._first = self.next_chunk()
        return self._first is not None

    def next_chunk(self) -> Chunk | None:
        """See `ChunkSource`. For one thread at a time."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        if not self._is_begun:
            self._is_begun = True
            for _ in range(CHUNKS_AHEAD):
                self._leader.tell("more", self._number)
        while not self._is_drained:
            number, chunk = self._leader.chunks.get()
            if number != self._number:
                continue  # an answer to what an earlier job had asked
            if chunk is None:
                self._is_drained = True
                break
            self._leader.tell("more", self._number)
            return chunk
        return None

    def put(self, number: int, lines: Sequence[ResultLine]) -> None:
        """See `ChunkSource`."""
        plain = [
            (
                line.text,
                None if line.status is None else line.status.SerializeToString(),
                line.is_one_colour,
                None if line.candidates is None else tuple(line.candidates),
                line.is_reused,
            )
            for line in lines
        ]
        self._leader.tell("lines", self._number, number, plain, self._times.totals())

    def fail(self, error: Exception) -> None:
        """See `ChunkSource`."""
        if isinstance(error, errors.ApiError):
            self._leader.tell("failed", self._number, error.code, error.message)
        else:
            log.error("event=peer_failed job=%d", self._number, exc_info=error)
            self._leader.tell("failed", self._number, code_pb2.INTERNAL, FAILED)


def work(number: int, job: BatchJob, peer: int, models: LoadedModels, leader: LeaderConnection) -> None:
    """Works on one job, which has the share of one process, until there are no more chunks."""
    times = stages.StageTimes()
    source = LeaderSource(leader, number, times)
    with contextlib.ExitStack() as watch:
        try:
            predictor = models.for_job(job)
            if not source.has_work():
                return
            threads = image_threads(job.share, predictor)
            journal = watch.enter_context(
                in_flight.watching(job.folders.notes, threads, job.spec.image_timeout_s, peer)
            )
            stores = objects.Stores.from_config(job.folders.stores).enduring(leader.is_stopping.is_set)
            former = FormerResults.left_by_leader(job, stores)
        except Exception as error:  # a model or a store that cannot be opened here: the leader ends the run with it
            source.fail(error)
            return
        if former is not None:
            watch.callback(former.close)
        pipeline = ImagePipeline(job.spec, stores, predictor, journal, former)
        here = ImageThreads(pipeline, source, share=job.share, threads=threads, times=times)
        here.start()
        try:
            here.wait(leader.is_stopping.is_set)
        finally:
            here.stop()
            here.join()


def main() -> None:
    """Works on jobs until the leader is gone."""
    processes.end_with_parent()  # peers are started by the leader's main thread
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    leader, models = LeaderConnection(Connection(int(sys.argv[1]))), LoadedModels()
    for target in (leader.listen, leader.live):
        threading.Thread(target=target, name=target.__name__, daemon=True).start()
    while True:
        number, job, peer = leader.jobs.get()
        work(number, job, peer, models, leader)
        leader.tell("over", number)


if __name__ == "__main__":
    processes.end_quickly()
    main()
