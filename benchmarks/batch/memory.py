"""Resident memory against images: a generated list of ten million rows, and a folder of small files through the service.

    python -m benchmarks.batch.memory [--quick] [--rows 10000000] [--files 200000] [--plot memory.svg]

The first part takes a generated list through the plan, the engine and the files with a model that does not look, in this
process, whose environment is an inference child's. The second starts a service, writes small JPEGs into a bucket and
predicts them over the API with a tiny network; what is measured is the service and its inference child together, pages
that they share counted twice. A run is flat when nothing after the first tenth of its images, the manifest included,
takes more than 5 % above that tenth's end; in the short list of `--quick` that is its first 200,000 rows, by when what
has a fixed size has grown to it. Prints a table, writes the curves as a picture, and ends with one JSON object. `--rows
0` or `--files 0` leaves a part out.
"""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import psutil
from PIL import Image

from benchmarks.batch import generated
from benchmarks.harness import arguments, plot, results, tiny_service, workers
from boxwright.processes import FEW_HEAPS

MIB = 1 << 20
POINTS = 100  # of a curve
SAMPLE_INTERVAL_S = 0.05
LIMIT_MIB, FLAT_PERCENT = 1024, 5.0
FILES_PER_FOLDER = 1000
WARM_ROWS = 200_000  # the ids met fill the memory that they may use


