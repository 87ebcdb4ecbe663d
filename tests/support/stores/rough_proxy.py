"""A proxy that passes requests on to an object store, and makes the trouble that a test asks for."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import http.server
import itertools
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator

Trouble = int | str | None  # a status · "truncate" · "silence" · "swallow" (done, but the answer is lost) · None

_ERROR = (
    "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{}</Code><Message>Reduce your request rate.</Message></Error>"
)
THROTTLED = {503: _ERROR.format("SlowDown").encode(), 429: _ERROR.format("TooManyRequests").encode()}


@dataclasses.dataclass
class RoughProxy:
    """A running proxy.

    Attributes:
        address: where it listens.
        trouble: for the method of a request, what is to go wrong with it.
        seen: the methods of all requests so far.
        refused: part of a path → the status that requests for such paths get, beside all other trouble.
        headers: that answers of trouble have.
        troubled: the methods of the requests that met trouble since `throttle`.
    """

    address: str
    trouble: Callable[[str], Trouble] = lambda method: None
    seen: list[str] = dataclasses.field(default_factory=list)
    refused: dict[str, int] = dataclasses.field(default_factory=dict)
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    troubled: list[str] = dataclasses.field(default_factory=list)

    def then(self, *steps: Trouble) -> None:
        """From now on the next requests meet these troubles, later ones none."""
        left = iter(steps)
        self.seen.clear()
        self.trouble = lambda method: next(left, None)

    def always(self, trouble: Trouble) -> None:
        """From now on every request meets this trouble."""
        self.seen.clear()
        self.trouble = lambda method: trouble

    def throttle(self, per_s: float, burst: int = 1, *troubles: Trouble) -> None:
        """From now on so many requests a second meet no trouble, after a first few; the others one of each kind in turn."""
        self.seen.clear()
        self.troubled.clear()
        kinds, tokens, then_s = itertools.cycle(troubles or (503, 429)), float(burst), time.monotonic()

        def judge(method: str) -> Trouble:
            nonlocal tokens, then_s
            now_s = time.monotonic()
            tokens, then_s = min(float(burst), tokens + per_s * (now_s - then_s)), now_s
            if tokens < 1:
                return next(kinds)
            tokens -= 1
            return None

        self.trouble = judge

    def every(self, count: int, *troubles: Trouble) -> None:
        """From now on every so many requests one meets trouble, of each kind in turn."""
        self.seen.clear()
        self.trouble = lambda method: (
            troubles[len(self.seen) // count % len(troubles)] if len(self.seen) % count == 0 else None
        )


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    proxy: RoughProxy

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urllib.parse.urlsplit(upstream).netloc
        self.lock = threading.Lock()
        self.closing = threading.Event()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _pass_on(self) -> None:
        body = self._body()
        with self.server.lock:
            trouble = self.server.proxy.trouble(self.command)
            self.server.proxy.seen.append(self.command)
            if trouble is not None:
                self.server.proxy.troubled.append(self.command)
        path = urllib.parse.unquote(self.path)
        trouble = next((status for part, status in self.server.proxy.refused.items() if part in path), trouble)
        if isinstance(trouble, int):
            body = THROTTLED.get(trouble, b"")
            self.send_response(trouble)
            for name, value in self.server.proxy.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            return
        if trouble == "silence":
            self.server.closing.wait()
            self.close_connection = True
            return
        status, headers, content = self._ask_upstream(body)
        if trouble == "swallow":
            self.close_connection = True
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = {name.lower(): value for name, value in headers}.get("content-length", str(len(content)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if trouble == "truncate":
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _ask_upstream(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        with contextlib.closing(connection):
            connection.putrequest(self.command, self.path, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length", "host"):
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()


@contextlib.contextmanager
def before(upstream: str) -> Iterator[RoughProxy]:
    """Runs a proxy before the server at this address."""
    server = _Server(upstream)
    server.proxy = RoughProxy(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.proxy
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
