"""One job in the inference child: what it says at the end, and that it leaves nothing behind in its process."""

from __future__ import annotations

import functools
import json
import pathlib
import threading

import psutil
import pytest
from tests.support.images import drawn_images
from tests.support.predictions.batch_jobs import Bench

from boxwright.batch import child_main
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.events import Events
from boxwright.batch.plan import Plan

IMAGES = 6


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    bench = Bench(tmp_path)
    names = drawn_images.write_images(bench.bucket, IMAGES)
    bench.write_list([f"gs://b/{name}" for name in names])
    return bench


@pytest.fixture(params=[1, 3], ids=["alone", "with two peers"])
def run(request, bench: Bench, tiny_model, models: LoadedModels, peers: PeerPool):
    """Runs a job of that name, alone or with peers."""
    return functools.partial(_run, bench, tiny_model, models, peers, request.param)


def _run(bench: Bench, tiny_model, models, peers, threads: int, name: str, *, stop: bool = False) -> None:
    notes = bench.root / "notes" / f"{name}-{threads}"
    job = bench.job(f"{name}-{threads}", threads=threads, shard_images=2, model_folder=tiny_model.folder, notes=notes)
    stop_requested = threading.Event()
    if stop:
        stop_requested.set()
    child_main.run_job(job, models, peers, Events(), stop_requested)


def _said(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_finished_job_says_so_last_and_leaves_no_file_open(run, capsys):
    run("first")  # opens what is kept: the model, the runtime's pools
    before = psutil.Process().num_fds()
    for number in range(5):
        run(f"job-{number}")
        last = _said(capsys)[-1]
        assert (last["event"], last["images"]) == ("done", IMAGES)
    assert psutil.Process().num_fds() <= before


def test_a_stopped_job_says_so_and_has_no_manifest(run, bench, capsys):
    run("stopped", stop=True)
    assert _said(capsys)[-1] == {"event": "stopped"}
    assert not [name for threads in (1, 3) for name in bench.output(f"stopped-{threads}") if name == "manifest.json"]


def test_a_list_that_was_not_read_to_its_end_is_no_success(run, bench, monkeypatch):
    monkeypatch.setattr(Plan, "segments", lambda plan: iter(()))
    with pytest.raises(RuntimeError, match="read to its end"):
        run("short")
    assert not [name for threads in (1, 3) for name in bench.output(f"short-{threads}") if name == "manifest.json"]
