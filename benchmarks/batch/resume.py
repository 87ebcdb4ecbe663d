"""How long it takes until a job that goes on knows all of its finished shards, with a store that answers late.

    python -m benchmarks.batch.resume [--quick] [--shards 20000] [--late-ms 20]

Makes the output and the notes of a job with so many finished shards, some with a failed image, and finds them
again: by one sweep, as a job does, and for the first of them one by one, as it was done before. A page of a listing has
1,000 names and waits once. Prints a table and ends with one JSON object.
"""

from __future__ import annotations

import pathlib
import resource
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from google.rpc import status_pb2

from benchmarks.harness import arguments, results
from boxwright import objects
from boxwright.batch.job import BatchSpec
from boxwright.batch.output import json_lines
from boxwright.batch.output.sink import Sink

PAGE = 1000  # names of a listing that an object store gives at once
ONE_BY_ONE = 100  # shards
LIMIT_S = 10.0
CALLS = ("get", "exists", "put", "put_once")


class _Late(objects.Stores):
    """Stores that wait before each call."""

    late_s = 0.0
    calls = 0

    def wait(self) -> None:
        """What a call costs."""
        self.calls += 1
        time.sleep(self.late_s)

    def keys(self, prefix: objects.ObjectUri, *arguments: Any, **options: Any) -> Iterator[list[str]]:
        """See `Stores.keys`; a page at a time."""
        left = 0
        for keys in super().keys(prefix, *arguments, **options):
            left += len(keys)
            while left > 0:
                self.wait()
                left -= PAGE
            yield keys

    def list(self, prefix: objects.ObjectUri) -> Iterator[objects.ObjectInfo]:
        """See `Stores.list`; a page at a time."""
        for number, info in enumerate(super().list(prefix)):
            if number % PAGE == 0:
                self.wait()
            yield info


def _late(name: str) -> Any:
    def call(self: _Late, *arguments: Any, **options: Any) -> Any:
        self.wait()
        return getattr(objects.Stores, name)(self, *arguments, **options)

    return call


for _name in CALLS:
    setattr(_Late, _name, _late(_name))


def made(folder: pathlib.Path, shards: int, failed_every: int) -> BatchSpec:
    """A job with so many finished shards."""
    (folder / "buckets" / "b").mkdir(parents=True)
    stores = objects.Stores(folder / "buckets", folder / "state")
    spec = BatchSpec(["gs://b/list.csv"], "gs://b/out", str(stores.state("operations/job")), 0.5, 100, 500, 0.5)
    sink = Sink(spec, stores)
    for shard in range(1, shards + 1):
        failures = [status_pb2.Status(code=5, message="gone")] if shard % failed_every == 0 else []
        error_lines = [json_lines.error_line("gs://photos/missing.jpg", status) for status in failures]
        sink.commit(shard, [b'{"ID":"%d"}\n' % shard], error_lines, failures)
    return spec


def main() -> None:
    """Measures what the command line asks for."""
    parser = arguments.parser(__doc__, "2,000 shards")
    parser.add_argument("--shards", type=int, default=20_000)
    parser.add_argument("--late-ms", type=float, default=20.0)
    parser.add_argument("--failed-every", type=int, default=100, help="of so many shards one has a failed image")
    options = parser.parse_args()
    shards = 2000 if options.quick else options.shards
    with tempfile.TemporaryDirectory(prefix="bxresume-") as place:
        folder = pathlib.Path(place)
        spec = made(folder, shards, options.failed_every)
        stores = _Late(folder / "buckets", folder / "state")
        stores.late_s = options.late_ms / 1000
        started_s = time.perf_counter()
        sink = Sink(spec, stores)
        sink.recall()
        assert all(sink.committed(shard) for shard in range(1, shards + 1))
        swept_s, swept_calls = time.perf_counter() - started_s, stores.calls
        sink.end_recall()
        stores.calls, started_s = 0, time.perf_counter()
        each = Sink(spec, stores)
        assert all(each.committed(shard) for shard in range(1, ONE_BY_ONE + 1))
        each_s = (time.perf_counter() - started_s) / ONE_BY_ONE
    most_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{shards} shards, {options.late_ms:g} ms a call")
    print(f"one sweep:  {swept_s:8.2f} s, {swept_calls} calls, {most_mib:.0f} MiB (bar for 20,000: {LIMIT_S:g} s)")
    print(f"one by one: {each_s * 1000:8.1f} ms a shard, {each_s * shards:.0f} s for all of them")
    figures = {
        "shards": shards,
        "late_ms": options.late_ms,
        "failed_every": options.failed_every,
        "swept_s": round(swept_s, 2),
        "calls": swept_calls,
        "one_by_one_ms": round(each_s * 1000, 1),
        "most_mib": round(most_mib, 1),
    }
    conditions = "a folder as a store, with a wait before each call"
    results.close(__file__, options, figures, source="docs/operations.md", conditions=conditions, figures=figures)


if __name__ == "__main__":
    main()
