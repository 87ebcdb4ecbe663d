"""The import of a network under fire: killed in between, it ends with one model; what kills its process is refused."""

from __future__ import annotations

import pathlib
from typing import Any

from google.cloud import automl_v1
from google.longrunning import operations_pb2
from google.rpc import code_pb2
from tests.support.clients.api import PARENT, Api, open_api
from tests.support.machine.waiting import wait_until
from tests.support.networks import foreign_onnx
from tests.support.processes import crashes

CHILD = "boxwright.adapters.import_main"
POINT = "adapters.before_making"


def _start(service: Any, api: Api) -> str:
    (service.bucket("b") / "best.onnx").write_bytes(foreign_onnx.of("yolov8"))
    request = automl_v1.ImportDataRequest(
        name=PARENT,
        input_config={"gcs_source": {"input_uris": ["gs://b/best.onnx"]}, "params": {"labels": "a,b,c"}},
    )
    call = api.channel.unary_unary(
        "/google.cloud.automl.v1.AutoMl/ImportModel",
        request_serializer=automl_v1.ImportDataRequest.serialize,
        response_deserializer=operations_pb2.Operation.FromString,
    )
    return str(call(request, timeout=60).name)


def test_a_killed_import_goes_on_and_makes_one_model(service_factory, environment, tmp_path: pathlib.Path) -> None:
    service = service_factory(environment={**environment, "BOXWRIGHT_FAULTS": f"{POINT}:hang"})
    with open_api(service) as api:
        name = _start(service, api)
        wait_until(lambda: crashes.children_of(service.process.pid, CHILD), "the process")
    (child,) = crashes.children_of(service.process.pid, CHILD)
    crashes.kill(service, environment)
    wait_until(lambda: not child.is_running() or child.status() == "zombie", "the end of the process")
    (service.bucket("b") / "best.onnx").unlink()  # what was fetched stays
    again = service_factory(environment=environment)
    with open_api(again) as api:
        operation = api.finished(name)
        assert not operation.HasField("error"), operation.error
        models = list(api.automl.list_models(parent=PARENT))
        assert len(models) == 1
    assert len(list((again.data_dir / "models").iterdir())) == 1
    wait_until(lambda: not list((again.data_dir / "work").glob("IOD*")), "the folder's end")


def test_a_process_that_dies_is_started_again_once(service_factory, environment, tmp_path: pathlib.Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    faults = {"BOXWRIGHT_FAULTS": f"{POINT}:kill", "BOXWRIGHT_FAULTS_ONCE": str(marks)}
    service = service_factory(environment={**environment, **faults})
    with open_api(service) as api:
        operation = api.finished(_start(service, api))
        assert not operation.HasField("error"), operation.error
    assert list(marks.iterdir())


def test_a_network_that_ends_its_process_twice_is_refused(service_factory, environment) -> None:
    service = service_factory(environment={**environment, "BOXWRIGHT_FAULTS": f"{POINT}:kill"})
    with open_api(service) as api:
        error = api.finished(_start(service, api)).error
        assert error.code == code_pb2.INVALID_ARGUMENT
        assert "ended its process, 2 times" in error.message
    assert not list((service.data_dir / "models").iterdir())
