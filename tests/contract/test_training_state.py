"""The progress of a training in the state's bucket: what another machine finds, and what it never finds."""

from __future__ import annotations

import os
import pathlib
import shutil
import time
from collections.abc import Iterator

import pytest
from tests.support.stores import object_servers
from tests.support.stores.object_servers import BUCKET

from boxwright import errors, objects
from boxwright.operations.runner import AttemptError, Stopped
from boxwright.runners import training_state

STATE = f"s3://{BUCKET}/state"
OPERATION = "IOD1"


@pytest.fixture(scope="module")
def server() -> Iterator[object_servers.ObjectServer]:
    with object_servers.moto() as running:
        yield running


@pytest.fixture
def stores(server, monkeypatch, tmp_path) -> Iterator[objects.Stores]:
    for name, value in server.environment(server.address).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(training_state, "PART_BYTES", 1000)
    found = objects.Stores(tmp_path / "none", tmp_path / "none-state", objects.StoreConfig(state_uri=STATE))
    yield found
    found.delete_prefix(found.state("operations"))


def _state(stores: objects.Stores, machine: pathlib.Path, epoch: int) -> training_state.TrainingState:
    return training_state.TrainingState(stores, OPERATION, machine / OPERATION, epoch, every_s=3600)


def _train(state: training_state.TrainingState, machine: pathlib.Path, **files: bytes) -> None:
    """An attempt that writes these files, `pretrained__checkpoint` as pretrained/checkpoint.pt, and is told to stop."""
    state.fetch()
    with pytest.raises(Stopped), state.followed():
        _write(machine, **files)
        raise Stopped


def _write(machine: pathlib.Path, **files: bytes) -> None:
    names = {"choices": "choices.json", "examples": "examples.jsonl", "attempts": "pretrained/attempts.txt"}
    for name, content in files.items():
        path = machine / OPERATION / names.get(name, f"{name.replace('__', '/')}.pt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".new").write_bytes(content)
        path.with_suffix(".new").replace(path)
        os.utime(path, ns=(time.time_ns(), time.time_ns()))


def _files(machine: pathlib.Path) -> dict[str, bytes]:
    folder = machine / OPERATION
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if name != training_state.MARK_FILE}


def _keys(stores: objects.Stores) -> list[str]:
    return [info.uri.key.rpartition("/training/")[2] for info in stores.list(stores.state("operations"))]


