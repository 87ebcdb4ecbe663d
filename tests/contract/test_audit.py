"""The audit log of a real service: which calls of both API servers are lines, what they say, and what they do not."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.cloud.automl_v1 import types
from google.longrunning import operations_pb2
from tests.support.access.guarded_service import LOCATION, GuardedService, run_guarded_service
from tests.support.machine.waiting import wait_until

AUTOML = "google.cloud.automl.v1.AutoMl"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedService]:
    with run_guarded_service(tmp_path_factory.mktemp("audited"), "--no-worker") as running:
        yield running


class Caller:
    """Calls through one of the API servers, and tells the code's name."""

    def __init__(self, service: GuardedService, door: str) -> None:
        self.service, self.door = service, door
        self.token = service.owner.signed()

    def __call__(self, rpc: str, request: Any, verb: str, path: str, body: Any = None, *, token: str = "") -> str:
        bearer = f"Bearer {token or self.token}"
        if self.door == "rest":
            answer = self.service.http.request(verb, f"/v1/{path}", json=body, headers={"Authorization": bearer})
            return "OK" if answer.status_code == 200 else str(answer.json()["error"]["status"])
        name = f"/{rpc}" if "/" in rpc else f"/{AUTOML}/{rpc}"
        message = type(request).pb(request) if hasattr(type(request), "pb") else request
        try:
            self.service.channel.unary_unary(name)(
                message.SerializeToString(), metadata=[("authorization", bearer)], timeout=60
            )
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    def create(self, display_name: str, *, project: str = "demo", token: str = "") -> str:
        parent = f"projects/{project}/locations/us-central1"
        dataset = types.Dataset(display_name=display_name, image_object_detection_dataset_metadata={})
        body = {"displayName": display_name, "imageObjectDetectionDatasetMetadata": {}}
        request = types.CreateDatasetRequest(parent=parent, dataset=dataset)
        return self("CreateDataset", request, "POST", f"{parent}/datasets", body, token=token)

    def list_datasets(self, *, project: str = "demo", token: str = "") -> str:
        parent = f"projects/{project}/locations/us-central1"
        return self("ListDatasets", types.ListDatasetsRequest(parent=parent), "GET", f"{parent}/datasets", token=token)


@pytest.fixture
def call(service: GuardedService, door: str) -> Caller:
    return Caller(service, door)


