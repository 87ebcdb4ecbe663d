"""Tokens over the wire: /token's limit, generateAccessToken, /introspect and /revoke, and the audit log's lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from tests.support.access.credentials import CLOUD_SCOPE, Account
from tests.support.access.guarded_service import LOCATION, GuardedService, run_guarded_service

from boxwright.access import exchange
from boxwright.surface import methods, rest_server, token_route

PATH = f"/v1/{LOCATION}/datasets"
LIMIT = 3


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedService]:
    settings = {"quota_tokens_per_minute": str(LIMIT), "quota_failed_authentications_per_minute": "1000"}
    with run_guarded_service(tmp_path_factory.mktemp("tokens"), "--no-worker", **settings) as running:
        yield running


@pytest.fixture(scope="module")
def target(service: GuardedService) -> Account:
    """An account for which the owner may speak."""
    found = service.registry.account("target")
    service.registry.grant(found.member, "roles/automl.viewer", "projects/demo")
    resource = f"projects/demo/serviceAccounts/{found.email}"
    service.registry.grant(service.owner.member, "roles/iam.serviceAccountTokenCreator", resource)
    return found


def lines(service: GuardedService, method: str) -> list[dict[str, Any]]:
    """The lines of the audit log about a method."""
    found = []
    for path in sorted(service.data_dir.glob("audit/*.jsonl")):
        found += [json.loads(line)["protoPayload"] for line in path.read_text().splitlines()]
    return [line for line in found if line["methodName"] == method]


def ask_token(service: GuardedService, account: Account) -> Any:
    assertion = account.signed(aud="https://oauth2.googleapis.com/token", scope=CLOUD_SCOPE)
    return service.http.post("/token", data={"grant_type": exchange.JWT_BEARER, "assertion": assertion})


def speak_for(service: GuardedService, target: Account, **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {service.registry.token(service.owner)}"}
    path = f"/v1/projects/-/serviceAccounts/{target.email}:generateAccessToken"
    return service.http.post(path, json={"scope": [CLOUD_SCOPE], **body}, headers=headers)


def test_an_account_gets_so_many_tokens_and_the_rest_of_the_minute_is_one_line(service: GuardedService) -> None:
    account, other = service.registry.account("often"), service.registry.account("seldom")
    assert [ask_token(service, account).status_code for _ in range(LIMIT)] == [200] * LIMIT
    for _ in range(5):
        refused = ask_token(service, account)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.json()["error"] == "temporarily_unavailable"
    assert ask_token(service, other).status_code == 200
    mine = [
        line
        for line in lines(service, exchange.METHOD)
        if line["authenticationInfo"].get("principalSubject") == account.member
    ]
    assert [line["status"].get("code", 0) for line in mine] == [0] * LIMIT + [8]


def test_who_may_speak_for_an_account_gets_a_token_of_it(service: GuardedService, target: Account) -> None:
    answer = speak_for(service, target, lifetime="600s", delegates=[])
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert set(found) == {"accessToken", "expireTime"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["expireTime"])  # as clients parse it
    headers = {"Authorization": f"Bearer {found['accessToken']}"}
    assert service.http.get(PATH, headers=headers).status_code == 200
    denied = service.http.post(PATH, headers=headers, json={"displayName": "d"})
    assert denied.status_code == 403
    (given,) = lines(service, "google.iam.credentials.v1.IAMCredentials.GenerateAccessToken")
    assert given["authenticationInfo"]["principalSubject"] == service.owner.member
    assert given["authorizationInfo"][0]["granted"]
    (line,) = [
        one
        for one in lines(service, "google.cloud.automl.v1.AutoMl.CreateDataset")
        if one["authenticationInfo"].get("principalSubject") == target.member
    ]
    assert line["authenticationInfo"]["serviceAccountDelegationInfo"] == [{"principalSubject": service.owner.member}]
    log = "".join(path.read_text() for path in service.data_dir.glob("audit/*.jsonl")) + service.log
    assert found["accessToken"] not in log


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"lifetime": "3601s"}, "lifetime"),
        ({"lifetime": "0s"}, "lifetime"),
        ({"scope": ["https://www.googleapis.com/auth/devstorage.read_only"]}, "scope"),
        ({"scope": []}, "scope"),
        ({"delegates": ["projects/-/serviceAccounts/x@demo.boxwright.localhost"]}, "delegates"),
    ],
)
def test_another_token_is_refused(service: GuardedService, target: Account, body: dict[str, Any], field: str) -> None:
    answer = speak_for(service, target, **body)
    assert (answer.status_code, field in answer.json()["error"]["message"]) == (400, True)


def test_grpc_gives_the_same_token(service: GuardedService) -> None:
    row = next(row for row in methods.TABLE if row.rpc == "GenerateAccessToken")
    own = service.registry.account("own")
    resource = f"projects/demo/serviceAccounts/{own.email}"
    service.registry.grant(service.owner.member, "roles/iam.serviceAccountTokenCreator", resource)
    stub = service.channel.unary_unary(
        row.full_name,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=row.response_pb.FromString,
    )
    request = row.request_pb(name=resource.replace("demo", "-", 1), scope=[CLOUD_SCOPE])
    metadata = [("authorization", f"Bearer {service.registry.token(service.owner)}")]
    answer = stub(request, metadata=metadata, timeout=300)
    assert answer.access_token.startswith("bxw_")
    assert answer.expire_time.seconds > 0
    told = service.http.post("/introspect", data={"token": answer.access_token}).json()
    assert (told["active"], told["username"], told["exp"]) == (True, own.email, answer.expire_time.seconds)


def test_a_token_is_introspected_and_revoked_by_who_has_it(service: GuardedService) -> None:
    token = service.registry.token(service.owner)
    basic = {"Authorization": "Basic Ym94d3JpZ2h0OmJveHdyaWdodA=="}
    told = service.http.post("/introspect", data={"token": token, "token_type_hint": "access_token"}, headers=basic)
    assert (told.status_code, told.json()["username"]) == (200, service.owner.email)
    assert told.headers["cache-control"] == "no-store"
    assert service.http.post("/revoke", data={"token": token}, headers=basic).status_code == 200
    assert service.http.post("/introspect", data={"token": token}).json() == {"active": False}
    answer = service.http.get(PATH, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    (line,) = [one for one in lines(service, "boxwright.access.RevokeToken") if not one["status"]]
    assert line["authenticationInfo"]["principalSubject"] == service.owner.member


def test_what_is_refused_by_host_or_origin_is_a_line_a_minute_for_an_address(service: GuardedService) -> None:
    stub = service.channel.unary_unary("/google.longrunning.Operations/GetOperation")
    for _ in range(3):
        with pytest.raises(grpc.RpcError):
            stub(b"", metadata=[("origin", "https://evil.example")], timeout=300)
    from_elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=service.url, transport=from_elsewhere, trust_env=False) as http:
        for _ in range(20):
            assert http.get(PATH, headers={"host": "evil.example"}).status_code == 403
            assert http.post("/token", headers={"origin": "https://evil.example"}).status_code == 403
    found = lines(service, "boxwright.surface.JudgeRequest")
    assert [line["requestMetadata"]["callerIp"] for line in found] == ["127.0.0.1", "127.0.0.2"]
    assert [line["status"]["code"] for line in found] == [7, 7]
    assert "The origin 'https://evil.example' is not served" in found[0]["status"]["message"]
    assert "The host 'evil.example' is not served" in found[1]["status"]["message"]


@pytest.mark.parametrize("path", [token_route.PATH, token_route.INTROSPECT_PATH, token_route.REVOKE_PATH])
def test_only_forms_are_read(service: GuardedService, path: str) -> None:
    assert path in rest_server.PUBLIC_PATHS
    assert service.http.get(path).status_code in (404, 405)
    assert service.http.post(path, json={"token": "x"}).json()["error"] == "invalid_request"
    assert service.http.post(path, data={}).json()["error"] == "invalid_request"
    form = {"content-type": token_route.FORM}
    assert service.http.post(path, content="token=a&token=b", headers=form).json()["error"] == "invalid_request"
    assert service.http.post(path, content="token=" + "a" * 20_000, headers=form).status_code == 400
    for name, value in (("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("host", "evil.example")):
        assert service.http.post(path, data={"token": "x"}, headers={name: value}).status_code == 403
