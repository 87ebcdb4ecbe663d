"""The rewriter: every file of candidates to a shard, by worker processes, or here if there are only a few.

It takes the place of an engine: what it yields are the reports of shards, and what earlier attempts have finished is found.
A worker that dies takes this process along, as a peer does: the next attempt finds what is finished.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from boxwright import errors, objects
from boxwright.batch.engine import stages
from boxwright.batch.engine.shard_assembler import Counts
from boxwright.batch.job import BatchJob
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.output.sink import Sink
from boxwright.batch.rewrite.shard_rewriter import ShardRewriter
from boxwright.batch.rewrite.sources import Sources, SourceShard
from boxwright.processes import FEW_HEAPS, Child

WORKERS = 2  # text is written about as fast as two cores read it: more are seldom of use
WORKER_MODULE = "boxwright.batch.rewrite.worker_main"
SHARDS_HERE = 4  # of so few, none is worth a process
SHARDS_AHEAD = 4  # that a worker has been sent and not answered
POLL_S = 0.1

NoteUse: TypeAlias = Callable[[dict[str, Any]], None]


class Rewriter:
    """Makes the shards of one job from its sources.

    Args:
        job: what is wanted, and the cores that it may use.
        stores: where candidates are.
        sink: where shards go.
        note_use: hears which buckets workers use, the event's values.
    """

    def __init__(self, job: BatchJob, stores: objects.Stores, sink: Sink, note_use: NoteUse) -> None:
        self._job = job
        self._stores = stores
        self._sink = sink
        self._note_use = note_use
        self._lock = threading.Lock()
        self._halt = threading.Event()
        self._results: queue.SimpleQueue[ShardReport | Exception | None] = queue.SimpleQueue()
        self._busy_s = 0.0
        self.counts = Counts()

    @property
    def model_digest(self) -> str:
        """Names the exact version of the model that found the candidates."""
        return self._job.spec.model_digest

    def stage_s(self) -> dict[str, float]:
        """Seconds per stage so far; nothing here is anything but writing."""
        return dict.fromkeys(stages.STAGES, 0.0) | {stages.WRITING: self._busy_s}

    def amounts(self) -> dict[str, float]:
        """What was decoded: nothing; see `stages.AMOUNTS`."""
        return dict.fromkeys(stages.AMOUNTS, 0)

    def run(self, sources: Sources, should_stop: Callable[[], bool]) -> Iterator[ShardReport]:
        """Yields the report of each shard as it is finished, in no particular order.

        Ends early, shards whole, once `should_stop`. Raises what reading or writing has raised.
        """
        missing: collections.deque[SourceShard] = collections.deque()
        for source in sources.shards():
            if should_stop():
                return
            found = self._sink.committed(source.shard)
            if found is None:
                missing.append(source)
            else:
                self.counts.add(done=found.predicted, found=found.predicted)
                yield found
        made = self._here(missing) if len(missing) <= SHARDS_HERE else self._by_workers(missing, should_stop)
        for report in made:
            self._sink.count(report)
            self.counts.note_committed(report.shard)
            self.counts.add(done=report.predicted, committed=1)
            yield report
            if should_stop():
                break
        self._halt.set()

    def _here(self, missing: collections.deque[SourceShard]) -> Iterator[ShardReport]:
        rewriter = ShardRewriter(self._job.spec, self._stores)
        for source in missing:
            started_s = time.monotonic()
            report = rewriter.rewrite(source)
            self._busy_s += time.monotonic() - started_s
            yield report

    def _by_workers(
        self, missing: collections.deque[SourceShard], should_stop: Callable[[], bool]
    ) -> Iterator[ShardReport]:
        count = min(WORKERS, self._job.share.cores)
        threads = [threading.Thread(target=self._drive, args=(missing,), name=f"worker-{n}") for n in range(count)]
        for thread in threads:
            thread.start()
        try:
            at_work = count
            while at_work and not should_stop():
                try:
                    result = self._results.get(timeout=POLL_S)
                except queue.Empty:
                    continue
                if isinstance(result, Exception):
                    raise result
                if result is None:
                    at_work -= 1
                else:
                    yield result
        finally:
            self._halt.set()
            for thread in threads:
                thread.join()

    def _drive(self, missing: collections.deque[SourceShard]) -> None:
        """Keeps one worker busy until there is nothing left, and passes on what it says."""
        worker = Child(WORKER_MODULE, environment=FEW_HEAPS, variables=self._stores.variables)
        try:
            worker.send_line(self._job.to_json())
            self._feed(worker, missing)
        except Exception as error:  # the worker's or a bug: it belongs to the caller of the run
            self._results.put(error)
        finally:
            worker.close(grace_s=0)
            self._results.put(None)

    def _feed(self, worker: Child, missing: collections.deque[SourceShard]) -> None:
        started_s = time.monotonic()
        ahead = 0
        while not self._halt.is_set():
            while ahead < SHARDS_AHEAD and (source := self._next(missing)) is not None:
                worker.send_line(json.dumps(dataclasses.asdict(source)))
                ahead += 1
            if not ahead:
                return
            values = worker.next_event(timeout_s=POLL_S) or {"event": ""}
            match values.pop("event"):
                case "shard":
                    ahead -= 1
                    with self._lock:
                        self._busy_s += time.monotonic() - started_s
                    started_s = time.monotonic()
                    self._results.put(ShardReport(**values))
                case "bucket":
                    self._note_use(values)
                case "error":
                    raise errors.ApiError(**values)

    def _next(self, missing: collections.deque[SourceShard]) -> SourceShard | None:
        with self._lock:
            return missing.popleft() if missing else None
