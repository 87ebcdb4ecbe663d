"""Deployed models: loaded, replaced, unloaded, and loaded again by a new process when the old one ends."""

from __future__ import annotations

import pathlib
import shutil
from concurrent import futures

import psutil
import pytest
from google.rpc import code_pb2
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel

from boxwright import errors, objects
from boxwright.inference.model_store import ModelFolders
from boxwright.online import deployed_models
from boxwright.online.deployed_models import DeployedModels


@pytest.fixture
def models_dir(tiny_model: TinyModel, tmp_path: pathlib.Path) -> pathlib.Path:
    """Holds the model twice, as ``one`` and ``two``."""
    for name in ("one", "two"):
        shutil.copytree(tiny_model.folder, tmp_path / "models" / name)
    return tmp_path / "models"


@pytest.fixture
def open_models(models_dir: pathlib.Path, stores: objects.Stores):
    opened = []

    def begin(**settings) -> DeployedModels:
        opened.append(DeployedModels(ModelFolders(models_dir, stores), cores=2, **settings))
        return opened[-1]

    yield begin
    for deployed in opened:
        deployed.close()


@pytest.fixture
def deployed(open_models) -> DeployedModels:
    found = open_models()
    found.deploy("one", 1)
    return found


def _ask(deployed: DeployedModels, folder: str = "one", image: bytes | None = None):
    found, labels = deployed.predict(folder, image or drawn_images.draw(0).content)
    return found.boxes_norm.tobytes(), found.scores.tobytes(), labels


def _refusal(deployed: DeployedModels, folder: str = "one", image: bytes | None = None) -> errors.ApiError:
    with pytest.raises(errors.ApiError) as refused:
        _ask(deployed, folder, image)
    return refused.value


def _child(deployed: DeployedModels) -> psutil.Process:
    assert deployed._process is not None
    return psutil.Process(deployed._process.pid)


def _kill(deployed: DeployedModels) -> None:
    child = _child(deployed)
    child.kill()
    wait_until(lambda: not child.is_running(), "the end of the process")


def test_a_killed_process_is_started_again_with_all_models_and_the_same_answers(deployed):
    deployed.deploy("two", 2)
    before = _ask(deployed)
    assert _ask(deployed, "two") == before
    for _ in range(3):
        _kill(deployed)
        assert [_ask(deployed), _ask(deployed, "two")] == [before, before]


def test_the_process_is_started_again_before_anybody_asks(deployed):
    _ask(deployed)
    first = _child(deployed).pid
    _kill(deployed)
    wait_until(lambda: deployed._process is not None and deployed._process.pid != first, "the next process")


