"""What an operator should know of accounts, keys and policies: what ends soon, what nobody uses, what has no effect."""

from __future__ import annotations

import sqlalchemy as sa

from boxwright.access import accounts, members, providers
from boxwright.metadata import database
from boxwright.metadata.schema import account_keys, bindings

ENDS_SOON_DAYS = 30
UNUSED_DAYS = 90


def summary(connection: sa.Connection) -> str:
    """How many accounts there are."""
    found = accounts.listed(connection)
    disabled = sum(account.is_disabled for account in found)
    return f"{len(found)} account{'' if len(found) == 1 else 's'}" + (f", {disabled} disabled" if disabled else "")


def findings(connection: sa.Connection) -> list[str]:
    """What is to be looked at, a sentence each."""
    by_id = {account.id: account for account in accounts.listed(connection)}
    if not by_id:
        return ["there are no accounts: boxwright access start --project PROJECT makes the first"]
    now = database.now_us(connection)
    found = []
    for key in connection.execute(sa.select(account_keys).order_by(account_keys.c.kid)):
        account = by_id.get(key.account_id)
        if account is None or key.disabled_us is not None:
            continue
        days = (key.not_after_us - now) / accounts.DAY_US
        last_us = key.last_used_us or key.create_time_us
        if days < 0:
            found.append(f"the key {key.kid} of {account.member} has ended")
        elif days < ENDS_SOON_DAYS:
            found.append(f"the key {key.kid} of {account.member} ends in {days:.0f} days")
        elif now - last_us > UNUSED_DAYS * accounts.DAY_US:
            found.append(f"the key {key.kid} of {account.member} was not used for {UNUSED_DAYS} days")
    known = {account.member for account in by_id.values()}
    vouching = {provider.name for provider in providers.listed(connection)}
    for row in connection.execute(sa.select(bindings).order_by(bindings.c.resource, bindings.c.member)):
        is_ours = row.member.startswith("serviceAccount:") and row.member.endswith(f".{members.DOMAIN}")
        if row.member.startswith("deleted:") or (is_ours and row.member not in known):
            found.append(f"{row.member} has {row.role} on {row.resource}, and there is no such account")
        if (name := members.vouched_by(row.member)) and name not in vouching:
            found.append(f"{row.member} has {row.role} on {row.resource}, and there is no provider {name}")
    return found
