"""The IAM Service Account Credentials API, as far as clients of this service call it: access tokens for accounts.

Where everybody may do everything (``access = open``), there are no accounts and no tokens.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from boxwright import errors, names
from boxwright.callers import Caller


class AccountTokens(Protocol):
    """Who gives access tokens of accounts."""

    def issue(self, name: str, scopes: Collection[str], life_s: float | None, caller: Caller) -> tuple[str, int]:
        """An access token of an account, and the second since 1970 UTC at which it ends; raises ApiError."""


class IamCredentials:
    """`google.iam.credentials.v1.IAMCredentials`.

    Args:
        tokens: gives access tokens; None: there are none.
        answer: the class of the answer.
    """

    def __init__(self, tokens: AccountTokens | None, answer: Any) -> None:
        self._tokens = tokens
        self._answer = answer

    def generate_access_token(self, request: Any, caller: Caller) -> Any:
        """Gives an access token of an account to a caller who may speak for it."""
        names.AccountName.parse(request.name)
        if self._tokens is None:
            raise errors.unimplemented(
                "This installation has no access control, so there are no accounts and no tokens; see docs/access.md."
            )
        if request.delegates:
            raise errors.invalid_argument(
                "delegates", "Delegates are not supported; ask for one account after the other."
            )
        life_s = request.lifetime.seconds + request.lifetime.nanos / 1e9 if request.HasField("lifetime") else None
        text, ends_s = self._tokens.issue(request.name, request.scope, life_s, caller)
        answer = self._answer(access_token=text)
        answer.expire_time.seconds = ends_s
        return answer
