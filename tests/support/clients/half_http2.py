"""A gRPC caller that never ends its message: frames of HTTP/2, written by hand, as no client library would send them."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import struct
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_HEADERS = 4


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _header(name: str, value: str) -> bytes:
    """A header field in HPACK: literal, never indexed, not compressed; lengths below 127."""
    return b"\x10" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


@dataclasses.dataclass
class Half:
    """One connection; `begin` starts a call on it."""

    socket: socket.socket

    def begin(self, path: str, announced_bytes: int, sent_bytes: int) -> None:
        """Starts a call and sends the first part of its message; at most 60,000 bytes, which need no permission."""
        headers = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost"}
        headers |= {"te": "trailers", "content-type": "application/grpc"}
        block = b"".join(_header(name, value) for name, value in headers.items())
        message = b"\0" + struct.pack(">I", announced_bytes) + bytes(sent_bytes)
        parts = [message[start : start + 16_000] for start in range(0, len(message), 16_000)]
        self.socket.sendall(
            PREFACE
            + _frame(SETTINGS, 0, 0, b"")
            + _frame(HEADERS, END_HEADERS, 1, block)
            + b"".join(_frame(DATA, 0, 1, part) for part in parts)
        )

    def end(self) -> bytes:
        """Everything that the server says until it ends the call or the connection: payloads of its header frames."""
        said = b""
        with contextlib.suppress(ConnectionError), self.socket.makefile("rb") as stream:
            while head := stream.read(9):
                payload = stream.read(int.from_bytes(head[:3], "big"))
                if head[3] == HEADERS:
                    said += payload
                if head[3] == RST_STREAM or (head[3] == HEADERS and head[4] & 1):
                    return said
        return said


@contextlib.contextmanager
def half_call(port: int, timeout_s: float) -> Iterator[Half]:
    """Connects to the gRPC door on loopback."""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
        yield Half(connection)
