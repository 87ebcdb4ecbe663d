"""Peer processes: a pool that grows and shrinks between jobs, and what becomes of a job when a peer fails.

That their bytes are those of one process is shown in test_engine.py, with every engine.
"""

from __future__ import annotations

import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S, wait_until
from tests.support.predictions.batch_jobs import Bench, in_order
from tests.support.predictions.tiny_model import TinyModel

from boxwright import errors
from boxwright.batch.child_main import run_job
from boxwright.batch.engine import in_flight
from boxwright.batch.engine.engine import MachineEngine, image_threads
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.engine.shard_assembler import ShardAssembler
from boxwright.batch.events import Events
from boxwright.batch.job import BatchJob
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Plan
from boxwright.inference.predictor import Predictor

IMAGES = 60
RESULTS = "image_object_detection"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Good images, a spoilt one, a missing one and one that is listed twice."""
    bench = Bench(tmp_path_factory.mktemp("team"))
    names = drawn_images.write_images(bench.bucket, IMAGES)
    (bench.bucket / "spoilt.jpg").write_bytes(b"this is not an image")
    listed = [*names[:20], "spoilt.jpg", "missing.jpg", names[3], *names[20:]]
    bench.write_list([f"gs://b/{name}" for name in listed])
    return bench


@pytest.fixture(scope="module")
def predictor(tiny_model: TinyModel) -> Predictor:
    return Predictor.open(tiny_model.folder, streams=1)


@pytest.fixture
def deaths() -> queue.SimpleQueue[int]:
    """Exit statuses of peers that died."""
    return queue.SimpleQueue()


@pytest.fixture
def peers(deaths) -> Iterator[PeerPool]:
    peers = PeerPool(on_death=deaths.put)
    yield peers
    peers.close()


def _job(bench: Bench, tiny_model: TinyModel, name: str, threads: int, **values) -> BatchJob:
    values = {"model_folder": tiny_model.folder, "notes": bench.root / "notes" / name} | values
    return bench.job(name, threads=threads, shard_images=25, **values)


def _engine(bench: Bench, job: BatchJob, predictor: Predictor, peers: PeerPool, sink: Sink) -> MachineEngine:
    peers.gather(job.share.process_count - 1)
    threads = image_threads(job.share.of_one_process(), predictor)
    journal = in_flight.Journal(pathlib.Path(job.folders.notes), threads)
    return MachineEngine(job, bench.stores, predictor, sink, journal=journal, peers=peers)


def _run(bench, job, predictor, peers, *, stop_after: int | None = None) -> list[ShardReport]:
    sink = Sink(job.spec, bench.stores)
    sink.prepare()
    plan = Plan(job.spec, bench.stores)
    engine = _engine(bench, job, predictor, peers, sink)
    reports: list[ShardReport] = []
    for report in engine.run(plan, lambda: stop_after is not None and len(reports) >= stop_after):
        reports.append(report)
    if stop_after is None:
        sink.close("SUCCEEDED", rows_read=plan.rows_read, duplicates=plan.duplicates, model_digest="d")
        assert engine.counts.images_done == IMAGES + 2
        assert engine.counts.images_failed == 2
    return reports


@pytest.fixture(scope="module")
def reference(bench, tiny_model, predictor) -> dict[str, bytes]:
    job = _job(bench, tiny_model, "reference", 1)
    sink = Sink(job.spec, bench.stores)
    plan = Plan(job.spec, bench.stores)
    for _ in MachineEngine(job, bench.stores, predictor, sink).run(plan, lambda: False):
        pass
    sink.close("SUCCEEDED", rows_read=plan.rows_read, duplicates=plan.duplicates, model_digest="d")
    return bench.output("reference")


def test_a_pool_of_any_size_gives_the_bytes_of_one_process(bench, tiny_model, predictor, reference, peers):
    first = []
    for threads in (2, 4, 3):  # peers stay, more come, and who is too many goes
        name = f"pool-{threads}"
        _run(bench, _job(bench, tiny_model, name, threads), predictor, peers)
        assert bench.output(name) == reference
        first = first or peers.pids
        assert peers.pids[:1] == first
        assert len(peers.pids) == threads - 1


def test_four_threads_give_the_same_bytes_in_one_process_or_in_several(bench, tiny_model, reference, peers):
    models = LoadedModels()
    for processes in (4, 2, 1, 3):  # three: one thread each, the fourth stays away
        name = f"processes-{processes}"
        job = _job(bench, tiny_model, name, 4, processes=processes)
        run_job(job, models, peers, Events(), threading.Event())
        assert bench.output(name).keys() == reference.keys()
        for file, content in bench.output(name).items():
            assert file == "manifest.json" or content == reference[file]
        assert len(peers.pids) == processes - 1


class _Drained:
    """A job whose chunks are all given away."""

    asked = 0

    def next_chunk(self) -> None:
        self.asked += 1


def test_a_peer_that_begins_when_the_job_is_over_makes_no_folder(bench, tiny_model, peers):
    """The job's folders may be deleted by then, and nobody would delete a new one."""
    job, source = _job(bench, tiny_model, "late", 2), _Drained()
    peers.gather(1)
    peers.begin(source, job, lambda peer, totals: None)
    (late,) = peers._at_work
    wait_until(late._over.is_set, "the peer's end of the job")
    assert source.asked
    assert not pathlib.Path(job.folders.notes).exists()
    peers.end()


