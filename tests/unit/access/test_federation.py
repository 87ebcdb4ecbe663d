"""Tokens of identity providers at POST /token: who gets an access token, until when it is good, and what one is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.access.credentials import CLOUD_SCOPE, Registry
from tests.support.access.issuer import AUDIENCE, Issuer

from boxwright import callers, errors
from boxwright.access import (
    authenticate,
    exchange,
    federation,
    index,
    oidc_tokens,
    providers,
    quotas,
    review,
    token_status,
)
from boxwright.access.oidc_tokens import ProviderRecord

ISSUER, OTHER = Issuer(), Issuer("https://other.example")
REFUSED = (False, {"error": "invalid_grant", "error_description": "Invalid subject token."})


class Service:
    """What gives tokens, says what they are, and takes them."""

    def __init__(self, registry: Registry, clock: Any, limit: int = 0) -> None:
        reader = index.IndexReader(registry.db)
        rules = authenticate.TokenRules()
        self.authenticator = authenticate.Authenticator(registry.db, reader, rules, clock)
        self.tokens = exchange.TokenService(
            registry.db,
            self.authenticator,
            rules,
            clock,
            quotas=quotas.Quotas(quotas.QuotaLimits(tokens=limit)),
            federation=federation.Federation(reader, rules.skew_s, clock=clock),
        )
        self.status = token_status.TokenStatus(registry.db, self.authenticator, self.tokens, clock)

    def exchanged(self, token: str, name: str = "office", **changes: str) -> tuple[bool, dict[str, Any]]:
        form = {
            "grant_type": exchange.EXCHANGE,
            "audience": oidc_tokens.PROVIDERS + name,
            "scope": CLOUD_SCOPE,
            "requested_token_type": exchange.ACCESS_TOKEN_TYPE,
            "subject_token": token,
            "subject_token_type": exchange.SUBJECT_TYPES[0],
        }
        return self.tokens.answer({name: value for name, value in (form | changes).items() if value})

    def caller(self, token: str) -> callers.Caller:
        return self.authenticator.admit("m", [("authorization", f"Bearer {token}")])


def add(registry: Registry, name: str = "office", of: Issuer = ISSUER, **changes: Any) -> None:
    usual = {"issuer": of.url, "audience": AUDIENCE, "jwks": of.jwks}
    with registry.db.write() as connection:
        providers.add(connection, ProviderRecord(name, **(usual | changes)))


@pytest.fixture
def service(registry: Registry, clock) -> Service:
    return Service(registry, clock)


def test_a_token_of_a_provider_is_exchanged_for_an_access_token_of_its_subject(service, registry) -> None:
    add(registry, groups_claim="groups")
    is_given, fields = service.exchanged(ISSUER.token(groups=["labellers"]))
    assert is_given
    assert set(fields) == {"access_token", "expires_in", "token_type", "issued_token_type"}
    assert (fields["token_type"], fields["issued_token_type"]) == ("Bearer", exchange.ACCESS_TOKEN_TYPE)
    caller = service.caller(fields["access_token"])
    own = "principalSet://boxwright/providers/office/"
    assert caller.member == "principal://boxwright/providers/office/subject/ada"
    assert (caller.key, caller.groups) == ("providers/office", (f"{own}*", f"{own}group/labellers"))


def test_a_person_with_an_account_is_that_account_and_in_its_groups(service, registry) -> None:
    add(registry, email_domains=("example.org",))
    ada = registry.account("ada", email="ada@example.org")
    token = ISSUER.token(email="ada@example.org", email_verified=True)
    _, fields = service.exchanged(token)
    assert service.caller(fields["access_token"]).member == ada.member
    registry.set_disabled(ada, True)
    with pytest.raises(errors.ApiError):
        service.caller(fields["access_token"])
    assert service.exchanged(token) == REFUSED


@pytest.mark.parametrize("change", ["disabled", "deleted"])
def test_what_a_provider_has_vouched_for_ends_with_it(service, registry, change) -> None:
    add(registry, email_domains=("example.org",), sign_in_s=3600)
    person = ISSUER.token(email="ada@example.org", email_verified=True)
    texts = [service.exchanged(token)[1]["access_token"] for token in (ISSUER.token(), person)]
    refresh = service.exchanged(person, requested_token_type=exchange.REFRESH_TOKEN_TYPE)[1]["access_token"]
    by_refresh = {"grant_type": "refresh_token", "refresh_token": refresh}
    assert service.tokens.answer(by_refresh)[0]
    with registry.db.write() as connection:
        if change == "disabled":
            providers.set_disabled(connection, "office", True)
        else:
            providers.delete(connection, "office")
    for text in texts:
        with pytest.raises(errors.ApiError):
            service.caller(text)
        assert service.status.introspect({"token": text}, callers.NOWHERE) == (True, {"active": False})
    assert service.tokens.answer(by_refresh)[1]["error"] == "invalid_grant"
    assert service.exchanged(ISSUER.token()) == REFUSED


def test_a_later_provider_of_the_same_name_inherits_nothing(service, registry) -> None:
    add(registry)
    member = "principal://boxwright/providers/office/subject/ada"
    everybody = "principalSet://boxwright/providers/office/*"
    for holder in (member, everybody, "principal://boxwright/providers/office-2/subject/ada"):
        registry.grant(holder, "roles/automl.viewer", "projects/demo")
        registry.grant_folder(holder, "gs://b/", read=True)
    with registry.db.write() as connection:
        providers.delete(connection, "office")
        found = index.load(connection)
    add(registry, of=OTHER)
    left = {"principal://boxwright/providers/office-2/subject/ada"}
    assert set(found.granted["projects/demo"]) == left == set(found.bucket_grants)


def test_a_token_of_another_provider_or_for_another_audience_is_refused(service, registry) -> None:
    add(registry)
    add(registry, "other", OTHER, audience="another")
    for token, name in (
        (OTHER.token(), "office"),
        (OTHER.token(iss=ISSUER.url), "office"),
        (ISSUER.token(), "other"),
        (OTHER.token(), "other"),
        (ISSUER.token(aud="another"), "office"),
        (ISSUER.token(), "nobody"),
        (ISSUER.token(), ""),
        (ISSUER.token(iss=ISSUER.url + "/"), "office"),
    ):
        assert service.exchanged(token, name) == REFUSED
    assert service.exchanged(OTHER.token(aud="another"), "other")[0]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"subject_token_type": ""}, "invalid_request"),
        ({"subject_token_type": exchange.ACCESS_TOKEN_TYPE}, "invalid_request"),
        ({"requested_token_type": exchange.SUBJECT_TYPES[1]}, "invalid_request"),
        ({"requested_token_type": exchange.REFRESH_TOKEN_TYPE}, "invalid_request"),
        ({"actor_token": "x"}, "invalid_request"),
        ({"scope": "https://www.googleapis.com/auth/devstorage.read_only"}, "invalid_scope"),
        (
            {"audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/office"},
            "invalid_grant",
        ),
        ({"subject_token": ""}, "invalid_grant"),
    ],
    ids=[
        "saml",
        "no type",
        "access token",
        "id token wanted",
        "refresh token wanted",
        "actor",
        "scope",
        "audience",
        "none",
    ],
)
def test_other_exchanges_are_refused_in_the_standards_words(service, registry, changes, error) -> None:
    add(registry)
    is_given, fields = service.exchanged(ISSUER.token(), **changes)
    assert (is_given, fields["error"]) == (False, error)


def test_a_sign_in_lasts_as_long_as_the_provider_says(service, registry, clock) -> None:
    add(registry, sign_in_s=7200, groups_claim="groups")
    _, fields = service.exchanged(ISSUER.token(groups=["a"]), requested_token_type=exchange.REFRESH_TOKEN_TYPE)
    assert (fields["expires_in"], fields["issued_token_type"], fields["token_type"]) == (
        7200,
        exchange.REFRESH_TOKEN_TYPE,
        "N_A",
    )
    form = {"grant_type": "refresh_token", "refresh_token": fields["access_token"]}
    _, renewed = service.tokens.answer(form)
    assert "principalSet://boxwright/providers/office/group/a" in service.caller(renewed["access_token"]).groups
    clock.ahead_s = 7201
    assert service.tokens.answer(form)[1]["error"] == "invalid_grant"


def test_an_account_gets_so_many_tokens_in_a_minute_and_others_get_theirs(registry, clock) -> None:
    service = Service(registry, clock, limit=3)
    add(registry)
    for _ in range(3):
        assert service.exchanged(ISSUER.token())[0]
    with pytest.raises(errors.ApiError) as refused:
        service.exchanged(ISSUER.token())
    info = json.loads(json.dumps(dict(refused.value.details[0].metadata)))
    assert info["quota_limit"] == "AccessTokensPerMinutePerAccount"
    assert service.exchanged(ISSUER.token(sub="eve"))[0]


BAD = {
    "a name": {"name": "Office"},
    "an issuer": {"issuer": "http://issuer.example"},
    "an issuer with a query": {"issuer": "https://issuer.example/?a=1"},
    "no audience": {"audience": ""},
    "no keys": {"jwks": {"keys": []}},
    "an address": {"jwks": None, "jwks_uri": "http://169.254.169.254/keys"},
    "a domain": {"email_domains": ("example",)},
    "accounts of this installation": {"email_domains": ("demo.boxwright.localhost",)},
    "a claim": {"required_claims": {"": "x"}},
    "too long": {"sign_in_s": 31 * 86_400},
}


@pytest.mark.parametrize("case", BAD)
def test_a_provider_that_cannot_be_is_refused(registry, case) -> None:
    with pytest.raises(errors.ApiError):
        add(registry, **({"name": "office"} | BAD[case]))


def test_one_issuer_does_not_speak_for_anothers_people(registry) -> None:
    add(registry, email_domains=("example.org",))
    for changes in (
        {"name": "office", "of": OTHER},
        {"name": "again"},
        {"name": "other", "of": OTHER, "email_domains": ("example.org",)},
    ):
        with pytest.raises(errors.ApiError):
            add(registry, **changes)


def test_introspection_says_whose_a_token_is_and_until_when(service, registry) -> None:
    account = registry.account("ci")
    access, refresh = registry.token(account), registry.token(account, kind="refresh")
    for token, kind in ((access, "Bearer"), (account.signed(), "Bearer"), (refresh, "refresh_token")):
        is_fine, fields = service.status.introspect({"token": token}, callers.NOWHERE)
        assert is_fine and fields["active"]
        assert (fields["username"], fields["sub"], fields["token_type"]) == (account.email, account.member, kind)
        assert fields["exp"] - fields["iat"] == 3600
    inactive = (True, {"active": False})
    registry.set_disabled(account, True)
    for token in (access, refresh, account.signed(), "bxw_" + "0" * 49, "x", registry.api_key(account)):
        assert service.status.introspect({"token": token}, callers.NOWHERE) == inactive
    assert service.status.introspect({}, callers.NOWHERE)[1]["error"] == "invalid_request"


def test_a_revoked_token_is_refused_and_takes_its_family_along(service, registry) -> None:
    account = registry.account("ci")
    access, refresh = registry.token(account), registry.token(account, kind="refresh")
    _, renewed = service.tokens.answer({"grant_type": "refresh_token", "refresh_token": refresh})
    assert service.status.revoke({"token": access}, callers.NOWHERE) == (True, {})
    with pytest.raises(errors.ApiError):
        service.caller(access)
    assert service.caller(renewed["access_token"])
    assert service.status.revoke({"token": refresh}, callers.NOWHERE) == (True, {})
    with pytest.raises(errors.ApiError):
        service.caller(renewed["access_token"])
    assert service.status.revoke({"token": refresh}, callers.NOWHERE) == (True, {})  # as one that never was
    for other in (account.signed(), registry.api_key(account), "x"):
        assert service.status.revoke({"token": other}, callers.NOWHERE)[1]["error"] == "unsupported_token_type"
    assert service.caller(account.signed())


def test_who_has_a_role_and_no_provider_is_a_finding(registry) -> None:
    add(registry)
    for name in ("office", "gone"):
        registry.grant(f"principalSet://boxwright/providers/{name}/*", "roles/automl.viewer", "projects/demo")
    registry.account("owner")
    with registry.db.read() as connection:
        found = review.findings(connection)
    assert found == [
        "principalSet://boxwright/providers/gone/* has roles/automl.viewer on projects/demo, and there is no provider gone"
    ]
