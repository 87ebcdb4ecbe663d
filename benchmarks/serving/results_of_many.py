"""The console's page of a batch job of a million images in a real Chromium: how long it takes until it shows something.

    python -m benchmarks.serving.results_of_many [--quick] [--images 1000000] [--no-report] [--times 5]

    first        until the counts are shown, in a service that has just started and has read nothing of the job
    first_tiles  until the images of the first page are shown with what was found, from the same moment
    open, tiles  the same for each later visit
    filter       from the choice of a label until its images are shown

The results are drawn at random, five findings an image in ten labels; the files are those of a job. Its images are not
there, so no picture is made. Without a report, counts are summed from the files of candidates.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import sqlalchemy as sa
from tests.support.clients.console_page import ConsolePage, open_console
from tests.support.predictions.batch_jobs import Bench
from tests.support.predictions.tables import detections, table_of
from tests.support.releases import data_folder

from benchmarks.harness import arguments, results, serving
from benchmarks.serving.results_page import OPEN
from boxwright import states
from boxwright.batch.output import candidates, sidecars
from boxwright.batch.output.candidates import CandidatesOrigin, CandidateTable
from boxwright.batch.output.sink import Sink
from boxwright.batch.report.reporting import Reporter
from boxwright.metadata import database, schema

LABELS = [[str(number), f"label {number}"] for number in range(10)]
SHARD, FOUND, DRAWN = 500, 5, 8  # images of a shard, findings of an image, shards that are drawn
TILES = """new Promise((done) => {
  const isThere = () => document.querySelectorAll('main .tile .caption').length === 36;
  const look = () => isThere() ? done(performance.now()) : requestAnimationFrame(look);
  look();
})"""
FILTER = """(async () => {
  const start = performance.now();
  const before = document.querySelector('main .tile');
  document.querySelectorAll('main .chip')[1].click();
  const isOther = () => document.querySelector('main .tile') && document.querySelector('main .tile') !== before;
  await new Promise((done) => {
    const look = () => isOther() ? done(0) : requestAnimationFrame(look);
    look();
  });
  return performance.now() - start;
})()"""


def _drawn(first: int, seed: int) -> CandidateTable:
    random = np.random.default_rng(seed)
    left_top = random.uniform(0, 0.7, (SHARD, FOUND, 2))
    scores, labels = random.uniform(0.05, 1, (SHARD, FOUND)), random.integers(0, len(LABELS), (SHARD, FOUND))
    found = [
        detections(
            [(x, y, x + 0.2, y + 0.2, float(score), int(label)) for (x, y), score, label in zip(*one, strict=True)]
        )
        for one in zip(left_top, scores, labels, strict=True)
    ]
    return table_of(found=found, first=first)


def write(root: pathlib.Path, images: int, *, has_report: bool) -> None:
    """The folder ``gs://b/job`` of a job of that many images, with candidates; the result lines are empty objects."""
    bench = Bench(root)
    spec = bench.spec(labels=LABELS, candidate_floor=0.05, model="projects/p/locations/l/models/m")
    origin = CandidatesOrigin(spec.kind, spec.model, "d", 0.05, LABELS)
    sink = Sink(spec, bench.stores)
    drawn = [_drawn(0, seed) for seed in range(DRAWN)]
    for shard in range(1, images // SHARD + 1):
        ids = [f"gs://b/{number:07d}.jpg" for number in range((shard - 1) * SHARD, shard * SHARD)]
        table = dataclasses.replace(drawn[shard % DRAWN], ids=ids)
        sink.commit(
            shard, [b"{}\n"] * SHARD, [], [], beside={sidecars.CANDIDATES: candidates.to_parquet(table, origin)}
        )
    reporter = Reporter(dataclasses.replace(spec, report=True), bench.stores, root / "no-model", None, lambda: False)
    report = reporter.report if has_report else None
    sink.close("SUCCEEDED", rows_read=images // SHARD * SHARD, duplicates=0, model_digest="d", report=report)


def _service_folder(folder: pathlib.Path) -> tuple[pathlib.Path, str]:
    """The data of an earlier release, and the id of a batch prediction in it, which has that output folder now."""
    data_folder.unpack(sorted(data_folder.FOLDER.glob("*.zip"))[0], folder / "release")
    data_dir = folder / "release" / "data"
    migrate = [sys.executable, "-m", "boxwright.cli", "migrate", "--data-dir", str(data_dir)]
    subprocess.run(migrate, check=True, capture_output=True)
    db, operations = database.Database(data_dir / "metadata.sqlite"), schema.operations
    with db.write() as connection:
        ended = sa.select(operations.c.id).where(
            operations.c.kind == states.OperationKind.BATCH_PREDICT,
            operations.c.state == states.OperationState.SUCCEEDED,
        )
        batch = str(connection.execute(ended).scalars().first())
        connection.execute(sa.update(operations).where(operations.c.id == batch).values(output_directory="gs://b/job"))
    db.close()
    return data_dir, batch


def _visit(console: ConsolePage, batch: str) -> tuple[float, float]:
    console.page.go("about:blank")
    console.page.go(f"{console.root}#/batches/{batch}/results")
    return float(console.page.run(OPEN)), float(console.page.run(TILES))


def measure(folder: pathlib.Path, images: int, times: int, *, has_report: bool) -> dict[str, float]:
    """What the visits show, by name."""
    write(folder / "job", images, has_report=has_report)
    data_dir, batch = _service_folder(folder)
    with (
        serving.served(data_dir, folder / "job" / "buckets", folder / "log") as url,
        open_console(folder, f"{url}/console/") as console,
    ):
        first, first_tiles = _visit(console, batch)
        later = [_visit(console, batch) for _ in range(times)]
        chosen = float(console.page.run(FILTER))
    return {
        "first_ms": round(first),
        "first_tiles_ms": round(first_tiles),
        "open_ms": round(statistics.median(one for one, _ in later)),
        "tiles_ms": round(statistics.median(one for _, one in later)),
        "filter_ms": round(chosen),
    }


def main() -> int:
    parser = arguments.parser(__doc__, quick="20,000 images, two visits")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--no-report", action="store_true", help="the job has kept candidates, and made no report")
    parser.add_argument("--times", type=int, default=5)
    options: argparse.Namespace = parser.parse_args()
    if options.quick:
        options.images, options.times = 20_000, 2
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = pathlib.Path(temporary)
        figures = measure(folder, options.images, options.times, has_report=not options.no_report)
    load = os.getloadavg()[0]
    print(f"{options.images} images, {options.times} visits, load {load:.1f}: {figures}")
    results.close(
        __file__,
        options,
        {**figures, "images": options.images, "load": load, "quick": options.quick, "report": not options.no_report},
        source="docs/console.md",
        conditions=f"{options.images} images, {options.times} visits, medians",
        figures=figures,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
