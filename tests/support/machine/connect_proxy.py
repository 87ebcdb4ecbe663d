"""A proxy that brings connections for one host and port to another port of this machine (HTTP's method CONNECT).

Clients whose code names no endpoint reach a service under test through it: it stands for a line in the hosts file and the
port 443.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

_PIECE_BYTES = 65536


class _Handler(socketserver.StreamRequestHandler):
    server: _Proxy

    def handle(self) -> None:
        method, place, _ = self.rfile.readline(_PIECE_BYTES).decode("latin-1").split(" ", 2)
        while self.rfile.readline(_PIECE_BYTES).strip():
            pass
        port = self.server.ports.get(place)
        if method != "CONNECT" or port is None:
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", port)) as other:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pass_on, args=(other, self.connection), daemon=True)
            back.start()
            _pass_on(self.connection, other)
            back.join()


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, ports: dict[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ports = ports


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def running(ports: dict[str, int]) -> Iterator[str]:
    """Runs a proxy until the end of the block; gives its URL.

    Args:
        ports: for each ``host:port`` that clients may ask for, the port of 127.0.0.1 that answers; all else is refused.
    """
    with _Proxy(ports) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_address[1]}"
        finally:
            proxy.shutdown()
            thread.join()
