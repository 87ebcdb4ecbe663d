"""What a turn of a job with many finished shards costs before its first image, with a store that answers late.

    python -m benchmarks.batch.turns [--quick] [--shards 20000] [--late-ms 20]

Makes a job with so many shards, all finished but the last hundred, and begins a turn of it: as the first turn on a machine,
which finds all of them, and as the next ones, which go on with what the last one knew. The turns are those of the inference
child, from the job to its stop; an engine that predicts nothing finishes one shard in each. The list has ten images a shard
in place of 500, which changes no call. Prints a table and ends with one JSON object.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import pathlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.batch.resume import made
from benchmarks.harness import arguments, results
from boxwright import objects
from boxwright.batch import child_main
from boxwright.batch.child_main import EngineParts
from boxwright.batch.engine import stages
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.engine.shard_assembler import Counts, Segments
from boxwright.batch.events import Events
from boxwright.batch.job import Attempt, BatchJob, BatchSpec, JobFolders, MachineShare
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.plan import Plan

OPEN_SHARDS, SHARD_IMAGES, TURNS = 100, 10, 5
SLICE_S, SHARE = 30.0, 0.02  # a turn's length, and what it may cost
CALLS = ("get_with_version", "head", "put", "put_once", "range")
PAGE = 1000


class _Waits:
    """Waits before each call of any stores, while it is entered, and counts them."""

    def __init__(self, late_s: float) -> None:
        self._late_s = late_s
        self.calls = 0

    def wait(self) -> None:
        """What a call costs."""
        self.calls += 1
        time.sleep(self._late_s)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The stores answer late."""
        former = {name: getattr(objects.Stores, name) for name in (*CALLS, "keys", "list")}
        for name in CALLS:
            setattr(objects.Stores, name, self._late(former[name]))
        for name in ("keys", "list"):
            setattr(objects.Stores, name, self._paged(former[name]))
        try:
            yield
        finally:
            for name, call in former.items():
                setattr(objects.Stores, name, call)

    def _late(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def late(*given: Any, **options: Any) -> Any:
            self.wait()
            return call(*given, **options)

        return late

    def _paged(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def paged(*given: Any, **options: Any) -> Iterator[Any]:
            left = 0
            for found in call(*given, **options):
                left -= len(found) if isinstance(found, list) else 1
                while left < 0:
                    self.wait()
                    left += PAGE
                yield found

        return paged


class _OneShard:
    """An engine that finishes the first shard that is open, and predicts nothing."""

    model_digest = "d"

    def __init__(self, parts: EngineParts) -> None:
        self._sink = parts.sink
        self.counts = Counts()
        self.asked_s = 0.0

    def run(self, plan: Segments, should_stop: Callable[[], bool]) -> Iterator[ShardReport]:
        """See `Engine`."""
        for segment in plan.segments():
            found = self._sink.committed(segment.shard)
            if found is None:
                self.asked_s = time.perf_counter()
                lines = [b'{"ID":"%s"}\n' % item.id.encode() for item in segment.items]
                found = self._sink.commit(segment.shard, lines, [], [])
                self.counts.note_committed(segment.shard)
                self.counts.add(done=segment.image_count, committed=1)
            else:
                self.counts.add(done=segment.image_count, failed=found.failed, found=segment.image_count)
            yield found
            if should_stop():
                return

    def stage_s(self) -> dict[str, float]:
        """See `Engine`."""
        return dict.fromkeys(stages.STAGES, 0.0)

    def amounts(self) -> dict[str, float]:
        """See `Engine`."""
        return dict.fromkeys(stages.AMOUNTS, 0.0)


class _Stopping(Events):
    """Asks for the stop as soon as a shard is finished; the lines are made and thrown away."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    def say(self, event: str, **values: Any) -> None:
        """See `Events`."""
        if event == "shard" and values["committed"]:
            self.stop.set()
        with contextlib.redirect_stdout(io.StringIO()):
            super().say(event, **values)


@dataclasses.dataclass(frozen=True)
class Cost:
    """One line of the table: seconds before the first image and after the stop was asked for, calls of the store."""

    turn: int
    before_s: float
    after_s: float
    calls: int

    @property
    def share(self) -> float:
        """Of a turn."""
        return (self.before_s + self.after_s) / SLICE_S


def planned(folder: pathlib.Path, spec: BatchSpec, shards: int) -> None:
    """Writes the list of a job, and plans it."""
    with (folder / "buckets" / "b" / "list.csv").open("w") as file:
        for number in range(shards * SHARD_IMAGES):
            file.write(f"gs://b/photos/image-{number:010d}.jpg\n")
    with contextlib.closing(Plan(spec, objects.Stores(folder / "buckets", folder / "state"))) as plan:
        for _ in plan.segments():
            pass


def turn(folder: pathlib.Path, spec: BatchSpec, number: int, waits: _Waits) -> Cost:
    """One turn of the job."""
    stores = objects.Stores(folder / "buckets", folder / "state").to_config()
    attempt = Attempt("projects/p/locations/l/operations/o", number)
    job = BatchJob(spec, JobFolders("", stores, str(folder / "notes")), MachineShare(1), attempt)
    engines: list[_OneShard] = []

    @contextlib.contextmanager
    def opened(parts: EngineParts) -> Iterator[_OneShard]:
        engines.append(_OneShard(parts))
        yield engines[0]

    events, waits.calls = _Stopping(), 0
    with waits.entered():
        began_s = time.perf_counter()
        child_main.run_job(job, LoadedModels(), PeerPool(), events, events.stop, opened)
        ended_s = time.perf_counter()
    asked_s = engines[0].asked_s
    return Cost(number, round(asked_s - began_s, 3), round(ended_s - asked_s, 3), waits.calls)


def main() -> int:
    """Measures what the command line asks for; returns 0 if later turns cost less than the bar."""
    parser = arguments.parser(__doc__, "2,000 shards")
    parser.add_argument("--shards", type=int, default=20_000)
    parser.add_argument("--late-ms", type=float, default=20.0)
    options = parser.parse_args()
    shards = 2000 if options.quick else options.shards
    with tempfile.TemporaryDirectory(prefix="bxturns-") as place:
        folder = pathlib.Path(place)
        spec = dataclasses.replace(made(folder, shards - OPEN_SHARDS, 100), shard_images=SHARD_IMAGES)
        planned(folder, spec, shards)
        waits = _Waits(options.late_ms / 1000)
        costs = [turn(folder, spec, number, waits) for number in range(1, TURNS + 1)]
    print(f"{shards} shards, {options.late_ms:g} ms a call, turns of {SLICE_S:g} s")
    print(f"{'turn':>4}{'before its first image':>24}{'after its stop':>16}{'calls':>7}{'of a turn':>11}")
    for cost in costs:
        print(f"{cost.turn:>4}{cost.before_s:>22.2f} s{cost.after_s:>14.2f} s{cost.calls:>7}{cost.share:>11.1%}")
    later = max(costs[1:], key=lambda cost: cost.share)
    figures = {
        "shards": shards,
        "late_ms": options.late_ms,
        "first_s": round(costs[0].before_s + costs[0].after_s, 2),
        "later_s": round(later.before_s + later.after_s, 3),
        "later_calls": later.calls,
        "later_share": round(later.share, 4),
        "limit": SHARE,
    }
    conditions = "a folder as a store, with a wait before each call; the child alone"
    results.close(__file__, options, figures, source="docs/operations.md", conditions=conditions, figures=figures)
    return 0 if later.share <= SHARE else 1


if __name__ == "__main__":
    raise SystemExit(main())
