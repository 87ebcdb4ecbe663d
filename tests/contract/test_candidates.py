"""Candidates come from any engine with the same bytes, and a selection of them is what a direct run writes."""

from __future__ import annotations

import dataclasses
import pathlib
import random

import pytest
from tests.support.images import drawn_images
from tests.support.predictions import engines
from tests.support.predictions.batch_jobs import Bench
from tests.support.predictions.tiny_model import TinyModel

from boxwright import errors, kinds
from boxwright.batch.job import BatchJob, BatchSpec
from boxwright.batch.output import candidates, manifest, result_formats, sidecars
from boxwright.batch.output.sink import Sink
from boxwright.inference.model_folder import ModelInfo
from boxwright.runners import batch_choices

IMAGES = 30
SETTINGS = batch_choices.OutputSettings(8, 0.5, 1.0, 60.0, False, None, True, 0.05)


@pytest.fixture(scope="module", params=["tiny_model", "tiny_classifier"])
def model(request: pytest.FixtureRequest) -> TinyModel:
    """A model of each kind."""
    found: TinyModel = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, model: TinyModel) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("candidates"), model.kind)
    for number in range(IMAGES):
        content = drawn_images.draw(number, size_hw=(48, 64 + number), boxes=1 + number % 4).content
        (bench.bucket / f"{number:02d}").write_bytes(content if number != 20 else content[:200])
    bench.write_list([f"gs://b/{number:02d}" for number in range(IMAGES)])
    return bench


def _formats(model: TinyModel) -> list[str]:
    return result_formats.names_for(boxes=model.kind is kinds.OBJECT_DETECTION)


def _job(bench: Bench, model: TinyModel, name: str, **params) -> BatchJob:
    """A job as the service describes it, from params as they are parsed."""
    info = ModelInfo.read(model.folder)
    most = 100 if info.score_floor else None
    chosen = batch_choices.chosen(SETTINGS, {"score_threshold": 0.5, "max_boxes": most} | params, info)
    return bench.job(name, threads=2, model="m", **chosen)


@pytest.fixture(scope="module", params=engines.NAMES)
def maker(request: pytest.FixtureRequest, model: TinyModel):
    with engines.opened(request.param, model) as maker:
        yield maker


@pytest.fixture(scope="module")
def kept(bench: Bench, model: TinyModel) -> dict[str, bytes]:
    """The files of a job that keeps all that the model has."""
    with engines.opened("threads", model) as maker:
        engines.finish(bench, _job(bench, model, "kept", score_threshold=0.0, formats=_formats(model)), maker)
    return bench.output("kept")


def test_every_engine_keeps_the_same_candidates_also_after_a_stop(bench, model, maker, kept):
    name = f"again-{type(maker).__name__}"
    job = _job(bench, model, name, score_threshold=0.0, formats=_formats(model))
    engines.finish(bench, job, maker, stop_after=1)
    engines.finish(bench, job, maker)
    assert bench.output(name) == kept
    shards = (IMAGES + 7) // 8
    assert sum(name.startswith("candidates/") for name in kept) == shards
    found = manifest.Manifest.from_json(kept["manifest.json"])
    assert sum(file.images for file in found.candidates) == found.images_predicted == IMAGES - 1
    assert {name: len(files) for name, files in found.formats.items()} == dict.fromkeys(_formats(model), shards)
    assert manifest.examine(bench.stores, bench.directory(name)).problems == []


def _random_params(rng: random.Random, names: list[str], has_boxes: bool) -> dict[str, object]:
    def threshold() -> float:
        return rng.choice([0.0, 0.05, 0.3, 0.5, 1.0, round(rng.random(), 3)])

    params: dict[str, object] = {"score_threshold": threshold(), "formats": ["csv"]}
    if has_boxes:
        params["max_boxes"] = rng.choice([1, 2, 3, 100, 500])
    if rng.random() < 0.6:
        params["label_thresholds"] = {name: threshold() for name in names if rng.random() < 0.6}
    if rng.random() < 0.3:
        params["only_labels"] = rng.sample(names, rng.randint(1, len(names)))
    return params


