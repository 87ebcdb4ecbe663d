"""A service with ``--access required`` as a process, on plain HTTP and gRPC of the loopback interface."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import grpc
import httpx
from tests.support.access.credentials import Account, Registry
from tests.support.machine.ports import free_port
from tests.support.machine.waiting import PATIENCE_S, wait_until

LOCATION = "projects/demo/locations/us-central1"


WITHOUT_LIMIT = (  # unless a test says otherwise: most call more often than people do
    "quota_requests_per_minute",
    "quota_models_per_minute",
    "quota_failed_authentications_per_minute",
)


@dataclasses.dataclass
class GuardedService:
    """A running service.

    Attributes:
        folder: its data directory, buckets and log.
        registry: its accounts.
        owner: an account that owns the project ``demo``.
        http: calls it without credentials of its own.
        channel: the same by gRPC.
    """

    folder: pathlib.Path
    port: int
    grpc_port: int
    registry: Registry
    owner: Account
    http: httpx.Client
    channel: grpc.Channel

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> pathlib.Path:
        return self.folder / "data"

    @property
    def log(self) -> str:
        return (self.folder / "service.log").read_text()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}


@contextlib.contextmanager
def run_guarded_service(folder: pathlib.Path, *flags: str, **settings: str) -> Iterator[GuardedService]:
    """Runs a service until the end of the block; `settings` are variables without their prefix, in small letters."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "buckets").mkdir(exist_ok=True)
    registry = Registry(folder / "data" / "metadata.sqlite")
    owner = registry.account("owner")
    registry.grant(owner.member, "roles/owner", "projects/demo")
    port, grpc_port = free_port(), free_port()
    command = [sys.executable, "-m", "boxwright.cli", "serve", "--access", "required", *flags]
    command += ["--data-dir", str(folder / "data"), "--buckets", str(folder / "buckets")]
    command += ["--port", str(port), "--grpc-port", str(grpc_port)]
    settings = dict.fromkeys(WITHOUT_LIMIT, "0") | settings
    own = _environment() | {f"BOXWRIGHT_{name.upper()}": value for name, value in settings.items()}
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=own)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _is_ready(process, url, folder), f"the service to be ready; see {folder}/service.log")
        with (
            httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as http,
            grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel,
        ):
            yield GuardedService(folder, port, grpc_port, registry, owner, http, channel)
    finally:
        registry.close()
        process.terminate()
        process.wait(PATIENCE_S)


def _is_ready(process: subprocess.Popen[bytes], url: str, folder: pathlib.Path) -> bool:
    assert process.poll() is None, (folder / "service.log").read_text()
    try:
        with urllib.request.urlopen(url + "/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
