"""The hosts of a driver, shared by all of its jobs: asked for as they are needed, given shard by shard, let go when idle.

Ray starts a host where there is room, and asks for more machines while hosts wait for room. Who is lost is told by a call
that fails; what it had in hand goes back to the jobs that it is of.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from typing import Any, TypeAlias

import ray
from ray.exceptions import RayError

from boxwright.cluster import autoscale, fair_slots
from boxwright.cluster.cluster_share import ClusterShare
from boxwright.cluster.fair_slots import HeldCount
from boxwright.cluster.host import CONTROL, Host
from boxwright.cluster.host_answers import OpenAnswer, ShardAnswer
from boxwright.cluster.seats import HostCall, JobDemand, Lost, OpenedSeat, Seat, Task, TaskAnswer

IDLE_S = 60.0  # then the room is for others, and machines that are empty may go
TICK_S = 0.5
STALE_S = 1.0  # a job that has not asked for so long holds up no other one
NEW_SHARE = 0.3  # of the last shard's time in what a shard is taken to last

log = logging.getLogger(__name__)

_Heard: TypeAlias = tuple[Seat, HostCall | None, "futures.Future[Any]"]


class HostPool:
    """See the module. Safe to use from several threads.

    Args:
        share: what each host has, and how many there may be.
        environment: variables that are added to those of their nodes.
        idle_s: how long a host without work is kept.
    """

    def __init__(self, share: ClusterShare, environment: Mapping[str, str], idle_s: float = IDLE_S) -> None:
        self.share = share
        self._environment = dict(environment)
        self._idle_s = idle_s
        self._actor = ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={CONTROL: 2})(Host)
        self._lock = threading.RLock()
        self._seats: list[Seat] = []
        self._demands: list[JobDemand] = []
        self._growth: dict[float, autoscale.GrowthLimit] = {}
        self._heard: queue.SimpleQueue[_Heard | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    # ---- jobs ---------------------------------------------------------------------------------------------------

    def enter(self, demand: JobDemand) -> None:
        """A job begins to ask."""
        with self._lock:
            self._demands.append(demand)

    def leave(self, demand: JobDemand) -> None:
        """A job asks no more. Hosts that are still at it are ended. Again, it changes nothing."""
        with self._lock:
            if demand not in self._demands:
                return
            self._demands.remove(demand)
            for seat in list(self._seats):
                if seat.kept_for is demand:
                    seat.kept_for = None
                if seat.tasks_of(demand):
                    self._lose(seat, "it was at a job that has ended", on_purpose=True)
                elif demand in seat.opened:
                    del seat.opened[demand]
                    with contextlib.suppress(RayError):
                        seat.handle.forget.remote(demand.key)
            self._withdraw()

    def ask(self, demand: JobDemand, waiting: int, left: int) -> None:
        """A job says how many shards it could hand over now, and how many are not done; hosts are asked for."""
        with self._lock:
            demand.waiting, demand.left, demand.asked_s = waiting, left, time.monotonic()
            self._grow(demand.gpus)

    def start(self, count: int, gpus: float = 0.0) -> None:
        """Asks for so many hosts at once, before there is a job; they are kept as those are that have had one."""
        with self._lock:
            for _ in range(count):
                self._add(gpus)
                self._seats[-1].is_kept = True

    def room(self, demand: JobDemand) -> int:
        """How many shards more a job could hand over if it were alone."""
        with self._lock:
            return sum(max(0, seat.room) for seat in self._seats if seat.opened.get(demand))

    def free(self, demand: JobDemand, *, alone: bool = False) -> Seat | None:
        """A host for a task of this job: the one with the fewest; None if there is none, or another job comes first.

        Args:
            demand: of the job.
            alone: only a host that has nothing else in hand; one is kept free until it has not.
        """
        with self._lock:
            if demand not in self._demands:
                return None
            demand.asked_s = time.monotonic()
            seats = [seat for seat in self._seats if seat.gpus == demand.gpus]
            self._open(demand, seats)
            usable = (None, demand) if alone else (None,)
            ready = [seat for seat in seats if seat.opened.get(demand) and seat.room > 0 and seat.kept_for in usable]
            if not ready or not self._may_take(demand, ready):
                return None
            found = min(ready, key=lambda seat: (seat.kept_for is not demand, seat.task_count))
            if not alone:
                return found
            found.kept_for = demand if found.task_count else None  # nobody else adds to it
            return None if found.task_count else found

    def hand(self, demand: JobDemand, seat: Seat, task: Task, make: Callable[[Any], Any]) -> None:
        """Hands a task to a host; `make` makes the call of its handle."""
        with self._lock:
            if demand not in self._demands or seat not in self._seats:  # meanwhile
                demand.arrivals.put(Lost([task], None, 0.0, False, "it was let go"))
                return
            demand.waiting = max(0, demand.waiting - 1)
            self._send(seat, HostCall(demand, task), make)

    def judge(self, demand: JobDemand, seat: Seat, *, is_accepted: bool) -> None:
        """A job takes a host that has begun with it, or refuses it. One that nobody else could use is ended."""
        with self._lock:
            if seat not in self._seats or seat.gpus != demand.gpus:
                return
            seat.opened[demand] = is_accepted
            if not is_accepted and not seat.calls and self._demands == [demand]:
                self._lose(seat, "it was refused", on_purpose=True)

    def at_work_for(self, demand: JobDemand) -> list[Seat]:
        """The hosts whose first call is this job's."""
        with self._lock:
            return [seat for seat in self._seats if seat.calls and seat.calls[0].demand is demand]

    def busy_with(self, demand: JobDemand) -> list[Seat]:
        """The hosts that have a task of this job in hand."""
        with self._lock:
            return [seat for seat in self._seats if seat.tasks_of(demand)]

    def beat(self, seat: Seat) -> None:
        """Asks a host whether it is alive; its answer renews `Seat.heard_s`."""
        with self._lock:
            seat.asked_s = time.monotonic()
            self._send(seat, None, lambda handle: handle.beat.remote())

    # ---- hosts --------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many hosts there are, those that wait for room included."""
        with self._lock:
            return len(self._seats)

    @property
    def up(self) -> int:
        """How many have answered."""
        with self._lock:
            return sum(seat.is_up for seat in self._seats)

    def is_up(self, gpus: float) -> bool:
        """Whether there is a host with so many GPUs that has answered."""
        with self._lock:
            return any(seat.is_up for seat in self._seats if seat.gpus == gpus)

    def end(self, seat: Seat) -> None:
        """Ends a host, whatever it is at; its calls fail, which says that it is lost."""
        with contextlib.suppress(RayError):
            ray.kill(seat.handle)

    def close(self) -> None:
        """Ends all hosts."""
        with self._lock:
            seats, self._seats = self._seats, []
            thread, self._thread = self._thread, None
        for seat in seats:
            self.end(seat)
        if thread is not None:
            self._heard.put(None)
            thread.join()

    # ---- inside: everything below holds the lock ----------------------------------------------------------------

    def _grow(self, gpus: float) -> None:
        """Asks for hosts of a kind, as many as its jobs want and may have by now."""
        demands = [demand for demand in self._demands if demand.gpus == gpus]
        others = sum(seat.gpus != gpus for seat in self._seats)
        hosts = len(self._seats) - others
        most = max(0, self.share.most_hosts - others)
        wanted = autoscale.wanted([demand.work for demand in demands if demand.left], most)
        if any(demand.waiting and self._is_refused_by_all(demand) for demand in demands):
            wanted = min(most, max(wanted, hosts + 1))
        growth = self._growth.setdefault(gpus, autoscale.GrowthLimit())
        for _ in range(growth.allowed(wanted, hosts, time.monotonic()) - hosts):
            self._add(gpus)

    def _is_refused_by_all(self, demand: JobDemand) -> bool:
        kind = [seat for seat in self._seats if seat.gpus == demand.gpus]
        return bool(kind) and all(seat.opened.get(demand, True) is False for seat in kind)

    def _add(self, gpus: float) -> None:
        options = self._actor.options(num_cpus=self.share.cores, num_gpus=gpus)
        handle = options.remote(self.share.cache_dir, self.share.cache_bytes, self._environment)
        self._seats.append(Seat(handle, gpus))
        self._begin()
        self.beat(self._seats[-1])  # says when it is up

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="hosts", daemon=True)
            self._thread.start()

    def _open(self, demand: JobDemand, seats: list[Seat]) -> None:
        """Lets hosts begin with a job, as many as it has shards for; those with the least work first."""
        taking_part = sum(seat.is_up and seat.opened.get(demand, False) is not False for seat in seats)
        new = [seat for seat in seats if demand not in seat.opened]
        new.sort(key=lambda seat: (not seat.is_up, seat.task_count))  # one that waits for room may never come
        for seat in new[: max(0, demand.waiting - taking_part)]:
            seat.opened[demand] = None
            self._send(seat, HostCall(demand, None), lambda handle: handle.open.remote(demand.key, demand.text))

    def _may_take(self, demand: JobDemand, ready: list[Seat]) -> bool:
        """Whether no job that could use one of these places has less; one that has not asked lately waits for nothing."""
        now_s = time.monotonic()
        held = [HeldCount(one.group, self._in_hand(one), one.weight) for one in self._demands]
        waiting = [
            index
            for index, one in enumerate(self._demands)
            if one is not demand and one.waiting and now_s - one.asked_s < STALE_S
            and any(seat.opened.get(one) for seat in ready)
        ]  # fmt: skip
        return fair_slots.has_precedence(self._demands.index(demand), waiting, held)

    def _send(self, seat: Seat, call: HostCall | None, make: Callable[[Any], Any]) -> None:
        if call is not None:
            if not seat.calls:
                seat.began_s = seat.heard_s = time.monotonic()
            seat.calls.append(call)
        make(seat.handle).future().add_done_callback(lambda done: self._heard.put((seat, call, done)))

    def _withdraw(self) -> None:
        """Lets hosts go that wait for room, or have had no work for a while, if nobody has any for them."""
        now_s = time.monotonic()
        wanted = {demand.gpus for demand in self._demands if demand.left > self._in_hand(demand)}
        for seat in list(self._seats):
            if seat.gpus in wanted or seat.task_count:
                continue
            if now_s - seat.began_s > (self._idle_s if seat.is_up or seat.is_kept else 0.0):
                log.info("event=host_released is_up=%s", seat.is_up)
                self._lose(seat, "there is nothing to do", on_purpose=True)

    def _in_hand(self, demand: JobDemand) -> int:
        return sum(len(seat.tasks_of(demand)) for seat in self._seats)

    def _lose(self, seat: Seat, reason: str, *, on_purpose: bool = False) -> None:
        """Takes a host out, and gives each job back what it had of it."""
        self._seats.remove(seat)
        self.end(seat)
        first = seat.calls[0] if seat.calls and not on_purpose else None
        after_s = time.monotonic() - seat.began_s
        for demand in {call.demand: None for call in seat.calls}:
            is_ours = first is not None and first.demand is demand
            at = first.task if first is not None and is_ours else None
            demand.arrivals.put(Lost(seat.tasks_of(demand), at, after_s, is_ours, reason))
        if not on_purpose:
            log.warning("event=host_lost calls=%d reason=%s", len(seat.calls), reason)

    def _follow(self) -> None:
        """Takes what hosts answer, in a thread."""
        for heard in self._ticks():
            with self._lock:
                if heard is not None and heard[0] in self._seats:
                    self._note(*heard)
                self._withdraw()

    def _ticks(self) -> Iterator[_Heard | None]:
        """Yields what is heard, and None now and then, until the pool is closed."""
        while True:
            try:
                heard = self._heard.get(timeout=TICK_S)
            except queue.Empty:
                yield None
                continue
            if heard is None:
                return
            yield heard

    def _note(self, seat: Seat, call: HostCall | None, done: futures.Future[Any]) -> None:
        try:
            result = done.result()
        except Exception as error:  # Ray's, or what nobody expected of a host
            self._lose(seat, next(iter(str(error).splitlines()), type(error).__name__))
            return
        seat.is_up, seat.heard_s = True, time.monotonic()
        if call is None:
            return
        seat.calls.remove(call)
        seat.began_s = time.monotonic()
        if call.task is None:
            assert isinstance(result, OpenAnswer)
            call.demand.arrivals.put(OpenedSeat(seat, result))
            return
        if isinstance(result, ShardAnswer) and result.report is not None:
            before = call.demand.shard_s
            call.demand.shard_s = (
                result.busy_s if before is None else (1 - NEW_SHARE) * before + NEW_SHARE * result.busy_s
            )
        call.demand.arrivals.put(TaskAnswer(call.task, result if isinstance(result, ShardAnswer) else None))
