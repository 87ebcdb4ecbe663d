"""Tokens of identity providers (OpenID Connect), judged by form, claims and time; knows no database and no network.

    read(text)          header and claims, each of the right type
    check(token, …)     whether the provider has issued it, for this service, for now
    usable_keys(jwks)   the keys of a provider that are taken, by their id
    verify(text, key)   the signature
    holder(token, …)    which member of policies it is, and its groups

A key is asked for by its id among the provider's own; what a token says of keys itself is refused. The key decides on the
algorithm, not the token.
"""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import errors as jose_errors
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from boxwright.access import jwt_rules, members
from boxwright.access.jwt_rules import TokenRefused

MAX_TOKEN_BYTES = 12 * 1024  # hundreds of groups
MAX_DEPTH = 8
MAX_LIFE_S = 24 * 3600
MAX_GROUPS = 200
MAX_KEYS = 100
RSA_BITS = (2048, 4096)
PROVIDERS = "//boxwright/providers/"
ProviderKey = RSAKey | ECKey | OKPKey
ALGORITHMS = {"RSA": ("RS256",), "EC": ("ES256",), "OKP": ("Ed25519", "EdDSA")}  # by the key's type
_HEADERS = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})  # thumbprints, which are not looked at
_KID = re.compile(r"[\x21-\x7e]{1,200}")
_PUBLIC_FIELDS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}


@dataclasses.dataclass(frozen=True)
class ProviderRecord:
    """An identity provider.

    Attributes:
        jwks_uri: where its keys are asked for; None: they are in `jwks`.
        email_domains: of the people for whom it speaks, in small letters.
        subject_claim, groups_claim: names of claims, or JSON pointers; empty groups: it says nothing of groups.
        required_claims: what a token must say beside, name to text.
        sign_in_s: for which a person's refresh token is valid; 0: nobody gets one.
    """

    name: str
    issuer: str
    audience: str
    jwks_uri: str | None = None
    jwks: Mapping[str, Any] | None = None
    email_domains: Sequence[str] = ()
    subject_claim: str = "sub"
    groups_claim: str = ""
    required_claims: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sign_in_s: int = 0
    is_disabled: bool = False


@dataclasses.dataclass(frozen=True)
class ProviderToken:
    """A token whose signature is not yet looked at."""

    kid: str
    algorithm: str
    claims: Mapping[str, Any]


def read(text: str) -> ProviderToken:
    """Reads a token.

    Raises:
        TokenRefused: its form or header is not what a provider's token has.
    """
    header, claims = jwt_rules.parts(text, max_bytes=MAX_TOKEN_BYTES, max_depth=MAX_DEPTH)
    if not header.keys() <= _HEADERS or str(header.get("typ", "JWT")).upper() != "JWT":
        raise TokenRefused("header")
    kid, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise TokenRefused("kid")
    if not any(algorithm in of_type for of_type in ALGORITHMS.values()):
        raise TokenRefused("algorithm")
    if "events" in claims:
        raise TokenRefused("an event, such as a logout, and no sign-in")
    return ProviderToken(kid, str(algorithm), claims)


def check(token: ProviderToken, provider: ProviderRecord, now_s: float, skew_s: float) -> None:
    """Raises TokenRefused unless the provider says that it is its own, for this service alone, and for now."""
    claims = dict(token.claims)
    if jwt_rules.text_of(claims, "iss") != provider.issuer:
        raise TokenRefused("issuer")
    _check_audience(claims, provider.audience)
    issued_s, expires_s = jwt_rules.whole_number(claims, "iat"), jwt_rules.whole_number(claims, "exp")
    begins_s = jwt_rules.whole_number(claims, "nbf") if "nbf" in claims else issued_s
    if expires_s <= issued_s or expires_s - issued_s > MAX_LIFE_S:
        raise TokenRefused("life")
    if max(issued_s, begins_s) > now_s + skew_s:
        raise TokenRefused("from the future")
    if expires_s <= now_s - skew_s:
        raise TokenRefused("expired")
    for name, wanted in provider.required_claims.items():
        found = claim(claims, name)
        if found != wanted and not (isinstance(found, list) and wanted in found):
            raise TokenRefused(f"claim {name}")


