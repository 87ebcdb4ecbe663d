"""Accounts and their keys in the database: made, listed, disabled, deleted. The private half of a key is never here.

Every function works in the caller's exclusive transaction and raises the version of `index`, so that what was disabled is
refused at the next call, in every process.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from boxwright import errors, names
from boxwright.access import index, members, policies, roles, secret_texts, token_store
from boxwright.access.index import AccountRecord
from boxwright.metadata import database
from boxwright.metadata.schema import (
    account_keys,
    accounts,
    api_keys,
    bindings,
    bucket_grants,
    group_members,
    operations,
)

DAY_US = 86_400_000_000
KEY_LIFE_DAYS = 365
_NAME = re.compile(r"[a-z][a-z0-9-]{0,61}[a-z0-9]")
_ADDRESS_UNSAFE = re.compile(r"[^a-z0-9.-]+")


def create(
    connection: sa.Connection, name: str, project: str, *, display_name: str = "", email: str | None = None
) -> AccountRecord:
    """Makes an account: a service account, or with `email` the account of a person.

    Raises:
        ApiError: INVALID_ARGUMENT for a name, project or address of another form; FAILED_PRECONDITION if there is such an
            account.
    """
    if not names.is_name(f"projects/{project}") or "/" in project or len(project) > 128:
        raise errors.invalid_argument("--project", f"'{project[:100]}' is no project id.")
    if email is not None:
        member = members.canonical(f"user:{email}")
    elif _NAME.fullmatch(name):
        # a project id may have a colon, which an address may not
        domain = _ADDRESS_UNSAFE.sub(".", project.lower()).strip(".-")
        member = f"serviceAccount:{name}@{domain}.{members.DOMAIN}"
    else:
        raise errors.invalid_argument(
            "name", f"'{name[:80]}' must have 2 to 63 small letters, digits and hyphens, and begin with a letter."
        )
    members.check(member, "name")
    if connection.execute(sa.select(accounts.c.id).where(accounts.c.member == member)).first() is not None:
        raise errors.failed_precondition(f"There is an account {member} already.")
    row = connection.execute(
        accounts.insert()
        .values(
            id=str(10**20 + secrets.randbelow(9 * 10**20)),
            member=member,
            project=project,
            display_name=display_name[:100],
            create_time_us=database.now_us(connection),
        )
        .returning(*accounts.c)
    ).one()
    index.note_change(connection)
    return index.account_record(row)


def find(connection: sa.Connection, text: str) -> AccountRecord:
    """Finds an account by its member, its address, or the part before the @ where only one account has it.

    Raises:
        ApiError: NOT_FOUND, or INVALID_ARGUMENT naming all that could be meant.
    """
    found = [
        record
        for record in listed(connection)
        if members.canonical(text) in (record.member, record.email) or record.email.partition("@")[0] == text
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise errors.not_found(f"There is no account {text}; `boxwright accounts list` shows those that there are.")
    raise errors.bad_request(f"{text} could be {' or '.join(record.member for record in found)}; name one in full.")


def listed(connection: sa.Connection) -> Sequence[AccountRecord]:
    """All accounts, by member."""
    return [index.account_record(row) for row in connection.execute(sa.select(accounts).order_by(accounts.c.member))]


def set_disabled(connection: sa.Connection, account: AccountRecord, disabled: bool) -> None:
    """Disables an account, so that none of its credentials is taken, or enables it again."""
    now = database.now_us(connection) if disabled else None
    connection.execute(accounts.update().where(accounts.c.id == account.id).values(disabled_us=now))
    index.note_change(connection)


def delete(connection: sa.Connection, account: AccountRecord) -> None:
    """Deletes an account with its keys and tokens; a later one of the same name inherits nothing."""
    gone = f"deleted:{account.member}?uid={account.id}"
    for table in (account_keys, api_keys):
        connection.execute(table.delete().where(table.c.account_id == account.id))
    token_store.revoke_all(connection, account.member)
    policies.forget(connection, f"projects/{account.project}/serviceAccounts/{account.email}")
    if account.member.startswith("serviceAccount:"):
        connection.execute(bindings.update().where(bindings.c.member == account.member).values(member=gone))
    else:
        connection.execute(bindings.delete().where(bindings.c.member == account.member))
    connection.execute(group_members.delete().where(group_members.c.member == account.member))
    connection.execute(bucket_grants.delete().where(bucket_grants.c.member == account.member))
    connection.execute(operations.update().where(operations.c.caller == account.member).values(caller=gone))
    connection.execute(accounts.delete().where(accounts.c.id == account.id))
    index.note_change(connection)


# ---- public keys --------------------------------------------------------------------------------------------------


def add_key(
    connection: sa.Connection,
    account: AccountRecord,
    kid: str,
    public_jwk: Mapping[str, Any],
    days: int = KEY_LIFE_DAYS,
) -> int:
    """Stores the public half of a key; returns the end of its life, in microseconds since 1970 UTC."""
    now = database.now_us(connection)
    not_after_us = now + days * DAY_US
    values = {"kid": kid, "account_id": account.id, "public_jwk": dict(public_jwk)}
    connection.execute(account_keys.insert().values(**values, create_time_us=now, not_after_us=not_after_us))
    index.note_change(connection)
    return not_after_us


def keys_of(connection: sa.Connection, account: AccountRecord) -> Sequence[sa.Row[Any]]:
    """The rows of an account's public keys, oldest first."""
    query = sa.select(account_keys).where(account_keys.c.account_id == account.id)
    return connection.execute(query.order_by(account_keys.c.create_time_us)).all()


