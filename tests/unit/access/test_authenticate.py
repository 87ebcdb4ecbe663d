"""Who is calling: what is remembered, what is asked again at each call, and what one refusal costs."""

from __future__ import annotations

import json

import pytest
from google.rpc import error_details_pb2
from joserfc import jws
from joserfc.jwk import ECKey
from tests.support.access.credentials import Account, Registry

from boxwright import errors
from boxwright.access import accounts, authenticate, index, jwt_rules
from boxwright.callers import Caller

METHOD = "google.cloud.automl.v1.AutoMl.GetModel"


@pytest.fixture
def account(registry: Registry) -> Account:
    return registry.account("ci")


@pytest.fixture
def authenticator(registry: Registry, clock) -> authenticate.Authenticator:
    reader = index.IndexReader(registry.db)
    return authenticate.Authenticator(registry.db, reader, authenticate.TokenRules(), clock)


def bearer(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]


def refused(authenticator: authenticate.Authenticator, headers: list[tuple[str, str]]) -> str:
    """The reason in the details of the refusal."""
    with pytest.raises(errors.ApiError) as caught:
        authenticator.admit(METHOD, headers)
    (info,) = caught.value.details
    assert isinstance(info, error_details_pb2.ErrorInfo)
    return str(info.reason)


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Counts the signatures that are verified."""
    counted: list[str] = []
    verify = jws.deserialize_compact

    def count(*arguments, **named):
        counted.append("one")
        return verify(*arguments, **named)

    monkeypatch.setattr(jwt_rules.jws, "deserialize_compact", count)
    return counted


def test_a_caller_is_who_signed_or_whose_token_it_is(authenticator, registry, account) -> None:
    assert authenticator.admit(METHOD, bearer(account.signed())) == Caller(account.member, f"keys/{account.kid}")
    assert authenticator.admit(METHOD, bearer(registry.token(account))).member == account.member
    narrowed = registry.api_key(account, ["automl.models.predict"])
    caller = authenticator.admit(METHOD, [("x-goog-api-key", narrowed)])
    assert (caller.member, caller.narrowed_to) == (account.member, {"automl.models.predict"})
    assert caller.email == account.email


def test_a_signature_is_verified_once_and_all_else_at_each_call(
    authenticator, registry, account, verifications, clock
) -> None:
    token = account.signed()
    for _ in range(3):
        authenticator.admit(METHOD, bearer(token))
    assert len(verifications) == 1
    registry.set_disabled(account, True)
    assert refused(authenticator, bearer(token)) == "ACCOUNT_STATE_INVALID"
    registry.set_disabled(account, False)
    authenticator.admit(METHOD, bearer(token))
    clock.ahead_s = 3620  # a busy machine may take half a minute to get here
    authenticator.admit(METHOD, bearer(token))
    clock.ahead_s = 3662
    assert refused(authenticator, bearer(token)) == "ACCESS_TOKEN_TYPE_UNSUPPORTED"
    clock.ahead_s = 0
    with registry.db.write() as connection:
        accounts.set_key_disabled(connection, account.record, account.kid, True)
    assert refused(authenticator, bearer(token)) == "ACCESS_TOKEN_TYPE_UNSUPPORTED"


def test_what_was_remembered_is_for_one_audience_only(authenticator, account) -> None:
    assertion = account.signed(aud=authenticate.GOOGLE_TOKEN_AUDIENCE)
    assert authenticator.verified(assertion)[1] == account.record
    assert refused(authenticator, bearer(assertion)) == "ACCESS_TOKEN_TYPE_UNSUPPORTED"


def test_a_key_that_is_replaced_under_its_id_is_verified_anew(authenticator, registry, account, verifications) -> None:
    token = account.signed()
    authenticator.admit(METHOD, bearer(token))
    other = registry.account("other")
    public_jwk = {key.id: key for key in index.load(_connection(registry)).keys.values()}[other.kid].public_jwk
    with registry.db.write() as connection:
        accounts.delete_key(connection, account.record, account.kid)
        accounts.add_key(connection, account.record, account.kid, dict(public_jwk or {}))
    assert refused(authenticator, bearer(token)) == "ACCESS_TOKEN_TYPE_UNSUPPORTED"


def _connection(registry: Registry):
    return registry.db._engine.connect()


@pytest.mark.parametrize(
    "changes",
    [{}, {"exp": 1}, {"aud": "https://example.org/"}, {"iss": "somebody@else"}, {"exp": True}],
    ids=["unknown key", "expired", "audience", "issuer", "no number"],
)
def test_every_refusal_costs_one_verification(authenticator, registry, account, verifications, changes) -> None:
    token = account.signed(**changes)
    if not changes:
        with registry.db.write() as connection:
            accounts.delete_key(connection, account.record, account.kid)
    assert refused(authenticator, bearer(token)) == "ACCESS_TOKEN_TYPE_UNSUPPORTED"
    assert len(verifications) == 1


def test_a_project_is_charged_if_it_is_home_or_the_caller_may_use_it(authenticator, registry, account) -> None:
    token, asked = account.signed(), "x-goog-user-project"
    home = authenticator.admit(METHOD, [*bearer(token), (asked, "demo")])
    assert home.charged_project == "demo"
    assert refused(authenticator, [*bearer(token), (asked, "rich")]) == "USER_PROJECT_DENIED"
    registry.grant(account.member, "roles/serviceusage.serviceUsageConsumer", "projects/rich")
    assert authenticator.admit(METHOD, [*bearer(token), (asked, "rich")]).charged_project == "rich"
    with pytest.raises(errors.ApiError, match="no project id"):
        authenticator.admit(METHOD, [*bearer(token), (asked, "a/b")])
    assert refused(authenticator, [*bearer(token), (asked, "demo"), (asked, "rich")]) == "ACCESS_TOKEN_TYPE_UNSUPPORTED"


def test_the_use_of_a_key_is_noted_to_the_hour(authenticator, registry, account, clock) -> None:
    authenticator.admit(METHOD, bearer(account.signed()))
    with registry.db.read() as connection:
        (row,) = accounts.keys_of(connection, account.record)
    assert row.last_used_us == int(clock()) // 3600 * 3600 * 1_000_000


def test_an_account_that_is_deleted_is_unknown_and_its_name_inherits_nothing(authenticator, registry, account) -> None:
    registry.grant(account.member, "roles/automl.admin", "projects/demo")
    token, signed, key = registry.token(account), account.signed(), registry.api_key(account)
    with registry.db.write() as connection:
        accounts.delete(connection, account.record)
    assert refused(authenticator, bearer(token)) == "ACCESS_TOKEN_TYPE_UNSUPPORTED"
    assert refused(authenticator, bearer(signed)) == "ACCESS_TOKEN_TYPE_UNSUPPORTED"
    assert refused(authenticator, [("x-goog-api-key", key)]) == "API_KEY_INVALID"
    again = registry.account("ci")
    assert again.member == account.member
    with registry.db.read() as connection:
        found = index.load(connection)
    assert found.permissions([again.member], ["projects/demo"]) == frozenset()
    assert f"deleted:{account.member}?uid={account.record.id}" in found.granted["projects/demo"]


def test_a_key_on_the_curve_p256_signs_too(authenticator, registry, account) -> None:
    key = ECKey.generate_key("P-256")
    public = key.as_dict(private=False)
    with registry.db.write() as connection:
        stored = {name: public[name] for name in ("kty", "crv", "x", "y")}
        accounts.add_key(connection, account.record, "curve", stored)
    for algorithm, kid in (("ES256", "curve"), ("ES256", account.kid)):
        header = {"alg": algorithm, "typ": "JWT", "kid": kid}
        token = jws.serialize_compact(header, json.dumps(account.claims()), key, algorithms=["ES256"])
        if kid == "curve":
            assert authenticator.admit(METHOD, bearer(token)).key == "keys/curve"
        else:
            assert refused(authenticator, bearer(token)) == "ACCESS_TOKEN_TYPE_UNSUPPORTED"
