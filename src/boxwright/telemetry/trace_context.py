"""Which trace a piece of work belongs to, as W3C's header ``traceparent`` says it."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import secrets
from typing import Self

HEADER = "traceparent"
SAMPLED = 0x01
NO_TRACE, NO_SPAN = "0" * 32, "0" * 16

# https://www.w3.org/TR/trace-context/#traceparent-header: a later version may add parts, version 00 has none more
_PARTS = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclasses.dataclass(frozen=True)
class TraceContext:
    """A span, as others name it.

    Attributes:
        trace_id: 32 hexadecimal digits, not all 0.
        span_id: 16 hexadecimal digits, not all 0.
        is_sampled: whether spans of this trace are recorded.
    """

    trace_id: str
    span_id: str
    is_sampled: bool = True

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Reads the value of a ``traceparent``; None for anything else, which a receiver has to ignore."""
        found = _PARTS.fullmatch(text.strip(" \t"))
        if found is None:
            return None
        version, trace_id, span_id, flags, more = found.groups()
        if version == "ff" or (version == "00" and more) or trace_id == NO_TRACE or span_id == NO_SPAN:
            return None
        return cls(trace_id, span_id, bool(int(flags, 16) & SAMPLED))

    @classmethod
    def of_name(cls, name: str) -> Self:
        """The context of a resource that says of none: the same in every process, so that its spans find each other."""
        digest = hashlib.sha256(f"boxwright {name}".encode()).hexdigest()
        return cls(digest[:32], digest[32:48])

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{int(self.is_sampled):02x}"

    def beside(self) -> Self:
        """Another span of the same trace, which is not there yet."""
        return dataclasses.replace(self, span_id=secrets.token_hex(8))
