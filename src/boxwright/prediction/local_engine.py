"""LocalEngine: a plan on this machine's cores.

A feeder reads the plan and queues images; a few threads take each image through fetch → decode → infer → encode, the parts
that take time outside the interpreter's lock; the thread that finishes a shard's last image commits the shard. The queue is
short and every thread holds one image, so memory is bounded by threads and shard size, not by the job. Which thread takes
which image never shows in the result: lines are kept in the plan's order.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol

from google.rpc import status_pb2

from boxwright import boxes, errors, faults, objects
from boxwright.prediction import decode, encode
from boxwright.prediction.guard import Guard
from boxwright.prediction.job import BatchJob
from boxwright.prediction.plan import Item, Plan, Segment
from boxwright.prediction.predictor import Predictor
from boxwright.prediction.sink import ShardReport, Sink

MAX_IMAGE_BYTES = 30_000_000  # prediction_service.proto: 30 MB per image
QUEUED_PER_THREAD = 4

log = logging.getLogger(__name__)


class Engine(Protocol):
    """Runs a plan: yields the report of each shard as it is finished, in no particular order."""

    def run(self, plan: Plan, should_stop: Callable[[], bool]) -> Iterator[ShardReport]:
        """Yields shard reports until the plan is done, or ends early, shards whole, once `should_stop`."""


class _OpenShard:
    """A shard whose images are under way."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        count = len(segment.items)
        self.lines = [b""] * count
        self.statuses: list[status_pb2.Status | None] = [None] * count
        self._left = count
        self._lock = threading.Lock()

    def put(self, index: int, line: bytes, status: status_pb2.Status | None) -> bool:
        """Stores one image's line; returns whether the shard is complete."""
        with self._lock:
            self.lines[index], self.statuses[index] = line, status
            self._left -= 1
            return self._left == 0

    def commit_to(self, sink: Sink) -> ShardReport:
        """Commits the complete shard."""
        failed = [status for status in self.statuses if status is not None]
        return sink.commit(
            self.segment.shard,
            [line for line, status in zip(self.lines, self.statuses, strict=True) if status is None],
            [line for line, status in zip(self.lines, self.statuses, strict=True) if status is not None],
            failed,
            self.segment.read_bytes,
        )


