"""How often a bucket is called: as often as there are calls, until its store says that this is too often.

A store that is called too often answers 503 or 429. From the first such answer on, all threads of this process share one
`Pace` a bucket: calls begin one after another, so many a second. Each round of throttled answers makes that less by a share,
time without them makes it more by an amount (additive increase, multiplicative decrease: Chiu and Jain 1989). One bucket's
pace slows no other bucket.
"""

from __future__ import annotations

import collections
import dataclasses
import logging
import math
import threading
import time
from collections.abc import Callable

LOWEST_PER_S = 5.0  # a thousand processes at it are fewer calls than one prefix of S3 takes
DECREASE = 0.9  # a round of throttled answers leaves this share of what was answered …
LARGEST_DECREASE = 0.3  # … or of this share of the pace
INCREASE = 0.1  # of the last pace at which the store answered, a second
LEAST_INCREASE_PER_S = 0.5  # a second
HURRY_S = 5.0  # without a throttled answer for so long, the pace grows twice as fast, for twice as long three times, …
ROUND_S = 0.5  # throttled answers within one round, of at least so long and so many calls, are one sign
ROUND_CALLS = 10
PROVEN = 0.96  # below this share of what the store has just answered, a pace is not too fast …
STUBBORN_SHARE = 0.5  # … unless more than these are throttled: …
HOLD_S = 2.0  # … slower is then no better, and the pace is held for so long
FREE_AFTER_S = 60.0  # without a throttled answer
LONGEST_CLOSED_S = 120.0  # that a store's Retry-After is heeded
ASK_EVERY_S = 30.0
LOG_EVERY_S = 60.0
RECENT_S = 10.0  # a bucket that throttled a call so long ago still does
MAX_BUCKETS = 1000

AskWhen = Callable[[], float | None]

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class BucketThrottling:
    """What is known of the calls of one bucket.

    Attributes:
        bucket: its address.
        throttled: calls that were answered 503 or 429.
        answered: calls that were answered otherwise.
        waiting: calls that wait for their turn or for their next attempt now.
        per_s: calls that may begin in a second; None for any number.
        is_throttling: whether the store has throttled a call in the last seconds, or calls wait for it.
    """

    bucket: str
    throttled: int
    answered: int
    waiting: int
    per_s: float | None
    is_throttling: bool


