"""What a gRPC caller may cost, and from where one may call, tried with real connections."""

from __future__ import annotations

import contextlib
import socket
import threading

import grpc
import pytest
from google.cloud import automl_v1
from google.longrunning import operations_pb2
from google.protobuf import duration_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tests.support.clients.half_http2 import half_call
from tests.unit.surface import tiny_service
from tests.unit.surface.tiny_service import rpc

from boxwright.surface import limits, methods

PARENT = tiny_service.PARENT
MODEL = f"{PARENT}/models/m"
TIMEOUT_S = tiny_service.TIMEOUT_S
MIB = limits.MIB
LARGEST = methods.MAX_IMAGE_BODY_BYTES
PREDICT = f"/{methods.PREDICTION}/Predict"
CREATE = f"/{methods.AUTOML}/CreateDataset"
CHECK = "/grpc.health.v1.Health/Check"
REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def refused(call: grpc.UnaryUnaryMultiCallable, request: object, **options: object) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=TIMEOUT_S, **options)
    return caught.value.code()


@pytest.mark.parametrize("sent", [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "none")])
def test_a_call_that_a_page_would_make_is_refused_by_every_service(
    doors: tiny_service.Doors, sent: tuple[str, str]
) -> None:
    with grpc.insecure_channel(doors.target) as channel:
        for row in methods.TABLE:
            call = rpc(channel, row.service, row.rpc)
            assert refused(call, row.request_pb(), metadata=[sent]) is grpc.StatusCode.PERMISSION_DENIED
        health = health_pb2_grpc.HealthStub(channel)
        assert refused(health.Check, health_pb2.HealthCheckRequest(), metadata=[sent]).name == "PERMISSION_DENIED"
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            asked = reflection_pb2.ServerReflectionRequest(list_services="")
            list(reflection.ServerReflectionInfo(iter([asked]), timeout=TIMEOUT_S, metadata=[sent]))
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_the_limit_of_a_message_is_that_of_its_method(doors: tiny_service.Doors) -> None:
    def create(size_bytes: int) -> bytes:
        request = automl_v1.CreateDatasetRequest.pb()(parent=PARENT, dataset={"display_name": "a"})
        request.dataset.description = "b" * MIB
        request.dataset.description = "b" * (MIB + size_bytes - len(request.SerializeToString()))
        return request.SerializeToString()

    with grpc.insecure_channel(doors.target) as channel:
        call = channel.unary_unary(CREATE)
        assert (len(create(MIB)), len(create(MIB + 1))) == (MIB, MIB + 1)
        assert call(create(MIB), timeout=TIMEOUT_S)
        assert refused(call, create(MIB + 1)) is grpc.StatusCode.RESOURCE_EXHAUSTED
        health = channel.unary_unary(CHECK)
        assert refused(health, b"\n" + b"\xff\xff\x7f" + bytes(2 * MIB)) is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_metadata_is_bounded(doors: tiny_service.Doors) -> None:
    with grpc.insecure_channel(doors.target) as channel:
        call, request = rpc(channel, methods.AUTOML, "GetModel"), automl_v1.GetModelRequest.pb()(name=MODEL)
        assert call(request, timeout=TIMEOUT_S, metadata=[("x", "y" * 14_000)]).name == MODEL
        assert refused(call, request, metadata=[("x", "y" * 30_000)]) is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("path", [CREATE, PREDICT, CHECK, REFLECT])
def test_a_message_that_does_not_end_counts_and_has_little_time(path: str) -> None:
    bounds = limits.ServerLimits(body_timeout_s=0.2, bodies_bytes=LARGEST + 3 * MIB)
    with tiny_service.open_doors(bounds=bounds) as narrow, contextlib.ExitStack() as opened:
        first, second = (opened.enter_context(half_call(narrow.grpc_port, TIMEOUT_S)) for _ in range(2))
        first.begin(path, 40_000_000, 60_000)
        narrow.wait_until(lambda: narrow.budget.held_bytes == LARGEST)
        second.begin(path, 40_000_000, 60_000)
        assert b"grpc-status" in (said := second.end()), said
        with grpc.insecure_channel(narrow.target) as channel:  # small calls have room beside it
            assert rpc(channel, methods.AUTOML, "GetModel")(automl_v1.GetModelRequest.pb()(name=MODEL)).name == MODEL
        assert b"grpc-status" in (said := first.end()), said
        narrow.wait_until(lambda: narrow.budget.held_bytes == 0)
        assert narrow.budget.most_bytes <= LARGEST + 3 * MIB


def test_a_message_to_a_method_that_is_none_is_not_taken(doors: tiny_service.Doors) -> None:
    with half_call(doors.grpc_port, TIMEOUT_S) as call:
        call.begin("/nowhere/Nothing", 40_000_000, 60_000)
        assert b"grpc-status" in call.end()


def test_a_connection_must_begin_in_time() -> None:
    with (
        tiny_service.open_doors(bounds=limits.ServerLimits(head_timeout_s=0.2)) as brief,
        socket.create_connection(("127.0.0.1", brief.grpc_port), TIMEOUT_S) as idle,
    ):
        while idle.recv(4096):
            pass  # the server's settings, then the end


def test_connections_are_bounded() -> None:
    with tiny_service.open_doors(bounds=limits.ServerLimits(connections=2)) as few, contextlib.ExitStack() as opened:
        for _ in range(2):
            channel = grpc.insecure_channel(few.target, [("grpc.use_local_subchannel_pool", 1)])
            call = rpc(opened.enter_context(channel), methods.AUTOML, "GetModel")
            assert call(automl_v1.GetModelRequest.pb()(name=MODEL), timeout=TIMEOUT_S).name == MODEL
        with socket.create_connection(("127.0.0.1", few.grpc_port), TIMEOUT_S) as further:
            assert further.recv(4096) == b""


def test_an_old_connection_is_renewed_and_the_calls_on_it_end_as_they_would() -> None:
    with tiny_service.open_doors(bounds=limits.ServerLimits(grpc_connection_age_s=0.3)) as brief:
        name = brief.house.operations.start(automl_v1.OperationMetadata.pb()()).name
        with grpc.insecure_channel(brief.target) as channel:
            renewed = threading.Event()
            channel.subscribe(lambda state: renewed.set() if state is grpc.ChannelConnectivity.IDLE else None)
            wait = rpc(channel, methods.OPERATIONS, "WaitOperation")
            grpc.channel_ready_future(channel).result(TIMEOUT_S)
            renewed.clear()
            waiting = wait.future(
                operations_pb2.WaitOperationRequest(name=name, timeout=duration_pb2.Duration(seconds=20)),
                timeout=TIMEOUT_S,
            )
            brief.house.operations.wait_until_asked(1)
            assert renewed.wait(TIMEOUT_S)
            assert not waiting.done()
            brief.house.operations.finish(name, automl_v1.BatchPredictResult.pb()())
            assert waiting.result(TIMEOUT_S).done
            assert wait(operations_pb2.WaitOperationRequest(name=name), timeout=TIMEOUT_S).done
