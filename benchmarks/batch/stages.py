"""Where the time of one image goes, by stage, and how much of the machine is used.

    python -m benchmarks.batch.stages [--quick] [--model FOLDER | --model-type TYPE] [--images FOLDER]
                                      [--kinds vga,1080p,12mp,mix]

Runs the engine over whole jobs, with all cores, and measures its stages. Wall time is per image in a thread: with as many
threads as cores, it includes waiting for a core. CPU time is what the processor did; `other` is what the process used
outside all stages: reading the list, queues, threads, JSON of the plan. `outside` is everything but
decode, letterbox, inference and post-processing. Medians over rounds. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
from typing import Any

from benchmarks.batch import stage_clock
from benchmarks.harness import arguments, pictures, results, serving, workers

ORIGINALS = {"vga": 24, "1080p": 12, "12mp": 6}
QUICK_ORIGINALS = {"vga": 4, "1080p": 2, "12mp": 1}
QUICK_COUNTS = {"vga": 300, "1080p": 200, "12mp": 40, "mix": 200}


def line_of(answer: dict[str, Any]) -> dict[str, float]:
    """One job's figures: ms per image by stage, and shares."""
    images, cpu_s = answer["images"], answer["cpu_s"]
    line: dict[str, float] = {}
    inside_s = work_s = 0.0
    for stage, (calls, wall_s, stage_cpu_s) in answer["stages"].items():
        if calls < images and stage != "sink":
            raise RuntimeError(f"the stage {stage} was seen {calls} times for {images} images")
        line[f"{stage}_wall_ms"] = wall_s / images * 1e3
        line[f"{stage}_cpu_ms"] = stage_cpu_s / images * 1e3
        inside_s += stage_cpu_s
        work_s += stage_cpu_s if stage in stage_clock.WORK else 0.0
    line["other_cpu_ms"] = (cpu_s - inside_s) / images * 1e3
    line["total_cpu_ms"] = cpu_s / images * 1e3
    line["cpu_outside_percent"] = 100 * (1 - work_s / cpu_s)
    line["cpu_use_percent"] = 100 * cpu_s / answer["seconds"] / answer["cores"]
    line["images_per_s"] = images / answer["seconds"]
    return line


def measure(folder: pathlib.Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Kind → medians over rounds."""
    model = options.model or folder / "model"
    if options.model is None:
        serving.make_model(model, options.model_type, options.precision)
    counts: dict[str, int] = QUICK_COUNTS if options.quick else dict.fromkeys(pictures.KINDS, options.count)
    if options.images is not None:
        files = {"given": pictures.copied(options.images, folder / "images")}
    else:
        originals = QUICK_ORIGINALS if options.quick else ORIGINALS
        files = pictures.make(folder / "images", options.kinds, originals)
    bucket = folder / "service" / "buckets" / serving.BUCKET
    bucket.mkdir(parents=True)
    lists = {
        kind: serving.fill_bucket(bucket, kind, pictures.listed(found, counts.get(kind, counts["mix"])))
        for kind, found in files.items()
    }
    small = serving.fill_bucket(bucket, "small", pictures.listed(next(iter(files.values())), 16))
    worker = workers.Worker(
        *workers.of_module("benchmarks.batch.own"), "engine", model, folder / "service", log=folder / "log"
    )
    lines: dict[str, list[dict[str, float]]] = {kind: [] for kind in files}
    try:
        worker.ask(list=small, name="warm-up")
        for number in range(options.rounds):
            for kind, uri in lists.items():
                lines[kind].append(line_of(worker.ask(list=uri, name=f"{kind}-{number}-results")))
    finally:
        worker.close()
    return {
        kind: {name: round(statistics.median(one[name] for one in found), 3) for name in found[0]}
        for kind, found in lines.items()
    }


def main() -> int:
    parser = arguments.parser(__doc__, quick="few images, one round, under 45 s; numbers mean little")
    arguments.add_model(parser)
    arguments.add_images(parser)
    arguments.add_kinds(parser)
    options = parser.parse_args()
    if options.quick:
        options.rounds = 1
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(pathlib.Path(temporary), options)
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, {options.rounds} rounds; milliseconds per image")
    print(f"{'':16}" + "".join(f"{kind:>20}" for kind in found))
    print(f"{'':16}" + f"{'wall':>12}{'CPU':>8}" * len(found))
    for stage in stage_clock.STAGES:
        cells = ((line[f"{stage}_wall_ms"], line[f"{stage}_cpu_ms"]) for line in found.values())
        print(f"{stage:16}" + "".join(f"{wall:>12.3f}{cpu:>8.3f}" for wall, cpu in cells))
    for name, shown in (("other_cpu_ms", "other"), ("total_cpu_ms", "total")):
        print(f"{shown:16}" + "".join(f"{line[name]:>20.3f}" for line in found.values()))
    for name in ("cpu_outside_percent", "cpu_use_percent", "images_per_s"):
        print(
            f"{name:20}"
            + "".join(f"{line[name]:>{16 if kind == next(iter(found)) else 20}.1f}" for kind, line in found.items())
        )
    top = "mix" if "mix" in found else next(iter(found))
    results.close(
        __file__,
        options,
        {**found[top], "kind": top, "kinds": found, "cores": cores, "quick": options.quick},
        source="docs/benchmarks.md",
        conditions=f"milliseconds per image; medians over {options.rounds} rounds",
        figures=found,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
