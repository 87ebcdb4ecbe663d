"""What a driver knows of each host, and of each job that uses them."""

from __future__ import annotations

import collections
import dataclasses
import queue
import time
import uuid
from collections.abc import Sequence
from typing import Any, TypeAlias

from boxwright.cluster.autoscale import Work
from boxwright.cluster.host_answers import OpenAnswer, ShardAnswer

AHEAD = 2  # shards a host: one at work, one beside it


@dataclasses.dataclass(frozen=True)
class Task:
    """What a host is asked for: a shard, or one image of it alone.

    Attributes:
        shard: its number.
        image_id: of the image that is tried; None for the shard.
    """

    shard: int
    image_id: str | None = None


@dataclasses.dataclass(frozen=True)
class TaskAnswer:
    """A task is done."""

    task: Task
    worked: ShardAnswer | None


@dataclasses.dataclass(frozen=True)
class Lost:
    """A host is gone.

    Attributes:
        tasks: of the job that it had in hand.
        at: the one that it was at; None: it was at another job's, or at none, or was ended on purpose.
        after_s: for how long it was at it.
        is_ours: whether it was at something for the job: a task, or its model.
        reason: in words.
    """

    tasks: Sequence[Task]
    at: Task | None
    after_s: float
    is_ours: bool
    reason: str


@dataclasses.dataclass(frozen=True)
class OpenedSeat:
    """A host has begun with a job, or says why it cannot."""

    seat: Seat
    answer: OpenAnswer


Arrival: TypeAlias = TaskAnswer | Lost | OpenedSeat


@dataclasses.dataclass(eq=False)
class JobDemand:
    """What one job asks of the hosts.

    Attributes:
        group: its project.
        weight: see `fair_slots.HeldCount`.
        gpus: of its hosts.
        key: names it to hosts.
        text: the job as JSON, for hosts of these GPUs.
        waiting: shards that could be handed over.
        left: shards that are known and not done.
        shard_s: seconds that a host takes for one; None before the first is done.
        asked_s: when it has asked for a place last, on the monotonic clock.
        arrivals: what becomes of what it has handed over.
    """

    group: str
    weight: float = 1.0
    gpus: float = 0.0
    key: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)
    text: str = ""
    waiting: int = 0
    left: int = 0
    shard_s: float | None = None
    asked_s: float = 0.0
    arrivals: queue.SimpleQueue[Arrival] = dataclasses.field(default_factory=queue.SimpleQueue)

    @property
    def work(self) -> Work:
        """For the number of hosts."""
        return Work(self.left, self.shard_s)


@dataclasses.dataclass(eq=False)
class HostCall:
    """A call of a host that is under way.

    Attributes:
        demand: the job that it is for.
        task: None: the host begins with the job.
    """

    demand: JobDemand
    task: Task | None


@dataclasses.dataclass(eq=False)
class Seat:
    """One host.

    Attributes:
        handle: Ray's.
        gpus: that it has.
        is_up: whether it has ever answered.
        is_kept: whether it was asked for before there was a job.
        calls: in its hands, in order.
        kept_for: a job that needs it alone, and takes it when it has nothing in hand.
        opened: by job: whether it takes part; None: it has not answered yet.
        began_s: when it began the first call, on the monotonic clock.
        heard_s: when it was heard of last.
        asked_s: when it was asked whether it is alive.
    """

    handle: Any
    gpus: float
    is_up: bool = False
    is_kept: bool = False
    calls: collections.deque[HostCall] = dataclasses.field(default_factory=collections.deque)
    kept_for: JobDemand | None = None
    opened: dict[JobDemand, bool | None] = dataclasses.field(default_factory=dict)
    began_s: float = dataclasses.field(default_factory=time.monotonic)
    heard_s: float = dataclasses.field(default_factory=time.monotonic)
    asked_s: float = 0.0

    @property
    def room(self) -> int:
        """Shards that it could be handed more."""
        return AHEAD - self.task_count

    @property
    def task_count(self) -> int:
        """Shards, and images that are tried, in its hands."""
        return sum(call.task is not None for call in self.calls)

    def tasks_of(self, demand: JobDemand) -> list[Task]:
        """Those of one job, in order."""
        return [one.task for one in self.calls if one.demand is demand and one.task is not None]
