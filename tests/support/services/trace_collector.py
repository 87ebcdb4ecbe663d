"""A collector of traces on this machine: takes OTLP over HTTP, and keeps the spans."""

from __future__ import annotations

import dataclasses
import http.server
import threading
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclasses.dataclass(frozen=True)
class CollectedSpan:
    """A span as it came.

    Attributes:
        parent_id: empty for one that begins a trace.
        seconds: how long it took.
        status: 0 unset, 2 failed.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_s: float
    seconds: float
    status: int
    attributes: dict[str, Any]


class TraceCollector:
    """Listens on a port of 127.0.0.1.

    Attributes:
        spans: all that came, in order.
        resources: facts about the processes that sent them.
        status: of the answers.
    """

    def __init__(self) -> None:
        self.spans: list[CollectedSpan] = []
        self.resources: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.status = 200
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, path: str, body: bytes) -> None:
        """Takes a request, which must be one of OTLP."""
        assert path == "/v1/traces"
        self.bodies.append(body)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(_plain(of_resource.resource.attributes))
            for of_scope in of_resource.scope_spans:
                self.spans += map(_collected, of_scope.spans)

    def named(self, name: str) -> list[CollectedSpan]:
        """The spans of a name, in the order of their starts."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.start_s)


def _collected(span: Any) -> CollectedSpan:
    return CollectedSpan(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano / 1e9,
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        span.status.code,
        _plain(span.attributes),
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def _handler_of(collector: TraceCollector) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        """Keeps what is sent."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if collector.status == 200:
                collector.take(self.path, body)
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    return Handler
