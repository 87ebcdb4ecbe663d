"""LocalEngine: a plan on the threads of one process.

Image threads walk the plan and take each image through read → decode → infer → encode; the thread that finishes a shard's
last image commits the shard. Where reading takes long, readers fetch images ahead, within a budget of images and
bytes; they are added while image threads wait for images, so that a distant store is read by many and a local disk by none.
Memory is bounded by the budget, threads and shard size, not by the job. Which thread takes which image never shows in the
result: lines are kept in the plan's order.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

from google.rpc import status_pb2

from boxwright import boxes, errors, faults, objects
from boxwright.batch.engine import heap, stages
from boxwright.batch.engine.in_flight import Guard
from boxwright.batch.engine.open_shards import OpenShard, ShardSink
from boxwright.batch.engine.read_budget import Admission
from boxwright.batch.job import BatchJob
from boxwright.batch.output import json_lines
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.plan import Item, Plan, Segment
from boxwright.images import decode
from boxwright.inference.predictor import Predictor

MAX_IMAGE_BYTES = 30_000_000  # prediction_service.proto: 30 MB per image
IMAGES_BETWEEN_TRIMS = 25_000  # what threads free stays scattered over their heaps otherwise
QUEUED_PER_THREAD = 3
MAX_READERS = 32  # a round trip of 100 ms, 32 at a time, is 320 images/s
WORTH_A_READER = 0.2  # of an image thread's time: if images take more than that to arrive, one more reader is started
JUDGED_AFTER_S = 0.05  # a thread's waiting is judged over at least this

Results: TypeAlias = "queue.SimpleQueue[ShardReport | Exception | None]"

log = logging.getLogger(__name__)


class Engine(Protocol):
    """Runs a plan: yields the report of each shard as it is finished, in no particular order."""

    def run(self, plan: Plan, should_stop: Callable[[], bool]) -> Iterator[ShardReport]:
        """Yields shard reports until the plan is done, or ends early, shards whole, once `should_stop`."""


class Segments(Protocol):
    """Where images come from: a `Plan`, or a part of one."""

    def segments(self) -> Iterator[Segment]:
        """Yields segments in order, each once."""


@dataclasses.dataclass
class _Task:
    """One image of an open shard, read: `content` is its bytes, why there are none, or None if it need not be read.

    `is_one_colour` is known once it is decoded.
    """

    shard: OpenShard
    index: int
    content: bytes | errors.ApiError | None = None
    held_bytes: int = 0
    is_one_colour: bool = False

    @property
    def item(self) -> Item:
        return self.shard.segment.items[self.index]


class _Waiting:
    """How much of an image thread's time passes until images are there.

    A share and not a duration: at the lowest priority, on a busy machine, everything takes long now and then.
    """

    def __init__(self) -> None:
        self._since_s = time.perf_counter()
        self._waited_s = 0.0

    def is_worth_a_reader(self, waited_s: float) -> bool:
        """Takes one wait; from time to time judges those since the last judgement."""
        self._waited_s += waited_s
        elapsed_s = time.perf_counter() - self._since_s
        if elapsed_s < JUDGED_AFTER_S:
            return False
        is_worth_it = self._waited_s > WORTH_A_READER * elapsed_s
        self._since_s, self._waited_s = time.perf_counter(), 0.0
        return is_worth_it


def reported(
    results: Results, should_stop: Callable[[], bool], when_idle: Callable[[], None] = lambda: None
) -> Iterator[ShardReport]:
    """Yields what is put into a queue until None comes or `should_stop`; raises an exception that comes.

    Args:
        results: reports, an exception or None.
        should_stop: asked after every report, and ten times a second while none comes.
        when_idle: called while none comes.
    """
    while not should_stop():
        try:
            result = results.get(timeout=0.1)
        except queue.Empty:
            when_idle()
            continue
        if result is None:
            return
        if isinstance(result, BaseException):
            raise result
        yield result


def image_threads(job: BatchJob, predictor: Predictor) -> int:
    """How many images are worked on at once: one a core, one more to fill the gaps, and those that wait for a GPU."""
    return job.threads + 1 + predictor.runtime.waiting_threads


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
        self, job: BatchJob, stores: objects.Stores, predictor: Predictor, sink: ShardSink, guard: Guard | None = None
    ) -> None:
        self._job = job
        self._guard = guard
        self._images = objects.Breaker(stores)
        self._predictor = predictor
        self._sink = sink
        self._labels = [(label.annotation_spec_id, label.display_name) for label in predictor.labels]
        self._keys = json_lines.CAMEL_CASE if job.camel_case else json_lines.SNAKE_CASE
        self._threads = image_threads(job, predictor)
        self._ready: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._results: Results = queue.SimpleQueue()
        self._admission = Admission(self._threads * QUEUED_PER_THREAD, job.in_flight_bytes, MAX_IMAGE_BYTES)
        self._tasks: Iterator[_Task] = iter(())
        self._plan_lock = threading.Lock()
        self._plan_ended = False
        self._readers: list[threading.Thread] = []
        self._readers_at_work = 0
        self._images_at_work = 0
        self._halt = threading.Event()
        self._count_lock = threading.Lock()
        self.images_done = 0
        self.images_failed = 0
        self.images_found = 0  # of those: in shards that an earlier run had finished
        self.times = stages.StageTimes()
        self.shards_committed = 0  # by this run; those that were found do not count

    def run(self, plan: Segments, should_stop: Callable[[], bool]) -> Iterator[ShardReport]:
        """Yields shard reports; see `Engine`. Raises what the plan or the sink raised."""
        self._tasks = self._planned(plan)
        threads = [threading.Thread(target=self._work_images, name=f"image-{n}") for n in range(self._threads)]
        self._images_at_work = len(threads)
        for thread in threads:
            thread.start()
        try:
            yield from reported(self._results, should_stop)
        finally:
            self._end()
            for thread in (*threads, *self._readers):
                thread.join()

    def probe(self, image_id: str) -> None:
        """Takes one image all the way and forgets the result."""
        task = _Task(OpenShard(Segment(1, [Item(image_id)])), 0)
        self._read(task)
        self._line(task, self.times.thread())

    # ---- reading ------------------------------------------------------------------------------------------------

    def _planned(self, plan: Segments) -> Iterator[_Task]:
        """Yields the images of unfinished shards; reports finished ones as they are found."""
        for segment in plan.segments():
            found = self._sink.committed(segment.shard)
            if found is not None:
                self._count(found.predicted + found.failed, found.failed)
                self.images_found += found.predicted + found.failed
                self._results.put(found)
                continue
            shard = OpenShard(segment)
            for index in range(len(segment.items)):
                yield _Task(shard, index)

    def _add_reader(self) -> None:
        with self._count_lock:
            if self._plan_ended or self._halt.is_set() or len(self._readers) >= MAX_READERS:
                return
            reader = threading.Thread(target=self._read_images, name=f"reader-{len(self._readers)}")
            self._readers.append(reader)
            self._readers_at_work += 1
            self._admission.widen(1)
            reader.start()

    def _read_images(self) -> None:
        laps = self.times.thread()
        try:
            while (task := self._read_next(laps)) is not None:
                laps.end(stages.READING)
                self._ready.put(task)
        except Exception as error:  # the plan's, a store's or a bug: it belongs to whoever runs the job
            self._fail(error)
        finally:
            self._reader_ended()

    def _read_next(self, laps: stages.Laps) -> _Task | None:
        """Takes the next image of the plan and reads it; None if there is none any more, or the job is to end."""
        reserved = self._admission.enter()
        if reserved is None:
            return None
        with self._plan_lock:
            task = next(self._tasks, None)
        if task is None:
            self._admission.leave(reserved)
            return None
        laps.restart()  # what came before was waiting for room: nobody is held up by that
        self._read(task)
        task.held_bytes = len(task.content) if isinstance(task.content, bytes) else 0
        self._admission.settle(reserved, task.held_bytes)
        return task

    def _reader_ended(self) -> None:
        """The last reader to end tells every image thread that nothing more comes."""
        with self._count_lock:
            self._plan_ended = True
            self._readers_at_work -= 1
            if self._readers_at_work:
                return
        for _ in range(self._threads):
            self._ready.put(None)

    def _read(self, task: _Task) -> None:
        item = task.item
        if item.failure is not None or (self._guard is not None and item.id in self._guard.convicted):
            return
        try:
            task.content = self._images.get(objects.ObjectUri.parse(item.id), max_bytes=MAX_IMAGE_BYTES)
        except errors.ApiError as error:
            task.content = error
        except objects.StoreLost as lost:
            raise lost.error from lost
        except Exception:
            task.content = self._incident(item)

    # ---- predicting ---------------------------------------------------------------------------------------------

    def _work_images(self) -> None:
        laps, waiting = self.times.thread(), _Waiting()
        while True:
            task = self._next_task(laps, waiting)
            if task is None or self._halt.is_set():
                break
            line, status = self._line(task, laps)
            task.content = None
            self._admission.leave(task.held_bytes)
            is_time = self._count(1, status is not None)
            if task.shard.put(task.index, (line,), (status,), int(task.is_one_colour and status is None)):
                try:
                    report = task.shard.commit_to(self._sink)
                except Exception as error:  # a store's: it ends the job
                    self._fail(error)
                    break
                with self._count_lock:
                    self.shards_committed += 1
                self._results.put(report)
            if is_time:
                heap.give_back()
            laps.end(stages.WRITING)
        with self._count_lock:
            self._images_at_work -= 1
            if self._images_at_work == 0:
                self._results.put(None)

    def _next_task(self, laps: stages.Laps, waiting: _Waiting) -> _Task | None:
        """The next image, read: by a reader if there is one, else here; None if there is none any more."""
        reads_here = not self._readers
        if reads_here:
            try:
                task = self._read_next(laps)
            except Exception as error:  # as in a reader
                self._fail(error)
                return None
            waited_s = laps.end(stages.READING)
        else:
            task = self._ready.get()
            waited_s = laps.end(stages.WAITING)
        if waiting.is_worth_a_reader(waited_s):
            for _ in range(max(2, self._job.threads) if reads_here else 1):
                self._add_reader()
        return task

    def _fail(self, error: Exception) -> None:
        self._results.put(error)
        self._end()

    def _end(self) -> None:
        """Lets every thread end after the image that it has."""
        self._halt.set()
        self._admission.close()
        for _ in range(self._threads):
            self._ready.put(None)

    def _count(self, done: int, failed: int) -> bool:
        """Counts images; returns whether it is time to give memory back."""
        with self._count_lock:
            before = self.images_done
            self.images_done += done
            self.images_failed += failed
            return self.images_done // IMAGES_BETWEEN_TRIMS > before // IMAGES_BETWEEN_TRIMS

    def _line(self, task: _Task, laps: stages.Laps) -> tuple[bytes, status_pb2.Status | None]:
        """Takes one image all the way; whatever goes wrong becomes its own error line."""
        item = task.item
        try:
            found = self._detect(task, laps)
            return json_lines.success_line(item.id, found, self._labels, self._keys), None
        except errors.ApiError as error:
            status = error.status
        except decode.DecodeError as error:
            status = errors.bad_request(f"{item.id}: {error}").status
        except Exception:
            # one image must never cost the others theirs, whatever a decoder or a runtime may raise
            status = self._incident(item).status
        finally:
            laps.end(stages.WRITING)
        return json_lines.error_line(item.id, status_pb2.Status(code=status.code, message=status.message)), status

    def _detect(self, task: _Task, laps: stages.Laps) -> boxes.Detections:
        item = task.item
        if item.failure is not None:
            raise errors.bad_request(item.failure)
        if self._guard is not None and item.id in self._guard.convicted:
            raise errors.from_status(self._guard.convicted[item.id])
        if not isinstance(task.content, bytes):
            assert task.content is not None, "an image that is to be predicted has been read"
            raise task.content
        threshold = self._job.score_threshold
        with self._guard.watched(item.id) if self._guard is not None else contextlib.nullcontext():
            faults.point(f"image {item.id}")
            prepared = self._predictor.prepare(task.content)
            task.is_one_colour = prepared.is_one_colour
            laps.end(stages.DECODING)
            raw = self._predictor.infer(prepared)
            laps.end(stages.NETWORK)
            found = self._predictor.postprocess(raw, prepared, threshold)
            laps.end(stages.FINDING)
        return found.keep(threshold, self._job.max_boxes)

    def _incident(self, item: Item) -> errors.ApiError:
        incident_id = uuid.uuid4().hex[:12]
        log.exception("event=image_incident incident=%s image=%s", incident_id, item.id)
        return errors.internal(incident_id)
