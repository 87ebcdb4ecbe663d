"""Access tokens of a service account, given to somebody else who may speak for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Protocol

from boxwright import callers, errors
from boxwright.access import jwt_rules, token_store
from boxwright.access.index import IndexReader
from boxwright.metadata import database

MAX_LIFE_S = 3600
MAX_ACTORS = 4  # of a token that was had with such a token, and so on
KEY = "impersonation"  # what such tokens were given for, as `Caller.key`
_SECOND_US = 1_000_000


class TokenQuota(Protocol):
    """How many tokens are given."""

    def count_token(self, member: str) -> None:
        """Counts a token that is given for a member; raises RESOURCE_EXHAUSTED if there are too many."""


class Impersonation:
    """Gives access tokens for service accounts; whether the caller may have them has been decided.

    Args:
        db: the database.
        reader: the index of accounts.
        life_s: of an access token at most.
        quotas: say how many are given.
        clock: seconds since 1970 UTC.
    """

    def __init__(
        self,
        db: database.Database,
        reader: IndexReader,
        life_s: float,
        quotas: TokenQuota,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._reader = reader
        self._life_s = life_s
        self._quotas = quotas
        self._clock = clock

    def issue(
        self, name: str, scopes: Collection[str], life_s: float | None, caller: callers.Caller
    ) -> tuple[str, int]:
        """An access token of an account, and the second since 1970 UTC at which it ends.

        Args:
            name: ``projects/-/serviceAccounts/ADDRESS``.
            scopes: what the token is to be for; the API's among them.
            life_s: of the token; None: as long as it may be.
            caller: who has asked.

        Raises:
            ApiError: NOT_FOUND if there is no such account; FAILED_PRECONDITION if it is disabled, or was reached through
                too many others; INVALID_ARGUMENT for a scope or life; RESOURCE_EXHAUSTED.
        """
        if jwt_rules.CLOUD_SCOPE not in scopes:
            raise errors.invalid_argument("scope", f"It must contain {jwt_rules.CLOUD_SCOPE}.")
        if life_s is not None and not 1 <= life_s <= MAX_LIFE_S:
            raise errors.invalid_argument("lifetime", f"It must be 1 s to {MAX_LIFE_S} s.")
        account = self._reader.current().account_of(name)
        if account is None:
            raise errors.not_found(f"{name} was not found.")
        if account.is_disabled:
            raise errors.failed_precondition(f"The account {account.email} is disabled.")
        if len(caller.actors) >= MAX_ACTORS:
            raise errors.failed_precondition(f"A token is had through {MAX_ACTORS} other accounts at most.")
        self._quotas.count_token(account.member)
        now_us = round(self._clock() * _SECOND_US)
        ends_s = int(now_us / _SECOND_US + min(life_s or MAX_LIFE_S, self._life_s))
        holder = token_store.TokenHolder(account.member, KEY, actors=(*caller.actors, caller.member))
        with self._db.write() as connection:
            text = token_store.issue(connection, token_store.ACCESS, holder, ends_s - now_us / _SECOND_US, now_us)
        return text, ends_s
