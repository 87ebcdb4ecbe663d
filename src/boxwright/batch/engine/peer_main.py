"""A member of a team: ``python -m boxwright.batch.engine.peer_main FD`` works on chunks of its leader's job.

See `peer_pool` for the other side.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import pathlib
import queue
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

from google.rpc import code_pb2, status_pb2

from boxwright import errors, objects
from boxwright.batch.engine.in_flight import Guard, Watchdog
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.thread_engine import LocalEngine, image_threads
from boxwright.batch.job import BatchJob
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.plan import Item, Segment

ALIVE_INTERVAL_S = 1.0
PR_SET_PDEATHSIG = 1  # prctl(2); it means the thread that started this process, which is the leader's main thread
CHUNKS_AHEAD = 2  # asked for before the first one is there: an answer takes a moment

log = logging.getLogger("boxwright.batch.engine.peer_main")


class Leader:
    """The socket to the leader, read by a thread; the process ends when the leader does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self.jobs: queue.SimpleQueue[tuple[int, BatchJob, int]] = queue.SimpleQueue()
        self.chunks: queue.SimpleQueue[tuple[int, Segment | None]] = queue.SimpleQueue()
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
                    case "job", number, text, member:
                        self.is_stopping.clear()
                        self.jobs.put((number, BatchJob.from_json(text), member))
                    case "chunk", number, None:
                        self.chunks.put((number, None))
                    case "chunk", number, (chunk, items):
                        self.chunks.put((number, Segment(chunk, [Item(*item) for item in items])))
                    case "stop", *_:
                        self.is_stopping.set()
        except (EOFError, OSError):
            os._exit(0)  # nothing here needs tidying

    def live(self) -> None:
        """Says that this process is alive, as long as it can."""
        while not threading.Event().wait(ALIVE_INTERVAL_S):
            self.tell("alive")


class _Chunks:
    """A plan that the leader has: chunks are asked for one ahead."""

    def __init__(self, leader: Leader, number: int) -> None:
        self._leader = leader
        self._number = number

    def segments(self) -> Iterator[Segment]:
        for _ in range(CHUNKS_AHEAD):
            self._leader.tell("more", self._number)
        while True:
            number, chunk = self._leader.chunks.get()
            if number != self._number:
                continue  # an answer to what an earlier job had asked
            if chunk is None:
                return
            self._leader.tell("more", self._number)
            yield chunk


class _Lines:
    """A sink that the leader has."""

    def __init__(self, leader: Leader, number: int) -> None:
        self._leader = leader
        self._number = number
        self.engine: LocalEngine

    def committed(self, shard: int) -> ShardReport | None:
        """Nothing is: the leader asks its sink."""
        return None

    def commit_lines(
        self, shard: int, lines: list[bytes], statuses: Sequence[status_pb2.Status | None], one_colour: int
    ) -> ShardReport:
        """Hands the lines of a chunk over."""
        texts = [None if status is None else status.SerializeToString() for status in statuses]
        self._leader.tell("lines", self._number, shard, lines, texts, one_colour, self.engine.times.total_s())
        return ShardReport(shard, 0, 0, {}, "", [])


def work(number: int, job: BatchJob, member: int, models: LoadedModels, leader: Leader) -> None:
    """Works on one job until there are no more chunks."""
    predictor = models.for_job(job)
    guard = Guard(pathlib.Path(job.guard_folder), image_threads(job, predictor), member) if job.guard_folder else None
    sink = _Lines(leader, number)
    sink.engine = LocalEngine(job, objects.Stores.from_config(job.stores), predictor, sink, guard)
    watchdog = Watchdog(job.image_timeout_s, guard)
    try:
        for _ in sink.engine.run(_Chunks(leader, number), leader.is_stopping.is_set):
            pass
    finally:
        watchdog.close()


def _die_with_leader() -> None:
    """Lets Linux kill this process when its leader is gone: one that hangs in native code cannot read that it is."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Works on jobs until the leader is gone."""
    _die_with_leader()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    leader, models = Leader(Connection(int(sys.argv[1]))), LoadedModels()
    for target in (leader.listen, leader.live):
        threading.Thread(target=target, name=target.__name__, daemon=True).start()
    while True:
        number, job, member = leader.jobs.get()
        try:
            work(number, job, member, models, leader)
        except errors.ApiError as error:
            leader.tell("failed", number, error.code, error.message)
        except Exception:
            log.exception("event=member_failed job=%d", number)
            leader.tell(
                "failed", number, code_pb2.INTERNAL, "A process that predicts has failed; see the service's log."
            )
        leader.tell("over", number)


if __name__ == "__main__":
    main()
