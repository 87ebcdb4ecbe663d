"""The port on which a process answers probes, beside whatever else it serves.

GET /healthz   200 while the process does its work, 503 with what stands still
GET /readyz    200 where it can be given work, 503 with what is in the way
GET /metrics   numbers about the process, for Prometheus
"""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from boxwright import errors
from boxwright.health import readiness

TIMEOUT_S = 10.0  # of one connection
MAX_CONNECTIONS = 16

Page = Callable[[], Mapping[str, str]]  # problems; none: 200
Text = Callable[[], tuple[str, bytes]]  # content type and content


class HealthServer:
    """Answers probes in threads of its own.

    Args:
        host: address that it listens on.
        port: likewise; 0 picks a free one.
        pages: by path.
        texts: by path, further pages that are always 200.

    Attributes:
        port: on which it listens.

    Raises:
        ApiError: FAILED_PRECONDITION if the port is taken.
    """

    def __init__(
        self, host: str, port: int, pages: Mapping[str, Page], texts: Mapping[str, Text] | None = None
    ) -> None:
        handler = type("Probe", (_Probe,), {"pages": pages, "texts": texts or {}})
        try:
            self._server = _Server((host, port), handler)
        except OSError as error:
            raise errors.failed_precondition(
                f"Cannot listen on {host}, port {port}: {error.strerror}. Choose another with --health-port."
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A probe that hangs up is no news."""


class _Probe(http.server.BaseHTTPRequestHandler):
    pages: Mapping[str, Page]
    texts: Mapping[str, Text]
    timeout = TIMEOUT_S
    server_version = "boxwright"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        page, text = self.pages.get(path), self.texts.get(path)
        if text is not None:
            content_type, content = text()
            self._answer(200, content, content_type)
            return
        if page is None:
            self._answer(404, b"not found\n")
            return
        problems = page()
        self._answer(503 if problems else 200, readiness.in_words(problems).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Probes are not logged."""

    def _answer(self, status: int, content: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)
