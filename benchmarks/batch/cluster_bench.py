"""What the benchmarks of the cluster share: a bucket of images, a list, and jobs on it."""

from __future__ import annotations

import hashlib
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

from benchmarks.harness import pictures
from boxwright import objects
from boxwright.batch.job import BatchJob, BatchSpec, JobFolders, MachineShare
from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Plan
from boxwright.inference.model_folder import ModelInfo

SHARD_IMAGES = 500
ORIGINALS = 200


class Bench:
    """A bucket of images, a list, and jobs on it."""

    def __init__(
        self, folder: pathlib.Path, images: int, model: pathlib.Path, shard_images: int = SHARD_IMAGES
    ) -> None:
        bucket = folder / "buckets" / "b"
        bucket.mkdir(parents=True)
        made = pictures.make(folder / "originals", ["vga"], {"vga": min(images, ORIGINALS)})["vga"]
        with (bucket / "list.csv").open("w") as rows:
            for number in range(images):
                source = made[number % len(made)]
                target = bucket / f"{number:06d}{source.suffix}"
                os.link(source, target)
                rows.write(f"gs://b/{target.name}\n")
        self.bucket, self.images, self.model, self.shard_images = bucket, images, model, shard_images
        self.digest_of_model = ModelInfo.read(model).digest
        self.stores = objects.Stores(folder / "buckets", folder / "state")

    def job(self, name: str, shard_images: int = 0, images: str = "list.csv") -> BatchJob:
        """A job of one core; shards have the size of the bench unless another is named."""
        spec = BatchSpec(
            input_uris=[f"gs://b/{images}"], output_directory=f"gs://b/out/{name}",
            scratch=str(self.stores.state(f"operations/{name}")), score_threshold=0.5, max_boxes=100,
            shard_images=shard_images or self.shard_images, row_failure_limit=0.0,
        )  # fmt: skip
        return BatchJob(spec, JobFolders(str(self.model), self.stores.to_config()), MachineShare(1))

    def run(self, job: BatchJob, engine_of: Callable[[Sink], Any]) -> float:
        """Runs a job to its manifest; returns the seconds."""
        sink, plan = Sink(job.spec, self.stores), Plan(job.spec, self.stores)
        sink.prepare()
        started_s = time.monotonic()
        for _ in engine_of(sink).run(plan, lambda: False):
            pass
        elapsed_s = time.monotonic() - started_s
        sink.close("SUCCEEDED", rows_read=plan.rows_read, duplicates=plan.duplicates, model_digest=self.digest_of_model)
        return elapsed_s

    def digest(self, name: str) -> str:
        """Of all files of a job's folder."""
        folder, found = self.bucket / "out" / name, hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                found.update(path.name.encode() + path.read_bytes())
        return found.hexdigest()
