"""Training under fire: killed, drained or cancelled, it goes on from its checkpoint or ends at once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import re
import shutil
from collections.abc import Iterator, Mapping

import pytest
from PIL import Image
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import promptly, wait_until
from tests.support.processes import crashes
from tests.support.processes.crashes import TRAINING, children_of, wait_until_gone
from tests.support.stores import object_servers
from tests.support.stores.object_servers import BUCKET

from boxwright import objects

STATE = f"s3://{BUCKET}/state"

KEEP_BEST = {"boxwright-keep-best": "true"}
MINUTES = 0.4
UNTIL_DISTURBED = 20.0  # what is disturbed has time enough on a busy machine too; the first checkpoint comes after 5 s


@pytest.fixture
def start(service_factory, environment):
    """Starts a service, on the same files each time, with a cap on training."""
    return lambda minutes: service_factory(environment=environment, train_minutes_max=minutes)


def _start_training(
    api: Api, service, labels: Mapping[str, str] | None = None, *, is_blank: bool = False
) -> tuple[str, str]:
    """Imports a drawn data set, without anything to be seen if it is blank, and trains; returns dataset and operation."""
    csv_uri = drawn_images.write_dataset(service.bucket("b"), 40)
    for number, path in enumerate(sorted((service.bucket("b") / "images").iterdir()) if is_blank else []):
        Image.new("RGB", (128, 96), (number, number, number)).save(path)
    dataset = api.create_dataset()
    imported = api.finished(api.start_import(dataset, csv_uri))
    assert not imported.HasField("error"), imported.error
    return dataset, api.start_training(dataset, labels=labels)


def _assert_trained(api: Api, service, name: str, place: pathlib.Path | None = None) -> None:
    """A training has ended well; `place` is the data directory of the machine on which it did."""
    operation = api.finished(name, timeout_s=180)
    assert not operation.HasField("error"), operation.error
    seen = metadata(operation)
    assert seen.progress_percent == 100
    (model,) = list(api.automl.list_models(parent="projects/demo/locations/us-central1"))
    # a fast machine may finish its whole schedule within the cap
    assert model.image_object_detection_model_metadata.stop_reason in ("BUDGET_REACHED", "MODEL_CONVERGED")
    image = drawn_images.draw(0).content
    api.deploy(model.name)
    answer = api.prediction.predict(
        name=model.name, payload={"image": {"image_bytes": image}}, params={"score_threshold": "0.0"}
    )
    assert {one.display_name for one in answer.payload} <= set(
        drawn_images.LABELS
    )  # little is learned on a busy machine
    crashes.assert_tidy(place or service.data_dir)
    models = ((place or service.data_dir) / "models").iterdir()
    assert [path.name for path in models] == [model.name.rpartition("/")[2]]


def _steps(service) -> list[int]:
    """The step numbers that a service's log shows of its trainings."""
    lines = [line for line in service.log.read_text().splitlines() if "event=training " in line]
    events = [json.loads(line[line.index("{") :]) for line in lines]
    return [event["step"] for event in events if event.get("step")]


def _shorten(service, name: str) -> None:
    """Leaves the next attempt at a training less time than the first had, so that the test ends soon."""
    path = service.data_dir / "work" / name.rpartition("/")[2] / "choices.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "budget_s": 60 * MINUTES}))


@pytest.mark.full
@pytest.mark.slow
def test_a_service_killed_during_training_goes_on_from_the_checkpoint(start, environment):
    service = start(UNTIL_DISTURBED)
    with open_api(service) as api:
        _, name = _start_training(api, service)
        work = service.data_dir / "work" / name.rpartition("/")[2]
        wait_until(lambda: list(work.rglob("checkpoint.pt")), "the first checkpoint", timeout_s=90)
        orphans = children_of(service.process.pid, TRAINING)
        progress = wait_until(lambda: metadata(api.get(name)).progress_percent, "the first progress", timeout_s=30)
        assert progress < 100
        crashes.kill(service, environment)
    wait_until_gone(orphans)
    done = _steps(service)
    _shorten(service, name)
    again = start(MINUTES)
    with open_api(again) as api:
        assert metadata(api.get(name)).progress_percent >= progress
        _assert_trained(api, again, name)
    steps = _steps(again)  # none, if the rest was done before the first report; a new beginning takes far longer
    assert not steps or steps[0] > done[-1] * 0.5, "the second attempt began anew"


