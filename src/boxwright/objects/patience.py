"""Patience with stores: the same call again while the trouble may pass, and calls that can be left behind.

Every call of a store comes through here, so that nobody below asks again and nobody above has to. A store that says that it
is called too often is alive: work that goes on waits for it as long as that lasts (`throttling`). What does not answer, or
answers with errors, is waited for as long as the setting `storage_retry_s` says.
"""

from __future__ import annotations

import dataclasses
import queue
import random
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from google.rpc import code_pb2

from boxwright import errors
from boxwright.objects import store_errors
from boxwright.objects.throttling import AskWhen, Pace

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
STOP_POLL_S = 0.1
STUCK_ATTEMPTS = 30  # throttled one after another, of one call …
STUCK_S = 600.0  # … for so long …
STUCK_ANSWERED = 0.9  # … while this share of the bucket's other calls, and at least so many …
STUCK_CALLS = 100  # … were answered: that is no throttling

_T = TypeVar("_T")
_left_behind = threading.local()


class WaitEndedError(errors.ApiError):
    """The work was stopped while a call waited for a store that is called too often."""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long calls wait.

    Attributes:
        retry_s: for trouble that may pass, in all.
        endures: whether a store that throttles is waited for as long as it does.
        should_stop: whether who waits for it should not go on.
    """

    retry_s: float
    endures: bool = False
    should_stop: Callable[[], bool] = bool

    def pause(self, seconds: float) -> None:
        """Waits; raises `WaitEndedError` once the work is stopped."""
        until_s = time.monotonic() + seconds
        while True:
            left_behind: threading.Event | None = getattr(_left_behind, "event", None)
            if self.should_stop() or (left_behind is not None and left_behind.is_set()):
                raise WaitEndedError(code_pb2.ABORTED, "The work was stopped while it waited for a store.")
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return
            time.sleep(min(left_s, STOP_POLL_S))


def patiently(
    call: Callable[[], _T], patience: Patience, pace: Pace | None = None, ask_when: AskWhen = lambda: None
) -> _T:
    """Calls until there is no trouble that passes; pauses are random, from 0 to a bound that doubles up to 5 s.

    Args:
        call: one request, or one that may be made again as a whole.
        patience: how long.
        pace: of the bucket; None for a folder of this machine.
        ask_when: asks the store in how many seconds it may be called again; None where it does not say.

    Raises:
        WaitEndedError: the work was stopped.
        Exception: the last trouble, when `patience` is over.
    """
    began_s = time.monotonic() if pace is None else _begin(pace, patience, time.monotonic() + patience.retry_s)
    try:
        result = call()  # the usual case, without the cost of the machinery
    except Exception as error:
        return _Attempts(call, patience, pace, began_s, ask_when).after(error)
    if pace is not None:
        pace.note_answer()
    return result


class _Attempts(Generic[_T]):
    """The attempts at one call, after the first one."""

    def __init__(
        self, call: Callable[[], _T], patience: Patience, pace: Pace | None, began_s: float, ask_when: AskWhen
    ) -> None:
        self._call, self._patience, self._pace, self._ask_when = call, patience, pace, ask_when
        self._began_s = began_s
        self._deadline_s = began_s + patience.retry_s
        self._throttled_in_a_row = 0
        self._first_s = began_s
        self._then = None if pace is None else pace.snapshot()

    def after(self, error: Exception) -> _T:
        """Tries again after an error; returns what the call returns at last."""
        bound_s = FIRST_WAIT_S
        while True:
            if self._is_to_be_told(error):
                raise error
            wait_s = random.uniform(0, bound_s)  # noqa: S311 - no secret
            bound_s = min(LONGEST_WAIT_S, 2 * bound_s)
            if not self._endures(error) and time.monotonic() + wait_s > self._deadline_s:
                raise error
            self._wait(wait_s, error)
            try:
                result = self._call()
            except Exception as again:
                error = again
                continue
            if self._pace is not None:
                self._pace.note_answer()
            return result

    def _endures(self, error: Exception) -> bool:
        return self._patience.endures and self._pace is not None and store_errors.is_throttled(error)

    def _is_to_be_told(self, error: Exception) -> bool:
        """Whether another attempt is of no use; notes what the store has said."""
        if self._pace is None or not store_errors.is_throttled(error):
            self._throttled_in_a_row = 0
            if not store_errors.is_transient(error):
                if self._pace is not None and not isinstance(error, errors.ApiError):
                    self._pace.note_answer()
                return True
            return False
        self._pace.note_throttled(self._began_s, getattr(error, "retry_after_s", None), self._ask_when)
        if self._throttled_in_a_row == 0:
            self._first_s, self._then = time.monotonic(), self._pace.snapshot()
        self._throttled_in_a_row += 1
        if self._patience.endures:
            self._deadline_s = time.monotonic() + self._patience.retry_s  # it answers: other trouble has its time again
        return self._is_stuck()

    def _is_stuck(self) -> bool:
        """Whether this call alone is throttled, for long, while the bucket answers nearly all others."""
        if self._throttled_in_a_row < STUCK_ATTEMPTS or time.monotonic() - self._first_s < STUCK_S:
            return False
        assert self._pace is not None and self._then is not None
        now = self._pace.snapshot()
        answered = now.answered - self._then.answered
        throttled = now.throttled - self._then.throttled - self._throttled_in_a_row + 1
        return answered >= STUCK_CALLS and answered >= STUCK_ANSWERED * (answered + max(0, throttled))

    def _wait(self, wait_s: float, error: Exception) -> None:
        if self._pace is None:
            self._patience.pause(wait_s)
            return
        is_throttled = int(store_errors.is_throttled(error))
        self._pace.waits(is_throttled)
        try:
            self._patience.pause(wait_s)
        finally:
            self._pace.waits(-is_throttled)
        asked_s = time.monotonic()
        try:
            self._began_s = _begin(self._pace, self._patience, self._deadline_s)
            if self._patience.endures:
                self._deadline_s += time.monotonic() - asked_s  # its turn is no trouble
        except store_errors.StillThrottledError:
            raise error from None


def _begin(pace: Pace, patience: Patience, deadline_s: float) -> float:
    """Waits for the call's turn; raises StillThrottledError when its time is over."""

    def pause(seconds: float) -> None:
        patience.pause(seconds)
        if not patience.endures and time.monotonic() > deadline_s:
            raise store_errors.StillThrottledError(f"{pace.bucket} says that it is called too often")

    return pace.begin(pause)


def stoppably(call: Callable[[], _T], raise_if_stopped: Callable[[], None]) -> _T:
    """Calls in a thread of its own, which is left behind as soon as `raise_if_stopped` raises."""
    answer: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()
    is_left = threading.Event()

    def run() -> None:
        _left_behind.event = is_left
        try:
            answer.put((call(), None))
        except BaseException as error:
            answer.put((None, error))

    threading.Thread(target=run, name="store-call", daemon=True).start()
    while True:
        try:
            result, error = answer.get(timeout=STOP_POLL_S)
        except queue.Empty:
            try:
                raise_if_stopped()
            except BaseException:
                is_left.set()  # or it would wait for a store that throttles, for nobody
                raise
            continue
        if error is not None:
            raise error
        return cast(_T, result)
