"""How far a batch prediction is, in numbers: done, failed, total, the rate of the last seconds, the time left.

The rate counts images that this attempt predicted; those that it found finished cost it nothing and say nothing about the
rest. It is taken over the last seconds, so that it is true now, and falls when the work stalls. At the end it is the mean
over all turns and attempts of the operation; the seconds, in all and of each stage, are those of all of them too.
"""

from __future__ import annotations

import collections
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from google.rpc import code_pb2

from boxwright import names
from boxwright.batch.engine import advice, stages

WINDOW_S = 15.0
WAITS_S = 5.0  # a bucket that calls waited for so long ago is still named
LEAST_SPAN_S = 1.0  # a rate over less is noise
LOG_INTERVAL_S = 10.0
LEAST_STAGE_SHARE = (
    0.1  # of the time of a job with former results: below, looking for them holds it up, and no stage does
)
MAX_REASONS, MAX_REASON_CHARS = 8, 200  # of failures: what is stored with an operation is small

log = logging.getLogger(__name__)


class BatchProgress:
    """The numbers of one attempt, from its children's events.

    Args:
        clock: seconds on a monotonic clock.
        before: what earlier attempts of the operation have reported last.
        predicts: whether images are predicted; otherwise none is worked on, and results are only made again.
        known: ``precision`` and ``cores`` of the job, for the advice.
        others: says how many batch predictions run beside this one now.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        before: Mapping[str, Any] | None = None,
        predicts: bool = True,
        known: Mapping[str, Any] | None = None,
        others: Callable[[], int] = lambda: 0,
    ) -> None:
        self._clock = clock
        self._predicts = predicts
        self._known, self._others = known or {}, others
        self._events = self._shared_events = 0
        self._seen: collections.deque[tuple[float, int]] = collections.deque()  # (when, images predicted by then)
        self._last: dict[str, Any] = {}
        self._waits_for, self._waited_s = "", -WAITS_S  # bucket that was called too often, and when it was last
        self._logged_s = self._started_s = clock()
        before = before or {}
        self._before_s = float(before.get("elapsed_s", 0))
        self._tried_before = int(before.get("tried", 0))
        self._stage_before_s = {stage: float(before.get("stages", {}).get(stage, 0)) for stage in stages.STAGES}
        self._told = self._tried_before
        self._amounts_before = {name: float(before.get("amounts", {}).get(name, 0)) for name in stages.AMOUNTS}
        self._reasons: dict[int, tuple[int, int, str]] = {}  # code → (images, shard of the first, its message)

    def newly_tried(self) -> int:
        """Images that were worked on since this was asked last."""
        if not self._predicts:
            return 0
        newly, self._told = max(0, self._tried - self._told), max(self._told, self._tried)
        return newly

    def begin_child(self) -> None:
        """A new child begins: it finds what the one before it has finished, and counts from zero."""
        self._tried_before = self._tried
        self._stage_before_s, self._amounts_before = self._stage_s, self._amounts
        self._last, self._reasons = {}, {}
        self._seen.clear()

    def note(self, event: dict[str, Any]) -> None:
        """Takes a ``progress`` event, an ``alive`` one: time has passed and nothing was done, or a ``throttled`` one."""
        if event["event"] == "throttled":
            if event["waiting"]:
                self._waits_for, self._waited_s = event["bucket"], self._clock()
            return
        self._events += 1
        self._shared_events += self._others() > 0
        if event["event"] == "progress":
            self._last = event
        if self._last:
            now_s = self._clock()
            self._seen.append((now_s, self._last["done"] - self._last.get("found", 0)))
            while now_s - self._seen[0][0] > WINDOW_S:
                self._seen.popleft()

    def note_failures(self, shard: int, errors_by_code: Mapping[str, int], listed: list[list[Any]]) -> None:
        """Takes a finished shard's failures: counts by code name, and (code, message) of the first of them."""
        for name, count in errors_by_code.items():
            code = code_pb2.Code.Value(name)
            images, first_shard, message = self._reasons.get(code, (0, 0, ""))
            self._reasons[code] = images + count, first_shard, message
        for code, text in reversed(listed):  # the counts of many shards may come with one of them
            images, first_shard, message = self._reasons.get(code, (0, 0, ""))
            if text and (not message or shard <= first_shard):
                self._reasons[code] = images, shard, text

    def numbers(self) -> dict[str, Any]:
        """What is known; empty before the first image."""
        waits = {"waits_for": self._waits_for} if self._clock() - self._waited_s < WAITS_S else {}
        if not self._last:
            return waits
        total, rate = self._last["estimated_images"], self._images_per_s()
        left = None if total is None else max(0, total - self._last["done"])
        numbers = {
            "done": self._last["done"],
            "failed": self._last["failed"],
            "total": total,
            "total_is_exact": self._last.get("exact", False),
            "images_per_s": None if rate is None else round(rate, 2),
            "eta_s": round(left / rate, 1) if rate and left is not None else None,
        }
        if self._last.get("one_colour"):
            numbers["images_of_one_colour"] = self._last["one_colour"]
        if self._last.get("bottleneck"):
            numbers["bottleneck"] = self._last["bottleneck"]
        return numbers | waits | self._spent()

    def ended(self) -> dict[str, Any]:
        """What is known when the attempt ends before the job is done."""
        return {**self.numbers(), "images_per_s": self._mean_rate(), **self._spent(), "eta_s": None} | self._limit()

    def final(self, event: dict[str, Any]) -> dict[str, Any]:
        """The numbers of a job that is done, from its ``done`` event."""
        images = event["images"]
        self._last = {**event, "done": images, "estimated_images": images}
        numbers = {"done": images, "failed": event["failed"], "total": images, "total_is_exact": True, "eta_s": 0}
        if event.get("one_colour"):
            numbers["images_of_one_colour"] = event["one_colour"]
        return {**numbers, "images_per_s": self._mean_rate(), **self._spent()} | self._limit()

    def log(self, operation: names.OperationName) -> None:
        """Writes a log line, now and then."""
        if self._clock() - self._logged_s >= LOG_INTERVAL_S:
            self._logged_s = self._clock()
            shown = " ".join(
                f"{key}={str(value).replace(' ', '_')}"
                for key, value in self.numbers().items()
                if not isinstance(value, dict | list)
            )
            log.info("event=batch_progress operation=%s %s", operation, shown)

    # ---- inside -------------------------------------------------------------------------------------------------

    @property
    def _elapsed_s(self) -> float:
        """Seconds of work on the operation, in all its turns and attempts."""
        return self._before_s + self._clock() - self._started_s

    @property
    def _tried(self) -> int:
        """Images that were worked on in all turns and attempts, those that failed included."""
        return self._tried_before + int(self._last.get("done", 0)) - int(self._last.get("found", 0))

    @property
    def _stage_s(self) -> dict[str, float]:
        now_s = self._last.get("stages", {})
        return {stage: round(before_s + now_s.get(stage, 0), 3) for stage, before_s in self._stage_before_s.items()}

    @property
    def _amounts(self) -> dict[str, float]:
        now = self._last.get("amounts", {})
        return {name: before + now.get(name, 0) for name, before in self._amounts_before.items()}

    def _spent(self) -> dict[str, Any]:
        """What adds up over attempts, and the failures by reason, most frequent first."""
        reasons = sorted(self._reasons.items(), key=lambda entry: (-entry[1][0], entry[0]))
        failures = [
            {"code": code_pb2.Code.Name(code), "images": images, "first": message[:MAX_REASON_CHARS]}
            for code, (images, _, message) in reasons[:MAX_REASONS]
        ]
        spent = {
            "elapsed_s": round(self._elapsed_s, 3),
            "tried": self._tried,
            "stages": self._stage_s,
            "amounts": self._amounts,
        }
        return {**spent, "failures": failures} if failures else spent

    def _limit(self) -> dict[str, str]:
        """The bottleneck of the whole, and what helps."""
        spent_s = sum(self._stage_s.values()) - self._stage_s[stages.READING]
        found = stages.bottleneck(self._stage_s, {})
        if not found or (self._last.get("reused") and spent_s < LEAST_STAGE_SHARE * self._elapsed_s):
            return {}
        shared = self._shared_events / max(1, self._events)
        said = advice.from_numbers(found, self._spent(), shared=shared, **self._known)
        return {"bottleneck": found, "advice": said}

    def _mean_rate(self) -> float | None:
        return round(self._tried / self._elapsed_s, 2) if self._tried and self._elapsed_s > 0 else None

    def _images_per_s(self) -> float | None:
        """Images per second over the window; None as long as that says nothing."""
        if not self._seen or self._seen[-1][0] - self._seen[0][0] < LEAST_SPAN_S:
            return None
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        return max(0, last - first) / (last_s - first_s)
