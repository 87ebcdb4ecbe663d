"""Bodies of refused calls: at neither API server does the service take them in, one or a hundred at once."""

from __future__ import annotations

import concurrent.futures
import contextlib
import pathlib
import re
import socket
from collections.abc import Iterator

import grpc
import pytest
from tests.support.access.guarded_service import LOCATION, GuardedService, run_guarded_service
from tests.support.machine.waiting import PATIENCE_S

BODY_BYTES = 40 << 20
ROOM_BYTES = 5 << 20
# of each beyond the first: its window of HTTP/2, which may have grown, and its thread
CONNECTION_BYTES = {"rest": 1 << 18, "grpc": 2 << 20}
AT_ONCE = {"rest": 100, "grpc": 8}  # each message takes the memory of the test twice
PREDICT = "/google.cloud.automl.v1.PredictionService/Predict"
CHUNK = bytes(1 << 16)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedService]:
    with run_guarded_service(tmp_path_factory.mktemp("bodies"), "--no-worker") as running:
        yield running


def _memory(service: GuardedService, field: str) -> int:
    status = pathlib.Path(f"/proc/{service.process.pid}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None, status
    return int(found[1]) * 1024


def _peak_bytes(service: GuardedService) -> int:
    """The most memory that the service had since the last call."""
    peak_bytes = _memory(service, "VmHWM")
    pathlib.Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")
    return peak_bytes


def _refused(service: GuardedService, door: str) -> bool:
    """Sends a large request without credentials, as much of it as is taken; returns whether it was refused for that."""
    return _refused_by_rest(service) if door == "rest" else _refused_by_grpc(service)


def _refused_by_rest(service: GuardedService) -> bool:
    head = (
        f"POST /v1/{LOCATION}/models/IOD1:predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {BODY_BYTES}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE_S) as connection:
        connection.sendall(head.encode())
        status = connection.recv(12)
        with contextlib.suppress(OSError):  # it is closed
            for _ in range(BODY_BYTES // len(CHUNK)):
                connection.sendall(CHUNK)
    return status == b"HTTP/1.1 401"


def _refused_by_grpc(service: GuardedService) -> bool:
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{service.grpc_port}", options) as channel:
        try:
            channel.unary_unary(PREDICT)(bytes(BODY_BYTES), timeout=PATIENCE_S)
        except grpc.RpcError as error:
            return error.code() == grpc.StatusCode.UNAUTHENTICATED
    return False


def test_the_body_of_a_refused_call_is_not_taken_in(service: GuardedService, door: str) -> None:
    assert _refused(service, door)  # what is loaded once is loaded
    for at_once in (1, AT_ONCE[door]):
        _peak_bytes(service)
        before_bytes = _memory(service, "VmRSS")
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            assert all(pool.map(lambda _: _refused(service, door), range(at_once)))
        grown_bytes = _peak_bytes(service) - before_bytes
        assert grown_bytes < ROOM_BYTES + (at_once - 1) * CONNECTION_BYTES[door], (door, at_once, grown_bytes)
