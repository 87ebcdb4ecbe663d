"""What a batch costs that takes over the results of unchanged images: beside the job that predicted them all.

    python -m benchmarks.batch.reuse [--quick] [--images 100000] [--changed 0.01]

Writes VGA pictures, each with bytes of its own, into a folder of this machine; predicts all of them, with one process a
core; changes a share; and predicts the folder again from the first job. Then all files get new names, and it is done once
more. Counts the images that are predicted and those that are looked at. Prints a table and ends with one JSON object, and
with status 1 if the second job takes more than 2 % of the first one's time and 3 s, or predicts more than was changed and
audited.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import pathlib
import sys
import tempfile
import threading
import time

from benchmarks.harness import arguments, pictures, results, serving
from boxwright import machine, objects
from boxwright.batch.engine import opening as engine_opening
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.job import BatchJob, BatchSpec, JobFolders, MachineShare
from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Plan
from boxwright.batch.reuse import opening
from boxwright.inference.model_folder import ModelInfo
from boxwright.runners import batch_choices

SHARE, EXTRA_S = 0.02, 3.0  # of the first job's time, and beside it
AUDIT = 0.001
MODEL = "projects/p/locations/us-central1/models/IOD1"
ORIGINALS = 20


@dataclasses.dataclass(frozen=True)
class Run:
    """One job: its seconds, and how many images it took over and predicted, read ones among them."""

    what: str
    elapsed_s: float
    reused: int
    predicted: int
    looks: int


class Bench:
    """A bucket of pictures and the jobs on it.

    Args:
        folder: for everything.
        model: the model's folder.
    """

    def __init__(self, folder: pathlib.Path, model: pathlib.Path) -> None:
        self._folder, self._model = folder, model
        self.images = folder / "buckets" / "b" / "images"
        self.images.mkdir(parents=True)
        self._stores = objects.Stores(folder / "buckets", folder / "state")
        self._models, self._peers = LoadedModels(), PeerPool()
        (self._originals,) = pictures.make(folder / "originals", ["vga"], {"vga": ORIGINALS}).values()

    def write(self, number: int, mark: int) -> None:
        """Writes a picture; a comment in it makes its bytes its own."""
        content = self._originals[number % ORIGINALS].read_bytes()
        comment = b"\xff\xfe\x00\x0a" + number.to_bytes(4, "big") + mark.to_bytes(4, "big")
        path = self.images / f"{number // 1000:04d}" / f"{number:07d}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content[:2] + comment + content[2:])

    def run(self, name: str, base: str = "") -> Run:
        """Predicts all pictures, in this process and its peers."""
        job = self._job(name, base)
        sink = Sink(job.spec, self._stores)
        sink.prepare()
        started_s = time.perf_counter()
        with contextlib.ExitStack() as opened:
            former = opened.enter_context(opening.opened(job, self._stores))
            engine = opened.enter_context(
                engine_opening.opened(job, self._models, self._peers, self._stores, sink, former)
            )
            plan = opened.enter_context(contextlib.closing(Plan(job.spec, self._stores, job.folders.notes)))
            never = threading.Event()
            for _ in engine.run(plan, never.is_set):
                pass
            manifest = sink.close(
                "SUCCEEDED",
                rows_read=plan.rows_read,
                duplicates=plan.duplicates,
                model_digest=job.spec.model_digest,
            )
            looks = former.results.versions.looks if former.results is not None else 0
        elapsed_s = time.perf_counter() - started_s
        predicted = manifest.images_predicted - manifest.reused
        return Run(name, round(elapsed_s, 2), manifest.reused, predicted, looks)

    def rename(self) -> None:
        """Gives every file a new name."""
        for path in list(self.images.rglob("*.jpg")):
            path.rename(path.with_name(f"n{path.name}"))

    def close(self) -> None:
        """Ends the peers."""
        self._peers.close()

    def _job(self, name: str, base: str) -> BatchJob:
        settings = batch_choices.OutputSettings(500, 0.5, 1.0, 60.0, False, None, True, 0.05, reuse_audit=AUDIT)
        chosen = batch_choices.chosen(settings, {"score_threshold": 0.5, "max_boxes": 100}, ModelInfo.read(self._model))
        spec = BatchSpec(
            input_uris=["gs://b/images/"],
            output_directory=f"gs://b/{name}",
            scratch=str(self._stores.state(f"operations/{name}")),
            model=MODEL,
            base=f"gs://b/{base}" if base else "",
            **chosen,
        )
        notes = self._folder / "notes" / name
        notes.mkdir(parents=True)
        folders = JobFolders(str(self._model), self._stores.to_config(), str(notes))
        return BatchJob(spec, folders, MachineShare(machine.usable_cores()))


def measured(folder: pathlib.Path, options: argparse.Namespace) -> list[Run]:
    """The first job, the one after a share has changed, and the one after all have other names."""
    model = options.model or folder / "model"
    if options.model is None:
        serving.make_model(model, options.model_type, options.precision)
    bench = Bench(folder, model)
    try:
        for number in range(options.images):
            bench.write(number, 0)
        found = [bench.run("first")]
        for number in range(0, options.images, max(1, round(1 / options.changed))):
            bench.write(number, 1)
        found.append(bench.run("changed", "first"))
        bench.rename()
        found.append(bench.run("renamed", "changed"))
    finally:
        bench.close()
    return found


def main() -> int:
    parser = arguments.parser(__doc__, quick="400 pictures and a small network")
    parser.add_argument("--images", type=int, default=100_000, help="pictures")
    parser.add_argument("--changed", type=float, default=0.01, help="share of them that changes")
    arguments.add_model(parser)
    parser.set_defaults(precision="fp32")
    options = parser.parse_args()
    if options.quick:
        options.images, options.model_type = min(options.images, 400), "mobile-low-latency-1"
    with tempfile.TemporaryDirectory() as folder:
        found = measured(pathlib.Path(folder), options)
    print(f"{'job':<10}{'s':>10}{'taken over':>12}{'predicted':>11}{'looks':>9}")
    for run in found:
        print(f"{run.what:<10}{run.elapsed_s:>10}{run.reused:>12,}{run.predicted:>11,}{run.looks:>9,}")
    first, changed, renamed = found
    figures = {f"{run.what}_{key}": getattr(run, key) for run in found for key in ("elapsed_s", "reused", "predicted")}
    results.close(
        __file__,
        options,
        {"share": SHARE, "extra_s": EXTRA_S, "runs": [dataclasses.asdict(run) for run in found]},
        source="docs/batch-prediction.md",
        conditions="VGA pictures in folders of this machine, one process a core",
        figures={**figures, "images": options.images},
    )
    most = 2 * options.changed * options.images + 4 * AUDIT * options.images + 4  # an audit is drawn
    is_fast = changed.elapsed_s <= SHARE * first.elapsed_s + EXTRA_S
    return 0 if is_fast and changed.predicted <= most and renamed.predicted <= most else 1


if __name__ == "__main__":
    sys.exit(main())
