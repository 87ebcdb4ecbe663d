"""Tokens that accounts sign themselves (JSON Web Tokens), judged by form and time; knows no database.

`read(text)` is stricter than RFC 7519: what a client of Google's never sends is refused before a key is looked for. The
signature is `verify`'s, by joserfc; a token that names no key of ours costs one verification all the same.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import secrets
from collections.abc import Callable
from typing import Any, NoReturn

from joserfc import errors as jose_errors
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

MAX_TOKEN_BYTES = 8192
MAX_LIFE_S = 3600
MAX_DEPTH = 4
CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
IAM_SCOPE = "https://www.googleapis.com/auth/iam"  # what clients ask for to speak for an account
CLOUD_SCOPES = frozenset((CLOUD_SCOPE,))
PublicKey = RSAKey | ECKey
ALGORITHMS = {"RSA": "RS256", "EC": "ES256"}  # by the key's type
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_KID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class TokenRefused(Exception):
    """What is wrong with a token, for the log: callers are not told."""


@dataclasses.dataclass(frozen=True)
class Claims:
    """A token's header and claims, each of the right type; the signature is not yet looked at.

    Attributes:
        audience: None: the token has none.
        kid: id of the key; None: the token names none, as those of Google's library for Ruby.
        scopes: None: the token has no claim `scope`.
        issued_s, expires_s: seconds since 1970 UTC.
    """

    kid: str | None
    algorithm: str
    issuer: str
    audience: str | None
    scopes: frozenset[str] | None
    issued_s: int
    expires_s: int


def read(text: str) -> Claims:
    """Reads a token.

    Raises:
        TokenRefused: its form, header or claims are not what an account's token has.
    """
    header, claims = parts(text)
    if not {"alg"} <= header.keys() <= {"alg", "typ", "kid"} or header.get("typ", "JWT") != "JWT":
        raise TokenRefused("header")
    if header["alg"] not in ALGORITHMS.values():
        raise TokenRefused("algorithm")
    if "kid" in header and (not isinstance(header["kid"], str) or not _KID.fullmatch(header["kid"])):
        raise TokenRefused("kid")
    issuer, scope, audience = text_of(claims, "iss"), text_of(claims, "scope"), text_of(claims, "aud")
    if not issuer or claims.get("sub", issuer) != issuer:
        raise TokenRefused("subject")
    scopes = None if scope is None else frozenset(scope.split())
    return Claims(
        header.get("kid"),
        header["alg"],
        issuer,
        audience,
        scopes,
        whole_number(claims, "iat"),
        whole_number(claims, "exp"),
    )


def parts(
    text: str, *, max_bytes: int = MAX_TOKEN_BYTES, max_depth: int = MAX_DEPTH
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of any token, as they are written; nothing of them is judged yet.

    Raises:
        TokenRefused: it has not three parts of base64url, each in its one spelling; or they are no JSON objects, have a
            name twice, or are nested too deep.
    """
    if len(text) > max_bytes or not _FORM.fullmatch(text):
        raise TokenRefused("form")
    first, second, third = text.split(".")
    header, claims = _object(first, max_depth), _object(second, max_depth)
    _decoded(third)
    return header, claims


def check_times(claims: Claims, now_s: float, skew_s: float) -> None:
    """Raises TokenRefused unless a token was issued before now, for an hour at most, and that is not over."""
    if claims.expires_s - claims.issued_s > MAX_LIFE_S or claims.expires_s <= claims.issued_s:
        raise TokenRefused("life")
    if claims.issued_s > now_s + skew_s:
        raise TokenRefused("from the future")
    if claims.expires_s <= now_s - skew_s:
        raise TokenRefused("expired")


def check_self_signed(claims: Claims, audiences: frozenset[str], scopes: frozenset[str] = CLOUD_SCOPES) -> None:
    """Raises TokenRefused unless a token is for this API: by one of the audiences, or by a scope, and not by both."""
    if (claims.audience is None) == (claims.scopes is None):
        raise TokenRefused("either audience or scope")
    if claims.audience is not None and claims.audience not in audiences:
        raise TokenRefused("audience")
    if claims.scopes is not None and not claims.scopes & scopes:
        raise TokenRefused("scope")


def imported_key(public_jwk: dict[str, Any]) -> PublicKey:
    """The key of joserfc for a stored public key."""
    return RSAKey.import_key(public_jwk) if public_jwk["kty"] == "RSA" else ECKey.import_key(public_jwk)


def verify(text: str, key: PublicKey) -> None:
    """Raises TokenRefused unless the token was signed by the private half of the key."""
    try:
        jws.deserialize_compact(text, key, algorithms=[ALGORITHMS[key.key_type]])
    except (jose_errors.JoseError, ValueError) as error:
        raise TokenRefused("signature") from error


def decoy_verifier() -> Callable[[], None]:
    """A verification with a key that nobody has, which takes the time of a real one and always fails."""
    modulus = secrets.randbits(2048) | (1 << 2047) | 1
    n = base64.urlsafe_b64encode(modulus.to_bytes(256, "big")).decode().rstrip("=")
    key = RSAKey.import_key({"kty": "RSA", "n": n, "e": "AQAB"})
    parts = [json.dumps(part, separators=(",", ":")).encode() for part in ({"alg": "RS256"}, {"iss": "nobody"})]
    text = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, b"\1" * 256))

    def fail() -> None:
        try:
            jws.deserialize_compact(text, key, algorithms=["RS256"])
        except (jose_errors.JoseError, ValueError):
            return

    return fail


def _decoded(part: str) -> bytes:
    """Decodes base64url; a part has one spelling only."""
    try:
        content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError as error:
        raise TokenRefused("encoding") from error
    if base64.urlsafe_b64encode(content).decode().rstrip("=") != part:
        raise TokenRefused("encoding")
    return content


def _object(part: str, max_depth: int) -> dict[str, Any]:
    content = _decoded(part)
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise TokenRefused("JSON") from error
    if not isinstance(value, dict) or _depth(value) > max_depth:
        raise TokenRefused("JSON")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise TokenRefused("a name is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise TokenRefused("JSON")


def _depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inside), default=0) if isinstance(value, dict | list) else 0


def text_of(claims: dict[str, Any], name: str) -> str | None:
    """A claim that is a text, None if it is not there; TokenRefused if it is something else."""
    value = claims.get(name)
    if name in claims and not isinstance(value, str):
        raise TokenRefused(name)
    return value


def whole_number(claims: dict[str, Any], name: str) -> int:
    """A claim that is a whole number; TokenRefused if it is something else, or is not there."""
    value = claims.get(name)
    if type(value) is not int:
        raise TokenRefused(name)
    return value
