"""The HTTP/1.1 parser below the REST server: h11, with bounds on what a connection may keep waiting.

h11 bounds request line and headers together; it is named, rather than left to what else is installed, so that the bounds
are the same everywhere. uvicorn itself sets no time for a request's head, and reads on without end what a refused
caller still sends; both are bounded here. Refusals have the service's own error shape.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from google.rpc import code_pb2
from uvicorn.protocols.http import h11_impl

from boxwright import errors
from boxwright.surface import limits, transcode

MAX_HEAD_BYTES = 64 * 1024  # request line and headers; real ones have less than 4 KiB
_UNREADABLE = errors.bad_request(
    "The HTTP request cannot be read: its request line, its headers or its framing are malformed, or request line and "
    f"headers together exceed {MAX_HEAD_BYTES} bytes."
)
_WAITING = (h11.IDLE, h11.SEND_RESPONSE)  # our states in which a response may be sent


class HttpProtocol(h11_impl.H11Protocol):
    """uvicorn's h11 protocol for one connection, with time limits and Google's error shape."""

    def __init__(self, bounds: limits.ServerLimits, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._bounds = bounds
        self._timer: asyncio.TimerHandle | None = None  # runs while a head, or the rest of a refused body, is awaited
        self._drained_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the time of the first request's head."""
        super().connection_made(transport)
        self._start_timer(self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hands data to h11; drops what a refused caller sends, up to a limit."""
        was_draining = self._is_draining()
        if was_draining:
            self._drained_bytes += len(data)
            if self._drained_bytes > limits.MAX_DRAINED_BYTES:
                self.transport.close()
                return
        super().data_received(data)
        if self.transport.is_closing() or self._is_draining():
            return
        if was_draining or not self._awaits_head():
            self._stop_timer()
        if self._awaits_head() and self._timer is None:
            self._start_timer(self._head_is_late)

    def on_response_complete(self) -> None:
        """Bounds how long the rest of a body that was not read may take; the next head has its own time."""
        self._stop_timer()
        super().on_response_complete()
        if self._is_draining() and not self.transport.is_closing():
            self._drained_bytes = 0
            self._start_timer(self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Answers 400 in Google's shape, where an answer is still possible, and closes the connection."""
        self._refuse(_UNREADABLE)

    def _awaits_head(self) -> bool:
        return self.conn.their_state is h11.IDLE and self.conn.our_state is h11.IDLE

    def _is_draining(self) -> bool:
        return self.conn.their_state is h11.SEND_BODY and self.conn.our_state in (h11.DONE, h11.MUST_CLOSE)

    def _start_timer(self, late: Any) -> None:
        self._timer = self.loop.call_later(self._bounds.head_timeout_s, late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        if self.conn.trailing_data[0]:
            wait_s = self._bounds.head_timeout_s
            why = f"The request's line and headers were not complete within {wait_s:g} s."
            self._refuse(errors.ApiError(code_pb2.DEADLINE_EXCEEDED, why))
        else:
            self.transport.close()  # nothing was asked

    def _refuse(self, error: errors.ApiError) -> None:
        if self.cycle is not None and not self.cycle.response_complete:  # its application shall send nothing any more
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in _WAITING:
            http_code, content = transcode.write_error(error)
            headers = [
                (b"content-type", b"application/json; charset=UTF-8"),
                (b"content-length", str(len(content)).encode()),
                (b"connection", b"close"),
            ]
            head = h11.Response(status_code=http_code, headers=headers, reason=h11_impl.STATUS_PHRASES[http_code])
            for event in (head, h11.Data(data=content), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