@pytest.mark.full
def test_a_service_that_is_asked_to_end_during_training_goes_on_where_it_was(start):
    service = start(UNTIL_DISTURBED)
    with open_api(service) as api:
        _, name = _start_training(api, service)
        work = service.data_dir / "work" / name.rpartition("/")[2]
        # on a busy machine a step may take longer than an orderly stop has: then the last checkpoint counts
        wait_until(lambda: list(work.rglob("checkpoint.pt")), "the first checkpoint", timeout_s=90)
    children = children_of(service.process.pid, TRAINING)
    assert service.stop() == 0
    wait_until_gone(children)
    assert list(work.rglob("checkpoint.pt"))
    done = _steps(service)
    _shorten(service, name)
    again = start(MINUTES)
    with open_api(again) as api:
        _assert_trained(api, again, name)
    assert not _steps(again) or _steps(again)[0] > done[-1] * 0.5, "the second attempt began anew"


@pytest.mark.full
def test_a_killed_training_child_costs_an_attempt_and_nothing_else(start):
    service = start(1.0)
    with open_api(service) as api:
        _, name = _start_training(api, service)
        wait_until(lambda: metadata(api.get(name)).progress_percent > 0, "the first progress", timeout_s=60)
        (child,) = children_of(service.process.pid, TRAINING)
        child.kill()
        wait_until_gone([child])
        assert service.process.poll() is None
        _assert_trained(api, service, name)
    assert "event=attempt_failed" in service.log.read_text()


def test_a_cancelled_training_ends_within_five_seconds_without_a_model(start):
    service = start(UNTIL_DISTURBED)
    with open_api(service) as api:
        dataset, name = _start_training(api, service)
        wait_until(lambda: metadata(api.get(name)).progress_percent > 0, "the first progress", timeout_s=60)
        children = children_of(service.process.pid, TRAINING)
        with promptly(5):
            api.cancel(name)
            operation = api.finished(name)
        assert operation.error.code == 1
        wait_until_gone(children)
        assert list(api.automl.list_models(parent="projects/demo/locations/us-central1")) == []
        api.automl.delete_dataset(name=dataset).result(timeout=30)  # nothing works on it any more
        crashes.assert_tidy(service.data_dir)


def test_a_training_cancelled_before_it_really_began_ends_within_five_seconds(start):
    service = start(UNTIL_DISTURBED)
    with open_api(service) as api:
        _, name = _start_training(api, service)
        children = wait_until(lambda: children_of(service.process.pid, TRAINING), "the child", interval_s=0.005)
        with promptly(5):
            api.cancel(name)
            assert api.finished(name).error.code == 1
        wait_until_gone(children)


@pytest.mark.full
def test_a_cancelled_training_that_has_learned_nothing_yet_has_nothing_to_keep(start):
    service = start(UNTIL_DISTURBED)
    with open_api(service) as api:
        _, name = _start_training(api, service, KEEP_BEST, is_blank=True)  # else a fast machine has learned it by then
        wait_until(lambda: _steps(service), "the first step", timeout_s=60)
        api.cancel(name)
        assert api.finished(name).error.code == 1
        assert list(api.automl.list_models(parent="projects/demo/locations/us-central1")) == []
        crashes.assert_tidy(service.data_dir)


@pytest.mark.full
@pytest.mark.parametrize("disturbance", ["none", "killed", "drained"])
def test_a_cancelled_training_delivers_what_it_has_learned_if_the_model_asks_for_it(start, environment, disturbance):
    service = start(1.5)
    with open_api(service) as api:
        _, name = _start_training(api, service, KEEP_BEST)
        wait_until(lambda: metadata(api.get(name)).progress_percent > 0, "the first progress", timeout_s=60)
        wait_until(lambda: _validated(service) > 0.1, "something that is found", timeout_s=120)
        children = children_of(service.process.pid, TRAINING)
        api.cancel(name)
        if disturbance == "killed":
            crashes.kill(service, environment)
        elif disturbance == "drained":
            service.stop()
        else:
            _assert_kept(api, service, name)
            return
    wait_until_gone(children)
    again = start(1.5)
    with open_api(again) as api:
        _assert_kept(api, again, name)


