"""Shards whose images are under way: lines are put together in the plan's order, whichever image is done first."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from google.rpc import status_pb2

from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.plan import Segment


class ShardSink(Protocol):
    """Where finished shards go: a `Sink`, or what stands for one."""

    def committed(self, shard: int) -> ShardReport | None:
        """See `Sink.committed`."""

    def commit_lines(
        self, shard: int, lines: list[bytes], statuses: Sequence[status_pb2.Status | None], one_colour: int
    ) -> ShardReport:
        """See `Sink.commit_lines`."""


class OpenShard:
    """A shard whose images are under way."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        count = len(segment.items)
        self._lines = [b""] * count
        self._statuses: list[status_pb2.Status | None] = [None] * count
        self._left = count
        self._one_colour = 0
        self._lock = threading.Lock()

    def put(
        self, first: int, lines: Sequence[bytes], statuses: Sequence[status_pb2.Status | None], one_colour: int
    ) -> bool:
        """Stores the lines of some images, side by side from index `first` on; returns whether the shard is complete.

        Args:
            first: index in the shard.
            lines: one an image.
            statuses: of those that failed, else None.
            one_colour: how many of these images have a single colour.
        """
        with self._lock:
            self._lines[first : first + len(lines)] = lines
            self._statuses[first : first + len(lines)] = statuses
            self._one_colour += one_colour
            self._left -= len(lines)
            return self._left == 0

    def commit_to(self, sink: ShardSink) -> ShardReport:
        """Commits the complete shard."""
        return sink.commit_lines(self.segment.shard, self._lines, self._statuses, self._one_colour)
