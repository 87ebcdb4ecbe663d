"""Spans: what takes time in a request or an operation, told as a tree. Here they are not recorded; see `otlp_traces`.

    Traces    begins spans that have no parent in this process
    Span      one of them: told what it is about, asked for children, ended
    current   the span that this thread or task is in
    entered   makes a span the current one for a block
    part      the same, for a part of what the current one is about
    carried   takes the current one to another thread

Rooms ask for the current span, so that only who begins a request or an attempt is handed a `Traces`.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from google.rpc import code_pb2

from boxwright import errors
from boxwright.telemetry.trace_context import TraceContext

# of a server, by OpenTelemetry's conventions for calls
FAULTS = frozenset(
    (
        code_pb2.UNKNOWN, code_pb2.DEADLINE_EXCEEDED, code_pb2.UNIMPLEMENTED, code_pb2.INTERNAL, code_pb2.UNAVAILABLE,
        code_pb2.DATA_LOSS,
    )
)  # fmt: skip
Attribute = str | int | float | bool
_T = TypeVar("_T")


class Span:
    """A span that is not recorded: whatever it is told comes to nothing. Safe to use from several threads.

    Attributes:
        context: how others name it; None where nobody traces.
        shard_step: of so many shards of its work one has a span; 0: none.
    """

    context: TraceContext | None = None
    shard_step = 0

    def set(self, **attributes: Attribute) -> None:
        """Says more about it; `images=3` becomes the attribute ``boxwright.images``. No content of callers is ever said."""

    def fail(self, why: str) -> None:
        """Marks it as failed; `why` is the name of a code or of an exception."""

    def child(self, name: str, start_s: float | None = None, *, is_frequent: bool = False) -> Span:
        """Begins a span within this one, which is to be ended.

        Args:
            name: what it does; one of a few.
            start_s: when it began, seconds since 1970; None: now.
            is_frequent: whether there may be any number of these; no more than `MOST_FREQUENT` of one span are recorded.
        """
        return self

    def end(self, end_s: float | None = None) -> None:
        """Ends it, at a time in seconds since 1970; None: now. The first end counts."""


class _Unsampled(Span):
    """A span of a trace that nobody records, which those who go on with the trace are to know."""

    def __init__(self, context: TraceContext) -> None:
        self.context = context


NOTHING = Span()
MOST_FREQUENT = 256
_current: contextvars.ContextVar[Span] = contextvars.ContextVar("span", default=NOTHING)


class Traces:
    """Nobody traces: every span is NOTHING."""

    def begin(
        self,
        name: str,
        parent: TraceContext | None = None,
        *,
        own: TraceContext | None = None,
        start_s: float | None = None,
        is_request: bool = False,
    ) -> Span:
        """Begins a span that has no parent in this process.

        Args:
            name: what it does; one of a few.
            parent: the span of another process or an earlier time that it belongs to; None: it begins a trace.
            own: its own context, where others name it already; its trace is the parent's, if there is one.
            start_s: when it began, seconds since 1970; None: now.
            is_request: whether somebody waits for it who has asked over a network.
        """
        return NOTHING

    def of_name(self, name: str) -> TraceContext | None:
        """The span of a resource of which no trace is noted, the same in every process; None: nobody traces."""
        return None

    def close(self) -> None:
        """Sends what is there, for a few seconds at most."""


def unsampled(context: TraceContext) -> Span:
    """A span of a trace that is not recorded."""
    return _Unsampled(context)


def current() -> Span:
    """The span that this thread or task is in; NOTHING if there is none."""
    return _current.get()


@contextlib.contextmanager
def entered(span: Span) -> Iterator[Span]:
    """Makes a span the current one for a block, and ends it.

    What the block raises marks it as failed; not so an answer that is the caller's own mistake.
    """
    token = _current.set(span)
    try:
        yield span
    except errors.ApiError as error:
        if error.code in FAULTS:
            span.fail(error.code_name)
        raise
    except Exception as error:
        span.fail(type(error).__name__)
        raise
    finally:
        _current.reset(token)
        span.end()


def part(name: str) -> contextlib.AbstractContextManager[Span]:
    """Makes a child of the current span the current one for a block; see `entered`."""
    return entered(current().child(name))


def carried(work: Callable[[], _T]) -> Callable[[], _T]:
    """The same work for another thread, with this one's current span."""
    span = _current.get()
    if span is NOTHING:
        return work

    def run() -> _T:
        token = _current.set(span)
        try:
            return work()
        finally:
            _current.reset(token)

    return run


def named(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Attributes under the names that they have in spans."""
    return {f"boxwright.{name}": value for name, value in attributes.items()}
