"""The hosts of one job: asked for as they are needed, handed work, replaced when they are gone, let go.

Ray starts a host where there is room, and asks for more machines while hosts wait for room. Who is lost is told by a call
that fails; what it had in hand comes back.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import logging
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import Any, TypeAlias

from ray.exceptions import RayError

from boxwright import errors
from boxwright.batch.job import BatchJob
from boxwright.batch.job_progress import HostTotals
from boxwright.cluster.host_answers import OpenAnswer, ShardAnswer
from boxwright.cluster.host_pool import HostPool

AHEAD = 2  # shards a host: one at work, one beside it
GROW_S = 2.0  # between two doublings
BEAT_S = 5.0
SILENCE_S = 20.0  # beyond an image's own time
STOP_S = 3.0
MOST_REFUSED = 8  # hosts, while there is none that is not
MOST_LOSSES = 8  # of hosts in a row, without a shard done between

log = logging.getLogger(__name__)


class HostsLostError(Exception):
    """Hosts are lost one after the other, and nothing gets done."""


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
        tasks: that it had in hand; it was at the first one.
        after_s: for how long it was at it.
    """

    tasks: Sequence[Task]
    after_s: float


Arrival: TypeAlias = TaskAnswer | Lost | OpenAnswer


@dataclasses.dataclass(eq=False)
class Seat:
    """One host.

    Attributes:
        handle: Ray's.
        is_ready: whether it has its model.
        tasks: in its hands, in order.
        began_s: when it began the first one, on the monotonic clock.
        heard_s: when it was heard of last.
    """

    handle: Any
    is_ready: bool = False
    tasks: collections.deque[Task] = dataclasses.field(default_factory=collections.deque)
    began_s: float = 0.0
    heard_s: float = dataclasses.field(default_factory=time.monotonic)
    asked_s: float = 0.0


