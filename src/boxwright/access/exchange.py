"""``POST /token``: what an account or a person has, against an access token (RFC 6749, 7523).

    urn:ietf:params:oauth:grant-type:jwt-bearer     an assertion that an account has signed
    refresh_token                                   the refresh token of a credentials file

Answers and errors have the form that RFC 6749 gives them, which is what Google's client libraries read.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from google.rpc import code_pb2

from boxwright import callers, errors
from boxwright.access import jwt_rules, token_store
from boxwright.access.authenticate import SECOND_US, Authenticator, TokenRules
from boxwright.metadata import database
from boxwright.metadata.schema import accounts

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
REFRESH = "refresh_token"
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


class FailureQuota(Protocol):
    """How many requests may fail."""

    def count_failure(self, address: str, error: errors.ApiError) -> None:
        """Counts a failure of an address; raises RESOURCE_EXHAUSTED if there are too many."""


class TokenService:
    """Answers requests for tokens.

    Args:
        db: the database.
        authenticator: verifies assertions.
        rules: what they must be like.
        recorder: records every request; None: nobody does.
        quotas: say how many may fail; None: without limit.
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
        quotas: FailureQuota | None = None,
    ) -> None:
        self._db = db
        self._recorder = recorder
        self._quotas = quotas
        self._authenticator = authenticator
        self._rules = rules
        self._clock = clock

    def answer(self, form: Mapping[str, str], origin: callers.Origin = callers.NOWHERE) -> tuple[bool, dict[str, Any]]:
        """Answers a form of parameters: whether a token is given, and the fields of the response.

        Raises:
            ApiError: the database cannot be reached, or the request cannot be recorded; RESOURCE_EXHAUSTED if too many
                requests of the address have failed.
        """
        if self._recorder is not None:
            self._recorder.check()
        try:
            holder = self._holder(form)
        except GrantRefused as refused:
            self.refused(str(refused), origin)
            return False, {"error": refused.error, "error_description": str(refused)}
        fields = self._issued(holder)
        if self._recorder is not None:  # a token that is not recorded is not handed out
            caller = callers.Caller(holder.member, holder.key, origin=origin)
            self._recorder.record(callers.CallRecord(METHOD, caller, resource=holder.member))
        return True, fields

    def refused(self, reason: str, origin: callers.Origin) -> None:
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
                self._recorder.record(callers.CallRecord(METHOD, callers.Caller(origin=origin), error=error))

    def _holder(self, form: Mapping[str, str]) -> token_store.TokenHolder:
        """For whom a form asks for a token."""
        kind = form.get("grant_type", "")
        if kind == JWT_BEARER:
            return self._for_assertion(form.get("assertion", ""))
        if kind == REFRESH:
            return self._for_refresh_token(form.get("refresh_token", ""))
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

    def _for_refresh_token(self, text: str) -> token_store.TokenHolder:
        now_us = round(self._clock() * SECOND_US)
        with self._db.write() as connection:
            row = token_store.find(connection, text, token_store.REFRESH, now_us)
            if row is None:
                raise GrantRefused("invalid_grant", "Bad Request: the refresh token is unknown, revoked or expired.")
            account = connection.execute(accounts.select().where(accounts.c.member == row.member)).first()
            if account is not None and account.disabled_us is not None:
                raise GrantRefused("invalid_grant", "The account is disabled.")
            token_store.note_use(connection, row.sha256, now_us)
        return token_store.TokenHolder(row.member, row.key, json.loads(row.member_groups), row.family)

    def _issued(self, holder: token_store.TokenHolder) -> dict[str, Any]:
        now_us = round(self._clock() * SECOND_US)
        with self._db.write() as connection:
            text = token_store.issue(connection, token_store.ACCESS, holder, self._rules.life_s, now_us)
        return {"access_token": text, "expires_in": round(self._rules.life_s), "token_type": "Bearer"}
