"""``boxwright health``: asks a running service or worker whether it is alive, or ready. For the probes of containers."""

from __future__ import annotations

import ipaddress
import ssl
import sys
import urllib.error
import urllib.request

from boxwright import errors
from boxwright.settings import Settings

PATIENCE_S = 5.0
MAX_ANSWER_BYTES = 16384
WELL, UNWELL = 0, 1


def run(chosen: Settings, url: str | None, *, is_ready: bool) -> int:
    """Asks once.

    Args:
        chosen: the settings of the process that is asked; they say on which port it answers.
        url: of its root, instead.
        is_ready: whether to ask for `/readyz` instead of `/healthz`.

    Returns:
        WELL, or UNWELL after a line on standard error that says what is wrong.

    Raises:
        ApiError: INVALID_ARGUMENT if `url` is none of http or https.
    """
    root = (url or address_of(chosen)).rstrip("/")
    if not root.startswith(("http://", "https://")):
        raise errors.invalid_argument("url", f"'{root}' does not begin with http:// or https://.")
    address = f"{root}/{'readyz' if is_ready else 'healthz'}"
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE  # nothing is sent, and an answer is only shown
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
    try:
        with opener.open(address, timeout=PATIENCE_S) as answer:
            answer.read(MAX_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        said = error.read(MAX_ANSWER_BYTES).decode(errors="replace").strip()
        return _unwell(f"{address} answers {error.code}: {said or error.reason}")
    except (OSError, ValueError) as error:
        return _unwell(f"{address} does not answer: {getattr(error, 'reason', error)}")
    return WELL


def address_of(chosen: Settings) -> str:
    """Where a process with these settings answers probes: its health port, else its API."""
    operations, server = chosen.operations, chosen.server
    if operations.health_port:
        return f"http://{_reachable(operations.health_host)}:{operations.health_port}"
    return f"{'https' if server.tls_cert else 'http'}://{_reachable(server.host)}:{server.port}"


def _reachable(host: str) -> str:
    """An address of this machine for one that a process listens on."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "[::1]" if address.version == 6 else "127.0.0.1"
    return f"[{host}]" if address.version == 6 else host


def _unwell(said: str) -> int:
    print(f"boxwright: {said}", file=sys.stderr)
    return UNWELL
