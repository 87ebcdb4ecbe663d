"""How many hosts the jobs of a driver want, by what waits: decided from numbers alone.

wanted     of so many shards that are not done
GrowthLimit     how fast that may be asked for
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

HORIZON_S = 60.0  # of work that a host should have before another one is worth its start: twice what it does in 30 s
UNKNOWN_SHARD_S = 30.0  # taken for a shard until the first is done
GROW_S = 10.0  # between two doublings


@dataclasses.dataclass(frozen=True)
class Work:
    """What a job has to do.

    Attributes:
        shards: known and not done.
        shard_s: seconds that a host takes for one; None: not known yet.
    """

    shards: int
    shard_s: float | None = None


def wanted(works: Iterable[Work], most_hosts: int) -> int:
    """Hosts for all of them: ⌈shards / (2 × what a host does in 30 s)⌉, taken over all jobs; `most_hosts` at most."""
    work_s = sum(one.shards * (UNKNOWN_SHARD_S if one.shard_s is None else one.shard_s) for one in works if one.shards)
    return min(most_hosts, max(math.ceil(work_s / HORIZON_S), int(any(one.shards for one in works))))


class GrowthLimit:
    """One host at once, then twice as many every ten seconds, so that a job that is soon done starts few machines."""

    def __init__(self) -> None:
        self._level = 0
        self._raised_s = 0.0

    def allowed(self, hosts_wanted: int, hosts: int, now_s: float) -> int:
        """How many hosts there may be now.

        Args:
            hosts_wanted: see `wanted`.
            hosts: that there are, those that wait for room included. One that is lost may be replaced at once.
            now_s: on any clock that only goes forward.
        """
        if not hosts_wanted:
            self._level = 0  # the next job begins with one again, or with those that are kept
            return hosts
        if self._level == 0:
            self._level, self._raised_s = max(1, hosts), now_s
        self._level = max(self._level, hosts)
        if self._level < hosts_wanted and now_s - self._raised_s >= GROW_S:
            self._level, self._raised_s = min(hosts_wanted, 2 * self._level), now_s
        return max(hosts, min(hosts_wanted, self._level))
