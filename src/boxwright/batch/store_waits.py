"""Says which buckets hold a process up because they are called too often: as long as calls wait, once a second."""

from __future__ import annotations

import threading
from collections.abc import Callable

from boxwright.objects import throttling

EVERY_S = 1.0
Say = Callable[..., None]


def tell(
    say: Say, count: Callable[[], int] = throttling.count, ended: threading.Event | None = None
) -> threading.Thread:
    """Tells the parent from now on; returns the thread that does.

    Args:
        say: writes an event: ``throttled`` with ``bucket``, ``waiting`` (how many calls of this process wait for it, 0 if
            none does any more) and ``throttled``, how many calls were answered so since the last such event.
        count: how many were since the process began.
        ended: set when nothing is to be told any more; None: as long as the process lives.
    """
    thread = threading.Thread(target=_watch, args=[say, count, ended or threading.Event()], daemon=True)
    thread.start()
    return thread


def _watch(say: Say, count: Callable[[], int], ended: threading.Event) -> None:
    told = 0
    while not ended.wait(EVERY_S):
        throttled = count()
        held_up = max(throttling.snapshot(), key=lambda found: found.waiting, default=None)
        waiting = 0 if held_up is None else held_up.waiting
        if waiting or throttled != told:
            bucket = "" if held_up is None else held_up.bucket
            say("throttled", bucket=bucket, waiting=waiting, throttled=max(0, throttled - told))
            told = throttled
