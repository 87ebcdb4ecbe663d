"""The one owner of a run's shards: what was found, what is in flight, what is committed, and the counts.

    plan ─► next_chunk() ─► workers: threads here, peer processes ─► put(chunk, lines) ─► shard, committed here ─► reports()

Chunks are taken by any worker that has room, so that a slow image holds up nobody else; lines are put together in the
plan's order. Locks are taken in this order: plan, shard, results; none is held while a store writes.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from google.rpc import status_pb2

from boxwright import objects
from boxwright.batch.engine.pipeline import ResultLine
from boxwright.batch.output.candidates import ImageCandidates
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.reuse.opening import OpenedBase
from boxwright.batch.segments import Item, Segment

POLL_S = 0.1  # how often `reports` asks whether to stop while no shard is finished


class Segments(Protocol):
    """Where images come from: a `Plan`."""

    def segments(self) -> Iterator[Segment]:
        """Yields segments in order, each once."""

    def stop(self) -> None:
        """Ends the wait of who iterates."""


class ShardSink(Protocol):
    """Where finished shards go: a `Sink`."""

    def committed(self, shard: int) -> ShardReport | None:
        """See `Sink.committed`."""

    def commit_lines(
        self,
        shard: int,
        lines: list[bytes],
        statuses: Sequence[status_pb2.Status | None],
        one_colour: int,
        ids: Sequence[str],
        candidates: Sequence[ImageCandidates | None],
        reused: Sequence[bool],
    ) -> ShardReport:
        """See `Sink.commit_lines`."""


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A few images of one shard, in the plan's order; `number` names them in this run.

    Without images it says that a shard is complete: who takes it puts no lines, and the shard is committed.
    """

    number: int
    items: list[Item]


class ChunkSource(Protocol):
    """What workers take images from and hand lines to. Safe for any number of threads."""

    def next_chunk(self) -> Chunk | None:
        """Returns the next images; None when there are no more, or the run is to end."""

    def put(self, number: int, lines: Sequence[ResultLine]) -> None:
        """Takes the lines of a chunk, in its order."""

    def fail(self, error: Exception) -> None:
        """Ends the run with an error."""


