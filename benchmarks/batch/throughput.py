"""How fast batch prediction is, against the machine's limit and against other ways to do the same work.

    python -m benchmarks.batch.throughput [--quick] [--model FOLDER | --model-type TYPE] [--images FOLDER]
                                          [--ray-python PYTHON]

In one run, on the same images and with the same weights, round by round in turn:

    limit        cores ÷ (decode + infer + post-process of an image), each stage timed alone on one core
    loaded       the same stages on all cores at once, one process per core that does nothing else: what shared memory,
                 caches and clocks leave of the limit
    ours         `boxwright serve`: from the call of batchPredict to `done` as the client sees it; warm
    engine       the engine without the service: from the list to the files
    naive        a straightforward script: Pillow, ONNX Runtime, numpy, json; the same network in fp32
    naive_lite0  the same script with a detector on EfficientNet-Lite0, fp32
    torch        Pillow and torch, eager, eight images at a time; the same network in fp32
    torch_lite0  the same loop with EfficientNet-Lite0
    ray          Ray Data, tuned; the same network in fp32 (--ray-python names a Python with ray, onnxruntime and Pillow)

Rates are medians over rounds, ratios are medians of each round's ratio. Rivals run for a bounded time over the front of the
same list, without their start. A folder of images takes the place of the drawn ones. The last line is one JSON object; what
it has at its top is the mix, or the first kind if there is no mix.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from benchmarks.batch import rivals, stage_clock
from benchmarks.harness import arguments, pictures, results, serving, workers

HERE = pathlib.Path(__file__).parent
ORIGINALS = {"vga": 24, "1080p": 12, "12mp": 6}
QUICK_ORIGINALS = {"vga": 6, "1080p": 3, "12mp": 1}
QUICK_COUNTS = {"vga": 120, "1080p": 60, "12mp": 16, "mix": 80}
BARE_COUNTS = {"vga": 192, "1080p": 96, "12mp": 48, "mix": 160}  # images per round for the limit
QUICK_BARE_COUNT = 24
COLD_IMAGES = 72
WARM_UP = 8
RAY_MIN_IMAGES = 128
OWN_RATIOS = ("ours_over_limit", "ours_over_loaded", "engine_over_limit", "engine_over_loaded")
RIVALS = ("naive", "naive_lite0", "torch", "torch_lite0")


class Bench:
    """Everything that takes turns: the service, our stages and engine, the rivals, the images of each kind."""

    def __init__(self, folder: pathlib.Path, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        self.cores = len(os.sched_getaffinity(0))
        self.log = folder / "workers.log"
        self.files = self._images()
        self.model = options.model or folder / "model"
        if options.model is None:
            serving.make_model(self.model, options.model_type, options.precision)
        self.document = json.loads((self.model / "model.json").read_text())
        self.network = self.model / self.document.get("networks", {}).get("fp32", "model.onnx")
        self.service = serving.Service(folder / "service", self.model)
        self.lists = {kind: serving.fill_bucket(self.service.bucket, kind, files) for kind, files in self.files.items()}
        first = next(iter(self.files.values()))
        self.small_list = serving.fill_bucket(self.service.bucket, "small", first[:COLD_IMAGES])
        self.one_list = serving.fill_bucket(self.service.bucket, "one", first[:1])
        for path in {path for files in self.files.values() for path in files}:
            path.read_bytes()  # everybody finds the files in the page cache
        self._engine_runs = 0
        self.ray_layout: str | None = None
        self.notes: list[str] = []

    def _images(self) -> dict[str, list[pathlib.Path]]:
        """Kind → files as they are listed: hard links repeat the originals under names of their own."""
        if self.options.images is not None:
            originals = {"given": pictures.copied(self.options.images, self.folder / "images")}
        else:
            counts = QUICK_ORIGINALS if self.options.quick else ORIGINALS
            originals = pictures.make(self.folder / "images", self.options.kinds, counts)
        wanted = QUICK_COUNTS if self.options.quick else {}
        return {
            kind: pictures.listed(files, wanted.get(kind, 120 if self.options.quick else self.options.count))
            for kind, files in originals.items()
        }

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Starts everybody; all but Ray stay for the whole run, idle while others have their turn."""
        with contextlib.ExitStack() as stack:
            self.start_s = stack.enter_context(self.service.running())
            own = workers.of_module("benchmarks.batch.own")

            def started(*command: str | pathlib.Path) -> workers.Worker:
                worker = workers.Worker(*command, log=self.log)
                stack.callback(worker.close)
                return worker

            self.cold_s, _ = self.service.batch(self.small_list)
            self.bare = [started(*own, "bare", self.model, str(core)) for core in sorted(os.sched_getaffinity(0))]
            self.engine = started(*own, "engine", self.model, self.service.folder)
            lite0_file = self.folder / "lite0.onnx"
            lite0_file.write_bytes(self._lite0())
            self.rivals: dict[str, workers.Worker] = {}
            for name in self.options.rivals:
                kind, _, network = name.partition("_")
                out = self.folder / f"{name}.jsonl"
                command = (sys.executable, HERE / "rivals.py", kind, lite0_file if network else self.network, out)
                try:
                    self.rivals[name] = started(*command)
                except RuntimeError as error:
                    self.notes.append(f"{name} left out: {str(error).strip().splitlines()[-1]}")
            yield

    def _lite0(self) -> bytes:
        from benchmarks.batch import lite0

        paths = list(dict.fromkeys(next(iter(self.files.values()))))[:4]
        side = (lite0.SIDE_PX, lite0.SIDE_PX)
        frames = [rivals.frame_of(str(path), side)[0][None] for path in paths]
        return lite0.settle(lite0.build(len(self.document["labels"])), frames)

    def warm_up(self) -> None:
        """One small job for everybody, so that nobody's first time is measured."""
        paths = [str(path) for path in next(iter(self.files.values()))[:WARM_UP]]
        for worker in self.bare:
            worker.ask(paths=paths)
        for rival in self.rivals.values():
            rival.ask(paths=paths, seconds=60)
        self.warm_s, _ = self.service.batch(self.small_list)
        self.warm_one_s, _ = self.service.batch(self.one_list)
        self._run_engine(self.small_list)

    def _run_engine(self, list_uri: str) -> dict[str, Any]:
        self._engine_runs += 1
        return self.engine.ask(list=list_uri, name=f"engine-{self._engine_runs}")

    def _bare_paths(self, kind: str) -> list[str]:
        count = QUICK_BARE_COUNT if self.options.quick else BARE_COUNTS.get(kind, 96)
        return [str(path) for path in self.files[kind][:count]]

    # ---- the turns ----------------------------------------------------------------------------------------------

    def turn_limit(self, kind: str) -> dict[str, float]:
        paths = self._bare_paths(kind)
        stages = self.bare[0].ask(paths=paths)
        each_ms = {name: stages[name] for name in ("decode_ms", "infer_ms", "postprocess_ms")}
        return {"limit": self.cores * 1e3 / sum(each_ms.values()), **each_ms}

    def turn_loaded(self, kind: str) -> dict[str, float]:
        paths = self._bare_paths(kind)
        for worker in self.bare:
            worker.send(paths=paths, together=True)
        answers = [worker.answer() for worker in self.bare]
        return {"loaded": sum(answer["images"] / answer["seconds"] for answer in answers)}

    def turn_ours(self, kind: str) -> dict[str, float]:
        seconds, cpu_s = self.service.batch(self.lists[kind])
        count = len(self.files[kind])
        use = 100 * cpu_s / seconds / self.cores
        return {"ours": count / seconds, "cpu_use_percent": use, "ours_cpu_ms": cpu_s / count * 1e3}

    def turn_engine(self, kind: str) -> dict[str, float]:
        answer = self._run_engine(self.lists[kind])
        work_s = sum(answer["stages"][stage][2] for stage in stage_clock.WORK)
        return {
            "engine": answer["images"] / answer["seconds"],
            "cpu_outside_percent": 100 * (1 - work_s / answer["cpu_s"]),
            "work_cpu_ms": work_s / answer["images"] * 1e3,
        }

    def turn_rival(self, name: str, kind: str) -> dict[str, float]:
        paths = [str(path) for path in self.files[kind]]
        answer = self.rivals[name].ask(paths=paths, seconds=self.options.rival_seconds)
        return {name: answer["images"] / answer["seconds"]}

    def turn_ray(self, kind: str, expected_images_per_s: float) -> dict[str, float]:
        """Ray's processes are never quite idle, so they live for this turn only; their start is not counted."""
        count = max(RAY_MIN_IMAGES, int(expected_images_per_s * self.options.rival_seconds))
        paths = [str(path) for path in self.files[kind][:count]]
        command = (self.options.ray_python, HERE / "rivals.py", "ray", self.network, self.folder / "ray.jsonl")
        worker = workers.Worker(*command, log=self.log)
        try:
            if self.ray_layout is None:
                self.ray_layout = worker.ask(paths=paths)["layout"]
                self.notes.append(f"Ray Data: {self.ray_layout}")
            worker.ask(paths=paths[:WARM_UP], layout=self.ray_layout)
            answer = worker.ask(paths=paths, layout=self.ray_layout)
        finally:
            worker.close()
        count = answer["images"]
        return {"ray": count / answer["working_seconds"], "ray_call_to_done": count / answer["seconds"]}

    def turns(self, kind: str, number: int) -> dict[str, float]:
        """Everybody's turn at one kind, in an order that moves on from round to round."""
        found: dict[str, float] = {}
        names = ["limit", "loaded", "ours", "engine", *self.rivals]
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            if name in self.rivals:
                found |= self.turn_rival(name, kind)
            else:
                found |= getattr(self, f"turn_{name}")(kind)
        found["ours_cpu_outside_percent"] = 100 * (1 - found.pop("work_cpu_ms") / found.pop("ours_cpu_ms"))
        if self.options.ray_python:
            found |= self.turn_ray(kind, found.get("naive", found["ours"] / 3))
        return found


