"""What networks of several widths, depths and inputs cost: GMAC, parameters, images a second in fp32 and int8.

    python -m benchmarks.training.networks [--quick] [--only NAME …] [--network '{"stem_width": 16, …}' --area 118000]

Every candidate is built with random weights, exported and quantised as a training does it; speed does not depend on the
weights, but for what suppression has left to do, which is not part of this. All candidates and precisions take turns, and
the best of several windows counts, so that a disturbance hits no candidate alone. "core" is one stream on one thread, "all"
one stream on each usable core. How accurate a candidate is tells `quality.py --recipe '{"network": …,
"input_area_px": …}'`. The last line is one JSON object.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from concurrent import futures
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.harness import arguments, results
from boxwright.detector.delivery import export
from boxwright.detector.network import dense
from boxwright.images import letterbox
from boxwright.inference import predictor
from boxwright.learning import model_draft, quantise_main

LABELS = [{"display_name": str(index), "annotation_spec_id": str(index)} for index in range(3)]
SIZE_HW = (480, 640)  # of the images: decides the input's aspect
PRECISIONS = ("fp32", "int8")
FRAMES = 16  # of noise, to quantise with


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network and how many pixels it looks at."""

    name: str
    network: dense.NetworkConfig
    area_px: int

    @property
    def input_hw(self) -> tuple[int, int]:
        """In pixels, for images of `SIZE_HW`."""
        return dense.choose_input_hw(self.area_px, [SIZE_HW])


B = dense.NetworkConfig()
SLIM = dense.SLIM
LATE = dense.NetworkConfig(stem_width=16, stage_widths=(32, 80, 160, 256), neck_width=64)  # narrow where it is large
DEEP = dense.NetworkConfig(stem_width=16, stage_widths=(32, 80, 144, 256), stage_depths=(1, 2, 4, 3), neck_width=64)
WIDE = dense.NetworkConfig(stem_width=24, stage_widths=(48, 112, 192, 320), neck_width=80)
MICRO = dense.NetworkConfig(stem_width=16, stage_widths=(24, 48, 96, 160), stage_depths=(1, 2, 2, 2), neck_width=40)
CANDIDATES = [
    Candidate("b-80k", B, 80_000),
    Candidate("b-118k", B, 118_000),
    Candidate("b-196k", B, 196_000),
    Candidate("slim-118k", SLIM, 118_000),
    Candidate("slim-196k", SLIM, 196_000),
    Candidate("late-118k", LATE, 118_000),
    Candidate("late-196k", LATE, 196_000),
    Candidate("deep-196k", DEEP, 196_000),
    Candidate("wide-118k", WIDE, 118_000),
    Candidate("micro-118k", MICRO, 118_000),
]
USED_AS = {"b-118k": "accurate", "slim-118k": "fast"}  # what documents call the networks in use
QUICK = ("b-80k", "b-118k", "b-196k", "slim-118k")


@dataclasses.dataclass
class Row:
    """What was found out about one candidate; images/s by (precision, streams)."""

    candidate: Candidate
    gmac: float
    parameters: int
    opened: dict[tuple[str, int], predictor.Predictor]
    images_per_s: dict[tuple[str, int], float]


