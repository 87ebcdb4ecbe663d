"""How many images jobs of three priorities get, with real jobs that all wait for one lane.

    python -m benchmarks.batch.priorities [--quick] [--jobs 10] [--turns 84]

A service with one lane gets so many jobs of each priority at once, each with a list that no job gets to the end of. After so
many turns the images of all jobs are added up by priority. The shares shall be within 10 % of 4 : 2 : 1. Prints a table and
ends with one JSON object.
"""

from __future__ import annotations

import collections
import contextlib
import pathlib
import sys
import tempfile
import time
from typing import Any

import sqlalchemy as sa

from benchmarks.batch import memory
from benchmarks.harness import arguments, results, tiny_service
from boxwright.metadata import database
from boxwright.metadata.schema import operations

WEIGHTS = {"high": 4, "normal": 2, "low": 1}
TOLERANCE = 0.1
SLICE_S, SHARD_IMAGES = 1.5, 50


def measure(folder: pathlib.Path, jobs: int, turns: int, images: int) -> dict[str, Any]:
    """Images and turns by priority, after so many turns of all together."""
    bucket = folder / "buckets" / "files"
    bucket.mkdir(parents=True)
    (bucket / "list.csv").write_text("".join(memory.write_files(bucket, images)))
    settings = {"batch_slice_s": SLICE_S, "shard_images": SHARD_IMAGES, "batch_jobs": 1}
    with tiny_service.running(folder, **settings) as service:
        for number in range(jobs):
            for priority in WEIGHTS:
                body = {
                    "inputConfig": {"gcsSource": {"inputUris": ["gs://files/list.csv"]}},
                    "outputConfig": {"gcsDestination": {"outputUriPrefix": f"gs://files/{priority}/{number}/"}},
                    "params": {"priority": priority, "report": "false"},
                }
                service.call("POST", f"{tiny_service.PARENT}/models/{tiny_service.MODEL_ID}:batchPredict", body)
        with contextlib.closing(database.Database(folder / "data" / "metadata.sqlite")) as db:
            while sum(row.lease_epoch for row in _rows(db)) <= turns:
                time.sleep(0.2)
            rows = _rows(db)
    counts: collections.Counter[str] = collections.Counter()
    taken: collections.Counter[str] = collections.Counter()
    for row in rows:
        counts[row.priority] += int((row.progress or {}).get("tried", 0))
        taken[row.priority] += row.lease_epoch
    ended = sum(row.done_time_us is not None for row in rows)
    return {"images": dict(counts), "turns": dict(taken), "ended": ended}


def _rows(db: database.Database) -> list[Any]:
    columns = (
        operations.c.priority,
        operations.c.progress,
        operations.c.lease_epoch,
        operations.c.done_time_us,
    )
    with db.read() as connection:
        return list(connection.execute(sa.select(*columns)).all())


def main() -> int:
    parser = arguments.parser(__doc__, quick="2 jobs of each priority, 21 turns: under 60 s")
    parser.add_argument("--jobs", type=int, default=10, help="of each priority")
    parser.add_argument("--turns", type=int, default=84, help="of all jobs together")
    parser.add_argument("--images", type=int, default=20_000, help="in each list")
    options = parser.parse_args()
    if options.quick:
        options.jobs, options.turns = 2, 21
    with tempfile.TemporaryDirectory() as folder:
        found = measure(pathlib.Path(folder), options.jobs, options.turns, options.images)
    total, weights = sum(found["images"].values()), sum(WEIGHTS.values())
    lines = []
    print(f"{'priority':>10}{'turns':>8}{'images':>10}{'share':>8}{'wanted':>8}{'off by':>8}")
    for priority, weight in WEIGHTS.items():
        share, wanted = found["images"][priority] / total, weight / weights
        lines.append({"priority": priority, "share": round(share, 4), "off_by": round(share / wanted - 1, 4)})
        print(
            f"{priority:>10}{found['turns'][priority]:>8}{found['images'][priority]:>10}{share:>8.3f}{wanted:>8.3f}"
            f"{share / wanted - 1:>8.1%}"
        )
    ok = not found["ended"] and all(abs(line["off_by"]) <= TOLERANCE for line in lines)
    results.close(
        __file__,
        options,
        {**found, "shares": lines, "ok": ok},
        source="docs/benchmarks.md",
        conditions="tiny images (96 x 64), a tiny network; one lane, turns of 1.5 s",
        figures={f"{line['priority']}_share": line["share"] for line in lines},
    )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
