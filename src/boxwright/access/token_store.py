"""Access tokens and refresh tokens in the database, each by the SHA-256 of its text.

An access token lives for an hour, a refresh token for thirty days. All that come from one refresh token are its family and
end with it. Expired access tokens are kept for a day, so that their callers hear that they have expired.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from boxwright.access import secret_texts
from boxwright.metadata.schema import tokens

ACCESS, REFRESH = "access", "refresh"
REFRESH_LIFE_S = 30 * 86_400
KEPT_US = 86_400_000_000
_SECOND_US = 1_000_000
_PREFIXES = {ACCESS: secret_texts.ACCESS_PREFIX, REFRESH: secret_texts.REFRESH_PREFIX}


@dataclasses.dataclass(frozen=True)
class TokenHolder:
    """For whom a token is given.

    Attributes:
        member: who calls with it.
        key: what it was given for, as `Caller.key`.
        groups: further members that the caller counts as.
        family: of the refresh token that it comes from; empty: the token begins one.
        actors: who has it given for the member, the last one last; none: the member itself.
    """

    member: str
    key: str = ""
    groups: Sequence[str] = ()
    family: str = ""
    actors: Sequence[str] = ()


def issue(connection: sa.Connection, kind: str, holder: TokenHolder, life_s: float, now_us: int) -> str:
    """Makes a token and returns its text, which is not kept; also drops what expired more than a day ago."""
    text = secret_texts.new(_PREFIXES[kind])
    connection.execute(tokens.delete().where(tokens.c.expires_us < now_us - KEPT_US))
    connection.execute(
        tokens.insert().values(
            sha256=secret_texts.digest(text),
            kind=kind,
            member=holder.member,
            key=holder.key,
            family=holder.family or secrets.token_hex(16),
            member_groups=json.dumps(list(holder.groups)),
            create_time_us=now_us,
            expires_us=now_us + round(life_s * _SECOND_US),
            actors=json.dumps(list(holder.actors)),
        )
    )
    return text


def find(connection: sa.Connection, text: str, kind: str, now_us: int) -> sa.Row[Any] | None:
    """The row of a token of this kind that has not expired, or None."""
    if not secret_texts.is_well_formed(text, _PREFIXES[kind]):
        return None
    query = sa.select(tokens).where(tokens.c.sha256 == secret_texts.digest(text), tokens.c.kind == kind)
    return connection.execute(query.where(tokens.c.expires_us > now_us)).first()


def note_use(connection: sa.Connection, sha256: str, now_us: int) -> None:
    """Notes when a refresh token was used."""
    connection.execute(tokens.update().where(tokens.c.sha256 == sha256).values(used_us=now_us))


def revoke_all(connection: sa.Connection, member: str) -> int:
    """Ends all tokens of a member, and those that it has had given for accounts; returns how many there were."""
    had_given = tokens.c.actors.contains(json.dumps(member), autoescape=True)
    return connection.execute(tokens.delete().where((tokens.c.member == member) | had_given)).rowcount


def revoke(connection: sa.Connection, text: str) -> sa.Row[Any] | None:
    """Ends a token: an access token alone, a refresh token with all that come from it; returns its row, None if unknown."""
    row = connection.execute(sa.select(tokens).where(tokens.c.sha256 == secret_texts.digest(text))).first()
    if row is not None:
        own = tokens.c.family == row.family if row.kind == REFRESH else tokens.c.sha256 == row.sha256
        connection.execute(tokens.delete().where(own))
    return row
