"""The HTTP/1.1 parser below the REST door: h11, with its refusals in the service's own error shape.

h11 bounds request line and headers together; it is named, rather than left to what else is installed, so that the bounds
are the same everywhere.
"""

from __future__ import annotations

import h11
from uvicorn.protocols.http import h11_impl

from boxwright import errors
from boxwright.surface import transcode

MAX_HEAD_BYTES = 64 * 1024  # request line and headers; real ones have less than 4 KiB
_UNREADABLE = errors.bad_request(
    "The HTTP request cannot be read: its request line, its headers or its framing are malformed, or request line and "
    f"headers together exceed {MAX_HEAD_BYTES} bytes."
)


class HttpProtocol(h11_impl.H11Protocol):
    """uvicorn's h11 protocol, which answers what is no HTTP as the REST door answers any bad request."""

    def send_400_response(self, msg: str) -> None:
        """Answers 400 in Google's shape and closes the connection."""
        http_code, content = transcode.write_error(_UNREADABLE)
        headers = [
            (b"content-type", b"application/json; charset=UTF-8"),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
        ]
        head = h11.Response(status_code=http_code, headers=headers, reason=b"Bad Request")
        for event in (head, h11.Data(data=content), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
