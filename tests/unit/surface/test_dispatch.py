"""Binding the table to services, and what leaves dispatch when something goes wrong."""

from __future__ import annotations

import logging

import pytest
from google.cloud import automl_v1
from google.longrunning import operations_pb2
from google.rpc import code_pb2
from tests.unit.surface import tiny_service

from boxwright import callers, errors
from boxwright.access import decide
from boxwright.surface import dispatch, methods

ROWS = {row.rpc: row for row in methods.TABLE}
MODEL = f"{tiny_service.PARENT}/models/m"


def test_a_forgotten_method_is_a_start_up_failure() -> None:
    operations = tiny_service.Operations()
    services = {methods.AUTOML: tiny_service.AutoMl(operations), methods.OPERATIONS: operations}
    with pytest.raises(TypeError, match=r"no deploy_model\(\) for /google.cloud.automl.v1.AutoMl/DeployModel"):
        dispatch.Dispatcher(services, tiny_service.EVERYBODY)


def test_an_unknown_service_is_a_start_up_failure() -> None:
    everything = {row.rpc for row in methods.TABLE}
    with pytest.raises(TypeError, match=r"x\.Y is not a service of the table"):
        dispatch.Dispatcher({"x.Y": object()}, tiny_service.EVERYBODY, planned=everything)


def test_a_planned_method_is_unimplemented() -> None:
    house = tiny_service.build_house()
    with pytest.raises(errors.ApiError, match=r"DeployModel of .* is not available") as caught:
        house.dispatcher.call(ROWS["DeployModel"], ROWS["DeployModel"].request_pb(name=MODEL), callers.ANONYMOUS)
    assert caught.value.code == code_pb2.UNIMPLEMENTED


def test_a_planned_method_that_exists_is_called() -> None:
    operations = tiny_service.Operations()
    everything = {row.rpc for row in methods.TABLE}
    dispatcher = dispatch.Dispatcher({methods.OPERATIONS: operations}, tiny_service.EVERYBODY, planned=everything)
    request = operations_pb2.ListOperationsRequest(name=tiny_service.PARENT)
    answer = dispatcher.call(ROWS["ListOperations"], request, callers.ANONYMOUS)
    assert answer == operations_pb2.ListOperationsResponse()


class Refusing(decide.OpenDecider):
    """Admits everybody, and notes and refuses every call."""

    def __init__(self) -> None:
        self.asked: list[tuple[callers.Caller, str, object]] = []

    def check(self, caller: callers.Caller, method: str, requirements: object) -> None:
        self.asked.append((caller, method, requirements))
        raise errors.permission_denied("No.")


def test_permissions_are_checked_on_the_message_before_anything_is_looked_up() -> None:
    decider = Refusing()
    house = tiny_service.build_house(decider)
    caller, request = callers.Caller("user:ada@example.org"), ROWS["GetModel"].request_pb(name=MODEL)
    with pytest.raises(errors.ApiError) as caught:
        house.dispatcher.call(ROWS["GetModel"], request, caller)
    assert caught.value.code == code_pb2.PERMISSION_DENIED
    needed = (callers.Requirement("automl.models.get", MODEL),)
    assert decider.asked == [(caller, "google.cloud.automl.v1.AutoMl.GetModel", needed)]


def test_a_request_that_names_nothing_is_not_judged() -> None:
    decider = Refusing()
    with pytest.raises(errors.ApiError, match="Required field not set"):
        tiny_service.build_house(decider).dispatcher.call(
            ROWS["GetModel"], ROWS["GetModel"].request_pb(), callers.ANONYMOUS
        )
    assert decider.asked == []


def test_every_missing_field_is_listed() -> None:
    house = tiny_service.build_house()
    with pytest.raises(errors.ApiError) as caught:
        house.dispatcher.call(
            ROWS["CreateModel"], ROWS["CreateModel"].request_pb(parent=tiny_service.PARENT), callers.ANONYMOUS
        )
    assert caught.value.message == (
        "List of found errors:\t1.Field: model.display_name; Message: Required field not set.\t"
        "2.Field: model.dataset_id; Message: Required field not set.\t"
    )


@pytest.mark.parametrize("model_id", ["boom", "lost", "odd"])
def test_the_unexpected_becomes_an_incident(model_id: str, caplog: pytest.LogCaptureFixture) -> None:
    house = tiny_service.build_house()
    request = automl_v1.GetModelRequest.pb()(name=f"{tiny_service.PARENT}/models/{model_id}")
    with caplog.at_level(logging.ERROR), pytest.raises(errors.ApiError) as caught:
        house.dispatcher.call(ROWS["GetModel"], request, callers.ANONYMOUS)
    assert caught.value.code == code_pb2.INTERNAL
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "rpc=google.cloud.automl.v1.AutoMl.GetModel" in record.getMessage()
    incident_id = record.getMessage().rpartition("incident=")[2]
    assert f"Incident {incident_id}:" in caught.value.message
    assert "secret" not in caught.value.message


def test_reading_and_writing_are_guarded_too() -> None:
    house = tiny_service.build_house()
    with pytest.raises(errors.ApiError) as caught:
        house.dispatcher.serve(
            ROWS["GetModel"],
            lambda: ROWS["GetModel"].request_pb(name=MODEL),
            callers.ANONYMOUS,
            lambda answer: 1 // 0,
        )
    assert caught.value.code == code_pb2.INTERNAL
