"""moto's server with conditional uploads one at a time: S3 decides them atomically, moto looks and then writes."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto import server
from moto.moto_server import werkzeug_app


class OneUploadAtATime(werkzeug_app.DomainDispatcherApplication):
    """moto's application; a body is read before the turn begins, so that a slow client holds up nobody."""

    _turn = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers a request as WSGI has it."""
        if "HTTP_IF_NONE_MATCH" not in environ or environ["REQUEST_METHOD"] not in ("PUT", "POST"):
            return super().__call__(environ, start_response)
        if length := environ.get("CONTENT_LENGTH"):
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with self._turn:
            return super().__call__(environ, start_response)


if __name__ == "__main__":
    vars(server)["DomainDispatcherApplication"] = OneUploadAtATime
    server.main()
