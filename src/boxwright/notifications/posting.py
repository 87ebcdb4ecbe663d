"""One HTTPS request with an event, to a machine whose address was looked at first.

The name is resolved once and that very address is connected to: what it resolves to a moment later changes nothing. The
certificate must be the name's. Redirects are not followed, and of the answer only the status is read.
"""

from __future__ import annotations

import http.client
import pathlib
import socket
import ssl
import threading
from collections.abc import Mapping

from boxwright import errors
from boxwright.notifications.destinations import AllowedHosts, WebAddress

CONNECT_S = 5.0
TOTAL_S = 15.0  # for a request with its answer, however slowly that comes
MAX_MACHINES = 4  # of one name that are tried


class _Connection(http.client.HTTPSConnection):
    """A connection to one of the machines that were found, with the name's certificate."""

    def __init__(self, address: WebAddress, machines: list[str], context: ssl.SSLContext) -> None:
        super().__init__(address.host, address.port, timeout=CONNECT_S, context=context)
        self._machines, self._tls = machines, context

    def connect(self) -> None:
        """Connects to the first machine that answers."""
        failure: OSError | None = None
        for machine in self._machines[:MAX_MACHINES]:
            try:
                plain = socket.create_connection((machine, self.port), CONNECT_S)
                break
            except OSError as error:
                failure = error
        else:
            raise failure or OSError("the name has no address")
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def tls_context(authorities: pathlib.Path | None) -> ssl.SSLContext:
    """What receivers' certificates are checked against: what the machine knows, and these authorities.

    Raises:
        ApiError: FAILED_PRECONDITION: the authorities cannot be read.
    """
    context = ssl.create_default_context()
    if authorities is not None:
        try:
            context.load_verify_locations(authorities)
        except OSError as error:  # ssl.SSLError is one
            raise errors.failed_precondition(
                f"notify_ca: {authorities} cannot be read as certificates (PEM): {error}."
            ) from error
    return context


def post(
    address: WebAddress, body: bytes, headers: Mapping[str, str], allowed: AllowedHosts, context: ssl.SSLContext
) -> int:
    """Posts an event; returns the HTTP status of the answer.

    Raises:
        ApiError: FAILED_PRECONDITION: the name belongs to a machine that may not be connected to.
        OSError, http.client.HTTPException: there was no connection or no answer.
    """
    connection = _Connection(address, machines_of(address, allowed), context)
    watchdog = threading.Timer(TOTAL_S, _abort, (connection,))
    watchdog.daemon = True
    watchdog.start()
    try:
        connection.request("POST", address.path, body, dict(headers))
        return connection.getresponse().status
    finally:
        watchdog.cancel()
        connection.close()


def machines_of(address: WebAddress, allowed: AllowedHosts) -> list[str]:
    """The IP addresses of a host, each of which may be connected to.

    Raises:
        ApiError: FAILED_PRECONDITION: one of them may not.
        OSError: the name does not resolve.
    """
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    machines = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for machine in machines:
        if not allowed.allows_machine(machine):
            raise errors.failed_precondition(
                f"{address.host} is {machine}, which is not public; the operator allows networks with notify_hosts."
            )
    return machines


def _abort(connection: http.client.HTTPConnection) -> None:
    """Ends a connection under way; whoever reads from it sees its end."""
    plain = connection.sock
    if plain is not None:
        try:
            plain.shutdown(socket.SHUT_RDWR)
        except OSError:  # it has just ended by itself
            return
