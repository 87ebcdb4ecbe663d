"""A site of somebody else: empty pages, on another port and under another name than a service."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator

NAME = "foreign.example"  # what a browser is told to find on loopback, with `RESOLVING`
RESOLVING = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"


class _Empty(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>foreign</title><body></body>")

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Runs the site until the end of the block, which gets its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Empty) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
