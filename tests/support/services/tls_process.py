"""A service behind TLS as a process: started, waited for, stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence

from tests.support.machine.waiting import PATIENCE_S, wait_until

# A machine may preset some of these; tests of clients' environments do without.
PRESET = ("GOOGLE_", "GRPC_", "REQUESTS_CA", "SSL_CERT", "CURL_CA", "NODE_", "BOXWRIGHT_")


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that points clients somewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PRESET)}


@dataclasses.dataclass
class ServiceBehindTls:
    """A running service with TLS at both API servers.

    Attributes:
        folder: everything that it has, the folders of its state and buckets among it.
        port, grpc_port: where they listen.
    """

    folder: pathlib.Path
    port: int
    grpc_port: int

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def data_dir(self) -> pathlib.Path:
        return self.folder / "data"

    def bucket(self, name: str) -> pathlib.Path:
        """The folder behind ``gs://name``."""
        path = self.folder / "buckets" / name
        path.mkdir(parents=True, exist_ok=True)
        return path


@contextlib.contextmanager
def running(
    command: Sequence[str],
    url: str,
    authority: pathlib.Path,
    log: pathlib.Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Runs the command until the end of the block, which begins when the service is ready.

    Args:
        command: starts a service.
        url: where it answers.
        authority: the certificate that its own is signed by.
        log: gets its output.
        environment: its whole environment; None for this process's.
    """
    trust = ssl.create_default_context(cafile=str(authority))

    def is_ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url + "/readyz", timeout=5, context=trust) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment and dict(environment)
        )
    try:
        wait_until(is_ready, f"the service to be ready; see {log}", interval_s=0.05)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
