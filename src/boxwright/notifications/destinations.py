"""Which addresses a request may have events sent to, and which machines are connected to for that.

A caller chooses the address and the service connects, so the service must not become the caller's way to machines that only
the service reaches. The operator lists hosts; nothing else is connected to. Even a listed name may resolve to a machine that
is not public only if that machine's address or network is listed too. The rules for addresses are those of the registries
that RFC 6890 keeps; an IPv4 address inside an IPv6 address (RFC 4291, 3056, 4380, 6052) is judged as what it is.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import urllib.parse
from collections.abc import Sequence
from typing import Self

from boxwright import errors

HTTPS = "https://"
HTTPS_PORT = 443
MAX_CHARS = 1000  # of an address
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")  # what some resolvers take for an IPv4 address, if it is the last label
_PRINTABLE = re.compile(r"[!-\[\]-~]+")  # ASCII without blanks and backslashes
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclasses.dataclass(frozen=True)
class WebAddress:
    """An address that events are posted to.

    Attributes:
        host: a name in small letters, or an IP address as `ipaddress` writes it.
        port: of the host.
        path: with the query, if there is one.
    """

    host: str
    port: int
    path: str


@dataclasses.dataclass(frozen=True)
class AllowedHosts:
    """The hosts that the setting `notify_hosts` lists.

    Attributes:
        hosts: names and addresses with their ports.
        networks: of the addresses that are connected to although they are not public.
    """

    hosts: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[_Network, ...] = ()

    @classmethod
    def of(cls, entries: Sequence[str]) -> Self:
        """Parses ``NAME``, ``NAME:PORT``, ``ADDRESS``, ``[ADDRESS]:PORT`` and ``NETWORK/BITS``.

        Raises:
            ValueError: naming the entry that is none of these.
        """
        hosts, networks = set(), []
        for entry in entries:
            if "/" in entry:
                networks.append(ipaddress.ip_network(entry))
                continue
            try:
                host, port = _host_and_port(entry)
            except ValueError:
                raise ValueError(f"'{entry}' is no host, such as hooks.example.com or hooks.example.com:8443") from None
            hosts.add((host, port))
            if (address := _address_of(host)) is not None:
                networks.append(ipaddress.ip_network(address))
        return cls(frozenset(hosts), tuple(networks))

    def parse(self, text: str) -> WebAddress:
        """Parses the address of a receiver that is allowed.

        Raises:
            ApiError: INVALID_ARGUMENT with what is wrong.
        """
        if len(text) > MAX_CHARS or not _PRINTABLE.fullmatch(text):
            raise errors.bad_request(
                f"An address has at most {MAX_CHARS} printable ASCII characters, no blanks and no backslashes."
            )
        try:
            parts = urllib.parse.urlsplit(text)
            if parts.scheme != "https" or not text.startswith(HTTPS):
                raise errors.bad_request("An address starts with https://.")
            if "@" in parts.netloc or "#" in text:
                raise errors.bad_request("An address has no user, no password and no fragment.")
            host, port = _host_and_port(parts.netloc)
        except ValueError:
            raise errors.bad_request("Its host is not written as a name or an IP address.") from None
        if (host, port) not in self.hosts:
            shown = host if port == HTTPS_PORT else f"{host}:{port}"
            raise errors.bad_request(f"Events are not sent to {shown}; the operator allows hosts with notify_hosts.")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return WebAddress(host, port, path)

    def allows_machine(self, address: str) -> bool:
        """Whether a machine with this IP address is connected to: it is public, or in a network that is listed."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        meant = _meant(found)
        if any(meant in network for network in self.networks if network.version == meant.version):
            return True
        is_site_local = isinstance(meant, ipaddress.IPv6Address) and meant.is_site_local
        return meant.is_global and not (meant.is_multicast or meant.is_reserved or is_site_local)


def _meant(address: _Address) -> _Address:
    """The IPv4 address that is inside an IPv6 address; another address is itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _TRANSLATED or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _host_and_port(netloc: str) -> tuple[str, int]:
    """Parses ``HOST``, ``HOST:PORT`` and ``[ADDRESS]:PORT``. Raises ValueError."""
    if netloc.startswith("["):
        inside, closed, rest = netloc[1:].partition("]")
        host = str(ipaddress.IPv6Address(inside))
        if not closed or "%" in inside or (rest and not rest.startswith(":")):
            raise ValueError(netloc)
        return host, _port(rest[1:]) if rest else HTTPS_PORT
    try:
        return str(ipaddress.IPv6Address(netloc)), HTTPS_PORT  # an entry of the setting; in a URL it has brackets
    except ValueError:
        host, colon, port = netloc.partition(":")
    host = host.lower()
    if not _NAME.fullmatch(host):
        raise ValueError(netloc)
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        host = str(ipaddress.IPv4Address(host))  # refuses octal, hexadecimal and short forms
    return host, _port(port) if colon else HTTPS_PORT


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:6]) < 1 << 16:
        raise ValueError(text)
    return int(text)


def _address_of(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
