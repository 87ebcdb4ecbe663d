"""The image threads of one process: they take chunks from a source, and each image through the pipeline.

Where reading takes long, readers fetch images ahead, within a budget of images and bytes. They are added while image
threads wait for images, so that a distant store is read by many and a local disk by none. Memory is bounded by the budget
and the threads. The thread that predicts an image never shows in the result.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterator

from boxwright.batch.engine import heap, stages
from boxwright.batch.engine.pipeline import Content, ImagePipeline, ReadImage, ResultLine
from boxwright.batch.engine.read_budget import ReadBudget
from boxwright.batch.engine.shard_assembler import Chunk, ChunkSource
from boxwright.batch.job import MachineShare
from boxwright.batch.segments import Item
from boxwright.images import decode

IMAGES_BETWEEN_TRIMS = 25_000  # what threads free stays scattered over their heaps otherwise
QUEUED_PER_THREAD = 3
MAX_READERS = 32  # a round trip of 100 ms, 32 at a time, is 320 images/s
WORTH_A_READER = 0.2  # of an image thread's time: if images take more than that to arrive, one more reader is started
JUDGED_AFTER_S = 0.05  # a thread's waiting is judged over at least this
POLL_S = 0.1


class _OpenChunk:
    """A chunk whose images are in flight."""

    def __init__(self, chunk: Chunk) -> None:
        self.number = chunk.number
        self.items = chunk.items
        self.lines = [ResultLine(b"")] * len(chunk.items)
        self._left = len(chunk.items)
        self._lock = threading.Lock()

    def put(self, index: int, line: ResultLine) -> bool:
        """Stores the line of an image; returns whether the chunk is complete."""
        with self._lock:
            self.lines[index] = line
            self._left -= 1
            return self._left == 0


@dataclasses.dataclass
class _Task:
    """One image of an open chunk; see `Content`."""

    chunk: _OpenChunk
    index: int
    content: Content = None
    held_bytes: int = 0

    @property
    def item(self) -> Item:
        return self.chunk.items[self.index]


class _WaitShare:
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


class ImageThreads:
    """Works on the chunks of a source with threads of this process, once.

    Args:
        pipeline: what happens to an image.
        source: where chunks come from and lines go to.
        share: what this process may use.
        threads: images in flight at once.
        times: the stopwatches of this process.
    """

    def __init__(
        self,
        pipeline: ImagePipeline,
        source: ChunkSource,
        *,
        share: MachineShare,
        threads: int,
        times: stages.StageTimes,
    ) -> None:
        self._pipeline = pipeline
        self._source = source
        self._times = times
        self._first_readers = max(2, share.cores)  # started together once images take long to arrive
        self._ready: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._budget = ReadBudget(threads * QUEUED_PER_THREAD, share.in_flight_bytes, decode.MAX_IMAGE_BYTES)
        self._tasks = self._planned()
        self._tasks_lock = threading.Lock()
        self._lock = threading.Lock()  # of everything below
        self._is_drained = False  # the source has no more
        self._readers: list[threading.Thread] = []
        self._readers_at_work = 0
        self._images_done = 0
        self._at_work = threads
        self._halt = threading.Event()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._work_images, name=f"image-{n}") for n in range(threads)]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def wait(self, should_stop: Callable[[], bool]) -> None:
        """Returns when the source has no more chunks and all are put, or once `should_stop`."""
        while not should_stop() and not self._ended.wait(POLL_S):
            pass

    def stop(self) -> None:
        """Lets every thread end after the image that it has."""
        self._halt.set()
        self._budget.close()
        for _ in self._threads:
            self._ready.put(None)

    def join(self) -> None:
        """Waits for the end of every thread."""
        for thread in self._threads:
            thread.join()
        for reader in self._readers:  # complete: only image threads start them
            reader.join()

    # ---- reading ------------------------------------------------------------------------------------------------

    def _planned(self) -> Iterator[_Task]:
        """Yields the images of the source."""
        while (chunk := self._source.next_chunk()) is not None:
            if not chunk.items:
                self._source.put(chunk.number, [])  # a shard whose images are all taken over: it is only to be put
                continue
            opened = _OpenChunk(chunk)
            for index in range(len(chunk.items)):
                yield _Task(opened, index)

    def _add_reader(self) -> None:
        with self._lock:
            if self._is_drained or self._halt.is_set() or len(self._readers) >= MAX_READERS:
                return
            reader = threading.Thread(target=self._read_images, name=f"reader-{len(self._readers)}")
            self._readers.append(reader)
            self._readers_at_work += 1
            self._budget.widen(1)
            reader.start()

    def _read_images(self) -> None:
        laps = self._times.thread()
        try:
            while (task := self._read_next(laps)) is not None:
                laps.end(stages.READING)
                self._ready.put(task)
        except Exception as error:  # the source's, a store's or a bug: it belongs to the caller of the run
            self._fail(error)
        finally:
            self._reader_ended()

    def _read_next(self, laps: stages.Stopwatch) -> _Task | None:
        """Takes the next image and reads it; None if there is none any more, or the run is to end."""
        reserved = self._budget.enter()
        if reserved is None:
            return None
        with self._tasks_lock:
            task = next(self._tasks, None)
        if task is None:
            self._budget.leave(reserved)
            return None
        laps.restart()  # what came before was waiting for room: nobody is held up by that
        task.content = self._pipeline.read(task.item)
        task.held_bytes = len(task.content.content) if isinstance(task.content, ReadImage) else 0
        self._budget.settle(reserved, task.held_bytes)
        return task

    def _reader_ended(self) -> None:
        """The last reader to end tells every image thread that nothing more comes."""
        with self._lock:
            self._is_drained = True
            self._readers_at_work -= 1
            if self._readers_at_work:
                return
        for _ in self._threads:
            self._ready.put(None)

    # ---- predicting ---------------------------------------------------------------------------------------------

    def _work_images(self) -> None:
        laps, waits = self._times.thread(), _WaitShare()
        try:
            while (task := self._next_task(laps, waits)) is not None and not self._halt.is_set():
                line = self._pipeline.line(task.item, task.content, laps)
                task.content = None
                self._budget.leave(task.held_bytes)
                is_time = self._count_image()
                if task.chunk.put(task.index, line):
                    self._source.put(task.chunk.number, task.chunk.lines)
                if is_time:
                    heap.give_back()
                laps.end(stages.WRITING)
        except Exception as error:  # as in a reader
            self._fail(error)
        with self._lock:
            self._at_work -= 1
            if self._at_work == 0:
                self._ended.set()

    def _next_task(self, laps: stages.Stopwatch, waits: _WaitShare) -> _Task | None:
        """The next image, read: by a reader if there is one, else here; None if there is none any more."""
        reads_here = not self._readers
        if reads_here:
            task = self._read_next(laps)
            waited_s = laps.end(stages.READING)
        else:
            task = self._ready.get()
            waited_s = laps.end(stages.WAITING)
        if waits.is_worth_a_reader(waited_s):
            for _ in range(self._first_readers if reads_here else 1):
                self._add_reader()
        return task

    def _fail(self, error: Exception) -> None:
        self._source.fail(error)
        self.stop()

    def _count_image(self) -> bool:
        """Counts an image; returns whether it is time to give memory back."""
        with self._lock:
            self._images_done += 1
            return self._images_done % IMAGES_BETWEEN_TRIMS == 0