class Counts:
    """How many images and shards a run has behind it. Safe for any number of threads.

    Attributes:
        images_done: predicted or failed, found ones included.
        images_failed: of those.
        images_found: of those: in shards that an earlier run had finished.
        images_reused: of those: taken over from the job's base by this run.
        shards_committed: by this run; found ones do not count.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.images_done = 0
        self.images_failed = 0
        self.images_found = 0
        self.images_reused = 0
        self.shards_committed = 0
        self._untold: set[int] = set()  # committed shards whose reports nobody has taken yet
        self._began_s: dict[int, float] = {}  # of these, seconds since 1970

    def add(self, *, done: int = 0, failed: int = 0, found: int = 0, reused: int = 0, committed: int = 0) -> None:
        """Adds to the counts."""
        with self._lock:
            self.images_done += done
            self.images_failed += failed
            self.images_found += found
            self.images_reused += reused
            self.shards_committed += committed

    def note_committed(self, shard: int, began_s: float | None = None) -> None:
        """Notes that this run has committed a shard, before its report is handed on.

        Args:
            shard: its number.
            began_s: when this run began with it, seconds since 1970; None: nobody knows.
        """
        with self._lock:
            self._untold.add(shard)
            if began_s is not None:
                self._began_s[shard] = began_s

    def take_committed(self, shard: int) -> bool:
        """Whether this run has committed the shard of a report; to be asked once."""
        with self._lock:
            is_ours = shard in self._untold
            self._untold.discard(shard)
            return is_ours

    def take_began(self, shard: int) -> float | None:
        """When this run began with a shard that it has committed, seconds since 1970; to be asked once."""
        with self._lock:
            return self._began_s.pop(shard, None)


class _OpenShard:
    """A shard whose images are in flight."""

    def __init__(self, segment: Segment) -> None:
        self.number = segment.shard
        self.segment = segment
        self.began_s = time.time()
        count = len(segment.items)
        self._ids = [item.id for item in segment.items]
        self._candidates: list[ImageCandidates | None] = [None] * count
        self._lines = [b""] * count
        self._statuses: list[status_pb2.Status | None] = [None] * count
        self._reused = [False] * count
        self._left = count
        self._one_colour = 0
        self._lock = threading.Lock()

    def put(self, first: int, lines: Sequence[ResultLine]) -> bool:
        """Stores the lines of some images, side by side from index `first` on; returns whether the shard is complete."""
        with self._lock:
            for index, line in enumerate(lines, first):
                self._lines[index], self._statuses[index] = line.text, line.status
                self._candidates[index], self._reused[index] = line.candidates, line.is_reused
                self._one_colour += line.is_one_colour
            self._left -= len(lines)
            return self._left == 0

    def commit_to(self, sink: ShardSink) -> ShardReport:
        """Commits the complete shard."""
        return sink.commit_lines(
            self.number, self._lines, self._statuses, self._one_colour, self._ids, self._candidates, self._reused
        )


class ShardAssembler:
    """Splits a plan into chunks, and puts their lines together to shards. A `ChunkSource`.

    Args:
        plan: the images; what it raises ends the run.
        sink: where shards go; what it raises ends the run.
        counts: kept up to date.
        chunk_images: how many images the next chunk of a shard of so many images should have.
        base: the former job whose results are taken over; None for none.
    """

    def __init__(
        self,
        plan: Segments,
        sink: ShardSink,
        counts: Counts,
        chunk_images: Callable[[int], int],
        base: OpenedBase | None = None,
    ) -> None:
        self._base = base
        self._sink = sink
        self._counts = counts
        self._chunk_images = chunk_images
        self._plan_lock = threading.Lock()
        self._plan = plan
        self._chunks = self._split(plan)
        self._plan_ended = False
        self._lock = threading.Lock()
        self._in_flight: dict[int, tuple[_OpenShard, int]] = {}  # chunk → its shard, index of its first image
        self._halt = threading.Event()
        self._results: queue.SimpleQueue[ShardReport | Exception | None] = queue.SimpleQueue()

    def next_chunk(self) -> Chunk | None:
        """See `ChunkSource`."""
        with self._plan_lock:
            chunk = None
            if not self._halt.is_set():
                try:
                    chunk = next(self._chunks, None)
                except Exception as error:  # the plan's or a store's: it belongs to the caller of the run
                    self.fail(error)
            if chunk is None:
                self._plan_ended = True
        if chunk is None:
            self._end_if_all_is_done()
        return chunk

    def put(self, number: int, lines: Sequence[ResultLine]) -> None:
        """See `ChunkSource`; commits the shard if it is complete."""
        shard, first = self._in_flight[number]
        report = None
        if shard.put(first, lines):
            try:
                report = shard.commit_to(self._sink)
            except Exception as error:  # a store's: it ends the run
                self.fail(error)
                return
        failed = sum(line.status is not None for line in lines)
        reused = sum(line.is_reused for line in lines)
        # a shard that hangs is not done
        self._counts.add(done=len(lines), failed=failed, reused=reused, committed=report is not None)
        if report is not None:
            self._counts.note_committed(report.shard, shard.began_s)
            self._results.put(report)
        shard.segment.release(first, len(lines))
        with self._lock:
            del self._in_flight[number]
        self._end_if_all_is_done()

    def fail(self, error: Exception) -> None:
        """See `ChunkSource`."""
        self._halt.set()
        self._results.put(error)

    def stop(self) -> None:
        """Gives out no more chunks; what is in flight may still be put."""
        self._halt.set()
        self._plan.stop()

    def reports(
        self, should_stop: Callable[[], bool], when_idle: Callable[[], None] = lambda: None
    ) -> Iterator[ShardReport]:
        """Yields the report of each shard as it is found or committed, until all are or `should_stop`.

        Args:
            should_stop: asked after every report, and ten times a second while none comes.
            when_idle: called while none comes.

        Raises:
            Exception: what the plan, the sink, a store or a worker has raised.
        """
        while not should_stop():
            try:
                result = self._results.get(timeout=POLL_S)
            except queue.Empty:
                when_idle()
                continue
            if result is None:
                return
            if isinstance(result, objects.WaitEndedError) and should_stop():
                return
            if isinstance(result, BaseException):
                raise result
            yield result

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _split(self, plan: Segments) -> Iterator[Chunk]:
        """Yields the images of unfinished shards, a few at a time; reports finished ones as they are found."""
        number = 0
        for segment in plan.segments():
            if self._base is not None:
                self._base.note_listed(segment.items)
            found = self._sink.committed(segment.shard)
            if found is not None:
                images = segment.image_count
                self._counts.add(done=images, failed=found.failed, found=images)
                self._results.put(found)
                segment.release()
                continue
            shard = _OpenShard(segment)
            for first, items in self._left(shard):
                number += 1
                with self._lock:
                    self._in_flight[number] = (shard, first)
                yield Chunk(number, items)

    def _left(self, shard: _OpenShard) -> Iterator[tuple[int, list[Item]]]:
        """Yields the images of a shard that are not taken over, some in a row at a time; at least once, if only none."""
        items = shard.segment.items
        rows = [None] * len(items) if self._base is None else self._base.known(items)
        known = 0
        for index, row in enumerate(rows):
            if row is not None:
                shard.put(index, [ResultLine.reused(row)])
                known += 1
        self._counts.add(done=known, reused=known)
        if known == len(items):
            yield 0, []
        first = 0
        while first < len(items):
            last = first
            longest = first + self._chunk_images(len(items))
            while last < min(len(items), longest) and rows[last] is None:
                last += 1
            if last > first:
                yield first, items[first:last]
            first = max(last, first + 1)

    def _end_if_all_is_done(self) -> None:
        with self._lock:
            if self._plan_ended and not self._in_flight:
                self._results.put(None)
