"""``POST /token``: what an account or a person has, against an access token (RFC 6749, 7523).

    urn:ietf:params:oauth:grant-type:jwt-bearer      an assertion that an account has signed
    refresh_token                                    the refresh token of a credentials file
    urn:ietf:params:oauth:grant-type:token-exchange  a token of an identity provider (RFC 8693)

Answers and errors have the form that RFC 6749 gives them, which is what Google's client libraries read.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from google.rpc import code_pb2

from boxwright import callers, errors
from boxwright.access import jwt_rules, providers, token_store
from boxwright.access.authenticate import SECOND_US, Authenticator, TokenRules
from boxwright.access.federation import Federation
from boxwright.metadata import database

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
REFRESH = "refresh_token"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_TYPE = "urn:ietf:params:oauth:token-type:"
ACCESS_TOKEN_TYPE, REFRESH_TOKEN_TYPE = f"{_TYPE}access_token", f"{_TYPE}refresh_token"
SUBJECT_TYPES = (f"{_TYPE}jwt", f"{_TYPE}id_token")
SCOPES = frozenset((jwt_rules.CLOUD_SCOPE, jwt_rules.IAM_SCOPE))
METHOD = "boxwright.access.ExchangeToken"  # its name in the audit log
log = logging.getLogger(__name__)


class GrantRefused(Exception):
    """Why no token is given: `error` is one of RFC 6749's words."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


class CallRecorder(Protocol):
    """Where requests for tokens are recorded."""

    def check(self) -> None:
        """Raises UNAVAILABLE if a token that is given could not be recorded."""

    def record(self, call: callers.CallRecord) -> None:
        """Records a request; raises UNAVAILABLE if a token was given and that cannot be recorded."""


class TokenQuota(Protocol):
    """How many requests may fail, and how many tokens are given."""

    def count_token(self, member: str) -> None:
        """Counts a token that is given to a member; raises RESOURCE_EXHAUSTED if there are too many."""

    def count_failure(self, address: str, error: errors.ApiError) -> None:
        """Counts a failure of an address; raises RESOURCE_EXHAUSTED if there are too many."""


