"""Quotas of a real service, at both API servers: who is refused, with what, and who is not."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.cloud.automl_v1 import types
from google.rpc import error_details_pb2, status_pb2
from tests.support.access.credentials import Account
from tests.support.access.guarded_service import LOCATION, GuardedService, run_guarded_service
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S, wait_until
from tests.support.predictions.tiny_model import MODEL_NAME, TinyModel

from boxwright.metadata import schema

LIST = "/google.cloud.automl.v1.AutoMl/ListDatasets"


@pytest.fixture
def service(tmp_path: pathlib.Path) -> Iterator[GuardedService]:
    limits = {"quota_requests_per_minute": "5", "quota_failed_authentications_per_minute": "4"}
    with run_guarded_service(tmp_path, "--no-worker", **limits, quota_models_per_minute="1") as running:
        running.registry.account("rich", "rich")
        yield running


def ask(
    service: GuardedService, door: str, token: str, *, charged: str = "", project: str = "demo"
) -> tuple[str, dict[str, Any], dict[str, str]]:
    """Lists datasets; returns code, details by their kind, and headers."""
    parent = f"projects/{project}/locations/us-central1"
    more = {"x-goog-user-project": charged} if charged else {}
    if door == "rest":
        headers = {"Authorization": f"Bearer {token}", **more}
        answer = service.http.get(f"/v1/{parent}/datasets", headers=headers)
        if answer.status_code == 200:
            return "OK", {}, dict(answer.headers)
        error = answer.json()["error"]
        assert answer.status_code == error["code"]
        found = {one["@type"].rpartition(".")[2]: one for one in error["details"]}
        return error["status"], found, dict(answer.headers)
    request = types.ListDatasetsRequest.pb(types.ListDatasetsRequest(parent=parent)).SerializeToString()
    metadata = [("authorization", f"Bearer {token}"), *more.items()]
    try:
        service.channel.unary_unary(LIST)(request, metadata=metadata, timeout=60)
    except grpc.RpcError as error:
        (raw,) = (value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin")
        found = {}
        for packed in status_pb2.Status.FromString(raw).details:
            kind = packed.type_url.rpartition(".")[2]
            detail = getattr(error_details_pb2, kind)()
            packed.Unpack(detail)
            found[kind] = detail
        return error.code().name, found, {}
    return "OK", {}, {}


def test_a_project_has_so_many_requests_a_minute(service, door):
    token = service.owner.signed()
    codes = [ask(service, door, token)[0] for _ in range(6)]
    assert codes == ["OK"] * 5 + ["RESOURCE_EXHAUSTED"]
    other = "grpc" if door == "rest" else "rest"
    code, found, headers = ask(service, other, token)
    assert code == "RESOURCE_EXHAUSTED", "both API servers count together"
    code, found, headers = ask(service, door, token)
    assert set(found) == {"ErrorInfo", "QuotaFailure", "RetryInfo"}
    if door == "rest":
        assert found["ErrorInfo"]["reason"] == "RATE_LIMIT_EXCEEDED"
        assert found["ErrorInfo"]["metadata"]["consumer"] == "projects/demo"
        assert 0 < int(headers["retry-after"]) <= 60
        assert found["RetryInfo"]["retryDelay"] == f"{headers['retry-after']}s"
    else:
        assert found["ErrorInfo"].reason == "RATE_LIMIT_EXCEEDED" and 0 < found["RetryInfo"].retry_delay.seconds <= 60


def test_the_project_that_the_caller_names_is_charged_if_it_is_theirs(service, door):
    guest, home = service.registry.account("guest", "guests"), "guests"
    service.registry.grant(guest.member, "roles/automl.viewer", "projects/demo")
    token = guest.signed()
    for _ in range(5):
        assert ask(service, door, token, charged=home)[0] == "OK"
    code, found, _ = ask(service, door, token, charged=home)
    assert code == "RESOURCE_EXHAUSTED"
    assert ask(service, door, service.owner.signed())[0] == "OK", "the project of the data has its own"
    code, found, _ = ask(service, door, token, charged="rich")
    info = found["ErrorInfo"]
    assert (code, info["reason"] if door == "rest" else info.reason) == ("PERMISSION_DENIED", "USER_PROJECT_DENIED")


def test_strangers_use_up_nothing_of_a_project(service, door):
    stranger = service.registry.account("stranger", "far")
    for _ in range(10):
        assert ask(service, door, stranger.signed())[0] == "PERMISSION_DENIED"
    assert ask(service, door, service.owner.signed())[0] == "OK"


def test_trainings_have_a_quota_of_their_own(service):
    headers = {"Authorization": f"Bearer {service.owner.signed()}"}
    body = {"displayName": "m", "datasetId": "IOD5", "imageObjectDetectionModelMetadata": {}}
    codes = [
        service.http.post(f"/v1/{LOCATION}/models", json=body, headers=headers).json()["error"]["status"]
        for _ in range(2)
    ]
    assert codes[0] != "RESOURCE_EXHAUSTED" and codes[1] == "RESOURCE_EXHAUSTED"


def test_an_address_may_fail_so_often_and_others_behind_it_go_on(service, door):
    codes = [ask(service, door, f"bxw_{number}")[0] for number in range(8)]
    assert codes == ["UNAUTHENTICATED"] * 4 + ["RESOURCE_EXHAUSTED"] * 4
    _, found, _ = ask(service, door, "bxw_x")
    info = found["ErrorInfo"]
    limit = info["metadata"]["quota_limit"] if door == "rest" else info.metadata["quota_limit"]
    assert limit == "FailedAuthenticationsPerMinutePerAddress"
    assert ask(service, door, service.owner.signed())[0] == "OK", "nobody is locked out by somebody else's mistakes"
    failed = service.http.post("/token", data={"grant_type": "refresh_token", "refresh_token": "bxr_x"})
    assert (failed.status_code, failed.json()["error"]) == (429, "temporarily_unavailable")
    assert 0 < int(failed.headers["retry-after"]) <= 60
    refresh = service.registry.token(service.owner, kind="refresh")
    assert (
        service.http.post("/token", data={"grant_type": "refresh_token", "refresh_token": refresh}).status_code == 200
    )
    (path,) = (service.data_dir / "audit").glob("audit-*.jsonl")
    codes = [json.loads(line)["protoPayload"]["status"].get("code") for line in path.read_text().splitlines()]
    assert codes == [16] * 4 + [8, None], "one line a minute says that there were more"


def _started(service: GuardedService, account: Account, number: int, charged: str = "") -> dict[str, Any]:
    request = {
        "inputConfig": {"gcsSource": {"inputUris": ["gs://b/list.csv"]}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": f"gs://b/out-{charged}-{number}/"}},
        "params": {"score_threshold": "0.1"},
    }
    headers = {"Authorization": f"Bearer {account.signed()}"} | ({"x-goog-user-project": charged} if charged else {})
    return service.http.post(f"/v1/{MODEL_NAME}:batchPredict", json=request, headers=headers).json()


def _prepare(folder: pathlib.Path, tiny_model: TinyModel) -> None:
    bucket = folder / "buckets" / "b"
    images = drawn_images.write_images(bucket, 1)
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/{name}" for name in images])
    (folder / "data").mkdir()
    tiny_model.install(folder / "data")


def test_projects_take_turns_however_much_each_asks_for(tmp_path: pathlib.Path, tiny_model: TinyModel) -> None:
    _prepare(tmp_path, tiny_model)
    with run_guarded_service(tmp_path, "--no-worker", quota_operations="8") as service:
        busy, late = service.registry.account("busy"), service.registry.account("late", "small")
        for account in (busy, late):
            service.registry.grant(account.member, "roles/automl.predictor", MODEL_NAME)
            service.registry.grant_folder(account.member, "gs://b/", read=True, write=True)
        for number in range(8):
            assert "name" in _started(service, busy, number)
        refused = _started(service, busy, 9)["error"]
        assert (refused["status"], refused["details"][0]["reason"]) == (
            "RESOURCE_EXHAUSTED",
            "RESOURCE_QUOTA_EXCEEDED",
        )
        assert "8 unfinished operations" in refused["message"] and "quota_operations" in refused["message"]
        for number in range(3):
            assert "name" in _started(service, late, number, "small")
        command = [sys.executable, "-m", "boxwright.cli", "worker", "--data-dir", str(service.data_dir)]
        command += ["--buckets", str(tmp_path / "buckets"), "--config", str(tmp_path / "one.toml")]
        (tmp_path / "one.toml").write_text("[batch]\njobs = 1\ntune = false\n")
        with (tmp_path / "worker.log").open("wb") as log:
            worker = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            rows = wait_until(lambda: _all_done(service), "all batches to end")
        finally:
            worker.terminate()
            worker.wait(PATIENCE_S)
        assert {row.state for row in rows} == {"SUCCEEDED"}
        assert [row.charged_project for row in rows][:6] in (
            ["demo", "small"] * 3,
            ["small", "demo"] * 3,
        ), "three of each in turn, though eight had come before"
        assert "name" in _started(service, busy, 10), "what has ended counts no longer"
    (path,) = (service.data_dir / "audit").glob("audit-*.jsonl")
    payloads = [json.loads(line)["protoPayload"] for line in path.read_text().splitlines()]
    for event in ("Started", "Ended"):
        named = [one["resourceName"] for one in payloads if one["methodName"] == f"boxwright.operations.{event}"]
        assert len(named) == len(set(named)) == 11, "once for each operation, by another process"


def _all_done(service: GuardedService) -> list[Any]:
    columns = schema.operations.c
    query = sa.select(columns.state, columns.charged_project, columns.done_time_us).order_by(columns.done_time_us)
    with service.registry.db.read() as connection:
        rows = list(connection.execute(query))
    return rows if all(row.done_time_us for row in rows) else []


@pytest.fixture
def small(tmp_path: pathlib.Path, tiny_model: TinyModel) -> Iterator[GuardedService]:
    """A service in which a project may have two datasets and two models, of which it has one, and of which bytes are few."""
    (tmp_path / "data").mkdir()
    tiny_model.install(tmp_path / "data")
    limits = {"quota_datasets": "2", "quota_models": "2", "quota_stored_bytes": "1", "min_images_per_label": "1"}
    with run_guarded_service(tmp_path, "--no-worker", **limits) as running:
        yield running


def _call(service: GuardedService, verb: str, path: str, body: Any = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {service.owner.signed()}"}
    answer: dict[str, Any] = service.http.request(verb, f"/v1/{path}", json=body, headers=headers).json()
    return answer


def _amount(answer: dict[str, Any]) -> tuple[int, str, str, str]:
    """Code, reason, setting and subject of a refusal because of an amount."""
    found = {one["@type"].rpartition(".")[2]: one for one in answer["error"]["details"]}
    info = found["ErrorInfo"]
    return (
        answer["error"]["code"], info["reason"], info["metadata"]["quota_limit"],
        found["QuotaFailure"]["violations"][0]["subject"],
    )  # fmt: skip


def test_a_project_has_so_many_datasets_and_so_many_bytes_of_models(small: GuardedService) -> None:
    dataset = {"displayName": "d", "imageObjectDetectionDatasetMetadata": {}}
    made = [_call(small, "POST", f"{LOCATION}/datasets", dataset) for _ in range(3)]
    assert ["error" in one for one in made] == [False, False, True]
    assert _amount(made[2]) == (429, "RESOURCE_QUOTA_EXCEEDED", "quota_datasets", "project:demo")
    assert len(_call(small, "GET", f"{LOCATION}/datasets")["datasets"]) == 2, "nothing of the third is left"
    name = made[0]["response"]["name"]
    _call(small, "DELETE", name)
    assert "error" not in _call(small, "POST", f"{LOCATION}/datasets", dataset)
    model = {"displayName": "m", "datasetId": name.rpartition("/")[2], "imageObjectDetectionModelMetadata": {}}
    assert _amount(_call(small, "POST", f"{LOCATION}/models", model))[2] == "quota_stored_bytes"
