"""What the database says of access, as one object in memory: accounts, keys, bindings and grants.

Every call asks the database for one number; only when that has changed is the rest read again. So a change that was
committed counts at the next call, in every process.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from boxwright import names, objects
from boxwright.access import members, roles
from boxwright.access.oidc_tokens import ProviderRecord
from boxwright.metadata import database
from boxwright.metadata.schema import (
    access_versions,
    account_keys,
    accounts,
    api_keys,
    bindings,
    bucket_grants,
    group_members,
    providers,
    tokens,
)

_VERSION = sa.select(sa.func.coalesce(sa.func.max(access_versions.c.version), 0)).scalar_subquery()
_ASK = sa.select(_VERSION.label("version"))
_ASK_TOKEN = sa.select(
    _VERSION.label("version"),
    tokens.c.kind,
    tokens.c.member,
    tokens.c.key,
    tokens.c.member_groups,
    tokens.c.expires_us,
    tokens.c.actors,
).select_from(sa.select(sa.literal(1)).subquery().outerjoin(tokens, tokens.c.sha256 == sa.bindparam("sha256")))


@dataclasses.dataclass(frozen=True)
class AccountRecord:
    """An account; `email` is the member without its kind."""

    id: str
    member: str
    project: str
    display_name: str
    is_disabled: bool

    @property
    def email(self) -> str:
        """The address that its tokens name as their issuer."""
        return self.member.partition(":")[2]


@dataclasses.dataclass(frozen=True)
class KeyRecord:
    """A public key of an account, or an API key; `permissions` beyond which it gives none, None for all."""

    id: str
    account: AccountRecord
    is_disabled: bool
    not_after_us: int | None
    public_jwk: Mapping[str, Any] | None = None
    permissions: frozenset[str] | None = None

    def is_usable(self, now_us: int) -> bool:
        """Whether it is neither disabled nor too old."""
        return not self.is_disabled and (self.not_after_us is None or now_us < self.not_after_us)


@dataclasses.dataclass(frozen=True)
class TokenRecord:
    """A token; `member_groups` and `actors` are JSON, lists of members."""

    kind: str
    member: str
    key: str
    member_groups: str
    expires_us: int
    actors: str


@dataclasses.dataclass(frozen=True)
class AccessIndex:
    """Accounts, keys and bindings as they were at one moment.

    Attributes:
        accounts: by member.
        keys: public keys by their id.
        api_keys: by the SHA-256 of the key.
        granted: resource → member → roles.
        groups: member → the groups that it is in.
        bucket_grants: member → what it may read and write.
        providers: by name.
    """

    version: int
    accounts: Mapping[str, AccountRecord]
    keys: Mapping[str, KeyRecord]
    api_keys: Mapping[str, KeyRecord]
    granted: Mapping[str, Mapping[str, frozenset[str]]]
    groups: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    bucket_grants: Mapping[str, tuple[objects.Grant, ...]] = dataclasses.field(default_factory=dict)
    providers: Mapping[str, ProviderRecord] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def keys_of(self) -> Mapping[str, tuple[KeyRecord, ...]]:
        """Public keys by the address of their account."""
        found: dict[str, tuple[KeyRecord, ...]] = {}
        for key in self.keys.values():
            found[key.account.email] = (*found.get(key.account.email, ()), key)
        return found

    def has_ended(self, member: str) -> bool:
        """Whether nobody may be this member any more: its account or provider is disabled, or there is none."""
        account = self.accounts.get(member)
        if account is not None:
            return account.is_disabled
        if member.startswith("user:"):
            domain = member.rpartition("@")[2]
            return not any(domain in one.email_domains for one in self.providers.values() if not one.is_disabled)
        provider = self.providers.get(members.provider_of(member))
        return provider is None or provider.is_disabled

    def resources_of(self, name: str) -> tuple[str, ...]:
        """The resources below the installation whose policies count for a name.

        For an account these are its project and itself. For one that has a role on the installation there are none: who
        owns its project would have that role too. What is no account has none either.

        Raises:
            ApiError: INVALID_ARGUMENT for what is no name.
        """
        if not names.is_account(name):
            return names.hierarchy(name)
        account = self.account_of(name)
        if account is None:
            return ()
        who = members.counted_as(account.member, self.groups.get(account.member, ()))
        if any(self.granted.get(roles.INSTALLATION, {}).get(member) for member in who):
            return ()
        project = f"projects/{account.project}"
        return project, f"{project}/serviceAccounts/{account.email}"

    def account_of(self, name: str) -> AccountRecord | None:
        """The service account of a name, with its project or with ``-`` for it; None if there is none."""
        parsed = names.AccountName.parse(name)
        account = self.accounts.get(f"serviceAccount:{parsed.email.lower()}")
        return account if account is not None and parsed.project in ("-", account.project) else None

    def permissions(self, who: Iterable[str], resources: Iterable[str]) -> frozenset[str]:
        """What these members may do on the last of these resources: all that is granted on it or on what it lies in."""
        who = tuple(who)
        found: set[str] = set()
        for resource in (roles.INSTALLATION, *resources):
            here = self.granted.get(resource)
            if here:
                for member in who:
                    for role in here.get(member, ()):
                        found |= roles.ROLES[role].permissions if role in roles.ROLES else frozenset()
        return frozenset(found)

    def grants_of(self, holder: str, who: Iterable[str]) -> objects.Grants:
        """What these members may read and write together, in the name of `holder`."""
        return objects.Grants(holder, tuple(grant for member in who for grant in self.bucket_grants.get(member, ())))

    def allows(self, who: Iterable[str], permission: str, resources: Iterable[str]) -> bool:
        """Whether these members have a permission on the last of these resources, or on what it lies in."""
        who = tuple(who)
        for resource in (roles.INSTALLATION, *resources):
            here = self.granted.get(resource)
            if here:
                for member in who:
                    for role in here.get(member, ()):
                        if role in roles.ROLES and permission in roles.ROLES[role].permissions:
                            return True
        return False


class WouldWait(Exception):
    """The answer takes longer than an event loop may be held up."""


class IndexReader:
    """Keeps the index of a database; for several threads.

    Whoever may not wait asks with `may_wait` False, and gets WouldWait where the database is a server, or the index has
    changed.
    """

    def __init__(self, db: database.Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._index = AccessIndex(-1, {}, {}, {}, {})

    @property
    def latest(self) -> AccessIndex:
        """The index as this process has read it last."""
        return self._index

    def current(self, *, may_wait: bool = True) -> AccessIndex:
        """The index as the database has it now."""
        self._check_local(may_wait)
        (version,) = self._db.first_row(_ASK) or (0,)
        return self._of_version(version, may_wait)

    def with_token(self, sha256: str, *, may_wait: bool = True) -> tuple[AccessIndex, TokenRecord | None]:
        """The index as the database has it now, and a token, in one question."""
        self._check_local(may_wait)
        version, kind, *values = self._db.first_row(_ASK_TOKEN, sha256=sha256) or (0, None)
        return self._of_version(version, may_wait), None if kind is None else TokenRecord(kind, *values)

    def _check_local(self, may_wait: bool) -> None:
        if not may_wait and not self._db.is_local:
            raise WouldWait

    def _of_version(self, version: int, may_wait: bool) -> AccessIndex:
        if self._index.version == version:
            return self._index
        if not may_wait:
            raise WouldWait
        with self._lock:
            if self._index.version != version:
                with self._db.read() as connection:
                    self._index = load(connection)
            return self._index


def load(connection: sa.Connection) -> AccessIndex:
    """Reads the whole index in one transaction."""
    version = connection.execute(_ASK).scalar_one()
    by_id = {row.id: account_record(row) for row in connection.execute(sa.select(accounts))}
    keys = {
        row.kid: KeyRecord(
            row.kid, by_id[row.account_id], row.disabled_us is not None, row.not_after_us, row.public_jwk
        )
        for row in connection.execute(sa.select(account_keys))
        if row.account_id in by_id
    }
    named = {
        row.sha256: KeyRecord(
            row.id,
            by_id[row.account_id],
            row.disabled_us is not None,
            row.not_after_us,
            permissions=None if row.permissions is None else frozenset(row.permissions),
        )
        for row in connection.execute(sa.select(api_keys))
        if row.account_id in by_id
    }
    granted: dict[str, dict[str, frozenset[str]]] = {}
    for row in connection.execute(sa.select(bindings)):
        here = granted.setdefault(row.resource, {})
        here[row.member] = here.get(row.member, frozenset()) | {row.role}
    groups: dict[str, tuple[str, ...]] = {}
    for row in connection.execute(sa.select(group_members).order_by(group_members.c.name)):
        groups[row.member] = (*groups.get(row.member, ()), row.name)
    may: dict[str, tuple[objects.Grant, ...]] = {}
    for row in connection.execute(sa.select(bucket_grants).order_by(bucket_grants.c.id)):
        grant = objects.Grant(row.scheme, row.bucket, row.prefix, row.can_read, row.can_write)
        may[row.member] = (*may.get(row.member, ()), grant)
    vouching = {row.name: provider_record(row) for row in connection.execute(sa.select(providers))}
    by_member = {record.member: record for record in by_id.values()}
    return AccessIndex(version, by_member, keys, named, granted, groups, may, vouching)


def provider_record(row: sa.Row[Any]) -> ProviderRecord:
    """The record of a provider's row."""
    return ProviderRecord(
        row.name,
        row.issuer,
        row.audience,
        row.jwks_uri,
        row.jwks,
        tuple(row.email_domains),
        row.subject_claim,
        row.groups_claim,
        row.required_claims,
        row.sign_in_s,
        row.disabled_us is not None,
    )


def account_record(row: sa.Row[Any]) -> AccountRecord:
    """The record of an account's row."""
    return AccountRecord(row.id, row.member, row.project, row.display_name, row.disabled_us is not None)


def note_change(connection: sa.Connection) -> None:
    """Raises the version, in the transaction that changes an account, a key or a binding; it must be exclusive."""
    raised = connection.execute(access_versions.update().values(version=access_versions.c.version + 1))
    if raised.rowcount == 0:
        connection.execute(access_versions.insert().values(id=1, version=1))
