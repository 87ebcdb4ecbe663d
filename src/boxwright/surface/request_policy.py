"""First at both API servers: is the request for this service, and does it come from where it may come from?

    RequestPolicy.judge(…)          an HTTP request, by its verb, path and headers, before its body
    RequestPolicy.judge_metadata(…) a gRPC call, by its metadata

Any program on the machine, and any web page in a browser on it, can send requests to a loopback address. A page shows
itself by `Origin` and `Sec-Fetch-Site`, which a browser adds and no page can change; a page under a foreign name that
resolves to this address shows itself by `Host`. Programs send neither of the first two, and the address they were given
as `Host`. Every verb is judged; there are no CORS headers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from boxwright import errors
from boxwright.surface import routes

PROBES = ("/healthz", "/readyz")  # asked by address, whatever that is; they hold no data
PAGES = (
    "/",
    "/console",
    "/console/",
)  # static and without data: any page may lead a browser there, and none may frame it
DEFAULT_PORTS = {"http": 80, "https": 443}
ANSWER_HEADERS = (  # on every answer
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?")
Headers = Iterable[tuple[str, str]]


class RequestPolicy:
    """Judges requests by their headers.

    Args:
        host: what the API servers listen on; where it is loopback, every loopback name and address is served.
        certificate_names: what the certificate is for; served too.
        allowed_hosts: further host names and addresses; `*.example.org` is any name that is one label longer.
        allowed_origins: origins of pages that may send requests, beside the service's own.
        public_url: where callers reach the service; its host and its origin are served.
        peers: networks that connections may come from; none: from anywhere.

    Raises:
        ApiError: INVALID_ARGUMENT naming the setting that cannot be read.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        certificate_names: Iterable[str] = (),
        allowed_hosts: Iterable[str] = (),
        allowed_origins: Iterable[str] = (),
        public_url: str | None = None,
        peers: Iterable[str] = (),
    ) -> None:
        self._peers = [ipaddress.ip_network(peer) for peer in peers]
        self._is_loopback = _is_loopback(_canonical(host))
        self._names = {_canonical(name) for name in (host, *map(_configured_host, allowed_hosts))}
        self.serve_certificate(certificate_names)
        self._origins = {_configured_origin("allowed_origins", origin) for origin in allowed_origins}
        if public_url is not None:
            origin = _configured_origin("public_url", public_url.rstrip("/"))
            self._origins.add(origin)
            self._names.add(origin[1])

    def serve_certificate(self, names: Iterable[str]) -> None:
        """Serves the names of another certificate, and no longer those of the one before."""
        self._certificate_names = frozenset(map(_canonical, names))

    def judge(self, verb: str, path: str, headers: Headers, scheme: str) -> None:
        """Lets an HTTP request pass, or not.

        Args:
            verb: the verb of the request line.
            path: the path as it was sent, percent-encoded, without query.
            headers: names in lower case, and values; a name may be there twice.
            scheme: `http` or `https`, as this API server speaks.

        Raises:
            ApiError: PERMISSION_DENIED, or INVALID_ARGUMENT if the host cannot be told.
        """
        given = _gathered(headers, ("host", "origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"))
        own = None
        if path not in PROBES:
            own = self._judge_host(given["host"], scheme)
        elif len(given["host"]) == 1:
            own = _split_host(given["host"][0], scheme)
        self._judge_origin(given["origin"], own and (scheme, *own))
        is_navigation = given["sec-fetch-mode"] == ["navigate"] and given["sec-fetch-dest"] == ["document"]
        if not (verb == "GET" and path in PAGES and is_navigation):
            _judge_site(verb, given["sec-fetch-site"])

    def judge_peer(self, address: str) -> None:
        """Lets a connection from this address pass, or not: without TLS, only from a proxy that does it.

        Raises:
            ApiError: PERMISSION_DENIED.
        """
        if not self._peers:
            return
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            found = None
        found = getattr(found, "ipv4_mapped", None) or found
        if found is None or not any(found in network for network in self._peers):
            raise errors.permission_denied(
                "This service takes connections from its proxy only; see trusted_proxies (BOXWRIGHT_TRUSTED_PROXIES)."
            )

    def judge_metadata(self, metadata: Headers) -> None:
        """Lets a gRPC call pass, or not. What host it was sent to is not shown to servers in Python.

        Raises:
            ApiError: PERMISSION_DENIED.
        """
        given = _gathered(metadata, ("origin", "sec-fetch-site"))
        self._judge_origin(given["origin"], None)
        _judge_site("POST", given["sec-fetch-site"])

    def _judge_host(self, sent: Sequence[str], scheme: str) -> tuple[str, int]:
        if len(sent) != 1 or not sent[0].strip():
            raise errors.bad_request("A request needs exactly one Host header.")
        found = _split_host(sent[0].strip(), scheme)
        if found is None:
            raise errors.bad_request(f"The Host '{routes.shown(sent[0])}' is neither a host name nor an address.")
        if not self._is_served(found[0]):
            raise errors.permission_denied(
                f"The host '{routes.shown(found[0])}' is not served; see allowed_hosts (BOXWRIGHT_ALLOWED_HOSTS)."
            )
        return found

    def _is_served(self, name: str) -> bool:
        spelled = (name, "*." + name.partition(".")[2])
        is_named = any(one in self._names or one in self._certificate_names for one in spelled)
        return is_named or (self._is_loopback and _is_loopback(name))

    def _judge_origin(self, sent: Sequence[str], own: tuple[str, str, int] | None) -> None:
        for text in sent:
            origin = _split_origin(text)
            if origin is None or (origin != own and origin not in self._origins):
                raise errors.permission_denied(
                    f"The origin '{routes.shown(text)}' is not served; see allowed_origins (BOXWRIGHT_ALLOWED_ORIGINS)."
                )


