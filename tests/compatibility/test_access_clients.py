"""Unmodified clients authenticate as they always did: Google's libraries for Python and Node, gcloud, and curl."""

from __future__ import annotations

import json
import pathlib
import shutil
import sys
from collections.abc import Iterator

import pytest
from tests.compatibility.test_node_client import program as program
from tests.support.access.started_service import administer, run_started_service
from tests.support.clients import node_walk
from tests.support.services.env_service import EnvService

LOCATION = "projects/demo/locations/us-central1"

# creates, lists and deletes by `client`
_WORK = f"""
dataset = automl.Dataset(display_name="d", image_object_detection_dataset_metadata={{}})
created = client.create_dataset(parent="{LOCATION}", dataset=dataset).result()
assert created.name in [one.name for one in client.list_datasets(parent="{LOCATION}")]
client.delete_dataset(name=created.name).result()
print("worked as", type(client.transport._credentials).__module__)
"""
_SEEN = """
import google.auth.transport.requests as transport
asked = []
send = transport.Request.__call__
def note(self, url, *arguments, **named):
    asked.append(url)
    return send(self, url, *arguments, **named)
transport.Request.__call__ = note
"""
PYTHON = {
    "a1, gRPC, nothing named": "client = automl.AutoMlClient()",
    "a1, gRPC": "client = automl.AutoMlClient(client_options={'api_endpoint': GRPC})",
    "a1, REST": "client = automl.AutoMlClient(transport='rest', client_options={'api_endpoint': REST})",
    "a2, scopes": "client = automl.AutoMlClient(client_options={'api_endpoint': GRPC, 'scopes': [SCOPE]})",
    "b, token_uri": (
        "account = service_account.Credentials.from_service_account_file(FILE, scopes=[SCOPE])\n"
        "client = automl.AutoMlClient(transport='rest', credentials=Plain(account), client_options={'api_endpoint': REST})"
    ),
    "g, API key": "client = automl.AutoMlClient(client_options={'api_endpoint': GRPC, 'api_key': sys.argv[3]})",
    "g, API key, REST": (
        "client = automl.AutoMlClient(transport='rest', client_options={'api_endpoint': REST, 'api_key': sys.argv[3]})"
    ),
}
_BEGIN = """
import os, sys
from google.auth import credentials
from google.cloud import automl
from google.oauth2 import service_account
REST, GRPC, SCOPE = sys.argv[1], sys.argv[2], "https://www.googleapis.com/auth/cloud-platform"
FILE = os.environ["GOOGLE_APPLICATION_CREDENTIALS"]

class Plain(credentials.Credentials):
    # hides from the client that the account could sign tokens itself
    def __init__(self, account):
        super().__init__()
        self.account = account
    def refresh(self, request):
        self.account.refresh(request)
        self.token, self.expiry = self.account.token, self.account.expiry
        print("exchanged at", self.account._token_uri)
"""
USER = """
client = automl.AutoMlClient(client_options={'api_endpoint': GRPC})
print(len(list(client.list_datasets(parent="LOCATION"))), "datasets as", type(client.transport._credentials).__name__)
print(asked)
try:
    dataset = automl.Dataset(display_name="d", image_object_detection_dataset_metadata={})
    client.create_dataset(parent="LOCATION", dataset=dataset)
except Exception as error:
    print(type(error).__name__, error)
""".replace("LOCATION", LOCATION)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvService]:
    with run_started_service(tmp_path_factory.mktemp("started"), token_life_s="240") as service:
        yield service


@pytest.fixture(scope="module")
def api_key(started: EnvService) -> str:
    return administer(started, "accounts", "api-key", "owner")


@pytest.mark.parametrize("flow", PYTHON)
def test_the_python_client(started: EnvService, api_key: str, flow: str) -> None:
    code = _BEGIN + PYTHON[flow] + _WORK
    rest, grpc = started.url, f"localhost:{started.grpc_port}"
    done = started.run(sys.executable, "-c", code, rest, grpc, api_key, universe=flow.endswith("nothing named"))
    assert done.returncode == 0, done.stderr
    assert "worked as" in done.stdout
    if flow.startswith("b"):
        assert f"exchanged at {started.url}/token" in done.stdout


def _user_file(started: EnvService, folder: pathlib.Path, account: str) -> pathlib.Path:
    path = folder / "credentials.json"
    administer(started, "accounts", "user-file", account, "--out", str(path), "--token-url", f"{started.url}/token")
    return path


