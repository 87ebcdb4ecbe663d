"""Policies through the API, tokens through ``POST /token``, and changes that count at the next call of another process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from google.iam.v1 import iam_policy_pb2, iam_policy_pb2_grpc, options_pb2
from tests.support.access.credentials import Account
from tests.support.access.guarded_service import LOCATION, GuardedService, run_guarded_service
from tests.support.machine.waiting import PATIENCE_S

from boxwright.access import exchange, token_store
from boxwright.surface import rest_server, token_route

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ADA = "user:ada@example.org"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedService]:
    with run_guarded_service(tmp_path_factory.mktemp("policies"), "--no-worker") as running:
        yield running


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def call(service: GuardedService, path: str, body: Any = None, account: Account | None = None) -> dict[str, Any]:
    headers = bearer((account or service.owner).signed())
    verb = "GET" if body is None else "POST"
    answer = service.http.request(verb, f"/v1/{path}", json=body, headers=headers)
    return {"code": answer.status_code, **answer.json()}


def test_a_policy_is_read_changed_and_written_back(service: GuardedService) -> None:
    stub = iam_policy_pb2_grpc.IAMPolicyStub(service.channel)
    metadata = [("authorization", f"Bearer {service.owner.signed()}")]
    resource = call(service, f"{LOCATION}/datasets", {"displayName": "d", "imageObjectDetectionDatasetMetadata": {}})[
        "response"
    ]["name"]
    options = options_pb2.GetPolicyOptions(requested_policy_version=3)
    found = stub.GetIamPolicy(iam_policy_pb2.GetIamPolicyRequest(resource=resource, options=options), metadata=metadata)
    assert (list(found.bindings), found.version) == ([], 1)
    found.bindings.add(role="roles/automl.viewer", members=[ADA])
    found.version = 3  # as clients write that know conditions
    changed = stub.SetIamPolicy(iam_policy_pb2.SetIamPolicyRequest(resource=resource, policy=found), metadata=metadata)
    assert changed.etag != found.etag
    again = call(service, f"{resource}:getIamPolicy")
    assert again["bindings"] == [{"role": "roles/automl.viewer", "members": [ADA]}]
    stale = call(service, f"{resource}:setIamPolicy", {"policy": {"etag": "c3RhbGU=", "bindings": []}})
    assert (stale["code"], stale["error"]["status"]) == (409, "ABORTED")
    assert stale["error"]["message"].startswith("There were concurrent policy changes.")
    kept = call(service, f"{resource}:setIamPolicy", {"policy": {"bindings": []}, "updateMask": "etag"})
    assert kept["bindings"] == again["bindings"]
    assert "bindings" not in call(service, f"{resource}:setIamPolicy", {"policy": {}})


def test_what_policies_here_do_not_have_is_refused(service: GuardedService) -> None:
    binding = {"role": "roles/automl.viewer", "members": [ADA]}
    for policy, field in (
        ({"version": 2}, "policy.version"),
        ({"bindings": [{**binding, "condition": {"expression": "true"}}]}, "condition"),
        ({"bindings": [{**binding, "members": ["allUsers"]}]}, "allUsers is not allowed here"),
        ({"bindings": [{**binding, "role": "roles/storage.admin"}]}, "not supported for this resource"),
        ({"auditConfigs": [{"service": "allServices"}]}, "policy.audit_configs"),
    ):
        answer = call(service, f"{LOCATION}:setIamPolicy", {"policy": policy})
        assert (answer["code"], answer["error"]["status"]) == (400, "INVALID_ARGUMENT"), policy
        assert field in answer["error"]["message"]
    answer = call(service, "projects/demo:setIamPolicy", {"policy": {"bindings": [binding]}})
    assert answer["error"]["status"] == "FAILED_PRECONDITION"


def test_the_policy_of_what_is_not_there_is_not_found_and_ends_with_its_resource(service: GuardedService) -> None:
    for kind in ("datasets", "models"):
        assert call(service, f"{LOCATION}/{kind}/IOD404:getIamPolicy")["code"] == 404
        assert call(service, f"{LOCATION}/{kind}/IOD404:setIamPolicy", {"policy": {}})["code"] == 404
    member = service.registry.account("guest")
    name = call(service, f"{LOCATION}/datasets", {"displayName": "d", "imageObjectDetectionDatasetMetadata": {}})[
        "response"
    ]["name"]
    policy = {"policy": {"bindings": [{"role": "roles/automl.viewer", "members": [member.member]}]}}
    call(service, f"{name}:setIamPolicy", policy)
    assert call(service, name, account=member)["code"] == 200
    headers = bearer(service.owner.signed())
    assert service.http.request("DELETE", f"/v1/{name}", headers=headers).status_code == 200
    assert call(service, name, account=member)["code"] == 403


def test_a_project_is_asked_as_gcloud_asks(service: GuardedService) -> None:
    answer = call(service, "projects/demo:getIamPolicy", {"options": {"requestedPolicyVersion": 3}})
    assert {"role": "roles/owner", "members": [service.owner.member]} in answer["bindings"]
    same = call(service, "projects/demo:getIamPolicy")
    assert same["etag"] == answer["etag"]
    asked = {"permissions": ["automl.datasets.get", "storage.objects.get", "resourcemanager.projects.setIamPolicy"]}
    held = call(service, "projects/demo:testIamPermissions", asked)["permissions"]
    assert held == ["automl.datasets.get", "resourcemanager.projects.setIamPolicy"]


def _command(service: GuardedService, *words: str) -> str:
    command = [sys.executable, "-m", "boxwright.cli", *words, "--data-dir", str(service.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_another_process_ends_is_refused_at_the_next_call_at_both_servers(service: GuardedService) -> None:
    account = service.registry.account("leaver")
    service.registry.grant(account.member, "roles/viewer", "projects/demo")
    token = _command(service, "accounts", "token", "leaver")
    signed, key = account.signed(), _command(service, "accounts", "api-key", "leaver")
    stub = iam_policy_pb2_grpc.IAMPolicyStub(service.channel)
    request = iam_policy_pb2.TestIamPermissionsRequest(resource="projects/demo", permissions=["automl.models.get"])

    def asks(headers: dict[str, str]) -> tuple[int, str]:
        code = service.http.get(f"/v1/{LOCATION}/models", headers=headers).status_code
        metadata = [(name.lower(), value) for name, value in headers.items()]
        try:
            held = stub.TestIamPermissions(request, metadata=metadata, timeout=PATIENCE_S).permissions
            return code, ",".join(held)
        except Exception as error:
            return code, str(error.code().name)  # type: ignore[attr-defined]

    all_forms = [bearer(token), bearer(signed), {"x-goog-api-key": key}]
    assert [asks(form) for form in all_forms] == [(200, "automl.models.get")] * 3
    _command(service, "iam", "revoke", "leaver", "roles/viewer", "--on", "projects/demo")
    assert [asks(form) for form in all_forms] == [(403, "")] * 3
    _command(service, "iam", "grant", "leaver", "roles/viewer", "--on", "projects/demo")
    _command(service, "accounts", "disable", "leaver")
    assert [asks(form)[0] for form in all_forms] == [401, 401, 400]
    assert asks(bearer(signed))[1] == "UNAUTHENTICATED"
    _command(service, "accounts", "enable", "leaver")
    assert [asks(form)[0] for form in all_forms] == [200, 200, 200]
    _command(service, "accounts", "token", "leaver", "--revoke-all")
    assert [asks(form)[0] for form in all_forms] == [401, 200, 200]
    _command(service, "accounts", "keys", "disable", "leaver", account.kid)
    assert [asks(form)[0] for form in all_forms] == [401, 401, 200]
    _command(service, "accounts", "delete", "leaver")
    assert [asks(form)[0] for form in all_forms] == [401, 401, 400]


def test_a_form_is_exchanged_for_a_token(service: GuardedService) -> None:
    assertion = service.owner.signed(aud="https://oauth2.googleapis.com/token")
    form = {"grant_type": exchange.JWT_BEARER, "assertion": assertion}
    answer = service.http.post("/token", data=form)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert set(answer.json()) == {"access_token", "expires_in", "token_type"}
    headers = bearer(answer.json()["access_token"])
    assert service.http.get(f"/v1/{LOCATION}/models", headers=headers).status_code == 200
    own = service.owner.signed(aud=f"http://127.0.0.1:{service.port}/token")
    assert service.http.post("/token", data={**form, "assertion": own}).status_code == 200


def test_a_request_that_is_no_form_is_refused_in_the_words_of_rfc_6749(service: GuardedService) -> None:
    big = "x" * token_route.MAX_FORM_BYTES
    for content, headers in (
        (b"grant_type=refresh_token", {"Content-Type": "application/json"}),
        (b"grant_type=refresh_token", {}),
        (b"grant_type=a&grant_type=b", FORM),
        (f"grant_type={big}".encode(), FORM),
        (b"grant_type=\xff", FORM),
        (b"", FORM),
    ):
        answer = service.http.post("/token", content=content, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), (content[:40], headers)
    refused = service.http.post("/token", data={"grant_type": "refresh_token", "refresh_token": "bxr_x"})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert service.http.get("/token").status_code in (404, 405)


def test_who_signs_in_from_a_web_page_of_elsewhere_is_refused(service: GuardedService) -> None:
    answer = service.http.post("/token", data={"grant_type": "x"}, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403


def test_nothing_else_answers_without_credentials(service: GuardedService) -> None:
    forms = (token_route.PATH, token_route.INTROSPECT_PATH, token_route.REVOKE_PATH)
    for path in rest_server.PUBLIC_PATHS:
        file = path.replace("{path:path}", "app.css")
        assert service.http.request("POST" if path in forms else "GET", file).status_code in (200, 307, 400), path
    for path in (f"/v1/{LOCATION}/datasets", "/v1/projects/demo/locations", f"/v1/{LOCATION}:getIamPolicy"):
        assert service.http.get(path).status_code == 401, path
    assert service.http.get("/v1/nothing").status_code == 404


def test_no_secret_is_in_the_files_of_the_service(service: GuardedService) -> None:
    account = service.registry.account("secretive")
    signed, key = account.signed(), service.registry.api_key(account)
    secrets = [signed, key, service.registry.token(account), service.registry.token(account, kind=token_store.REFRESH)]
    for secret in (signed, secrets[2]):
        service.http.get(f"/v1/{LOCATION}/models", headers=bearer(secret))
    service.http.get(f"/v1/{LOCATION}/models", params={"key": key})
    service.http.post("/token", data={"grant_type": "refresh_token", "refresh_token": secrets[3]})
    secrets.append(str(account.key_file["private_key"]).splitlines()[5])
    files = [path for path in service.folder.rglob("*") if path.is_file()]
    assert any(path.name.startswith("metadata.sqlite") for path in files)
    for path in files:
        content = path.read_bytes()
        assert not [secret[:12] for secret in secrets if secret.encode() in content], path


def test_a_policy_version_that_there_is_not_is_refused(service: GuardedService) -> None:
    answer = call(service, f"{LOCATION}:getIamPolicy?options.requestedPolicyVersion=2")
    assert answer["error"]["status"] == "INVALID_ARGUMENT"
