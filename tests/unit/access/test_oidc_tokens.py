"""Tokens of identity providers: which are taken, whom they speak for, and which keys count."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.support.access.issuer import AUDIENCE, Issuer, SigningKey

from boxwright.access import oidc_tokens
from boxwright.access.jwt_rules import TokenRefused
from boxwright.access.oidc_tokens import ProviderRecord

ISSUER = Issuer()


def provider(**changes: Any) -> ProviderRecord:
    return ProviderRecord("office", **({"issuer": ISSUER.url, "audience": AUDIENCE, "jwks": ISSUER.jwks} | changes))


def judged(text: str, found: ProviderRecord | None = None) -> tuple[str, tuple[str, ...]]:
    """The whole judgement, as `federation` makes it."""
    found = found or provider()
    token = oidc_tokens.read(text)
    oidc_tokens.check(token, found, time.time(), 60)
    key = oidc_tokens.usable_keys(found.jwks).get(token.kid)
    if key is None or token.algorithm not in oidc_tokens.ALGORITHMS[key.key_type]:
        raise TokenRefused("key")
    oidc_tokens.verify(text, token, key)
    return oidc_tokens.holder(token, found)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_token_is_taken_by_the_key_of_its_issuer(algorithm: str) -> None:
    issuer = Issuer(algorithm=algorithm)
    found = provider(jwks=issuer.jwks)
    member, groups = judged(issuer.token(), found)
    assert member == "principal://boxwright/providers/office/subject/ada"
    assert groups == ("principalSet://boxwright/providers/office/*",)
    other = Issuer(algorithm=algorithm)
    with pytest.raises(TokenRefused):
        judged(other.token(), found)


def test_ed25519_is_known_by_its_newer_name_too() -> None:
    issuer = Issuer(algorithm="EdDSA")
    assert judged(issuer.token(header=issuer.header(alg="Ed25519")), provider(jwks=issuer.jwks))


@pytest.mark.parametrize(
    ("claims", "group"),
    [
        ({"email": "Ada@Example.org", "email_verified": True}, "user:ada@example.org"),
        ({"email": "ada@example.org"}, None),
        ({"email": "ada@example.org", "email_verified": False}, None),
        ({"email": "ada@example.org", "email_verified": "true"}, None),
        ({"email": "ada@example.org", "email_verified": 1}, None),
        ({"email": "ada@sub.example.org", "email_verified": True}, None),
        ({"email": "ada@example.org.evil.example", "email_verified": True}, None),
        ({"email": "ada@evil.example@example.org", "email_verified": True}, None),
        ({"email": "ada@evil.example", "email_verified": True}, None),
        ({"email": ["ada@example.org"], "email_verified": True}, None),
        ({"email": "ada@example.org\n", "email_verified": True}, None),
        ({"email": "ada,eve@example.org", "email_verified": True}, None),
        ({"email": "ädä@example.org", "email_verified": True}, None),
    ],
)
def test_an_address_counts_if_it_is_verified_and_the_providers(claims: dict[str, Any], group: str | None) -> None:
    member, _ = judged(ISSUER.token(**claims), provider(email_domains=("example.org",)))
    assert member == (group or "principal://boxwright/providers/office/subject/ada")


def test_nobody_speaks_for_addresses_without_domains() -> None:
    member, _ = judged(ISSUER.token(email="ada@example.org", email_verified=True))
    assert member.startswith("principal:")


def test_two_providers_of_one_subject_are_two_members() -> None:
    first, _ = judged(ISSUER.token())
    token = oidc_tokens.read(ISSUER.token())
    second, _ = oidc_tokens.holder(token, ProviderRecord("other", ISSUER.url, AUDIENCE))
    assert first != second


@pytest.mark.parametrize(
    "subject",
    ["", "a b", "a" * 201, "ä", "a\u0000b", 7, None, ["ada"], "ada\n"],
    ids=lambda subject: repr(subject)[:12],
)
def test_a_subject_that_no_policy_could_name_is_refused(subject: Any) -> None:
    with pytest.raises(TokenRefused, match="subject"):
        judged(ISSUER.token(sub=subject))


def test_a_subject_cannot_spell_another_provider() -> None:
    member, groups = judged(ISSUER.token(sub="x/../../providers/other/subject/eve"))
    assert member == "principal://boxwright/providers/office/subject/x/../../providers/other/subject/eve"
    from boxwright.access import members

    assert members.provider_of(member) == "office"
    assert members.counted_as(member, groups) == (member, *groups, "allAuthenticatedUsers")


def test_groups_and_subjects_are_named_by_claims_or_pointers() -> None:
    own = "principalSet://boxwright/providers/office/"
    found = provider(groups_claim="/realm/roles", subject_claim="/who~1is/id")
    token = ISSUER.token(**{"realm": {"roles": ["a", "b", "a", "c d", 7]}, "who/is": {"id": "u1"}})
    assert judged(token, found) == (
        "principal://boxwright/providers/office/subject/u1",
        (f"{own}*", f"{own}group/a", f"{own}group/b"),
    )
    assert judged(ISSUER.token(groups="one"), provider(groups_claim="groups"))[1] == (f"{own}*", f"{own}group/one")
    assert judged(ISSUER.token(groups=["one"]))[1] == (f"{own}*",)
    with pytest.raises(TokenRefused, match="groups"):
        judged(ISSUER.token(groups=[str(number) for number in range(201)]), provider(groups_claim="groups"))


def test_required_claims_are_texts_or_in_lists() -> None:
    found = provider(required_claims={"hd": "example.org", "/team/name": "boxes"})
    assert judged(ISSUER.token(hd="example.org", team={"name": ["boxes", "x"]}), found)
    for claims in ({}, {"hd": "example.org"}, {"hd": "Example.org", "team": {"name": "boxes"}}, {"hd": True}):
        with pytest.raises(TokenRefused, match="claim"):
            judged(ISSUER.token(**claims), found)


@pytest.mark.parametrize(
    "audience", [[AUDIENCE], AUDIENCE, [AUDIENCE, AUDIENCE]], ids=["a list of one", "a text", "a list of one twice"]
)
def test_an_audience_is_a_text_or_a_list(audience: Any) -> None:
    assert judged(ISSUER.token(aud=audience))


def test_a_token_for_several_must_have_been_given_to_this_service() -> None:
    assert judged(ISSUER.token(aud=[AUDIENCE, "other"], azp=AUDIENCE))
    assert judged(ISSUER.token(azp="a-program-of-the-issuer"))
    for azp in (None, "other"):
        with pytest.raises(TokenRefused, match="for others"):
            judged(ISSUER.token(aud=[AUDIENCE, "other"], azp=azp))


def test_keys_that_are_not_for_signatures_or_not_strong_are_left_out() -> None:
    good, weak, twice = SigningKey("good"), SigningKey("weak", bits=1024), SigningKey("twice")
    jwks = {
        "keys": [
            good.jwk,
            weak.jwk,
            twice.jwk,
            twice.jwk,
            {**good.jwk, "kid": "encryption", "use": "enc"},
            {**good.jwk, "kid": "other", "alg": "RS512"},
            {**good.jwk, "kid": "operations", "key_ops": ["encrypt"]},
            {**good.jwk, "kid": "private", "d": "AQAB"},
            {**good.jwk, "kid": None},
            {**good.jwk, "kid": "exponent", "e": "AQ"},
            {**good.jwk, "kid": "number", "n": 5},
            {"kid": "secret", "kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
            {**SigningKey("curve", "ES256").jwk, "crv": "P-384"},
            {**SigningKey("point", "ES256").jwk, "x": "AAAA"},
            "no key",
        ]
    }
    assert set(oidc_tokens.usable_keys(jwks)) == {"good"}
    for nothing in (None, [], {}, {"keys": None}, {"keys": "x"}):
        assert oidc_tokens.usable_keys(nothing) == {}
