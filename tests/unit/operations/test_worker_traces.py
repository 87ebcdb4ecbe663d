"""Spans of operations: one trace from the call that starts one over all attempts at it, whatever its row has by then."""

from __future__ import annotations

import pytest
from tests.support.operations.ledgers import Kind, row_of, start
from tests.support.operations.scripted_runner import Scripted, end_of
from tests.support.services.trace_collector import TraceCollector

from boxwright import errors, states
from boxwright.operations import operation_trace
from boxwright.operations.runner import AttemptError, Context
from boxwright.operations.worker import Worker
from boxwright.telemetry import spans
from boxwright.telemetry.otlp_traces import OtlpTraces
from boxwright.telemetry.trace_context import TraceContext

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def _worked(ledger, act, operation_id: str, share: float = 1.0) -> TraceCollector:
    """The spans of a worker that works on an operation until its end."""
    with TraceCollector() as collector:
        traces = OtlpTraces(collector.url, share)
        worker = Worker(ledger, {Kind.IMPORT_DATA: Scripted(act)}, [[Kind.IMPORT_DATA]], traces=traces)
        worker.start()
        try:
            end_of(ledger, operation_id, *states.OPERATION_TERMINAL)
        finally:
            worker.drain()
            traces.close()
    return collector


def test_all_attempts_are_parts_of_an_operation_that_is_a_part_of_its_call(ledger) -> None:
    attempts = iter([AttemptError("the child was killed"), errors.unavailable("gs://private is away")])

    def act(context: Context) -> None:
        context.report(progress={"done": 3, "numbers": "x" * 10_000}, progress_percent=1)
        assert (context.reported or {}).keys() <= {"done"}
        raise next(attempts)

    with TraceCollector() as of_call:
        calls = OtlpTraces(of_call.url)
        with spans.entered(calls.begin("call", TraceContext(TRACE, SPAN))):
            start(ledger, "IOD1")
        calls.close()
    collector = _worked(ledger, act, "IOD1")
    (call,), (operation,) = of_call.spans, collector.named("operation import_data")
    first, second = collector.named("attempt import_data")
    assert {one.trace_id for one in (call, operation, first, second)} == {TRACE}
    assert call.attributes["boxwright.operation"] == operation.attributes["boxwright.operation"]
    assert operation.parent_id == call.span_id
    assert first.parent_id == second.parent_id == operation.span_id
    assert [one.attributes["boxwright.end"] for one in (first, second)] == ["died", "failed"]
    assert (operation.attributes["boxwright.code"], operation.status) == ("UNAVAILABLE", 2)
    row = row_of(ledger, "IOD1")
    assert operation_trace.KEY in row.progress and row.progress["done"] == 3
    assert not any(b"private" in body for body in collector.bodies)


def test_an_operation_of_which_no_trace_is_noted_has_one_by_its_name(ledger) -> None:
    start(ledger, "IOD2")
    attempts = iter([AttemptError("the child was killed"), None])

    def act(context: Context) -> None:
        if (outcome := next(attempts)) is not None:
            raise outcome

    collector = _worked(ledger, act, "IOD2")
    assert row_of(ledger, "IOD2").progress is None
    own = TraceContext.of_name("projects/p/locations/us-central1/operations/IOD2")
    assert {span.trace_id for span in collector.spans} == {own.trace_id}
    (operation,) = collector.named("operation import_data")
    assert (operation.span_id, operation.parent_id) == (own.span_id, "")
    assert [span.parent_id for span in collector.named("attempt import_data")] == [own.span_id] * 2


def test_a_call_that_is_not_sampled_starts_work_that_is_not_and_others_go_by_their_share(ledger) -> None:
    with TraceCollector() as of_call:
        calls = OtlpTraces(of_call.url)
        with spans.entered(calls.begin("call", TraceContext(TRACE, SPAN, is_sampled=False))):
            start(ledger, "IOD3")
        calls.close()
    start(ledger, "IOD4")
    collector = _worked(ledger, lambda context: None, "IOD4")  # one lane: the other one has ended before
    assert row_of(ledger, "IOD3").state == states.OperationState.SUCCEEDED
    assert [span.name for span in collector.spans] == ["operation import_data", "attempt import_data"]
    assert not [span for span in collector.spans if span.trace_id == TRACE] and not of_call.spans
    start(ledger, "IOD5")
    assert not _worked(ledger, lambda context: None, "IOD5", share=0.0).spans


@pytest.mark.parametrize(
    "noted", [None, 7, "00-x", [], ["a", "b"], [f"00-{TRACE}-{SPAN}-01"], [["00"], {}], {"own": "00"}]
)
def test_what_is_noted_otherwise_is_no_trace_and_is_shown_to_nobody(noted: object) -> None:
    assert operation_trace.split({operation_trace.KEY: noted, "done": 1}) == (None, {"done": 1})
    assert operation_trace.split({operation_trace.KEY: noted}) == (None, None)
