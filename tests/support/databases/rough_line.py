"""A line to a server that can be cut as a network does it (a reset, not an orderly end) or fall silent."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import struct
import threading
from collections.abc import Iterator

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends a reset
CHUNK_BYTES = 65536


class Line:
    """Carries every connection to a TCP port of its own on to a server's Unix socket."""

    def __init__(self, target: pathlib.Path) -> None:
        self._target = target
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.is_silent = False
        threading.Thread(target=self._accept, name="line", daemon=True).start()

    def cut(self) -> None:
        """Resets every connection that is open."""
        pairs, self._pairs = self._pairs, []
        for near, far in pairs:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            for end in (near, far):
                with contextlib.suppress(OSError):  # the other side may have ended it
                    end.shutdown(socket.SHUT_RD)  # wakes the thread that reads, whose hold would delay the close
                end.close()

    def close(self) -> None:
        """Takes no more connections and cuts those there are."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self._target))
            self._pairs.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), name="line", daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                if not self.is_silent:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def to(target: pathlib.Path) -> Iterator[Line]:
    """A line to the Unix socket `target`."""
    line = Line(target)
    try:
        yield line
    finally:
        line.close()
