"""Who is calling: reads a call's headers, and nothing else of it.

One credential is taken, of three forms: a token that an account has signed itself, an access token of this installation,
an API key. Two of them, or one twice, is a refusal. Why a credential was refused is written to the log, without it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence

from boxwright import errors, names
from boxwright.access import jwt_rules, members, refusals, secret_texts, token_store
from boxwright.access.index import AccessIndex, AccountRecord, IndexReader, KeyRecord, WouldWait
from boxwright.callers import Caller
from boxwright.metadata import database
from boxwright.metadata.schema import account_keys

GOOGLE_AUDIENCE = (
    "https://automl.googleapis.com/"  # what official clients sign their tokens for, wherever they send them
)
GOOGLE_TOKEN_AUDIENCE = "https://oauth2.googleapis.com/token"  # noqa: S105 — an address, no secret
SERVICES = ("google.cloud.automl.v1.AutoMl", "google.cloud.automl.v1.PredictionService")
SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
GENERATE_ACCESS_TOKEN = "google.iam.credentials.v1.IAMCredentials.GenerateAccessToken"  # noqa: S105 — a method
IAM_SCOPES = jwt_rules.CLOUD_SCOPES | {jwt_rules.IAM_SCOPE}  # with which clients call that one
MAX_REMEMBERED = 4096  # tokens whose signature was right
UNNAMED_KEYS = 2  # an account may have so many, one to be replaced by the other, if its tokens do not name their key

log = logging.getLogger(__name__)
Headers = Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class TokenRules:
    """What tokens must be like.

    Attributes:
        audiences: what a self-signed token may be for.
        token_audiences: what a token that is exchanged at ``/token`` may be for.
        skew_s: by which the clocks of callers may differ.
        life_s: of an access token.
    """

    audiences: frozenset[str] = frozenset((GOOGLE_AUDIENCE, *(GOOGLE_AUDIENCE + service for service in SERVICES)))
    token_audiences: frozenset[str] = frozenset((GOOGLE_TOKEN_AUDIENCE,))
    skew_s: float = 60.0
    life_s: float = 3600.0


class Authenticator:
    """Says who is calling.

    Args:
        db: the database with accounts and tokens.
        reader: its index.
        rules: what tokens must be like.
        clock: seconds since 1970 UTC.
    """

    def __init__(
        self, db: database.Database, reader: IndexReader, rules: TokenRules, clock: Callable[[], float] = time.time
    ) -> None:
        self._db = db
        self._reader = reader
        self._rules = rules
        self._clock = clock
        self._fail_slowly = jwt_rules.decoy_verifier()
        self._imported: dict[str, tuple[object, jwt_rules.PublicKey]] = {}
        self._used_hours: dict[str, int] = {}
        self._verified: dict[bytes, tuple[jwt_rules.Claims, jwt_rules.PublicKey]] = {}

    def admit(self, method: str, headers: Headers, *, may_wait: bool = True) -> Caller:
        """Says who is calling.

        Raises:
            ApiError: UNAUTHENTICATED; INVALID_ARGUMENT for an API key that is not known; PERMISSION_DENIED if the project
                to charge is not the caller's to use.
            WouldWait: it may not wait, and would have to.
        """
        bearers = [value for name, value in headers if name == "authorization"]
        api_keys = [value for name, value in headers if name == "x-goog-api-key"]
        projects = [value for name, value in headers if name == "x-goog-user-project"]
        if not bearers and not api_keys:
            raise refusals.credentials_missing(method)
        if len(bearers) + len(api_keys) > 1 or len(projects) > 1:
            raise self._refused(method, "more than one credential, or a header twice")
        if api_keys:
            caller, home = self._by_api_key(api_keys[0], may_wait)
        else:
            caller, home = self._by_bearer(method, bearers[0], may_wait)
        return self._charged(caller, home, projects[0]) if projects else caller

    def verified(self, text: str, *, may_wait: bool = True) -> tuple[jwt_rules.Claims, AccountRecord]:
        """The claims of a token that an account has signed, and the account; times and signature are in order.

        Raises:
            TokenRefused: they are not; after one verification of a signature, whatever the reason, or `UNNAMED_KEYS` of
                them for a token that names no key.
        """
        digest = hashlib.sha256(text.encode()).digest()
        known = self._verified.get(digest)
        try:
            claims = known[0] if known else jwt_rules.read(text)
            jwt_rules.check_times(claims, self._clock(), self._rules.skew_s)
            index = self._reader.current(may_wait=may_wait)
            key = None if claims.kid is None else self._named_key(index, claims)
        except jwt_rules.TokenRefused:
            self._fail_slowly()
            raise
        if key is None:
            key = self._signing_key(text, index, claims)
            claims = dataclasses.replace(claims, kid=key.id)
            self._remember(digest, claims, self._imported_key(key))
        elif known is None or known[1] is not self._imported_key(key):
            jwt_rules.verify(text, self._imported_key(key))
            self._remember(digest, claims, self._imported_key(key))
        self._note_use(key, may_wait)
        return claims, key.account

    def has_ended(self, member: str, key: str) -> bool:
        """Whether nobody may use a member's token any more: the account or provider behind it is disabled or gone."""
        found = self._reader.current()
        return found.has_ended(member) or self._is_of_ended_provider(found, key)

    # ---- inside -------------------------------------------------------------------------------------------------

    def _named_key(self, index: AccessIndex, claims: jwt_rules.Claims) -> KeyRecord:
        key = index.keys.get(claims.kid or "")
        if key is None or not key.is_usable(self._now_us()):
            raise jwt_rules.TokenRefused("key unknown, disabled or too old")
        if key.account.email != claims.issuer:
            raise jwt_rules.TokenRefused("issuer is not the key's account")
        if claims.algorithm != jwt_rules.ALGORITHMS[self._imported_key(key).key_type]:
            raise jwt_rules.TokenRefused("algorithm is not the key's")
        return key

    def _signing_key(self, text: str, index: AccessIndex, claims: jwt_rules.Claims) -> KeyRecord:
        """The key of the issuer's that has signed a token which names none; always as many verifications."""
        usable = [
            key
            for key in index.keys_of.get(claims.issuer, ())
            if key.is_usable(self._now_us())
            and jwt_rules.ALGORITHMS[self._imported_key(key).key_type] == claims.algorithm
        ]
        tried: list[KeyRecord | None] = [*usable] if len(usable) <= UNNAMED_KEYS else []
        found = None
        for key in (*tried, *[None] * UNNAMED_KEYS)[:UNNAMED_KEYS]:
            if key is None:
                self._fail_slowly()
                continue
            with contextlib.suppress(jwt_rules.TokenRefused):
                jwt_rules.verify(text, self._imported_key(key))
                found = key
        if found is None:
            raise jwt_rules.TokenRefused(f"it names no key, and none of its account's {len(usable)} keys is the one")
        return found

    def _by_bearer(self, method: str, header: str, may_wait: bool) -> tuple[Caller, str]:
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer" or not text or len(text) > jwt_rules.MAX_TOKEN_BYTES:
            raise self._refused(method, "another scheme than Bearer, nothing behind it, or too long")
        if secret_texts.is_well_formed(text, secret_texts.ACCESS_PREFIX):
            return self._by_access_token(method, text, may_wait)
        try:
            claims, account = self.verified(text, may_wait=may_wait)
            scopes = IAM_SCOPES if method == GENERATE_ACCESS_TOKEN else jwt_rules.CLOUD_SCOPES
            jwt_rules.check_self_signed(claims, self._rules.audiences, scopes)
        except jwt_rules.TokenRefused as refused:
            raise self._refused(method, f"self-signed token: {refused}") from refused
        if account.is_disabled:
            raise refusals.account_disabled(method)
        groups = self._reader.latest.groups.get(account.member, ())
        return Caller(account.member, f"keys/{claims.kid}", groups=groups), account.project

    def _by_access_token(self, method: str, text: str, may_wait: bool) -> tuple[Caller, str]:
        found, row = self._reader.with_token(secret_texts.digest(text), may_wait=may_wait)
        if row is None or row.kind != token_store.ACCESS:
            raise self._refused(method, "access token unknown")
        if row.expires_us <= self._now_us():
            raise refusals.token_expired(method)
        account = found.accounts.get(row.member)
        if account is not None and account.is_disabled:
            raise refusals.account_disabled(method)
        actors = tuple(json.loads(row.actors))
        if any(map(found.has_ended, (row.member, *actors))) or self._is_of_ended_provider(found, row.key):
            raise self._refused(method, "access token of an account or provider that is disabled or gone")
        home = account.project if account else ""
        groups = (*found.groups.get(row.member, ()), *json.loads(row.member_groups))
        return Caller(row.member, row.key, groups=groups, actors=actors), home

    def _is_of_ended_provider(self, found: AccessIndex, key: str) -> bool:
        name = key.removeprefix("providers/")
        if name == key:
            return False
        provider = found.providers.get(name)
        return provider is None or provider.is_disabled

    def _by_api_key(self, text: str, may_wait: bool) -> tuple[Caller, str]:
        key = None
        if secret_texts.is_well_formed(text, secret_texts.API_KEY_PREFIX):
            key = self._reader.current(may_wait=may_wait).api_keys.get(secret_texts.digest(text))
        if key is None or not key.is_usable(self._now_us()) or key.account.is_disabled:
            raise refusals.api_key_invalid()
        groups = self._reader.latest.groups.get(key.account.member, ())
        caller = Caller(key.account.member, f"apiKeys/{key.id}", groups=groups, narrowed_to=key.permissions)
        return caller, key.account.project

    def _charged(self, caller: Caller, home: str, project: str) -> Caller:
        resource = f"projects/{project}"
        who = members.counted_as(caller.member, caller.groups)
        if not names.is_name(resource) or "/" in project:
            raise errors.bad_request("The header x-goog-user-project is no project id.")
        may_charge = "serviceusage.services.use"
        if project != home and not self._reader.latest.allows(who, may_charge, [resource]):
            raise refusals.project_denied(project)
        return dataclasses.replace(caller, charged_project=project)

    def _imported_key(self, key: KeyRecord) -> jwt_rules.PublicKey:
        kept = self._imported.get(key.id)
        if kept is None or kept[0] != key.public_jwk:
            kept = (key.public_jwk, jwt_rules.imported_key(dict(key.public_jwk or {})))
            self._imported[key.id] = kept
        return kept[1]

    def _remember(self, digest: bytes, claims: jwt_rules.Claims, key: jwt_rules.PublicKey) -> None:
        """Keeps that a signature is right: clients send one token many times, and all else is judged at each call."""
        if len(self._verified) >= MAX_REMEMBERED:
            self._verified.clear()
        self._verified[digest] = (claims, key)

    def _note_use(self, key: KeyRecord, may_wait: bool) -> None:
        hour_us = self._now_us() // HOUR_US * HOUR_US
        if self._used_hours.get(key.id) == hour_us:
            return
        if not may_wait:
            raise WouldWait
        self._used_hours[key.id] = hour_us
        try:
            with self._db.write(exclusive=False) as connection:
                used = account_keys.update().where(account_keys.c.kid == key.id)
                connection.execute(used.values(last_used_us=hour_us))
        except errors.ApiError as error:  # the call itself does not depend on it
            log.warning("event=key_use_not_noted kid=%s reason=%s", key.id, error)

    def _now_us(self) -> int:
        return round(self._clock() * SECOND_US)

    def _refused(self, method: str, reason: str) -> errors.ApiError:
        log.info("event=credentials_refused method=%s reason=%r", method, reason)
        return refusals.credentials_invalid(method)
