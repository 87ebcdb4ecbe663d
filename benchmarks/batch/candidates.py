"""What candidates cost a batch prediction, and how long it takes to make results again from them.

    python -m benchmarks.batch.candidates [--quick] [--images 1000000] [--boxes 20] [--workers 2]
                                        [--model FOLDER --photos FOLDER]

again: a folder with so many images and candidates, made in this process, and its results made again at thresholds of 0.5 and
0.05 and in other formats, by the product's own worker processes; resident memory is that of all of them together.
cost: what keeping candidates adds to the work of an image on one core: the row of an image and its part of the file.
share: with a trained model and photos, the processor time of an image with and without candidates, in turn, the least of
five turns each; and how much of it the candidates are.
Prints tables and ends with one JSON object.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import tempfile
import threading
import time
from typing import Any

import numpy as np
import psutil

from benchmarks.harness import arguments, results
from boxwright import boxes, kinds, objects
from boxwright.batch.engine import pipeline, stages
from boxwright.batch.job import BatchJob, BatchSpec, JobFolders, MachineShare
from boxwright.batch.output import candidates, sidecars
from boxwright.batch.output.candidates import CandidateTable
from boxwright.batch.output.sink import Sink
from boxwright.batch.rewrite.rewriter import Rewriter
from boxwright.batch.rewrite.sources import Sources
from boxwright.batch.segments import Item
from boxwright.images import appearance, letterbox
from boxwright.inference import model_opening

SHARD_IMAGES = 500
FLOOR = 0.05
KIND = kinds.OBJECT_DETECTION.name
LABELS = [[f"{3869458495073943552 + number}", name] for number, name in enumerate(("car", "lorry", "bicycle"))]
BARS_S = {
    "0.5": 6.0,
    "0.05": 20.0,
    "0.5 csv": 10.0,
    "0.5 parquet": 10.0,
    "0.5 coco": 30.0,
}  # a million images, two cores
LIMIT_MIB = 300
MIB = 1 << 20
SAMPLE_INTERVAL_S = 0.05
PHOTOS, TURNS = 100, 5
TIMES = 2000  # that the cost of one image is measured


def table(shard: int, images: int, boxes_per_image: float) -> CandidateTable:
    """Candidates with scores as detectors give them: many low ones, few high ones."""
    rng = np.random.default_rng(shard)
    counts = rng.poisson(boxes_per_image, images)
    offsets = np.cumsum([0, *counts], dtype=np.int32)
    total = int(offsets[-1])
    scores = FLOOR + (1 - FLOOR) * rng.beta(0.35, 3.2, total)
    order = np.lexsort((-scores, np.repeat(np.arange(images), counts)))
    corners = np.sort(rng.integers(0, candidates.SCALE + 1, (2, 2, total)), axis=0).reshape(4, total)
    values = np.concatenate([np.rint(scores[order] * candidates.SCALE)[None], corners]).astype(np.int32)
    looks = np.zeros(images, appearance.RECORD)
    looks["dhash"] = rng.integers(0, 1 << 64, images, np.uint64)
    looks["luma"], looks["sharpness"] = rng.uniform(40, 200, images), rng.gamma(2, 4, images)
    first = (shard - 1) * SHARD_IMAGES
    return CandidateTable(
        ids=[f"gs://photos/2026/camera-7/image-{first + number:08d}.jpg" for number in range(images)],
        sha256=[hashlib.sha256(b"%d" % (first + number)).digest()[:16] for number in range(images)],
        size_bytes=rng.integers(50_000, 400_000, images),
        width_px=np.full(images, 640, np.int32),
        height_px=np.full(images, 480, np.int32),
        looks=looks,
        versions=[str(1_700_000_000_000_000_000 + 1_234_567 * (first + number)) for number in range(images)],
        one_colour=np.zeros(images, bool),
        offsets=offsets,
        label_indices=rng.integers(0, len(LABELS), total).astype(np.uint16),
        values=values,
    )


def make_folder(folder: pathlib.Path, images: int, boxes_per_image: float) -> tuple[objects.Stores, str, int]:
    """A former job; returns the stores, the manifest and the bytes of all candidates."""
    (folder / "buckets" / "b").mkdir(parents=True)
    stores = objects.Stores(folder / "buckets", folder / "state")
    spec = _spec(stores, "former", [], FLOOR)
    sink, made_bytes = Sink(spec, stores), 0
    origin = candidates.CandidatesOrigin(KIND, spec.model, spec.model_digest, FLOOR, LABELS)
    for shard, first in enumerate(range(0, images, SHARD_IMAGES), 1):
        count = min(SHARD_IMAGES, images - first)
        made = candidates.to_parquet(table(shard, count, boxes_per_image), origin)
        made_bytes += len(made)
        sink.commit(shard, [b"{}\n"] * count, [], [], beside={sidecars.CANDIDATES: made})
    sink.close("SUCCEEDED", rows_read=images, duplicates=0, model_digest=spec.model_digest)
    return stores, "gs://b/former/manifest.json", made_bytes


def _spec(stores: objects.Stores, name: str, inputs: list[str], floor: float | None, **choices: Any) -> BatchSpec:
    values: dict[str, Any] = {"score_threshold": 0.5, "max_boxes": 100, **choices}
    return BatchSpec(
        input_uris=inputs,
        output_directory=f"gs://b/{name}",
        scratch=str(stores.state(f"operations/{name}")),
        shard_images=SHARD_IMAGES,
        row_failure_limit=0.0,
        model="projects/p/locations/us-central1/models/m",
        model_digest="0" * 64,
        labels=LABELS,
        candidate_floor=floor,
        **values,
    )


class ResidentMemory:
    """The most memory that this process's children have had together, while the context lasts; in MiB."""

    def __init__(self) -> None:
        self.most_mib = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> ResidentMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        own = psutil.Process()
        while not self._ended.wait(SAMPLE_INTERVAL_S):
            found = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    found += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.most_mib = max(self.most_mib, found / MIB)


