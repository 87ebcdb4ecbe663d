"""``POST /introspect`` and ``POST /revoke`` (RFC 7662, 7009): what a token is, and its end, for who has it.

Who sends a token could call with it, so nothing but the token is asked for. A token that is not valid has one answer,
whatever is wrong with it: ``{"active": false}``, or nothing more to revoke.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from google.rpc import code_pb2

from boxwright import callers, errors
from boxwright.access import jwt_rules, secret_texts, token_store
from boxwright.access.authenticate import SECOND_US, Authenticator
from boxwright.metadata import database

INTROSPECT, REVOKE = "boxwright.access.IntrospectToken", "boxwright.access.RevokeToken"  # names in the audit log
Answer = tuple[bool, dict[str, Any]]
_INACTIVE = {"active": False}


class RefusedTokens(Protocol):
    """Where tokens that are not valid are counted and recorded."""

    def refused(self, reason: str, origin: callers.Origin, method: str) -> None:
        """Counts and records a request; raises RESOURCE_EXHAUSTED if there are too many."""

    def recorded(self, record: callers.CallRecord) -> None:
        """Records a request that was answered; raises UNAVAILABLE if that is not possible."""


class TokenStatus:
    """Answers questions about tokens, and ends them.

    Args:
        db: the database.
        authenticator: says whose a token is.
        refusals: counts and records what is not valid.
        clock: seconds since 1970 UTC.
    """

    def __init__(
        self,
        db: database.Database,
        authenticator: Authenticator,
        refusals: RefusedTokens,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._authenticator = authenticator
        self._refusals = refusals
        self._clock = clock

    def introspect(self, form: Mapping[str, str], origin: callers.Origin) -> Answer:
        """Whether the form is one, and the fields of the answer.

        Raises:
            ApiError: RESOURCE_EXHAUSTED if too many requests of the address were about tokens that are not valid;
                UNAVAILABLE.
        """
        text = form.get("token", "")
        if not text:
            return self._no_token(origin, INTROSPECT)
        try:
            caller = self._authenticator.admit(INTROSPECT, [("authorization", f"Bearer {text}")])
        except errors.ApiError as error:
            if error.code == code_pb2.UNAVAILABLE:
                raise
            return True, self._of_refresh_token(text, origin)
        return True, self._active(caller.member, "Bearer", *self._times(text))

    def revoke(self, form: Mapping[str, str], origin: callers.Origin) -> Answer:
        """Ends a token; raises as `introspect`. What is not known is not valid either, so it is answered alike."""
        text = form.get("token", "")
        if not text:
            return self._no_token(origin, REVOKE)
        ours = (secret_texts.ACCESS_PREFIX, secret_texts.REFRESH_PREFIX)
        if not any(secret_texts.is_well_formed(text, prefix) for prefix in ours):
            self._refusals.refused("no access token or refresh token", origin, REVOKE)
            why = "Only access tokens and refresh tokens of this service can be revoked."
            return False, {"error": "unsupported_token_type", "error_description": why}
        with self._db.write() as connection:
            row = token_store.revoke(connection, text)
        if row is None:
            self._refusals.refused("token unknown", origin, REVOKE)
        else:
            caller = callers.Caller(row.member, row.key, origin=origin)
            self._refusals.recorded(callers.CallRecord(REVOKE, caller, resource=row.member))
        return True, {}

    def _no_token(self, origin: callers.Origin, method: str) -> Answer:
        self._refusals.refused("no token", origin, method)
        return False, {"error": "invalid_request", "error_description": "Missing required parameter: token"}

    def _of_refresh_token(self, text: str, origin: callers.Origin) -> dict[str, Any]:
        with self._db.read() as connection:
            row = token_store.find(connection, text, token_store.REFRESH, self._now_us())
        if row is None or self._authenticator.has_ended(row.member, row.key):
            self._refusals.refused("token not valid", origin, INTROSPECT)
            return _INACTIVE
        return self._active(row.member, "refresh_token", row.create_time_us // SECOND_US, row.expires_us // SECOND_US)

    def _times(self, text: str) -> tuple[int, int]:
        """When a valid token was issued and when it ends, in seconds since 1970 UTC."""
        with self._db.read() as connection:
            row = token_store.find(connection, text, token_store.ACCESS, 0)
        if row is not None:
            return row.create_time_us // SECOND_US, row.expires_us // SECOND_US
        claims = jwt_rules.read(text)
        return claims.issued_s, claims.expires_s

    def _active(self, member: str, token_type: str, issued_s: int, expires_s: int) -> dict[str, Any]:
        return {
            "active": True,
            "username": callers.Caller(member).email,
            "sub": member,
            "token_type": token_type,
            "scope": jwt_rules.CLOUD_SCOPE,
            "iat": issued_s,
            "exp": expires_s,
        }

    def _now_us(self) -> int:
        return round(self._clock() * SECOND_US)