@pytest.fixture(scope="module")
def ada(started: EnvService) -> str:
    """A person who may look and do no more."""
    member = administer(started, "accounts", "create", "ada", "--project", "demo", "--email", "ada@example.org")
    administer(started, "iam", "grant", member, "roles/automl.viewer", "--on", "projects/demo")
    return member


def test_a_persons_file(started: EnvService, ada: str, tmp_path: pathlib.Path) -> None:
    path = _user_file(started, tmp_path, "ada")
    code = _SEEN + _BEGIN + USER
    arguments = [sys.executable, "-c", code, started.url, f"localhost:{started.grpc_port}"]
    for _ in range(2):  # the file is as good at the second start of a program
        done = started.run("env", f"GOOGLE_APPLICATION_CREDENTIALS={path}", *arguments, universe=False)
        assert done.returncode == 0, done.stderr
        assert "datasets as Credentials" in done.stdout
        assert f"['{started.url}/token']" in done.stdout
        assert "PermissionDenied 403 Permission 'automl.datasets.create' denied on resource" in done.stdout


RENEWAL = """
from datetime import timedelta
from google.auth import _helpers
client = automl.AutoMlClient(client_options={'api_endpoint': GRPC})
dataset = automl.Dataset(display_name="renewed", image_object_detection_dataset_metadata={})
created = client.create_dataset(parent="LOCATION", dataset=dataset).result()
config = automl.InputConfig(gcs_source=automl.GcsSource(input_uris=["gs://b/list.csv"]))
operation = client.import_data(name=created.name, input_config=config)
real, later = _helpers.utcnow, [0]
def utcnow():  # as result() polls, time passes for the client
    later[0] += 60
    return real() + timedelta(seconds=later[0])
_helpers.utcnow = utcnow
polls = 0
while len(asked) < 3 and polls < 50:
    assert not operation.done(), operation.exception()
    polls += 1
print(len(asked), "tokens")
""".replace("LOCATION", LOCATION)


def test_a_token_that_runs_out_while_a_client_waits_is_renewed_unseen(
    started: EnvService, tmp_path: pathlib.Path
) -> None:
    (started.bucket("b") / "list.csv").write_text("UNASSIGNED,gs://b/1.jpg\n")  # nobody works on it: --no-worker
    path = _user_file(started, tmp_path, "owner")
    arguments = [sys.executable, "-c", _SEEN + _BEGIN + RENEWAL, started.url, f"localhost:{started.grpc_port}"]
    done = started.run("env", f"GOOGLE_APPLICATION_CREDENTIALS={path}", *arguments, universe=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "3 tokens"


@pytest.mark.parametrize("is_rest", [False, True], ids=["grpc", "rest"])
def test_the_node_client(started: EnvService, program: list[str], is_rest: bool) -> None:
    node, script = program
    path = pathlib.Path(script).with_name(f"access-{is_rest}.js")
    path.write_text(node_walk.WITH_CREDENTIALS)
    options = {"apiEndpoint": "localhost", "port": started.port if is_rest else started.grpc_port, "fallback": is_rest}
    done = started.run(node, str(path), json.dumps(options), universe=False)
    assert (done.returncode, done.stdout.strip()) == (0, "worked"), done.stderr


def test_curl_with_a_token_of_the_command(started: EnvService) -> None:
    curl = shutil.which("curl") or pytest.skip("curl is not installed")
    token = administer(started, "accounts", "token", "owner")
    url = f"{started.url}/v1/{LOCATION}/datasets"
    command = [curl, "--silent", "--show-error", "--cacert", str(started.authority), "--write-out", "%{http_code}"]
    done = started.run(*command, "--header", f"Authorization: Bearer {token}", url)
    assert done.stdout.endswith("200"), done.stdout + done.stderr
    assert started.run(*command, url).stdout.endswith("401")


def test_the_commands_sign_with_the_account_of_the_environment(started: EnvService) -> None:
    command = [sys.executable, "-m", "boxwright.cli", "datasets"]
    shared = ["--url", started.url, "--project", "demo"]
    made = started.run(*command, "create", "by_command", *shared)
    assert made.returncode == 0, made.stderr
    assert "by_command" in started.run(*command, "list", *shared).stdout
    denied = started.run("env", "-u", "GOOGLE_APPLICATION_CREDENTIALS", *command, "list", *shared)
    assert (denied.returncode, "missing required authentication credential" in denied.stderr) == (2, True)
