"""How far a job is, said while it goes on."""

from __future__ import annotations

import collections
import dataclasses
import threading
from typing import Protocol

from boxwright.batch.engine import stages
from boxwright.batch.engine.shard_assembler import Counts
from boxwright.batch.events import Events
from boxwright.batch.output.shard_reports import ShardReport

BOTTLENECK_WINDOW = 20  # progress intervals over which the bottleneck is taken: five seconds
PROGRESS_INTERVAL_S = 0.25
ALIVE_EVERY = 4  # intervals without progress after which the child says that it is alive


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


class JobProgress:
    """Says every quarter second how far the job is, in a thread, until it is ended.

    Args:
        work: counts what it has done.
        plan: knows how much there is to do.
        events: hears of it.
        one_colour: images of a single colour in shards that an earlier turn has counted.
    """

    def __init__(self, work: Work, plan: PlannedImages, events: Events, one_colour: int = 0) -> None:
        self._work = work
        self._plan = plan
        self._events = events
        self.one_colour = one_colour  # images in finished shards
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress")
        self._thread.start()

    def note(self, report: ShardReport) -> None:
        """Says that a shard is finished."""
        self.one_colour += report.one_colour
        counts = self._work.counts
        is_found = not counts.take_committed(report.shard)
        self._events.say("shard", committed=counts.shards_committed, is_found=is_found, **dataclasses.asdict(report))

    def end(self) -> None:
        """Stops saying."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        said, quiet = -1, 0
        samples = collections.deque([self._work.stage_s()], maxlen=BOTTLENECK_WINDOW)
        while not self._ended.wait(PROGRESS_INTERVAL_S):
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