class Curve:
    """The highest resident memory seen in each hundredth of a run, and during what follows the last image."""

    def __init__(self, images: int, judged_from: int = 0) -> None:
        self._images = images
        self._from_percent = max(10.0, 100 * judged_from / images)
        self._most_bytes = [0] * (POINTS + 1)

    def add(self, done: int, rss_bytes: int) -> None:
        place = min(POINTS, done * POINTS // self._images)
        self._most_bytes[place] = max(self._most_bytes[place], rss_bytes)

    def points(self) -> list[tuple[float, float]]:
        """(share of the images in per cent, MiB), where anything was measured."""
        return [(100 * place / POINTS, most / MIB) for place, most in enumerate(self._most_bytes) if most]

    def level_mib(self) -> float:
        """What had been reached when a tenth of the images was done: the last sample before or at that point."""
        return [mib for percent, mib in self.points() if percent <= self._from_percent][-1]

    def later_mib(self) -> float:
        """The most after that."""
        return max(mib for percent, mib in self.points() if percent >= self._from_percent)


@dataclasses.dataclass(frozen=True)
class Measured:
    """One line of the table."""

    what: str
    images: int
    images_per_s: float
    early_mib: float
    later_mib: float
    peak_mib: float
    grown_percent: float
    ok: bool


def measured(what: str, images: int, elapsed_s: float, curve: Curve, peak_mib: float) -> Measured:
    level, later = curve.level_mib(), curve.later_mib()
    grown = 100 * (later / level - 1)
    ok = max(peak_mib, later) < LIMIT_MIB and grown <= FLAT_PERCENT
    return Measured(
        what, images, round(images / elapsed_s, 1), round(level, 1), round(later, 1), round(max(peak_mib, later), 1),
        round(grown, 2), ok,
    )  # fmt: skip


def sample(until: Callable[[], bool], look: Callable[[], None]) -> threading.Thread:
    """Looks again and again in a thread until `until` says so."""
    pause = threading.Event()

    def run() -> None:
        while not until():
            look()
            pause.wait(SAMPLE_INTERVAL_S)

    thread = threading.Thread(target=run, name="sampler")
    thread.start()
    return thread


def null_run(folder: pathlib.Path, rows: int, threads: int) -> tuple[Measured, Curve]:
    """The generated list, in this process."""
    curve, process = Curve(rows, min(WARM_ROWS, rows // 2)), psutil.Process()
    samplers: list[threading.Thread] = []

    def watch(progress: generated.Progress) -> None:
        samplers.append(
            sample(lambda: progress.ended, lambda: curve.add(progress.images_done, process.memory_info().rss))
        )

    ran = generated.run(folder, rows, threads, watch)
    samplers[0].join()
    curve.add(rows, process.memory_info().rss)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # between the samples too
    return measured(f"list of {rows:,} rows", rows, ran.total_s, curve, peak_mib), curve


def write_files(bucket: pathlib.Path, count: int) -> Iterator[str]:
    """Writes small JPEGs, no two alike; yields their rows."""
    pixels = np.random.default_rng(0).integers(0, 255, (8, 12, 3), np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels).resize((96, 64), Image.Resampling.BICUBIC).save(target, "JPEG", quality=85)
    content = target.getvalue()
    for number in range(count):
        folder = bucket / f"{number // FILES_PER_FOLDER:04d}"
        if number % FILES_PER_FOLDER == 0:
            folder.mkdir(parents=True)
        comment = f"{number:09d}".encode()
        marked = content[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + content[2:]
        (folder / f"{number:06d}.jpg").write_bytes(marked)
        yield f"gs://{bucket.name}/{folder.name}/{number:06d}.jpg\n"


def service_run(folder: pathlib.Path, files: int) -> tuple[Measured, Curve]:
    """Small files through the service."""
    bucket = folder / "buckets" / "files"
    bucket.mkdir(parents=True)
    with (bucket / "list.csv").open("w") as rows:
        rows.writelines(write_files(bucket, files))
    curve = Curve(files)
    with tiny_service.running(folder) as service:
        name = service.start_batch("gs://files/list.csv", "gs://files/out/")
        started_s = time.perf_counter()
        shard_images, ended = service.shard_images, threading.Event()

        def look() -> None:
            shards = sum(1 for _ in (bucket / "out").glob("prediction-*/image_object_detection_*.jsonl"))
            curve.add(shards * shard_images, service.resident_bytes())

        sampler = sample(ended.is_set, look)
        try:
            operation = service.finished(name)
        finally:
            ended.set()
            sampler.join()
        elapsed_s = time.perf_counter() - started_s
        if "error" in operation:
            raise RuntimeError(operation["error"]["message"])
        curve.add(files, service.resident_bytes())
    peak_mib = max(mib for _, mib in curve.points())
    return measured(f"service, {files:,} files", files, elapsed_s, curve, peak_mib), curve


def main() -> int:
    parser = arguments.parser(__doc__, quick="400,000 rows and 5,000 files, under 45 s in all")
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the generated list")
    parser.add_argument("--files", type=int, default=200_000, help="small files through the service")
    parser.add_argument("--threads", type=int, default=2, help="images under way at once in the first part")
    parser.add_argument("--plot", type=pathlib.Path, default=pathlib.Path("memory.svg"), help="where the picture goes")
    options = parser.parse_args()
    if not os.environ.items() >= FEW_HEAPS.items():  # the C library reads it once, when a process starts
        command = [*workers.of_module("benchmarks.batch.memory"), *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | FEW_HEAPS)
    if options.quick:
        options.rows, options.files = min(options.rows, 400_000), min(options.files, 5_000)
    found: list[tuple[Measured, Curve]] = []
    print(f"{'run':<28}{'images/s':>10}{'early MiB':>13}{'later MiB':>11}{'peak MiB':>10}{'grown %':>9}")
    for part, size in ((lambda folder: null_run(folder, options.rows, options.threads), options.rows),
                       (lambda folder: service_run(folder, options.files), options.files)):  # fmt: skip
        if not size:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found.append(part(pathlib.Path(folder)))
        line = found[-1][0]
        print(
            f"{line.what:<28}{line.images_per_s:>10}{line.early_mib:>13}{line.later_mib:>11}{line.peak_mib:>10}"
            f"{line.grown_percent:>9}",
            flush=True,
        )
    options.plot.write_text(
        plot.lines(
            "Resident memory while a batch runs",
            "images done, per cent",
            "MiB",
            {line.what: curve.points() for line, curve in found},
        )
    )
    lines = [dataclasses.asdict(line) for line, _ in found]
    figures: dict[str, float] = {}
    for name, (line, _) in zip((name for name in ("rows", "files") if getattr(options, name)), found, strict=True):
        figures |= {
            name: line.images,
            f"{name}_after_a_tenth_mib": line.early_mib,
            f"{name}_most_mib": line.later_mib,
            f"{name}_growth_percent": round(line.grown_percent, 1),
        }
    results.close(
        __file__,
        options,
        {"limit_mib": LIMIT_MIB, "flat_percent": FLAT_PERCENT, "plot": options.plot.name, "runs": lines},
        source="docs/batch-prediction.md",
        conditions="resident memory; most is the highest value after the first tenth of the run",
        figures=figures,
    )
    return 0 if all(line.ok for line, _ in found) else 1


if __name__ == "__main__":
    sys.exit(main())
