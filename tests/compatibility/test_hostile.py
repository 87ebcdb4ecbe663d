"""Requests that mean harm, or are made by a broken program: each is refused in the service's own shape, and it lives on."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.cloud import automl_v1
from tests.support.clients.api import PARENT

LIMIT_BYTES = 48 * 1024 * 1024
MODEL = f"{PARENT}/models/IOD1"
PREDICT = "/google.cloud.automl.v1.PredictionService/Predict"
TIMEOUT_S = 60


@pytest.fixture
def connection(service: Any) -> Iterator[http.client.HTTPConnection]:
    opened = http.client.HTTPConnection("127.0.0.1", service.port, timeout=TIMEOUT_S)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def still_alive(service: Any) -> Iterator[None]:
    yield
    after = http.client.HTTPConnection("127.0.0.1", service.port, timeout=TIMEOUT_S)
    after.request("GET", f"/v1/{PARENT}")
    assert json.loads(after.getresponse().read())["locationId"] == "us-central1"
    after.close()


def refusal(response: http.client.HTTPResponse) -> dict[str, Any]:
    """The error in an answer, whose shape is checked."""
    content = response.read()
    assert response.getheader("content-type") == "application/json; charset=UTF-8", content
    error = json.loads(content)["error"]
    assert error["code"] == response.status
    assert "Traceback" not in error["message"]
    return error


def padded(size_bytes: int) -> bytes:
    """A request of exactly this size to predict."""
    head, tail = b'{"payload": {"image": {"imageBytes": "', b'"}}}'
    room = size_bytes - len(head) - len(tail)
    return head + b"A" * (room // 4 * 4) + tail + b" " * (room % 4)


def test_a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not(connection: http.client.HTTPConnection) -> None:
    connection.request("POST", f"/v1/{MODEL}:predict", padded(LIMIT_BYTES), {"Content-Type": "application/json"})
    assert refusal(connection.getresponse())["message"] == "The model does not exist."
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it is refused before the end
        connection.request(
            "POST", f"/v1/{MODEL}:predict", padded(LIMIT_BYTES + 1), {"Content-Type": "application/json"}
        )
    error = refusal(connection.getresponse())
    assert (error["status"], error["message"]) == (
        "INVALID_ARGUMENT",
        f"Request payload size exceeds the limit: {LIMIT_BYTES} bytes.",
    )


def test_a_message_of_exactly_the_limit_is_read_and_one_byte_more_is_not(service: Any) -> None:
    def message(size_bytes: int) -> bytes:
        empty = automl_v1.PredictRequest.serialize(
            {"name": MODEL, "payload": {"image": {"image_bytes": b"A" * (1 << 25)}}}
        )
        image = b"A" * ((1 << 25) + size_bytes - len(empty))
        return automl_v1.PredictRequest.serialize({"name": MODEL, "payload": {"image": {"image_bytes": image}}})

    with grpc.insecure_channel(service.grpc_target, [("grpc.max_send_message_length", -1)]) as channel:
        for size_bytes, code in ((LIMIT_BYTES, "NOT_FOUND"), (LIMIT_BYTES + 1, "RESOURCE_EXHAUSTED")):
            request = message(size_bytes)
            assert len(request) == size_bytes
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(PREDICT)(request, timeout=TIMEOUT_S)
            assert caught.value.code().name == code


NESTED = [
    b'{"payload":' * 100_000 + b"1" + b"}" * 100_000,
    b"[" * 1_000_000,
    b'{"labels":{"a":' * 50_000,
    b'{"payload": {"document": {"layout": ' + b"[" * 5000 + b"]" * 5000 + b"}}}",
]


@pytest.mark.parametrize("body", NESTED, ids=["objects", "lists", "cut off", "lists in a field"])
def test_deep_nesting_is_refused(connection: http.client.HTTPConnection, body: bytes) -> None:
    connection.request("POST", f"/v1/{MODEL}:predict", body, {"Content-Type": "application/json"})
    assert refusal(connection.getresponse())["status"] == "INVALID_ARGUMENT"


def test_deep_nesting_of_a_message_is_refused(service: Any) -> None:
    nested = b""
    for _ in range(3000):  # a field of unknown number that holds a message that holds …
        nested = b"\x7b" + nested + b"\x7c"
    with grpc.insecure_channel(service.grpc_target) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(PREDICT)(nested, timeout=TIMEOUT_S)
    assert caught.value.code().name == "INVALID_ARGUMENT"


def test_an_image_that_grows_a_thousandfold_costs_nothing(connection: http.client.HTTPConnection) -> None:
    bomb = base64.b64encode(
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00\x01\x86\xa0" * 2 + b"\x08\x02" + bytes(64)
    ).decode()
    body = json.dumps({"payload": {"image": {"imageBytes": bomb}}})
    connection.request("POST", f"/v1/{MODEL}:predict", body, {"Content-Type": "application/json"})
    assert refusal(connection.getresponse())["status"] == "NOT_FOUND"


UNREADABLE = {
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a blank in the path": b"GET /v1/a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "another version": b"GET /v1/x HTTP/two\r\nHost: x\r\n\r\n",
    "no host": b"GET /v1/x HTTP/1.1\r\n\r\n",
    "a length that is none": b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
    "two lengths": b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
    "a header without a name": b"GET /v1/x HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "a null in a header": b"GET /v1/x HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
    "many headers": b"GET /v1/x HTTP/1.1\r\nHost: x\r\n"
    + b"".join(b"X-%d: y\r\n" % n for n in range(20_000))
    + b"\r\n",
    "a long header": b"GET /v1/x HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "a header that never ends": b"GET /v1/x HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 200_000,
    "a long path": b"GET /v1/" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path in Latin-1": b"GET /v1/\xfc HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("sent", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_readable_http_is_refused_in_the_same_shape(service: Any, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=TIMEOUT_S) as plug:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may be refused before the end
            plug.sendall(sent)
        response = http.client.HTTPResponse(plug)
        try:
            response.begin()
        except ConnectionResetError:
            return  # the refusal was lost: what had not been read made the system close the connection hard
        error = refusal(response)
    assert (response.status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["message"].startswith("The HTTP request cannot be read")


def test_a_chunked_body_that_breaks_off_harms_nobody(service: Any) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=TIMEOUT_S) as plug:
        plug.sendall(b"POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        response = http.client.HTTPResponse(plug)
        response.begin()
        assert refusal(response)["status"] == "INVALID_ARGUMENT"


def test_parameters_without_end_are_refused(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", f"/v1/{PARENT}/datasets?" + "&".join(["pageSize=1"] * 5000))
    assert refusal(connection.getresponse())["status"] == "INVALID_ARGUMENT"


def test_headers_that_repeat_are_no_trouble(connection: http.client.HTTPConnection) -> None:
    connection.putrequest("GET", f"/v1/{PARENT}")
    for _ in range(200):
        connection.putheader("Authorization", "Bearer x")
        connection.putheader("X-Goog-Request-Params", "name=a%2Fb")
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["locationId"]) == (200, "us-central1")