def make_again(stores: objects.Stores, manifest: str, name: str, workers: int, **choices: Any) -> dict[str, float]:
    """Makes the results of the former job again."""
    spec = _spec(stores, name, [manifest], None, **choices)
    job = BatchJob(spec, JobFolders("no-model", stores.to_config()), MachineShare(workers))
    with ResidentMemory() as memory:
        started_s, cpu_before_s = time.perf_counter(), _cpu_s()
        sink, sources = Sink(spec, stores), Sources(spec, stores)
        sink.prepare()
        for _ in Rewriter(job, stores, sink, lambda use: None).run(sources, lambda: False):
            pass
        made = sink.close(
            sources.state,
            rows_read=sources.rows_read,
            duplicates=0,
            model_digest="0" * 64,
            carried=sources.carry_over(),
        )
        seconds, cpu_s = time.perf_counter() - started_s, _cpu_s() - cpu_before_s
    assert made.images_predicted == sources.images_planned
    return {"seconds": round(seconds, 3), "cpu_s": round(cpu_s, 3), "resident_mib": round(memory.most_mib, 1)}


def _cpu_s() -> float:
    """Processor time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def cost_us(boxes_per_image: int) -> dict[str, float]:
    """Microseconds of an image of 200 kB: its row, its share of the file, and of the row digest and looks."""
    content, found = b"\0" * 200_000, _detections(boxes_per_image)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 480, 640, 3), np.uint8)
    prepared = letterbox.Prepared(pixels, (0, 0), (640, 480), (480, 640))
    started_s = time.process_time()
    for _ in range(TIMES):
        row = candidates.of_image(content, (480, 640), found, FLOOR, appearance.of(prepared))
    row_us = (time.process_time() - started_s) / TIMES * 1e6
    started_s = time.process_time()
    for _ in range(TIMES):
        appearance.of(prepared)
    looks_us = (time.process_time() - started_s) / TIMES * 1e6
    started_s = time.process_time()
    for _ in range(TIMES):
        hashlib.sha256(content).digest()
    digest_us = (time.process_time() - started_s) / TIMES * 1e6
    origin = candidates.CandidatesOrigin(KIND, "m", "d", FLOOR, LABELS)
    pairs = [(f"gs://photos/{number}.jpg", row) for number in range(SHARD_IMAGES)]
    started_s = time.process_time()
    for _ in range(10):
        candidates.to_parquet(CandidateTable.of(KIND, pairs), origin)
    file_us = (time.process_time() - started_s) / 10 / SHARD_IMAGES * 1e6
    return {
        "row_us": round(row_us, 1),
        "of_it_digest_us": round(digest_us, 1),
        "of_it_looks_us": round(looks_us, 1),
        "file_us": round(file_us, 1),
    }


def share_of(model: pathlib.Path, photos: pathlib.Path, stores: objects.Stores) -> dict[str, float]:
    """Processor time of an image, microseconds, with a model's own candidates and without."""
    predictor = model_opening.open_model(model)
    labels = [[label.annotation_spec_id, label.display_name] for label in predictor.labels]
    contents = [file.read_bytes() for file in sorted(photos.rglob("*.jpg"))[:PHOTOS]]
    floors = {"without": None, "with": FLOOR}
    lines, least, rows = {}, dict.fromkeys(floors, 0.0), []
    for name, floor in floors.items():
        spec = dataclasses.replace(_spec(stores, "share", [], floor), labels=labels)
        lines[name] = pipeline.ImagePipeline(spec, stores, predictor)
    for number, content in enumerate(contents):
        item, seconds = Item(f"gs://b/{number}.jpg"), dict[str, list[float]]()
        for _ in range(TURNS):
            for name in floors:
                started_s = time.process_time()
                found = lines[name].line(item, pipeline.ReadImage(content), stages.Stopwatch())
                seconds.setdefault(name, []).append(time.process_time() - started_s)
        rows.append(found.candidates)
        for name in floors:
            least[name] += min(seconds[name]) / len(contents) * 1e6
    spec = dataclasses.replace(_spec(stores, "share", [], FLOOR), labels=labels)
    found_mean = sum(len(row.label_indices) // 2 for row in rows if row is not None) / len(rows)
    rows = (rows * SHARD_IMAGES)[:SHARD_IMAGES]
    ids = [f"gs://b/{number}.jpg" for number in range(len(rows))]
    started_s = time.process_time()
    for _ in range(10):
        sidecars.of_shard(spec, 1, ids, rows, [False] * len(rows))
    file_us = (time.process_time() - started_s) / 10 / len(rows) * 1e6
    added_us = least["with"] - least["without"] + file_us
    return {
        "candidates_per_image": round(found_mean, 1),
        "without_us": round(least["without"], 1),
        "added_us": round(added_us, 1),
        "added_percent": round(100 * added_us / least["without"], 2),
    }


def _detections(count: int) -> boxes.Detections:
    rng = np.random.default_rng(0)
    corners = np.sort(rng.random((2, count, 2), np.float32), axis=0)
    scores = np.sort(rng.random(count, np.float32))[::-1]
    return boxes.Detections(np.concatenate(list(corners), axis=1), scores, rng.integers(0, len(LABELS), count))


def main() -> None:
    """Measures and prints."""
    parser = arguments.parser(__doc__, "20,000 images")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--boxes", type=int, default=20, help="candidates of an image, on average")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--model", type=pathlib.Path, metavar="FOLDER", help="a trained detector's folder")
    parser.add_argument("--photos", type=pathlib.Path, metavar="FOLDER", help="images for --model, .jpg at any depth")
    options = parser.parse_args()
    images = 20_000 if options.quick else options.images
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        stores, manifest, made_bytes = make_folder(pathlib.Path(folder), images, options.boxes)
        figures["candidate_bytes_per_image"] = round(made_bytes / images, 1)
        print(f"{images} images, {figures['candidate_bytes_per_image']} bytes of candidates each")
        print(f"{'results':<14}{'s':>9}{'CPU-s':>9}{'s, 1 M':>9}{'bar':>7}{'MiB':>8}")
        for number, (what, bar_s) in enumerate(BARS_S.items()):
            threshold, _, form = what.partition(" ")
            choices = {"score_threshold": float(threshold), "formats": [form] if form else []}
            ran = make_again(stores, manifest, f"again-{number}", options.workers, **choices)
            scaled_s = round(ran["seconds"] * 1_000_000 / images, 1)
            figures[what.replace(".", "_").replace(" ", "_")] = {**ran, "million_s": scaled_s}
            print(
                f"{what:<14}{ran['seconds']:>9.2f}{ran['cpu_s']:>9.2f}{scaled_s:>9.1f}{bar_s:>7.0f}{ran['resident_mib']:>8.0f}",
                flush=True,
            )
        if options.model and options.photos:
            figures["share"] = share_of(options.model, options.photos, stores)
            print("with the model's own candidates: " + ", ".join(f"{k} {v}" for k, v in figures["share"].items()))
    figures["cost"] = cost_us(options.boxes)
    print(
        "cost of an image of 200 kB, microseconds on one core: "
        + ", ".join(f"{k} {v}" for k, v in figures["cost"].items())
    )
    results.close(
        __file__,
        options,
        {"images": images, "boxes": options.boxes, "workers": options.workers, **figures},
        source="docs/benchmarks.md",
        conditions=f"{images} drawn images with {options.boxes} candidates each, {options.workers} worker processes",
        figures=figures,
    )


if __name__ == "__main__":
    main()
