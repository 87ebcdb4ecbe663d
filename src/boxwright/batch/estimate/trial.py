"""The trial: images of the sample go the way that all images of the job will go, for a few seconds; nothing is kept.

The engine is the job's own, with its processes and threads, so that the rate is that of the job. Result lines are counted,
and not put anywhere.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from google.rpc import status_pb2

from boxwright import objects
from boxwright.batch.engine import opening
from boxwright.batch.engine.engine import MachineEngine
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.estimate import intervals
from boxwright.batch.estimate.sightings import Sighting
from boxwright.batch.job import BatchJob
from boxwright.batch.output import sidecars
from boxwright.batch.output.candidates import ImageCandidates
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.segments import Item, Segment

STRATA = 64  # by size: each pass over them has small and large images alike
LEAST_IMAGES = STRATA
LEAST_S, MOST_S = 5.0, 10.0
START_S = 20.0  # the longest that processes are waited for
SHARD_IMAGES = 32  # what is in no whole shard at the trial's end is not counted
MARK_INTERVAL_S = 0.05
SETTLING = 0.25  # of a trial's time until readers and processes have found their pace
BLOCKS = 8  # of equal length, from whose rates the interval is taken


@dataclasses.dataclass
class TrialResult:
    """What the trial has measured.

    Attributes:
        images: that were tried.
        failed: of these.
        seconds: that they took.
        is_whole: whether every image of the job was tried, once.
        images_per_s: at the job's pace; 0 if nothing was tried.
        relative_error: half the width of the interval of the rate, as a share of it.
        ramp_s: seconds that a job loses before it has found its pace.
        start_s: seconds for processes and the model, which a later job of the same model does not spend.
        stage_s, amounts: see `Engine`.
        counted: images whose results are counted in what follows.
        results: boxes or labels in the result lines.
        jsonl_bytes, sidecar_bytes: of the results, as they would be written.
        first_failure: message of a failed image; empty if none has failed.
    """

    images: int = 0
    failed: int = 0
    counted: int = 0
    results: int = 0
    seconds: float = 0.0
    is_whole: bool = False
    images_per_s: float = 0.0
    relative_error: float = 1.0
    ramp_s: float = 0.0
    start_s: float = 0.0
    stage_s: dict[str, float] = dataclasses.field(default_factory=dict)
    amounts: dict[str, float] = dataclasses.field(default_factory=dict)
    jsonl_bytes: int = 0
    sidecar_bytes: dict[str, float] = dataclasses.field(default_factory=dict)
    first_failure: str = ""


class Trial:
    """Tries images of a job.

    Args:
        job: the job; nothing of it is written.
        models: of this process.
        peers: its peers.
        stores: where images are.
        should_stop: ends the trial.
    """

    def __init__(
        self,
        job: BatchJob,
        models: LoadedModels,
        peers: PeerPool,
        stores: objects.Stores,
        should_stop: Callable[[], bool],
    ) -> None:
        self._job, self._models, self._peers, self._stores = job, models, peers, stores
        self._should_stop = should_stop

    def run(self, seen: Sequence[Sighting], images: int) -> TrialResult:
        """Tries those that were seen, in a fixed order that has small and large ones side by side.

        Args:
            seen: the sample.
            images: how many the job has.

        Raises:
            ApiError: the model cannot be loaded, or a store is lost.
        """
        items = in_strata([one for one in seen if one.item.held is None or one.item.held.path])
        if not items:
            return TrialResult()
        began_s = time.monotonic()
        self._warm_up(items)
        start_s = time.monotonic() - began_s
        is_whole = len(items) >= images
        sink = _NoSink(self._job)
        with opening.opened(self._job, self._models, self._peers, self._stores, sink) as engine:
            return self._measured(engine, sink, items, is_whole, start_s)

    def _warm_up(self, items: Sequence[Item]) -> None:
        """Returns once every process has the model and has predicted something."""
        with_peers = opening.has_peers(self._job.share, self._job.folders.model, self._job.spec.precision)
        processes = self._job.share.process_count if with_peers else 1
        with opening.opened(self._job, self._models, self._peers, self._stores, _NoSink(self._job)) as engine:
            deadline_s = time.monotonic() + START_S

            def is_warm() -> bool:
                heard = engine.processes_heard >= processes and engine.counts.images_done > 0
                return heard or self._should_stop() or time.monotonic() > deadline_s

            few = items[: 4 * processes]
            for _ in engine.run(_Segments(itertools.cycle(few), 1), is_warm):
                pass

    def _measured(
        self, engine: MachineEngine, sink: _NoSink, items: list[Item], is_whole: bool, start_s: float
    ) -> TrialResult:
        began_s = time.monotonic()

        def is_enough() -> bool:
            spent_s = time.monotonic() - began_s
            enough = spent_s > LEAST_S and engine.counts.images_done >= LEAST_IMAGES and not is_whole
            return enough or spent_s > MOST_S or self._should_stop()

        size = min(SHARD_IMAGES, self._job.spec.shard_images)
        with _Marks(engine) as marks:
            for _ in engine.run(_Segments(iter(items), size), is_enough):
                pass
        done, seconds = engine.counts.images_done, time.monotonic() - began_s
        rate, error, ramp_s = _pace(marks.taken)
        return TrialResult(
            images=done,
            failed=engine.counts.images_failed,
            counted=sink.counted,
            results=sink.results,
            seconds=seconds,
            is_whole=is_whole and done == len(items),
            images_per_s=rate or done / max(seconds, 1e-3),
            relative_error=error,
            ramp_s=ramp_s,
            start_s=start_s,
            stage_s=engine.stage_s(),
            amounts=engine.amounts(),
            jsonl_bytes=sink.jsonl_bytes,
            sidecar_bytes=sink.sidecar_bytes(),
            first_failure=sink.first_failure,
        )


def in_strata(seen: Sequence[Sighting]) -> list[Item]:
    """The images in passes over strata of their sizes, each pass with one of each stratum, in an order by chance.

    Images that are not there, and rows that name none, have the sizes below all others: each pass has its share of them.
    """
    rng = np.random.default_rng(0)
    by_size = sorted(seen, key=lambda one: -1 if one.size_bytes is None else one.size_bytes)
    bounds = np.linspace(0, len(by_size), min(STRATA, len(by_size)) + 1).round().astype(int).tolist()
    strata = [by_size[start:end] for start, end in itertools.pairwise(bounds)]
    shuffled = [[stratum[index] for index in rng.permutation(len(stratum))] for stratum in strata]
    passes = itertools.zip_longest(*shuffled)
    ordered: list[Item] = []
    for one_pass in passes:
        present = [one.item for one in one_pass if one is not None]
        ordered += [present[index] for index in rng.permutation(len(present))]
    return ordered


def _pace(marks: Sequence[tuple[float, int]]) -> tuple[float, float, float]:
    """Returns (images per second once settled, relative half width of its interval, seconds lost before that)."""
    if len(marks) < 2 * BLOCKS:
        return 0.0, 1.0, 0.0
    times_s, done = np.array([at_s for at_s, _ in marks]), np.array([count for _, count in marks], float)
    from_s = times_s[0] + SETTLING * (times_s[-1] - times_s[0])
    edges = np.linspace(from_s, times_s[-1], BLOCKS + 1)
    at_edges = np.interp(edges, times_s, done)
    rate = float((at_edges[-1] - at_edges[0]) / (edges[-1] - edges[0]))
    if rate <= 0:
        return 0.0, 1.0, 0.0
    rates = (np.diff(at_edges) / np.diff(edges)).tolist()
    ramp_s = max(0.0, float(from_s - times_s[0] - at_edges[0] / rate))
    return rate, intervals.relative_error(rates), ramp_s


class _Segments:
    """Items as the segments of a plan."""

    def __init__(self, items: Iterator[Item], size: int) -> None:
        self._items = items
        self._size = size

    def segments(self) -> Iterator[Segment]:
        """See `Segments` of the engine."""
        for shard in itertools.count(1):
            items = list(itertools.islice(self._items, self._size))
            if not items:
                return
            yield Segment(shard, items)

    def stop(self) -> None:
        """See `Segments` of the engine."""


class _NoSink:
    """Counts what shards would hold, and keeps nothing."""

    def __init__(self, job: BatchJob) -> None:
        self._spec = job.spec
        self._lock = threading.Lock()
        self._rows: list[tuple[str, ImageCandidates | None]] = []
        self.counted = self.jsonl_bytes = self.results = 0
        self.first_failure = ""

    def committed(self, shard: int) -> ShardReport | None:
        """See `ShardSink`."""
        return None

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
        """See `ShardSink`."""
        content = b"".join(line for line, status in zip(lines, statuses, strict=True) if status is None)
        failures = [status for status in statuses if status is not None]
        digest = hashlib.sha256(content).hexdigest()
        with self._lock:
            self.counted += len(lines)
            self.jsonl_bytes += len(content)
            self.results += content.count(b'"score":')  # once in each box or label
            self._rows += zip(ids, candidates, strict=True)
            if failures and not self.first_failure:
                self.first_failure = failures[0].message
        return ShardReport(shard, len(lines) - len(failures), len(failures), {}, digest, [])

    def sidecar_bytes(self) -> dict[str, float]:
        """Bytes of the sidecars of what was counted, by kind: those of a shard as large as the job's."""
        rows = self._rows[: self._spec.shard_images]
        if not rows:
            return {}
        ids, found = zip(*rows, strict=True)
        _, made = sidecars.of_shard(self._spec, 1, ids, found, [False] * len(rows))
        return {kind: len(content) / len(rows) * self.counted for kind, content in made.items()}


class _Marks:
    """How many images are done, twenty times a second, as long as the context lasts."""

    def __init__(self, engine: MachineEngine) -> None:
        self.taken: list[tuple[float, int]] = []
        self._engine = engine
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="marks")

    def __enter__(self) -> _Marks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self.taken.append((time.monotonic(), self._engine.counts.images_done))
            if self._ended.wait(MARK_INTERVAL_S):
                return
