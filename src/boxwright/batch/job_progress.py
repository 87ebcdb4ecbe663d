"""What an inference child says of a job while it goes on: how far it is, which shards are done, how long its phases took."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from boxwright.batch.engine import stages
from boxwright.batch.engine.shard_assembler import Counts
from boxwright.batch.events import Events
from boxwright.batch.output.shard_reports import ShardReport

BOTTLENECK_WINDOW = 20  # progress intervals over which the bottleneck is taken: five seconds
PROGRESS_INTERVAL_S = 0.25
ALIVE_EVERY = 4  # intervals without progress after which the child says that it is alive


@dataclasses.dataclass(frozen=True)
class HostTotals:
    """Hosts of a cluster.

    Attributes:
        there: those that have answered.
        wanted: those that were asked for, these included.
        lost: those that this job has lost so far.
        refused: those that would find other digits than the job's first one.
    """

    there: int = 0
    wanted: int = 0
    lost: int = 0
    refused: int = 0


@runtime_checkable
class HasHosts(Protocol):
    """An engine whose work is done by hosts of a cluster."""

    @property
    def hosts(self) -> HostTotals:
        """What is known of them; may be asked by any thread."""


class Work(Protocol):
    """Who does the work: an engine, or what makes results again."""

    counts: Counts

    def stage_s(self) -> dict[str, float]:
        """See `Engine`."""

    def amounts(self) -> dict[str, float]:
        """See `Engine`."""


class PlannedImages(Protocol):
    """What there is to do: a plan, or the candidates of former jobs."""

    @property
    def is_complete(self) -> bool:
        """Whether all of it is known."""
        ...

    def estimated_images(self) -> float | None:
        """How many images it has; None if nothing is known yet."""


class Phases:
    """Says how long each part of a job took, for who traces it.

    Args:
        events: where it is said.
    """

    def __init__(self, events: Events) -> None:
        self._events = events

    @contextlib.contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """A part of the job; one that raises is not told."""
        began_s = time.time()
        yield
        self.say(phase, began_s)

    def say(self, phase: str, began_s: float) -> None:
        """A part has ended now that began at a time, seconds since 1970."""
        self._events.say("phase", phase=phase, began_s=began_s, took_s=round(max(0.0, time.time() - began_s), 6))


class JobProgress:
    """Says every quarter second how far the job is, in a thread, until it is ended.

    Args:
        work: counts what it has done.
        plan: knows how much there is to do.
        events: hears of it.
        phases: takes how long planning took.
        one_colour: images of a single colour in shards that an earlier turn has counted.
    """

    def __init__(self, work: Work, plan: PlannedImages, events: Events, phases: Phases, one_colour: int = 0) -> None:
        self._work = work
        self._plan = plan
        self._events = events
        self.phases = phases
        self._told_hosts = HostTotals()
        self._began_s: float | None = time.time()  # None: planning has ended, and is told
        self.one_colour = one_colour  # images in finished shards
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress")
        self._thread.start()

    def note(self, report: ShardReport) -> None:
        """Says that a shard is finished."""
        self.one_colour += report.one_colour
        counts = self._work.counts
        is_found = not counts.take_committed(report.shard)
        about = {"committed": counts.shards_committed, "is_found": is_found, "began_s": counts.take_began(report.shard)}
        self._events.say("shard", **about, **dataclasses.asdict(report))

    def end(self) -> None:
        """Stops saying."""
        self._ended.set()
        self._thread.join()
        self._tell_planning()
        self._tell_hosts()

    def _tell_planning(self) -> None:
        if self._began_s is not None and self._plan.is_complete:
            self.phases.say("planning", self._began_s)
            self._began_s = None

    def _tell_hosts(self) -> None:
        """Says how many hosts of a cluster there are, where the engine is one, if that has changed."""
        now = self._work.hosts if isinstance(self._work, HasHosts) else self._told_hosts
        if now != self._told_hosts:
            before, self._told_hosts = self._told_hosts, now
            lost, refused = max(0, now.lost - before.lost), max(0, now.refused - before.refused)
            self._events.say("hosts", there=now.there, wanted=now.wanted, lost=lost, refused=refused)

    def _run(self) -> None:
        said, quiet = -1, 0
        samples = collections.deque([self._work.stage_s()], maxlen=BOTTLENECK_WINDOW)
        while not self._ended.wait(PROGRESS_INTERVAL_S):
            self._tell_planning()
            self._tell_hosts()
            done = self._work.counts.images_done
            if done == said:
                quiet += 1
                if quiet % ALIVE_EVERY == 0:
                    self._events.say("alive")
                continue
            said, quiet = done, 0
            samples.append(self._work.stage_s())
            planned = self._plan.estimated_images()
            estimated = None if planned is None else max(round(planned), done)
            self._events.say(
                "progress",
                done=done,
                failed=self._work.counts.images_failed,
                one_colour=self.one_colour,
                found=self._work.counts.images_found,
                estimated_images=estimated,
                exact=self._plan.is_complete,
                percent=min(99, int(100 * done / estimated)) if estimated else 0,
                stages=rounded(samples[-1]),
                amounts=self._work.amounts(),
                bottleneck=stages.bottleneck(samples[-1], samples[0]),
            )


def rounded(stage_s: dict[str, float]) -> dict[str, float]:
    """Seconds by stage, as they are said."""
    return {stage: round(spent_s, 3) for stage, spent_s in stage_s.items()}
