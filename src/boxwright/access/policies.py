"""Policies: which roles which members have on which resource. Statements, in the caller's transaction.

A policy's etag is a new random text at every change. Whoever may change policies must not be able to leave a project with
nobody who may; see `check_kept`.
"""

from __future__ import annotations

import base64
import dataclasses
import secrets
from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from boxwright import errors, names
from boxwright.access import index, members, roles
from boxwright.metadata import database
from boxwright.metadata.schema import accounts, bindings, group_members, policies

MAX_MEMBERS = 1500  # of one policy, Google's limit
# Google's words
CONFLICT = "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff."
NO_POLICY_ETAG = b"\0 \1"
_KEEPERS = (roles.OWNER,)  # who may change a project's policy


@dataclasses.dataclass(frozen=True)
class StoredPolicy:
    """A resource's policy; `bindings` are its members by role, both in order."""

    etag: bytes
    bindings: Mapping[str, tuple[str, ...]]


def read(connection: sa.Connection, resource: str) -> StoredPolicy:
    """The policy of a resource; an empty one, with an etag that all empty ones share, if it has none."""
    row = connection.execute(sa.select(policies.c.etag).where(policies.c.resource == resource)).first()
    query = sa.select(bindings.c.role, bindings.c.member).where(bindings.c.resource == resource)
    found: dict[str, list[str]] = {}
    for role, member in sorted(tuple(one) for one in connection.execute(query)):
        found.setdefault(role, []).append(member)
    etag = base64.b64decode(row.etag) if row is not None else NO_POLICY_ETAG
    return StoredPolicy(etag, {role: tuple(of_role) for role, of_role in found.items()})


def holders(connection: sa.Connection) -> list[str]:
    """The resources on which something is granted."""
    return sorted(connection.execute(sa.select(bindings.c.resource).distinct()).scalars())


def check(resource: str, wanted: Mapping[str, Iterable[str]]) -> None:
    """Raises INVALID_ARGUMENT for a role or member that cannot be granted on the resource."""
    level = roles.level_of(resource)
    count = 0
    for role, of_role in wanted.items():
        if role not in roles.ROLES or level not in roles.ROLES[role].levels:
            known = ", ".join(name for name, found in roles.ROLES.items() if level in found.levels)
            raise errors.invalid_argument(
                "policy.bindings.role", f"Role {role[:100]} is not supported for this resource; known: {known}."
            )
        for member in of_role:
            members.check(member, "policy.bindings.members")
            count += 1
    if count > MAX_MEMBERS:
        raise errors.invalid_argument("policy.bindings", f"{count} members are more than {MAX_MEMBERS}.")


def write(
    connection: sa.Connection, resource: str, wanted: Mapping[str, Iterable[str]], etag: bytes = b""
) -> StoredPolicy:
    """Replaces a resource's policy in an exclusive transaction.

    Args:
        wanted: members by role.
        etag: of the policy that was read before; empty: whatever is there is replaced.

    Raises:
        ApiError: INVALID_ARGUMENT as `check`; ABORTED if the policy has changed since; FAILED_PRECONDITION if nobody
            would be left who may change a project's policy.
    """
    check(resource, wanted)
    if etag and etag != read(connection, resource).etag:
        raise errors.aborted(CONFLICT)
    _replace(connection, resource, wanted)
    check_kept(connection, resource)
    return read(connection, resource)


def _replace(connection: sa.Connection, resource: str, wanted: Mapping[str, Iterable[str]]) -> None:
    connection.execute(bindings.delete().where(bindings.c.resource == resource))
    rows = [
        {"resource": resource, "role": role, "member": member}
        for role, of_role in wanted.items()
        for member in {members.canonical(member) for member in of_role}
    ]
    if rows:
        connection.execute(bindings.insert(), rows)
    stamp = {
        "etag": base64.b64encode(secrets.token_bytes(12)).decode(),
        "update_time_us": database.now_us(connection),
    }
    changed = connection.execute(policies.update().where(policies.c.resource == resource).values(**stamp))
    if changed.rowcount == 0:
        connection.execute(policies.insert().values(resource=resource, **stamp))
    index.note_change(connection)


