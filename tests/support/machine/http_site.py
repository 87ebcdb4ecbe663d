"""A site of a test's own, on the loopback interface.

QuietHandler                    answers requests without a log
serving(handler, certificate)   runs the site in a thread
"""

from __future__ import annotations

import contextlib
import http.server
import pathlib
import ssl
import threading
from collections.abc import Iterator


class QuietHandler(http.server.BaseHTTPRequestHandler):
    """Answers requests; subclasses have `do_GET` and the like."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""

    def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """Sends a whole answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def serving(
    handler: type[http.server.BaseHTTPRequestHandler], certificate: tuple[pathlib.Path, pathlib.Path] | None = None
) -> Iterator[http.server.ThreadingHTTPServer]:
    """Runs a site until the end of the block, which gets its server.

    Args:
        handler: of its requests.
        certificate: and its key, for TLS; None: plain HTTP.
    """
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
