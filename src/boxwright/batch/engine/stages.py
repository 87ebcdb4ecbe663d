"""Where a batch prediction's time goes: seconds per stage and amounts, summed over threads, and the bottleneck in words."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

READING, DECODING, NETWORK, POSTPROCESSING, WRITING, WAITING = (
    "reading images",
    "decoding",
    "network",
    "postprocessing",  # from the network's output to boxes or labels
    "writing results",
    "waiting",  # for images to be read: threads that could have worked
)
STAGES = (READING, DECODING, NETWORK, POSTPROCESSING, WRITING, WAITING)
DECODED, BYTES, PIXELS = AMOUNTS = ("images", "bytes", "pixels")  # of what was decoded


class Stopwatch:
    """A stopwatch of one thread: every lap ends one stage. It counts what was decoded, too.

    Attributes:
        spent_s: seconds by stage.
        amounts: by the names in `AMOUNTS`.
    """

    def __init__(self) -> None:
        self.spent_s = dict.fromkeys(STAGES, 0.0)
        self.amounts = dict.fromkeys(AMOUNTS, 0)
        self._started_s = time.perf_counter()

    def restart(self) -> None:
        """Forgets the time since the last lap: it belongs to no stage."""
        self._started_s = time.perf_counter()

    def end(self, stage: str) -> float:
        """Adds the time since the last lap to a stage; returns it in seconds."""
        now_s = time.perf_counter()
        elapsed_s, self._started_s = now_s - self._started_s, now_s
        self.spent_s[stage] += elapsed_s
        return elapsed_s

    def count(self, size_bytes: int, pixels: int) -> None:
        """Counts an image that was decoded, with the size of its file and the pixels of its displayed form."""
        for name, amount in zip(AMOUNTS, (1, size_bytes, pixels), strict=True):
            self.amounts[name] += amount


class StageTimes:
    """The stopwatches of all threads of one job in this process, and what peer processes have reported of theirs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._laps: list[Stopwatch] = []
        self._peers: dict[int, dict[str, float]] = {}

    def note_peer(self, peer: int, totals: dict[str, float]) -> None:
        """Takes the `totals` of a peer process so far."""
        self._peers[peer] = totals

    @property
    def processes(self) -> int:
        """How many processes have been heard of, this one included."""
        return 1 + len(self._peers)

    def thread(self) -> Stopwatch:
        """Starts the stopwatch of the calling thread."""
        laps = Stopwatch()
        with self._lock:
            self._laps.append(laps)
        return laps

    def totals(self) -> dict[str, float]:
        """Seconds by stage and amounts so far, over all threads of all processes; what is under way does not count yet."""
        with self._lock:
            parts: list[dict[str, float]] = [{**laps.spent_s, **laps.amounts} for laps in self._laps]
        parts += list(self._peers.values())
        return {name: sum(part[name] for part in parts) for name in (*STAGES, *AMOUNTS)}


def bottleneck(now_s: Mapping[str, float], before_s: Mapping[str, float]) -> str:
    """The stage that holds a job up, between two readings of `StageTimes.totals`; empty if nothing has happened.

    Threads that wait for images for more than half of their time are held up by reading; reading itself goes on beside
    the rest and costs nothing as long as nobody waits for it.
    """
    spent_s = {stage: now_s[stage] - before_s.get(stage, 0.0) for stage in STAGES}
    waited_s = spent_s.pop(WAITING)
    del spent_s[READING]
    busy_s = sum(spent_s.values())
    if waited_s + busy_s <= 0:
        return ""
    return READING if waited_s > busy_s else max(spent_s, key=lambda stage: spent_s[stage])
