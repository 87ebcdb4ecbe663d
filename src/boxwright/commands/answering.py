"""Why a service cannot be spoken to although something is there: TLS on one side only, a certificate that is not trusted."""

from __future__ import annotations

import contextlib
import socket
import ssl
import urllib.parse
from typing import TypeVar

import requests

_E = TypeVar("_E", bound=BaseException)

PROBE_S = 3.0
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(
    (0, 0, 0, 4, 0, 0, 0, 0, 0)
)  # and empty settings (RFC 9113)
_GRPC = (
    "What answers at {url} is the gRPC port. The commands use the REST port: 8470, or what `boxwright serve` prints."
)
PLAIN_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def why_no_answer(
    url: str, error: requests.exceptions.RequestException, *, shows_certificate: bool = False
) -> str | None:
    """Returns what is wrong in a sentence or two, if it is TLS; None if nothing answers, or for another reason.

    Args:
        url: the address of the service, ``http://`` or ``https://``.
        error: what the call has raised.
        shows_certificate: whether a client certificate was shown.
    """
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    verification = _find(error, ssl.SSLCertVerificationError)
    if verification is not None:
        return _not_trusted(url, verification)
    if isinstance(error, requests.exceptions.Timeout | requests.exceptions.ProxyError) or not host:
        return None
    if parts.scheme == "https":
        if _speaks_plain_http(host, parts.port or 443):
            return f"What answers at {url} speaks no TLS. Try http:// instead of https://."
        if _speaks_grpc(host, parts.port or 443):
            return _GRPC.format(url=url)
        if _refuses_without_certificate(host, parts.port or 443):
            if shows_certificate:
                return f"The service at {url} does not take the client certificate: it is of another authority, or too old."
            return (
                f"The service at {url} ends the connection: it demands a client certificate. Name one with --client-cert "
                "and --client-key."
            )
        if _find(error, ssl.SSLError) is not None:
            return f"The TLS connection to {url} failed: {_find(error, ssl.SSLError)}."
    elif parts.scheme == "http" and _speaks_tls(host, parts.port or 80):
        return f"What answers at {url} speaks TLS. Try https:// instead of http://."
    elif parts.scheme == "http" and _speaks_plain_http2(host, parts.port or 80):
        return _GRPC.format(url=url)
    return None


def _not_trusted(url: str, error: ssl.SSLCertVerificationError) -> str:
    return (
        f"The certificate of {url} is not trusted: {error.verify_message or error}. If it is your service's, name the file "
        "of its authority with --ca or BOXWRIGHT_CA; the host must be one that the certificate names."
    )


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent: only whether it is TLS
    with (
        contextlib.suppress(OSError, ValueError),
        socket.create_connection((host, port), PROBE_S) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        return True
    return False


def _speaks_grpc(host: str, port: int) -> bool:
    """Whether a connection with TLS is for HTTP/2, which this kind of service has for gRPC alone."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent: only what is spoken
    context.set_alpn_protocols(["http/1.1", "h2"])
    with (
        contextlib.suppress(OSError, ValueError),
        socket.create_connection((host, port), PROBE_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as encrypted,
    ):
        return encrypted.selected_alpn_protocol() == "h2"
    return False


def _speaks_plain_http2(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), PROBE_S) as plain:
        plain.sendall(HTTP2_PREFACE)
        return plain.recv(9)[3:4] == b"\4"  # a frame of settings is what such a server says first
    return False


def _refuses_without_certificate(host: str, port: int) -> bool:
    """Whether a connection without client certificate ends, before or right after the handshake and without a word."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent: only how the connection ends
    try:
        with (
            socket.create_connection((host, port), PROBE_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as encrypted,
        ):
            return not encrypted.recv(1)  # others wait for a request
    except TimeoutError:
        return False
    except ssl.SSLError as error:
        return "ALERT" in str(error) or isinstance(error, ssl.SSLEOFError)
    except ConnectionResetError:
        return True
    except (OSError, ValueError):
        return False


def _speaks_plain_http(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), PROBE_S) as plain:
        plain.sendall(PLAIN_REQUEST)
        return plain.recv(5) == b"HTTP/"
    return False


def _find(error: BaseException | None, kind: type[_E]) -> _E | None:
    """The first error of a kind among an error, its arguments and what caused it; libraries wrap them in one another."""
    pending, seen = [error], set()
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        if isinstance(one, kind):
            return one
        seen.add(id(one))
        inner = [
            argument for argument in (*one.args, getattr(one, "reason", None)) if isinstance(argument, BaseException)
        ]
        pending += [*inner, one.__cause__, one.__context__]
    return None
