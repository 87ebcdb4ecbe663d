"""How tests wait: for a condition, with patience; how they check that something is prompt where the machine may be busy."""

from __future__ import annotations

import contextlib
import pathlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

_T = TypeVar("_T")
PATIENCE_S = 300.0  # nothing is given up before: a limit only ends what hangs, and a busy machine is not a fault
BUSY_FACTOR = 20.0  # what is to be prompt is never allowed more than so many times its limit
PRESSURE = pathlib.Path("/proc/pressure")


def wait_until(
    look: Callable[[], _T | None],
    what: str | Callable[[], str],
    *,
    timeout_s: float = PATIENCE_S,
    interval_s: float = 0.02,
) -> _T:
    """Returns the first true value of `look`: looks, pauses, looks again.

    Fails, naming what was waited for (a callable says it then), after `timeout_s`, or after `PATIENCE_S` if that is later.
    """
    pause = threading.Event()
    timeout_s = max(timeout_s, PATIENCE_S)
    deadline_s = time.monotonic() + timeout_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline_s:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain: {what() if callable(what) else what}")
        pause.wait(interval_s)


@contextlib.contextmanager
def promptly(limit_s: float) -> Iterator[None]:
    """Fails if the block takes longer than `limit_s`, apart from the time for which something waited for a core or the disk.

    Linux counts that time for the whole machine (pressure stall information). Where nobody counts it, and in any case, the
    block may take `BUSY_FACTOR` times as long at most.
    """
    started_s, stalled_s = time.monotonic(), _stalled_s()
    yield
    took_s = time.monotonic() - started_s
    allowed_s = limit_s * BUSY_FACTOR
    if stalled_s is not None:
        allowed_s = min(allowed_s, limit_s + (_stalled_s() or 0.0) - stalled_s)
    assert took_s < allowed_s, (
        f"{took_s:.1f} s is not prompt: {limit_s} s are, and {allowed_s:.1f} s on a machine this busy"
    )


def _stalled_s() -> float | None:
    """For how long something has waited for a core or the disk since the machine started; None where nobody knows."""
    try:
        texts = [(PRESSURE / name).read_text() for name in ("cpu", "io")]
    except OSError:
        return None
    return sum(
        int(found[1]) / 1e6 for text in texts if (found := re.search(r"^some .*total=(\d+)", text, re.MULTILINE))
    )
