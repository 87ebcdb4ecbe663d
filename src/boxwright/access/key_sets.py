"""Keys of identity providers, asked for at the address that an operator has named, and kept.

    check_address(url, field)  whether an address may be asked
    configuration(issuer)      what an issuer says of itself (OpenID Connect Discovery)
    discover(issuer)           where an issuer says that its keys are
    fetch(url)                 the JSON object at an address
    lets_read(url, …)          whether pages of an origin may read what an address answers (CORS)
    KeySets                    the keys of providers, for several threads

Only an operator names addresses. No redirect is followed, no credential is sent, and little is read. Keys are asked for
again after ten minutes, or for a key that is not known, but never more than once in a minute; they are used for a day
while their issuer cannot be reached.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import logging
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

import requests

from boxwright import errors
from boxwright.access import oidc_tokens
from boxwright.access.oidc_tokens import ProviderKey, ProviderRecord

MAX_ADDRESS_CHARS = 500
MAX_BYTES = 256 * 1024
TIMEOUT_S = 5.0
FRESH_S, RETRY_S, STALE_S = 600.0, 60.0, 86_400.0
DISCOVERY = "/.well-known/openid-configuration"
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "boxwright"}
_PLAIN = re.compile(r"[\x21-\x7e]+")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")  # as the last part of a host, it makes resolvers see an address
log = logging.getLogger(__name__)


def check_address(url: str, field: str) -> None:
    """Raises INVALID_ARGUMENT unless this is an address that may be asked.

    That is ``https://HOST…``, or ``http://`` on this machine, without credentials and fragment. A host is a name, or an
    address in its usual spelling that leads to a machine.
    """
    try:
        found = urllib.parse.urlsplit(url)
        host, _ = found.hostname or "", found.port
    except ValueError:
        raise errors.invalid_argument(field, f"'{url[:100]}' is no address.") from None
    if len(url) > MAX_ADDRESS_CHARS or not _PLAIN.fullmatch(url) or "\\" in url or not host:
        raise errors.invalid_argument(field, f"'{url[:100]}' is no address.")
    if "@" in found.netloc or "#" in url:
        raise errors.invalid_argument(field, "An address has neither credentials nor a fragment here.")
    problem = _host_problem(host)
    if problem:
        raise errors.invalid_argument(field, f"The host '{host[:100]}' {problem}.")
    if found.scheme != "https" and not (found.scheme == "http" and is_loopback(host)):
        raise errors.invalid_argument(field, f"'{url[:100]}' must begin with https://; http:// is for this machine.")


def _host_problem(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        is_number = _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2])
        return "is an address in an unusual spelling" if is_number or "%" in host or ":" in host else ""
    if isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.sixtofour or address.teredo):
        return "is an IPv4 address in an unusual spelling"
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return "leads to no machine that issues tokens"
    return ""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def configuration(issuer: str) -> dict[str, Any]:
    """What an issuer says of itself.

    Raises:
        ApiError: INVALID_ARGUMENT if it calls itself something else; FAILED_PRECONDITION if it cannot be reached.
    """
    check_address(issuer, "--issuer")
    found = fetch(issuer.rstrip("/") + DISCOVERY)
    if found.get("issuer") != issuer:
        said = str(found.get("issuer"))[:100]
        raise errors.invalid_argument("--issuer", f"{issuer} says that it is '{said}'; name it exactly so.")
    return found


def discover(issuer: str) -> str:
    """The address of an issuer's keys, as the issuer says.

    Raises:
        ApiError: INVALID_ARGUMENT if the issuer says something that is not to be followed; FAILED_PRECONDITION if it cannot
            be reached.
    """
    address = configuration(issuer).get("jwks_uri")
    if not isinstance(address, str):
        raise errors.invalid_argument("--issuer", f"{issuer} does not say where its keys are; see --jwks.")
    check_address(address, "--issuer")
    if issuer.startswith("https:") and not address.startswith("https:"):
        raise errors.invalid_argument("--issuer", f"{issuer} says that its keys are at {address}, without TLS.")
    host, own = (urllib.parse.urlsplit(url).hostname or "" for url in (address, issuer))
    if host != own and (is_loopback(host) or _is_number(host)):
        raise errors.invalid_argument(
            "--issuer", f"{issuer} says that its keys are at {address}. If that is right, name it with --jwks-uri."
        )
    return address


def _is_number(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def fetch(url: str) -> dict[str, Any]:
    """The JSON object at an address.

    Raises:
        ApiError: FAILED_PRECONDITION: it cannot be had, or is no JSON object, or longer than 256 KiB.
    """
    try:
        content = _content(url)
        found = json.loads(content)
    except (requests.RequestException, OSError) as error:
        raise errors.failed_precondition(f"{url} cannot be reached: {type(error).__name__}.") from error
    except ValueError as error:
        raise errors.failed_precondition(f"{url} does not answer with JSON.") from error
    if not isinstance(found, dict):
        raise errors.failed_precondition(f"{url} does not answer with a JSON object.")
    return found


def lets_read(url: str, form: Mapping[str, str], origin: str) -> bool:
    """Whether pages of an origin may read what an address answers to a form, an error included (CORS).

    Raises:
        ApiError: FAILED_PRECONDITION: it cannot be reached.
    """
    asked = {
        "headers": {**_HEADERS, "Origin": origin},
        "timeout": TIMEOUT_S,
        "allow_redirects": False,
        "auth": _no_auth,
    }
    try:
        with requests.post(url, data=dict(form), stream=True, **asked) as response:  # type: ignore[arg-type]  # noqa: S113
            return response.headers.get("access-control-allow-origin") in (origin, "*")
    except (requests.RequestException, OSError) as error:
        raise errors.failed_precondition(f"{url} cannot be reached: {type(error).__name__}.") from error


def _content(url: str) -> bytes:
    ends_s = time.monotonic() + TIMEOUT_S
    asked = {"headers": _HEADERS, "timeout": TIMEOUT_S, "allow_redirects": False, "stream": True, "auth": _no_auth}
    with requests.get(url, **asked) as response:  # type: ignore[arg-type]  # noqa: S113 — it has one
        if response.status_code != 200:
            raise errors.failed_precondition(f"{url} answers with the status {response.status_code}.")
        content = b""
        for chunk in response.raw.stream(16_384, decode_content=False):
            content += chunk
            if len(content) > MAX_BYTES:
                raise errors.failed_precondition(f"{url} answers with more than {MAX_BYTES // 1024} KiB.")
            if time.monotonic() > ends_s:
                raise errors.failed_precondition(f"{url} takes longer than {TIMEOUT_S:.0f} s to answer.")
        return content


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Sends no credentials, whatever a .netrc of this machine says about the host."""
    return request


