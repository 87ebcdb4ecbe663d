"""What dry runs say of the time of a job, against the job; and how long dry runs of large lists take.

    python -m benchmarks.batch.dry_run [--quick] [--model FOLDER] [--jobs vga,12mp,mix,missing,store,small,tiny] [--rounds 2]
    python -m benchmarks.batch.dry_run --jobs '' --rows 100000,1000000

For each kind of job the dry run and the job run in turn on one service, so that both have the same cores. `store` is read
through a line that keeps each request for 60 ms; of `missing` half of the images are not there; `small` has 72 images and
`tiny` 6. The bar is a time within 20 % for nine of ten jobs. `--rows` makes lists of so many rows, of which 1,000 images are
there. Prints a table and ends with one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.harness import arguments, pictures, results, serving, slow_store

KINDS = {"vga": "vga", "12mp": "12mp", "mix": "mix", "missing": "vga", "store": "vga", "small": "vga", "tiny": "vga"}
COUNTS = {"vga": 3000, "12mp": 250, "mix": 1200, "missing": 4000, "store": 2000, "small": 72, "tiny": 6}
ORIGINALS = {"vga": 24, "1080p": 8, "12mp": 4}
DELAY_S = 0.06
THERE = 1000  # images of a large list that are there
BAR, LIST_BARS_S = 0.2, {100_000: 15.0, 1_000_000: 60.0}


@dataclasses.dataclass(frozen=True)
class Compared:
    """A dry run and its job."""

    job: str
    images: int
    dry_run_s: float
    said_s: float
    low_s: float
    high_s: float
    took_s: float
    limited_by: str

    @property
    def error(self) -> float:
        """Of what was said, as a share of what it took."""
        return self.said_s / self.took_s - 1


def _run(service: serving.Service, list_uri: str, **params: str) -> tuple[float, dict[str, str]]:
    """One call to its end; returns (seconds from the call to `done`, the response's metadata)."""
    body = {
        "inputConfig": {"gcsSource": {"inputUris": [list_uri]}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": f"gs://{serving.BUCKET}/out-{time.monotonic_ns()}/"}},
        "params": params,
    }
    started_s = time.perf_counter()
    name = str(service.call("POST", f"{serving.MODEL}:batchPredict", body)["name"])
    while not (operation := service.call("POST", f"{name}:wait", {"timeout": "60s"})).get("done"):
        pass
    elapsed_s = time.perf_counter() - started_s
    if "error" in operation:
        raise RuntimeError(str(operation["error"]))
    metadata: dict[str, str] = operation["response"]["metadata"]
    return elapsed_s, metadata


def _fill(bucket: pathlib.Path, job: str, files: Sequence[pathlib.Path], count: int) -> str:
    """Puts a job's images and its list into the bucket; returns the list's address."""
    uri = serving.fill_bucket(bucket, job, pictures.listed(files, count))
    if job == "missing":
        path = bucket / f"{job}.csv"
        rows = path.read_text().splitlines()
        path.write_text("".join(f"{row if n % 2 else row + '.gone.jpg'}\n" for n, row in enumerate(rows)))
    return uri


def compare(folder: pathlib.Path, options: argparse.Namespace, model: pathlib.Path) -> Iterator[Compared]:
    """Yields each job of each round."""
    wanted = sorted({KINDS[job] for job in options.jobs})
    files = pictures.make(folder / "images", wanted, ORIGINALS)
    for where in ("folder", "store"):
        jobs = [job for job in options.jobs if (job == "store") == (where == "store")]
        if not jobs:
            continue
        service_folder = folder / f"service-{where}"
        with contextlib.ExitStack() as opened:
            environment = {}
            if where == "store":
                environment = opened.enter_context(
                    slow_store.running(service_folder / "buckets", serving.BUCKET, DELAY_S)
                )
            service = serving.Service(service_folder, model, environment)
            lists = {
                job: _fill(service.bucket, job, files[KINDS[job]], round(COUNTS[job] * options.scale)) for job in jobs
            }
            opened.enter_context(service.running())
            for _ in range(options.rounds):
                for job, uri in lists.items():
                    dry_run_s, told = _run(service, uri, validate_only="true")
                    took_s, done = _run(service, uri)
                    said, low, high = (float(told[key]) for key in ("seconds", "seconds_low", "seconds_high"))
                    limit = told["limited_by"]
                    yield Compared(job, int(done["images"]), dry_run_s, said, low, high, took_s, limit)


def time_lists(folder: pathlib.Path, rows: Sequence[int], model: pathlib.Path) -> dict[int, float]:
    """Seconds of a dry run of a list, by its rows."""
    files = pictures.make(folder / "few", ["vga"], ORIGINALS)["vga"]
    service = serving.Service(folder / "service-lists", model)
    there = serving.fill_bucket(service.bucket, "there", pictures.listed(files, THERE))
    found = {}
    with service.running():
        _run(service, there, validate_only="true")  # the model is loaded
        for count in rows:
            name = f"list-{count}.csv"
            with (service.bucket / name).open("w") as target:
                for number in range(count):
                    known = number % (count // THERE) == 0 and number // (count // THERE) < THERE
                    key = f"there/{number // (count // THERE):06d}.jpg" if known else f"gone/{number:08d}.jpg"
                    target.write(f"gs://{serving.BUCKET}/{key}\n")
            found[count] = round(_run(service, f"gs://{serving.BUCKET}/{name}", validate_only="true")[0], 2)
    return found


def main() -> int:
    parser = arguments.parser(__doc__, quick="three small kinds once, a list of 20,000 rows")
    arguments.add_model(parser)
    parser.add_argument("--jobs", type=lambda text: [one for one in text.split(",") if one], default=list(KINDS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of images")
    parser.add_argument(
        "--rows", type=lambda text: [int(one) for one in text.split(",") if one], default=[100_000, 1_000_000]
    )
    options = parser.parse_args()
    if options.quick:
        options.jobs, options.rounds, options.scale, options.rows = ["vga", "missing", "tiny"], 1, 0.2, [20_000]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = pathlib.Path(temporary)
        model = options.model or folder / "model"
        if options.model is None:
            serving.make_model(model, options.model_type, options.precision)
        print(f"{'job':9}{'images':>8}{'dry run':>9}{'said':>8}{'from':>8}{'to':>8}{'took':>8}{'error':>8}  limited by")
        compared = []
        for one in compare(folder, options, model):
            compared.append(one)
            times = f"{one.dry_run_s:>9.1f}{one.said_s:>8.1f}{one.low_s:>8.1f}{one.high_s:>8.1f}{one.took_s:>8.1f}"
            print(f"{one.job:9}{one.images:>8}{times}{one.error:>8.0%}  {one.limited_by}", flush=True)
        lists_s = time_lists(folder, options.rows, model) if options.rows else {}
    for rows, spent_s in lists_s.items():
        bar = f" (bar {LIST_BARS_S[rows]:.0f} s)" if rows in LIST_BARS_S else ""
        print(f"dry run of {rows:,} rows: {spent_s:.1f} s{bar}")
    within = sum(abs(one.error) <= BAR for one in compared)
    if compared:
        print(f"{within} of {len(compared)} within {BAR:.0%}")
    found: dict[str, Any] = {
        "jobs": [dataclasses.asdict(one) | {"error": round(one.error, 3)} for one in compared],
        "within_20_percent": within,
        "list_s": {str(rows): spent_s for rows, spent_s in lists_s.items()},
        "cores": len(os.sched_getaffinity(0)),
        "quick": options.quick,
    }
    figures = {"jobs": len(compared), "within_20_percent": within, **{f"rows_{n}_s": s for n, s in lists_s.items()}}
    results.close(
        __file__,
        options,
        json.loads(json.dumps(found)),
        source="docs/batch-prediction.md",
        conditions="",
        figures=figures,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
