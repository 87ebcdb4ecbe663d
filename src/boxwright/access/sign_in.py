"""Where people sign in to the console: what the configured providers say of themselves (OpenID Connect Discovery).

    SignInProviders(…).listed()   those that can be used now
    described(provider, found)     one of them, of what its issuer says
    findings(…)                   what is wrong with the setting console_providers

The service asks an issuer where its pages are, as it does for keys: then the console's policy can name the origins that a
browser may send a code to, and a browser needs no leave to read the issuer's own description.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from boxwright import errors
from boxwright.access import key_sets
from boxwright.access.index import IndexReader
from boxwright.access.oidc_tokens import ProviderRecord

METHOD = "S256"  # RFC 7636: the hash of a secret goes through the address bar, the secret does not
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SignInProvider:
    """A provider at which people sign in.

    Attributes:
        name: the provider's.
        issuer: as it calls itself.
        client_id: what the console is to the issuer: the audience of its tokens.
        authorization_endpoint, token_endpoint: its addresses; empty while it has not said them.
        end_session_endpoint: where a person signs out there; empty: nowhere.
    """

    name: str
    issuer: str
    client_id: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    end_session_endpoint: str = ""

    @property
    def is_away(self) -> bool:
        """Whether the issuer has not said yet where its pages are."""
        return not self.authorization_endpoint


def described(provider: ProviderRecord, found: Mapping[str, Any]) -> SignInProvider:
    """Reads an issuer's description.

    Raises:
        ApiError: FAILED_PRECONDITION: it has no code flow, no S256, or an address that no browser is sent to.
    """
    for field, wanted in (("response_types_supported", "code"), ("code_challenge_methods_supported", METHOD)):
        offered = found.get(field)
        if (
            isinstance(offered, list) and wanted not in offered
        ):  # some issuers leave a list out and have it all the same
            raise errors.failed_precondition(f"{provider.issuer} does not offer {wanted} ({field}).")
    addresses = []
    for field in ("authorization_endpoint", "token_endpoint", "end_session_endpoint"):
        address = found.get(field, "")
        if not address and field == "end_session_endpoint":
            addresses.append("")
            continue
        if not isinstance(address, str) or not _is_usable(provider.issuer, address):
            raise errors.failed_precondition(
                f"{provider.issuer} names '{str(address)[:100]}' as its {field}; it must be https:// with a host name."
            )
        addresses.append(address)
    return SignInProvider(provider.name, provider.issuer, provider.audience, *addresses)


def _is_usable(issuer: str, address: str) -> bool:
    """Whether a browser may be sent there: over TLS, or on this machine where the issuer is there too."""
    try:
        key_sets.check_address(address, "issuer")
    except errors.ApiError:
        return False
    return bool(_ORIGIN.fullmatch(origin_of(address))) and not (
        issuer.startswith("https:") and not address.startswith("https:")
    )


def origin_of(address: str) -> str:
    """Scheme, host and port of an address, as a Content-Security-Policy names a source."""
    found = urllib.parse.urlsplit(address)
    return f"{found.scheme}://{found.netloc}"


@dataclasses.dataclass
class _Kept:
    """What is known of one provider."""

    provider: ProviderRecord
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    description: SignInProvider | None = None
    got_s: float = 0.0
    asked_s: float | None = None


class SignInProviders:
    """The providers at which people sign in; for several threads.

    An issuer is asked when the console is opened, again after ten minutes, and once in a minute at most while it does not
    answer. What it has said before is used until it answers again.

    Args:
        reader: the index of providers.
        names: of those that the console offers, in its order.
        ask: gets what an issuer says of itself, or raises ApiError.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        reader: IndexReader,
        names: Sequence[str],
        ask: Callable[[str], Mapping[str, Any]] = key_sets.configuration,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._names = tuple(dict.fromkeys(names))
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    def listed(self) -> list[SignInProvider]:
        """The enabled ones that are for people, in the setting's order. May ask their issuers.

        Raises:
            ApiError: UNAVAILABLE: the database cannot be reached.
        """
        providers = self._reader.current().providers
        found = (providers.get(name) for name in self._names)
        return [self._described(one) for one in found if one is not None and not one.is_disabled and one.sign_in_s]

    def _described(self, provider: ProviderRecord) -> SignInProvider:
        with self._lock:
            kept = self._kept.get(provider.name)
            if kept is None or (kept.provider.issuer, kept.provider.audience) != (provider.issuer, provider.audience):
                kept = self._kept[provider.name] = _Kept(provider)
        # who has nothing to show waits for the one who asks; who has something does not
        if self._is_old(kept) and kept.lock.acquire(timeout=0 if kept.description else 2 * key_sets.TIMEOUT_S):
            try:
                if self._is_old(kept):
                    self._renew(kept)
            finally:
                kept.lock.release()
        return kept.description or SignInProvider(provider.name, provider.issuer, provider.audience)

    def _is_old(self, kept: _Kept) -> bool:
        now_s = self._clock()
        if kept.asked_s is not None and now_s - kept.asked_s < key_sets.RETRY_S:
            return False
        return kept.description is None or now_s - kept.got_s > key_sets.FRESH_S

    def _renew(self, kept: _Kept) -> None:
        try:
            kept.description = described(kept.provider, self._ask(kept.provider.issuer))
            kept.got_s = self._clock()
        except errors.ApiError as error:
            log.warning("event=issuer_not_described provider=%s reason=%s", kept.provider.name, error.message)
        finally:
            kept.asked_s = self._clock()


def findings(
    providers: Iterable[ProviderRecord],
    names: Sequence[str],
    ask: Callable[[str], Mapping[str, Any]] = key_sets.configuration,
    *,
    public_url: str | None = None,
) -> list[str]:
    """What is to be mended before people can sign in to the console, a sentence each.

    Asks the issuers; where the console's address is known, also with a code that is none, whether it may read the answer.
    """
    known = {provider.name: provider for provider in providers}
    found = []
    for name in names:
        provider = known.get(name)
        if provider is None:
            found.append(f"there is no provider {name}: boxwright access providers create {name} makes it")
        elif provider.is_disabled:
            found.append(f"the provider {name} is disabled: boxwright access providers enable {name}")
        elif not provider.sign_in_s:
            found.append(f"the provider {name} is not for people: it was created with --sign-in-hours 0")
        else:
            try:
                found += _unreadable(described(provider, ask(provider.issuer)), public_url)
            except errors.ApiError as error:
                found.append(f"nobody can sign in at {name}: {error.message.strip()}")
    return found


def _unreadable(provider: SignInProvider, public_url: str | None) -> list[str]:
    """That an issuer does not let the console's pages read its answers, if so."""
    if public_url is None:
        return []
    origin = origin_of(public_url)
    form = {
        "grant_type": "authorization_code",
        "code": "boxwright-doctor",
        "redirect_uri": f"{public_url.rstrip('/')}/console/",
        "client_id": provider.client_id,
        "code_verifier": "boxwright-doctor-asks-whether-it-may-read-this",
    }
    if key_sets.lets_read(provider.token_endpoint, form, origin):
        return []
    return [
        f"{provider.name} does not let pages of {origin} read its answers: allow that origin (CORS) in its settings"
    ]
