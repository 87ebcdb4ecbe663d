"""POST /token: who gets an access token, and the words of those who do not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.access.credentials import CLOUD_SCOPE, Account, Registry

from boxwright.access import authenticate, exchange, index, token_store

AUDIENCE = authenticate.GOOGLE_TOKEN_AUDIENCE


@pytest.fixture
def account(registry: Registry) -> Account:
    return registry.account("ci")


@pytest.fixture
def service(registry: Registry, clock) -> exchange.TokenService:
    rules = authenticate.TokenRules()
    authenticator = authenticate.Authenticator(registry.db, index.IndexReader(registry.db), rules, clock)
    return exchange.TokenService(registry.db, authenticator, rules, clock)


def by_assertion(account: Account, **claims: Any) -> dict[str, str]:
    return {"grant_type": exchange.JWT_BEARER, "assertion": account.signed(**({"aud": AUDIENCE} | claims))}


def by_refresh(token: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": token, "client_id": "any"}


def test_an_assertion_is_exchanged_for_an_access_token_of_the_account(service, account, registry) -> None:
    is_given, fields = service.answer(by_assertion(account, scope=CLOUD_SCOPE))
    assert is_given
    assert (fields["expires_in"], fields["token_type"]) == (3600, "Bearer")
    reader = index.IndexReader(registry.db)
    authenticator = authenticate.Authenticator(registry.db, reader, authenticate.TokenRules())
    caller = authenticator.admit("m", [("authorization", f"Bearer {fields['access_token']}")])
    assert (caller.member, caller.key) == (account.member, f"keys/{account.kid}")


def test_an_assertion_for_an_id_token_is_answered_with_an_access_token(service, account) -> None:
    is_given, fields = service.answer(by_assertion(account, target_audience="https://example.org"))
    assert is_given
    assert set(fields) == {"access_token", "expires_in", "token_type"}


@pytest.mark.parametrize(
    "claims",
    [{"aud": "https://automl.googleapis.com/"}, {"aud": None}, {"sub": "user@example.org"}, {"exp": 1}, {"iss": "x@y"}],
)
def test_another_assertion_is_an_invalid_grant(service, account, claims) -> None:
    assert service.answer(by_assertion(account, **claims)) == (
        False,
        {"error": "invalid_grant", "error_description": "Invalid JWT Signature."},
    )


def test_a_refresh_token_may_be_used_again_until_it_ends(service, account, registry, clock) -> None:
    text = registry.token(account, kind=token_store.REFRESH, life_s=token_store.REFRESH_LIFE_S)
    first, second = service.answer(by_refresh(text)), service.answer(by_refresh(text))
    assert first[0] and second[0]
    assert first[1]["access_token"] != second[1]["access_token"]
    clock.ahead_s = token_store.REFRESH_LIFE_S + 1
    assert service.answer(by_refresh(text))[1]["error"] == "invalid_grant"


def test_what_is_no_refresh_token_or_was_revoked_gives_none(service, account, registry) -> None:
    text = registry.token(account, kind=token_store.REFRESH)
    for other in ("", "x", "bxr_" + "0" * 49, registry.token(account), registry.api_key(account)):
        assert service.answer(by_refresh(other))[1]["error"] == "invalid_grant"
    with registry.db.write() as connection:
        assert token_store.revoke_all(connection, account.member) == 2
    assert service.answer(by_refresh(text))[1]["error"] == "invalid_grant"


def test_a_disabled_account_gets_no_token(service, account, registry) -> None:
    text = registry.token(account, kind=token_store.REFRESH)
    registry.set_disabled(account, True)
    for form in (by_assertion(account), by_refresh(text)):
        assert service.answer(form) == (
            False,
            {"error": "invalid_grant", "error_description": "The account is disabled."},
        )


@pytest.mark.parametrize(
    ("form", "error"),
    [({}, "invalid_request"), ({"grant_type": "password"}, "unsupported_grant_type")],
    ids=["nothing", "password"],
)
def test_other_requests_are_refused_in_rfc_6749s_words(service, form, error) -> None:
    assert service.answer(form)[1]["error"] == error


def test_tokens_that_expired_more_than_a_day_ago_are_forgotten(service, account, registry, clock) -> None:
    _, old = service.answer(by_assertion(account))
    clock.ahead_s = 3600 + 86_400 + 10
    with registry.db.write() as connection:
        now_us = round(clock() * 1e6)
        token_store.issue(connection, token_store.ACCESS, token_store.TokenHolder(account.member), 60, now_us)
    reader = index.IndexReader(registry.db)
    from boxwright.access import secret_texts

    assert reader.with_token(secret_texts.digest(old["access_token"]))[1] is None