def test_every_process_does_a_part(bench, tiny_model, predictor, peers):
    """The leader's own threads are held up until the peer has handed something in."""
    job = _job(bench, tiny_model, "parts", 2)
    sink = Sink(job.spec, bench.stores)
    engine = _engine(bench, job, predictor, peers, sink)
    began = threading.Event()
    note = engine._times.note_peer

    def noted(peer: int, spent_s: dict[str, float]) -> None:
        assert peer == 1
        began.set()
        note(peer, spent_s)

    engine._times.note_peer = noted  # type: ignore[method-assign]
    prepare = predictor.prepare

    class Slow(Predictor):
        def prepare(self, data: bytes):
            assert began.wait(PATIENCE_S), "the peer never handed anything in"
            return prepare(data)

    engine._pipeline._predictor = Slow(predictor.info, predictor.runtime, predictor.limits)
    assert len(list(engine.run(Plan(job.spec, bench.stores), lambda: False))) == 3
    assert began.is_set()
    total = engine.stage_s()
    assert total["decoding"] > 0 and total["network"] > 0


def test_after_a_stop_whole_shards_stay_and_the_rest_is_done_later(bench, tiny_model, predictor, reference, peers):
    job = _job(bench, tiny_model, "stopped", 3)
    _run(bench, job, predictor, peers, stop_after=1)
    half = bench.output("stopped")
    assert half and all(content == reference[name] for name, content in half.items())
    assert "manifest.json" not in half
    assert all(peer._over.wait(PATIENCE_S) for peer in peers._peers)  # nobody goes on behind our back
    assert bench.output("stopped") == half
    _run(bench, job, predictor, peers)
    assert bench.output("stopped") == reference


@pytest.mark.parametrize("broken", ["plan", "sink"])
def test_whatever_breaks_in_the_leader_ends_the_run_with_it(bench, tiny_model, predictor, peers, broken):
    class BrokenPlan(Plan):
        def segments(self):
            yield next(super().segments())
            raise MemoryError("the rest was not read")

    class BrokenSink(Sink):
        def commit(self, *arguments, **values):
            raise MemoryError("not written")

    job = _job(bench, tiny_model, f"broken-{broken}", 2)
    sink = (BrokenSink if broken == "sink" else Sink)(job.spec, bench.stores)
    plan = (BrokenPlan if broken == "plan" else Plan)(job.spec, bench.stores)
    engine = _engine(bench, job, predictor, peers, sink)
    with pytest.raises(MemoryError, match="not "):
        list(engine.run(plan, lambda: False))
    _run(bench, _job(bench, tiny_model, f"after-{broken}", 2), predictor, peers)