class Pace:
    """How often this process calls one bucket. Safe for several threads.

    Args:
        bucket: its address.
        clock: monotonic seconds.
    """

    def __init__(self, bucket: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.bucket = bucket
        self._clock = clock
        self._turn = threading.Lock()  # of the one call that waits for the next place
        self._lock = threading.Lock()  # of everything below
        self._per_s: float | None = None
        self._reached_per_s = math.inf  # up to here the pace doubles each round
        self._next_s = self._closed_until_s = self._changed_s = self._grown_s = -1.0
        self._throttled_s = self._asked_s = self._logged_s = -3600.0
        self._throttled = self._answered = self._waiting = 0
        self._proven_per_s = self._before_per_s = 0.0  # answers a second, and the pace, at the last decrease
        self._held_until_s = -1.0  # the pace is not made less
        self._begin_window(clock())  # since the last change of the pace: calls by their answers

    def begin(self, pause: Callable[[float], None]) -> float:
        """Waits until a call may begin; returns when it did, by the clock.

        Args:
            pause: waits for so many seconds, at most; raises if the call is no longer wanted.
        """
        if self._per_s is None and self._closed_until_s < 0:  # the usual case, without a lock
            return self._clock()
        with self._lock:
            self._waiting += 1
        try:
            while not self._turn.acquire(timeout=0.1):
                pause(0.0)
            try:
                while (wait_s := self._take()) > 0:
                    pause(min(wait_s, 0.1))
            finally:
                self._turn.release()
        finally:
            with self._lock:
                self._waiting -= 1
        return self._clock()

    def note_answer(self) -> None:
        """Notes that a call was answered, whatever was said."""
        with self._lock:
            self._answered += 1
            self._window_answers += 1

    def note_throttled(self, began_s: float, retry_after_s: float | None, ask_when: AskWhen) -> None:
        """Notes that a call was throttled.

        Args:
            began_s: when it began.
            retry_after_s: in how many seconds the store wants to be called again, if it said so.
            ask_when: asks the store for that; called now and then.
        """
        now_s = self._clock()
        with self._lock:
            self._throttled += 1
            if self._per_s is None and now_s - self._throttled_s > RECENT_S:  # the first round measures
                self._changed_s = now_s
                self._begin_window(now_s)
            self._throttled_s = now_s
            self._window_throttled += 1
            is_to_ask = retry_after_s is None and now_s - self._asked_s >= ASK_EVERY_S
            if is_to_ask:
                self._asked_s = now_s
            if self._is_round_over(began_s, now_s):
                self._slow_down(now_s)
            is_to_log = self._per_s is not None and now_s - self._logged_s >= LOG_EVERY_S
            if is_to_log:
                self._logged_s = now_s
            throttled, per_s = self._throttled, self._per_s
        _Told.note()
        if is_to_log:
            log.warning(
                "event=store_throttled bucket=%s throttled=%d calls_per_s=%.1f", self.bucket, throttled, per_s or 0.0
            )
        if is_to_ask:
            retry_after_s = ask_when()
        if retry_after_s is not None:
            with self._lock:
                until_s = self._clock() + min(retry_after_s, LONGEST_CLOSED_S)
                self._closed_until_s = max(self._closed_until_s, until_s)

    def waits(self, count: int) -> None:
        """Counts calls that wait for their next attempt: 1 for one more, -1 for one less."""
        with self._lock:
            self._waiting += count

    @property
    def has_throttled_lately(self) -> bool:
        """Whether the store has throttled a call in the last seconds, so that it is known to answer."""
        return self._clock() - self._throttled_s < RECENT_S

    def snapshot(self) -> BucketThrottling:
        """What is known now."""
        now_s = self._clock()
        with self._lock:
            is_throttling = self._waiting > 0 or now_s - self._throttled_s < RECENT_S
            return BucketThrottling(
                self.bucket, self._throttled, self._answered, self._waiting, self._per_s, is_throttling
            )

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _take(self) -> float:
        """Takes the next place and returns 0, or returns how many seconds are left until there is one."""
        now_s = self._clock()
        with self._lock:
            if self._closed_until_s > now_s:
                return self._closed_until_s - now_s
            self._closed_until_s = -1.0
            if self._per_s is None:
                return 0.0
            if now_s - self._throttled_s > FREE_AFTER_S:
                self._per_s = None
                return 0.0
            if self._next_s > now_s:
                return self._next_s - now_s
            self._grow(now_s)
            self._next_s = max(self._next_s, now_s - 1 / self._per_s) + 1 / self._per_s
            return 0.0

    def _grow(self, now_s: float) -> None:
        assert self._per_s is not None
        elapsed_s = now_s - self._grown_s
        self._grown_s = now_s
        if not self._window_answers or now_s < self._held_until_s:
            return
        if self._per_s < self._reached_per_s:
            self._per_s = min(self._reached_per_s, self._per_s * 2 ** min(elapsed_s / ROUND_S, 30.0))
        else:
            step_per_s = max(LEAST_INCREASE_PER_S, INCREASE * self._reached_per_s) * elapsed_s
            self._per_s += step_per_s * (1 + (now_s - self._changed_s) / HURRY_S)

    def _is_round_over(self, began_s: float, now_s: float) -> bool:
        """Whether a throttled call, which began then, says something about the present pace."""
        calls = self._window_answers + self._window_throttled
        if began_s <= self._changed_s or now_s - self._changed_s < ROUND_S or calls < ROUND_CALLS:
            return False
        return now_s >= self._held_until_s or self._window_throttled > STUBBORN_SHARE * calls

    def _slow_down(self, now_s: float) -> None:
        elapsed_s = now_s - self._window_s
        answered_per_s = self._window_answers / elapsed_s
        share = self._window_throttled / (self._window_answers + self._window_throttled)
        if self._per_s is None:
            slower = DECREASE * answered_per_s
        elif share <= STUBBORN_SHARE and self._per_s <= max(PROVEN * self._proven_per_s, 1.5 * LOWEST_PER_S):
            slower = max(self._per_s, self._before_per_s)  # it throttles no matter how slow: that does not help
            self._held_until_s = now_s + HOLD_S
            self._reached_per_s = slower
        else:
            slower = DECREASE * max(min(answered_per_s, self._per_s), LARGEST_DECREASE * self._per_s)
        self._before_per_s = self._per_s or slower
        self._per_s = max(LOWEST_PER_S, slower)
        if now_s >= self._held_until_s and self._window_answers:
            self._proven_per_s = answered_per_s
            self._reached_per_s = self._per_s  # where nothing was answered, nothing was learned
        self._changed_s = self._grown_s = now_s
        self._begin_window(now_s)

    def _begin_window(self, now_s: float) -> None:
        self._window_s, self._window_answers, self._window_throttled = now_s, 0, 0


class _Told:
    """How many calls of this process were throttled, and who hears of each."""

    lock = threading.Lock()
    count = 0
    hear: Callable[[], None] = staticmethod(lambda: None)

    @classmethod
    def note(cls) -> None:
        with cls.lock:
            cls.count += 1
        cls.hear()


def count() -> int:
    """How many calls of this process were throttled since it began."""
    return _Told.count


def count_by(hear: Callable[[], None]) -> None:
    """From now on, `hear` is called for each call of this process that is throttled, from any thread."""
    _Told.hear = staticmethod(hear)


_paces: collections.OrderedDict[tuple[str, ...], Pace] = collections.OrderedDict()
_paces_lock = threading.Lock()


def pace_of(bucket: str, *place: str) -> Pace:
    """The one `Pace` of a bucket in this process.

    Args:
        bucket: its address.
        place: what tells it from a bucket of the same name elsewhere: the store's address, the account.
    """
    with _paces_lock:
        pace = _paces.pop((bucket, *place), None) or Pace(bucket)
        _paces[bucket, *place] = pace
        while len(_paces) > MAX_BUCKETS:
            _paces.popitem(last=False)
        return pace


def snapshot() -> list[BucketThrottling]:
    """What is known of the buckets that were used last, at most `MAX_BUCKETS`; their counts only grow."""
    with _paces_lock:
        paces = list(_paces.values())
    return [pace.snapshot() for pace in paces]
