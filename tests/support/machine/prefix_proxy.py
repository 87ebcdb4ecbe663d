"""A proxy that serves a service of this machine under a path, as nginx with a `proxy_pass` that ends in a slash does."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator

from tests.support.machine import http_site

PREFIX = "/a/b"


@contextlib.contextmanager
def serving_under_prefix(port: int) -> Iterator[str]:
    """Runs the proxy until the end of the block; gives the address that stands for the service's root, with its slash."""

    class Proxy(http_site.QuietHandler):
        def do_GET(self) -> None:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            length = int(self.headers.get("content-length", 0))
            assert self.path.startswith(f"{PREFIX}/"), self.path
            line.request(self.command, self.path[len(PREFIX) :], self.rfile.read(length), dict(self.headers))
            answer = line.getresponse()
            content = answer.read()
            hidden = ("transfer-encoding", "content-length", "connection")
            self.answer(answer.status, {k: v for k, v in answer.getheaders() if k.lower() not in hidden}, content)
            line.close()

        do_POST = do_GET

    with http_site.serving(Proxy) as server:
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}/"
