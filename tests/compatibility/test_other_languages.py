"""Programs in Java, Ruby, PHP and C#, and PowerShell's requests, walk from a dataset to a cancelled training.

Google's clients for these languages cannot be installed from PyPI, npm or Debian; these programs stand in their place. They
make the same calls, with messages and stubs from Google's own `.proto` files where Debian has protobuf and gRPC for the
language. BOXWRIGHT_TEST_APT=1 lets the tests install the packages (as root, some 200 MB); without them they are skipped, and
left out where a skip is a failure.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.compatibility.test_node_client import program as program
from tests.support.access.started_service import administer, run_started_service
from tests.support.clients import languages
from tests.support.images import drawn_images
from tests.support.machine import apt, installing
from tests.support.machine.waiting import PATIENCE_S
from tests.support.services.env_service import NOTHING, EnvService

PARENT = "projects/demo/locations/us-central1"
STEPS = [
    "create", "import", "get", "list", "update", "train", "operation", "cancel", "delete_operation", "delete", "refused",
]  # fmt: skip
WALKS = [
    pytest.param(language, door, marks=[pytest.mark.full, pytest.mark.debian(*languages.PACKAGES[language])])
    for language, doors in {"java": "grpc rest", "ruby": "grpc rest", "php": "rest", "csharp": "rest"}.items()
    for door in doors.split()
]


@pytest.fixture(scope="module")
def programs(program: list[str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Gives the program of a language, made ready once."""
    ready: dict[str, languages.Program] = {}

    def of(language: str) -> languages.Program:
        packages = languages.PACKAGES[language]
        if apt.may_install():
            with installing.alone():
                if absent := apt.missing(*packages):
                    assert not (trouble := apt.install(*absent)), trouble
        if absent := apt.missing(*packages):
            pytest.skip(f"Debian's {', '.join(absent)} are not installed; BOXWRIGHT_TEST_APT=1 installs them")
        if language not in ready:
            node_modules = pathlib.Path(program[1]).parent / "node_modules"
            ready[language] = languages.made_ready(language, node_modules, tmp_path_factory.mktemp(language))
        return ready[language]

    return of


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvService]:
    """A service with TLS that requires accounts, and works."""
    with run_started_service(tmp_path_factory.mktemp("guarded"), works=True) as service:
        yield service


def _walked(walk: languages.Program, settings: Mapping[str, str] = NOTHING, **given: str) -> None:
    done = walk.run(PATIENCE_S, settings, parent=PARENT, **given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.removeprefix("passed ") for line in done.stdout.splitlines()] == STEPS, done.stderr


@pytest.mark.parametrize("language, door", WALKS)
def test_a_walk_without_tls(service: Any, programs: Any, language: str, door: str) -> None:
    csv = drawn_images.write_label_dataset(service.bucket(f"walk-{language}-{door}"), 24)
    endpoint = f"localhost:{service.grpc_port}" if door == "grpc" else f"http://localhost:{service.port}"
    _walked(programs(language), door=door, endpoint=endpoint, csv=csv, token="anything")


@pytest.mark.parametrize("language, door", WALKS)
def test_a_walk_of_an_account_with_tls(
    guarded: EnvService, programs: Any, tmp_path: pathlib.Path, language: str, door: str
) -> None:
    csv = drawn_images.write_label_dataset(guarded.bucket("b"), 24)
    endpoint = f"localhost:{guarded.grpc_port}" if door == "grpc" else guarded.url
    walk, authority = programs(language), guarded.authority
    settings = languages.mono_trust(tmp_path, authority) if language == "csharp" else NOTHING
    shown = {"token": administer(guarded, "accounts", "token", "owner")}
    if language == "ruby":  # its library signs tokens that do not name their key
        shown = {"key": str(authority.with_name("account-no-universe.json"))}
    _walked(walk, settings, door=door, endpoint=endpoint, csv=csv, ca=str(authority), **shown)


# ---- PowerShell --------------------------------------------------------------------------------------------------------

# what `Invoke-WebRequest` adds by itself
SHELLS = {
    "PowerShell 7": {"User-Agent": "Mozilla/5.0 (Linux; Debian GNU/Linux 12 (bookworm); en-US) PowerShell/7.4.6"},
    "Windows PowerShell 5.1": {
        "User-Agent": "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.22621.4391",
        "Expect": "100-continue",
        "Connection": "Keep-Alive",
    },
}


class Shell:
    """Sends with curl what ``Invoke-WebRequest`` sends for the commands of the published pages."""

    def __init__(self, url: str, folder: pathlib.Path, own: dict[str, str]) -> None:
        self._url, self._folder = url, folder
        self._headers = {"Authorization": "Bearer anything", "x-goog-user-project": "demo", **own}

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The body of an answer; with -InFile, a request's body is the file's bytes."""
        curl = shutil.which("curl") or pytest.skip("curl is not installed")
        headers = dict(self._headers)
        command = [curl, "--silent", "--show-error", "-X", method, f"{self._url}/v1/{path}"]
        if body is not None:
            (self._folder / "request.json").write_text(json.dumps(body, indent=2), encoding="utf-8-sig")
            headers["Content-Type"] = "application/json; charset=utf-8"
            command += ["--data-binary", f"@{self._folder / 'request.json'}"]
        command += [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def ended(self, operation: Any) -> Any:
        while not operation.get("done"):
            operation = self("GET", operation["name"])
        return operation


@pytest.mark.parametrize("shell", SHELLS)
def test_a_walk_with_the_requests_of_powershell(service: Any, tmp_path: pathlib.Path, shell: str) -> None:
    csv = drawn_images.write_label_dataset(service.bucket(f"walk-{shell[-1]}"), 24)
    send = Shell(f"http://127.0.0.1:{service.port}", tmp_path, SHELLS[shell])
    metadata = {"classificationType": "MULTICLASS"}
    dataset = {"displayName": "shell", "imageClassificationDatasetMetadata": metadata}
    name = send.ended(send("POST", f"{PARENT}/datasets", dataset))["response"]["name"]
    imported = send("POST", f"{name}:importData", {"inputConfig": {"gcsSource": {"inputUris": [csv]}}})
    assert "response" in send.ended(imported)
    got = send("GET", name)
    assert (got["exampleCount"], got["imageClassificationDatasetMetadata"]) == (24, metadata)
    listed = send("GET", f"{PARENT}/datasets?filter=image_classification_dataset_metadata:*")
    assert name in [one["name"] for one in listed["datasets"]]
    assert send("PATCH", f"{name}?updateMask=displayName", {"displayName": "after"})["displayName"] == "after"
    asked = {"modelType": "cloud", "trainBudgetMilliNodeHours": "1000"}
    model = {"displayName": "shell", "datasetId": name.split("/")[-1], "imageClassificationModelMetadata": asked}
    training = send("POST", f"{PARENT}/models", model)
    assert "createModelDetails" in training["metadata"]
    assert send("GET", training["name"])["name"] == training["name"]
    send("POST", f"{training['name']}:cancel", {})
    assert send.ended(training)["error"]["code"] == 1
    send("DELETE", training["name"])
    assert "response" in send.ended(send("DELETE", name))
    assert send("GET", name)["error"]["status"] == "NOT_FOUND"