def summed_up(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Medians over rounds of one kind, and of the ratios within each round."""
    median = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}

    def ratio(upper: str, lower: str) -> float:
        return statistics.median(one[upper] / one[lower] for one in rounds)

    line = {f"{name}_images_per_s": median[name] for name in ("ours", "engine", "limit", "loaded")}
    line |= {f"{name}_images_per_s": median[name] for name in (*RIVALS, "ray", "ray_call_to_done") if name in median}
    others = ("limit", "loaded", *RIVALS, "ray", "ray_call_to_done")
    line |= {f"ours_over_{name}": ratio("ours", name) for name in others if name in median}
    line |= {f"engine_over_{name}": ratio("engine", name) for name in ("limit", "loaded")}
    kept = ("cpu_outside_percent", "ours_cpu_outside_percent", "cpu_use_percent")
    line |= {name: median[name] for name in (*kept, "decode_ms", "infer_ms", "postprocess_ms")}
    return {name: round(value, 3) for name, value in line.items()}


def by_figure(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Figure → kind → value, by the names and with the decimals that documents show."""
    figures: dict[str, dict[str, float]] = {}
    for kind, line in found.items():
        for name, value in line.items():
            name = name.removesuffix("_images_per_s")
            name = {"ray": "ray_working", "ours_over_ray": "ours_over_ray_working"}.get(name, name)
            figures.setdefault(name, {})[kind] = _shown(name, value)
    return figures


def _shown(name: str, value: float) -> float:
    if name in OWN_RATIOS:
        return round(value, 2)
    if "_over_" in name or name.endswith(("outside_percent", "_ms")):
        return round(value, 1)
    return round(value)


def show(found: dict[str, dict[str, float]]) -> None:
    """The table: one line per contender, one column per kind."""
    print(f"{'':28}" + "".join(f"{kind:>11}" for kind in found))
    for name in next(iter(found.values())):
        print(f"{name:28}" + "".join(f"{line[name]:>11.2f}" for line in found.values()))


def parsed() -> argparse.Namespace:
    parser = arguments.parser(__doc__, quick="few images, one round, under 45 s; numbers mean little")
    arguments.add_model(parser)
    arguments.add_images(parser)
    arguments.add_kinds(parser)
    parser.add_argument("--rivals", type=lambda text: [one for one in text.split(",") if one], default=list(RIVALS))
    parser.add_argument(
        "--rival-seconds", type=float, default=15.0, help="how long a rival runs in a turn (default 15)"
    )
    parser.add_argument("--ray-python", metavar="PYTHON", help="a Python that has ray; Ray is left out without")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.rival_seconds = 1, 0.5
    if unknown := {*options.kinds} - {*pictures.KINDS} | {*options.rivals} - {*RIVALS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


def main() -> int:
    options = parsed()
    rounds: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        bench = Bench(pathlib.Path(temporary), options)
        with bench.open():
            bench.warm_up()
            for number in range(options.rounds):
                for kind in bench.files:
                    rounds.setdefault(kind, []).append(bench.turns(kind, number))
                    print(f"round {number + 1}, {kind}: " + _short(rounds[kind][-1]), file=sys.stderr, flush=True)
        found = {kind: summed_up(lines) for kind, lines in rounds.items()}
        document, counts = bench.document, {kind: len(files) for kind, files in bench.files.items()}
    print(f"{bench.cores} cores, {options.rounds} rounds; images: {counts}")
    precision = document.get("precision", "fp32")
    print(f"{document['model_type']}, input {document['input_hw']}, {precision}; first job {bench.cold_s:.2f} s (cold)")
    for note in bench.notes if options.ray_python else [*bench.notes, "Ray Data left out: no --ray-python"]:
        print(note)
    show(found)
    top = "mix" if "mix" in found else next(iter(found))
    result = {
        **found[top], "kind": top, "kinds": found, "model_type": document["model_type"], "precision": precision,
        "input_hw": document["input_hw"], "cores": bench.cores, "rounds": options.rounds, "images": counts,
        "cold_s": round(bench.cold_s, 3), "cold_images": COLD_IMAGES, "start_s": round(bench.start_s, 3),
        "quick": options.quick, "notes": bench.notes,
    }  # fmt: skip
    conditions = (
        f"a model of the type {document['model_type']} (input {document['input_hw']}, {precision}), "
        f"{'trained' if options.model else 'with random weights'}; {counts} images; {options.rounds} rounds, "
        f"rivals {options.rival_seconds:g} seconds a turn; images a second"
    )
    figures = {
        **by_figure(found),
        f"cold_{COLD_IMAGES}_images_s": round(bench.cold_s, 2),
        f"warm_{COLD_IMAGES}_images_s": round(bench.warm_s, 2),
        "warm_1_image_s": round(bench.warm_one_s, 2),
    }
    results.close(__file__, options, result, source="docs/benchmarks.md", conditions=conditions, figures=figures)
    return 0


def _short(line: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in line.items())


if __name__ == "__main__":
    sys.exit(main())