def api_keys_of(connection: sa.Connection, account: AccountRecord) -> Sequence[sa.Row[Any]]:
    """The rows of an account's API keys, oldest first."""
    query = sa.select(api_keys).where(api_keys.c.account_id == account.id)
    return connection.execute(query.order_by(api_keys.c.create_time_us)).all()


def set_key_disabled(connection: sa.Connection, account: AccountRecord, key_id: str, disabled: bool) -> None:
    """Disables or enables a public key or an API key; raises NOT_FOUND if the account has none of that id."""
    now = database.now_us(connection) if disabled else None
    changed = [
        connection.execute(
            table.update().where(_is_key(table, column, account, key_id)).values(disabled_us=now)
        ).rowcount
        for table, column in _KEYS
    ]
    _check_found(any(changed), account, key_id)
    index.note_change(connection)


def delete_key(connection: sa.Connection, account: AccountRecord, key_id: str) -> None:
    """Forgets a public key or an API key; raises NOT_FOUND if the account has none of that id."""
    gone = [
        connection.execute(table.delete().where(_is_key(table, column, account, key_id))).rowcount
        for table, column in _KEYS
    ]
    _check_found(any(gone), account, key_id)
    index.note_change(connection)


_KEYS = ((account_keys, account_keys.c.kid), (api_keys, api_keys.c.id))


def _is_key(table: sa.Table, column: sa.Column[Any], account: AccountRecord, key_id: str) -> sa.ColumnElement[bool]:
    return (column == key_id) & (table.c.account_id == account.id)


def _check_found(is_found: bool, account: AccountRecord, key_id: str) -> None:
    if not is_found:
        raise errors.not_found(f"{account.member} has no key {key_id}; `boxwright accounts keys list` shows its keys.")


def add_api_key(
    connection: sa.Connection,
    account: AccountRecord,
    permissions: Collection[str] | None = None,
    days: int | None = None,
) -> tuple[str, str]:
    """Makes an API key; returns its id and the key, which is not kept.

    Args:
        permissions: beyond which it gives none; None: it gives what the account has.
        days: its life; None: it does not end.

    Raises:
        ApiError: INVALID_ARGUMENT naming a permission that there is not.
    """
    for permission in permissions or ():
        if permission not in roles.PERMISSIONS:
            raise errors.invalid_argument("--permission", f"There is no permission {permission[:100]}.")
    text, now = secret_texts.new(secret_texts.API_KEY_PREFIX), database.now_us(connection)
    key_id = secrets.token_hex(8)
    connection.execute(
        api_keys.insert().values(
            id=key_id,
            sha256=secret_texts.digest(text),
            account_id=account.id,
            hint=text[-4:],
            permissions=sa.null() if permissions is None else sorted(permissions),
            create_time_us=now,
            not_after_us=None if days is None else now + days * DAY_US,
        )
    )
    index.note_change(connection)
    return key_id, text