class LocalEngine:
    """Runs a plan with threads of this process.

    Args:
        job: what to predict and how.
        stores: where images come from.
        predictor: the opened model.
        sink: where shards go.
        guard: notes the images under way and knows those that must not be touched; None: neither.
    """

    def __init__(
        self, job: BatchJob, stores: objects.Stores, predictor: Predictor, sink: Sink, guard: Guard | None = None
    ) -> None:
        self._job = job
        self._guard = guard
        self._stores = stores
        self._predictor = predictor
        self._sink = sink
        self._labels = [(label.annotation_spec_id, label.display_name) for label in predictor.labels]
        self._keys = encode.CAMEL_CASE if job.camel_case else encode.SNAKE_CASE
        self._work: queue.Queue[tuple[_OpenShard, int] | None] = queue.Queue(job.threads * QUEUED_PER_THREAD)
        self._results: queue.Queue[ShardReport | BaseException | None] = queue.Queue()
        self._halt = threading.Event()
        self._count_lock = threading.Lock()
        self.images_done = 0
        self.images_failed = 0
        self.images_found = 0  # of those: in shards that an earlier run had finished
        self.shards_committed = 0  # by this run; those that were found do not count

    def run(self, plan: Plan, should_stop: Callable[[], bool]) -> Iterator[ShardReport]:
        """Yields shard reports; see `Engine`. Raises what the plan or the sink raised."""
        threads = [threading.Thread(target=self._work_images, name=f"image-{n}") for n in range(self._job.threads)]
        feeder = threading.Thread(target=self._feed, args=(plan, len(threads)), name="feeder")
        for thread in (*threads, feeder):
            thread.start()
        try:
            while True:
                if should_stop():
                    return
                try:
                    result = self._results.get(timeout=0.1)
                except queue.Empty:
                    continue
                if result is None:
                    return
                if isinstance(result, BaseException):
                    raise result
                yield result
        finally:
            self._halt.set()
            for thread in (feeder, *threads):
                thread.join()

    def probe(self, image_id: str) -> None:
        """Takes one image all the way and forgets the result."""
        self._line(Item(image_id))

    # ---- inside -------------------------------------------------------------------------------------------------

    def _feed(self, plan: Plan, thread_count: int) -> None:
        """Queues the images of unfinished shards; reports finished ones as they are found."""
        last = 0
        try:
            for segment in plan.segments():
                last = segment.shard
                found = self._sink.committed(segment.shard)
                if found is not None:
                    self._count(found.predicted + found.failed, found.failed)
                    self.images_found += found.predicted + found.failed
                    self._results.put(found)
                    continue
                shard = _OpenShard(segment)
                for index in range(len(segment.items)):
                    if not self._enqueue((shard, index)):
                        return
        except Exception as error:  # whatever it is, a list that was not read to its end must not pass for a short one
            self._results.put(error)
            self._halt.set()
        finally:
            log.debug("event=plan_read shards=%d", last)
            for _ in range(thread_count):
                self._enqueue(None)

    def _enqueue(self, task: tuple[_OpenShard, int] | None) -> bool:
        while not self._halt.is_set():
            try:
                self._work.put(task, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def _work_images(self) -> None:
        while not self._halt.is_set():
            try:
                task = self._work.get(timeout=0.1)
            except queue.Empty:
                continue
            if task is None:
                self._thread_ended()
                return
            shard, index = task
            item = shard.segment.items[index]
            line, status = self._line(item)
            self._count(1, status is not None)
            if shard.put(index, line, status):
                try:
                    report = shard.commit_to(self._sink)
                    with self._count_lock:
                        self.shards_committed += 1
                    self._results.put(report)
                except Exception as error:  # a thread that died in silence would leave the job waiting for it
                    self._results.put(error)
                    self._halt.set()

    def _thread_ended(self) -> None:
        """The last thread to end says that every result is in."""
        with self._count_lock:
            self._ended = getattr(self, "_ended", 0) + 1
            if self._ended == self._job.threads:
                self._results.put(None)

    def _count(self, done: int, failed: int) -> None:
        with self._count_lock:
            self.images_done += done
            self.images_failed += failed

    def _line(self, item: Item) -> tuple[bytes, status_pb2.Status | None]:
        """Takes one image all the way; whatever goes wrong becomes its own error line."""
        try:
            return encode.success_line(item.id, self._detect(item), self._labels, self._keys), None
        except errors.ApiError as error:
            status = error.status
        except decode.DecodeError as error:
            status = errors.bad_request(f"{item.id}: {error}").status
        except Exception:
            # one image must never cost the others theirs, whatever a decoder or a runtime may raise
            incident_id = uuid.uuid4().hex[:12]
            log.exception("event=image_incident incident=%s image=%s", incident_id, item.id)
            status = errors.internal(incident_id).status
        return encode.error_line(item.id, status_pb2.Status(code=status.code, message=status.message)), status

    def _detect(self, item: Item) -> boxes.Detections:
        if item.failure is not None:
            raise errors.bad_request(item.failure)
        if self._guard is not None and item.id in self._guard.convicted:
            raise errors.from_status(self._guard.convicted[item.id])
        data = self._stores.get(objects.ObjectUri.parse(item.id), max_bytes=MAX_IMAGE_BYTES)
        with self._guard.watched(item.id) if self._guard is not None else contextlib.nullcontext():
            faults.point(f"image {item.id}")
            found = self._predictor.predict(data, min_score=self._job.score_threshold)
        return found.keep(self._job.score_threshold, self._job.max_boxes)
