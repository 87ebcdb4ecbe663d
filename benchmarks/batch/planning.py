"""How many rows a second are planned, with a store near by and with one that answers late; and in how much memory.

    python -m benchmarks.batch.planning [--quick] [--rows 10000000] [--late-ms 20]

Writes a list and plans it, each time in a process of its own: with and without a wait before each call of a store, with
every row listed twice, and once more from a plan that is whole. Rows are counted, duplicates are found, and the cuts are
stored as a job does it; no image is read. Prints a table and ends with one JSON object.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.harness import arguments, results
from boxwright import objects
from boxwright.batch.job import BatchSpec
from boxwright.batch.plan import Plan

BUCKET = "in"
RATE_LIMIT = 100_000  # rows a second with a store that answers late
SHARE = 0.9  # of the rate with a store near by
SHARD_IMAGES = 500
CALLS = ("get_with_version", "head", "put", "put_once", "range")


@dataclasses.dataclass(frozen=True)
class Planned:
    """One line of the table: rows and different images, seconds, seconds of processor time, calls, resident memory."""

    what: str
    rows: int
    images: int
    first_s: float
    elapsed_s: float
    cpu_s: float
    calls: int
    most_mib: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.elapsed_s


class _Late(objects.Stores):
    """Stores that wait before each call."""

    late_s = 0.0
    calls = 0


def _late(name: str) -> Any:
    def call(self: _Late, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.late_s:
            time.sleep(self.late_s)
        return getattr(objects.Stores, name)(self, *arguments, **options)

    return call


for _name in CALLS:
    setattr(_Late, _name, _late(_name))


def write_list(path: pathlib.Path, rows: int, images: int) -> None:
    """Writes a list that names so many different images."""
    with path.open("w") as file:
        for row in range(rows):
            number = row % images
            file.write(f"gs://photos-of-the-company/2026/camera-{number % 97:03d}/image-{number:010d}.jpg\n")


def planned(folder: pathlib.Path, what: str, late_s: float) -> Planned:
    """Plans the list of a folder, in this process."""
    stores = _Late(folder / "buckets", folder / "state")
    stores.late_s = late_s
    scratch = str(stores.state("operations/job"))
    spec = BatchSpec([f"gs://{BUCKET}/list.csv"], f"gs://{BUCKET}/out", scratch, 0.5, 100, SHARD_IMAGES, 0.5)
    started_s, started_cpu_s, first_s = time.perf_counter(), time.process_time(), 0.0
    plan = Plan(spec, stores)
    images = 0
    for segment in plan.segments():
        first_s = first_s or time.perf_counter() - started_s
        images += segment.image_count
    elapsed_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    assert images == plan.images_planned == plan.rows_read - plan.duplicates
    most_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Planned(
        what,
        plan.rows_read,
        images,
        round(first_s, 3),
        round(elapsed_s, 2),
        round(cpu_s, 2),
        stores.calls,
        round(most_mib, 1),
    )


def alone(folder: pathlib.Path, what: str, late_s: float) -> Planned:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.batch.planning", "--one", str(folder), what, str(late_s)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return Planned(**json.loads(found.stdout))


def main() -> int:
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(dataclasses.asdict(planned(pathlib.Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])))))
        return 0
    parser = arguments.parser(__doc__, quick="200,000 rows")
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the list")
    parser.add_argument(
        "--late-ms", type=float, default=20.0, help="wait before each call of a store that answers late"
    )
    options = parser.parse_args()
    rows = min(options.rows, 200_000) if options.quick else options.rows
    print(
        f"{'what':<16}{'rows':>12}{'images':>12}{'first s':>9}{'s':>9}{'rows/s':>12}{'CPU s':>8}{'calls':>7}{'MiB':>8}"
    )
    lines = []
    late_s = options.late_ms / 1000
    for what, images, wait_s in (("near", rows, 0.0), ("late", rows, late_s), ("all twice", rows // 2, late_s)):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "buckets" / BUCKET).mkdir(parents=True)
            write_list(folder / "buckets" / BUCKET / "list.csv", rows, images)
            lines.append(alone(folder, what, wait_s))
            if what == "late":
                lines.append(alone(folder, "whole again", wait_s))
    for line in lines:
        print(
            f"{line.what:<16}{line.rows:>12,}{line.images:>12,}{line.first_s:>9}{line.elapsed_s:>9}{line.rate:>12,.0f}"
            f"{line.cpu_s:>8}{line.calls:>7}{line.most_mib:>8}"
        )
    near, late = lines[0], lines[1]
    results.close(
        __file__,
        options,
        {"runs": [dataclasses.asdict(line) for line in lines], "limit": RATE_LIMIT, "share": SHARE},
        source="docs/batch-prediction.md",
        conditions=f"a list of {rows:,} rows in a folder of this machine; {options.late_ms} ms before each late call",
        figures={"near_rows_per_s": round(near.rate), "late_rows_per_s": round(late.rate), "most_mib": late.most_mib},
    )
    is_even = options.quick or late.rate >= SHARE * near.rate  # a short list is soon read, and its few calls count
    return 0 if is_even and late.rate >= RATE_LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
