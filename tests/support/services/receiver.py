"""A receiver of events behind TLS on this machine: keeps what it is sent, and answers as it is told."""

from __future__ import annotations

import dataclasses
import http.server
import pathlib
import ssl
import threading
from collections.abc import Mapping
from typing import Any, Self

from tests.support.services.authorities import Authority


@dataclasses.dataclass(frozen=True)
class Received:
    """One request: its path, headers and body."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """Listens on a port of 127.0.0.1, with a certificate for ``localhost``.

    Args:
        folder: gets ``receiver-ca.pem``, the authority to trust, and the certificate.
        port: where it listens; 0: anywhere.

    Attributes:
        received: every request, in order.
        status: of the answers; `location` goes with a redirect.
    """

    def __init__(self, folder: pathlib.Path, port: int = 0) -> None:
        self.ca_file = folder / "receiver-ca.pem"
        self._certificate, self._key = folder / "receiver.pem", folder / "receiver-key.pem"
        if not self.ca_file.exists():
            authority = Authority("receivers")
            authority.issue().write(folder, "receiver")
            self.ca_file.write_bytes(authority.pem)
        self.received: list[Received] = []
        self.status, self.location = 204, ""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._key)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _handler_of(self))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"https://localhost:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def ids(self) -> list[str]:
        """The ids of the events, in the order in which they came."""
        return [one.headers["webhook-id"] for one in self.received]


def _handler_of(receiver: Receiver) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        """Notes a request and answers it."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append(Received(self.path, headers, body))
            self.send_response(receiver.status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    return Handler