def count(network: dense.Network, input_hw: tuple[int, int]) -> tuple[float, int]:
    """(10^9 multiplications of the convolutions for one image, weights)."""
    products = 0

    def add(layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        nonlocal products
        assert isinstance(layer, nn.Conv2d)
        products += output.numel() * layer.weight[0].numel()

    hooks = [layer.register_forward_hook(add) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    network.predict(torch.zeros((1, *input_hw, 3), dtype=torch.uint8))
    for hook in hooks:
        hook.remove()
    return products / 1e9, sum(parameter.numel() for parameter in network.parameters())


def build(candidate: Candidate, folder: pathlib.Path, streams: list[int]) -> Row:
    """Writes a model folder with both precisions and opens each with every number of streams."""
    torch.manual_seed(0)
    network = dense.Network(candidate.network, len(LABELS)).eval()
    export.write_draft(
        folder,
        network,
        labels=LABELS,
        model_type=dense.DEFAULT_MODEL_TYPE,
        input_hw=candidate.input_hw,
        score_floor=0.01,
        provenance={},
    )
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, *candidate.input_hw, 3), np.uint8)
    np.save(folder / quantise_main.FRAMES_FILE, frames)
    command = [
        sys.executable,
        "-m",
        "boxwright.learning.quantise_main",
        str(folder),
        str(max(streams)),
        quantise_main.KEPT[0],
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        event = json.loads(child.stdout.read().splitlines()[-1])
    if event["event"] != "done":
        raise SystemExit(f"{candidate.name}: {event}")
    model_draft.write_choice(folder, {"chosen": "int8"}, quantise_main.INT8_FILE)
    opened = {
        (precision, number): predictor.Predictor.open(folder, streams=number, precision=precision)
        for precision in PRECISIONS
        for number in streams
    }
    return Row(candidate, *count(network, candidate.input_hw), opened, {})


def window(opened: predictor.Predictor, streams: int, seconds: float) -> float:
    """Images a second, with every stream busy."""
    height, width = opened.input_hw
    pixels = np.random.default_rng(1).integers(0, 256, (1, height, width, 3), np.uint8)
    frame = letterbox.Prepared(pixels, (0, 0), (width, height), (height, width))
    until_s = time.perf_counter() + seconds

    def loop(_: int) -> float:
        started_s, done = time.perf_counter(), 0
        while (now_s := time.perf_counter()) < until_s:
            opened.infer(frame)
            done += 1
        return done / (now_s - started_s)

    with futures.ThreadPoolExecutor(streams) as pool:
        return sum(pool.map(loop, range(streams)))


def measure(rows: list[Row], windows: int, seconds: float) -> None:
    """Fills in the speeds: everything takes turns, the best window counts."""
    for _ in range(windows):
        for row in rows:
            for (precision, streams), opened in row.opened.items():
                speed = window(opened, streams, seconds)
                key = (precision, streams)
                row.images_per_s[key] = max(speed, row.images_per_s.get(key, 0.0))


def described(row: Row, cores: int) -> dict[str, Any]:
    """The row as plain data."""
    height, width = row.candidate.input_hw
    return {
        "name": row.candidate.name,
        "network": dataclasses.asdict(row.candidate.network),
        "input_wh": [width, height],
        "gmac": round(row.gmac, 3),
        "parameters": row.parameters,
        **{f"{name}_core_images_per_s": round(row.images_per_s[name, 1], 1) for name in PRECISIONS},
        **{f"{name}_all_images_per_s": round(row.images_per_s[name, cores], 1) for name in PRECISIONS},
    }


def main() -> None:
    parser = arguments.parser(__doc__, quick=f"only {', '.join(QUICK)}, fewer and shorter windows")
    parser.add_argument("--only", nargs="*", default=[], help="names of candidates")
    parser.add_argument("--network", help="JSON of a candidate of your own: fields of NetworkConfig")
    parser.add_argument("--area", type=int, default=118_000, help="its input, in pixels")
    parser.add_argument("--windows", type=int)
    options = parser.parse_args()
    names = options.only or (QUICK if options.quick else [one.name for one in CANDIDATES])
    chosen = [one for one in CANDIDATES if one.name in names]
    if options.network:
        chosen.append(Candidate("own", dense.network_config(json.loads(options.network)), options.area))
    cores = len(os.sched_getaffinity(0))
    windows, seconds = options.windows or (3 if options.quick else 8), 0.25 if options.quick else 0.5
    with tempfile.TemporaryDirectory() as scratch:
        rows = [build(one, pathlib.Path(scratch, one.name), sorted({1, cores})) for one in chosen]
        measure(rows, windows, seconds)
    table = [described(row, cores) for row in rows]
    print(f"images/s: best of {windows} windows of {seconds} s; {cores} cores\n")
    head = ["", "input", "GMAC", "weights", "fp32 core", "int8 core", "gain", "fp32 all", "int8 all"]
    print("{:12} {:>9} {:>6} {:>8} {:>10} {:>10} {:>5} {:>9} {:>9}".format(*head))
    for one in table:
        width, height = one["input_wh"]
        fp32, int8 = one["fp32_core_images_per_s"], one["int8_core_images_per_s"]
        print(
            f"{one['name']:12} {f'{width}x{height}':>9} {one['gmac']:6.2f} {one['parameters'] / 1e6:7.2f}M "
            f"{fp32:10.1f} {int8:10.1f} {int8 / fp32:5.2f} {one['fp32_all_images_per_s']:9.1f} "
            f"{one['int8_all_images_per_s']:9.1f}"
        )
    results.close(
        __file__,
        options,
        {"cores": cores, "windows": windows, "window_s": seconds, "networks": table},
        source="docs/models.md",
        conditions="images a second of the network alone; one core and one stream used; random weights",
        figures={
            USED_AS.get(one["name"], one["name"]): {
                name: round(one[f"{name}_core_images_per_s"]) for name in PRECISIONS
            }
            for one in table
        },
    )


if __name__ == "__main__":
    main()
