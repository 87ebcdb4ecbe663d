"""Commands whose service, console or reader is not as it should be: TLS, certificates, restarts, pipes, Ctrl-C."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import os
import pathlib
import signal
import subprocess
import threading

import pytest
from tests.support.clients.api import open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.services.command_line import PROGRAM, CommandLine
from tests.support.services.tls_service import run_tls_service


@pytest.fixture(scope="module")
def tls_service(tmp_path_factory):
    with run_tls_service(tmp_path_factory.mktemp("tls")) as running:
        yield running


def _told(ended: subprocess.CompletedProcess[str]) -> str:
    """What a command said that could not be carried out: one line."""
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    (line,) = ended.stderr.splitlines()
    return line


def test_plain_http_to_a_tls_port_is_told(tls_service):
    url = tls_service.url.replace("https:", "http:")
    assert _told(CommandLine(url)("models", "list")) == (
        f"boxwright: What answers at {url} speaks TLS. Try https:// instead of http://."
    )


def test_tls_to_a_plain_port_is_told(service):
    url = service.url.replace("http:", "https:")
    assert _told(CommandLine(url)("models", "list")) == (
        f"boxwright: What answers at {url} speaks no TLS. Try http:// instead of https://."
    )


def test_the_port_of_grpc_is_told(service, tls_service):
    for url, port in ((service.url, service.grpc_port), (tls_service.url, tls_service.grpc_port)):
        there = f"{url.rpartition(':')[0]}:{port}"
        told = _told(CommandLine(there)("models", "list", BOXWRIGHT_CA=str(tls_service.folder / "cert.pem")))
        assert told.startswith(f"boxwright: What answers at {there} is the gRPC port. The commands use the REST port")


def test_a_certificate_is_trusted_by_its_authority_alone(tls_service, tmp_path: pathlib.Path):
    boxwright = CommandLine(tls_service.url)
    told = _told(boxwright("models", "list"))
    assert f"The certificate of {tls_service.url} is not trusted: self-signed certificate" in told.replace(
        "self signed", "self-signed"
    )
    assert "--ca" in told
    authority = str(tls_service.folder / "cert.pem")
    assert boxwright.done("models", "list", "--ca", authority, "--json") == "[]\n"
    assert boxwright.done("models", "list", "--json", BOXWRIGHT_CA=authority) == "[]\n"
    assert boxwright.done("models", "list", "--json", REQUESTS_CA_BUNDLE=authority) == "[]\n"
    elsewhere = CommandLine(f"https://127.0.0.2:{tls_service.port}")  # listens on 127.0.0.1 alone
    assert "Nothing answers at https://127.0.0.2:" in _told(elsewhere("models", "list", "--ca", authority))
    for content, reason in ((None, "No such file"), (b"no certificate", "no certificate in PEM")):
        path = tmp_path / "authority.pem"
        if content is not None:
            path.write_bytes(content)
        told = _told(boxwright("models", "list", "--ca", path))
        assert f"--ca: {path} cannot be used" in told
        assert reason in told


def test_another_program_at_the_address_is_no_boxwright(free_port):
    class Page(http.server.BaseHTTPRequestHandler):
        content, status = b"<html>", 200

        def do_GET(self) -> None:
            self.send_response(self.status)
            self.end_headers()
            self.wfile.write(self.content)

        def log_message(self, *arguments: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", free_port), Page) as other:
        serving = threading.Thread(target=other.serve_forever)
        serving.start()
        try:
            boxwright = CommandLine(f"http://127.0.0.1:{free_port}")
            for Page.content, Page.status in (
                (b"<html>", 200),
                (b"[]", 200),
                (b'{"error": "no"}', 404),
                (b"gone", 404),
            ):
                assert "is no Boxwright" in _told(boxwright("models", "list"))
            Page.content, Page.status = b"bad gateway", 502
            assert "says that the service is away (502)" in _told(boxwright("models", "list"))
        finally:
            other.shutdown()
            serving.join()


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(service):
    boxwright = CommandLine(service.url, project="nobody")
    assert (
        boxwright.done("models", "list", "--json", http_proxy="http://127.0.0.1:9", all_proxy="http://127.0.0.1:9")
        == "[]\n"
    )
    told = _told(CommandLine("http://boxwright.invalid")("models", "list", http_proxy="http://127.0.0.1:9"))
    assert "The proxy for http://boxwright.invalid cannot be used" in told


def test_the_token_is_sent_whatever_netrc_says(free_port, tmp_path: pathlib.Path):
    seen: list[str] = []

    class Asked(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: object) -> None: ...

    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    with http.server.ThreadingHTTPServer(("127.0.0.1", free_port), Asked) as other:
        serving = threading.Thread(target=other.serve_forever)
        serving.start()
        try:
            CommandLine(f"http://127.0.0.1:{free_port}").done("models", "list", "--json", NETRC=str(netrc))
        finally:
            other.shutdown()
            serving.join()
    assert seen == ["Bearer secret"]


def _start_batch(service, tiny_model: TinyModel, images: int = 4) -> str:
    bucket = service.bucket("b")
    names = drawn_images.write_images(bucket, images)
    csv_uri = drawn_images.write_csv(bucket, "list.csv", [f"gs://b/{name}" for name in names])
    with open_api(service) as api:
        return api.start_batch(tiny_model.install(service.data_dir), csv_uri, "gs://b/out/")


def test_who_waits_while_the_service_restarts_learns_of_the_end(service_factory, tiny_model: TinyModel):
    service = service_factory()
    name = _start_batch(service, tiny_model)
    service.kill()
    boxwright = CommandLine(service.url)
    waiting = boxwright.begin("operations", "wait", name.rpartition("/")[2])
    try:
        assert waiting.stderr.readline() == (
            f"Nothing answers at {service.url}. Is `boxwright serve` running? Another address: --url or BOXWRIGHT_URL. "
            "Trying again for up to 60 s.\n"
        )
        service_factory(port=service.port, grpc_port=service.grpc_port)
        out, error = waiting.communicate(timeout=240)
    finally:
        waiting.kill()
        waiting.wait()
    assert waiting.returncode == 0, error
    assert out.startswith("SUCCEEDED  4 of 4 images, 100%")


@dataclasses.dataclass
class _Terminal:
    """A terminal of one's own, in which a command writes."""

    leader: int
    follower: int

    @classmethod
    def open(cls) -> _Terminal:
        return cls(*os.openpty())

    def read_until(self, mark: bytes) -> bytes:
        """What is shown up to a mark, and somewhat more."""
        shown = b""
        while mark not in shown:
            shown += os.read(self.leader, 4096)
        return shown

    def read_to_end(self) -> bytes:
        """What is shown until the command ends."""
        os.close(self.follower)
        shown = b""
        with contextlib.suppress(OSError):  # Linux says so where the other end is closed
            while more := os.read(self.leader, 4096):
                shown += more
        os.close(self.leader)
        return shown


