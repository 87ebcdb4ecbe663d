"""Work in an inference child that may die: again in another one, without the image that takes children down with it.

Every suspect is tried alone in a child of its own.
"""

from __future__ import annotations

import logging
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from google.rpc import status_pb2

from boxwright import objects
from boxwright.batch.child_pool import Children, JobChild
from boxwright.batch.engine import convictions, in_flight
from boxwright.batch.engine.convictions import Convictions
from boxwright.batch.job import BatchJob, TrialCommand
from boxwright.operations.runner import AttemptError, Context
from boxwright.processes import ChildExitError
from boxwright.telemetry.metrics import Metrics

SILENCE_MARGIN_S = 20.0  # beyond an image's own time: loading a model says nothing for a while
LOG_WAITS_EVERY_S = 60.0
TRIALS = 2  # of one image alone
MAX_UNEXPLAINED_DEATHS = 3  # of the child in a row, without an image that is to blame

log = logging.getLogger(__name__)


class SilentChildError(ChildExitError):
    """The child said nothing for so long that it was ended."""


class Isolation:
    """Who is to blame for the deaths of one job's children.

    Args:
        children: where children for the trials come from.
        job: the job; its folder of notes says what was in flight.
        metrics: counts deaths and convictions.
    """

    def __init__(self, children: Children, job: BatchJob, metrics: Metrics | None = None) -> None:
        self._children = children
        self._metrics = metrics or Metrics()
        self._job = job
        self._folder = pathlib.Path(job.folders.notes)
        self._convictions = Convictions(self._folder)
        self._known = len(self._convictions.read())

    def in_child(self, context: Context, work: Callable[[JobChild], dict[str, Any]]) -> dict[str, Any]:
        """Lets a child do the work, and another one if it dies, which leaves out the images that are convicted by then.

        Args:
            context: of the operation.
            work: is handed the child; returns its last event.

        Raises:
            AttemptError: children die, and no image is to blame.
        """
        deaths = 0
        while True:
            try:
                with self._children.borrow(self._job.folders.model) as child:
                    return work(child)
            except ChildExitError as death:
                self._count_death("silent" if isinstance(death, SilentChildError) else "crash")
                log.warning("event=inference_child_died operation=%s reason=%s", context.name, death)
                deaths = 0 if self.convicts_somebody(context) else deaths + 1
                if deaths == MAX_UNEXPLAINED_DEATHS:
                    raise AttemptError(str(death)) from death

    def convicts_somebody(self, context: Context) -> bool:
        """Tries the images that were under way when a child died; returns whether any is convicted since the last call."""
        for image_id in in_flight.suspects(self._folder):
            context.raise_if_stopped()
            self._try(image_id, context)
        before, self._known = self._known, len(self._convictions.read())
        self._metrics.add("boxwright_images_convicted_total", max(0, self._known - before))
        return self._known > before

    def _try(self, image_id: str, context: Context) -> None:
        """Predicts one image alone, and again if that ends badly; who takes two children down is convicted.

        One death proves nothing: somebody else may have killed that child.
        """
        for _ in range(TRIALS):
            status = self._trial(image_id, context)
            if status is None or image_id in self._convictions.read():  # by the child itself, as overdue
                return
        assert status is not None
        self._convictions.add(image_id, status)
        log.warning("event=image_convicted image=%s reason=%s", image_id, status.message)

    def _trial(self, image_id: str, context: Context) -> status_pb2.Status | None:
        """Predicts one image alone; returns what is wrong with it if the child dies or stays silent."""
        deadline_s = time.monotonic() + self._job.spec.image_timeout_s + SILENCE_MARGIN_S
        with self._children.borrow(self._job.folders.model) as child:
            try:
                child.send_line(TrialCommand(image_id, self._job).to_json())
                while time.monotonic() < deadline_s:
                    event = child.next_event(timeout_s=0.1)
                    if event is not None and event["event"] in ("tried", "error"):
                        return None
                    if event is not None and event["event"] == "throttled":  # the image has not been read yet
                        deadline_s = time.monotonic() + self._job.spec.image_timeout_s + SILENCE_MARGIN_S
                    if context.should_stop():
                        child.close(grace_s=0)
                        context.raise_if_stopped()
            except ChildExitError:
                self._count_death("crash")
                return convictions.crashed(image_id)
            child.close(grace_s=0)
            self._count_death("silent")
            return convictions.hung(image_id, self._job.spec.image_timeout_s)

    def _count_death(self, reason: str) -> None:
        self._metrics.add("boxwright_child_deaths_total", 1, reason)


def events(
    child: JobChild, context: Context, stop: Callable[[JobChild], None], image_timeout_s: float
) -> Iterator[dict[str, Any]]:
    """Yields a child's events for as long as it lives and the operation goes on; the use of buckets is noted here.

    Args:
        child: at work.
        context: of the operation.
        stop: ends what the child is at, in good order.
        image_timeout_s: of one image; a child that is silent for much longer is ended.

    Raises:
        Stopped: the operation should stop; the child has stopped.
        ChildExitError: the child has ended, or was ended.
    """
    heard_s, waits = time.monotonic(), _StoreWaits(context)
    while True:
        if context.should_stop():
            stop(child)
            context.raise_if_stopped()
        event = child.next_event(timeout_s=0.1)
        if event is not None:
            heard_s = time.monotonic()
        match event:
            case None:
                if time.monotonic() - heard_s > image_timeout_s + SILENCE_MARGIN_S:
                    child.close(grace_s=0)  # it holds the interpreter's lock and cannot even say so
                    raise SilentChildError(f"the child {child.pid} was silent for too long and was ended")
            case {"event": "bucket", "bucket": bucket, "permission": permission, "is_allowed": is_allowed}:
                context.uses.note(objects.ObjectUri.parse(bucket), permission, is_allowed)
            case {"event": "throttled", "bucket": bucket, "waiting": waiting}:
                waits.note(bucket, waiting)
                yield event
            case _:
                yield event


class _StoreWaits:
    """Logs now and then that an operation waits for a store that is called too often."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._logged_s = -LOG_WAITS_EVERY_S

    def note(self, bucket: str, waiting: int) -> None:
        """Takes what a child says."""
        if waiting and time.monotonic() - self._logged_s >= LOG_WAITS_EVERY_S:
            self._logged_s = time.monotonic()
            log.warning(
                "event=waiting_for_store operation=%s bucket=%s calls_waiting=%d", self._context.name, bucket, waiting
            )
