"""The hosts as one job sees them: places for its shards, answers, losses, and what it does about hosts that hang."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import queue
import time
from collections.abc import Callable, Mapping, Sequence

from ray.exceptions import RayError

from boxwright import errors
from boxwright.batch.job import BatchJob
from boxwright.batch.segments import Item
from boxwright.cluster.host_answers import OpenAnswer
from boxwright.cluster.host_pool import HostPool
from boxwright.cluster.seats import Arrival, JobDemand, Lost, OpenedSeat, Seat, Task, TaskAnswer

BEAT_S = 5.0
SILENCE_S = 20.0  # beyond an image's own time
STOP_S = 2.0  # less than an operation has for its stop
MOST_REFUSED = 8  # hosts, while there is none that is not
MOST_LOSSES = 8  # of hosts in a row, without a shard done between

log = logging.getLogger(__name__)


class HostsLostError(Exception):
    """Hosts are lost one after the other, and nothing gets done."""


class Fleet:
    """See the module. For one thread.

    Args:
        job: that hosts work for.
        pool: all hosts, which other jobs use too.
        accepts: judges a host that is ready; returns why it may not take part, or nothing.
        group: whose job it is; see `fair_slots.HeldCount`.
        gpus: of its hosts.
    """

    def __init__(
        self,
        job: BatchJob,
        pool: HostPool,
        accepts: Callable[[OpenAnswer], str],
        group: str = "",
        gpus: float = 0.0,
    ) -> None:
        self._job = job
        self._pool = pool
        self._accepts = accepts
        self._timeout_s = job.spec.image_timeout_s
        self._demand = JobDemand(group, job.share.priority_weight, gpus=gpus, text=self._as_json(gpus))
        self._losses = 0
        self._accepted = 0
        self.hosts_lost = 0
        self.hosts_refused = 0
        self._refused_before = 0  # by hosts of another kind
        pool.enter(self._demand)

    @property
    def room(self) -> int:
        """How many shards more could be handed over now, if no other job had a turn."""
        return self._pool.room(self._demand)

    @property
    def gpus(self) -> float:
        """Of its hosts."""
        return self._demand.gpus

    def use_gpus(self, gpus: float) -> None:
        """From now on works on hosts with so many GPUs; what is under way elsewhere is ended and comes back."""
        self._pool.leave(self._demand)
        self._demand = dataclasses.replace(self._demand, gpus=gpus, text=self._as_json(gpus))
        self._pool.enter(self._demand)
        self._refused_before = self.hosts_refused

    def want(self, waiting: int, left: int) -> None:
        """Says how many shards could be handed over now, and how many are known and not done."""
        self._pool.ask(self._demand, waiting, left)

    def free(self, *, alone: bool = False) -> Seat | None:
        """See `HostPool.free`."""
        return self._pool.free(self._demand, alone=alone)

    def hand(self, seat: Seat, task: Task, items: Sequence[Item], convicted: Mapping[str, tuple[int, str]]) -> None:
        """Hands a task over: a shard's images, or the one that is tried."""
        key, handed = self._demand.key, [(item.id, item.failure, item.held) for item in items]
        if task.image_id is not None:
            self._pool.hand(self._demand, seat, task, lambda handle: handle.try_image.remote(key, handed[0]))
        else:
            call = (key, task.shard, handed, dict(convicted))
            self._pool.hand(self._demand, seat, task, lambda handle: handle.predict.remote(*call))

    def next(self, timeout_s: float) -> Arrival | None:
        """What happens next; None if nothing does in time.

        Raises:
            HostsLostError: hosts are lost one after the other.
            ApiError: FAILED_PRECONDITION: all hosts are refused.
        """
        self._watch_beats()
        try:
            arrival = self._demand.arrivals.get(timeout=timeout_s)
        except queue.Empty:
            return None
        match arrival:
            case Lost(is_ours=True):
                self._note_loss(arrival)
            case TaskAnswer():
                self._losses = 0
            case OpenedSeat(seat, answer):
                self._judge(seat, answer)
        return arrival

    def close(self) -> None:
        """Lets the shards under way end early, for as long as `STOP_S`, and ends hosts that do not."""
        for seat in self._pool.busy_with(self._demand):
            with contextlib.suppress(RayError):
                seat.handle.stop.remote(self._demand.key)
        deadline_s = time.monotonic() + STOP_S
        while self._pool.busy_with(self._demand) and (left_s := deadline_s - time.monotonic()) > 0:
            with contextlib.suppress(HostsLostError, errors.ApiError):
                self.next(left_s)
        self._pool.leave(self._demand)

    def abandon(self) -> None:
        """Ends all hosts that are at something for this job, at once; from any thread."""
        self._pool.leave(self._demand)

    # ---- inside -------------------------------------------------------------------------------------------------

    def _as_json(self, gpus: float) -> str:
        """The job for hosts with so many GPUs: those without one have it predicted by the CPU, whatever else is there."""
        share = dataclasses.replace(self._job.share, cores=self._pool.share.cores, processes=0)
        if not gpus and self._pool.share.gpus:
            share = dataclasses.replace(share, runtime="cpu")
        return dataclasses.replace(self._job, share=share).to_json()

    def _judge(self, seat: Seat, opened: OpenAnswer) -> None:
        if seat.gpus != self._demand.gpus:
            return  # asked before the job has gone to others
        refusal = "" if opened.error else self._accepts(opened)
        self._pool.judge(self._demand, seat, is_accepted=not opened.error and not refusal)
        self._accepted += not refusal
        if not refusal:
            return
        log.warning("event=host_refused node=%s reason=%s", opened.node, refusal)
        self.hosts_refused += 1
        if not self._accepted and self.hosts_refused - self._refused_before >= MOST_REFUSED:
            raise errors.failed_precondition(
                f"No host of the cluster computes as the first one of this job did: {refusal}. Add nodes of its kind, "
                "or start a new job."
            )

    def _note_loss(self, lost: Lost) -> None:
        self.hosts_lost += 1
        self._losses += 1
        if self._losses > MOST_LOSSES:
            raise HostsLostError(f"{self._losses} hosts were lost in a row; the last one: {lost.reason}")

    def _watch_beats(self) -> None:
        """Asks hosts at work for this job whether they are alive, and ends those that have not answered for too long."""
        now_s = time.monotonic()
        for seat in self._pool.at_work_for(self._demand):
            if not seat.is_up:
                continue  # it waits for room
            if now_s - seat.heard_s > self._timeout_s + SILENCE_S:
                log.error("event=host_silent calls=%d", len(seat.calls))
                seat.heard_s = now_s
                self._pool.end(seat)
            elif now_s - max(seat.heard_s, seat.asked_s) > BEAT_S:
                self._pool.beat(seat)
