"""The inference children of this process: borrowed for one job at a time, kept for the next with their models loaded."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from boxwright.processes import FEW_HEAPS, Child

CHILD_MODULE = "boxwright.batch.child_main"
JOB_ENDS = ("done", "error", "stopped", "tried", "estimated")


class JobChild(Protocol):
    """What a borrower uses of a child; see `Child`."""

    @property
    def pid(self) -> int:
        """The process id."""

    def send_line(self, line: str) -> None:
        """Sends a job, or ``stop``. Raises ChildExitError if the child is gone."""

    def next_event(self, timeout_s: float) -> dict[str, Any] | None:
        """Returns the next event, or None if none came in time. Raises ChildExitError."""

    def close(self, grace_s: float) -> None:
        """Ends what it is at."""


class InferenceChild(Child):
    """A child that knows whether it is in the middle of a job."""

    def __init__(
        self, variables: Sequence[str] = (), module: str = CHILD_MODULE, environment: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(module, environment={**FEW_HEAPS, **(environment or {})}, variables=variables)
        self.is_busy = False

    def send_line(self, line: str) -> None:
        """Sends a job, or ``stop``."""
        self.is_busy = self.is_busy or line != "stop"
        super().send_line(line)

    def next_event(self, timeout_s: float) -> dict[str, Any] | None:
        """See `Child.next_event`; notices the end of a job."""
        event = super().next_event(timeout_s)
        if event is not None and event["event"] in JOB_ENDS:
            self.is_busy = False
        return event


class Children:
    """A small pool; it grows with the jobs that run at once and never shrinks below what runs.

    Args:
        variables: names and prefixes of environment variables that the children need (`objects.Stores.variables`).
        module: that they run; it speaks as `batch.child_main` does.
        environment: variables that are added to theirs.
    """

    def __init__(
        self, variables: Sequence[str] = (), module: str = CHILD_MODULE, environment: Mapping[str, str] | None = None
    ) -> None:
        self._new_child = functools.partial(InferenceChild, variables, module, environment)
        self._lock = threading.Lock()
        self._idle: list[tuple[str, InferenceChild]] = []  # with the model folder that each used last
        self._borrowed: set[InferenceChild] = set()

    @contextlib.contextmanager
    def borrow(self, model_folder: str) -> Iterator[JobChild]:
        """Lends a child, best one that has this model loaded.

        It comes back for the next job unless it has died. One that is given back in the middle of a job, because its
        borrower lost the lease, say, is ended: nobody is left to listen to it.
        """
        child = self._take(model_folder)
        try:
            yield child
        finally:
            if child.is_busy:
                child.close(grace_s=0)
            with self._lock:
                self._borrowed.discard(child)
                if child.is_alive():
                    self._idle.append((model_folder, child))

    @property
    def count(self) -> int:
        """How many children there are, at work or not."""
        with self._lock:
            return len(self._idle) + len(self._borrowed)

    def close(self) -> None:
        """Ends every child."""
        with self._lock:
            children = [child for _, child in self._idle] + list(self._borrowed)
            self._idle.clear()
        for child in children:
            child.close(grace_s=0)

    def _take(self, model_folder: str) -> InferenceChild:
        with self._lock:
            self._idle = [(folder, child) for folder, child in self._idle if child.is_alive()]
            same = [entry for entry in self._idle if entry[0] == model_folder]
            if self._idle:
                entry = (same or self._idle)[-1]
                self._idle.remove(entry)
                self._borrowed.add(entry[1])
                return entry[1]
        child = self._new_child()
        with self._lock:
            self._borrowed.add(child)
        return child
