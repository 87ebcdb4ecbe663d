"""How far a batch prediction is, in numbers: done, failed, total, the rate of the last seconds, the time left.

The rate counts images that this attempt predicted; those that it found finished cost it nothing and say nothing about the
rest. It is taken over the last seconds, so that it is true now, and falls when the work stalls.
"""

from __future__ import annotations

import collections
import logging
import time
from collections.abc import Callable
from typing import Any

from boxwright import names

WINDOW_S = 15.0
LEAST_SPAN_S = 1.0  # a rate over less is noise
LOG_INTERVAL_S = 10.0

log = logging.getLogger(__name__)


class BatchProgress:
    """The numbers of one attempt, from its child's events.

    Args:
        clock: seconds on a monotonic clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: collections.deque[tuple[float, int]] = collections.deque()  # (when, images predicted by then)
        self._last: dict[str, Any] = {}
        self._logged_s = clock()

    def note(self, event: dict[str, Any]) -> None:
        """Takes a ``progress`` event, or an ``alive`` one: time has passed and nothing was done."""
        if event["event"] == "progress":
            self._last = event
        if self._last:
            now_s = self._clock()
            self._seen.append((now_s, self._last["done"] - self._last.get("found", 0)))
            while now_s - self._seen[0][0] > WINDOW_S:
                self._seen.popleft()

    def numbers(self) -> dict[str, Any]:
        """What is known; empty before the first image."""
        if not self._last:
            return {}
        total, rate = self._last["estimated_images"], self._images_per_s()
        left = max(0, total - self._last["done"])
        numbers = {
            "done": self._last["done"],
            "failed": self._last["failed"],
            "total": total,
            "total_is_exact": self._last.get("exact", False),
            "images_per_s": None if rate is None else round(rate, 2),
            "eta_s": round(left / rate, 1) if rate else None,
        }
        if self._last.get("one_colour"):
            numbers["images_of_one_colour"] = self._last["one_colour"]
        if self._last.get("bottleneck"):
            numbers["bottleneck"] = self._last["bottleneck"]
        return numbers

    def final(self, event: dict[str, Any]) -> dict[str, Any]:
        """The numbers of a job that is done, from its ``done`` event."""
        images = event["images"]
        numbers = {"done": images, "failed": event["failed"], "total": images, "total_is_exact": True, "eta_s": 0}
        if event.get("one_colour"):
            numbers["images_of_one_colour"] = event["one_colour"]
        return numbers

    def log(self, operation: names.OperationName) -> None:
        """Writes a log line, now and then."""
        if self._clock() - self._logged_s >= LOG_INTERVAL_S:
            self._logged_s = self._clock()
            shown = " ".join(f"{key}={str(value).replace(' ', '_')}" for key, value in self.numbers().items())
            log.info("event=batch_progress operation=%s %s", operation, shown)

    def _images_per_s(self) -> float | None:
        """Images per second over the window; None as long as that says nothing."""
        if not self._seen or self._seen[-1][0] - self._seen[0][0] < LEAST_SPAN_S:
            return None
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        return max(0, last - first) / (last_s - first_s)
