"""One job in the inference child: what it says at the end, and that it leaves nothing behind in its process."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import threading

import psutil
import pytest
from tests.support import drawn_images
from tests.support.batch_jobs import Bench

from boxwright.prediction import child
from boxwright.prediction.plan import Plan

IMAGES = 6


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    bench = Bench(tmp_path)
    names = drawn_images.write_images(bench.bucket, IMAGES)
    bench.write_list([f"gs://b/{name}" for name in names])
    return bench


@pytest.fixture(scope="module")
def models() -> child.LoadedModels:
    return child.LoadedModels()


def _run(bench: Bench, name: str, tiny_model, models: child.LoadedModels, *, stop: bool = False) -> None:
    job = dataclasses.replace(
        bench.job(name, shard_images=2, model_folder=tiny_model.folder), guard_folder=str(bench.root / "guard" / name)
    )
    stop_requested = threading.Event()
    if stop:
        stop_requested.set()
    child.run_job(job, models, child.Events(), stop_requested)


def _said(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_finished_job_says_so_last_and_leaves_no_file_open(bench, tiny_model, models, capsys):
    _run(bench, "first", tiny_model, models)  # opens what is kept: the model, the runtime's pools
    before = psutil.Process().num_fds()
    for number in range(5):
        _run(bench, f"job-{number}", tiny_model, models)
        last = _said(capsys)[-1]
        assert (last["event"], last["images"]) == ("done", IMAGES)
    assert psutil.Process().num_fds() <= before


def test_a_stopped_job_says_so_and_has_no_manifest(bench, tiny_model, models, capsys):
    _run(bench, "stopped", tiny_model, models, stop=True)
    assert _said(capsys)[-1] == {"event": "stopped"}
    assert "manifest.json" not in bench.output("stopped")


def test_a_list_that_was_not_read_to_its_end_is_no_success(bench, tiny_model, models, monkeypatch):
    monkeypatch.setattr(Plan, "segments", lambda plan: iter(()))
    with pytest.raises(RuntimeError, match="read to its end"):
        _run(bench, "short", tiny_model, models)
    assert "manifest.json" not in bench.output("short")
