"""What a row costs as lists grow, what more cores bring, and how long small jobs wait beside a huge one.

    python -m benchmarks.batch.scaling [--quick] [--most-rows 1000000] [--images 2000] [--jobs 100]

rows: generated lists of a hundred rows to a million, with a model that does not look: Boxwright's own work alone. Flat means
that a row of the longest list costs at most 1.25 times one of the list of ten thousand.
cores: small JPEGs through a tiny network, on 1, 2, … of this machine's cores, each in a process that may use no others.
jobs: a service with one huge batch and 99 small ones, called at once.
Prints three tables and ends with one JSON object.
"""

from __future__ import annotations

import datetime
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from benchmarks.batch import generated, memory
from benchmarks.harness import arguments, results, tiny_service

FLAT_FACTOR, FLAT_FROM_ROWS = 1.25, 10_000
SMALL_JOB_IMAGES, HUGE_JOB_FACTOR = 3, 5
PROBE = "import sys; from benchmarks.batch import scaling; scaling.predict_files(sys.argv[1], int(sys.argv[2]))"


def measure_rows(most_rows: int, threads: int, rounds: int) -> list[dict[str, float]]:
    """The best of a few rounds for each length, in this process; short lists more often."""
    found = []
    rows = 100
    while rows <= most_rows:
        best = None
        for _ in range(rounds if rows >= 100_000 else 3 * rounds):
            with tempfile.TemporaryDirectory() as folder:
                before_s = time.process_time()
                ran = generated.run(pathlib.Path(folder), rows, threads)
                cpu_s = time.process_time() - before_s
            if best is None or ran.total_s < best[0]:
                best = (ran.total_s, cpu_s)
        assert best is not None
        found.append(
            {
                "rows": rows,
                "images_per_s": round(rows / best[0], 1),
                "us_per_row": round(best[0] / rows * 1e6, 1),
                "cpu_us_per_row": round(best[1] / rows * 1e6, 1),
            }
        )
        print("{rows:>10}{images_per_s:>12}{us_per_row:>12}{cpu_us_per_row:>14}".format(**found[-1]), flush=True)
        rows *= 10
    return found


def predict_files(folder: str, cores: int) -> None:
    """Predicts what `measure_cores` wrote, in a process that may use so many cores; prints images per second."""
    from boxwright import objects
    from boxwright.batch.engine.engine import MachineEngine
    from boxwright.batch.engine.peer_pool import PeerPool
    from boxwright.batch.job import BatchJob, BatchSpec, JobFolders, MachineShare
    from boxwright.batch.output.sink import Sink
    from boxwright.batch.plan import Plan
    from boxwright.inference.predictor import Predictor

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])  # members inherit it
    root = pathlib.Path(folder)
    stores = objects.Stores(root / "buckets", root / "state")
    model_folder = root / "data" / "models" / tiny_service.MODEL_ID
    predictor, members = Predictor.open(model_folder, streams=1), PeerPool()
    members.gather(cores - 1)
    for name in ("warm-up", "measured"):
        name = f"{name}-{cores}"
        spec = BatchSpec(
            ["gs://files/list.csv"], f"gs://files/{name}", str(stores.state(f"operations/{name}")), 0.5, 100, 500, 0.5
        )
        job = BatchJob(spec, JobFolders(str(model_folder), stores.to_config()), MachineShare(cores))
        sink = Sink(spec, stores)
        sink.prepare()
        engine = MachineEngine(job, stores, predictor, sink, peers=members)
        started_s = time.perf_counter()
        done = sum(report.predicted for report in engine.run(Plan(spec, stores), lambda: False))
        seconds = time.perf_counter() - started_s
    members.close()
    print(done / seconds)


def measure_cores(folder: pathlib.Path, images: int) -> list[dict[str, float]]:
    """Images per second by number of cores."""
    tiny_service.install_apart(folder / "data")
    bucket = folder / "buckets" / "files"
    bucket.mkdir(parents=True)
    (bucket / "list.csv").write_text("".join(memory.write_files(bucket, images)))
    found: list[dict[str, float]] = []
    usable = len(os.sched_getaffinity(0))
    for cores in sorted({1, 2, *(1 << power for power in range(2, 8)), usable}):
        if cores > usable:
            break
        command = [sys.executable, "-c", PROBE, str(folder), str(cores)]
        answer = subprocess.run(command, check=True, cwd=results.ROOT, capture_output=True, text=True)
        rate = float(answer.stdout)
        first = found[0]["images_per_s"] if found else rate
        found.append({"cores": cores, "images_per_s": round(rate, 1), "speedup": round(rate / first, 2)})
        print("{cores:>10}{images_per_s:>12}{speedup:>12}".format(**found[-1]), flush=True)
    return found


