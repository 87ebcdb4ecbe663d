"""Networks of others through a running service: imported, predicted with online and in batches, refused."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Any

import pytest
import requests
from google.cloud import automl_v1
from google.longrunning import operations_pb2
from google.rpc import code_pb2
from tests.support.clients import api
from tests.support.images import drawn_images
from tests.support.networks import foreign_onnx, hostile_onnx

from boxwright.inference import predictor

LABELS = "circle,square,triangle"
IMPORT = "/google.cloud.automl.v1.AutoMl/ImportModel"


@dataclasses.dataclass(frozen=True)
class Importing:
    """A service, and a bucket with files to import."""

    service: Any
    client: api.Api
    bucket: str

    def put(self, name: str, content: bytes) -> str:
        path = self.service.bucket(self.bucket) / name
        path.write_bytes(content)
        return f"gs://{self.bucket}/{name}"

    def start(self, *uris: str, **params: str) -> str:
        request = automl_v1.ImportDataRequest(
            name=api.PARENT, input_config={"gcs_source": {"input_uris": list(uris)}, "params": params}
        )
        call = self.client.channel.unary_unary(
            IMPORT,
            request_serializer=automl_v1.ImportDataRequest.serialize,
            response_deserializer=operations_pb2.Operation.FromString,
        )
        return str(call(request, timeout=60).name)

    def ended(self, *uris: str, **params: str) -> operations_pb2.Operation:
        return self.client.finished(self.start(*uris, **params))

    def model(self, *uris: str, **params: str) -> automl_v1.Model:
        operation = self.ended(*uris, **params)
        assert not operation.HasField("error"), operation.error
        model = automl_v1.Model.pb(automl_v1.Model())
        assert operation.response.Unpack(model)
        return automl_v1.Model.wrap(model)

    def describe(self, name: str) -> dict[str, Any]:
        return dict(requests.get(f"{self.service.url}/v1/{name}:describe", timeout=60).json())


@pytest.fixture
def importing(service: Any, request: pytest.FixtureRequest):
    with api.open_api(service) as client:
        yield Importing(service, client, request.node.name[5:45].replace("_", "-"))


def test_an_imported_network_predicts_in_batches_and_online(importing: Importing) -> None:
    network = importing.put("best.onnx", foreign_onnx.of("yolov8", metadata={"license": "AGPL-3.0"}))
    names = importing.put("names.txt", b"circle\nsquare\ntriangle\n\n")
    operation = importing.ended(network, names, display_name="foreign")
    assert not operation.HasField("error"), operation.error
    told = [one.message for one in api.metadata(operation).partial_failures]
    assert any("unvalidated" in text for text in told)
    assert any("AGPL-3.0" in text for text in told)
    facts = importing.client.progress(operation.name)
    assert facts["layout"] == "yolov8"
    model = automl_v1.Model.pb(automl_v1.Model())
    operation.response.Unpack(model)
    details = importing.describe(model.name)
    assert (details["licence"], details["adapter"]["validation"]) == ("AGPL-3.0", "unvalidated")

    image = drawn_images.draw(1).content
    opened = predictor.Predictor.open(importing.service.data_dir / "models" / model.name.rpartition("/")[2], streams=1)
    expected = opened.predict(image).keep(0.5, 100)
    assert len(expected.scores)
    importing.client.automl.deploy_model(name=model.name).result(timeout=120)
    answer = importing.client.prediction.predict(
        name=model.name, payload={"image": {"image_bytes": image}}, timeout=120
    )
    assert [one.image_object_detection.score for one in answer.payload] == pytest.approx(expected.scores, abs=1e-5)
    importing.put("one.png", image)
    listed = importing.put("list.csv", f"gs://{importing.bucket}/one.png\n".encode())
    started = importing.client.prediction.batch_predict(
        name=model.name,
        input_config={"gcs_source": {"input_uris": [listed]}},
        output_config={"gcs_destination": {"output_uri_prefix": f"gs://{importing.bucket}/out/"}},
    )
    done = importing.client.finished(started.operation.name)
    assert not done.HasField("error"), done.error
    (written,) = (importing.service.buckets / importing.bucket / "out").rglob("image_object_detection_*.jsonl")
    found = json.loads(written.read_text().splitlines()[0])["annotations"]
    scores = [one["image_object_detection"]["score"] for one in found]
    assert scores == pytest.approx(expected.scores.tolist(), abs=1e-5)


def test_what_cannot_be_read_in_one_way_is_refused_and_the_service_goes_on(importing: Importing) -> None:
    operation = importing.ended(importing.put("a.onnx", foreign_onnx.of("yolonas")), labels=LABELS)
    assert "can be read in 4 ways" in operation.error.message
    operation = importing.ended(importing.put("b.onnx", b"not a network"), labels=LABELS)
    assert "no ONNX file" in operation.error.message
    operation = importing.ended(importing.put("c.onnx", foreign_onnx.of("yolov5")), labels="a,b")
    assert "needs 7 columns" in operation.error.message
    assert requests.get(f"{importing.service.url}/v1/{api.PARENT}/models", timeout=60).status_code == 200


@pytest.fixture
def limited(service_factory: Any):
    """A service whose imports may use little."""
    environment = {"BOXWRIGHT_IMPORT_MODEL_BYTES": "2000000000", "BOXWRIGHT_IMPORT_MODEL_TIMEOUT_S": "30"}
    started = service_factory(environment=environment)
    with api.open_api(started) as client:
        yield Importing(started, client, "hostile")


def _refuse(importing: Importing, names: list[str]) -> None:
    started = {
        name: importing.start(importing.put(f"{name}.onnx", hostile_onnx.FILES[name]()), labels=LABELS)
        for name in names
    }
    allowed = (code_pb2.INVALID_ARGUMENT, code_pb2.DEADLINE_EXCEEDED)
    for name, operation in started.items():
        error = importing.client.finished(operation).error
        if name.startswith("names_are") or name == "metadata_is_huge":
            continue  # the labels that are said count, whatever the file says
        assert error.code in allowed, (name, error)
        assert len(error.message) > 30, (name, error)
    assert importing.service.process.poll() is None
    assert importing.model(importing.put("good.onnx", foreign_onnx.of("yolov8")), labels=LABELS).name


def test_files_that_cost_too_much_are_refused_and_the_service_goes_on(limited: Importing) -> None:
    _refuse(limited, ["huge_constant", "noise"])


@pytest.mark.full
def test_every_hostile_file_is_refused_and_the_service_goes_on(limited: Importing) -> None:
    _refuse(limited, list(hostile_onnx.FILES))


def test_without_onnx_an_import_says_what_to_install(service_factory: Any, tmp_path: pathlib.Path) -> None:
    shim = tmp_path / "shim"
    shim.mkdir()
    (shim / "sitecustomize.py").write_text("import sys\nsys.modules['onnx'] = None\n")
    started = service_factory(environment={"PYTHONPATH": f"{shim}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"})
    with api.open_api(started) as client:
        importing = Importing(started, client, "without")
        error = importing.ended(importing.put("a.onnx", foreign_onnx.of("yolov8")), labels=LABELS).error
    assert error.code == code_pb2.FAILED_PRECONDITION
    assert "pip install 'boxwright[onnx]'" in error.message
