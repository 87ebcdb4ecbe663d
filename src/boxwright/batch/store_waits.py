"""Says which buckets hold a process up because they are called too often: as long as calls wait, once a second."""

from __future__ import annotations

import threading
from collections.abc import Callable

from boxwright.objects import throttling

EVERY_S = 1.0
Say = Callable[..., None]


def tell(say: Say) -> None:
    """Tells the parent, from now on until the process ends.

    Args:
        say: writes an event: ``throttled`` with ``bucket`` and ``waiting``, how many calls of this process wait.
    """
    threading.Thread(target=_watch, args=[say], name="store-waits", daemon=True).start()


def _watch(say: Say) -> None:
    never = threading.Event()
    while not never.wait(EVERY_S):
        waiting = [found for found in throttling.snapshot() if found.waiting]
        if waiting:
            longest = max(waiting, key=lambda found: found.waiting)
            say("throttled", bucket=longest.bucket, waiting=longest.waiting)