@dataclasses.dataclass
class _Kept:
    """What is known of one address."""

    lock: threading.Lock
    keys: Mapping[str, ProviderKey] = dataclasses.field(default_factory=dict)
    got_s: float | None = None
    asked_s: float | None = None


class KeySets:
    """Keys of providers, by their ids; for several threads.

    Args:
        ask: gets the JSON object at an address, or raises ApiError.
        clock: seconds that never go back.
    """

    def __init__(
        self, ask: Callable[[str], dict[str, Any]] = fetch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._static: dict[str, tuple[object, Mapping[str, ProviderKey]]] = {}

    def find(self, provider: ProviderRecord, kid: str) -> ProviderKey | None:
        """The key of this id; None if the provider has none that is taken. May ask its address."""
        if provider.jwks_uri is None:
            return self._of_file(provider).get(kid)
        with self._lock:
            kept = self._kept.setdefault(provider.jwks_uri, _Kept(threading.Lock()))
        if self._wants_more(kept, kid) and kept.lock.acquire(timeout=0 if kept.keys else 2 * TIMEOUT_S):
            try:
                if self._wants_more(kept, kid):  # another thread may have asked meanwhile
                    self._renew(provider.jwks_uri, kept)
            finally:
                kept.lock.release()
        if kept.got_s is None or self._clock() - kept.got_s > STALE_S:
            return None
        return kept.keys.get(kid)

    def _wants_more(self, kept: _Kept, kid: str) -> bool:
        now_s = self._clock()
        if kept.asked_s is not None and now_s - kept.asked_s < RETRY_S:
            return False
        return kid not in kept.keys or kept.got_s is None or now_s - kept.got_s > FRESH_S

    def _renew(self, address: str, kept: _Kept) -> None:
        try:
            keys = oidc_tokens.usable_keys(self._ask(address))
        except errors.ApiError as error:
            log.warning("event=provider_keys_not_got address=%s reason=%s", address, error.message)
        else:
            kept.keys, kept.got_s = keys, self._clock()
        finally:
            kept.asked_s = self._clock()

    def _of_file(self, provider: ProviderRecord) -> Mapping[str, ProviderKey]:
        known = self._static.get(provider.name)
        if known is None or known[0] is not provider.jwks:
            known = (provider.jwks, oidc_tokens.usable_keys(provider.jwks))
            self._static[provider.name] = known
        return known[1]