def _check_audience(claims: dict[str, Any], wanted: str) -> None:
    """A token for several could be used here by each of the others, unless it was given to us."""
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not all(isinstance(one, str) for one in named) or wanted not in named:
        raise TokenRefused("audience")
    if len(set(named)) > 1 and claims.get("azp") != wanted:
        raise TokenRefused("for others too")


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """The claim of a name, or at a JSON pointer (RFC 6901); None if there is none."""
    if not path.startswith("/"):
        return claims.get(path)
    found: Any = claims
    for step in path[1:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def usable_keys(jwks: Any) -> dict[str, ProviderKey]:
    """The public keys of a JSON Web Key Set (RFC 7517) that are taken, by their id; others are left out.

    A key without an id, for encryption, of another kind or size, or one that is secret, is left out; so are two of one id.
    """
    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    found: dict[str, ProviderKey] = {}
    twice: set[str] = set()
    for jwk in listed[:MAX_KEYS] if isinstance(listed, list) else ():
        key = _usable_key(jwk)
        if key is None:
            continue
        if jwk["kid"] in found:
            twice.add(jwk["kid"])
        found[jwk["kid"]] = key
    return {kid: key for kid, key in found.items() if kid not in twice}


def _usable_key(jwk: Any) -> ProviderKey | None:
    if not isinstance(jwk, Mapping) or not isinstance(jwk.get("kid"), str) or not _KID.fullmatch(jwk["kid"]):
        return None
    kind = jwk.get("kty")
    if kind not in ALGORITHMS or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None
    if jwk.get("alg", ALGORITHMS[kind][0]) not in ALGORITHMS[kind] or "verify" not in jwk.get("key_ops", ["verify"]):
        return None
    public: dict[str, Any] = {name: jwk.get(name) for name in ("kty", *_PUBLIC_FIELDS[kind])}
    if not all(isinstance(value, str) for value in public.values()):
        return None
    if kind != "RSA" and public["crv"] != {"EC": "P-256", "OKP": "Ed25519"}[kind]:
        return None
    try:
        if kind == "EC":
            return ECKey.import_key(public)
        if kind == "OKP":
            return OKPKey.import_key(public)
        modulus, exponent = _number(public["n"]), _number(public["e"])
        if not RSA_BITS[0] <= modulus.bit_length() <= RSA_BITS[1] or exponent % 2 == 0 or not 2 < exponent < 1 << 32:
            return None
        return RSAKey.import_key(public)
    except (jose_errors.JoseError, ValueError):
        return None


def _number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


class _OneAlgorithm(jws.JWSRegistry):
    """Knows one algorithm: the key's, under either of its names."""

    def get_alg(self, name: str) -> Any:
        """The algorithm; the library warns of the older name of Ed25519, which most providers still write."""
        if name not in (self.allowed or ()):
            raise jose_errors.UnsupportedAlgorithmError(name)
        return self.algorithms[name]


def verify(text: str, token: ProviderToken, key: ProviderKey) -> None:
    """Raises TokenRefused unless the token was signed by the private half of the key, whose type has its algorithm."""
    try:
        jws.deserialize_compact(text, key, registry=_OneAlgorithm(algorithms=[token.algorithm]))
    except (jose_errors.JoseError, ValueError) as error:
        raise TokenRefused("signature") from error


def holder(token: ProviderToken, provider: ProviderRecord) -> tuple[str, tuple[str, ...]]:
    """The member that a token speaks for, and the further members that it counts as.

    Raises:
        TokenRefused: it names nobody, or too many groups.
    """
    subject = claim(token.claims, provider.subject_claim)
    member = f"principal:{PROVIDERS}{provider.name}/subject/{subject}"
    if not isinstance(subject, str) or not members.is_member(member):
        raise TokenRefused("subject")
    groups = claim(token.claims, provider.groups_claim) if provider.groups_claim else None
    named = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    if len(named) > MAX_GROUPS:
        raise TokenRefused("more than 200 groups")
    own = f"principalSet:{PROVIDERS}{provider.name}/"
    counted = dict.fromkeys(f"{own}group/{group}" for group in named if isinstance(group, str))
    return _person(token, provider) or member, (f"{own}*", *filter(members.is_member, counted))


def _person(token: ProviderToken, provider: ProviderRecord) -> str | None:
    """The person whose address the provider has verified and may speak for."""
    address = token.claims.get("email")
    if not isinstance(address, str) or token.claims.get("email_verified") is not True:
        return None
    member = members.canonical(f"user:{address}")
    if not members.is_member(member) or member.rpartition("@")[2] not in provider.email_domains:
        return None
    return member
