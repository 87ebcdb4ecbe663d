"""What a REST caller may cost, tried with real sockets: time, connections, bytes."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from google.cloud import automl_v1
from tests.unit.surface import tiny_service
from tests.unit.surface.tiny_service import rpc

from boxwright.surface import http_server, limits, methods

PARENT = tiny_service.PARENT
PREDICT = f"/v1/{PARENT}/models/m:predict"
TIMEOUT_S = tiny_service.TIMEOUT_S
MIB = limits.MIB
SHORT_S = 1.0  # a machine with much to do needs half a second now and then


@pytest.fixture(scope="module")
def hasty() -> Iterator[tiny_service.Doors]:
    with tiny_service.open_doors(bounds=limits.ServerLimits(head_timeout_s=SHORT_S, body_timeout_s=SHORT_S)) as opened:
        yield opened


@contextlib.contextmanager
def plug(doors: tiny_service.Doors) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", doors.rest_port), TIMEOUT_S) as opened:
        yield opened


def head(verb: str, path: str, *headers: str) -> bytes:
    return "\r\n".join((f"{verb} {path} HTTP/1.1", "Host: localhost", *headers, "", "")).encode()


def answer(connection: socket.socket) -> tuple[http.client.HTTPResponse, dict[str, Any]]:
    """The next response on a connection, and its error."""
    with contextlib.closing(http.client.HTTPResponse(connection)) as response:
        response.begin()
        content = json.loads(response.read())
    assert content["error"]["code"] == response.status
    return response, content["error"]


def read_to_the_end(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


def test_a_head_that_is_not_complete_in_time_is_refused(hasty: tiny_service.Doors) -> None:
    with plug(hasty) as connection:
        connection.sendall(b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\nA:")
        response, error = answer(connection)
        assert (response.status, error["status"]) == (504, "DEADLINE_EXCEEDED")
        assert f"not complete within {SHORT_S:g} s" in error["message"]
        assert read_to_the_end(connection) == b""


def test_a_head_gets_no_more_time_by_coming_in_pieces(hasty: tiny_service.Doors) -> None:
    with plug(hasty) as connection:
        connection.settimeout(0.01)
        connection.sendall(b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\nA:")
        received = b""
        for _ in range(int(TIMEOUT_S / 0.01)):
            with contextlib.suppress(TimeoutError):
                received = connection.recv(65536)
                break
            connection.sendall(b"a")
        connection.settimeout(TIMEOUT_S)
        received += read_to_the_end(connection)  # head and body may come one after the other
        assert b"DEADLINE_EXCEEDED" in received


def test_a_connection_that_asks_nothing_is_closed_in_silence(hasty: tiny_service.Doors) -> None:
    with plug(hasty) as connection:
        assert read_to_the_end(connection) == b""


def test_the_next_head_on_a_kept_connection_has_its_own_time(hasty: tiny_service.Doors) -> None:
    with plug(hasty) as connection:
        connection.sendall(head("GET", f"/v1/{PARENT}/models/IOD5"))
        assert answer(connection)[0].status == 404
        connection.sendall(b"GET /v1")
        assert answer(connection)[0].status == 504
        assert read_to_the_end(connection) == b""


def test_a_silent_body_is_refused(hasty: tiny_service.Doors) -> None:
    with plug(hasty) as connection:
        connection.sendall(head("POST", PREDICT, "Content-Type: application/json", "Content-Length: 9") + b"{")
        response, error = answer(connection)
        assert (response.status, error["status"]) == (504, "DEADLINE_EXCEEDED")
        assert read_to_the_end(connection) == b""  # and the rest is not waited for for ever
    assert hasty.budget.held_bytes == 0


def test_a_call_that_waits_is_not_cut_by_the_limits_of_its_request(hasty: tiny_service.Doors) -> None:
    operation = hasty.house.operations.start(automl_v1.OperationMetadata.pb()())
    waited = httpx.post(f"{hasty.url}/v1/{operation.name}:wait", json={"timeout": "2.5s"}, trust_env=False)
    assert (waited.status_code, waited.json()["name"]) == (200, operation.name)


LONG = f"Content-Length: {40_000_000}"
AS_JSON = "Content-Type: application/json"
REFUSED = [
    ("POST", "/v1/nowhere", (AS_JSON, LONG), 404),
    ("POST", "/nowhere", (AS_JSON, LONG), 404),
    ("PUT", PREDICT, (AS_JSON, LONG), 404),
    ("POST", f"/v1/{PARENT}/datasets", (AS_JSON, LONG), 400),  # more than this method takes
    ("GET", f"/v1/{PARENT}/datasets", (AS_JSON, LONG), 400),
    ("POST", PREDICT, (LONG,), 400),
    ("POST", PREDICT, ("Content-Type: text/plain", LONG), 400),
    ("POST", PREDICT, ("Content-Type: text/plain; a=application/json", LONG), 400),
    ("POST", PREDICT, (AS_JSON, "Content-Type: text/plain", LONG), 400),
    ("POST", PREDICT, ("Content-Type: application/json-seq", LONG), 400),
    ("POST", PREDICT, (AS_JSON, LONG, "Origin: null"), 403),
    ("POST", PREDICT, (AS_JSON, LONG, "Sec-Fetch-Site: cross-site"), 403),
    ("POST", PREDICT, (AS_JSON, LONG, "Content-Encoding: gzip"), 400),
]


@pytest.mark.parametrize(("verb", "path", "headers", "status"), REFUSED, ids=range(len(REFUSED)))
def test_what_the_head_shows_is_judged_before_the_body(
    doors: tiny_service.Doors, verb: str, path: str, headers: tuple[str, ...], status: int
) -> None:
    with plug(doors) as connection:
        connection.sendall(head(verb, path, *headers))  # and nothing of the body
        assert answer(connection)[0].status == status


def test_unfinished_bodies_to_a_path_that_is_none_are_not_kept(doors: tiny_service.Doors) -> None:
    with contextlib.ExitStack() as opened:
        for path in ("/v1/nowhere", "/v1/nowhere", "/", "/nowhere", f"/v1/{PARENT}/datasets", "/v1/openapi.json"):
            connection = opened.enter_context(plug(doors))
            connection.sendall(head("POST", path, AS_JSON, LONG))
            taken_bytes = 0
            with contextlib.suppress(ConnectionError):
                while taken_bytes < 39_000_000:
                    taken_bytes += connection.send(bytes(65536))
            assert taken_bytes < 20_000_000  # most of it in the buffers of the two sockets
    assert doors.budget.most_bytes <= MIB


def test_the_rest_of_a_short_refused_body_is_dropped_and_the_connection_kept(hasty: tiny_service.Doors) -> None:
    with plug(hasty) as connection:
        size_bytes = MIB - 65536
        connection.sendall(head("POST", "/v1/nowhere", AS_JSON, f"Content-Length: {size_bytes}"))
        assert answer(connection)[0].status == 404
        connection.sendall(bytes(size_bytes) + head("GET", f"/v1/{PARENT}/models/IOD5"))
        assert answer(connection)[0].status == 404


def test_the_limit_of_a_body_is_that_of_its_method(doors: tiny_service.Doors) -> None:
    def create(size_bytes: int) -> httpx.Response:
        content = json.dumps({"displayName": "a"}).encode().ljust(size_bytes)
        return httpx.post(
            f"{doors.url}/v1/{PARENT}/datasets",
            content=iter([content[:1000], content[1000:]]),  # of a length that is not announced
            headers={"content-type": "application/json"},
            trust_env=False,
        )

    assert create(MIB).status_code == 200
    refused = create(MIB + 1)
    assert (refused.status_code, refused.json()["error"]["message"]) == (
        400,
        f"Request payload size exceeds the limit: {MIB} bytes.",
    )


def test_bodies_of_both_doors_share_one_budget() -> None:
    content = json.dumps({"payload": {"image": {"imageBytes": "A" * 2 * MIB}}}).encode()
    message = automl_v1.PredictRequest.pb()(name=PREDICT[4:-8], payload={"image": {"image_bytes": bytes(2 * MIB)}})
    with (
        tiny_service.open_doors(bounds=limits.ServerLimits(bodies_bytes=3 * MIB)) as narrow,
        plug(narrow) as connection,
    ):

        def predict() -> httpx.Response:
            headers = {"content-type": "application/json"}
            return httpx.post(narrow.url + PREDICT, content=content, headers=headers, trust_env=False)

        connection.sendall(head("POST", PREDICT, AS_JSON, LONG) + bytes(MIB + MIB // 2))  # and there it stops
        narrow.wait_until(lambda: narrow.budget.held_bytes == MIB + MIB // 2)
        refused = predict()
        assert (refused.status_code, refused.json()["error"]["status"]) == (503, "UNAVAILABLE")
        assert refused.headers["retry-after"] == "1"
        assert "bodies_bytes" in refused.json()["error"]["message"]
        with grpc.insecure_channel(narrow.target) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                rpc(channel, methods.PREDICTION, "Predict")(message, timeout=TIMEOUT_S)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            connection.close()
            narrow.wait_until(lambda: narrow.budget.held_bytes == 0)
            assert predict().status_code == 200
            assert rpc(channel, methods.PREDICTION, "Predict")(message, timeout=TIMEOUT_S).metadata
        narrow.wait_until(lambda: narrow.budget.held_bytes == 0)
        assert narrow.budget.most_bytes <= 3 * MIB


def test_connections_are_bounded() -> None:
    with tiny_service.open_doors(bounds=limits.ServerLimits(connections=3)) as few, contextlib.ExitStack() as opened:
        held = [opened.enter_context(plug(few)) for _ in range(3)]
        for connection in held:
            connection.sendall(head("GET", f"/v1/{PARENT}/models/IOD5"))
            assert answer(connection)[0].status == 404
        with plug(few) as further:
            response, error = answer(further)
            assert (response.status, error["status"]) == (503, "UNAVAILABLE")
            assert response.getheader("retry-after") == "1"
            assert read_to_the_end(further) == b""
        held[0].close()

        def is_served() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{few.url}/v1/{PARENT}/models/IOD5", trust_env=False).status_code == 404
            return False

        assert any(is_served() for _ in range(1000))


def test_who_a_program_says_it_speaks_for_is_not_believed() -> None:
    async def tell(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps([*scope["client"], scope["scheme"]]).encode()})

    async def ask() -> Any:
        with http_server.open_listener("127.0.0.1", 0) as listener:
            server = http_server.HttpServer(tell, limits.ServerLimits())
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            forged = {"x-forwarded-for": "10.9.8.7", "x-forwarded-proto": "https"}
            async with httpx.AsyncClient(trust_env=False) as client:
                told = await client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/", headers=forged)
            server.should_exit = True
            await serving
            return told.json()

    client_host, _, scheme = asyncio.run(ask())
    assert (client_host, scheme) == ("127.0.0.1", "http")
