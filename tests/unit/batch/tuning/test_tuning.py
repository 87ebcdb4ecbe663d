"""What is measured, what is chosen from it, and the file that keeps it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import threading
import types

import psutil
import pytest
from tests.support.machine.waiting import wait_until
from tests.support.predictions.batch_jobs import Bench

from boxwright import machine
from boxwright.batch.job import MachineShare
from boxwright.batch.tuning import measure_main, scheduler, tuning_file
from boxwright.batch.tuning.command import TuningCommand
from boxwright.batch.tuning.tuning_file import Key, Tuning, Tunings

MEMORY_BYTES = 64_000_000_000
KEY = Key("a processor", 4, "OpenVINO 1", "a network 96×64 int8")
WINDOW_S = 3.0
PATIENT = tuning_file.MeasurementLimits(
    time_s=300.0, cores_share=0.0, window_s=1.0
)  # whatever else this machine does meanwhile
ENDLESS = tuning_file.MeasurementLimits(time_s=1e6, cores_share=0.0, window_s=1e6)
TUNING = Tuning(KEY, 2, 2, 1000, {4: 100.0, 2: 110.5, 1: 60.0}, "2030-01-31T12:00:00Z")


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path / "bench")


@pytest.mark.parametrize(
    ("cores", "memory_bytes", "expected"),
    [
        (1, MEMORY_BYTES, [1]),
        (2, MEMORY_BYTES, [2, 1]),
        (6, MEMORY_BYTES, [6, 3, 1]),
        (64, MEMORY_BYTES, [64, 32, 16, 8]),
        (64, 1_600_000_000, [5, 2, 1]),
        (4, 100_000_000, [1]),
    ],
)
def test_candidates_are_halves_as_far_as_memory_goes(cores, memory_bytes, expected):
    assert tuning_file.candidates(cores, memory_bytes) == expected


def test_the_fastest_wins_and_fewer_processes_where_nearly_as_fast():
    assert tuning_file.best({4: 100.0, 2: 80.0, 1: 50.0}) == 4
    assert tuning_file.best({4: 100.0, 2: 97.5, 1: 50.0}) == 2
    assert tuning_file.best({4: 100.0, 2: 96.5, 1: 97.0}) == 1


def test_a_measurement_holds_for_its_network_and_machine_alone(tiny_model, monkeypatch):
    command = _command(tiny_model.folder)
    key = tuning_file.key_of(command)
    assert key.network == "image object detection mobile-low-latency-1 96×64 fp32"
    assert key.cores == 4
    assert key == tuning_file.key_of(_command(tiny_model.folder, in_flight_bytes=7, processes=3))
    assert key != tuning_file.key_of(_command(tiny_model.folder, 2))
    assert key != tuning_file.key_of(dataclasses.replace(command, precision="int8"))
    monkeypatch.setattr(machine, "processor_name", lambda: "another")
    assert key != tuning_file.key_of(command)


def test_the_processor_says_its_name(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A Fast One\n")
    assert machine.processor_name(tmp_path / "cpuinfo") == "A Fast One"
    assert machine.processor_name(tmp_path / "none")


def test_the_file_keeps_what_was_measured_last(tmp_path):
    tunings = Tunings(tmp_path / tuning_file.FILE)
    assert (tunings.all(), tunings.find(KEY)) == ([], None)
    other = dataclasses.replace(TUNING, key=dataclasses.replace(KEY, cores=8))
    for one in (TUNING, other, dataclasses.replace(TUNING, processes=4)):
        tunings.keep(one)
    assert tunings.all() == [dataclasses.replace(TUNING, processes=4), other]
    assert tunings.find(other.key) == other
    assert [path.name for path in tmp_path.iterdir()] == [tuning_file.FILE]
    for cores in range(100, 100 + tuning_file.MAX_ENTRIES):
        tunings.keep(dataclasses.replace(TUNING, key=dataclasses.replace(KEY, cores=cores)))
    assert len(tunings.all()) == tuning_file.MAX_ENTRIES
    assert tunings.find(KEY) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: "no JSON",
        lambda document: json.dumps([]),
        lambda document: json.dumps({**document, "version": 99}),
        lambda document: json.dumps({**document, "tunings": [{**document["tunings"][0], "processes": 0}]}),
        lambda document: json.dumps({**document, "tunings": [{"key": {}}]}),
        lambda document: json.dumps({**document, "tunings": 7}),
    ],
)
def test_a_damaged_file_is_left_out_and_replaced(tmp_path, caplog, spoil):
    path = tmp_path / tuning_file.FILE
    tunings = Tunings(path)
    tunings.keep(TUNING)
    path.write_text(spoil(json.loads(path.read_text())))
    with caplog.at_level(logging.WARNING):
        assert tunings.find(KEY) is None
    assert "event=tuning_unreadable" in caplog.text
    tunings.keep(TUNING)
    assert tunings.find(KEY) == TUNING


def test_a_measurement_measures_every_candidate_and_leaves_nothing_behind(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(scheduler, "LIMITS", PATIENT)
    found = scheduler.measured(_command(tiny_model.folder, 2), threading.Event())
    assert found is not None
    assert found.key.network == "image object detection mobile-low-latency-1 96×64 fp32"
    assert set(found.images_per_s) == {2, 1}
    assert all(rate > 0 for rate in found.images_per_s.values())
    assert (found.processes, found.threads) in ((2, 1), (1, 2))
    assert found.in_flight_bytes == 256_000_000
    assert not list(tmp_path.iterdir())


def test_a_measurement_that_has_no_time_gives_nothing(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(scheduler, "LIMITS", tuning_file.MeasurementLimits(time_s=0.0, cores_share=0.0))
    assert scheduler.measured(_command(tiny_model.folder, 2), threading.Event()) is None
    assert not list(tmp_path.iterdir())


def test_a_measurement_that_is_cancelled_ends_at_once_with_its_members(tiny_model, monkeypatch):
    monkeypatch.setattr(scheduler, "LIMITS", ENDLESS)
    cancelled = threading.Event()
    here = psutil.Process()
    measuring = threading.Thread(target=scheduler.measured, args=(_command(tiny_model.folder, 3), cancelled))
    measuring.start()
    seen = wait_until(lambda: _team_of(here), "a member of the measurement")
    cancelled.set()
    measuring.join(60)
    assert not measuring.is_alive()
    _, alive = psutil.wait_procs(seen, timeout=60)
    assert not alive


def test_a_measurement_without_its_parent_takes_its_folder_along(tmp_path, tiny_model):
    folder = tmp_path / "measured"
    folder.mkdir()
    child = scheduler.Child(scheduler.TUNE_MODULE, [str(folder), *PATIENT.to_arguments()])
    child.send_line(_command(tiny_model.folder, 2).to_json())
    wait_until(lambda: (folder / "buckets" / measure_main.BUCKET / "3.jpg").exists(), "the drawn images")
    child._process.stdin.close()
    child._process.wait(60)
    assert not folder.exists()


def test_one_core_has_nothing_to_choose(tiny_model):
    assert scheduler.measured(_command(tiny_model.folder, 1), threading.Event()) is None


@pytest.fixture
def measuring(monkeypatch):
    """Stands for the measurement: the test lets it end."""
    calls: list[str] = []
    may_end = threading.Event()

    def measured(command, cancelled):
        calls.append(command.model_folder)
        wait_until(lambda: may_end.is_set() or cancelled.is_set(), "the end of a measurement")
        return None if cancelled.is_set() else dataclasses.replace(TUNING, key=tuning_file.key_of(command))

    monkeypatch.setattr(scheduler, "measured", measured)
    monkeypatch.setattr(scheduler, "QUIET_S", 0.01)
    return calls, may_end


def test_a_measurement_makes_way_for_a_batch_and_comes_back(tmp_path, bench, tiny_model, measuring):
    calls, may_end = measuring
    tunings = Tunings(tmp_path / tuning_file.FILE)
    job = bench.job(threads=4, model_folder=tiny_model.folder)
    with _tuner(tunings) as subject:
        with subject.batch():
            assert subject.tuned(job) == job
            subject.succeeded(job)
            assert not calls
        wait_until(lambda: len(calls) == 1, "the measurement")
        with subject.batch():
            wait_until(lambda: subject._thread is None, "its interruption")
            assert tunings.all() == []
        wait_until(lambda: len(calls) == 2, "the second try")
        may_end.set()
        wait_until(tunings.all, "the result")
        with subject.batch():
            assert subject.tuned(job) == bench.job(threads=4, processes=2, model_folder=tiny_model.folder)
            subject.succeeded(job)
        wait_until(lambda: subject._thread is None, "quiet")
    assert len(calls) == 2


def test_nothing_is_measured_where_that_is_switched_off_but_what_was_is_used(tmp_path, bench, tiny_model, measuring):
    tunings = Tunings(tmp_path / tuning_file.FILE)
    job = bench.job(threads=4, model_folder=tiny_model.folder)
    tunings.keep(dataclasses.replace(TUNING, key=tuning_file.key_of(TuningCommand.for_job(job))))
    other = bench.job(threads=8, model_folder=tiny_model.folder)
    with _tuner(tunings, measures=False) as subject:
        with subject.batch():
            subject.succeeded(other)
        assert subject._thread is None
        assert subject.tuned(job).share.processes == 2
        assert subject.tuned(other) == other
        missing = bench.job(threads=4, model_folder="/nowhere")
        assert subject.tuned(missing) == missing


def test_a_measurement_that_gives_nothing_is_not_tried_for_ever(tmp_path, bench, tiny_model, monkeypatch):
    calls: list[str] = []
    monkeypatch.setattr(scheduler, "measured", lambda command, cancelled: calls.append(command.model_folder))
    monkeypatch.setattr(scheduler, "QUIET_S", 0.01)
    with _tuner(Tunings(tmp_path / tuning_file.FILE)) as subject:
        for _ in range(scheduler.MAX_TRIES + 2):
            with subject.batch():
                subject.succeeded(bench.job(threads=4, model_folder=tiny_model.folder))
            wait_until(lambda: subject._thread is None, "the end of a measurement")
    assert len(calls) == scheduler.MAX_TRIES


def test_the_clock_knows_warm_from_cold():
    engine = types.SimpleNamespace(counts=types.SimpleNamespace(images_done=0), processes_heard=1)
    spent_s = [5.0]
    clock = measure_main._Clock(engine, 2, until_s=1e12, window_s=WINDOW_S, cpu_s=lambda: spent_s[0])
    for done, processes in ((0, 1), (50, 1), (60, 2)):
        engine.counts.images_done, engine.processes_heard = done, processes
        assert not clock.is_over()
    assert clock.rate is None
    clock._warm_at_s = 0.0
    assert not clock.is_over()
    engine.counts.images_done, spent_s[0] = 90, 10.0
    clock._first = (clock._first[0] - WINDOW_S, *clock._first[1:])
    assert clock.is_over()
    assert clock.rate.images_per_s == pytest.approx(30 / WINDOW_S, rel=0.05)
    assert clock.rate.cores_used == pytest.approx(5 / WINDOW_S, rel=0.05)


@pytest.mark.parametrize(("cores_used", "said"), [(1.9, [2, 1]), (1.2, [])])
def test_who_did_not_get_the_cores_measures_nothing(tmp_path, tiny_model, monkeypatch, cores_used, said):
    """On a busy machine a smaller number of processes might look as good as one a core."""
    rates = {2: measure_main.Rate(100.0, cores_used), 1: measure_main.Rate(99.0, 1.0)}
    monkeypatch.setattr(measure_main, "measure", lambda job, *rest: rates[job.share.processes])
    events = types.SimpleNamespace(said=[])
    events.say = lambda event, **values: events.said.append(values["processes"])
    command = _command(tiny_model.folder, 2)
    measure_main.measure_candidates(command, tmp_path, [2, 1], 1e12, tuning_file.MeasurementLimits(), events)
    assert events.said == said


def test_a_command_arrives_as_it_was_sent_and_leaves_out_what_it_looks_for(bench, tiny_model):
    job = bench.job(threads=4, processes=2, precision="fp32", model_folder=tiny_model.folder)
    command = TuningCommand.for_job(job)
    assert command == dataclasses.replace(_command(tiny_model.folder), precision="fp32")
    assert TuningCommand.from_json(command.to_json()) == command


def _command(folder, cores: int = 4, **share) -> TuningCommand:
    return TuningCommand(str(folder), None, MachineShare(cores, **share))


def _tuner(tunings: Tunings, *, measures: bool = True):
    return contextlib.closing(scheduler.Tuner(tunings, measures=measures))


def _team_of(process: psutil.Process) -> list[psutil.Process]:
    """The measuring process and its members, once there are any."""
    found = [child for child in process.children() if scheduler.TUNE_MODULE in " ".join(child.cmdline())]
    members = [member for child in found for member in child.children()]
    return [*found, *members] if members else []
