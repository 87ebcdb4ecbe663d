"""A site of somebody else: empty pages, on another port and under another name than a service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.support.machine import http_site

NAME = "foreign.example"  # what a browser is told to find on loopback, with `RESOLVING`
RESOLVING = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"


class _Empty(http_site.QuietHandler):
    def do_GET(self) -> None:
        self.answer(200, {"Content-Type": "text/html"}, b"<!doctype html><title>foreign</title><body></body>")


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Runs the site until the end of the block, which gets its address."""
    with http_site.serving(_Empty) as server:
        yield f"http://localhost:{server.server_port}"
