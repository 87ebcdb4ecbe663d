"""`boxwright operations` and `boxwright models` as a person uses them, against a running service."""

from __future__ import annotations

import json
import re

import pytest
from tests.support.clients.api import open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.services.command_line import CommandLine, fields

IMAGES = 12


@pytest.fixture
def boxwright(service):
    """Runs a command that is pointed at the service, and returns what became of it."""
    return CommandLine(service.url)


@pytest.fixture
def batch(service, tiny_model: TinyModel, request):
    """Starts a batch of a few images, one of them missing; returns model and operation."""
    bucket = service.bucket("commands")
    rows = [f"gs://commands/{name}" for name in drawn_images.write_images(bucket, IMAGES)]
    csv_uri = drawn_images.write_csv(bucket, "list.csv", [*rows, "gs://commands/none.jpg"])
    model_id = f"IOD{7_700_000_000_000_000_000 + abs(hash(request.node.name)) % 10**17}"
    model = tiny_model.install(service.data_dir, model_id, display_name="for_commands")
    with open_api(service) as api:
        return model, api.start_batch(model, csv_uri, "gs://commands/out/")


def test_an_operation_is_waited_for_listed_and_described(boxwright, batch):
    model, name = batch
    short = name.rpartition("/")[2]
    waited = boxwright("operations", "wait", short)
    assert waited.returncode == 3, waited.stderr
    assert "    1 NOT_FOUND, first: gs://commands/none.jpg does not exist.\n" in waited.stderr
    assert f"boxwright batch retry {short}\n" in waited.stderr
    assert waited.stdout.startswith("SUCCEEDED  13 of 13 images, 1 failed, 100%, ")
    assert "  gs://commands/out/prediction-for_commands-" in waited.stdout
    listed = boxwright("operations", "list")
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith(short)]
    assert line.split()[1:6] == ["batch_predict", "succeeded", "13", "1", "100%"]
    assert " for_commands " in line
    assert listed.stdout.split()[:2] == ["OPERATION", "KIND"]
    described = boxwright("operations", "describe", name).stdout
    told = fields(described)
    facts = {"kind": "batch_predict", "model": model, "list": "gs://commands/list.csv", "threshold": "0.5"}
    facts["failures"] = "1 NOT_FOUND, first: gs://commands/none.jpg does not exist."
    assert {key: told.get(key) for key in facts} == facts, described
    assert told["progress"].startswith("13 of 13 images, 1 failed, 100%, "), described
    assert re.search(r"network \d", told["stages"]), described
    assert told["duration"], described
    assert told["limited by"], described
    answer = json.loads(boxwright("operations", "describe", short, "--json").stdout)
    assert (answer["operation"]["done"], answer["progress"]["done"]) == (True, 13)
    assert json.loads(boxwright("operations", "wait", short, "--json").stdout) == answer["operation"]


def test_what_is_cancelled_is_resumed_and_waited_for(boxwright, service_factory, tiny_model: TinyModel, tmp_path):
    stuck = {"BOXWRIGHT_FAULTS": "sink.before_put:hang", "BOXWRIGHT_FAULTS_ONCE": str(tmp_path)}
    service = service_factory(environment=stuck)
    bucket = service.bucket("b")
    csv_uri = drawn_images.write_csv(
        bucket, "list.csv", [f"gs://b/{name}" for name in drawn_images.write_images(bucket, IMAGES)]
    )
    with open_api(service) as api:
        name = api.start_batch(tiny_model.install(service.data_dir), csv_uri, "gs://b/out/")
    wait_until((tmp_path / "sink.before_put").exists, "the batch to be stuck", timeout_s=240)
    here = {"BOXWRIGHT_URL": service.url}
    assert boxwright("operations", "resume", name, **here).returncode == 2
    assert boxwright("operations", "cancel", name, **here).stdout == f"Asked for the end of {name}.\n"
    waited = boxwright("operations", "wait", name, **here)
    assert waited.returncode == 1
    assert waited.stdout.startswith("CANCELLED")
    resumed = boxwright("operations", "resume", name, "--wait", **here)
    assert resumed.returncode == 0, resumed.stderr
    assert "It goes on as projects/demo/locations/us-central1/operations/IOD" in resumed.stdout
    assert f"SUCCEEDED  {IMAGES} of {IMAGES} images, 100%" in resumed.stdout
    again = boxwright("operations", "resume", name, **here)
    assert (again.returncode, again.stdout) == (2, "")
    assert "which has succeeded" in again.stderr


def test_models_are_listed_and_described(boxwright, batch):
    model, _ = batch
    short = model.rpartition("/")[2]
    listed = boxwright("models", "list").stdout
    (line,) = [line for line in listed.splitlines() if line.startswith(short)]
    assert listed.split()[:2] == ["MODEL", "NAME"]
    assert line.split()[1:4] == ["for_commands", "mobile-low-latency-1", "undeployed"]
    described = boxwright("models", "describe", short).stdout
    facts = {"model type": "mobile-low-latency-1", "input hw": "[64, 96]", "max detections": "500"}
    assert {key: fields(described).get(key) for key in facts} == facts, described
    assert described.count("mobile-low-latency-1") == 1
    assert "  all labels " in described
    answer = json.loads(boxwright("models", "describe", model, "--json").stdout)
    assert answer["details"]["digests"]["model.onnx"]
    assert len(answer["evaluations"]) == 3


@pytest.mark.parametrize(
    "arguments, environment, told",
    [
        (["operations", "list"], {"BOXWRIGHT_PROJECT": ""}, "Which project?"),
        (["operations", "list"], {"BOXWRIGHT_URL": "http://127.0.0.1:9"}, "Nothing answers at http://127.0.0.1:9."),
        (["operations", "list"], {"BOXWRIGHT_URL": "nonsense"}, "nonsense"),
        (["operations", "wait", "IOD1"], {}, "There is no operation 'IOD1'"),
        (["operations", "wait", "a/b"], {}, "'a/b' is no operation"),
        (["models", "describe", "IOD1"], {}, "There is no model 'IOD1' in projects/demo/locations/us-central1"),
        (["models", "describe", "projects/demo/nothing"], {}, "was not found"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(boxwright, arguments, environment, told):
    done = boxwright(*arguments, **environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
