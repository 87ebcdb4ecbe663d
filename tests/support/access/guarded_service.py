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

from boxwright.metadata.schema import operations
from boxwright.processes import NICENESS_VARIABLE

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy the service is told to use
LOCATION = "projects/demo/locations/us-central1"


WITHOUT_LIMIT = (  # unless a test says otherwise: most call more often than people do
    "quota_requests_per_minute",
    "quota_models_per_minute",
    "quota_failed_authentications_per_minute",
    "quota_tokens_per_minute",
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
    process: subprocess.Popen[bytes]
    command: list[str]
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> pathlib.Path:
        return self.folder / "data"

    def kill_and_restart(self) -> None:
        """Kills the service as a power cut would that lasts for longer than its leases; starts it on the same files."""
        self.process.kill()
        self.process.wait(PATIENCE_S)
        with self.registry.db.write() as connection:
            held = operations.update().where(operations.c.lease_owner.is_not(None))
            connection.execute(held.values(lease_expires_us=0))
        self.process = _start(self.folder, self.command, self.environment, self.url)

    @property
    def log(self) -> str:
        return (self.folder / "service.log").read_text()


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("BOXWRIGHT_")}
    return own | {NICENESS_VARIABLE: os.environ[NICENESS_VARIABLE]}  # the lowest priority would wait for other tests


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
    url = f"http://127.0.0.1:{port}"
    process, service = _start(folder, command, own, url), None
    try:
        with (
            httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as http,
            grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel,
        ):
            service = GuardedService(folder, port, grpc_port, registry, owner, http, channel, process, command, own)
            yield service
    finally:
        registry.close()
        process = process if service is None else service.process
        process.terminate()
        process.wait(PATIENCE_S)


def _start(folder: pathlib.Path, command: list[str], environment: dict[str, str], url: str) -> subprocess.Popen[bytes]:
    """Starts the service's process and waits until it is ready."""
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    try:
        wait_until(lambda: _is_ready(process, url, folder), f"the service to be ready; see {folder}/service.log")
    except BaseException:
        process.kill()
        raise
    return process


def _is_ready(process: subprocess.Popen[bytes], url: str, folder: pathlib.Path) -> bool:
    assert process.poll() is None, (folder / "service.log").read_text()
    try:
        with _DIRECT.open(url + "/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
