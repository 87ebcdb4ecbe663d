"""Grants of buckets and folders to members. Statements, in the caller's exclusive transaction; a change counts at once.

`WorkGrants` answers for work that goes on after the call that has asked for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import sqlalchemy as sa

from boxwright import callers, errors, objects
from boxwright.access import index, members, refusals
from boxwright.metadata import database
from boxwright.metadata.schema import bucket_grants


class WorkGrants:
    """What those may do who have started operations, as long as these run.

    Args:
        reader: the index of accounts and grants.
    """

    def __init__(self, reader: index.IndexReader) -> None:
        self._reader = reader

    def of(self, member: str, groups: tuple[str, ...]) -> objects.Grants:
        """What a member may read and write now, by the database.

        Raises:
            ApiError: PERMISSION_DENIED: its account is disabled or deleted.
        """
        found = self._reader.current()
        email = callers.Caller(member).email
        if member.startswith("deleted:") or found.has_ended(member):
            raise refusals.work_denied(email)
        # groups of this installation as they are now; those that a provider has vouched for, as it has
        vouched = tuple(group for group in groups if not group.startswith("group:"))
        return found.grants_of(email, members.counted_as(member, (*found.groups.get(member, ()), *vouched)))


def grant(connection: sa.Connection, member: str, wanted: objects.Grant) -> objects.Grant:
    """Grants a folder to a member, beside what it may there already; returns what it now may there.

    Raises:
        ApiError: INVALID_ARGUMENT for what is no member.
    """
    members.check(member, "member")
    member = members.canonical(member)
    now = _read(connection, member, wanted) or dataclasses.replace(wanted, can_read=False, can_write=False)
    changed = dataclasses.replace(
        now, can_read=now.can_read or wanted.can_read, can_write=now.can_write or wanted.can_write
    )
    _write(connection, member, changed)
    return changed


def revoke(connection: sa.Connection, member: str, unwanted: objects.Grant) -> objects.Grant:
    """Takes from a member what it was granted on this very folder; returns what it still may there by that grant.

    Raises:
        ApiError: NOT_FOUND if nothing of it was granted.
    """
    member = members.canonical(member)
    now = _read(connection, member, unwanted)
    if now is None or not ((now.can_read and unwanted.can_read) or (now.can_write and unwanted.can_write)):
        raise errors.not_found(f"{member} has no such grant on {unwanted}; `boxwright buckets list` shows all.")
    left = dataclasses.replace(
        now,
        can_read=now.can_read and not unwanted.can_read,
        can_write=now.can_write and not unwanted.can_write,
    )
    _write(connection, member, left)
    return left


def listed(connection: sa.Connection) -> Sequence[tuple[str, objects.Grant]]:
    """All grants with their members, by member and folder."""
    rows = connection.execute(sa.select(bucket_grants))
    found = [
        (row.member, objects.Grant(row.scheme, row.bucket, row.prefix, row.can_read, row.can_write)) for row in rows
    ]
    return sorted(found, key=lambda one: (one[0], str(one[1])))


def _id(member: str, folder: objects.Grant) -> str:
    return hashlib.sha256(f"{member}\n{folder}".encode()).hexdigest()


def _read(connection: sa.Connection, member: str, folder: objects.Grant) -> objects.Grant | None:
    query = sa.select(bucket_grants).where(bucket_grants.c.id == _id(member, folder))
    row = connection.execute(query).first()
    return None if row is None else dataclasses.replace(folder, can_read=row.can_read, can_write=row.can_write)


def _write(connection: sa.Connection, member: str, held: objects.Grant) -> None:
    """Stores what a member may in a folder, whatever was there."""
    key = _id(member, held)
    connection.execute(bucket_grants.delete().where(bucket_grants.c.id == key))
    if held.can_read or held.can_write:
        connection.execute(
            bucket_grants.insert().values(
                id=key, member=member, create_time_us=database.now_us(connection), **dataclasses.asdict(held)
            )
        )
    index.note_change(connection)