class Fleet:
    """See the module. For one thread.

    Args:
        job: that hosts work for.
        pool: where hosts come from, and go to.
        accepts: judges a host that is ready; returns why it may not take part, or nothing.
    """

    def __init__(self, job: BatchJob, pool: HostPool, accepts: Callable[[OpenAnswer], str]) -> None:
        cores = dataclasses.replace(job.share, cores=pool.share.cores, processes=0)
        self._job = dataclasses.replace(job, share=cores).to_json()
        self._pool = pool
        self._accepts = accepts
        self._timeout_s = job.spec.image_timeout_s
        self._seats: list[Seat] = []
        self._arrived: queue.SimpleQueue[tuple[Seat, Task | None, futures.Future[Any]]] = queue.SimpleQueue()
        self._grown_s = 0.0
        self._losses = 0
        self.hosts_lost = 0
        self.hosts_refused = 0

    @property
    def size(self) -> int:
        """How many hosts there are, those that wait for room included."""
        return len(self._seats)

    @property
    def totals(self) -> HostTotals:
        """The hosts of this job, and those that it has lost or refused; may be asked by any thread."""
        seats = list(self._seats)
        return HostTotals(sum(seat.is_ready for seat in seats), len(seats), self.hosts_lost, self.hosts_refused)

    @property
    def room(self) -> int:
        """How many shards more could be handed over now."""
        return sum(AHEAD - len(seat.tasks) for seat in self._seats if seat.is_ready)

    def want(self, shards: int) -> None:
        """Asks for more hosts if so many shards wait: those that are kept, or one, then twice as many every two seconds."""
        now_s = time.monotonic()
        if not shards or (self._seats and now_s - self._grown_s < GROW_S):
            return
        wanted = min(self._pool.share.most_hosts, max(1, self._pool.idle, 2 * self.size), self.size + shards)
        for _ in range(wanted - self.size):
            self._add()
            self._grown_s = now_s

    def free(self) -> Seat | None:
        """A host that can take a task more: the one with the fewest; None if there is none."""
        ready = [seat for seat in self._seats if seat.is_ready and len(seat.tasks) < AHEAD]
        return min(ready, key=lambda seat: len(seat.tasks), default=None)

    def hand(
        self, seat: Seat, task: Task, items: list[tuple[str, str | None]], convicted: Mapping[str, tuple[int, str]]
    ) -> None:
        """Hands a task over."""
        if task.image_id is not None:
            reference = seat.handle.try_image.remote(task.image_id)
        else:
            reference = seat.handle.predict.remote(task.shard, items, dict(convicted))
        if not seat.tasks:
            seat.began_s = seat.heard_s = time.monotonic()
        seat.tasks.append(task)
        self._watch(seat, task, reference)

    def next(self, timeout_s: float) -> Arrival | None:
        """What happens next; None if nothing does in time.

        Raises:
            HostsLostError: hosts are lost one after the other.
            ApiError: FAILED_PRECONDITION: all hosts are refused.
        """
        self._watch_beats()
        try:
            seat, task, done = self._arrived.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if seat not in self._seats:
            return None  # it was lost, or let go
        seat.heard_s = time.monotonic()
        try:
            result = done.result()
        except RayError as error:
            return self._lose(seat, error)
        if isinstance(result, OpenAnswer):
            return self._judge(seat, result)
        if task is None:
            return None
        seat.tasks.popleft()
        seat.began_s = time.monotonic()
        self._losses = 0
        return TaskAnswer(task, result if isinstance(result, ShardAnswer) else None)

    def release_idle(self) -> None:
        """Lets hosts go that have nothing to do, and those that wait for room: there is no more work."""
        for seat in [seat for seat in self._seats if not seat.tasks]:
            self._let_go(seat)

    def close(self) -> None:
        """Lets the shards under way end early, for as long as `STOP_S`, and ends all hosts."""
        busy = [seat for seat in self._seats if seat.tasks]
        for seat in busy:
            with contextlib.suppress(RayError):
                seat.handle.stop.remote()
        deadline_s = time.monotonic() + STOP_S
        while any(seat.tasks for seat in self._seats) and (left_s := deadline_s - time.monotonic()) > 0:
            with contextlib.suppress(HostsLostError):
                self.next(left_s)
        for seat in list(self._seats):
            self._let_go(seat)

    # ---- inside -------------------------------------------------------------------------------------------------

    def _add(self) -> None:
        seat = Seat(self._pool.take())
        self._seats.append(seat)
        self._watch(seat, None, seat.handle.open.remote(self._job))

    def _let_go(self, seat: Seat) -> None:
        """Gives a host back; ends it if it is at something, or has not answered yet."""
        self._seats.remove(seat)
        if seat.tasks or not seat.is_ready:
            self._pool.end(seat.handle)
        else:
            self._pool.give(seat.handle)

    def _watch(self, seat: Seat, task: Task | None, reference: Any) -> None:
        reference.future().add_done_callback(lambda done: self._arrived.put((seat, task, done)))

    def _judge(self, seat: Seat, opened: OpenAnswer) -> Arrival:
        refusal = "" if opened.error else self._accepts(opened)
        if refusal:
            log.warning("event=host_refused node=%s reason=%s", opened.node, refusal)
            self.hosts_refused += 1
            self._seats.remove(seat)
            self._pool.end(seat.handle)
            if not any(one.is_ready for one in self._seats) and self.hosts_refused >= MOST_REFUSED:
                raise errors.failed_precondition(
                    f"No host of the cluster computes as the first one of this job did: {refusal}. Add nodes of its kind, "
                    "or start a new job."
                )
        seat.is_ready = not opened.error and not refusal
        return opened

    def _lose(self, seat: Seat, error: Exception) -> Lost:
        self._seats.remove(seat)
        self.hosts_lost += 1
        self._losses += 1
        log.warning("event=host_lost tasks=%d reason=%s", len(seat.tasks), str(error).splitlines()[0])
        self._pool.end(seat.handle)
        if self._losses > MOST_LOSSES:
            raise HostsLostError(f"{self._losses} hosts were lost in a row; the last one: {error}")
        return Lost(list(seat.tasks), time.monotonic() - seat.began_s)

    def _watch_beats(self) -> None:
        """Asks hosts at work whether they are alive, and ends those that have not answered for too long."""
        now_s = time.monotonic()
        for seat in self._seats:
            if not seat.tasks:
                continue
            if now_s - seat.heard_s > self._timeout_s + SILENCE_S:
                log.error("event=host_silent tasks=%d", len(seat.tasks))
                seat.heard_s = now_s
                self._pool.end(seat.handle)  # its calls fail, which says that it is lost
            elif now_s - max(seat.heard_s, seat.asked_s) > BEAT_S:
                seat.asked_s = now_s
                self._watch(seat, None, seat.handle.beat.remote())
