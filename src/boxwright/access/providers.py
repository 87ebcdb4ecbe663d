"""Identity providers in the database: added, listed, disabled, deleted. Who they vouch for is in `oidc_tokens`.

Every function works in the caller's exclusive transaction and raises the version of `index`, so that a change counts at
the next call, in every process.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import sqlalchemy as sa

from boxwright import errors
from boxwright.access import index, key_sets, members, oidc_tokens
from boxwright.access.oidc_tokens import ProviderRecord
from boxwright.metadata import database
from boxwright.metadata.schema import bindings, bucket_grants, group_members, operations, providers, tokens

MAX_SIGN_IN_S = 30 * 86_400
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}[a-z0-9]")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
_CLAIM = re.compile(r"[\x20-\x7e]{1,200}")


def add(connection: sa.Connection, provider: ProviderRecord) -> None:
    """Adds a provider; its addresses have been checked.

    Raises:
        ApiError: INVALID_ARGUMENT for what cannot be; FAILED_PRECONDITION if there is one of this name, or of this issuer
            and audience, or one that speaks for one of the domains.
    """
    _check(provider)
    for other in listed(connection):
        if other.name == provider.name:
            raise errors.failed_precondition(f"There is a provider {provider.name} already.")
        if (other.issuer, other.audience) == (provider.issuer, provider.audience):
            raise errors.failed_precondition(f"The provider {other.name} has this issuer and audience already.")
        for domain in provider.email_domains:
            if domain in other.email_domains:
                raise errors.failed_precondition(
                    f"The provider {other.name} speaks for {domain} already: one issuer must not speak for another's people."
                )
    connection.execute(
        providers.insert().values(
            name=provider.name,
            issuer=provider.issuer,
            audience=provider.audience,
            jwks_uri=provider.jwks_uri,
            jwks=None if provider.jwks is None else dict(provider.jwks),
            email_domains=list(provider.email_domains),
            subject_claim=provider.subject_claim,
            groups_claim=provider.groups_claim,
            required_claims=dict(provider.required_claims),
            sign_in_s=provider.sign_in_s,
            create_time_us=database.now_us(connection),
        )
    )
    index.note_change(connection)


def _check(provider: ProviderRecord) -> None:
    if not _NAME.fullmatch(provider.name):
        raise errors.invalid_argument(
            "name",
            f"'{provider.name[:80]}' must have 2 to 64 small letters, digits and hyphens, and begin with a letter.",
        )
    key_sets.check_address(provider.issuer, "--issuer")
    if "?" in provider.issuer:
        raise errors.invalid_argument("--issuer", "An issuer has no query.")
    if not 1 <= len(provider.audience) <= 500:
        raise errors.invalid_argument("--audience", "It has 1 to 500 characters.")
    if provider.jwks_uri is not None:
        key_sets.check_address(provider.jwks_uri, "--jwks-uri")
    elif not oidc_tokens.usable_keys(provider.jwks):
        raise errors.invalid_argument(
            "--jwks",
            "It holds no public key that is taken: RSA of 2048 to 4096 bits, P-256 or Ed25519, with an id (kid).",
        )
    for domain in provider.email_domains:
        if not _DOMAIN.fullmatch(domain) or domain.endswith(members.DOMAIN):
            raise errors.invalid_argument("--email-domain", f"'{domain[:100]}' is no domain of people.")
    for claim in (provider.subject_claim, provider.groups_claim or "groups", *provider.required_claims):
        if not _CLAIM.fullmatch(claim):
            raise errors.invalid_argument("claim", f"'{claim[:100]}' is no name of a claim.")
    if not 0 <= provider.sign_in_s <= MAX_SIGN_IN_S:
        raise errors.invalid_argument("--sign-in-hours", f"It is 0 to {MAX_SIGN_IN_S // 3600}.")


def listed(connection: sa.Connection) -> Sequence[ProviderRecord]:
    """All providers, by name."""
    return [index.provider_record(row) for row in connection.execute(sa.select(providers).order_by(providers.c.name))]


def find(connection: sa.Connection, name: str) -> ProviderRecord:
    """Finds a provider; raises NOT_FOUND."""
    for provider in listed(connection):
        if provider.name == name:
            return provider
    raise errors.not_found(
        f"There is no provider {name[:80]}; `boxwright access providers list` shows those that there are."
    )


def set_disabled(connection: sa.Connection, name: str, disabled: bool) -> None:
    """Disables a provider, so that nothing that it vouches for is taken, or enables it again; raises NOT_FOUND."""
    find(connection, name)
    now = database.now_us(connection) if disabled else None
    connection.execute(providers.update().where(providers.c.name == name).values(disabled_us=now))
    index.note_change(connection)


def delete(connection: sa.Connection, name: str) -> None:
    """Deletes a provider with the tokens of its people, and what was granted to its subjects and groups.

    A later provider of the same name inherits nothing. What was granted to addresses (``user:…``) stays.

    Raises:
        ApiError: NOT_FOUND.
    """
    find(connection, name)
    connection.execute(tokens.delete().where(tokens.c.key == key_of(name)))
    for kind in ("principal", "principalSet"):
        own = f"{kind}:{oidc_tokens.PROVIDERS}{name}/"
        for table in (bindings, bucket_grants, group_members):
            connection.execute(table.delete().where(table.c.member.startswith(own, autoescape=True)))
        mine = operations.c.caller.startswith(own, autoescape=True)
        connection.execute(operations.update().where(mine).values(caller=f"deleted:providers/{name}"))
    connection.execute(providers.delete().where(providers.c.name == name))
    index.note_change(connection)


def key_of(name: str) -> str:
    """What tokens that a provider has vouched for were given for, as `Caller.key`."""
    return f"providers/{name}"


def named_by(audience: str) -> str:
    """The name of the provider that an audience of clients names; empty for another audience."""
    return audience.removeprefix(oidc_tokens.PROVIDERS) if audience.startswith(oidc_tokens.PROVIDERS) else ""