def _validated(service) -> float:
    """The last mAP that a service's log shows of its trainings; 0.0 before the first."""
    found = re.findall(r'"validation_map50": ([0-9.]+)', service.log.read_text())
    return float(found[-1]) if found else 0.0


def _assert_kept(api: Api, service, name: str) -> None:
    operation = api.finished(name, timeout_s=180)
    assert not operation.HasField("error"), operation.error
    (model,) = list(api.automl.list_models(parent="projects/demo/locations/us-central1"))
    assert model.image_object_detection_model_metadata.stop_reason == "MODEL_EARLY_STOPPED"
    assert list(api.automl.list_model_evaluations(parent=model.name))
    crashes.assert_tidy(service.data_dir)


@pytest.fixture
def bucket(monkeypatch) -> Iterator[dict[str, str]]:
    """The environment of workers that share a state in a bucket, and nothing on their machines."""
    with object_servers.moto() as server:
        shared = server.environment(server.address) | {
            "BOXWRIGHT_STATE_URI": STATE,
            "BOXWRIGHT_TRAIN_STATE_EVERY_S": "1",
        }
        for name, value in shared.items():
            monkeypatch.setenv(name, value)
        yield crashes.ENVIRONMENT | shared


@pytest.mark.full
def test_another_machine_goes_on_with_the_training_of_one_that_is_gone(
    service_factory, bucket, postgres, tmp_path, start_worker
):
    bucket |= {"BOXWRIGHT_DATABASE_URL": postgres.new_database(), "BOXWRIGHT_LEASE_TTL_S": "4"}
    bucket |= {"BOXWRIGHT_TRAIN_MINUTES_MAX": str(UNTIL_DISTURBED)}
    stores = objects.Stores(tmp_path / "none", tmp_path / "none", objects.StoreConfig(state_uri=STATE))
    service = service_factory(environment=bucket, no_worker=True)
    start_worker(service, {**bucket, "BOXWRIGHT_KINDS": "import"}, tmp_path / "imports")
    trains = {**bucket, "BOXWRIGHT_KINDS": "train"}
    first = start_worker(service, trains, tmp_path / "first")
    with open_api(service) as api:
        _, name = _start_training(api, service)
        operation = name.rpartition("/")[2]
        state = stores.state(f"operations/{operation}/training/attempt-00000001.json")
        wait_until(lambda: stores.exists(state) and b"checkpoint.pt" in stores.get(state), "a copy of the checkpoint")
        orphans = children_of(first.pid, TRAINING)
        first.kill()
        wait_until_gone(orphans)
        done = _steps(first)
        shutil.rmtree(tmp_path / "first")
        _give_less_time(stores, state)
        second = start_worker(service, trains, tmp_path / "second")
        _assert_trained(api, service, name, place=tmp_path / "second")
        assert "event=training_state_read" in second.log.read_text()
        assert not _steps(second) or _steps(second)[0] > done[-1] * 0.3, "the second machine began anew"
        wait_until(lambda: not list(stores.list(stores.state("operations"))), "the copy to be deleted")


def _give_less_time(stores: objects.Stores, state: objects.ObjectUri) -> None:
    """Leaves who reads the copy of a training less time than the first attempt had, so that the test ends soon."""
    copy = json.loads(stores.get(state))
    (digest,) = copy["files"]["choices.json"]["parts"]
    parts = objects.ObjectUri(state.scheme, state.bucket, f"{state.key.rpartition('/')[0]}/parts/")
    choices = json.loads(stores.get(dataclasses.replace(parts, key=parts.key + digest)))
    content = json.dumps({**choices, "budget_s": 60 * MINUTES}).encode()
    digest = hashlib.sha256(content).hexdigest()
    stores.put(dataclasses.replace(parts, key=parts.key + digest), content)
    copy["files"]["choices.json"] = {"size_bytes": len(content), "parts": [digest]}
    stores.put(state, json.dumps(copy).encode())
