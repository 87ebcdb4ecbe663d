"""What is counted, logged and traced of the attempts of a worker."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Collection, Iterator, Sequence

from google.rpc import code_pb2, status_pb2

from boxwright import states
from boxwright.operations.operation_trace import OperationTrace
from boxwright.operations.records import ClaimedOperation
from boxwright.operations.runner import Context
from boxwright.telemetry import metric_table, spans
from boxwright.telemetry.metrics import Metrics

MICROSECONDS = 1_000_000

log = logging.getLogger(__name__)


class AttemptRecords:
    """Takes note of attempts. What is asked while one is under way is asked in the thread of its lane.

    Args:
        metrics: counts attempts, lanes and leases.
        traces: begins the spans of attempts and operations.
    """

    def __init__(self, metrics: Metrics | None, traces: spans.Traces | None) -> None:
        self.metrics = metrics or Metrics()
        self._traces = traces or spans.Traces()

    def note_lanes(self, lanes: Sequence[Collection[states.OperationKind]]) -> None:
        """Counts lanes, and lets every series begin at 0."""
        for kind in [kind for kinds in lanes for kind in kinds]:
            self.metrics.add("boxwright_lanes", 1, kind)
            self.metrics.add("boxwright_lanes_busy", 0, kind)
            for end in metric_table.VALUES["end"]:
                self._count(kind, end, 0)

    @contextlib.contextmanager
    def under_way(self, claimed: ClaimedOperation) -> Iterator[None]:
        """An attempt, which is the current span for the block."""
        name, kind, epoch = claimed.name, claimed.kind, claimed.lease.epoch
        trace = self._trace(str(name), claimed.trace)
        span = self._traces.begin(f"attempt {kind}", None if trace is None else trace.own)
        span.set(operation=str(name), kind=kind, epoch=epoch, attempt=claimed.attempts)
        started_s = time.monotonic()
        self.metrics.add("boxwright_lanes_busy", 1, kind)
        with spans.entered(span):
            log.info("event=operation_started operation=%s kind=%s epoch=%d", name, kind, epoch)
            try:
                yield
            finally:
                self.metrics.add("boxwright_lanes_busy", -1, kind)
                elapsed_s = time.monotonic() - started_s
                log.info("event=operation_left operation=%s kind=%s elapsed_s=%.2f", name, kind, elapsed_s)

    def ended(self, kind: states.OperationKind, end: str) -> None:
        """An attempt has ended, by one of the values of the label ``end``."""
        self._count(kind, end)
        spans.current().set(end=end)
        if end in ("died", "lease_lost"):
            spans.current().fail(end)

    def operation_ended(self, context: Context, status: status_pb2.Status) -> None:
        """An attempt has ended its operation; code 0 is success."""
        end = {code_pb2.OK: "done", code_pb2.CANCELLED: "cancelled"}.get(status.code, "failed")
        outcome = "succeeded" if end == "done" else end
        began_s = context.create_time_us / MICROSECONDS
        self.ended(context.kind, end)
        self.metrics.observe("boxwright_operation_seconds", time.time() - began_s, context.kind, outcome)
        trace = self._trace(str(context.name), context.trace)
        if trace is None:
            return
        span = self._traces.begin(f"operation {context.kind}", trace.caller, own=trace.own, start_s=began_s)
        code = code_pb2.Code.Name(status.code) if status.code in code_pb2.Code.values() else "UNKNOWN"
        span.set(operation=str(context.name), kind=context.kind, outcome=outcome, code=code)
        if status.code in spans.FAULTS:
            span.fail(code)
        span.end()

    def _count(self, kind: states.OperationKind, end: str, attempts: int = 1) -> None:
        self.metrics.add("boxwright_operation_attempts_total", attempts, kind, end)

    def _trace(self, name: str, noted: OperationTrace | None) -> OperationTrace | None:
        """Where spans of an operation belong; who is told nothing by its row finds a trace by its name."""
        if noted is not None:
            return noted
        own = self._traces.of_name(name)
        return None if own is None else OperationTrace(own)
