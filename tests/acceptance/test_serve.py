"""`boxwright serve`: starts quickly, refuses what is unsafe or impossible in a sentence, ends in order."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import sys

import pytest
import requests
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.support.access.credentials import Registry
from tests.support.clients.api import PARENT
from tests.support.machine.waiting import PATIENCE_S
from tests.support.services.env_service import run_env_service

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}


def _serve(tmp_path: pathlib.Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a serve that is expected to end by itself."""
    command = [sys.executable, "-m", "boxwright.cli", "serve"]
    command += ["--data-dir", str(tmp_path / "data"), "--buckets", str(tmp_path / "buckets"), *flags]
    return subprocess.run(command, env=CLEAN | environment, capture_output=True, text=True, timeout=PATIENCE_S)


def test_a_started_service_is_alive_ready_and_healthy(service):
    for path in ("/healthz", "/readyz"):
        assert requests.get(service.url + path, timeout=10).status_code == 200
    with service.channel() as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_service_says_how_to_point_a_client_at_it(service):
    text = service.log.read_text()
    assert "Boxwright is ready." in text
    assert service.url in text
    assert service.grpc_target in text
    assert str(service.buckets) in text
    assert "OPEN" not in text


def test_open_access_is_said_where_there_are_accounts(service_factory):
    service = service_factory()
    registry = Registry(service.data_dir / "metadata.sqlite")
    registry.account("owner")
    registry.close()
    service.stop()
    again = service_factory()
    assert "access is OPEN although there are accounts" in again.log.read_text()


def test_serving_needs_no_tensor_library(tmp_path):
    program = (
        "import sys, boxwright.server, boxwright.cli\n"
        "found = {'torch', 'onnx', 'openvino', 'ray'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_S)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_in_order(service_factory, number):
    service = service_factory()
    service.process.send_signal(number)
    assert service.process.wait(PATIENCE_S) == 0
    assert "event=stopped" in service.tail()
    assert "Traceback" not in service.tail()


REFUSED = [
    (["--host", "0.0.0.0"], {}, "Refusing to listen on 0.0.0.0"),
    (["--host", "::"], {}, "Refusing to listen on ::"),
    (["--host", "example.com"], {}, "Refusing to listen on example.com"),
    (["--tls-cert", "cert.pem"], {}, "TLS needs both the certificate and its key"),
    (["--port", "99999"], {}, "port"),
    ([], {"BOXWRIGHT_LEASE_TTL_S": "soon"}, "BOXWRIGHT_LEASE_TTL_S='soon' is not a number"),
    ([], {"BOXWRIGHT_SHARD_IMAGES": "0"}, "shard_images"),
    ([], {"BOXWRIGHT_ALLOWED_HOSTS": "*"}, "allowed_hosts"),
    ([], {"BOXWRIGHT_ALLOWED_ORIGINS": "null"}, "allowed_origins"),
    ([], {"BOXWRIGHT_PUBLIC_URL": "boxes.example"}, "public_url"),
    ([], {"BOXWRIGHT_BODIES_BYTES": "1000"}, "bodies_bytes"),
]


@pytest.mark.parametrize(("flags", "environment", "reason"), REFUSED)
def test_what_cannot_be_served_is_refused_in_a_sentence(tmp_path, flags, environment, reason):
    done = _serve(tmp_path, *flags, **environment)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flag", ["--port", "--grpc-port"])
def test_a_port_that_is_taken_is_named_with_the_flag_that_changes_it(tmp_path, flag):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ports = {"--port": "0", "--grpc-port": "0", flag: port}
        done = _serve(tmp_path, *(part for pair in ports.items() for part in pair))
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert flag in done.stderr
    assert "Traceback" not in done.stderr


def test_certificates_that_cannot_be_used_are_named(tmp_path):
    (tmp_path / "cert.pem").write_text("no certificate")
    (tmp_path / "key.pem").write_text("no key")
    for cert in ("cert.pem", "none.pem"):
        flags = [
            "--port",
            "0",
            "--grpc-port",
            "0",
            "--tls-cert",
            str(tmp_path / cert),
            "--tls-key",
            str(tmp_path / "key.pem"),
        ]
        done = _serve(tmp_path, *flags)
        assert done.returncode == 2
        assert cert in done.stderr
        assert "Traceback" not in done.stderr


def test_a_data_directory_of_another_version_is_refused(service_factory, tmp_path):
    service = service_factory()
    service.stop()
    with sqlite3.connect(service.data_dir / "metadata.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    done = _serve(tmp_path, "--port", "0", "--grpc-port", "0")
    assert done.returncode == 2
    assert "schema 9999, which this Boxwright does not know" in done.stderr


def test_what_a_crash_left_of_finished_operations_is_gone_after_the_start(service_factory, tmp_path):
    left = [tmp_path / "data" / "work" / "IOD1", tmp_path / "data" / "state" / "boxwright" / "operations" / "IOD1"]
    for folder in left:
        folder.mkdir(parents=True)
    service_factory()
    assert not any(folder.exists() for folder in left)


DATASETS = f"/v1/{PARENT}/datasets"


def _end_of(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def test_the_settings_of_the_doors_reach_them(service_factory):
    chosen = {"ALLOWED_HOSTS": "a.example,*.b.example", "PUBLIC_URL": "https://c.example", "HEAD_TIMEOUT_S": "1"}
    chosen |= {"ALLOWED_ORIGINS": "https://d.example", "BODY_BYTES": "2000", "BODY_TIMEOUT_S": "1", "CONNECTIONS": "3"}
    service = service_factory({f"BOXWRIGHT_{name}": value for name, value in chosen.items()})

    def status(**headers: str) -> int:
        return requests.get(service.url + DATASETS, headers=headers, timeout=30).status_code

    hosts = ("a.example", "x.b.example", "c.example", "d.example", "b.example")
    assert [status(Host=host) for host in hosts] == [200, 200, 200, 403, 403]
    origins = ("https://c.example", "https://d.example", "https://a.example")
    assert [status(Origin=origin) for origin in origins] == [200, 200, 403]
    assert requests.post(service.url + DATASETS, json={"displayName": "a" * 2000}, timeout=30).status_code == 400
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\n" % DATASETS.encode()
    body = b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{"
    for sent in (head, head + body):
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
            connection.sendall(sent)
            assert b"504" in _end_of(connection)
    with contextlib.ExitStack() as opened:
        many = [
            opened.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30)) for _ in range(4)
        ]
        assert b"503" in _end_of(many[3])


def test_the_names_in_the_certificate_are_served_and_a_handshake_has_its_time(tmp_path):
    with run_env_service(tmp_path, "boxes.example", environment={"BOXWRIGHT_HEAD_TIMEOUT_S": "1"}) as service:
        for host, status in (("boxes.example", 200), ("Boxes.Example.:443", 200), ("other.example", 403)):
            asked = {"headers": {"Host": host}, "verify": str(service.authority), "timeout": 30}
            assert requests.get(service.url + DATASETS, **asked).status_code == status
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as silent:
            assert _end_of(silent) == b""
