"""Decides on calls: who makes them, by their headers; whether they may, by the permissions that they need.

OpenDecider     says yes to everybody
PolicyDecider   asks credentials and policies
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from boxwright import callers, errors, names, objects
from boxwright.access import members, refusals
from boxwright.access.authenticate import Authenticator
from boxwright.access.index import IndexReader, WouldWait
from boxwright.metadata import database
from boxwright.metadata.schema import operations

Headers = Sequence[tuple[str, str]]


class OpenDecider:
    """Says yes to everybody: credentials are accepted and not looked at."""

    has_policies = False

    def admit(self, method: str, headers: Headers, *, may_wait: bool = True) -> callers.Caller | None:
        """Everybody calls as nobody in particular."""
        return callers.ANONYMOUS

    def check(self, caller: callers.Caller, method: str, requirements: Sequence[callers.Requirement]) -> None:
        """Every call passes."""

    def held(self, caller: callers.Caller, resource: str, asked: Sequence[str]) -> list[str]:
        """Which of these permissions the caller has: all of them."""
        return list(asked)

    def grants(self, caller: callers.Caller) -> objects.Grants | None:
        """What the caller may read and write: None, which is everything."""
        return None


class PolicyDecider:
    """Lets callers do what policies say, and who has started an operation follow it.

    Args:
        db: the database.
        reader: its index of accounts and bindings.
        authenticator: says who is calling.
    """

    has_policies = True

    def __init__(self, db: database.Database, reader: IndexReader, authenticator: Authenticator) -> None:
        self._db = db
        self._reader = reader
        self._authenticator = authenticator

    def admit(self, method: str, headers: Headers, *, may_wait: bool = True) -> callers.Caller | None:
        """Says who is calling; None if that would take a while and it may not wait. Raises as `Authenticator.admit`."""
        try:
            return self._authenticator.admit(method, headers, may_wait=may_wait)
        except WouldWait:
            return None

    def check(self, caller: callers.Caller, method: str, requirements: Sequence[callers.Requirement]) -> None:
        """Lets a call pass, or not.

        Raises:
            ApiError: PERMISSION_DENIED naming the first permission that is lacking; INVALID_ARGUMENT for what is no name.
        """
        who = members.counted_as(caller.member, caller.groups)
        for need in requirements:
            resources = self._reader.latest.resources_of(need.resource)
            is_narrowed = caller.narrowed_to is not None and need.permission not in caller.narrowed_to
            if not is_narrowed and self._reader.latest.allows(who, need.permission, resources):
                continue
            if need.or_starter and self._has_started(caller, need.resource):
                continue
            if is_narrowed:
                raise refusals.method_blocked(method, names.project_of(need.resource) or "-")
            raise refusals.permission_denied(need.permission, need.resource)

    def held(self, caller: callers.Caller, resource: str, asked: Sequence[str]) -> list[str]:
        """Which of these permissions the caller has on a resource, in their order."""
        who = members.counted_as(caller.member, caller.groups)
        have = self._reader.latest.permissions(who, names.hierarchy(resource))
        if caller.narrowed_to is not None:
            have &= caller.narrowed_to
        return [permission for permission in asked if permission in have]

    def grants(self, caller: callers.Caller) -> objects.Grants | None:
        """What the caller may read and write; the key does not narrow it."""
        who = members.counted_as(caller.member, caller.groups)
        return self._reader.latest.grants_of(caller.email, who)

    def _has_started(self, caller: callers.Caller, text: str) -> bool:
        try:
            name = names.OperationName.parse(text.partition("/results/")[0])
        except errors.ApiError:
            return False
        query = sa.select(operations.c.caller).where(
            operations.c.project == name.project,
            operations.c.location == name.location,
            operations.c.id == name.operation,
        )
        with self._db.read() as connection:
            starter = connection.execute(query).scalar()
        return bool(caller.member) and starter == caller.member
