"""The HTTP server below the REST server: uvicorn on a listener that bounds its connections.

Connections are counted where they are accepted, so that those that never finish a TLS handshake count too.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

import uvicorn
from starlette import types

from boxwright import errors
from boxwright.surface import http_protocol, limits, transcode

BACKLOG = 1024  # connections not yet accepted; many waiting clients may arrive at once
_log = logging.getLogger(__name__)


class HttpServer(uvicorn.Server):
    """uvicorn without its own signal handlers, with the service's limits.

    Args:
        app: the REST server.
        bounds: time limits.
        context: for TLS; None for plain HTTP.
    """

    def __init__(
        self,
        app: types.ASGIApp,
        bounds: limits.ServerLimits,
        context: ssl.SSLContext | None = None,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=http_protocol.HttpProtocol,
            ws="none",
            h11_max_incomplete_event_size=http_protocol.MAX_HEAD_BYTES,
            proxy_headers=False,  # or any local program could say that it is another
            log_config=None,
            lifespan="off",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=3,
        )
        super().__init__(config)
        self._bounds = bounds
        self._context = context

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone: the service stops both API servers together."""
        yield

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Listens on the sockets, as uvicorn does, with a time limit on TLS handshakes."""
        await super().startup(sockets=[])
        loop = asyncio.get_running_loop()
        make = functools.partial(
            http_protocol.HttpProtocol,
            self._bounds,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            _loop=loop,
        )
        patience: dict[str, Any] = {}
        if self._context is not None:
            patience["ssl_handshake_timeout"] = self._bounds.head_timeout_s
            patience["ssl_shutdown_timeout"] = self._bounds.head_timeout_s
        for listener in sockets or ():
            self.servers.append(
                await loop.create_server(make, sock=listener, ssl=self._context, backlog=BACKLOG, **patience)
            )


class Listener(socket.socket):
    """A listening socket that keeps at most `most` of its connections open; further ones are told so and closed."""

    most = 1000
    is_plain = True  # a refusal can be read by the caller
    open_count = 0
    _is_full = False

    def accept(self) -> tuple[socket.socket, Any]:
        """Accepts a connection.

        Raises:
            ConnectionAbortedError: too many are open.
        """
        accepted, address = super().accept()
        if self.open_count >= self.most:
            if not self._is_full:
                _log.warning("event=too_many_connections open=%d", self.open_count)
            self._is_full = True
            with contextlib.closing(accepted), contextlib.suppress(OSError):
                if self.is_plain:
                    accepted.setblocking(False)
                    accepted.send(_refusal(self.most))
                    accepted.shutdown(socket.SHUT_WR)
                    accepted.recv(http_protocol.MAX_HEAD_BYTES)  # what is unread at the end would take the answer along
            raise ConnectionAbortedError
        self._is_full = False
        self.open_count += 1
        connection = _Connection(accepted.family, accepted.type, accepted.proto, accepted.detach())
        connection.listener = self
        return connection, address


class _Connection(socket.socket):
    listener: Listener | None = None

    def close(self) -> None:
        if self.listener is not None:
            self.listener.open_count -= 1
            self.listener = None
        super().close()


def open_listener(host: str, port: int, most: int = Listener.most, *, is_plain: bool = True) -> Listener:
    """Opens the listening socket for the HTTP server; port 0 picks a free one.

    asyncio switches Nagle's algorithm off only for sockets it resolved itself; without that every answer over a kept-alive
    connection costs 40 ms, because head and body are two writes. Accepted sockets inherit the option.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.create_server((host, port), family=family, backlog=BACKLOG)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener = Listener(opened.family, opened.type, opened.proto, opened.detach())
    listener.most, listener.is_plain = most, is_plain
    return listener


def _refusal(most: int) -> bytes:
    why = f"All {most} connections of this service are taken (connections); try again shortly."
    http_code, content = transcode.write_error(errors.unavailable(why))
    head = (
        f"HTTP/1.1 {http_code} Service Unavailable\r\nContent-Type: application/json; charset=UTF-8\r\n"
        f"Content-Length: {len(content)}\r\nRetry-After: {limits.RETRY_AFTER_S}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content
