"""TeamEngine: a plan on several processes of this machine, each with an interpreter of its own.

Threads of one process share an interpreter, and at a few hundred images a second they wait for it (ADR 0014). So one process
does the work of one core, or of a few where that was measured to be as fast (`tuning`): this one, which also keeps the plan
and commits the shards, and members (`peer_pool.Member`), which fetch a few images at a time and hand back their lines.

    plan ─► chunks of a few images ─► LocalEngine here         ┐
                                  ├─► LocalEngine in a member  ├─► lines ─► shards, committed here
                                  └─► …                        ┘

Chunks are taken by whoever has room, so that a slow image holds up nobody else; lines are put together in the plan's order.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from google.rpc import status_pb2

from boxwright import objects
from boxwright.batch.engine import stages
from boxwright.batch.engine.in_flight import Guard
from boxwright.batch.engine.open_shards import OpenShard
from boxwright.batch.engine.peer_pool import Members
from boxwright.batch.engine.thread_engine import LocalEngine, Results, Segments, reported
from boxwright.batch.job import BatchJob
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Segment
from boxwright.inference.predictor import Predictor

FIRST_CHUNK_IMAGES = 4  # until it is known how long images take
CHUNK_S = 0.02  # of one process's work: a message costs little beside it, and no core waits long at a job's end
MAX_CHUNK_IMAGES = 32
CHUNKS_PER_PROCESS = 4  # of a short shard, at least


class TeamEngine:
    """Runs a plan with several processes; has the numbers that `LocalEngine` has.

    Args:
        job: what to predict and how; see `processes_of` and `share_of`.
        stores: where images come from.
        predictor: the opened model, with the streams of a share.
        sink: where shards go.
        members: the other processes.
        guard: of the images under way in this process; None: none.
    """

    def __init__(
        self,
        job: BatchJob,
        stores: objects.Stores,
        predictor: Predictor,
        sink: Sink,
        members: Members,
        guard: Guard | None = None,
    ) -> None:
        self._job = job
        self._sink = sink
        self._members = members
        share = share_of(job)
        self._here = LocalEngine(share, stores, predictor, _Lines(self), guard)
        self._share = share
        self._chunks: Iterator[Segment] = iter(())
        self._plan_lock = threading.Lock()
        self._plan_ended = False
        self._halt = threading.Event()
        self._results: Results = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._under_way: dict[int, tuple[OpenShard, int]] = {}  # chunk → its shard, index of its first image
        self.images_done = 0
        self.images_failed = 0
        self.images_found = 0  # of those: in shards that an earlier run had finished
        self.shards_committed = 0  # by this run; those that were found do not count
        self.times = TeamTimes(self._here.times)
        self._started_s = 0.0

    def run(self, plan: Segments, should_stop: Callable[[], bool]) -> Iterator[ShardReport]:
        """Yields shard reports; see `Engine`. Raises what the plan, the sink, a store or a member's model raised."""
        self._started_s = time.monotonic()
        self._chunks = self._split(plan)
        here = threading.Thread(target=self._work_here, name="here")
        self._members.begin(self, self._share)
        here.start()
        try:
            yield from reported(self._results, should_stop, lambda: self._members.look(self._job.image_timeout_s))
        finally:
            self._halt.set()
            self._members.end()
            here.join()

    # ---- what members, and the engine here, ask for -----------------------------------------------------------------

    def next_chunk(self) -> Segment | None:
        """The next few images, `shard` being the chunk's number; None when there are no more, or the job is to end."""
        with self._plan_lock:
            chunk = None
            if not self._halt.is_set():
                try:
                    chunk = next(self._chunks, None)
                except Exception as error:  # the plan's or a store's: it belongs to whoever runs the job
                    self.fail(error)
            if chunk is None:
                self._plan_ended = True
        if chunk is None:
            self._end_if_all_is_done()
        return chunk

    def put(
        self, number: int, lines: Sequence[bytes], statuses: Sequence[status_pb2.Status | None], one_colour: int
    ) -> None:
        """Takes the lines of a chunk; commits its shard if that is complete."""
        failed = sum(status is not None for status in statuses)
        shard, first = self._under_way[number]
        try:
            if shard.put(first, lines, statuses, one_colour):
                report = shard.commit_to(self._sink)
                with self._lock:
                    self.shards_committed += 1
                self._results.put(report)
        except Exception as error:  # a store's: it ends the job
            self.fail(error)
            return
        with self._lock:
            del self._under_way[number]
            self.images_done += len(lines)
            self.images_failed += failed
        self._end_if_all_is_done()

    def fail(self, error: Exception) -> None:
        """Ends the job with an error."""
        self._halt.set()
        self._results.put(error)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _split(self, plan: Segments) -> Iterator[Segment]:
        """Yields the images of unfinished shards, a few at a time; reports finished ones as they are found."""
        number = 0
        for segment in plan.segments():
            found = self._sink.committed(segment.shard)
            if found is not None:
                with self._lock:
                    self.images_done += found.predicted + found.failed
                    self.images_failed += found.failed
                    self.images_found += found.predicted + found.failed
                self._results.put(found)
                continue
            shard = OpenShard(segment)
            count, first = len(segment.items), 0
            while first < count:
                number += 1
                items = segment.items[first : first + self._chunk_images(count)]
                with self._lock:
                    self._under_way[number] = (shard, first)
                yield Segment(number, items)
                first += len(items)

    def _chunk_images(self, shard_images: int) -> int:
        """How many images the next chunk has, by what images have taken so far."""
        predicted = self.images_done - self.images_found
        busy_s = (time.monotonic() - self._started_s) * self._job.threads
        wanted = FIRST_CHUNK_IMAGES if not predicted else int(CHUNK_S * predicted / busy_s)
        most = min(MAX_CHUNK_IMAGES, shard_images // (self._job.threads * CHUNKS_PER_PROCESS))
        return max(1, min(wanted, most))

    def _end_if_all_is_done(self) -> None:
        with self._lock:
            if self._plan_ended and not self._under_way:
                self._results.put(None)

    def _work_here(self) -> None:
        try:
            for _ in self._here.run(_Chunks(self), self._halt.is_set):
                pass
        except Exception as error:  # a store's or a bug: it belongs to whoever runs the job
            self.fail(error)


def processes_of(job: BatchJob) -> int:
    """How many processes a job is for; never more than it has threads."""
    return min(job.processes or job.threads, job.threads)


def share_of(job: BatchJob) -> BatchJob:
    """What one process of the team does: the same job on its part of the cores, with its part of the memory."""
    count = processes_of(job)
    return dataclasses.replace(
        job,
        threads=job.threads // count,
        in_flight_bytes=max(1, job.in_flight_bytes // count),
        models_bytes=max(1, job.models_bytes // count),
    )


class TeamTimes:
    """Where the time of all processes of a team goes; as `stages.StageTimes`."""

    def __init__(self, here: stages.StageTimes) -> None:
        self._here = here
        self._elsewhere: dict[int, dict[str, float]] = {}

    def note(self, member: int, spent_s: dict[str, float]) -> None:
        """Takes what a member has spent so far, seconds by stage."""
        self._elsewhere[member] = spent_s

    @property
    def processes(self) -> int:
        """How many have been heard of, the leader included."""
        return 1 + len(self._elsewhere)

    def total_s(self) -> dict[str, float]:
        """Seconds per stage so far, over all threads of all processes."""
        parts = [self._here.total_s(), *list(self._elsewhere.values())]
        return {stage: sum(part[stage] for part in parts) for stage in stages.STAGES}


class _Chunks:
    """A plan for the engine here: chunks, one after another."""

    def __init__(self, team: TeamEngine) -> None:
        self._team = team

    def segments(self) -> Iterator[Segment]:
        while (chunk := self._team.next_chunk()) is not None:
            yield chunk


class _Lines:
    """A sink for the engine here: lines go to the team."""

    def __init__(self, team: TeamEngine) -> None:
        self._team = team

    def committed(self, shard: int) -> ShardReport | None:
        """Nothing is: the team asks its own sink."""
        return None

    def commit_lines(
        self, shard: int, lines: list[bytes], statuses: Sequence[status_pb2.Status | None], one_colour: int
    ) -> ShardReport:
        """Hands the lines over."""
        self._team.put(shard, lines, statuses, one_colour)
        return ShardReport(shard, 0, 0, {}, "", [])
