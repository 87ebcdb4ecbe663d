"""Traces that are sent to an OpenTelemetry collector by OTLP over HTTP; needs the extra ``traces``.

Imported only where an endpoint is chosen. This module and `span_queue` are the only ones that import opentelemetry.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import uuid
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider, id_generator, sampling

from boxwright.telemetry import span_queue, spans
from boxwright.telemetry.metrics import Metrics
from boxwright.telemetry.spans import Attribute, Span, Traces
from boxwright.telemetry.trace_context import TraceContext

PATH = "/v1/traces"
SEND_S = 5.0  # for a batch, attempts and the waits between them included
MOST_CHARS = 256  # of an attribute
NANOSECONDS = 1_000_000_000


class OtlpTraces(Traces):
    """Records spans and sends them.

    Args:
        endpoint: of the collector; `PATH` is added unless it ends so.
        share: of the traces that begin here, from 0 to 1; who goes on with a caller's trace does as the caller does.
        shard_step: of so many shards one has a span.
        metrics: counts what became of spans.
        about: more facts about this process, such as its version.
    """

    def __init__(
        self,
        endpoint: str,
        share: float = 1.0,
        shard_step: int = 100,
        metrics: Metrics | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        self._shard_step = shard_step
        counted = metrics or Metrics()
        url = endpoint.rstrip("/")
        exporter = OTLPSpanExporter(url if url.endswith(PATH) else url + PATH, timeout=SEND_S)
        self._queue = span_queue.SpanQueue(
            exporter, lambda count, fate: counted.add("boxwright_spans_total", count, fate), _LastLine().text
        )
        self._ids, self._sampler = _ChosenIds(), sampling.TraceIdRatioBased(share)
        facts = {"service.name": "boxwright", "service.instance.id": str(uuid.uuid4()), **(about or {})}
        provider = TracerProvider(
            sampler=sampling.ParentBased(self._sampler),
            resource=Resource.create(facts),
            shutdown_on_exit=False,
            id_generator=self._ids,
            span_limits=SpanLimits(max_span_attribute_length=MOST_CHARS),
        )
        provider.add_span_processor(self._queue)
        self._tracer = provider.get_tracer("boxwright")

    def begin(
        self,
        name: str,
        parent: TraceContext | None = None,
        *,
        own: TraceContext | None = None,
        start_s: float | None = None,
        is_request: bool = False,
    ) -> Span:
        """See `Traces`."""
        context = trace.set_span_in_context(trace.INVALID_SPAN if parent is None else _remote(parent))
        kind = trace.SpanKind.SERVER if is_request else trace.SpanKind.INTERNAL
        with self._ids.chosen(own):
            begun = self._tracer.start_span(name, context, kind, start_time=_ns(start_s))
        return self._made(begun)

    def of_name(self, name: str) -> TraceContext | None:
        """See `Traces`."""
        context = TraceContext.of_name(name)
        is_sampled = self._sampler.should_sample(None, int(context.trace_id, 16), name).decision.is_sampled()
        return dataclasses.replace(context, is_sampled=is_sampled)

    def close(self) -> None:
        """See `Traces`."""
        self._queue.shutdown()

    def _made(self, begun: trace.Span) -> Span:
        found = begun.get_span_context()
        context = TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled)
        if not context.is_sampled:
            return spans.unsampled(context)
        return _Recorded(self._tracer, begun, context, self._shard_step)


class _Recorded(Span):
    """A span that is sent when it has ended."""

    context: TraceContext

    def __init__(self, tracer: trace.Tracer, begun: trace.Span, context: TraceContext, shard_step: int) -> None:
        self.context, self.shard_step = context, shard_step
        self._tracer = tracer
        self._begun = begun
        self._lock = threading.Lock()
        self._frequent = 0

    def set(self, **attributes: Attribute) -> None:
        self._begun.set_attributes(spans.named(attributes))

    def fail(self, why: str) -> None:
        self._begun.set_status(trace.Status(trace.StatusCode.ERROR, why))

    def child(self, name: str, start_s: float | None = None, *, is_frequent: bool = False) -> Span:
        if is_frequent:
            with self._lock:
                self._frequent += 1
                if self._frequent > spans.MOST_FREQUENT:
                    return spans.unsampled(self.context)
        begun = self._tracer.start_span(name, trace.set_span_in_context(self._begun), start_time=_ns(start_s))
        found = begun.get_span_context()
        context = TraceContext(self.context.trace_id, f"{found.span_id:016x}")
        return _Recorded(self._tracer, begun, context, self.shard_step)

    def end(self, end_s: float | None = None) -> None:
        if not self._begun.is_recording():
            return
        if self._frequent > spans.MOST_FREQUENT:
            self.set(spans_left_out=self._frequent - spans.MOST_FREQUENT)
        self._begun.end(_ns(end_s))


class _LastLine(logging.Filter):
    """Keeps what the exporter logs of every batch out of the log, which is told of changes, and remembers the last line."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        self._text = record.getMessage()
        return False

    def text(self) -> str:
        """What was logged last, in one line."""
        return self._text.split("\n", 1)[0]


class _ChosenIds(id_generator.RandomIdGenerator):
    """Makes ids at random, but for spans that others name already."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def chosen(self, own: TraceContext | None) -> _Choice:
        """For a block, the next span of this thread has the ids of a context."""
        return _Choice(self._of_thread, own)

    def generate_span_id(self) -> int:
        own: TraceContext | None = getattr(self._of_thread, "own", None)
        return super().generate_span_id() if own is None else int(own.span_id, 16)

    def generate_trace_id(self) -> int:
        own: TraceContext | None = getattr(self._of_thread, "own", None)
        return super().generate_trace_id() if own is None else int(own.trace_id, 16)


class _Choice:
    def __init__(self, of_thread: threading.local, own: TraceContext | None) -> None:
        self._of_thread, self._own = of_thread, own

    def __enter__(self) -> None:
        self._of_thread.own = self._own

    def __exit__(self, *raised: object) -> None:
        self._of_thread.own = None


def _remote(context: TraceContext) -> trace.Span:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if context.is_sampled else trace.TraceFlags.DEFAULT)
    return trace.NonRecordingSpan(
        trace.SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote=True, trace_flags=flags)
    )


def _ns(at_s: float | None) -> int | None:
    return None if at_s is None else round(at_s * NANOSECONDS)
