"""A list of any length whose images are made when they are read, and a model that looks at nothing.

What is left of a batch prediction then is Boxwright's own work: the plan, the engine, the files. Used by `memory.py` and
`scaling.py`. The list has its share of trouble: one row in a thousand repeats the row before it, and one image in a thousand
does not exist.
"""

from __future__ import annotations

import builtins
import dataclasses
import io
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from google.rpc import code_pb2
from PIL import Image

from boxwright import boxes, objects
from boxwright.batch.engine.engine import MachineEngine
from boxwright.batch.job import DEFAULT_SHARD_IMAGES, BatchJob, BatchSpec, JobFolders, MachineShare
from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Plan
from boxwright.inference.model_folder import Label
from boxwright.inference.predictor import Predictor

BUCKET = "generated"
ROWS_PER_CHUNK = 20_000  # about 1 MiB, as real stores stream
REPEATS_EVERY, MISSING_EVERY = 1000, 1009


def _smallest_jpeg() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8)).save(target, "JPEG")
    return target.getvalue()


class GeneratedStores(objects.Stores):
    """The stores of a folder, and beside them the bucket ``generated`` with a list and the images that it names."""

    def __init__(self, folder: pathlib.Path, rows: int) -> None:
        (folder / "buckets" / "out").mkdir(parents=True, exist_ok=True)
        super().__init__(folder / "buckets", folder / "state")
        self.rows = rows
        self.list_uri = objects.ObjectUri("gs", BUCKET, "list.csv")
        self._image = _smallest_jpeg()

    def head(self, uri: objects.ObjectUri) -> objects.ObjectInfo:
        if uri.bucket != BUCKET:
            return super().head(uri)
        return objects.ObjectInfo(uri, self.rows * len(_row(0)), "generated")

    def start(self, uri: objects.ObjectUri, max_bytes: int) -> tuple[objects.ObjectInfo, bytes]:
        if uri.bucket != BUCKET:
            return super().start(uri, max_bytes)
        return self.head(uri), next(self.stream(uri))[:max_bytes]

    def range(self, uri: objects.ObjectUri, start: int, length: int, *, e_tag: str = "") -> bytes:
        if uri.bucket != BUCKET:
            return super().range(uri, start, length, e_tag=e_tag)
        row_bytes = len(_row(0))
        first, last = start // row_bytes, min(self.rows, (start + length) // row_bytes + 1)
        content = "".join(_row(number) for number in builtins.range(first, last)).encode()
        return content[start - first * row_bytes :][:length]

    def stream(self, uri: objects.ObjectUri) -> Iterator[bytes]:
        if uri.bucket != BUCKET:
            yield from super().stream(uri)
            return
        for first in builtins.range(0, self.rows, ROWS_PER_CHUNK):
            last = min(first + ROWS_PER_CHUNK, self.rows)
            yield "".join(map(_row, builtins.range(first, last))).encode()

    def get(self, uri: objects.ObjectUri, *, max_bytes: int | None = None) -> bytes:
        if uri.bucket != BUCKET:
            return super().get(uri, max_bytes=max_bytes)
        if int(uri.key[-13:-4]) % MISSING_EVERY == MISSING_EVERY - 1:
            raise objects.ObjectNotFound(5, f"{uri} does not exist.")
        return self._image + uri.key.encode()  # no two images are the same


def _row(number: int) -> str:
    if number % REPEATS_EVERY == REPEATS_EVERY - 1:
        number -= 1
    return f"gs://{BUCKET}/photos/{number // 1000:06d}/image_{number:09d}.jpg\n"


class NoRuntime:
    """Runs nothing."""

    label, waiting_threads = "nothing", 0

    def infer(self, pixels: Any) -> Any:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Unseen:
    """What `NullPredictor` prepares."""

    is_one_colour: bool = False


class NullPredictor(Predictor):
    """A model that does not look: every image has the same box."""

    labels = (Label("thing", "1"),)
    digest = "null"

    def __init__(self) -> None:
        self.runtime = NoRuntime()
        self._found = boxes.Detections(
            np.array([[0.1, 0.2, 0.6, 0.7]], np.float32), np.array([0.9], np.float32), np.zeros(1, np.int64)
        )

    def prepare(self, data: bytes) -> Any:
        return Unseen()

    def infer(self, prepared: Any) -> Any:
        return prepared

    def postprocess(self, raw: Any, prepared: Any, min_score: float = 0.0) -> boxes.Detections:
        return self._found


@dataclasses.dataclass
class Progress:
    """How far a run is; read by other threads."""

    engine: MachineEngine | None = None
    ended: bool = False

    @property
    def images_done(self) -> int:
        return self.engine.counts.images_done if self.engine else 0


@dataclasses.dataclass(frozen=True)
class Ran:
    """What a run did: rows read, images accounted for, shards, seconds while images were under way and in all."""

    rows: int
    images: int
    shards: int
    engine_s: float
    total_s: float


def run(
    folder: pathlib.Path, rows: int, threads: int, watch: Callable[[Progress], None] = lambda progress: None
) -> Ran:
    """Predicts a generated list, from the list to the manifest, as an inference child does.

    Args:
        folder: where the plan and the results go.
        rows: of the list.
        threads: images under way at once.
        watch: called once, before the first image; what it starts may look at the progress.
    """
    stores = GeneratedStores(folder, rows)
    spec = BatchSpec(
        input_uris=[str(stores.list_uri)],
        output_directory="gs://out/prediction",
        scratch=str(stores.state("operations/generated")),
        score_threshold=0.5,
        max_boxes=100,
        shard_images=DEFAULT_SHARD_IMAGES,
        row_failure_limit=0.5,
    )
    job = BatchJob(spec, JobFolders("", stores.to_config()), MachineShare(threads))
    progress = Progress()
    started_s = time.perf_counter()
    sink, plan, model = Sink(spec, stores), Plan(spec, stores), NullPredictor()
    sink.prepare()
    progress.engine = MachineEngine(job, stores, model, sink)
    watch(progress)
    shards = sum(1 for _ in progress.engine.run(plan, lambda: False))
    engine_s = time.perf_counter() - started_s
    manifest = sink.close("SUCCEEDED", rows_read=plan.rows_read, duplicates=plan.duplicates, model_digest=model.digest)
    progress.ended = True
    if unexpected := manifest.errors_by_code.keys() - {code_pb2.Code.Name(code_pb2.NOT_FOUND)}:
        raise RuntimeError(f"images failed with codes {sorted(unexpected)}; only missing ones may")
    images = manifest.images_predicted + sum(manifest.errors_by_code.values())
    if images != plan.images_planned or plan.rows_read != rows or images + plan.duplicates != rows:
        raise RuntimeError(f"{rows} rows, but {images} images and {plan.duplicates} repeats are accounted for")
    return Ran(plan.rows_read, images, shards, engine_s, time.perf_counter() - started_s)
