"""Members: the names by which policies and grants know callers.

serviceAccount:NAME@PROJECT.boxwright.localhost     an account of this installation
user:ADDRESS, group:ADDRESS, domain:DOMAIN          people, as an identity provider vouches for them
principal://…, principalSet://…                     a provider's subjects and groups
allAuthenticatedUsers                               every caller who has shown valid credentials
deleted:serviceAccount:ADDRESS?uid=ID               what is left of a deleted account: nobody
"""

from __future__ import annotations

import re

from boxwright import errors

DOMAIN = "boxwright.localhost"  # what accounts of this installation end in, as Google's end in iam.gserviceaccount.com
EVERYBODY_KNOWN = "allAuthenticatedUsers"
MAX_MEMBER_CHARS = 320
_ADDRESS = r"[A-Za-z0-9._%+'-]{1,128}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,189}[A-Za-z0-9])?"
_MEMBER = re.compile(
    rf"(?:user|serviceAccount|group):{_ADDRESS}"
    r"|domain:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,189}[A-Za-z0-9])?"
    rf"|deleted:serviceAccount:{_ADDRESS}\?uid=[0-9]{{1,40}}"
    r"|principal://boxwright/providers/[A-Za-z0-9_-]{1,64}/subject/[\x21-\x7e]{1,200}"
    r"|principalSet://boxwright/providers/[A-Za-z0-9_-]{1,64}/(?:\*|group/[\x21-\x7e]{1,200})"
    rf"|{EVERYBODY_KNOWN}"
)
_PROVIDER = re.compile(r"principal://boxwright/providers/([A-Za-z0-9_-]+)/subject/.*")
_OF_PROVIDER = re.compile(r"principal(?:Set)?://boxwright/providers/([A-Za-z0-9_-]+)/.*")


def is_member(text: str) -> bool:
    """Whether a text has the form of a member."""
    return len(text) <= MAX_MEMBER_CHARS and _MEMBER.fullmatch(text) is not None


def check(member: str, field: str) -> None:
    """Raises INVALID_ARGUMENT naming the request field for what is no member."""
    if member == "allUsers":
        raise errors.invalid_argument(
            field,
            f"allUsers is not allowed here: every call needs credentials. Use {EVERYBODY_KNOWN} for all who have some.",
        )
    if not is_member(member):
        raise errors.invalid_argument(
            field,
            f"'{member[:100]}' is no member; expected serviceAccount:ADDRESS, user:ADDRESS, group:ADDRESS, domain:DOMAIN or "
            f"{EVERYBODY_KNOWN}.",
        )


def canonical(member: str) -> str:
    """The member in the spelling under which it is stored: addresses do not differ by case."""
    kind, separator, rest = member.partition(":")
    return f"{kind}{separator}{rest.lower()}" if kind in ("user", "serviceAccount", "group", "domain") else member


def provider_of(member: str) -> str:
    """The name of the provider whose subject a member is; empty for other members."""
    found = _PROVIDER.fullmatch(member)
    return found[1] if found else ""


def vouched_by(member: str) -> str:
    """The name of the provider whose subject, group or set a member is; empty for other members."""
    found = _OF_PROVIDER.fullmatch(member)
    return found[1] if found else ""


def counted_as(member: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """All members that a caller is when policies are read; none for nobody in particular."""
    if not member:
        return ()
    found = [member, *groups, EVERYBODY_KNOWN]
    if member.startswith("user:"):
        found.append("domain:" + member.rpartition("@")[2])
    if provider := provider_of(member):
        found.append(f"principalSet://boxwright/providers/{provider}/*")
    return tuple(dict.fromkeys(found))
