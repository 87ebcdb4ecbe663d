"""Callers who wait at both doors: WaitOperation, held GetOperation, and many of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from concurrent import futures
from typing import Any

import grpc
import httpx
import pytest
from google.cloud import automl_v1
from google.longrunning import operations_pb2
from google.protobuf import duration_pb2, json_format
from tests.unit.surface import tiny_service
from tests.unit.surface.tiny_service import rpc

from boxwright.surface import limits, methods

PARENT = tiny_service.PARENT
MODEL = f"{PARENT}/models/m"
TIMEOUT_S = tiny_service.TIMEOUT_S


def _start(doors: tiny_service.Doors) -> str:
    return doors.house.operations.start(automl_v1.OperationMetadata.pb()()).name


def test_wait_operation_returns_when_the_operation_ends(doors: tiny_service.Doors, door: str) -> None:
    name = _start(doors)
    doors.house.operations.asked = set()
    with futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_wait, doors, door, name, 300)
        doors.house.operations.wait_until_asked(1)
        assert not waiting.done()
        doors.house.operations.finish(name, automl_v1.BatchPredictResult.pb()())
        assert waiting.result(TIMEOUT_S).done


def _wait_request(name: str) -> operations_pb2.WaitOperationRequest:
    return operations_pb2.WaitOperationRequest(name=name)


def _wait(doors: tiny_service.Doors, door: str, name: str, timeout_s: int) -> operations_pb2.Operation:
    if door == "rest":
        answer = httpx.post(
            f"{doors.url}/v1/{name}:wait", json={"timeout": f"{timeout_s}s"}, timeout=TIMEOUT_S, trust_env=False
        )
        return json_format.Parse(answer.text, operations_pb2.Operation())
    with grpc.insecure_channel(doors.target) as channel:
        request = operations_pb2.WaitOperationRequest(name=name, timeout=duration_pb2.Duration(seconds=timeout_s))
        return rpc(channel, methods.OPERATIONS, "WaitOperation")(request, timeout=TIMEOUT_S)


def test_wait_operation_of_the_unknown_and_the_finished_answers_at_once(doors: tiny_service.Doors) -> None:
    with tiny_service.open_doors(poll_interval_s=3600) as still:
        assert _wait(still, "rest", _start(still), 0).name
        name = _start(still)
        still.house.operations.finish(name, automl_v1.BatchPredictResult.pb()())
        assert _wait(still, "grpc", name, 300).done
        with pytest.raises(grpc.RpcError, match="was not found"):
            _wait(still, "grpc", f"{PARENT}/operations/IOD404", 300)


def test_a_wait_never_passes_the_callers_deadline(doors: tiny_service.Doors, channel: grpc.Channel) -> None:
    wait, get = (rpc(channel, methods.OPERATIONS, name) for name in ("WaitOperation", "GetOperation"))
    name = _start(doors)
    assert not _before_its_deadline(wait, operations_pb2.WaitOperationRequest(name=name), 3.0).done
    for _ in range(3):
        assert not _before_its_deadline(get, operations_pb2.GetOperationRequest(name=name), 1.5).done


def _before_its_deadline(call: Any, request: Any, shortest_s: float) -> operations_pb2.Operation:
    """The answer to a call with a deadline; a busy machine may need the margin that a longer one leaves."""
    for timeout_s in (shortest_s, 5 * shortest_s):
        with contextlib.suppress(grpc.RpcError):
            return call(request, timeout=timeout_s)
    return call(request, timeout=20 * shortest_s)


def test_a_notice_wakes_waiters_before_the_next_poll() -> None:
    with tiny_service.open_doors(poll_interval_s=3600) as still:
        name = _start(still)
        with futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(_wait, still, "grpc", name, 300)
            still.wait_until(lambda: still.watcher.waiting_count == 1)
            still.watcher.notify(name)  # nothing has changed yet: it waits on
            still.house.operations.wait_until_asked(1)
            still.house.operations.finish(name, automl_v1.BatchPredictResult.pb()())
            still.watcher.notify(name)
            assert waiting.result(TIMEOUT_S).done


def test_the_second_poll_of_a_running_operation_is_held(doors: tiny_service.Doors, http: httpx.Client) -> None:
    name = _start(doors)
    assert "done" not in http.get(f"/v1/{name}").json()  # the first is not
    doors.house.operations.asked = set()
    with futures.ThreadPoolExecutor(1) as pool:
        held = pool.submit(http.get, f"/v1/{name}")
        doors.house.operations.wait_until_asked(1)
        doors.house.operations.finish(name, automl_v1.BatchPredictResult.pb()())
        assert held.result(TIMEOUT_S).json()["done"]


def test_holding_can_be_switched_off() -> None:
    with tiny_service.open_doors(poll_interval_s=3600, hold_s=0) as still:
        name = _start(still)
        for _ in range(3):
            assert "done" not in httpx.get(f"{still.url}/v1/{name}", trust_env=False).json()


def test_closing_the_doors_releases_who_waits() -> None:
    with futures.ThreadPoolExecutor(1) as pool:
        with tiny_service.open_doors() as closing:
            name = _start(closing)
            waiting = pool.submit(_wait, closing, "grpc", name, 300)
            closing.house.operations.wait_until_asked(1)
        answer = waiting.result(TIMEOUT_S)
    assert (answer.name, answer.done) == (name, False)


def test_two_hundred_waiting_callers_take_no_thread(doors: tiny_service.Doors) -> None:
    operations = doors.house.operations
    names = [_start(doors) for _ in range(200)]
    operations.asked = set()

    async def wait_for_all() -> tuple[int, list[operations_pb2.Operation]]:
        async with contextlib.AsyncExitStack() as opened:
            calls = []
            for first in range(0, len(names), limits.ServerLimits.grpc_streams):  # so many calls a connection carries
                channel = grpc.aio.insecure_channel(doors.target, [("grpc.use_local_subchannel_pool", 1)])
                wait = rpc(await opened.enter_async_context(channel), methods.OPERATIONS, "WaitOperation")
                requests = map(_wait_request, names[first : first + limits.ServerLimits.grpc_streams])
                calls += [wait(request, timeout=TIMEOUT_S) for request in requests]
            gathered = asyncio.gather(*calls)
            await asyncio.to_thread(operations.wait_until_asked, len(names))
            dispatch_threads = sum(thread.name.startswith("dispatch") for thread in threading.enumerate())
            assert doors.watcher.waiting_count == len(names)
            for name in names:
                operations.finish(name, automl_v1.BatchPredictResult.pb()())
            return dispatch_threads, await gathered

    threads, answers = asyncio.run(wait_for_all())
    assert threads <= doors.executor._max_workers
    assert all(answer.done for answer in answers)


def test_an_http_caller_who_hangs_up_is_forgotten(doors: tiny_service.Doors) -> None:
    name = _start(doors)
    doors.house.operations.asked = set()
    with socket.create_connection(("127.0.0.1", doors.rest_port), TIMEOUT_S) as connection:
        connection.sendall(f"POST /v1/{name}:wait HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
        doors.house.operations.wait_until_asked(1)
    doors.wait_until(lambda: doors.watcher.waiting_count == 0)


def test_a_grpc_caller_who_hangs_up_is_forgotten(doors: tiny_service.Doors, channel: grpc.Channel) -> None:
    name = _start(doors)
    call = rpc(channel, methods.OPERATIONS, "WaitOperation").future(operations_pb2.WaitOperationRequest(name=name))
    doors.house.operations.asked = set()
    doors.house.operations.wait_until_asked(1)
    call.cancel()
    doors.wait_until(lambda: doors.watcher.waiting_count == 0)
