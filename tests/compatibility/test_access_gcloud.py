"""The gcloud command line with accounts: its tokens, the founding page's curl line, policies, and speaking for others."""

from __future__ import annotations

import json
import pathlib
import shlex
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from tests.compatibility.test_founding_page import REQUEST
from tests.support.access.credentials import Registry
from tests.support.access.issuer import AUDIENCE, Issuer
from tests.support.access.started_service import administer, run_started_service
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions import tiny_model
from tests.support.services.env_service import EnvService

pytestmark = pytest.mark.gcloud

PROJECT_ID, MODEL_ID = "demo", tiny_model.MODEL_ID
# the founding page's line, but for the host; gcloud gives the token
CURL = """curl -X POST \\
    -H "Authorization: Bearer $(gcloud auth print-access-token)" \\
    -H "x-goog-user-project: project-id" \\
    -H "Content-Type: application/json; charset=utf-8" \\
    -d @request.json \\
    "https://automl.googleapis.com/v1/projects/project-id/locations/us-central1/models/model-id:batchPredict"
"""
GET = """curl -X GET \\
    -H "Authorization: Bearer $(gcloud auth print-access-token)" \\
    -H "x-goog-user-project: project-id" \\
    "https://automl.googleapis.com/v1/OPERATION"
"""


class Gcloud:
    """Gcloud with a configuration of its own, pointed at the service.

    Args:
        service: where it is pointed.
        folder: for its configuration.
    """

    def __init__(self, service: EnvService, folder: pathlib.Path) -> None:
        self.service = service
        self.folder = folder
        self.path = shutil.which("gcloud") or pytest.skip("gcloud is not installed")
        self.environment = {
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": str(service.authority),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER": f"{service.url}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": f"{service.url}/",
        }

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs gcloud with these words."""
        variables = [f"{name}={value}" for name, value in (self.environment | more).items()]
        return self.service.run("env", *variables, self.path, *words, universe=False)

    def prints(self, *words: str, **more: str) -> str:
        """What gcloud prints, which must succeed."""
        done = self.run(*words, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def shell(self, line: str) -> dict[str, object]:
        """Runs a line of the founding page in a shell, for this service; returns the JSON that it prints."""
        line = line.replace("https://automl.googleapis.com", self.service.url)
        line = line.replace("project-id", PROJECT_ID).replace("model-id", MODEL_ID)
        variables = {**self.environment, "CURL_CA_BUNDLE": str(self.service.authority)}
        named = [f"{name}={value}" for name, value in variables.items()]
        script = f"cd {shlex.quote(str(self.folder))} && {line}"
        done = self.service.run("env", *named, "bash", "-c", script, universe=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, tiny_model: tiny_model.TinyModel) -> Iterator[EnvService]:
    if shutil.which("gcloud") is None or shutil.which("curl") is None:
        pytest.skip("gcloud or curl is not installed")
    with run_started_service(tmp_path_factory.mktemp("gcloud"), works=True) as service:
        tiny_model.install(service.data_dir)
        bucket = service.bucket("b")
        rows = [f"gs://b/images/{name}" for name in drawn_images.write_images(bucket / "images", 3)]
        drawn_images.write_csv(bucket, "list.csv", rows)
        yield service


@pytest.fixture(scope="module")
def gcloud(started: EnvService, tmp_path_factory: pytest.TempPathFactory) -> Gcloud:
    """Signed in with the key file of the first account."""
    found = Gcloud(started, tmp_path_factory.mktemp("config"))
    key_file = started.folder / "client" / "account-no-universe.json"
    found.prints("auth", "activate-service-account", "--key-file", str(key_file))
    return found


def test_the_founding_pages_curl_line_with_a_token_of_gcloud(started: EnvService, gcloud: Gcloud) -> None:
    body = REQUEST.replace("INPUT_STORAGE_PATH", "gs://b/list.csv").replace("OUTPUT_STORAGE_BUCKET", "gs://b/out/")
    (gcloud.folder / "request.json").write_text(body)
    begun = gcloud.shell(CURL)
    line = GET.replace("OPERATION", str(begun["name"]))
    ended = wait_until(lambda: seen if (seen := gcloud.shell(line)).get("done") else None, "the operation's end")
    assert "error" not in ended
    (folder,) = (started.bucket("b") / "out").glob("prediction-*")
    assert len((folder / "image_object_detection_1.jsonl").read_text().splitlines()) == 3


@pytest.mark.full
def test_gcloud_changes_the_policy_of_a_project(started: EnvService, gcloud: Gcloud) -> None:
    binding = ["--member=user:eve@example.org", "--role=roles/automl.viewer"]
    gcloud.prints("projects", "add-iam-policy-binding", "demo", *binding)
    line = "projects/demo  roles/automl.viewer  user:eve@example.org"
    assert line in administer(started, "iam", "show", "projects/demo")
    assert "user:eve@example.org" in gcloud.prints("projects", "get-iam-policy", "demo", "--format=json")
    gcloud.prints("projects", "remove-iam-policy-binding", "demo", *binding)
    assert line not in administer(started, "iam", "show", "projects/demo")


@pytest.mark.full
def test_gcloud_speaks_for_an_account(started: EnvService, gcloud: Gcloud) -> None:
    registry = Registry(started.data_dir / "metadata.sqlite")
    target = registry.account("target")
    words = ["auth", "print-access-token", f"--impersonate-service-account={target.email}"]
    denied = gcloud.run(*words)
    assert denied.returncode == 1
    assert "iam.serviceAccounts.getAccessToken" in denied.stderr
    member, role = "serviceAccount:owner@demo.boxwright.localhost", "roles/iam.serviceAccountTokenCreator"
    registry.grant(member, role, f"projects/demo/serviceAccounts/{target.email}")
    registry.close()
    token = gcloud.prints(*words)
    form = ["--data-urlencode", f"token={token}", f"{started.url}/introspect"]
    told = started.run("curl", "--silent", "--cacert", str(started.authority), *form)
    assert json.loads(told.stdout)["username"] == target.email


@pytest.mark.full
def test_gcloud_with_a_token_of_a_provider(started: EnvService, tmp_path: pathlib.Path) -> None:
    issuer = Issuer()
    (tmp_path / "keys.json").write_text(json.dumps(issuer.jwks))
    (tmp_path / "token").write_text(issuer.token())
    about = ["--issuer", issuer.url, "--audience", AUDIENCE, "--jwks", str(tmp_path / "keys.json")]
    administer(started, "access", "providers", "create", "office", *about)
    source = ["--token-file", str(tmp_path / "token"), "--url", started.url]
    path = tmp_path / "credentials.json"
    administer(started, "access", "providers", "credentials", "office", *source, "--out", str(path))
    other = Gcloud(started, tmp_path)
    signed_in = other.run("auth", "login", f"--cred-file={path}")
    assert signed_in.returncode == 0, signed_in.stderr
    member = "//boxwright/providers/office/subject/ada"
    assert member in other.prints("auth", "list", "--format=value(account)")
    assert other.prints("auth", "print-access-token").startswith("bxw_")
