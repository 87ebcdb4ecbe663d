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
from boxwright.cluster.fair_slots import Holding
from boxwright.cluster.host import CONTROL, Host
from boxwright.cluster.host_answers import OpenAnswer, ShardAnswer
from boxwright.cluster.seats import Errand, JobClaim, Lost, Opened, Seat, Task, TaskAnswer

IDLE_S = 60.0  # then the room is for others, and machines that are empty may go
TICK_S = 0.5
STALE_S = 1.0  # a job that has not asked for so long holds up no other one
NEW_SHARE = 0.3  # of the last shard's time in what a shard is taken to last

log = logging.getLogger(__name__)

_Heard: TypeAlias = tuple[Seat, Errand | None, "futures.Future[Any]"]


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
        self._claims: list[JobClaim] = []
        self._growth: dict[float, autoscale.Growth] = {}
        self._heard: queue.SimpleQueue[_Heard | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    # ---- jobs ---------------------------------------------------------------------------------------------------

    def enter(self, claim: JobClaim) -> None:
        """A job begins to ask."""
        with self._lock:
            self._claims.append(claim)

    def leave(self, claim: JobClaim) -> None:
        """A job asks no more. Hosts that are still at it are ended. Again, it changes nothing."""
        with self._lock:
            if claim not in self._claims:
                return
            self._claims.remove(claim)
            for seat in list(self._seats):
                if seat.tasks_of(claim):
                    self._lose(seat, "it was at a job that has ended", on_purpose=True)
                elif claim in seat.opened:
                    del seat.opened[claim]
                    with contextlib.suppress(RayError):
                        seat.handle.forget.remote(claim.key)
            self._withdraw()

    def ask(self, claim: JobClaim, waiting: int, left: int) -> None:
        """A job says how many shards it could hand over now, and how many are not done; hosts are asked for."""
        with self._lock:
            claim.waiting, claim.left, claim.asked_s = waiting, left, time.monotonic()
            self._grow(claim.gpus)

    def start(self, count: int, gpus: float = 0.0) -> None:
        """Asks for so many hosts at once, before there is a job; they are kept as those are that have had one."""
        with self._lock:
            for _ in range(count):
                self._add(gpus)
                self._seats[-1].is_kept = True

    def room(self, claim: JobClaim) -> int:
        """How many shards more a job could hand over if it were alone."""
        with self._lock:
            return sum(max(0, seat.room) for seat in self._seats if seat.opened.get(claim))

    def free(self, claim: JobClaim) -> Seat | None:
        """A host for a task of this job: the one with the fewest; None if there is none, or another job comes first."""
        with self._lock:
            if claim not in self._claims:
                return None
            claim.asked_s = time.monotonic()
            seats = [seat for seat in self._seats if seat.gpus == claim.gpus]
            self._open(claim, seats)
            ready = [seat for seat in seats if seat.opened.get(claim) and seat.room > 0]
            if not ready or not self._may_take(claim, ready):
                return None
            return min(ready, key=lambda seat: seat.task_count)

    def hand(self, claim: JobClaim, seat: Seat, task: Task, call: Callable[[Any], Any]) -> None:
        """Hands a task to a host; `call` makes the call of its handle."""
        with self._lock:
            if claim not in self._claims or seat not in self._seats:  # meanwhile
                claim.arrivals.put(Lost([task], None, 0.0, False, "it was let go"))
                return
            claim.waiting = max(0, claim.waiting - 1)
            self._send(seat, Errand(claim, task), call)

    def judge(self, claim: JobClaim, seat: Seat, *, is_accepted: bool) -> None:
        """A job takes a host that has begun with it, or refuses it. One that nobody else could use is ended."""
        with self._lock:
            if seat not in self._seats or seat.gpus != claim.gpus:
                return
            seat.opened[claim] = is_accepted
            if not is_accepted and not seat.errands and self._claims == [claim]:
                self._lose(seat, "it was refused", on_purpose=True)

    def at_work_for(self, claim: JobClaim) -> list[Seat]:
        """The hosts whose first errand is this job's."""
        with self._lock:
            return [seat for seat in self._seats if seat.errands and seat.errands[0].claim is claim]

    def busy_with(self, claim: JobClaim) -> list[Seat]:
        """The hosts that have a task of this job in hand."""
        with self._lock:
            return [seat for seat in self._seats if seat.tasks_of(claim)]

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
        claims = [claim for claim in self._claims if claim.gpus == gpus]
        others = sum(seat.gpus != gpus for seat in self._seats)
        hosts = len(self._seats) - others
        most = max(0, self.share.most_hosts - others)
        wanted = autoscale.wanted([claim.demand for claim in claims if claim.left], most)
        if any(claim.waiting and self._is_refused_by_all(claim) for claim in claims):
            wanted = min(most, max(wanted, hosts + 1))
        growth = self._growth.setdefault(gpus, autoscale.Growth())
        for _ in range(growth.allowed(wanted, hosts, time.monotonic()) - hosts):
            self._add(gpus)

    def _is_refused_by_all(self, claim: JobClaim) -> bool:
        kind = [seat for seat in self._seats if seat.gpus == claim.gpus]
        return bool(kind) and all(seat.opened.get(claim, True) is False for seat in kind)

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

    def _open(self, claim: JobClaim, seats: list[Seat]) -> None:
        """Lets hosts begin with a job, as many as it has shards for; those with the least work first."""
        taking_part = sum(seat.opened.get(claim, False) is not False for seat in seats)
        new = sorted((seat for seat in seats if claim not in seat.opened), key=lambda seat: seat.task_count)
        for seat in new[: max(0, claim.waiting - taking_part)]:
            seat.opened[claim] = None
            self._send(seat, Errand(claim, None), lambda handle: handle.open.remote(claim.key, claim.text))

    def _may_take(self, claim: JobClaim, ready: list[Seat]) -> bool:
        """Whether no job that could use one of these places has less; one that has not asked lately waits for nothing."""
        now_s = time.monotonic()
        held = [Holding(one.group, self._in_hand(one), one.weight) for one in self._claims]
        waiting = [
            index
            for index, one in enumerate(self._claims)
            if one is not claim and one.waiting and now_s - one.asked_s < STALE_S
            and any(seat.opened.get(one) for seat in ready)
        ]  # fmt: skip
        return fair_slots.has_precedence(self._claims.index(claim), waiting, held)

    def _send(self, seat: Seat, errand: Errand | None, call: Callable[[Any], Any]) -> None:
        if errand is not None:
            if not seat.errands:
                seat.began_s = seat.heard_s = time.monotonic()
            seat.errands.append(errand)
        call(seat.handle).future().add_done_callback(lambda done: self._heard.put((seat, errand, done)))

    def _withdraw(self) -> None:
        """Lets hosts go that wait for room, or have had no work for a while, if nobody has any for them."""
        now_s = time.monotonic()
        wanted = {claim.gpus for claim in self._claims if claim.left > self._in_hand(claim)}
        for seat in list(self._seats):
            if seat.gpus in wanted or seat.task_count:
                continue
            if now_s - seat.began_s > (self._idle_s if seat.is_up or seat.is_kept else 0.0):
                log.info("event=host_released is_up=%s", seat.is_up)
                self._lose(seat, "there is nothing to do", on_purpose=True)

    def _in_hand(self, claim: JobClaim) -> int:
        return sum(len(seat.tasks_of(claim)) for seat in self._seats)

    def _lose(self, seat: Seat, reason: str, *, on_purpose: bool = False) -> None:
        """Takes a host out, and gives each job back what it had of it."""
        self._seats.remove(seat)
        self.end(seat)
        first = seat.errands[0] if seat.errands and not on_purpose else None
        after_s = time.monotonic() - seat.began_s
        for claim in {errand.claim: None for errand in seat.errands}:
            is_ours = first is not None and first.claim is claim
            at = first.task if first is not None and is_ours else None
            claim.arrivals.put(Lost(seat.tasks_of(claim), at, after_s, is_ours, reason))
        if not on_purpose:
            log.warning("event=host_lost errands=%d reason=%s", len(seat.errands), reason)

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

    def _note(self, seat: Seat, errand: Errand | None, done: futures.Future[Any]) -> None:
        try:
            result = done.result()
        except Exception as error:  # Ray's, or what nobody expected of a host
            self._lose(seat, next(iter(str(error).splitlines()), type(error).__name__))
            return
        seat.is_up, seat.heard_s = True, time.monotonic()
        if errand is None:
            return
        seat.errands.remove(errand)
        seat.began_s = time.monotonic()
        if errand.task is None:
            assert isinstance(result, OpenAnswer)
            errand.claim.arrivals.put(Opened(seat, result))
            return
        if isinstance(result, ShardAnswer) and result.report is not None:
            before = errand.claim.shard_s
            errand.claim.shard_s = (
                result.busy_s if before is None else (1 - NEW_SHARE) * before + NEW_SHARE * result.busy_s
            )
        errand.claim.arrivals.put(TaskAnswer(errand.task, result if isinstance(result, ShardAnswer) else None))
