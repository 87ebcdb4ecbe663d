"""Accounts in a service's database, and the credentials that they send."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Collection, Mapping
from typing import Any

from google.auth import crypt, jwt

from boxwright import objects
from boxwright.access import accounts, bucket_grants, key_files, policies, token_store
from boxwright.access.index import AccountRecord
from boxwright.metadata import database

AUDIENCE = "https://automl.googleapis.com/"
CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@dataclasses.dataclass(frozen=True)
class Account:
    """An account with a key of its own.

    Attributes:
        record: as the database has it.
        key_file: the content of the file that clients read.
    """

    record: AccountRecord
    key_file: Mapping[str, Any]

    @property
    def member(self) -> str:
        return self.record.member

    @property
    def email(self) -> str:
        return self.record.email

    @property
    def kid(self) -> str:
        return str(self.key_file["private_key_id"])

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a token that a client would sign now; a change to None leaves one out."""
        now = int(time.time())
        usual = {"iss": self.email, "sub": self.email, "aud": AUDIENCE, "iat": now, "exp": now + 3600}
        return {name: value for name, value in (usual | changes).items() if value is not None}

    def signed(self, **changes: Any) -> str:
        """A token that the account has signed."""
        signer = crypt.RSASigner.from_string(self.key_file["private_key"], self.kid)
        return str(jwt.encode(signer, self.claims(**changes)).decode())


class Registry:
    """Makes accounts and grants in a database while a service runs on it."""

    def __init__(self, place: pathlib.Path | str) -> None:
        self.db = database.Database(place)

    def account(self, name: str, project: str = "demo", *, email: str | None = None) -> Account:
        """Makes an account with a key."""
        with self.db.write() as connection:
            record = accounts.create(connection, name, project, email=email)
        return self._with_key(record)

    def keys(self, name: str, count: int) -> list[Account]:
        """Makes an account with several keys; one item for each."""
        made = self.account(name)
        return [made, *(self._with_key(made.record) for _ in range(count - 1))]

    def _with_key(self, record: AccountRecord) -> Account:
        content, public_jwk = key_files.new_key(record, "https://localhost:8470/token")
        with self.db.write() as connection:
            accounts.add_key(connection, record, content["private_key_id"], public_jwk)
        return Account(record, content)

    def grant(self, member: str, role: str, resource: str) -> None:
        with self.db.write() as connection:
            policies.grant(connection, resource, role, member)

    def revoke(self, member: str, role: str, resource: str) -> None:
        with self.db.write() as connection:
            policies.revoke(connection, resource, role, member)

    def grant_folder(self, member: str, folder: str, *, read: bool = False, write: bool = False) -> None:
        with self.db.write() as connection:
            bucket_grants.grant(connection, member, objects.Grant.parse(folder, can_read=read, can_write=write))

    def revoke_folder(self, member: str, folder: str) -> None:
        """Takes reading and writing away."""
        with self.db.write() as connection:
            bucket_grants.revoke(connection, member, objects.Grant.parse(folder, can_read=True, can_write=True))

    def set_disabled(self, account: Account, disabled: bool) -> None:
        with self.db.write() as connection:
            accounts.set_disabled(connection, account.record, disabled)

    def token(self, account: Account, *, kind: str = token_store.ACCESS, life_s: float = 3600.0) -> str:
        """An access token or a refresh token; one with a life below zero has expired."""
        with self.db.write() as connection:
            holder = token_store.TokenHolder(account.member)
            return token_store.issue(connection, kind, holder, life_s, round(time.time() * 1e6))

    def api_key(self, account: Account, permissions: Collection[str] | None = None) -> str:
        with self.db.write() as connection:
            return accounts.add_api_key(connection, account.record, permissions)[1]

    def close(self) -> None:
        self.db.close()
