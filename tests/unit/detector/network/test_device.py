"""Where training computes: mixed precision learns what full precision learns, on the cores and on a GPU if there is one."""

from __future__ import annotations

import json
import pathlib

import pytest
import torch
from tests.unit.detector import conftest
from tests.unit.detector.conftest import Watcher, elapsed

from boxwright.detector import session
from boxwright.detector.network import dense
from boxwright.detector.planning import schedule
from boxwright.learning import checkpoint, device, listener, parallel_step
from boxwright.learning import trainer as learning_trainer
from boxwright.learning.job import TrainingJob

PLACES = [device.Device("cpu", torch.bfloat16)]
if torch.cuda.is_available():  # nothing is skipped: without a GPU there is no such case
    PLACES.append(device.Device("cuda", torch.bfloat16))


@pytest.mark.full
@pytest.mark.parametrize("where", PLACES, ids=lambda where: where.name)
def test_mixed_precision_learns_the_shapes(where, drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch):
    recipe = {**conftest.RECIPE, "steps": 150}
    scores, shapes = {}, {}
    for name, place in (("full", device.CPU), ("mixed", where)):
        monkeypatch.setattr(device, "choose", lambda place=place: place)
        folder = conftest.write_job(tmp_path / name, drawn.rows, recipe=recipe)
        session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed())
        evaluation = json.loads((folder / "model" / "evaluation.json").read_text())
        scores[name] = evaluation["extras"]["map50"]
        shapes[name] = json.loads((folder / "model" / "model.json").read_text())["input_hw"]
    assert shapes["mixed"] == shapes["full"]
    assert scores["full"] > 0.5 and scores["mixed"] > 0.5, scores


@pytest.mark.parametrize("where", PLACES, ids=lambda where: where.name)
def test_the_forward_pass_is_in_low_precision_and_close(where):
    torch.manual_seed(0)
    network = dense.Network(dense.TINY, 2).eval().to(where.name)
    pixels = where.put(torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8))
    with torch.no_grad():
        exact, _ = network(pixels)
        with where.autocast():
            rough, _ = network(pixels)
    assert rough.dtype == torch.bfloat16 and exact.dtype == torch.float32
    assert (rough.float().sigmoid() - exact.sigmoid()).abs().max() < 0.02


def test_a_gpu_and_many_cores_get_larger_batches_and_fewer_steps_unless_the_job_says_otherwise():
    plain, large = schedule.Recipe.from_job({}), schedule.Recipe.from_job({}, large_batches=True)
    assert (large.batch_size, large.peak_rate) == (4 * plain.batch_size, 2 * plain.peak_rate)
    assert schedule.planned_steps(1000, large.batch_size) < schedule.planned_steps(1000, plain.batch_size)
    assert schedule.Recipe.from_job({"batch_size": 4}, large_batches=True).batch_size == 4


def test_more_cores_take_more_parts_until_they_wait_for_each_other():
    small, large = schedule.Recipe().batch_size, schedule.Recipe.from_job({}, large_batches=True).batch_size
    assert [parallel_step.count_for(threads, small) for threads in (1, 2, 4, 7)] == [1, 2, 4, 4]
    assert [parallel_step.count_for(threads, large) for threads in (schedule.MANY_CORES, 64)] == [8, 8]


@pytest.mark.full
def test_the_number_of_cores_decides_the_batch_and_repeats_the_weights(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch
):
    monkeypatch.setattr(device, "choose", lambda: device.CPU)
    monkeypatch.setattr(schedule, "LARGE_FROM_IMAGES", 2)
    recipe = {name: value for name, value in conftest.RECIPE.items() if name != "batch_size"}
    epochs, digests = [], []
    for number, threads in enumerate((schedule.MANY_CORES - 1, schedule.MANY_CORES, schedule.MANY_CORES)):
        job = {"recipe": {**recipe, "steps": 8, "quantise": False}, "threads": threads}
        folder = conftest.write_job(tmp_path / str(number), drawn.rows, **job)
        digests.append(session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed()).weights_sha256)
        epochs.append(json.loads((folder / "model" / "model.json").read_text())["provenance"]["epochs"])
    assert epochs[1] == pytest.approx(schedule.LARGE_BATCHES * epochs[0], rel=0.01)
    assert digests[1] == digests[2] != digests[0]


def test_few_images_are_shown_in_small_batches_on_any_number_of_cores(drawn: conftest.Drawn, tmp_path: pathlib.Path):
    recipe = {name: value for name, value in conftest.RECIPE.items() if name != "batch_size"}
    for images, batch_size in ((schedule.LARGE_FROM_IMAGES - 1, 8), (schedule.LARGE_FROM_IMAGES, 32)):
        job = TrainingJob.read(conftest.write_job(tmp_path, drawn.rows, recipe=recipe, threads=schedule.MANY_CORES))
        assert session._recipe(job, device.CPU, images).batch_size == batch_size


@pytest.mark.full
@pytest.mark.parametrize("is_same", [True, False])
def test_steps_of_another_number_of_images_are_not_gone_on_with(
    is_same, drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch
):
    monkeypatch.setattr(device, "choose", lambda: device.CPU)
    monkeypatch.setattr(schedule, "LARGE_FROM_IMAGES", 2)
    recipe = {name: value for name, value in conftest.RECIPE.items() if name != "batch_size"}
    monkeypatch.setattr(learning_trainer, "PROGRESS_EVERY_S", 0.0)
    folder = conftest.write_job(tmp_path, drawn.rows, recipe=recipe, threads=schedule.MANY_CORES)
    with pytest.raises(listener.TrainingStopped):
        session.run(TrainingJob.read(folder), drawn.read, Watcher(60.0), elapsed())
    before = checkpoint.load(folder)
    if not is_same:  # as if a GPU had gone
        monkeypatch.setattr(schedule, "LARGE_FROM_IMAGES", 1e9)
    watcher = Watcher(2.5)
    with pytest.raises(listener.TrainingStopped):
        session.run(TrainingJob.read(folder), drawn.read, watcher, elapsed())
    after = checkpoint.load(folder)
    assert any("another number of images" in one for one in watcher.warnings) != is_same
    assert (after.step >= before.step) == is_same


def test_a_checkpoint_of_mixed_precision_goes_on(drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch):
    monkeypatch.setattr(device, "choose", lambda: PLACES[-1])
    monkeypatch.setattr(learning_trainer, "PROGRESS_EVERY_S", 0.0)
    folder = conftest.write_job(tmp_path, drawn.rows)
    with pytest.raises(listener.TrainingStopped):
        session.run(TrainingJob.read(folder), drawn.read, Watcher(60.0), elapsed())
    state = checkpoint.load(folder)
    assert state is not None and 0 < state.step < 40
    assert all(tensor.dtype != torch.bfloat16 for tensor in state.weights.values())
    session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed())
    assert (folder / "model" / "model.json").exists()
