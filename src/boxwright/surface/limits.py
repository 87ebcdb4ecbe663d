"""What a caller may cost before anything is known about it: sizes, times, connections, bytes of bodies in memory.

ServerLimits   the figures, for both API servers
BodyBudget     counts the bytes of all bodies that are in memory, at both API servers together
Body           one request's body, counted until neither the server nor a thread uses it any more
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator

from google.protobuf import duration_pb2
from google.rpc import code_pb2, error_details_pb2

from boxwright import errors
from boxwright.surface import methods

MIB = 1024 * 1024
MAX_DRAINED_BYTES = MIB  # read and dropped after a refusal, so that a client still sending sees why
RETRY_AFTER_S = 1


@dataclasses.dataclass(frozen=True)
class ServerLimits:
    """The figures of both API servers.

    Attributes:
        head_timeout_s: within which request line and headers, a TLS handshake or the start of HTTP/2 must be complete.
        body_timeout_s: for which a body may be silent.
        connections: open connections of one API server at most.
        body_bytes: a request's body at most, unless its method's row allows more.
        bodies_bytes: bodies in memory at most, of all requests at both API servers together.
        grpc_streams: calls on one gRPC connection at a time.
        grpc_metadata_bytes: of one gRPC call.
        grpc_connection_age_s: after which a gRPC connection takes no new calls; running ones go on.
    """

    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    connections: int = 1000
    body_bytes: int = MIB
    bodies_bytes: int = 512 * MIB
    grpc_streams: int = 100
    grpc_metadata_bytes: int = 16 * 1024
    grpc_connection_age_s: float = 3600.0

    def of(self, row: methods.Method) -> int:
        """The longest body of this method, in bytes."""
        return max(self.body_bytes, row.max_body_bytes)

    @property
    def largest_bytes(self) -> int:
        """The longest body of any method, in bytes."""
        return max(self.of(row) for row in methods.TABLE)


class BodyBudget:
    """Counts the bytes of bodies in memory, over all API servers; may be used from any thread."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.most_bytes = 0  # ever held at once
        self._held_bytes = 0
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """How many bytes are counted now."""
        return self._held_bytes

    def change(self, by_bytes: int) -> None:
        """Takes bytes, or gives them back.

        Raises:
            ApiError: UNAVAILABLE if more would be held than the limit.
        """
        with self._lock:
            if by_bytes > 0 and self._held_bytes + by_bytes > self.limit_bytes:
                again = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=RETRY_AFTER_S))
                raise errors.ApiError(
                    code_pb2.UNAVAILABLE,
                    f"The requests that are being received fill the {self.limit_bytes} bytes that this service keeps for "
                    "them (bodies_bytes); try again shortly.",
                    [again],
                )
            self._held_bytes += by_bytes
            self.most_bytes = max(self.most_bytes, self._held_bytes)


class Body:
    """The body of one request. The server closes it; a thread that is still at work on it keeps it counted."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._counted_bytes = 0
        self._content: bytes | bytearray = bytearray()
        self._users = 1
        self._lock = threading.Lock()

    @property
    def content(self) -> bytes | bytearray:
        """What has arrived."""
        return self._content

    def add(self, chunk: bytes) -> None:
        """Counts and appends what has arrived; raises UNAVAILABLE where the budget is used up."""
        self.count(len(self._content) + len(chunk))
        self._content += chunk

    def put(self, content: bytes) -> None:
        """Counts and keeps a body that arrived as a whole; raises UNAVAILABLE where the budget is used up."""
        self.count(len(content))
        self._content = content

    def count(self, size_bytes: int) -> None:
        """Counts this many bytes for this body from now on; raises UNAVAILABLE where the budget is used up."""
        self._budget.change(size_bytes - self._counted_bytes)
        self._counted_bytes = size_bytes

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Keeps the bytes counted while a thread works on them, even if the server closes the body meanwhile.

        Raises:
            ApiError: CANCELLED if the server has closed it: nobody waits for the answer.
        """
        with self._lock:
            if not self._users:
                raise errors.cancelled("The caller hung up.")
            self._users += 1
        try:
            yield
        finally:
            self.close()

    def close(self) -> None:
        """Ends one use; the last one drops the bytes."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
        self._content = b""
        self.count(0)
