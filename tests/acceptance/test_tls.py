"""TLS at both API servers: certificates that are replaced under load, certificates of clients, old versions of TLS."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import itertools
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import grpc
import pytest
from cryptography import x509
from google.cloud.automl_v1 import types
from tests.support.machine.ports import free_port
from tests.support.machine.waiting import PATIENCE_S, promptly, wait_until
from tests.support.services import tls_process
from tests.support.services.authorities import Authority, Issued, replace
from tests.support.services.command_line import CommandLine

PARENT = "projects/demo/locations/us-central1"
LIST = "/google.cloud.automl.v1.AutoMl/ListDatasets"
SERVERS, CLIENTS, OTHERS = Authority("servers"), Authority("clients"), Authority("others")
CALLERS = 4  # of each kind at each API server
CALLS = 200  # between two changes


@dataclasses.dataclass
class TlsService:
    """A service behind TLS: ``server.pem``, ``server-key.pem``, and ``clients.pem`` if clients need certificates."""

    folder: pathlib.Path
    port: int
    grpc_port: int
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def look(self) -> None:
        """Tells the service to look at its files."""
        self.process.send_signal(signal.SIGHUP)

    def until_logged(self, event: str, count: int = 1) -> None:
        wait_until(lambda: self.log.count(f"event={event}") >= count, f"{count} times {event} in the log")


@pytest.fixture
def start(tmp_path: pathlib.Path) -> Iterator[Callable[..., TlsService]]:
    """Starts a service with a certificate of `SERVERS`; ``needs_clients``: clients need one of `CLIENTS`."""
    with contextlib.ExitStack() as stack:

        def begin(*, needs_clients: bool = False) -> TlsService:
            SERVERS.issue().write(tmp_path, "server")
            environment = tls_process.clean_environment()
            if needs_clients:
                replace(tmp_path / "clients.pem", CLIENTS.pem)
                environment["BOXWRIGHT_TLS_CLIENT_CA"] = str(tmp_path / "clients.pem")
            port, grpc_port = free_port(), free_port()
            command = [sys.executable, "-m", "boxwright.cli", "serve", "--data-dir", str(tmp_path / "data")]
            command += ["--buckets", str(tmp_path / "buckets"), "--port", str(port), "--grpc-port", str(grpc_port)]
            command += ["--tls-cert", str(tmp_path / "server.pem"), "--tls-key", str(tmp_path / "server-key.pem")]
            (tmp_path / "buckets").mkdir()
            with (tmp_path / "log").open("wb") as log:
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
            stack.callback(process.wait, PATIENCE_S)
            stack.callback(process.terminate)
            service = TlsService(tmp_path, port, grpc_port, process)
            wait_until(lambda: "Boxwright is ready" in service.log, f"the service to be ready: {service.log}")
            return service

        yield begin


def _context(client: Issued | None = None, folder: pathlib.Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=SERVERS.pem.decode())
    if client is not None:
        assert folder is not None
        client.write(folder, "client")
        context.load_cert_chain(folder / "client.pem", folder / "client-key.pem")
    return context


def _get(connection: http.client.HTTPSConnection, host: str = "localhost") -> int:
    connection.request("GET", f"/v1/{PARENT}/datasets", headers={"Host": host})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _rest(service: TlsService, context: ssl.SSLContext, host: str = "localhost") -> int:
    """The status of one call over a connection of its own."""
    connection = http.client.HTTPSConnection("localhost", service.port, timeout=PATIENCE_S, context=context)
    with contextlib.closing(connection):
        return _get(connection, host)


def _channel(service: TlsService, client: Issued | None = None) -> grpc.Channel:
    """A channel that shares its connection with no other."""
    pair = {} if client is None else {"private_key": client.key, "certificate_chain": client.chain}
    credentials = grpc.ssl_channel_credentials(SERVERS.pem, **pair)
    options = [("grpc.use_local_subchannel_pool", 1)]
    return grpc.secure_channel(f"localhost:{service.grpc_port}", credentials, options)


def _list(channel: grpc.Channel) -> None:
    request = types.ListDatasetsRequest.serialize({"parent": PARENT})
    channel.unary_unary(LIST)(request, timeout=PATIENCE_S)


def _rpc(service: TlsService, client: Issued | None = None) -> None:
    with _channel(service, client) as channel:
        _list(channel)


def _serial(port: int, context: ssl.SSLContext) -> int:
    """The serial number of the certificate that an API server shows to a new client."""
    with (
        socket.create_connection(("localhost", port), timeout=PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def _h2(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["h2"])
    return context


def _serials(service: TlsService) -> set[int]:
    return {_serial(service.port, _context()), _serial(service.grpc_port, _h2(_context()))}


class Load:
    """Callers who never pause, at both API servers, over connections that stay and over one connection a call."""

    def __init__(self, service: TlsService) -> None:
        self._service = service
        self._over = threading.Event()
        self._answered = threading.Semaphore(0)
        self.failures: list[BaseException] = []
        self.counts = [itertools.count() for _ in range(4)]
        self.context = _context()
        kinds = (self._rest_new, self._rest_kept, self._rpc_new, self._rpc_kept)
        self._threads = [
            threading.Thread(target=self._repeat, args=(kind, count))
            for kind, count in zip(kinds, self.counts, strict=True)
            for _ in range(CALLERS)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def go_on(self) -> None:
        """Waits for some more calls."""
        for _ in range(CALLS):
            assert self._answered.acquire(timeout=PATIENCE_S)

    def _repeat(self, kind: Callable[[], Iterator[None]], count: Iterator[int]) -> None:
        try:
            for _ in kind():
                next(count)
                self._answered.release()
                if self._over.is_set():
                    return
        except BaseException as error:
            self.failures.append(error)
            self._answered.release(10**6)

    def _rest_new(self) -> Iterator[None]:
        while True:
            assert _rest(self._service, self.context) == http.client.OK
            yield

    def _rest_kept(self) -> Iterator[None]:
        connection = http.client.HTTPSConnection(
            "localhost", self._service.port, timeout=PATIENCE_S, context=self.context
        )
        with contextlib.closing(connection):
            connection.connect()
            kept = connection.sock
            while True:
                assert _get(connection) == http.client.OK
                assert connection.sock is kept
                yield

    def _rpc_new(self) -> Iterator[None]:
        while True:
            _rpc(self._service)
            yield

    def _rpc_kept(self) -> Iterator[None]:
        with _channel(self._service) as channel:
            while True:
                _list(channel)
                yield


def test_a_certificate_is_replaced_under_load_without_a_failed_call(start):
    service = start()
    former = _serials(service)
    assert len(former) == 1
    with Load(service) as load:
        for number in range(1, 4):
            issued = SERVERS.issue()
            load.go_on()
            replace(service.folder / "server.pem", issued.chain)
            service.look()  # the key is still that of the former certificate
            service.until_logged("certificate_refused", number)
            load.go_on()
            assert _serials(service) == former
            replace(service.folder / "server-key.pem", issued.key)
            service.look()
            service.until_logged("certificate_reloaded", number)
            assert _serials(service) == {issued.serial}
            load.go_on()
            former = {issued.serial}
    assert not load.failures
    assert all(next(count) > CALLERS for count in load.counts)


@pytest.mark.full
def test_a_new_certificate_is_served_within_35_seconds_of_itself(start):
    service = start()
    issued = SERVERS.issue()
    with Load(service) as load:
        load.go_on()
        issued.write(service.folder, "server")
        with promptly(35):
            wait_until(lambda: _serials(service) == {issued.serial}, "the new certificate", interval_s=0.5)
    assert not load.failures


def test_the_hosts_of_the_new_certificate_are_served_and_those_of_the_former_no_longer(start):
    service = start()
    context = _context()
    assert _rest(service, context, "boxes.example.net") == http.client.FORBIDDEN
    for number, host in enumerate(("boxes.example.net", "other.example.net"), 1):
        SERVERS.issue(["localhost", host]).write(service.folder, "server")
        service.look()
        service.until_logged("certificate_reloaded", number)
        assert wait_until(lambda host=host: _rest(service, context, host) == http.client.OK, f"{host} to be served")
    assert _rest(service, context, "boxes.example.net") == http.client.FORBIDDEN


@pytest.mark.parametrize("content", [b"", b"no certificate"], ids=["empty", "garbage"])
def test_a_file_that_cannot_be_used_is_logged_and_the_former_certificate_stays(content: bytes, start):
    service = start()
    former = _serials(service)
    for name in ("server.pem", "server-key.pem"):
        (service.folder / name).write_bytes(content)
    service.look()
    service.until_logged("certificate_refused")
    assert re.search(r"event=certificate_refused reason=.*server\.pem.* cannot be used", service.log)
    assert _serials(service) == former
    _rpc(service)
    service.look()
    service.until_logged("certificate_refused", 2)
    assert service.process.poll() is None


def _refused(service: TlsService, client: Issued | None, folder: pathlib.Path) -> None:
    """Neither API server answers this client."""
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        _rest(service, _context(client, folder))
    with pytest.raises(grpc.RpcError) as refused:
        _rpc(service, client)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def _admitted(service: TlsService, client: Issued, folder: pathlib.Path) -> None:
    assert _rest(service, _context(client, folder)) == http.client.OK
    _rpc(service, client)


def _healthy(service: TlsService, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSession:
    """Asks for the health page, resuming a session if there is one; returns the session."""
    with (
        socket.create_connection(("localhost", service.port), timeout=PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
    ):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if not connection.recv(1000).startswith(b"HTTP/1.1 200"):
            raise ConnectionResetError
        return connection.session


def test_clients_need_a_certificate_of_the_authority_where_one_is_set(start, tmp_path: pathlib.Path):
    service = start(needs_clients=True)
    known, unknown = CLIENTS.issue(["client"]), OTHERS.issue(["client"])
    for _ in range(2):
        _refused(service, None, tmp_path)
        _refused(service, unknown, tmp_path)
        _admitted(service, known, tmp_path)
        (service.folder / "clients.pem").write_bytes(b"no authority")
        service.look()
        service.until_logged("certificate_refused")  # and nothing else changes
    assert "Traceback" not in service.log


def test_an_authority_that_is_taken_away_admits_nobody_any_more(start, tmp_path: pathlib.Path):
    service = start(needs_clients=True)
    former, later = CLIENTS.issue(["client"]), OTHERS.issue(["client"])
    context = _context(former, tmp_path)
    session = _healthy(service, context)
    replace(service.folder / "clients.pem", CLIENTS.pem + OTHERS.pem)
    service.look()
    service.until_logged("certificate_reloaded", 1)
    _admitted(service, former, tmp_path)
    _admitted(service, later, tmp_path)
    replace(service.folder / "clients.pem", OTHERS.pem)
    service.look()
    service.until_logged("certificate_reloaded", 2)
    _refused(service, former, tmp_path)
    _admitted(service, later, tmp_path)
    with pytest.raises((ssl.SSLError, ConnectionError)):  # a session from before is no way in either
        _healthy(service, context, session)


def _speaks(version: ssl.TLSVersion, folder: pathlib.Path) -> ssl.SSLContext:
    """A client's context that speaks this version alone, tried with a server of that version."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
    client = _h2(_context())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the old version's name
        for context in (server, client):
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = version
            context.maximum_version = version
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(back, there, server_hostname="localhost"),
        server.wrap_bio(there, back, server_side=True),
    ]
    for end in ends * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    assert {end.version() for end in ends} == {f"TLSv1.{version.value - ssl.TLSVersion.TLSv1_1.value + 1}"}
    return client


