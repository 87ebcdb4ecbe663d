"""The engine of a cluster: shards of the plan go to hosts, reports come back, the account is kept here."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import logging
import math
import pathlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from google.rpc import status_pb2

from boxwright import errors, objects
from boxwright.batch.engine import stages
from boxwright.batch.engine.shard_assembler import Counts, Segments
from boxwright.batch.job import BatchJob
from boxwright.batch.job_progress import HostTotals
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.rewrite.rewriter import NoteUse
from boxwright.batch.segments import Segment
from boxwright.cluster import numeric
from boxwright.cluster.blame import JobConvictions, Suspicion
from boxwright.cluster.devices import Devices
from boxwright.cluster.fleet import Fleet
from boxwright.cluster.host_answers import OpenAnswer, ShardAnswer
from boxwright.cluster.host_pool import HostPool
from boxwright.cluster.member_packs import StoredMembers
from boxwright.cluster.seats import Lost, OpenedSeat, Seat, Task, TaskAnswer
from boxwright.inference import model_folder

POLL_S = 0.05
READ_S = 0.005  # that is waited for a segment
LOSSES_TO_SUSPECT = 2  # of hosts by one shard
KEPT_SEGMENTS = 8  # that wait here, beside those that hosts have

log = logging.getLogger(__name__)


class Account(Protocol):
    """What is known of the job's shards: an `OutputAccount`."""

    def committed(self, shard: int) -> ShardReport | None:
        """See `OutputAccount.committed`."""

    def count(self, report: ShardReport) -> None:
        """See `OutputAccount.count`."""

    def name_policy(self, digest: str) -> None:
        """See `OutputAccount.name_policy`."""


@dataclasses.dataclass
class _OpenShard:
    """A shard that is not done.

    Attributes:
        segment: its images.
        losses: how many hosts were lost at it.
        suspicion: if so many that an image may be to blame; None if not.
    """

    segment: Segment
    losses: int = 0
    suspicion: Suspicion | None = None