def test_a_crash_with_an_image_is_unavailable_and_the_next_call_answers(open_models, monkeypatch, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setenv("BOXWRIGHT_FAULTS", "online.before_decode:kill@2")
    monkeypatch.setenv("BOXWRIGHT_FAULTS_ONCE", str(marks))
    deployed = open_models()
    deployed.deploy("one", 1)
    before = _ask(deployed)
    refused = _refusal(deployed)
    assert refused.code == code_pb2.UNAVAILABLE
    assert "ended while it had this image" in refused.message
    assert _ask(deployed) == before


def test_an_image_that_is_not_decoded_in_time_has_a_code_of_its_own(open_models, monkeypatch, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setenv("BOXWRIGHT_FAULTS", "online.before_decode:hang@2")
    monkeypatch.setenv("BOXWRIGHT_FAULTS_ONCE", str(marks))
    deployed = open_models(timeout_s=0.3)
    deployed.deploy("one", 1)
    before = _ask(deployed)
    refused = _refusal(deployed)
    assert refused.code == code_pb2.DEADLINE_EXCEEDED
    assert "within 0.3 s (predict_timeout_s)" in refused.message
    assert _ask(deployed) == before


def test_what_other_processes_deploy_and_undeploy_is_followed(open_models):
    followed = open_models()
    followed.follow({"one": 1}, followed.changes)
    before = _ask(followed)
    followed.follow({"one": 1, "two": 2}, followed.changes)
    assert _ask(followed, "two") == before
    loaded = followed._deployed["one"].loading
    followed.follow({"one": 1}, followed.changes)
    assert (list(followed._deployed), followed._deployed["one"].loading) == (["one"], loaded)
    seen = followed.changes
    followed.ensure("two", 1)  # a call that knows a newer row than the look
    followed.ensure("one", 7)
    followed.follow({}, seen)
    assert {folder: found.node_count for folder, found in followed._deployed.items()} == {"one": 1, "two": 1}


def test_a_model_that_could_not_be_loaded_is_followed_again_only_when_asked(open_models):
    followed = open_models()
    followed.follow({"none": 1}, followed.changes)
    assert _refusal(followed, "none").code == code_pb2.FAILED_PRECONDITION
    failed = followed._deployed["none"].loading
    followed.follow({"none": 1}, followed.changes)
    assert followed._deployed["none"].loading is failed
    followed.follow({"none": 1}, followed.changes, retry=True)
    assert followed._deployed["none"].loading is not failed


def test_a_redeployed_model_answers_all_the_while_and_the_former_one_is_unloaded(deployed):
    before = _ask(deployed)
    first = deployed._deployed["one"].loaded
    with futures.ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(_ask, deployed) for _ in range(50)]
        deployed.deploy("one", 2)
        wait_until(lambda: deployed._deployed["one"].node_count == 2, "the other node count")
        answers += [pool.submit(_ask, deployed) for _ in range(50)]
        assert [answer.result(300) for answer in answers] == [before] * 100
    deployed.deploy("two", 1)
    _ask(deployed, "two")  # commands are obeyed in order
    with pytest.raises(deployed_models.UnknownModelError):
        first.process.predict(first.number, drawn_images.draw(0).content, first.kind, len(first.labels))


def test_an_undeployed_model_is_unavailable_and_can_be_deployed_again(deployed):
    before = _ask(deployed)
    deployed.undeploy("one")
    assert _refusal(deployed).code == code_pb2.UNAVAILABLE
    deployed.deploy("one", 2)
    assert _ask(deployed) == before


def test_a_model_that_cannot_be_loaded_says_so_until_it_can_and_harms_no_other(deployed, models_dir: pathlib.Path):
    model_file = models_dir / "two" / "model.json"
    content = model_file.read_bytes()
    model_file.write_bytes(b"{")
    deployed.deploy("two", 1)
    assert _refusal(deployed, "two").code == code_pb2.FAILED_PRECONDITION
    assert _ask(deployed)
    model_file.write_bytes(content)
    assert "unreadable" in _refusal(deployed, "two").message
    deployed.deploy("two", 1)
    assert _ask(deployed, "two") == _ask(deployed)


def test_a_model_that_takes_the_process_down_is_given_up_and_the_others_answer_again(deployed, models_dir, monkeypatch):
    before = _ask(deployed)
    load = deployed_models.PredictionProcess.load

    def load_or_die(process, model, folder, **options):
        if folder.name == "two":
            psutil.Process(process.pid).kill()
        return load(process, model, folder, **options)

    monkeypatch.setattr(deployed_models.PredictionProcess, "load", load_or_die)
    deployed.deploy("two", 1)
    refused = _refusal(deployed, "two")
    assert refused.code == code_pb2.FAILED_PRECONDITION
    assert "ends when it loads the network" in refused.message
    assert _ask(deployed) == before
    assert _refusal(deployed, "two").code == code_pb2.FAILED_PRECONDITION


def test_closing_ends_the_process_and_what_it_is_asked(open_models, monkeypatch, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setenv("BOXWRIGHT_FAULTS", "online.before_decode:hang")
    monkeypatch.setenv("BOXWRIGHT_FAULTS_ONCE", str(marks))
    deployed = open_models()
    deployed.deploy("one", 1)
    with futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(_refusal, deployed)
        wait_until(lambda: list(marks.iterdir()), "the image at its decoder")
        child = _child(deployed)
        deployed.close()
        assert asked.result(300).code == code_pb2.UNAVAILABLE
    assert not child.is_running()
    assert _refusal(deployed).code == code_pb2.UNAVAILABLE


def test_one_model_that_is_not_deployed_is_lent_at_a_time(deployed):
    before = _ask(deployed)
    for folder in ("two", "one", "two"):
        found, labels = deployed.predict_loading(folder, drawn_images.draw(0).content)
        assert (found.boxes_norm.tobytes(), found.scores.tobytes(), labels) == before
    assert set(deployed._deployed) == {"one", "two"}  # the second one stays for the next image
    deployed.undeploy("one")
    deployed.predict_loading("one", drawn_images.draw(0).content)
    assert set(deployed._deployed) == {"one"}  # it took the place of the second one


def test_a_lent_model_that_is_deployed_stays(deployed):
    image = drawn_images.draw(0).content
    deployed.undeploy("one")
    deployed.predict_loading("one", image)
    deployed.deploy("one", 1)
    deployed.predict_loading("two", image)
    assert set(deployed._deployed) == {"one", "two"}
    deployed.undeploy("two")
    assert _refusal(deployed, "two").code == code_pb2.UNAVAILABLE
    _ask(deployed)


def test_many_ask_for_models_that_are_not_deployed_and_all_are_answered(open_models):
    models = open_models()
    image = drawn_images.draw(0).content
    with futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(models.predict_loading, ("one", "two")[number % 2], image) for number in range(8)]
        scores = {one.result(timeout=120)[0].scores.tobytes() for one in asked}
    assert len(scores) == 1
    assert len(models._deployed) == 1


def test_a_model_that_cannot_be_loaded_is_tried_again_when_it_is_asked_for_again(open_models, models_dir):
    models = open_models()
    image = drawn_images.draw(0).content
    content = (models_dir / "one" / "model.json").read_bytes()
    (models_dir / "one" / "model.json").write_bytes(b"{")
    with pytest.raises(errors.ApiError) as refused:
        models.predict_loading("one", image)
    assert refused.value.code == code_pb2.FAILED_PRECONDITION
    (models_dir / "one" / "model.json").write_bytes(content)
    assert len(models.predict_loading("one", image)[0])
