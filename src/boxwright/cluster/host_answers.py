"""What a host is handed of an image, and what it answers its driver."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from boxwright.batch.entry import HeldBytes

# address, why its row is unusable or None, and where the bytes of an archive's member are (`member_packs`)
HandedItem: TypeAlias = tuple[str, str | None, HeldBytes | None]


@dataclasses.dataclass(frozen=True)
class OpenAnswer:
    """What a host says of itself: what it computes with, or why it cannot take part."""

    node: str
    numeric: Mapping[str, str] = dataclasses.field(default_factory=dict)
    error: bytes = b""  # a google.rpc.Status


@dataclasses.dataclass(frozen=True)
class ShardAnswer:
    """What became of a shard.

    Attributes:
        report: the fields of its `ShardReport`; None if the host was stopped before it was finished.
        error: why the job as a whole cannot go on, a google.rpc.Status; empty if it can.
        totals: seconds by stage and amounts, see `stages`.
        uses: buckets that were used: address, permission, whether it is allowed.
        lines: warnings and worse of the log.
        busy_s: of the host.
    """

    report: Mapping[str, Any] | None
    error: bytes
    totals: Mapping[str, float]
    uses: Sequence[tuple[str, str, bool]]
    lines: Sequence[str]
    busy_s: float