def test_another_machine_finds_every_file_as_it_was(stores, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    examples, trained = b"e" * 2500, bytes(range(256)) * 20
    _train(_state(stores, first, 1), first, choices=b"{}", examples=examples, checkpoint=b"old", attempts=b"3\n")
    _train(
        _state(stores, first, 2), first, checkpoint=trained, pretrained__checkpoint=trained[::-1], features=b"left out"
    )
    _state(stores, second, 3).fetch()
    assert _files(second) == {name: content for name, content in _files(first).items() if name != "features.pt"}
    assert _files(second)["pretrained/checkpoint.pt"] == trained[::-1]


def test_what_is_no_longer_needed_is_deleted_and_what_has_not_changed_is_put_once(stores, tmp_path):
    machine = tmp_path / "first"
    _train(_state(stores, machine, 1), machine, examples=b"e" * 2500, checkpoint=b"1" * 999)
    before = {info.uri.key: info.e_tag for info in stores.list(stores.state("operations")) if "/parts/" in info.uri.key}
    assert len(before) == 3  # of the examples the first two are equal
    _train(_state(stores, machine, 2), machine, checkpoint=b"2" * 999)
    after = {info.uri.key: info.e_tag for info in stores.list(stores.state("operations")) if "/parts/" in info.uri.key}
    assert len(after) == 3
    assert len(before.keys() & after.keys()) == 2
    assert [key for key in _keys(stores) if "parts" not in key] == ["attempt-00000002.json"]


def test_a_machine_that_was_killed_goes_on_with_its_own_newer_checkpoint(stores, tmp_path):
    machine = tmp_path / "first"
    _train(_state(stores, machine, 1), machine, checkpoint=b"copied")
    _write(machine, checkpoint=b"newer, and never copied")
    _state(stores, machine, 2).fetch()
    assert _files(machine) == {"checkpoint.pt": b"newer, and never copied"}


def test_a_machine_that_comes_back_takes_what_the_others_have_done_meanwhile(stores, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    _train(_state(stores, first, 1), first, checkpoint=b"first")
    _train(_state(stores, second, 2), second, checkpoint=b"second")
    _write(first, checkpoint=b"late, of the first")
    _state(stores, first, 3).fetch()
    assert _files(first) == {"checkpoint.pt": b"second"}


def test_an_attempt_that_has_lost_its_lease_takes_nothing_away(stores, tmp_path):
    first, second, third = tmp_path / "first", tmp_path / "second", tmp_path / "third"
    lost = _state(stores, first, 1)
    lost.fetch()
    with pytest.raises(errors.LeaseLost), lost.followed():
        _write(first, checkpoint=b"shared")
        lost._put()
        later = _state(stores, second, 2)
        _train(later, second, examples=b"second")
        _write(first, checkpoint=b"first, too late")
        lost._put()
        raise errors.LeaseLost
    _state(stores, third, 3).fetch()
    assert _files(third) == {"checkpoint.pt": b"shared", "examples.jsonl": b"second"}


def test_a_damaged_copy_is_not_used_and_says_so(stores, tmp_path, caplog):
    first, second = tmp_path / "first", tmp_path / "second"
    _train(_state(stores, first, 1), first, checkpoint=b"right")
    (part,) = [info.uri for info in stores.list(stores.state("operations")) if "/parts/" in info.uri.key]
    stores.put(part, b"wrong")
    _state(stores, second, 2).fetch()
    assert _files(second) == {}
    assert "event=training_state_lost" in caplog.text
    assert not list(second.glob("*.fetching"))


def test_a_bucket_that_is_away_costs_a_copy_and_never_the_progress(stores, tmp_path, monkeypatch, caplog):
    first, second = tmp_path / "first", tmp_path / "second"
    _train(_state(stores, first, 1), first, checkpoint=b"1")
    away = objects.Stores(
        tmp_path / "none", tmp_path / "none-state", objects.StoreConfig(state_uri="s3://no-such-bucket/state")
    )
    running = _state(away, first, 2)
    with pytest.raises(Stopped), running.followed():
        _write(first, checkpoint=b"2")
        raise Stopped
    assert "event=training_state_not_put" in caplog.text
    assert _files(first) == {"checkpoint.pt": b"2"}
    with pytest.raises(AttemptError, match="progress of the training cannot be read"):
        _state(away, second, 2).fetch()


def test_a_training_that_is_done_keeps_the_checkpoint_that_made_its_model(stores, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    _train(_state(stores, first, 1), first, checkpoint=b"trained")
    done = _state(stores, first, 2)
    done.fetch()
    with pytest.raises(Stopped), done.followed():
        (first / OPERATION / training_state.MODEL_FOLDER).mkdir()
        (first / OPERATION / "checkpoint.pt").unlink()
        raise Stopped
    shutil.rmtree(first)
    _state(stores, second, 3).fetch()
    assert _files(second) == {"checkpoint.pt": b"trained"}


def test_without_a_bucket_nothing_is_copied(tmp_path):
    here = objects.Stores(tmp_path / "buckets", tmp_path / "state")
    machine = tmp_path / "first"
    (machine / OPERATION).mkdir(parents=True)
    state = _state(here, machine, 1)
    with pytest.raises(Stopped), state.followed():
        _write(machine, checkpoint=b"1")
        raise Stopped
    assert not (tmp_path / "state").exists() or not list((tmp_path / "state").rglob("*.json"))
    assert not state.exists()