def measure_jobs(folder: pathlib.Path, images: int, jobs: int) -> dict[str, Any]:
    """Seconds from the call to the end of each small job, called while a huge one runs."""
    bucket = folder / "buckets" / "files"
    bucket.mkdir(parents=True)
    rows = list(memory.write_files(bucket, images * HUGE_JOB_FACTOR))
    (bucket / "huge.csv").write_text("".join(rows))
    (bucket / "small.csv").write_text("".join(rows[:SMALL_JOB_IMAGES]))
    with tiny_service.running(folder, batch_slice_s=1, shard_images=100) as service:
        huge = service.start_batch("gs://files/huge.csv", "gs://files/huge/")
        small = [
            service.start_batch("gs://files/small.csv", f"gs://files/small/{number}/") for number in range(jobs - 1)
        ]
        operations = [service.finished(name) for name in [*small, huge]]
        resident_mib = service.resident_bytes() / memory.MIB
    waited_s = [_elapsed_s(operation) for operation in operations]
    p50, p99 = np.percentile(waited_s[:-1], [50, 99])
    return {
        "jobs": jobs,
        "failed": sum("error" in operation for operation in operations),
        "huge_s": round(waited_s[-1], 2),
        "small_p50_s": round(float(p50), 2),
        "small_p99_s": round(float(p99), 2),
        "small_before_huge": sum(_ended(one) < _ended(operations[-1]) for one in operations[:-1]),
        "resident_mib": round(resident_mib, 1),
    }


def _ended(operation: dict[str, Any]) -> datetime.datetime:
    return datetime.datetime.fromisoformat(operation["metadata"]["updateTime"])


def _elapsed_s(operation: dict[str, Any]) -> float:
    created = datetime.datetime.fromisoformat(operation["metadata"]["createTime"])
    return (_ended(operation) - created).total_seconds()


def _core_words(cores: float) -> str:
    return {1: "one_core", 2: "two_cores"}.get(int(cores), f"{cores:.0f}_cores")


def main() -> int:
    parser = arguments.parser(__doc__, quick="lists up to 100,000 rows, 500 images, 20 jobs: under 45 s")
    parser.add_argument("--most-rows", type=int, default=1_000_000, help="rows of the longest list")
    parser.add_argument(
        "--images", type=int, default=2000, help="small JPEGs for the cores; five times that, the huge job"
    )
    parser.add_argument("--jobs", type=int, default=100, help="jobs called at once")
    parser.add_argument("--threads", type=int, default=2, help="images under way at once while rows are measured")
    options = parser.parse_args()
    rounds = 3
    if options.quick:
        options.most_rows, options.images, options.jobs, rounds = 100_000, 500, 20, 1
    print(f"{'rows':>10}{'images/s':>12}{'us a row':>12}{'CPU us a row':>14}")
    rows = measure_rows(options.most_rows, options.threads, rounds)
    print(f"\n{'cores':>10}{'images/s':>12}{'times one':>12}")
    with tempfile.TemporaryDirectory() as folder:
        cores = measure_cores(pathlib.Path(folder), options.images)
    with tempfile.TemporaryDirectory() as folder:
        jobs = measure_jobs(pathlib.Path(folder), options.images, options.jobs)
    print(
        "\n{jobs} jobs at once, one of them huge: {failed} failed; the huge one took {huge_s} s, of the small ones half "
        "{small_p50_s} s and 99 in 100 {small_p99_s} s; {small_before_huge} of them ended before it".format(**jobs)
    )
    middle = next(line for line in rows if line["rows"] == FLAT_FROM_ROWS)
    factor = round(rows[-1]["cpu_us_per_row"] / middle["cpu_us_per_row"], 2)
    ok = factor <= FLAT_FACTOR and not jobs["failed"]
    figures = {
        **{f"{_core_words(line['cores'])}_images_per_s": round(line["images_per_s"]) for line in cores},
        "jobs": options.jobs,
        "huge_job_images": options.images * HUGE_JOB_FACTOR,
        "huge_job_s": round(jobs["huge_s"]),
        "small_jobs": options.jobs - 1,
        "small_job_median_s": round(jobs["small_p50_s"], 1),
        "small_job_p99_s": round(jobs["small_p99_s"], 1),
        "jobs_afterwards_mib": round(jobs["resident_mib"]),
        "us_per_row": {str(line["rows"]): line["us_per_row"] for line in rows},
    }
    results.close(
        __file__,
        options,
        {"rows": rows, "cost_factor": factor, "cores": cores, "jobs": jobs, "ok": ok},
        source="docs/benchmarks.md",
        conditions="tiny images (96 x 64), a tiny network; two lanes, turns of a second",
        figures=figures,
    )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