class RayEngine:
    """Runs a plan on the hosts of a cluster; see `engine.Engine`. This process is the cluster's driver.

    Args:
        job: what to predict and how; its share is not used.
        stores: where the job's scratch is.
        sink: what is known of its shards.
        pool: where hosts come from.
        note_use: hears of the buckets that hosts use.
    """

    def __init__(
        self,
        job: BatchJob,
        stores: objects.Stores,
        sink: Account,
        pool: HostPool,
        note_use: NoteUse = lambda use: None,
    ) -> None:
        self._job = job
        self._stores = stores
        self._sink = sink
        self._pool = pool
        self._note_use = note_use
        self._scratch = objects.ObjectUri.parse(job.spec.scratch)
        self._verdicts = JobConvictions(stores, self._scratch)
        self._packs = StoredMembers(stores, self._scratch)
        self._numeric: dict[str, str] | None = None
        self._totals = dict.fromkeys((*stages.STAGES, *stages.AMOUNTS), 0.0)
        self._waiting: collections.deque[_OpenShard] = collections.deque()
        self._in_hand: dict[int, _OpenShard] = {}
        self._fleet: Fleet | None = None
        self.counts = Counts()
        self.host_s = 0.0  # seconds that hosts were at work
        self.hosts_lost = 0

    def run(self, plan: Segments, should_stop: Callable[[], bool]) -> Iterator[ShardReport]:
        """See `Engine`.

        Raises:
            ApiError: also if no host can load the model, or none computes as the job's first one did.
            HostsLostError: hosts are lost one after the other.
        """
        self._freeze(numeric.known(self._stores, self._scratch))
        devices = Devices(self._job, self._pool.share, self._pool.is_up, self._numeric)
        accepts = functools.partial(self._refusal, devices)
        fleet = Fleet(self._job, self._pool, accepts, group=_project(self._job.spec.model), gpus=devices.gpus)
        self._fleet = fleet
        reader = _Reader(plan, self._packs)
        try:
            while not should_stop():
                while len(self._waiting) < max(KEPT_SEGMENTS, fleet.room) and not should_stop():
                    segment = reader.take()
                    if segment is None:
                        break
                    yield from self._taken(segment)
                is_read = reader.has_ended
                if is_read and not self._waiting and not self._in_hand:
                    return
                if self._numeric is None and devices.falls_back():
                    fleet.use_gpus(devices.gpus)
                fleet.want(len(self._waiting), self._shards_left(reader))
                self._hand_over(fleet)
                match fleet.next(POLL_S):
                    case TaskAnswer(task, worked):
                        yield from self._finished(task, worked)
                    case Lost() as lost:
                        self._lost(lost)
                    case OpenedSeat(answer=OpenAnswer(error=error)) if error:
                        raise errors.from_status(status_pb2.Status.FromString(error))
        finally:
            self.hosts_lost = fleet.hosts_lost
            reader.close()
            fleet.close()

    @property
    def hosts(self) -> HostTotals:
        """See `job_progress.HasHosts`: hosts are those of all jobs, losses and refusals this one's."""
        fleet = self._fleet
        lost, refused = (0, 0) if fleet is None else (fleet.hosts_lost, fleet.hosts_refused)
        return HostTotals(self._pool.up, self._pool.size, lost, refused)

    def abandon(self) -> None:
        """Ends what hosts are at for this job, at once, whatever the thread that runs it waits for; from any thread."""
        if self._fleet is not None:
            self._fleet.abandon()

    @property
    def model_digest(self) -> str:
        """Names the model's exact version."""
        return model_folder.ModelInfo.read(pathlib.Path(self._job.folders.model)).digest

    def stage_s(self) -> dict[str, float]:
        """See `Engine`."""
        return {stage: self._totals[stage] for stage in stages.STAGES}

    def amounts(self) -> dict[str, float]:
        """See `Engine`."""
        return {name: self._totals[name] for name in stages.AMOUNTS}

    # ---- inside -------------------------------------------------------------------------------------------------

    def _taken(self, segment: Segment) -> Iterator[ShardReport]:
        """Takes a segment of the plan; yields the report of a shard that is done at once."""
        found = self._sink.committed(segment.shard)
        if found is None:
            self._waiting.append(_OpenShard(segment))
            return
        images = segment.image_count
        self.counts.add(done=images, failed=found.failed, found=images)
        segment.release()
        self._packs.drop(segment.shard)
        yield found

    def _hand_over(self, fleet: Fleet) -> None:
        """Hands over what waits, as far as hosts have room. An image is tried where nothing else can be to blame."""
        for is_trial in (True, False):
            while shard := next((one for one in self._waiting if (one.suspicion is not None) == is_trial), None):
                seat = fleet.free(alone=is_trial)
                if seat is None:
                    break
                self._waiting.remove(shard)
                self._hand(fleet, seat, shard)

    def _hand(self, fleet: Fleet, seat: Seat, shard: _OpenShard) -> None:
        number, items = shard.segment.shard, shard.segment.items
        self._in_hand[number] = shard
        if shard.suspicion is not None:
            suspect = shard.suspicion.next_image()
            fleet.hand(seat, Task(number, suspect), [item for item in items if item.id == suspect], {})
        else:
            fleet.hand(seat, Task(number), items, self._verdicts.among([item.id for item in items]))

    def _finished(self, task: Task, worked: ShardAnswer | None) -> Iterator[ShardReport]:
        """Takes what a host has done; yields the report of a shard that is done."""
        shard = self._in_hand.pop(task.shard)
        if worked is None:
            assert shard.suspicion is not None
            shard.suspicion.note_harmless()
            self._wait_again(shard)
            return
        for bucket, permission, is_allowed in worked.uses:
            self._note_use({"bucket": bucket, "permission": permission, "is_allowed": is_allowed})
        for line in worked.lines:
            log.warning("event=host_says line=%r", line)
        self.host_s += worked.busy_s
        if worked.error:
            raise errors.from_status(status_pb2.Status.FromString(worked.error))
        if worked.report is None:  # it was told to stop
            self._wait_again(shard)
            return
        report = ShardReport.from_values(worked.report)
        self._sink.count(report)
        self._packs.drop(report.shard)
        self._add(report, worked)
        yield report

    def _lost(self, lost: Lost) -> None:
        """Takes back what a lost host had in hand. Only what it was at may be to blame."""
        for task in reversed(lost.tasks):
            shard = self._in_hand.pop(task.shard)
            if task is lost.at and shard.suspicion is not None:
                shard.suspicion.note_loss(lost.after_s, self._verdicts)
            elif task is lost.at:
                shard.losses += 1
                if shard.losses >= LOSSES_TO_SUSPECT:
                    images = [item.id for item in shard.segment.items if item.failure is None]
                    known = self._verdicts.among(images)
                    left = [image_id for image_id in images if image_id not in known]
                    shard.suspicion = Suspicion(left, self._job.spec.image_timeout_s)
            self._wait_again(shard)

    def _shards_left(self, reader: _Reader) -> int:
        """How many shards are known and not done: by the plan's estimate, as long as it is being read."""
        known = len(self._waiting) + len(self._in_hand)
        if reader.has_ended:
            return known
        estimated = reader.estimated_images() or 0.0
        return max(known + 1, math.ceil((estimated - self.counts.images_done) / self._job.spec.shard_images))

    def _wait_again(self, shard: _OpenShard) -> None:
        """Puts a shard before all others that wait; when its images have been tried, all of it is worked on."""
        if shard.suspicion is not None and shard.suspicion.next_image() is None:
            shard.losses, shard.suspicion = 0, None
        self._waiting.appendleft(shard)

    def _add(self, report: ShardReport, worked: ShardAnswer) -> None:
        self.counts.note_committed(report.shard, time.time() - worked.busy_s)
        self.counts.add(done=report.predicted + report.failed, failed=report.failed, committed=True)
        for name in self._totals:
            self._totals[name] += worked.totals.get(name, 0.0)

    def _refusal(self, devices: Devices, opened: OpenAnswer) -> str:
        """Why a host may not take part: it would find other digits than the job's first one."""
        if self._numeric is None and (objection := devices.objection(opened.numeric)):
            return objection
        if self._numeric is None:
            self._freeze(numeric.frozen(self._stores, self._scratch, dict(opened.numeric)))
        return numeric.differences(self._numeric or {}, opened.numeric)

    def _freeze(self, known: dict[str, str] | None) -> None:
        """Keeps the job's class once it is known."""
        self._numeric = known
        if known is not None and self._job.spec.policy_digest:
            info = model_folder.ModelInfo.read(pathlib.Path(self._job.folders.model))
            self._sink.name_policy(numeric.policy_digest(self._job.spec, info, known))


