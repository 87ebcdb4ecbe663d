"""What a training reports to, how it is asked to stop, and how long it has taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

MOST_PERCENT = 99.0
MAX_REPORTED_WARNINGS = 50


class ProgressListener(Protocol):
    """Receives what a training reports; percentages are shares of the time that it takes."""

    def progress(self, percent: float, stage: str, **details: object) -> None: ...

    def warn(self, message: str) -> None: ...

    def stop_requested(self) -> bool: ...

    def finish_requested(self) -> bool:
        """Whether training should end here, with what it has learned so far."""
        ...


class TrainingStopped(Exception):
    """The training was asked to stop; its checkpoint is on disk."""


class ElapsedTime:
    """Seconds spent on a job: earlier attempts, as the checkpoint tells, and this process."""

    def __init__(self, clock: Callable[[], float], started_s: float) -> None:
        self._clock = clock
        self._started_s = started_s
        self.before_s = 0.0

    def __call__(self) -> float:
        return self.before_s + self._clock() - self._started_s


class ProgressRelay:
    """Passes everything on to the listener, with progress that never goes back, and keeps the warnings for the report."""

    def __init__(self, watcher: ProgressListener) -> None:
        self._watcher = watcher
        self._percent = 0.0
        self.warnings: list[str] = []
        self.stop_requested = watcher.stop_requested
        self.finish_requested = watcher.finish_requested

    def progress(self, percent: float, stage: str, **details: object) -> None:
        self._percent = max(self._percent, min(MOST_PERCENT, percent))
        self._watcher.progress(self._percent, stage, **details)

    def warn(self, message: str) -> None:
        if len(self.warnings) < MAX_REPORTED_WARNINGS:
            self.warnings.append(message)
        self._watcher.warn(message)
