from __future__ import annotations

import logging
import socket
import threading

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from tests.support.operations.scraped import samples
from tests.support.services.trace_collector import TraceCollector

from boxwright import errors, logs
from boxwright.telemetry import span_queue, spans
from boxwright.telemetry.metrics import Metrics
from boxwright.telemetry.otlp_traces import OtlpTraces
from boxwright.telemetry.trace_context import TraceContext

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("text", "is_sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f" 00-{TRACE}-{SPAN}-00\t", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"01-{TRACE}-{SPAN}-01-more", True),
        ("", None),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{SPAN}-0१", None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
        ("00-" + "a" * 100_000, None),
    ],
)
def test_a_traceparent_is_read_as_w3c_says_and_anything_else_is_ignored(text: str, is_sampled: bool | None) -> None:
    found = TraceContext.parse(text)
    assert (None if found is None else found.is_sampled) == is_sampled
    if found is not None:
        assert (found.trace_id, found.span_id) == (TRACE, SPAN)
        assert TraceContext.parse(str(found)) == found


def _fates(metrics: Metrics) -> dict[str, float]:
    told = samples(metrics)
    return {fate: told["boxwright_spans_total", fate] for fate in ("sent", "not_sent", "dropped")}


def test_spans_reach_a_collector_as_a_tree_with_ids_that_others_know() -> None:
    metrics = Metrics()
    with TraceCollector() as collector:
        traces = OtlpTraces(collector.url, metrics=metrics)
        own = traces.of_name("projects/p/locations/l/operations/1")
        assert own == TraceContext.of_name("projects/p/locations/l/operations/1")
        span = traces.begin("operation", own=own, start_s=1000.0)
        with pytest.raises(errors.ApiError), spans.entered(span.child("planning")):
            raise errors.unavailable("gs://private/image.jpg is away")
        with pytest.raises(errors.ApiError), spans.entered(span.child("looking")):
            raise errors.not_found("gs://private/image.jpg is not there")
        for number in range(spans.MOST_FREQUENT + 5):
            span.child("shard", is_frequent=True).end()
            span.set(last=number)
        span.set(long="x" * 10_000)
        span.end(1002.5)
        span.end()
        traces.close()
    (operation,) = collector.named("operation")
    assert own is not None
    assert (operation.trace_id, operation.span_id, operation.parent_id) == (own.trace_id, own.span_id, "")
    assert (operation.start_s, operation.seconds) == (1000.0, 2.5)
    assert operation.attributes["boxwright.spans_left_out"] == 5
    assert len(operation.attributes["boxwright.long"]) == 256
    assert [(one.parent_id, one.status) for one in collector.named("planning")] == [(own.span_id, 2)]
    assert [one.status for one in collector.named("looking")] == [0]
    assert len(collector.named("shard")) == spans.MOST_FREQUENT
    assert not any(b"private" in body for body in collector.bodies)
    assert _fates(metrics) == {"sent": spans.MOST_FREQUENT + 3, "not_sent": 0, "dropped": 0}


def test_a_share_of_the_traces_that_begin_here_is_sent_and_callers_choose_for_theirs() -> None:
    with TraceCollector() as collector:
        traces = OtlpTraces(collector.url, share=0.0)
        begun = traces.begin("begun here")
        begun.child("part").end()
        begun.end()
        assert begun.context is not None and not begun.context.is_sampled
        named = traces.of_name("projects/p/locations/l/operations/1")
        traces.begin("attempt", named).end()
        traces.begin("of a caller", TraceContext(TRACE, SPAN)).end()
        traces.begin("of another caller", TraceContext(TRACE, SPAN, is_sampled=False)).end()
        traces.close()
    assert [span.name for span in collector.spans] == ["of a caller"]


@pytest.mark.parametrize("answers", ["nobody", "400", "silence"])
def test_a_collector_that_takes_nothing_costs_spans_and_no_work(answers: str, caplog, monkeypatch) -> None:
    monkeypatch.setattr(span_queue, "CLOSE_S", 0.2)
    metrics = Metrics()
    with TraceCollector() as collector, socket.create_server(("127.0.0.1", 0)) as silent:
        collector.status = int(answers) if answers.isdigit() else 200
        silent_port = silent.getsockname()[1]
        url = {"nobody": "http://127.0.0.1:9", "silence": f"http://127.0.0.1:{silent_port}"}.get(answers, collector.url)
        with caplog.at_level(logging.INFO):
            traces = OtlpTraces(url, metrics=metrics)
            for _ in range(50):
                traces.begin("call").end()
            traces.close()
            traces.begin("call").end()
    fates = _fates(metrics)
    assert fates["sent"] == 0 and not collector.spans
    assert fates["dropped"] >= 1  # the one after the end
    assert answers == "silence" or sum(fates.values()) == 51
    events = [record.getMessage() for record in caplog.records]
    assert [line for line in events if "traces_not_sent" in line or "traces_lost" in line] or answers == "silence"
    assert len(events) <= 2


class _Held(SpanExporter):
    """Takes a batch when it is let."""

    def __init__(self) -> None:
        self.began, self.let, self.taken = threading.Event(), threading.Event(), 0

    def export(self, batch) -> SpanExportResult:
        self.began.set()
        self.let.wait()
        self.taken += len(batch)
        return SpanExportResult.SUCCESS


def test_what_waits_for_a_slow_collector_is_bounded_and_the_rest_is_counted() -> None:
    held, counted = _Held(), dict.fromkeys(("sent", "not_sent", "dropped"), 0)

    def count(amount: int, fate: str) -> None:
        counted[fate] += amount

    queue = span_queue.SpanQueue(held, count, most_waiting=10, every_s=0.001)
    span: object = object()
    queue.on_end(span)  # type: ignore[arg-type]  # it passes whatever it is given on
    held.began.wait()
    for _ in range(25):
        queue.on_end(span)  # type: ignore[arg-type]
    assert counted == {"sent": 0, "not_sent": 0, "dropped": 15}
    held.let.set()
    queue.shutdown()
    assert counted == {"sent": 11, "not_sent": 0, "dropped": 15} and held.taken == 11


def test_lines_of_the_log_name_the_trace_that_they_belong_to() -> None:
    record = logging.LogRecord("a", logging.INFO, __file__, 1, "event=x", None, None)
    with TraceCollector() as collector:
        traces = OtlpTraces(collector.url)
        with spans.entered(traces.begin("call", TraceContext(TRACE, SPAN))):
            logs.TraceFilter().filter(record)
            carried = spans.carried(lambda: spans.current().context)
        assert spans.current() is spans.NOTHING
        context = carried()
        traces.close()
    assert context is not None and context.trace_id == TRACE
    assert logging.Formatter(logs.TEXT).format(record).endswith(f" event=x trace_id={TRACE}")
    assert f'"trace_id": "{TRACE}"' in logs.JsonFormatter().format(record)
