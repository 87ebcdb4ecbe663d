"""Finding the image that takes an inference child down with it: every suspect is tried alone in a child of its own."""

from __future__ import annotations

import logging
import pathlib
import time

from google.rpc import status_pb2

from boxwright.batch.child_pool import Children
from boxwright.batch.engine import convictions, in_flight
from boxwright.batch.engine.convictions import Convictions
from boxwright.batch.job import BatchJob, TrialCommand
from boxwright.operations.runner import Context
from boxwright.processes import ChildExitError

SILENCE_MARGIN_S = 20.0  # beyond an image's own time: loading a model says nothing for a while
TRIALS = 2  # of one image alone

log = logging.getLogger(__name__)


class Isolation:
    """Who is to blame for the deaths of one job's children.

    Args:
        children: where children for the trials come from.
        job: the job; its folder of notes says what was in flight.
    """

    def __init__(self, children: Children, job: BatchJob) -> None:
        self._children = children
        self._job = job
        self._folder = pathlib.Path(job.folders.notes)
        self._convictions = Convictions(self._folder)
        self._known = len(self._convictions.read())

    def convicts_somebody(self, context: Context) -> bool:
        """Tries the images that were under way when a child died; returns whether any is convicted since the last call."""
        for image_id in in_flight.suspects(self._folder):
            context.raise_if_stopped()
            self._try(image_id, context)
        before, self._known = self._known, len(self._convictions.read())
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
        log.warning("event=image_convicted image=%s message=%s", image_id, status.message)

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
                    if context.should_stop():
                        child.close(grace_s=0)
                        context.raise_if_stopped()
            except ChildExitError:
                return convictions.crashed(image_id)
            child.close(grace_s=0)
            return convictions.hung(image_id, self._job.spec.image_timeout_s)
