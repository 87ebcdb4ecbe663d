"""Flows through POST /token and generateAccessToken: Google's libraries for Python and Node with files of our commands."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.compatibility.test_node_client import program as program
from tests.support.access.credentials import Registry
from tests.support.access.issuer import AUDIENCE, Issuer
from tests.support.access.started_service import administer, run_started_service
from tests.support.clients import node_walk
from tests.support.services.env_service import EnvService

VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
CREATOR = "roles/iam.serviceAccountTokenCreator"
PARENT = "projects/demo/locations/us-central1"
MEMBER = "principal://boxwright/providers/office/subject/ada"
BEGIN = f"""
import os, socket, sys
import google.auth.transport.requests as transport
from google.cloud import automl
REST, GRPC = sys.argv[1], sys.argv[2]
asked = []
send = transport.Request.__call__
def note(self, url, *arguments, **named):
    asked.append(url)
    return send(self, url, *arguments, **named)
transport.Request.__call__ = note
def work(client):
    dataset = automl.Dataset(display_name="d", image_object_detection_dataset_metadata={{}})
    created = client.create_dataset(parent="{PARENT}", dataset=dataset).result()
    assert created.name in [one.name for one in client.list_datasets(parent="{PARENT}")]
    client.delete_dataset(name=created.name).result()
    print("worked as", type(client.transport._credentials).__module__)
    print(*asked)
"""
BY_GRPC = BEGIN + "work(automl.AutoMlClient(client_options={'api_endpoint': GRPC}))"
BY_REST = BEGIN + "work(automl.AutoMlClient(transport='rest', client_options={'api_endpoint': REST}))"
# names below localhost lead to this machine, as name servers say and not every resolver
BY_UNIVERSE = (
    BEGIN
    + """
look_up = socket.getaddrinfo
def getaddrinfo(host, *arguments, **named):
    return look_up("127.0.0.1" if str(host).endswith(".localhost") else host, *arguments, **named)
socket.getaddrinfo = getaddrinfo
work(automl.AutoMlClient(transport="rest", client_options={"universe_domain": REST.removeprefix("https://")}))
"""
)
IN_CODE = (
    BEGIN
    + """
import google.auth
from google.auth import impersonated_credentials
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
source, _ = google.auth.default(scopes=[SCOPE])
account = impersonated_credentials.Credentials(source, sys.argv[3], [SCOPE], iam_endpoint_override=(
    f"{REST}/v1/projects/-/serviceAccounts/{sys.argv[3]}:generateAccessToken"))
work(automl.AutoMlClient(credentials=account, client_options={"api_endpoint": GRPC}))
"""
)
LONGER = pytest.mark.full  # it has a sister that is run always


@dataclasses.dataclass
class Flows:
    """A service that knows a provider, and an account for which the provider's subject may speak.

    Attributes:
        folder: of credentials files.
        account: the address of the account.
        registry: the service's database.
    """

    service: EnvService
    issuer: Issuer
    folder: pathlib.Path
    account: str
    registry: Registry

    def write(self, name: str, *words: str) -> pathlib.Path:
        """A credentials file, by a command."""
        path = self.folder / name
        if not path.exists():
            administer(self.service, *words, "--out", str(path))
        return path

    def run(
        self, credentials: pathlib.Path | None, *command: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program with these credentials in the printed environment."""
        variables = environment if credentials is None else {VARIABLE: str(credentials), **environment}
        named = [f"{name}={value}" for name, value in variables.items()]
        return self.service.run("env", "-u", VARIABLE, *named, *command, universe=False)

    def python(self, code: str, credentials: pathlib.Path, **environment: str) -> str:
        """Runs Python code that must succeed; returns what it prints."""
        grpc = f"localhost:{self.service.grpc_port}"
        done = self.run(credentials, sys.executable, "-c", code, self.service.url, grpc, self.account, **environment)
        assert done.returncode == 0, done.stderr
        assert "worked as" in done.stdout
        return done.stdout

    def by_file(self) -> pathlib.Path:
        return self.write("file.json", *self._provider("--token-file", str(self.folder / "token")))

    def as_account(self) -> pathlib.Path:
        source = ("--token-file", str(self.folder / "token"), "--account", "target")
        return self.write("account.json", *self._provider(*source))

    def _provider(self, *words: str) -> list[str]:
        return ["access", "providers", "credentials", "office", "--url", self.service.url, *words]


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flows]:
    folder, issuer = tmp_path_factory.mktemp("flows"), Issuer()
    (folder / "keys.json").write_text(json.dumps(issuer.jwks))
    (folder / "token").write_text(issuer.token())
    (folder / "token.json").write_text(json.dumps({"id_token": issuer.token()}))
    with run_started_service(folder) as service:
        about = ["--issuer", issuer.url, "--audience", AUDIENCE, "--jwks", str(folder / "keys.json")]
        administer(service, "access", "providers", "create", "office", *about)
        registry = Registry(service.data_dir / "metadata.sqlite")
        target = registry.account("target")
        for member in (MEMBER, target.member):
            registry.grant(member, "roles/automl.editor", "projects/demo")
        resource = f"projects/demo/serviceAccounts/{target.email}"
        for member in (MEMBER, "serviceAccount:owner@demo.boxwright.localhost"):
            registry.grant(member, CREATOR, resource)
        yield Flows(service, issuer, folder, target.email, registry)
        registry.close()


@pytest.mark.parametrize("code", [BY_GRPC, pytest.param(BY_REST, marks=LONGER)], ids=["grpc", "rest"])
def test_an_external_account_by_file(flows: Flows, code: str) -> None:
    printed = flows.python(code, flows.by_file())
    assert f"{flows.service.url}/token" in printed
    assert "google.auth.identity_pool" in printed


