"""The spans of a batch prediction, from what its inference child says: phases of the job, and some of its shards."""

from __future__ import annotations

import time
from typing import Any

from boxwright.telemetry import spans


class BatchSpans:
    """Takes the events of one child at one job; spans belong to the one that is current when this is made."""

    def __init__(self) -> None:
        self._attempt = spans.current()

    def note(self, event: dict[str, Any]) -> None:
        """Takes an event; those that say nothing of time come to nothing."""
        match event:
            case {"event": "phase", "phase": str(phase), "began_s": began_s, "took_s": took_s}:
                self._attempt.child(phase, began_s).end(began_s + took_s)
            case {
                "event": "shard",
                "shard": number,
                "began_s": float(began_s),
                "predicted": predicted,
                "failed": failed,
            }:
                step = self._attempt.shard_step
                if step and (number - 1) % step == 0:
                    span = self._attempt.child("shard", began_s, is_frequent=True)
                    span.set(shard=number, predicted=predicted, failed=failed)
                    span.end(time.time())
            case {"event": "done", "images": images, "failed": failed, "shards": shards}:
                self._attempt.set(images=images, failed=failed, shards=shards)
