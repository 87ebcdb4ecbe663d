"""The official Go client of 2020 authenticates by an account's key file, whose `token_uri` it asks, and by an API key."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest
from tests.compatibility.test_go_client import SOURCE, compiled
from tests.compatibility.test_go_client import go_client as go_client
from tests.support.access.started_service import administer, run_started_service
from tests.support.services.env_service import EnvService

pytestmark = [pytest.mark.go, pytest.mark.full]


@pytest.fixture(scope="module")
def program(go_client: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    return compiled(SOURCE.parent / "account" / "main.go", tmp_path_factory.mktemp("go"))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvService]:
    with run_started_service(tmp_path_factory.mktemp("started")) as service:
        yield service


@pytest.mark.parametrize("kind", ["file", "key"])
def test_the_go_client(started: EnvService, program: str, kind: str) -> None:
    key_file = started.folder / "client" / "account-no-universe.json"
    value = str(key_file) if kind == "file" else administer(started, "accounts", "api-key", "owner")
    target = f"localhost:{started.grpc_port}"
    done = started.run("env", f"SSL_CERT_FILE={started.authority}", program, target, kind, value, universe=False)
    assert (done.returncode, done.stdout.strip()) == (0, "worked with from_go"), done.stderr
    if kind == "file":
        log = "".join(path.read_text() for path in pathlib.Path(started.data_dir, "audit").glob("*.jsonl"))
        assert "boxwright.access.ExchangeToken" in log