@LONGER
def test_an_external_account_by_a_file_with_json(flows: Flows) -> None:
    source = ["--token-file", str(flows.folder / "token.json"), "--token-field", "id_token"]
    words = ["access", "providers", "credentials", "office", "--url", flows.service.url]
    assert "google.auth.identity_pool" in flows.python(BY_GRPC, flows.write("json-file.json", *words, *source))


def test_an_external_account_by_executable(flows: Flows) -> None:
    script = flows.folder / "print_token.py"
    script.write_text(
        f"import json\ntoken = open({str(flows.folder / 'token')!r}).read()\n"
        "print(json.dumps({'version': 1, 'success': True, 'token_type': 'urn:ietf:params:oauth:token-type:jwt', "
        "'id_token': token}))\n"
    )
    words = ["access", "providers", "credentials", "office", "--url", flows.service.url]
    path = flows.write("executable.json", *words, "--executable", shlex.join([sys.executable, str(script)]))
    printed = flows.python(BY_GRPC, path, GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES="1")
    assert "google.auth.pluggable" in printed


def test_an_external_account_speaks_for_an_account(flows: Flows) -> None:
    printed = flows.python(BY_GRPC, flows.as_account())
    url = f"{flows.service.url}/v1/projects/-/serviceAccounts/{flows.account}:generateAccessToken"
    assert f"{flows.service.url}/token {url}" in printed


@LONGER
def test_an_impersonated_service_account_of_a_key_file_and_of_a_persons(flows: Flows) -> None:
    person = flows.write("person.json", "accounts", "user-file", "owner", "--token-url", f"{flows.service.url}/token")
    key = flows.service.folder / "client" / "account-no-universe.json"
    for source, name in ((person, "by-person.json"), (key, "by-key.json")):
        words = ["accounts", "impersonation-file", "target", "--source", str(source), "--url", flows.service.url]
        printed = flows.python(BY_UNIVERSE, flows.write(name, *words))
        assert "google.auth.impersonated_credentials" in printed
        assert f"https://iamcredentials.localhost:{flows.service.port}/v1/projects/-/serviceAccounts/" in printed


def test_code_speaks_for_an_account(flows: Flows) -> None:
    key = flows.service.folder / "client" / "account-no-universe.json"
    assert "google.auth.impersonated_credentials" in flows.python(IN_CODE, key)


def test_who_may_speak_for_nobody_is_told_so(flows: Flows) -> None:
    path, resource = flows.as_account(), f"projects/demo/serviceAccounts/{flows.account}"
    flows.registry.revoke(MEMBER, CREATOR, resource)
    try:
        grpc = f"localhost:{flows.service.grpc_port}"
        done = flows.run(path, sys.executable, "-c", BY_GRPC, flows.service.url, grpc)
    finally:
        flows.registry.grant(MEMBER, CREATOR, resource)
    assert done.returncode == 1
    assert "PERMISSION_DENIED" in done.stderr
    assert "iam.serviceAccounts.getAccessToken" in done.stderr


def test_the_official_client_revokes_a_persons_sign_in(flows: Flows) -> None:
    path = flows.write("revoked.json", "accounts", "user-file", "owner", "--token-url", f"{flows.service.url}/token")
    code = """
import google.auth, google.auth.transport.requests
credentials, _ = google.auth.default()
again, _ = google.auth.default()
request = google.auth.transport.requests.Request()
credentials.refresh(request)
credentials.revoke(request)
try:
    again.refresh(request)
except google.auth.exceptions.GoogleAuthError as error:
    print("ended:", error)
"""
    done = flows.run(path, sys.executable, "-c", code)
    assert "ended: ('Error code invalid_grant" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("flow", "is_rest"),
    [
        pytest.param("c2", False, marks=LONGER, id="c2-grpc"),
        pytest.param("c2", True, id="c2-rest"),
        pytest.param("e", False, id="e-grpc"),
        pytest.param("e", True, marks=LONGER, id="e-rest"),
        pytest.param("e as an account", False, marks=LONGER, id="account-grpc"),
        pytest.param("e as an account", True, marks=LONGER, id="account-rest"),
    ],
)
def test_the_node_client(flows: Flows, program: list[str], flow: str, is_rest: bool) -> None:
    node, script = program
    path = pathlib.Path(script).with_name("flows.js")
    path.write_text(node_walk.WITH_CREDENTIALS)
    service = flows.service
    person = ["accounts", "user-file", "owner", "--token-url", f"{service.url}/token"]
    credentials = {
        "c2": lambda: flows.write("node-person.json", *person),
        "e": flows.by_file,
        "e as an account": flows.as_account,
    }[flow]()
    options = {"apiEndpoint": "localhost", "port": service.port if is_rest else service.grpc_port, "fallback": is_rest}
    done = flows.run(credentials, node, str(path), json.dumps(options))
    assert (done.returncode, done.stdout.strip()) == (0, "worked"), done.stderr


def test_the_node_client_with_an_api_key(flows: Flows, program: list[str]) -> None:
    node, script = program
    path = pathlib.Path(script).with_name("flows.js")
    path.write_text(node_walk.WITH_CREDENTIALS)
    options = {
        "apiEndpoint": "localhost",
        "port": flows.service.port,
        "fallback": True,
        "apiKey": administer(flows.service, "accounts", "api-key", "owner"),
    }
    done = flows.run(None, node, str(path), json.dumps(options))
    assert (done.returncode, done.stdout.strip()) == (0, "worked"), done.stderr