def test_ctrl_c_leaves_the_operation_alone_and_says_how_to_wait_again(service_factory, tiny_model: TinyModel, tmp_path):
    stuck = {"BOXWRIGHT_FAULTS": "sink.before_put:hang", "BOXWRIGHT_FAULTS_ONCE": str(tmp_path)}
    service = service_factory(environment=stuck)
    name = _start_batch(service, tiny_model)
    wait_until((tmp_path / "sink.before_put").exists, "the batch to be stuck", timeout_s=240)
    boxwright = CommandLine(service.url)
    terminal = _Terminal.open()
    with subprocess.Popen(
        [*PROGRAM, "operations", "wait", name],
        env=boxwright.environment(PYTHONUTF8="1"),
        stdin=terminal.follower,
        stdout=subprocess.DEVNULL,
        stderr=terminal.follower,
        # a test run in the background may ignore Ctrl-C, and its children would inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as waiting:
        shown = terminal.read_until(b"%")
        waiting.send_signal(signal.SIGINT)
        shown += terminal.read_to_end()
        assert waiting.wait(60) == 130
    assert f"It goes on. To wait again: boxwright operations wait {name}".encode() in shown
    assert "░".encode() in shown
    assert b"Traceback" not in shown
    listed = json.loads(boxwright.done("operations", "list", "--json"))
    assert not listed[0].get("done")
    assert boxwright("operations", "cancel", name).returncode == 0


@pytest.mark.parametrize("answer, status", [("y", 0), ("n", 1), ("", 1)])
def test_somebody_is_asked_before_a_dataset_is_deleted(service, answer, status):
    boxwright = CommandLine(service.url)
    created = boxwright.done("datasets", "create", "cmd_asked").strip()
    terminal = _Terminal.open()
    with subprocess.Popen(
        [*PROGRAM, "datasets", "delete", created],
        env=boxwright.environment(),
        stdin=terminal.follower,
        stdout=subprocess.DEVNULL,
        stderr=terminal.follower,
    ) as deleting:
        shown = terminal.read_until(b"[y/N] ")
        assert b"Delete the dataset cmd_asked (IOD" in shown
        os.write(terminal.leader, f"{answer}\n".encode())
        terminal.read_to_end()
        assert deleting.wait(60) == status
    assert boxwright("datasets", "describe", created).returncode == (2 if status == 0 else 0)


@pytest.mark.parametrize("read_bytes", [0, 1])
def test_a_reader_that_has_seen_enough_is_no_error(service, tiny_model: TinyModel, read_bytes):
    model_id = f"IOD745000000000000000{read_bytes}"
    tiny_model.install(service.data_dir, model_id, display_name="cmd_pipe")
    boxwright = CommandLine(service.url)
    reader, writer = os.pipe()
    with subprocess.Popen(  # more than a pipe holds
        [*PROGRAM, "models", "evaluate", model_id, "--json"],
        env=boxwright.environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
    ) as listing:
        os.close(writer)
        assert os.read(reader, read_bytes) == b"[" * read_bytes
        os.close(reader)
        error = listing.stderr.read()
        assert listing.wait(60) == 141
    assert error == b""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_names_are_printed_on_any_console(service, encoding):
    boxwright = CommandLine(service.url)
    created = boxwright.done("datasets", "create", "cmd_console", "--description", "Straße 東京").strip()
    listed = subprocess.run(
        [*PROGRAM, "datasets", "describe", created],
        env=boxwright.environment(PYTHONIOENCODING=encoding, PYTHONUTF8="0"),
        capture_output=True,
        check=True,
    )
    shown = {"ascii": b"Stra\\xdfe \\u6771", "latin-1": b"Stra\xdfe \\u6771", "utf-8": "Straße 東京".encode()}
    assert shown[encoding] in listed.stdout
    answer = subprocess.run(
        [*PROGRAM, "datasets", "describe", created, "--json"],
        env=boxwright.environment(PYTHONIOENCODING=encoding, PYTHONUTF8="0"),
        capture_output=True,
        check=True,
    )
    assert json.loads(answer.stdout.decode(encoding))["dataset"]["description"] == "Straße 東京"
    boxwright.done("datasets", "delete", created, "--yes")


def test_help_shows_every_command_in_a_group():
    shown = subprocess.run([*PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    for start in ("the service:", "work, by the REST API", "files:"):
        assert f"\n{start}" in shown
    for command in (
        "serve",
        "doctor",
        "datasets",
        "models",
        "batch",
        "predict",
        "operations",
        "results",
        "verify",
        "convert",
    ):
        (line,) = [line for line in shown.splitlines() if line.startswith(f"  {command} ")]
        assert len(line.split()) > 3