def test_a_peer_that_cannot_load_the_model_fails_the_job_with_the_reason(
    bench, tiny_model, predictor, peers, monkeypatch
):
    job = _job(bench, tiny_model, "no-model", 2, model_folder="/nowhere")
    engine = _engine(bench, job, predictor, peers, Sink(job.spec, bench.stores))
    failed = threading.Event()
    fail, prepare = ShardAssembler.fail, predictor.prepare

    def noted(assembler: ShardAssembler, error: Exception) -> None:
        fail(assembler, error)
        failed.set()

    monkeypatch.setattr(ShardAssembler, "fail", noted)

    class Waiting(Predictor):
        def prepare(self, data: bytes):
            assert failed.wait(PATIENCE_S), "the peer said nothing"
            return prepare(data)

    engine._pipeline._predictor = Waiting(predictor.info, predictor.runtime, predictor.limits)
    with pytest.raises(errors.ApiError, match="The model cannot be loaded"):
        list(engine.run(Plan(job.spec, bench.stores), lambda: False))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_peer_that_dies_or_falls_silent_is_noticed(bench, tiny_model, predictor, peers, deaths, monkeypatch, how):
    from boxwright.batch.engine import peer_pool as module

    monkeypatch.setattr(module, "SILENCE_MARGIN_S", 1.0)
    job = _job(bench, tiny_model, f"death-{how}", 2, image_timeout_s=2.0)
    engine = _engine(bench, job, predictor, peers, Sink(job.spec, bench.stores))
    hit = threading.Event()
    note = engine._times.note_peer

    def noted(peer: int, spent_s: dict[str, float]) -> None:
        note(peer, spent_s)
        if not hit.is_set():
            os.kill(peers.pids[0], how)
            hit.set()

    engine._times.note_peer = noted  # type: ignore[method-assign]
    prepare = predictor.prepare

    class Held(Predictor):
        def prepare(self, data: bytes):
            hit.wait(PATIENCE_S)
            return prepare(data)

    engine._pipeline._predictor = Held(predictor.info, predictor.runtime, predictor.limits)
    over = threading.Event()

    def run() -> None:
        list(engine.run(Plan(job.spec, bench.stores), over.is_set))

    runner = threading.Thread(target=run, daemon=True)
    runner.start()
    assert deaths.get(timeout=PATIENCE_S) == -signal.SIGKILL
    over.set()
    runner.join(PATIENCE_S)
    assert not runner.is_alive()


def test_peers_end_with_their_leader(tmp_path):
    code = (
        "import sys\n"
        "from boxwright.batch.engine.peer_pool import PeerPool\n"
        "peers = PeerPool(); peers.gather(2)\n"
        "print(*peers.pids, flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as leader:
        assert leader.stdout is not None
        processes = [psutil.Process(int(pid)) for pid in leader.stdout.readline().split()]
        assert len(processes) == 2
        leader.kill()
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_S)
    assert not alive


def test_the_notes_of_every_process_name_suspects(tmp_path):
    leader, peer = in_flight.Journal(tmp_path, 2), in_flight.Journal(tmp_path, 2, process_index=1)
    with leader.watched("gs://b/one"), peer.watched("gs://b/two"):
        assert sorted(in_flight.suspects(tmp_path)) == ["gs://b/one", "gs://b/two"]
    assert in_flight.suspects(tmp_path) == []
    with peer.watched("gs://b/two"):
        in_flight.Journal(tmp_path, 2)  # the next leader: what was noted before is of no interest any more
        assert in_flight.suspects(tmp_path) == []


def test_order_is_the_lists(bench, reference):
    lines = in_order(reference, RESULTS).splitlines()
    assert len(lines) == IMAGES