def check_kept(connection: sa.Connection, resource: str) -> None:
    """Raises FAILED_PRECONDITION if a project's new policy leaves nobody who may change it."""
    if roles.level_of(resource) != "project":
        return
    keeper = (bindings.c.resource == resource) & bindings.c.role.in_(_KEEPERS)
    everywhere = (bindings.c.resource == roles.INSTALLATION) & (bindings.c.role == roles.ADMIN)
    living = sa.not_(bindings.c.member.startswith("deleted:"))
    if connection.execute(sa.select(bindings.c.member).where((keeper | everywhere) & living).limit(1)).first() is None:
        raise errors.failed_precondition(
            f"This would leave {resource} with nobody who may change its policy. Keep a member of {roles.OWNER}."
        )


def grant(connection: sa.Connection, resource: str, role: str, member: str) -> bool:
    """Adds a member to a role; returns whether it was not there."""
    return _change(connection, resource, role, member, is_wanted=True)


def revoke(connection: sa.Connection, resource: str, role: str, member: str) -> bool:
    """Takes a member out of a role; returns whether it was there."""
    return _change(connection, resource, role, member, is_wanted=False)


def _change(connection: sa.Connection, resource: str, role: str, member: str, *, is_wanted: bool) -> bool:
    check_holder(resource)
    member = members.canonical(member)
    if is_wanted:
        check_account(connection, resource)
        check(resource, {role: [member]})
    now = {name: list(of_role) for name, of_role in read(connection, resource).bindings.items()}
    if (member in now.get(role, ())) == is_wanted:
        return False
    if is_wanted:
        now.setdefault(role, []).append(member)
    else:
        now[role].remove(member)
    _replace(connection, resource, now)
    return True


def check_holder(resource: str) -> None:
    """Raises INVALID_ARGUMENT unless this is a resource that holds a policy."""
    is_name = names.is_name(resource) or (names.is_account(resource) and not resource.startswith("projects/-/"))
    if resource != roles.INSTALLATION and not (is_name and roles.level_of(resource)):
        raise errors.bad_request(
            f"'{resource[:200]}' holds no policy. Expected: installation, projects/P, projects/P/locations/L, a dataset or "
            "model in one, or projects/P/serviceAccounts/ADDRESS."
        )


def check_account(connection: sa.Connection, resource: str) -> None:
    """Raises NOT_FOUND for the name of an account that there is not: a policy on it would have no effect."""
    if not names.is_account(resource):
        return
    parsed = names.AccountName.parse(resource)
    there = (accounts.c.member == f"serviceAccount:{parsed.email}") & (accounts.c.project == parsed.project)
    if connection.execute(sa.select(accounts.c.id).where(there)).first() is None:
        raise errors.not_found(f"There is no account {resource}; `boxwright accounts list` shows those that there are.")


def forget(connection: sa.Connection, resource: str) -> None:
    """Deletes the policy of a resource that is deleted in the same transaction."""
    connection.execute(policies.delete().where(policies.c.resource == resource))
    if connection.execute(bindings.delete().where(bindings.c.resource == resource)).rowcount:
        index.note_change(connection)


# ---- groups -------------------------------------------------------------------------------------------------------


def set_in_group(connection: sa.Connection, group: str, member: str, is_in: bool) -> bool:
    """Puts a member into a group or takes it out, in an exclusive transaction; returns whether that changes anything.

    Raises:
        ApiError: INVALID_ARGUMENT for what is no group, or for a member that is neither a person nor an account.
    """
    group, member = members.canonical(group), members.canonical(member)
    members.check(group, "group")
    members.check(member, "member")
    if not group.startswith("group:") or not member.startswith(("user:", "serviceAccount:", "principal:")):
        raise errors.bad_request(
            f"{member} cannot be in {group}: a group has people and accounts, and is group:ADDRESS."
        )
    there = (group_members.c.name == group) & (group_members.c.member == member)
    if (connection.execute(sa.select(group_members).where(there)).first() is not None) == is_in:
        return False
    change = group_members.insert().values(name=group, member=member) if is_in else group_members.delete().where(there)
    connection.execute(change)
    index.note_change(connection)
    return True


def groups(connection: sa.Connection) -> list[tuple[str, str]]:
    """Every group with each of its members, in order."""
    query = sa.select(group_members.c.name, group_members.c.member)
    return [(row.name, row.member) for row in connection.execute(query.order_by(*query.selected_columns))]