def entries(service: GuardedService) -> list[dict[str, Any]]:
    paths = sorted((service.data_dir / "audit").glob("audit-*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def written(service: GuardedService, work: Callable[[], object]) -> list[dict[str, Any]]:
    """The payloads that some work adds to the log."""
    before = len(entries(service))
    work()
    return [entry["protoPayload"] for entry in entries(service)[before:]]


def command(service: GuardedService, *words: str) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "boxwright.cli", *words, "--data-dir", str(service.data_dir)]
    return subprocess.run(whole, capture_output=True, text=True, check=False)


def test_a_change_is_a_line_that_says_who_did_what_from_where(service, call):
    (line,) = written(service, lambda: call.create("first"))
    assert line["@type"] == "type.googleapis.com/google.cloud.audit.AuditLog"
    assert line["serviceName"] == "automl.googleapis.com"
    assert (line["methodName"], line["resourceName"]) == (f"{AUTOML}.CreateDataset", LOCATION)
    assert line["authenticationInfo"] == {
        "principalEmail": service.owner.email,
        "principalSubject": service.owner.member,
        "serviceAccountKeyName": f"keys/{service.owner.kid}",
    }
    assert line["authorizationInfo"] == [
        {"resource": LOCATION, "permission": "automl.datasets.create", "granted": True}
    ]
    assert line["requestMetadata"]["callerIp"] == "127.0.0.1"
    assert ("grpc" if call.door == "grpc" else "httpx") in line["requestMetadata"]["callerSuppliedUserAgent"]
    assert line["request"]["dataset"]["displayName"] == "first"
    assert line["response"]["name"].startswith(f"{LOCATION}/operations/") and line["status"] == {}


def test_each_of_n_calls_is_as_many_lines_as_it_should_be(service, call):
    def work() -> None:
        for number in range(20):
            assert call.create(f"of_{number}") == "OK"
            assert call.list_datasets() == "OK"
            assert call.create("no", project="other") == "PERMISSION_DENIED"
            assert call.list_datasets(project="other") == "PERMISSION_DENIED"
            assert call.create("no", token="bxw_forged") == "UNAUTHENTICATED"
            assert call.create("not a name!" * 9) == "INVALID_ARGUMENT"

    found = [(line["methodName"].rpartition(".")[2], line["status"].get("code", 0)) for line in written(service, work)]
    once = [
        ("CreateDataset", 0),
        ("CreateDataset", 7),
        ("ListDatasets", 7),
        ("CreateDataset", 16),
        ("CreateDataset", 3),
    ]
    assert found == once * 20


def test_a_refused_permission_is_named(service, call):
    (line,) = written(service, lambda: call.list_datasets(project="other"))
    resource = "projects/other/locations/us-central1"
    assert line["authorizationInfo"] == [{"resource": resource, "permission": "automl.datasets.list", "granted": False}]
    assert line["resourceName"] == resource and line["status"]["code"] == 7


def test_a_wait_is_no_change(service, call):
    name = f"{LOCATION}/operations/IOD1"
    wait = operations_pb2.WaitOperationRequest(name=name)
    rpc = "google.longrunning.Operations/WaitOperation"
    assert not written(service, lambda: call(rpc, wait, "POST", f"{name}:wait", {"timeout": "0s"}))


def test_every_request_for_a_token_is_a_line(service):
    account = service.registry.account("asker")
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
    assertion = account.signed(aud="https://oauth2.googleapis.com/token")

    def work() -> None:
        assert service.http.post("/token", data={**grant, "assertion": assertion}).status_code == 200
        assert service.http.post("/token", data={**grant, "assertion": assertion + "x"}).status_code == 400
        assert service.http.post("/token", json={}).status_code == 400

    given, forged, unread = written(service, work)
    assert {one["methodName"] for one in (given, forged, unread)} == {"boxwright.access.ExchangeToken"}
    assert given["authenticationInfo"]["principalEmail"] == account.email and given["status"] == {}
    assert forged["status"] == {"code": 16, "message": "Invalid JWT Signature."}
    assert unread["authenticationInfo"] == {"principalEmail": "anonymous"} and unread["status"]["code"] == 16


def test_commands_that_change_access_are_lines(service):
    def work() -> None:
        for words in (
            ("accounts", "create", "robot", "--project", "demo"),
            ("accounts", "list"),
            ("accounts", "keys", "create", "robot", "--out", str(service.folder / "robot.json")),
            ("accounts", "api-key", "robot"),
            ("accounts", "token", "robot"),
            ("iam", "grant", "robot", "roles/automl.viewer", "--on", "projects/demo"),
            ("iam", "show", "projects/demo"),
            ("iam", "revoke", "robot", "roles/automl.viewer", "--on", "projects/demo"),
            ("iam", "group", "add", "group:staff@example.org", "robot"),
            ("buckets", "grant", "gs://photos/", "robot", "--read"),
            ("buckets", "list"),
            ("buckets", "revoke", "gs://photos/", "robot"),
            ("accounts", "disable", "robot"),
        ):
            done = command(service, *words)
            assert done.returncode == 0, done.stderr
        assert (
            command(service, "iam", "revoke", "robot", "roles/automl.viewer", "--on", "projects/demo").returncode == 2
        )

    lines = written(service, work)
    assert [line["methodName"].removeprefix("boxwright.") for line in lines] == [
        "accounts.Create", "accounts.CreateKey", "accounts.CreateApiKey", "accounts.Token", "iam.Grant", "iam.Revoke",
        "iam.GroupAdd", "buckets.Grant", "buckets.Revoke", "accounts.Disable", "iam.Revoke",
    ]  # fmt: skip
    assert lines[-1]["status"]["code"] == 5 and lines[-2]["status"] == {}
    assert lines[4]["resourceName"] == "projects/demo" and lines[4]["request"]["member"] == "robot"
    assert [line["resourceName"] for line in lines[7:9]] == ["gs://photos/"] * 2
    assert lines[0]["authenticationInfo"]["principalSubject"].startswith("localUser:")


def test_no_secret_is_in_any_file_of_the_service(service, call):
    account = service.registry.account(f"secretive-{call.door}")
    api_key, token = service.registry.api_key(account), service.registry.token(account)
    refresh = service.registry.token(account, kind="refresh")
    secrets = [api_key, token, refresh, account.signed(), account.key_file["private_key"][60:200], "bxw_madeUpToken00"]
    for secret in secrets[:-2]:
        call.create("x", token=secret)
        call.create(f"s{secret[:20]}", token=token)
        service.http.get(f"/v1/{LOCATION}/datasets?key={secret}")
        service.http.get(f"/v1/{LOCATION}/datasets?access_token={secret}")
        service.http.get(f"/v1/{secret}", headers={"User-Agent": f"it is {secret}"})
        service.http.post("/token", data={"grant_type": secret, "assertion": secret, "refresh_token": secret})
    call.create("x", token=secrets[-1])
    given = service.http.post("/token", data={"grant_type": "refresh_token", "refresh_token": refresh}).json()
    secrets.append(given["access_token"])
    files = [path for path in service.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.name.startswith("audit-") for path in files)
    found = [(path.name, secret[:8]) for path in files for secret in secrets if secret.encode() in path.read_bytes()]
    assert not found


def test_the_log_is_as_it_was_written_until_somebody_changes_it(service):
    assert Caller(service, "rest").create("last") == "OK"
    done = wait_until(lambda: _verified(service, 0), "the database to know the end of the log")
    assert "as written" in done.stdout
    (path,) = (service.data_dir / "audit").glob("audit-*.jsonl")
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    lines = whole.splitlines(keepends=True)
    for name, content in (
        ("one byte", bytes(changed)),
        ("one line", b"".join(lines[:5] + lines[6:])),
        ("the last line", b"".join(lines[:-1])),
    ):
        path.write_bytes(content)
        done = command(service, "audit", "verify")
        assert done.returncode == 1 and "changed" in done.stdout, f"{name}: {done.stdout}"
    path.write_bytes(whole)
    assert command(service, "audit", "verify").returncode == 0


def _verified(service: GuardedService, missing: int) -> subprocess.CompletedProcess[str] | None:
    done = command(service, "audit", "verify")
    assert done.returncode == 0, done.stdout
    last, known = (int(word.rstrip(":,").replace(",", "")) for word in _numbers(done.stdout)[-2:])
    return done if last - known == missing else None


def _numbers(text: str) -> list[str]:
    return [word for word in text.split() if word.strip(":,").replace(",", "").isdigit()]


# ---- settings, and a log that cannot be written ---------------------------------------------------------------------


def test_reads_are_lines_by_a_setting_and_a_wait_is_one(tmp_path: pathlib.Path) -> None:
    with run_guarded_service(tmp_path, "--no-worker", audit_reads="true") as service:
        call = Caller(service, "rest")
        assert [line["methodName"] for line in written(service, call.list_datasets)] == [f"{AUTOML}.ListDatasets"]


@pytest.mark.parametrize("door", ["rest", pytest.param("grpc", marks=pytest.mark.full)])
def test_while_the_log_cannot_be_written_changes_are_refused_and_reads_go_on(tmp_path: pathlib.Path, door: str) -> None:
    with run_guarded_service(tmp_path, "--no-worker") as service:
        call = Caller(service, door)
        assert call.create("before") == "OK"
        (path,) = (service.data_dir / "audit").glob("audit-*.jsonl")
        path.rename(tmp_path / "kept")
        path.symlink_to("/dev/full")
        for number in range(3):
            assert call.create(f"refused_{number}") == "UNAVAILABLE"
            assert call.list_datasets() == "OK"
            assert call.list_datasets(token="bxw_forged") == "UNAUTHENTICATED"
        refresh = {
            "grant_type": "refresh_token",
            "refresh_token": service.registry.token(service.owner, kind="refresh"),
        }
        assert service.http.post("/token", data=refresh).status_code == 503
        assert command(service, "accounts", "create", "no", "--project", "demo").returncode == 2
        assert "no" not in command(service, "accounts", "list").stdout.split()
        path.unlink()
        (tmp_path / "kept").rename(path)
        assert call.create("after") == "OK"
        assert command(service, "audit", "verify").returncode == 0
