"""How long it takes until something happens: start of the service, first and later jobs, first results of a large one.

    python -m benchmarks.serving.startup [--quick] [--model FOLDER] [--images FOLDER] [--times 7]

    ready        from starting `boxwright serve` until it answers that it is ready
    cold         72 images on a service that has run no job: from the call of batchPredict to `done`
    warm         the same right after it
    first_shard  a large job on the warm service: from the call until the first file of results is in its folder

Each time is a service started anew on the same data; medians over times, the worst beside them. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time

from benchmarks.harness import arguments, pictures, results, serving

SMALL_IMAGES = 72
ORIGINALS = {"vga": 24}
POLL_S = 0.005
FIRST_SHARD_TIMEOUT_S = 600
SHARD = "image_object_detection_*.jsonl"
LINES = ("ready", "cold", "warm", "first_shard")


def first_shard(service: serving.Service, list_uri: str) -> float:
    """Seconds from the call until a shard is there; cancels the rest of the job."""
    pause, started_s = threading.Event(), time.perf_counter()
    name, folder = service.start_batch(list_uri)
    while not any(folder.glob(f"*/{SHARD}")):
        if time.perf_counter() - started_s > FIRST_SHARD_TIMEOUT_S:
            raise TimeoutError(f"no shard below {folder} in {FIRST_SHARD_TIMEOUT_S} s")
        pause.wait(POLL_S)
    elapsed_s = time.perf_counter() - started_s
    service.call("POST", f"{name}:cancel", {})
    while not service.call("POST", f"{name}:wait", {"timeout": "60s"}).get("done"):
        pass
    return elapsed_s


def measure(folder: pathlib.Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """Line → seconds of every time."""
    model = options.model or folder / "model"
    if options.model is None:
        serving.make_model(model, options.model_type, options.precision)
    if options.images is not None:
        files = pictures.copied(options.images, folder / "images")
    else:
        files = pictures.make(folder / "images", ["vga"], ORIGINALS)["vga"]
    service = serving.Service(folder / "service", model)
    small = serving.fill_bucket(service.bucket, "small", pictures.listed(files, SMALL_IMAGES))
    large = serving.fill_bucket(service.bucket, "large", pictures.listed(files, options.large))
    found: dict[str, list[float]] = {name: [] for name in LINES}
    for _ in range(options.times):
        with service.running() as ready_s:
            found["ready"].append(ready_s)
            found["cold"].append(service.batch(small)[0])
            found["warm"].append(service.batch(small)[0])
            found["first_shard"].append(first_shard(service, large))
    return found


def main() -> int:
    parser = arguments.parser(__doc__, quick="once, a smaller large job, under 45 s")
    arguments.add_model(parser)
    arguments.add_images(parser)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--large", type=int, default=20_000, help="images of the large job (default 20000)")
    options = parser.parse_args()
    if options.quick:
        options.times, options.large = 1, 2000
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        found = measure(pathlib.Path(temporary), options)
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, {options.times} times; seconds")
    print(f"{'':14}{'median':>10}{'worst':>10}{'first':>10}")
    for name, times_s in found.items():
        print(f"{name:14}{statistics.median(times_s):>10.3f}{max(times_s):>10.3f}{times_s[0]:>10.3f}")
    result = {f"{name}_s": round(statistics.median(times_s), 3) for name, times_s in found.items()}
    result |= {f"{name}_worst_s": round(max(times_s), 3) for name, times_s in found.items()}
    result |= {"images": SMALL_IMAGES, "large_images": options.large, "times": options.times, "cores": cores}
    first_shard_name = f"first_shard_of_{options.large}_images_s"
    figures = {
        "ready_s": round(result["ready_s"], 2),
        f"cold_{SMALL_IMAGES}_images_s": round(result["cold_s"], 2),
        f"warm_{SMALL_IMAGES}_images_s": round(result["warm_s"], 2),
        first_shard_name: round(result["first_shard_s"], 2),
    }
    results.close(
        __file__,
        options,
        {**result, "quick": options.quick},
        source="docs/benchmarks.md",
        conditions=f"{options.times} times, medians",
        figures=figures,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
