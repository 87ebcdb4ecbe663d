"""Which job the next free place at a host is for: max-min by projects, and in a project by jobs and their weights.

A project with ten jobs gets no more than one with one job, as long as both have something to do.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class HeldCount:
    """What a job has in hosts' hands.

    Attributes:
        group: its project.
        shards: that hosts have of it.
        weight: above 0; one of weight 2 gets twice as many places as one of weight 1 in the same project.
    """

    group: str
    shards: int
    weight: float = 1.0


def has_precedence(job: int, waiting: Sequence[int], holdings: Sequence[HeldCount]) -> bool:
    """Whether a job may take the next place: no other job that waits for one has less for its weight.

    Args:
        job: index in `holdings`.
        waiting: indices of the jobs that wait for a place.
        holdings: of all jobs.
    """
    of_group: collections.Counter[str] = collections.Counter()
    for one in holdings:
        of_group[one.group] += one.shards
    mine = holdings[job]
    for index in waiting:
        other = holdings[index]
        if other.group != mine.group:
            has_less = of_group[other.group] < of_group[mine.group]
        else:
            has_less = other.shards / other.weight < mine.shards / mine.weight
        if has_less:
            return False
    return True
