"""The one place where a test waits for something that sends no signal: look, pause, look again, until a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def wait_until(look: Callable[[], _T], what: str, *, timeout_s: float = 60.0, interval_s: float = 0.02) -> _T:
    """Returns the first true value of `look`; fails, naming what was waited for, once time is up."""
    pause = threading.Event()
    deadline_s = time.monotonic() + timeout_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline_s:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain: {what}")
        pause.wait(interval_s)