class TokenService:
    """Answers requests for tokens.

    Args:
        db: the database.
        authenticator: verifies assertions.
        rules: what they must be like.
        recorder: records every request; None: nobody does.
        quotas: say how many may fail, and how many are given; None: without limit.
        federation: judges tokens of identity providers; None: there are none.
        clock: seconds since 1970 UTC.
    """

    def __init__(
        self,
        db: database.Database,
        authenticator: Authenticator,
        rules: TokenRules,
        clock: Callable[[], float] = time.time,
        *,
        recorder: CallRecorder | None = None,
        quotas: TokenQuota | None = None,
        federation: Federation | None = None,
    ) -> None:
        self._db = db
        self._recorder = recorder
        self._quotas = quotas
        self._authenticator = authenticator
        self._rules = rules
        self._clock = clock
        self._federation = federation

    def answer(self, form: Mapping[str, str], origin: callers.Origin = callers.NOWHERE) -> tuple[bool, dict[str, Any]]:
        """Answers a form of parameters: whether a token is given, and the fields of the response.

        Raises:
            ApiError: the database cannot be reached, or the request cannot be recorded; RESOURCE_EXHAUSTED if too many
                requests of the address have failed.
        """
        if self._recorder is not None:
            self._recorder.check()
        try:
            holder, refresh_s = self._holder(form)
        except GrantRefused as refused:
            self.refused(str(refused), origin)
            return False, {"error": refused.error, "error_description": str(refused)}
        caller = callers.Caller(holder.member, holder.key, groups=tuple(holder.groups), origin=origin)
        record = callers.CallRecord(METHOD, caller, resource=holder.member)
        try:
            if self._quotas is not None:
                self._quotas.count_token(holder.member)
        except errors.ApiError as too_many:
            self.recorded(dataclasses.replace(record, error=too_many))
            raise
        fields = self._issued(holder, refresh_s)
        if form.get("grant_type") == EXCHANGE:
            fields["issued_token_type"] = ACCESS_TOKEN_TYPE if refresh_s is None else REFRESH_TOKEN_TYPE
        self.recorded(record)  # a token that is not recorded is not handed out
        return True, fields

    def refused(self, reason: str, origin: callers.Origin, method: str = METHOD) -> None:
        """Counts and records a request that gets no token; RESOURCE_EXHAUSTED if there are too many."""
        error = errors.ApiError(code_pb2.UNAUTHENTICATED, reason)
        try:
            if self._quotas is not None:
                self._quotas.count_failure(origin.address, error)
        except errors.ApiError as too_many:
            error = too_many
            raise
        finally:
            if self._recorder is not None:
                self._recorder.record(callers.CallRecord(method, callers.Caller(origin=origin), error=error))

    def recorded(self, record: callers.CallRecord) -> None:
        """Records a request that was answered; raises UNAVAILABLE if that is not possible."""
        if self._recorder is not None:
            self._recorder.record(record)

    def _holder(self, form: Mapping[str, str]) -> tuple[token_store.TokenHolder, int | None]:
        """For whom a form asks for a token; the life of the refresh token if it asks for one, else None."""
        kind = form.get("grant_type", "")
        if kind == JWT_BEARER:
            return self._for_assertion(form.get("assertion", "")), None
        if kind == REFRESH:
            return self._for_refresh_token(form.get("refresh_token", "")), None
        if kind == EXCHANGE and self._federation is not None:
            return self._for_subject_token(form, self._federation)
        if not kind:
            raise GrantRefused("invalid_request", "Missing required parameter: grant_type")
        raise GrantRefused("unsupported_grant_type", f"Invalid grant_type: {kind[:80]}")

    def _for_assertion(self, assertion: str) -> token_store.TokenHolder:
        try:
            claims, account = self._authenticator.verified(assertion)
            if claims.audience not in self._rules.token_audiences:
                raise jwt_rules.TokenRefused("audience")
        except jwt_rules.TokenRefused as refused:
            log.info("event=assertion_refused reason=%r", str(refused))
            raise GrantRefused("invalid_grant", "Invalid JWT Signature.") from refused
        if account.is_disabled:
            raise GrantRefused("invalid_grant", "The account is disabled.")
        return token_store.TokenHolder(account.member, f"keys/{claims.kid}")

    def _for_subject_token(
        self, form: Mapping[str, str], federation: Federation
    ) -> tuple[token_store.TokenHolder, int | None]:
        kind = form.get("subject_token_type", "")
        if kind not in SUBJECT_TYPES:
            raise GrantRefused("invalid_request", f"subject_token_type must be {' or '.join(SUBJECT_TYPES)}.")
        wanted = form.get("requested_token_type", ACCESS_TOKEN_TYPE)
        if wanted not in (ACCESS_TOKEN_TYPE, REFRESH_TOKEN_TYPE):
            raise GrantRefused("invalid_request", f"requested_token_type must be {ACCESS_TOKEN_TYPE}.")
        if "actor_token" in form:
            raise GrantRefused("invalid_request", "actor_token is not supported.")
        if form.get("scope") and not SCOPES & set(form["scope"].split()):
            raise GrantRefused("invalid_scope", f"scope must contain {jwt_rules.CLOUD_SCOPE}.")
        try:
            name = providers.named_by(form.get("audience", ""))
            provider, member, groups = federation.judged(name, form.get("subject_token", ""))
        except jwt_rules.TokenRefused as refused:
            log.info("event=subject_token_refused reason=%r", str(refused))
            raise GrantRefused("invalid_grant", "Invalid subject token.") from refused
        if wanted == REFRESH_TOKEN_TYPE and not provider.sign_in_s:
            raise GrantRefused("invalid_request", f"The provider {provider.name} is not for signing in.")
        holder = token_store.TokenHolder(member, providers.key_of(provider.name), groups)
        return holder, provider.sign_in_s if wanted == REFRESH_TOKEN_TYPE else None

    def _for_refresh_token(self, text: str) -> token_store.TokenHolder:
        now_us = round(self._clock() * SECOND_US)
        with self._db.write() as connection:
            row = token_store.find(connection, text, token_store.REFRESH, now_us)
            if row is None:
                raise GrantRefused("invalid_grant", "Bad Request: the refresh token is unknown, revoked or expired.")
            if self._authenticator.has_ended(row.member, row.key):
                raise GrantRefused("invalid_grant", "The account is disabled.")
            token_store.note_use(connection, row.sha256, now_us)
        return token_store.TokenHolder(row.member, row.key, json.loads(row.member_groups), row.family)

    def _issued(self, holder: token_store.TokenHolder, refresh_s: int | None) -> dict[str, Any]:
        now_us = round(self._clock() * SECOND_US)
        kind, life_s = token_store.ACCESS, self._rules.life_s
        if refresh_s is not None:  # RFC 8693: whatever is given is called access_token, and this is none
            kind, life_s = token_store.REFRESH, refresh_s
        with self._db.write() as connection:
            text = token_store.issue(connection, kind, holder, life_s, now_us)
        token_type = "Bearer" if kind == token_store.ACCESS else "N_A"
        return {"access_token": text, "expires_in": round(life_s), "token_type": token_type}
