"""The trace that an operation belongs to: that of the call which has started it, noted in the progress of its row."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from boxwright.telemetry import spans
from boxwright.telemetry.trace_context import TraceContext

KEY = "trace"  # the entry of an operation's progress; no caller is told


@dataclasses.dataclass(frozen=True)
class OperationTrace:
    """Where an operation's spans belong.

    Attributes:
        own: the span of the operation itself, of which attempts are parts.
        caller: the span of the call that has started it; None if nobody knows.
    """

    own: TraceContext
    caller: TraceContext | None = None

    @property
    def entry(self) -> dict[str, Any]:
        """What is noted of it in the progress."""
        return {} if self.caller is None else {KEY: [str(self.own), str(self.caller)]}


def begun() -> OperationTrace | None:
    """For an operation that the current span starts; None where nobody traces."""
    caller = spans.current().context
    return None if caller is None else OperationTrace(caller.beside(), caller)


def split(progress: Mapping[str, Any] | None) -> tuple[OperationTrace | None, dict[str, Any] | None]:
    """A row's progress as (what is noted of its trace, the numbers of its runner); None for what is not there."""
    numbers = dict(progress or {})
    noted = numbers.pop(KEY, None)
    if not (isinstance(noted, list) and len(noted) == 2):
        return None, numbers or None
    own, caller = (TraceContext.parse(str(text)) for text in noted)
    return (None if own is None else OperationTrace(own, caller)), numbers or None
