"""Counts and traces what a training child says of its phases."""

from __future__ import annotations

import time
from typing import Any

from boxwright.telemetry import spans
from boxwright.telemetry.metric_table import OTHER, VALUES
from boxwright.telemetry.metrics import Metrics

FIRST = "preparing"  # until the child has said what it is at


class TrainingCounts:
    """Takes the events of one child. Spans belong to the one that is current when this is made.

    Args:
        metrics: counts seconds by phase.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._attempt = spans.current()
        self._phase, self._counted_s = FIRST, time.monotonic()
        self._span = self._attempt.child(FIRST)

    def note(self, event: dict[str, Any] | None) -> None:
        """Takes an event, or that there was none for a while."""
        self._count()
        stage = self._phase if event is None else event.get("stage", self._phase)
        phase = stage if stage in VALUES["phase"] else OTHER
        if phase != self._phase:
            self._phase = phase
            self._span.end()
            self._span = self._attempt.child(phase)

    def end(self) -> None:
        """The child has ended."""
        self._count()
        self._span.end()

    def _count(self) -> None:
        now_s = time.monotonic()
        self._metrics.add("boxwright_training_seconds_total", now_s - self._counted_s, self._phase)
        self._counted_s = now_s