@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(6, 46), marks=pytest.mark.full)], ids=["few", "forty"])
def test_a_selection_of_the_candidates_is_a_direct_run_byte_for_byte(bench, model, kept, seeds):
    names = [label.display_name for label in ModelInfo.read(model.folder).labels]
    with engines.opened("threads", model) as maker:
        for seed in seeds:
            params = _random_params(random.Random(seed), names, bool(ModelInfo.read(model.folder).score_floor))
            job = _job(bench, model, f"direct-{seed}", **params, keeps_candidates=False)
            engines.finish(bench, job, maker)
            direct = bench.output(f"direct-{seed}")
            assert _selected(job.spec, kept) == {
                name: content for name, content in direct.items() if name.startswith(("image", "csv"))
            }


def _selected(spec: BatchSpec, kept: dict[str, bytes]) -> dict[str, bytes]:
    files = {}
    for name, content in kept.items():
        if name.startswith("candidates/"):
            shard = int(pathlib.Path(name).stem.rpartition("_")[2])
            table, _ = candidates.from_parquet(content, name)
            lines, beside = sidecars.results(spec, shard, table)
            files[spec.shard_pattern.format(shard)] = lines
            files[f"csv/{spec.kind}_{shard}.csv"] = beside["csv"]
    return files


def test_the_floor_is_that_of_the_settings_or_of_the_job_and_nothing_where_the_model_has_no_more(model):
    info = ModelInfo.read(model.folder)

    def floor(**params) -> float | None:
        chosen = batch_choices.chosen(SETTINGS, {"score_threshold": 0.5, "max_boxes": None} | params, info)
        return chosen.get("candidate_floor")

    name = info.labels[0].display_name
    assert floor() == floor(score_threshold=0.05) == 0.05
    low = info.score_floor + 0.01
    assert floor(score_threshold=low) == floor(label_thresholds={name: low}) == min(low, 0.05)
    assert floor(score_threshold=info.score_floor) == floor(label_thresholds={name: 0.0}) == 0.0
    assert floor(keeps_candidates=False) is None


def test_a_label_that_the_model_does_not_have_is_refused_by_name(model):
    info = ModelInfo.read(model.folder)
    name = info.labels[0].display_name
    for params in ({"label_thresholds": {f"{name}x": 0.5}}, {"only_labels": [f"{name}x"]}):
        with pytest.raises(errors.ApiError, match=f"no label '{name}x'; did you mean {name}"):
            batch_choices.chosen(SETTINGS, {"score_threshold": 0.5, "max_boxes": None} | params, info)


def test_verify_finds_candidates_that_are_changed_missing_or_of_another_job(bench, model, kept, tmp_path):
    name = f"candidates/{model.kind.name}_1.parquet"

    def problems(files: dict[str, bytes]) -> list[str]:
        copy = Bench(tmp_path / str(len(list(tmp_path.iterdir()))), model.kind)
        for file, content in files.items():
            (copy.bucket / "job" / file).parent.mkdir(parents=True, exist_ok=True)
            (copy.bucket / "job" / file).write_bytes(content)
        return manifest.examine(copy.stores, copy.directory()).problems

    assert problems(kept) == []
    assert problems({**kept, name: kept[name] + b" "}) == [f"{name} has other bytes than the job wrote"]
    assert problems({file: content for file, content in kept.items() if file != name}) == [f"{name} is missing"]
    extra = f"csv/{model.kind.name}_99.csv"
    assert problems({**kept, extra: b"id\n"}) == [f"{extra} is not of this job: the manifest does not name it"]


def test_a_cancelled_job_leaves_no_candidates_beside_shards_that_are_not_there(bench, model, maker):
    name = f"cancelled-{type(maker).__name__}"
    job = _job(bench, model, name)
    engines.finish(bench, job, maker, stop_after=1)
    lone = bench.bucket / name / f"candidates/{model.kind.name}_99.parquet"
    lone.write_bytes(b"of a shard that was not put")
    Sink(job.spec, bench.stores).close("CANCELLED", rows_read=0, duplicates=0, model_digest="d")
    assert not lone.exists()
    assert manifest.examine(bench.stores, bench.directory(name)).problems == []


def test_what_an_older_version_began_keeps_no_candidates(bench, model):
    spec = dataclasses.replace(_job(bench, model, "older").spec, candidate_floor=None)
    assert sidecars.wanted(spec) == []
    assert sidecars.of_shard(spec, 1, ["a"], [None], [False]) == (None, {})