def _project(model: str) -> str:
    """Whose job it is, by its model's name: places at hosts are shared by projects."""
    return model.partition("/locations/")[0]


class _Reader:
    """Reads a plan in a thread: a list that is far away holds up no host and no cancel.

    Args:
        plan: is read once.
        packs: where members of archives go.
    """

    def __init__(self, plan: Segments, packs: StoredMembers) -> None:
        self._plan = plan
        self._packs = packs
        self.estimated_images: Callable[[], float | None] = getattr(plan, "estimated_images", lambda: None)
        self._read: queue.Queue[Segment | Exception | None] = queue.Queue(KEPT_SEGMENTS)
        self._closed = threading.Event()
        self.has_ended = False
        self._thread = threading.Thread(target=self._run, name="plan", daemon=True)
        self._thread.start()

    def take(self) -> Segment | None:
        """The next segment, if it is there.

        Raises:
            Exception: what the plan has raised.
        """
        if self.has_ended:
            return None
        try:
            found = self._read.get(timeout=READ_S)
        except queue.Empty:
            return None
        if isinstance(found, Exception):
            raise found
        self.has_ended = found is None
        return found

    def close(self) -> None:
        """Ends the reading."""
        self._closed.set()
        self._plan.stop()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._read.get(timeout=READ_S)  # it may wait for room
        self._thread.join()

    def _run(self) -> None:
        try:
            for segment in self._plan.segments():
                self._read.put(self._packs.packed(segment))
                if self._closed.is_set():
                    return
            self._read.put(None)
        except Exception as error:  # the plan's or a store's: it belongs to the caller of the run
            self._read.put(error)