def _judge_site(verb: str, sent: Sequence[str]) -> None:
    for site in sent:
        if site != "same-origin" and not (site == "none" and verb == "GET"):
            raise errors.permission_denied(
                f"Requests of other sites' pages are not served (Sec-Fetch-Site: {routes.shown(site)})."
            )


def _gathered(headers: Headers, names: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in names}
    for name, value in headers:
        if name in found:
            found[name].append(value)
    return found


def _canonical(name: str) -> str:
    """Case folded, one trailing dot cut; an address in its shortest form."""
    name = name.lower().removesuffix(".")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _is_loopback(name: str) -> bool:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")  # RFC 6761: never asked of a name server
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _split_host(sent: str, scheme: str) -> tuple[str, int] | None:
    match = _HOST.fullmatch(sent)
    if match is None or (match["port"] and int(match["port"]) > 65535):
        return None
    if match["v6"]:
        try:
            ipaddress.IPv6Address(match["v6"])
        except ValueError:
            return None
    return _canonical(match["v6"] or match["name"]), int(match["port"] or DEFAULT_PORTS[scheme])


def _split_origin(sent: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of `http://HOST:PORT`; None for anything else, `null` included."""
    scheme, separator, rest = sent.partition("://")
    found = _split_host(rest, scheme.lower()) if separator and scheme.lower() in DEFAULT_PORTS else None
    return found and (scheme.lower(), *found)


def _configured_origin(setting: str, text: str) -> tuple[str, str, int]:
    found = _split_origin(text)
    if found is None:
        raise errors.invalid_argument(setting, f"'{text}' is not of the form https://HOST or https://HOST:PORT.")
    return found


def _configured_host(text: str) -> str:
    name = text.removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _NAME.fullmatch(name.removesuffix(".")):
        why = f"'{text}' is neither a host name (without scheme and port; *.example.org is allowed) nor an address."
        raise errors.invalid_argument("allowed_hosts", why)
    return name
