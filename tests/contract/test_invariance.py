"""An image's line depends on the image and the model alone: not on shards, threads, the list's order or who comes first."""

from __future__ import annotations

import dataclasses
import json
import random
import threading

import pytest
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S
from tests.support.predictions.batch_jobs import Bench, in_order, scores
from tests.support.predictions.tiny_model import TinyModel

from boxwright import kinds, objects
from boxwright.batch.engine.engine import MachineEngine
from boxwright.batch.job import BatchJob, MachineShare
from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Plan
from boxwright.inference.loaded_model import LoadedModel
from boxwright.inference.model_opening import open_model

IMAGES = 45
THREADS = (1, 2, 3, 4)
SHARD_SIZES = (1, 2, 3, 5, 8, 16, 64)
SCORE_THRESHOLD = 0.3
SIZES_HW = ((48, 64), (96, 128), (200, 90))  # smaller and larger than the model's input, wide and high


@pytest.fixture(scope="module", params=["tiny_model", "tiny_classifier"])
def model(request: pytest.FixtureRequest) -> TinyModel:
    """A model of each kind."""
    found: TinyModel = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def predictors(model: TinyModel) -> dict[int, LoadedModel]:
    return {threads: open_model(model.folder, streams=threads) for threads in THREADS}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, model: TinyModel) -> Bench:
    """A bucket with images of several sizes and formats, one that is spoilt, and a list of them."""
    bench = Bench(tmp_path_factory.mktemp("invariance"), model.kind)
    for number in range(IMAGES):
        options = {"size_hw": SIZES_HW[number % 3], "file_format": ("JPEG", "PNG")[number % 2], "boxes": 1 + number % 4}
        content = drawn_images.draw(number, **options).content
        (bench.bucket / f"{number:02d}").write_bytes(content if number != 20 else content[:200])
    bench.write_list(_listed(bench))
    return bench


def _listed(bench: Bench) -> list[str]:
    return [f"gs://b/{number:02d}" for number in range(IMAGES)]


def _run(bench: Bench, job: BatchJob, predictor: LoadedModel, stores: objects.Stores | None = None) -> dict[str, bytes]:
    sink = Sink(job.spec, bench.stores)
    sink.prepare()
    engine = MachineEngine(job, stores or bench.stores, predictor, sink)
    plan = Plan(job.spec, bench.stores)
    for _ in engine.run(plan, lambda: False):
        pass
    sink.close("SUCCEEDED", rows_read=plan.rows_read, duplicates=plan.duplicates, model_digest="d")
    return bench.output(job.spec.output_directory.removeprefix("gs://b/"))


def _lines(bench: Bench, output: dict[str, bytes]) -> list[bytes]:
    """Results in their order, then errors."""
    found = in_order(output, bench.kind.name) + in_order(output, "errors")
    return found.splitlines(keepends=True)


def _by_image(lines: list[bytes]) -> dict[str, bytes]:
    return {json.loads(line)["ID"]: line for line in lines}


@pytest.fixture(scope="module")
def reference(bench: Bench, predictors: dict[int, LoadedModel]) -> list[bytes]:
    job = bench.job("reference", threads=1, shard_images=10, score_threshold=SCORE_THRESHOLD)
    lines = _lines(bench, _run(bench, job, predictors[1]))
    found = [len(scores(line)) for line in lines if b'"annotations"' in line]
    assert len(found) == IMAGES - 1
    if bench.kind == kinds.OBJECT_DETECTION:
        assert min(found) >= 2 and len(set(found)) >= 5, f"too few boxes to show anything: {found}"
    else:
        assert set(found) == {1, 2}, f"too few labels to show anything: {found}"
    assert len({line.partition(b",")[2] for line in lines}) == IMAGES, "two images have the same line"
    return lines


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("shard_images", SHARD_SIZES)
def test_shards_and_threads_change_no_byte(bench, predictors, reference, shard_images, threads):
    name = f"size-{shard_images}-{threads}"
    job = bench.job(name, threads=threads, shard_images=shard_images, score_threshold=SCORE_THRESHOLD)
    assert _lines(bench, _run(bench, job, predictors[threads])) == reference


@pytest.mark.parametrize(
    "share",
    [
        MachineShare(1, in_flight_bytes=1, models_bytes=1),
        MachineShare(3, processes=2, runtime="auto", in_flight_bytes=100_000),
        MachineShare(4, processes=1, in_flight_bytes=1 << 40, models_bytes=1 << 40),
    ],
    ids=lambda share: f"{share.cores} cores, {share.in_flight_bytes} bytes",
)
def test_nothing_that_a_machine_gives_reaches_the_output(bench, predictors, reference, share):
    name = f"share-{share.cores}"
    job = bench.job(name, shard_images=10, score_threshold=SCORE_THRESHOLD)
    folders = dataclasses.replace(job.folders, model="/elsewhere", notes=str(bench.root / "notes"))
    given = dataclasses.replace(job, folders=folders, share=share)
    assert _lines(bench, _run(bench, given, predictors[share.cores])) == reference
    manifest = json.loads(bench.output(name)["manifest.json"])
    assert manifest == json.loads(bench.output("reference")["manifest.json"])


@pytest.mark.parametrize("seed", range(4))
def test_a_shuffled_list_gives_the_same_line_for_each_image(bench, predictors, reference, seed):
    shuffled = _listed(bench)
    random.Random(seed).shuffle(shuffled)
    assert shuffled != _listed(bench)
    uri = bench.write_list(shuffled, f"shuffled-{seed}.csv")
    job = bench.job(f"shuffled-{seed}", lists=[uri], threads=3, shard_images=8, score_threshold=SCORE_THRESHOLD)
    lines = _lines(bench, _run(bench, job, predictors[3]))
    assert _by_image(lines) == _by_image(reference)
    assert len(lines) == IMAGES


class _Shuffling(objects.Stores):
    """Stores whose images arrive one at a time, in an order drawn from a seed, once every thread waits for one."""

    def __init__(self, bench: Bench, threads: int, seed: int) -> None:
        super().__init__(bench.root / "buckets", bench.root / "state")
        self._threads = threads
        self._random = random.Random(seed)
        self._changed = threading.Condition()
        self._held: list[objects.ObjectUri] = []
        self.arrived: list[str] = []

    def get_with_version(self, uri: objects.ObjectUri, *, max_bytes: int | None = None) -> tuple[bytes, str]:
        with self._changed:
            self._held.append(uri)
            self._release()
            assert self._changed.wait_for(lambda: uri not in self._held, timeout=PATIENCE_S)
        return super().get_with_version(uri, max_bytes=max_bytes)

    def _release(self) -> None:
        while self._held and len(self._held) >= min(self._threads, IMAGES - len(self.arrived)):
            chosen = self._random.choice(self._held)
            self._held.remove(chosen)
            self.arrived.append(str(chosen))
            self._changed.notify_all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threads", [2, 4])
def test_images_that_arrive_in_another_order_change_no_byte(bench, predictors, reference, threads, seed):
    stores = _Shuffling(bench, threads, seed)
    name = f"arrival-{threads}-{seed}"
    job = bench.job(name, threads=threads, shard_images=5, score_threshold=SCORE_THRESHOLD)
    assert _lines(bench, _run(bench, job, predictors[threads], stores)) == reference
    assert sorted(stores.arrived) == _listed(bench)
    assert stores.arrived != _listed(bench)
