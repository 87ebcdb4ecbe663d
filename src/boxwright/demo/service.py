"""`boxwright serve` as a child process: start, wait until it is ready, stop."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

HOST = "127.0.0.1"
USUAL_PORT, USUAL_GRPC_PORT = 8470, 8471
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.1
SHOWN_LOG_LINES = 40


class ServiceError(Exception):
    """The service did not start or ended early; the message holds what it printed last."""


@dataclasses.dataclass(frozen=True)
class Service:
    """A running service.

    Attributes:
        log: the file with everything it prints.
    """

    process: subprocess.Popen[bytes]
    port: int
    grpc_port: int
    log: pathlib.Path

    @property
    def url(self) -> str:
        """Where REST answers."""
        return f"http://{HOST}:{self.port}"

    @property
    def grpc_target(self) -> str:
        """Where gRPC answers, as channels want it."""
        return f"{HOST}:{self.grpc_port}"

    def check_alive(self) -> None:
        """Raises ServiceError when the process has ended."""
        if self.process.poll() is not None:
            raise ServiceError(f"The service ended with status {self.process.returncode}:\n{_tail(self.log)}")

    def stop(self) -> None:
        """Asks it to end and waits; ends it hard when it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextlib.contextmanager
def running(out: pathlib.Path, buckets: pathlib.Path, train_minutes: float, keep: bool) -> Iterator[Service]:
    """A service on `out`/data, ready for calls; stopped at the end, or left running when `keep` and all went well."""
    service = start(out, buckets, train_minutes, keep)
    stays = False
    try:
        yield service
        stays = keep
    finally:
        if not stays:
            service.stop()


def start(out: pathlib.Path, buckets: pathlib.Path, train_minutes: float, keep: bool) -> Service:
    """Starts the service and waits until it is ready.

    Args:
        keep: use the usual ports if they are free, as it will be called by hand afterwards.
    """
    usual = keep and _is_free(USUAL_PORT) and _is_free(USUAL_GRPC_PORT)
    port, grpc_port = (USUAL_PORT, USUAL_GRPC_PORT) if usual else _free_ports()
    log = out / "service.log"
    command = [sys.executable, "-m", "boxwright.cli", "serve"]
    command += ["--data-dir", str(out / "data"), "--buckets", str(buckets)]
    command += ["--port", str(port), "--grpc-port", str(grpc_port)]
    command += ["--train-minutes-max", f"{train_minutes:g}"]
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches the demo, which then stops the service in order.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    service = Service(process, port, grpc_port, log)
    (out / "service.json").write_text(json.dumps({"pid": process.pid, "url": service.url}) + "\n")
    try:
        _wait_until_ready(service)
    except BaseException:
        service.stop()
        raise
    return service


def running_url(out: pathlib.Path) -> str | None:
    """Where a service that an earlier demo left on `out` still answers; None when there is none."""
    try:
        url = str(json.loads((out / "service.json").read_text())["url"])
    except (OSError, ValueError, KeyError):
        return None
    return url if _answers(url + "/healthz") else None


def _wait_until_ready(service: Service) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        service.check_alive()
        if _answers(service.url + "/readyz"):
            return
        time.sleep(POLL_S)
    raise ServiceError(f"The service was not ready after {START_TIMEOUT_S:.0f} s:\n{_tail(service.log)}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_ports() -> tuple[int, int]:
    """Two ports that nothing listens on; held together so that they differ."""
    with socket.socket() as one, socket.socket() as other:
        one.bind((HOST, 0))
        other.bind((HOST, 0))
        return one.getsockname()[1], other.getsockname()[1]


def _tail(log: pathlib.Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join("    " + line for line in lines[-SHOWN_LOG_LINES:]) or "    (it printed nothing)"
