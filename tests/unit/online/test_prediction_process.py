"""The prediction process: what it answers, what it refuses, and how its end is told."""

from __future__ import annotations

import os
import pathlib
import signal
import threading
from concurrent import futures

import psutil
import pytest
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel

from boxwright.images.decode import DecodeError
from boxwright.inference.model_folder import ModelError
from boxwright.inference.predictor import Predictor
from boxwright.online import prediction_process
from boxwright.online.prediction_process import (
    OverdueImageError,
    PredictionProcess,
    ProcessEndedError,
    UnknownModelError,
)

LABELS = len(drawn_images.LABELS)


@pytest.fixture
def start():
    """Starts processes and ends them; `ended` of each is set when its end was told."""
    started = []

    def begin(timeout_s: float = 300.0, decodes: int = 2) -> PredictionProcess:
        ended = threading.Event()
        process = PredictionProcess(timeout_s, decodes, lambda process: ended.set())
        started.append((process, ended))
        return process

    yield begin
    for process, ended in started:
        process.close()
        assert ended.wait(300)


@pytest.fixture
def process(start, tiny_model: TinyModel) -> PredictionProcess:
    return _loaded(start(), tiny_model)


def _loaded(process: PredictionProcess, tiny_model: TinyModel, model: int = 1) -> PredictionProcess:
    label = process.load(model, tiny_model.folder, streams=1, precision=None, runtime="cpu")
    assert "OpenVINO" in label
    return process


def _ask(process: PredictionProcess, seed: int = 0, model: int = 1) -> tuple[bytes, ...]:
    return _bits(process.predict(model, drawn_images.draw(seed).content, Predictor.KIND, LABELS))


def _bits(found) -> tuple[bytes, ...]:
    return found.boxes_norm.tobytes(), found.scores.tobytes(), found.label_indices.tobytes()


def _faults(monkeypatch, folder: pathlib.Path, faults: str) -> pathlib.Path:
    """Injects faults, each of which happens once; returns the folder of marks."""
    marks = folder / "marks"
    marks.mkdir()
    monkeypatch.setenv("BOXWRIGHT_FAULTS", faults)
    monkeypatch.setenv("BOXWRIGHT_FAULTS_ONCE", str(marks))
    return marks


def test_answers_are_those_of_the_predictor_to_the_last_bit_whoever_asks_meanwhile(process, tiny_model: TinyModel):
    here = Predictor.open(tiny_model.folder, streams=1)
    expected = [_bits(here.predict(drawn_images.draw(seed).content)) for seed in range(20)]
    assert any(boxes for boxes, *_ in expected)
    with futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda number: _ask(process, number % 20), range(100))) == expected * 5


def test_an_image_that_cannot_be_used_is_refused_in_the_decoders_words(process):
    with pytest.raises(DecodeError, match="Not an image: the content is HTML"):
        process.predict(1, b"<!doctype html>", Predictor.KIND, LABELS)
    assert _ask(process)


def test_a_model_that_is_not_loaded_or_not_any_more_is_unknown(process, tiny_model: TinyModel):
    with pytest.raises(UnknownModelError):
        _ask(process, model=2)
    _loaded(process, tiny_model, 2)
    assert _ask(process, model=2) == _ask(process)
    process.unload(2)
    _loaded(process, tiny_model, 3)  # commands are obeyed in order
    with pytest.raises(UnknownModelError):
        _ask(process, model=2)


def test_a_folder_that_is_no_model_is_refused_and_the_process_stays(process, tmp_path: pathlib.Path):
    with pytest.raises(ModelError, match=r"there is no model\.json"):
        process.load(2, tmp_path, streams=1, precision=None, runtime="cpu")
    assert _ask(process)


def test_a_process_that_dies_with_an_image_is_told_from_one_that_was_dead_before(
    start, tiny_model: TinyModel, monkeypatch, tmp_path
):
    marks = _faults(monkeypatch, tmp_path, "online.before_decode:hang@2")
    process = _loaded(start(), tiny_model)
    _ask(process)
    with futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(_ask, process)
        wait_until(lambda: list(marks.iterdir()), "the second image at its decoder")
        child = psutil.Process(process.pid)
        child.kill()
        with pytest.raises(ProcessEndedError) as dead:
            asked.result(300)
    assert dead.value.had_image
    wait_until(lambda: not child.is_running(), "the end of the process")
    with pytest.raises(ProcessEndedError) as dead:
        _ask(process)
    assert not dead.value.had_image
    with pytest.raises(ProcessEndedError):
        process.load(2, tiny_model.folder, streams=1, precision=None, runtime="cpu")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_signals_that_a_whole_service_gets_at_its_end_do_not_end_it(number: signal.Signals, process):
    before = _ask(process)
    os.kill(process.pid, number)
    assert [_ask(process) for _ in range(3)] == [before] * 3


def test_one_image_at_its_decoder_stops_no_other(start, tiny_model: TinyModel, monkeypatch, tmp_path):
    marks = _faults(monkeypatch, tmp_path, "online.before_decode:hang")
    process = _loaded(start(decodes=2), tiny_model)
    with futures.ThreadPoolExecutor(5) as pool:
        hanging = pool.submit(_ask, process)
        wait_until(lambda: list(marks.iterdir()), "the first image at its decoder")
        assert len(set(pool.map(lambda _: _ask(process), range(20)))) == 1
        assert not hanging.done()
        process.close()
        with pytest.raises(ProcessEndedError):
            hanging.result(300)


def test_an_image_whose_decoding_takes_too_long_ends_the_process_and_its_caller_learns_why(
    start, tiny_model: TinyModel, monkeypatch, tmp_path
):
    _faults(monkeypatch, tmp_path, "online.before_decode:hang")
    process = _loaded(start(timeout_s=0.2), tiny_model)
    child = psutil.Process(process.pid)
    with pytest.raises(OverdueImageError):
        _ask(process)
    wait_until(lambda: not child.is_running(), "the end of the process")


def test_a_process_that_answers_nobody_is_killed(start, tiny_model: TinyModel, monkeypatch):
    monkeypatch.setattr(prediction_process, "SILENCE_MARGIN_S", 0.5)
    process = _loaded(start(timeout_s=0.1), tiny_model)
    child = psutil.Process(process.pid)
    child.suspend()  # as native code does that keeps the interpreter's lock
    with pytest.raises(ProcessEndedError, match="no image was answered"):
        _ask(process)
    wait_until(lambda: not child.is_running(), "the end of the process")


def test_a_process_that_takes_no_more_bytes_is_killed(start, tiny_model: TinyModel, monkeypatch):
    monkeypatch.setattr(prediction_process, "SILENCE_MARGIN_S", 0.5)
    process = _loaded(start(timeout_s=0.1), tiny_model)
    child = psutil.Process(process.pid)
    child.suspend()
    with pytest.raises(ProcessEndedError):
        process.predict(1, bytes(20_000_000), Predictor.KIND, LABELS)
    wait_until(lambda: not child.is_running(), "the end of the process")


def test_it_has_the_priority_and_session_of_the_service_and_is_the_first_to_go_when_memory_runs_out(process):
    assert psutil.Process(process.pid).nice() == psutil.Process().nice()
    assert os.getsid(process.pid) == os.getsid(0)
    assert os.getpgid(process.pid) == process.pid  # a Ctrl-C at the terminal is the service's to handle
    assert pathlib.Path(f"/proc/{process.pid}/oom_score_adj").read_text().strip() == "500"