def test_tls_1_1_is_refused_and_later_versions_are_not(start):
    service = start()
    (serial,) = _serials(service)
    for port in (service.port, service.grpc_port):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            _serial(port, _speaks(ssl.TLSVersion.TLSv1_1, service.folder))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            assert _serial(port, _speaks(version, service.folder)) == serial


def test_commands_show_a_certificate_where_the_service_demands_one(
    start: Callable[..., TlsService], tmp_path: pathlib.Path
) -> None:
    service = start(needs_clients=True)
    replace(tmp_path / "ca.pem", SERVERS.pem)
    CLIENTS.issue().write(tmp_path, "client")
    OTHERS.issue().write(tmp_path, "other")
    both = tmp_path / "both.pem"
    both.write_bytes((tmp_path / "client-key.pem").read_bytes() + (tmp_path / "client.pem").read_bytes())
    boxwright = CommandLine(f"https://localhost:{service.port}")
    ask = ("datasets", "list", "--json", "--ca", tmp_path / "ca.pem")
    shown = ("--client-cert", tmp_path / "client.pem", "--client-key", tmp_path / "client-key.pem")
    assert boxwright.done(*ask, *shown) == "[]\n"
    assert boxwright.done(*ask, BOXWRIGHT_CLIENT_CERT=str(both)) == "[]\n"
    variables = {"BOXWRIGHT_CLIENT_CERT": str(shown[1]), "BOXWRIGHT_CLIENT_KEY": str(shown[3])}
    assert boxwright.done("operations", "list", "--json", "--ca", tmp_path / "ca.pem", **variables) == "[]\n"

    def told(*arguments: str | pathlib.Path) -> str:
        ended = boxwright(*ask, *arguments)
        assert ended.returncode == 2 and "Traceback" not in ended.stderr, ended.stderr
        return " ".join(ended.stderr.split())

    assert "demands a client certificate. Name one with --client-cert" in told()
    others = ("--client-cert", tmp_path / "other.pem", "--client-key", tmp_path / "other-key.pem")
    assert "does not take the client certificate" in told(*others)
