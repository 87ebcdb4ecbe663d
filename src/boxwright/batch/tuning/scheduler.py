"""The tuner: after the first batch with a network, how many processes suit it is measured, beside no other batch.

    with tuner.batch():                   no measurement runs as long as a batch does
        job = tuner.tuned(job)            what was measured is used
        …
        tuner.succeeded(job)              what was not is measured once all is quiet

A measurement is a process of its own (`measure_main`); one that a batch interrupts is made again after that batch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
import threading
import time
from collections.abc import Iterator

from boxwright import temporary
from boxwright.batch.job import BatchJob
from boxwright.batch.tuning import tuning_file
from boxwright.batch.tuning.command import TuningCommand
from boxwright.batch.tuning.tuning_file import Key, MeasurementLimits, Tuning, Tunings
from boxwright.inference.model_folder import ModelError
from boxwright.processes import FEW_HEAPS, Child, ChildExitError

TUNE_MODULE = "boxwright.batch.tuning.measure_main"
LIMITS = MeasurementLimits()
END_S = 3.0  # for the end of the last candidate, after the time of a measurement
QUIET_S = 2.0  # after a batch: the next one often follows at once
LOOK_S = 0.05  # how soon a measurement makes way for a batch
MAX_TRIES = 3  # of measurements that gave nothing, until the service starts again

log = logging.getLogger(__name__)


def measured(command: TuningCommand, cancelled: threading.Event) -> Tuning | None:
    """Measures in a child process what suits a network; None if that gave nothing or was cancelled.

    Args:
        command: what to measure.
        cancelled: ends the measurement.

    Raises:
        ModelError: the model's folder cannot be read.
    """
    key = tuning_file.key_of(command)
    deadline_s = time.monotonic() + LIMITS.time_s + END_S
    found: dict[int, tuple[int, float]] = {}
    with temporary.TemporaryFolder("tuning") as folder:
        child = Child(TUNE_MODULE, [str(folder.path), *LIMITS.to_arguments()], FEW_HEAPS)
        try:
            child.send_line(command.to_json())
            while not cancelled.is_set() and time.monotonic() < deadline_s:
                match child.next_event(LOOK_S):
                    case {"event": "measured", "processes": count, "threads": threads, "images_per_s": rate}:
                        found[count] = (threads, rate)
                    case {"event": "over"}:
                        break
        except ChildExitError as death:
            log.warning("event=tuning_died reason=%s", death)
            return None
        finally:
            child.close(grace_s=0)
    if cancelled.is_set() or not found:
        return None
    rates = {count: rate for count, (_, rate) in found.items()}
    processes = tuning_file.best(rates)
    now = datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Tuning(key, processes, found[processes][0], command.share.in_flight_bytes, rates, now)


class Tuner:
    """Measures in the background, one network after the other, while no batch runs in this process.

    Args:
        tunings: where measurements are kept.
        measures: False: only what has been measured already is used.
    """

    def __init__(self, tunings: Tunings, *, measures: bool) -> None:
        self._tunings = tunings
        self._measures = measures
        self._lock = threading.Lock()
        self._batches = 0
        self._wanted: dict[Key, TuningCommand] = {}
        self._tries: dict[Key, int] = {}
        self._thread: threading.Thread | None = None
        self._cancelled = threading.Event()
        self._is_closed = False

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """As long as this lasts nothing is measured; what is under way ends at once."""
        with self._lock:
            self._batches += 1
            self._cancelled.set()
        try:
            yield
        finally:
            with self._lock:
                self._batches -= 1
                self._go_on()

    def tuned(self, job: BatchJob) -> BatchJob:
        """The job with the number of processes that suits it; as it is if that was not measured."""
        if job.share.cores == 1:
            return job
        try:
            found = self._tunings.find(tuning_file.key_of(TuningCommand.for_job(job)))
        except ModelError:  # the process that loads the model says so better
            found = None
        if found is None:
            return job
        return dataclasses.replace(job, share=dataclasses.replace(job.share, processes=found.processes))

    def succeeded(self, job: BatchJob) -> None:
        """Has what suits this job's model measured, unless that is known."""
        if not self._measures or job.share.cores == 1:
            return
        command = TuningCommand.for_job(job)
        try:
            key = tuning_file.key_of(command)
        except ModelError:  # deleted meanwhile
            return
        if self._tunings.find(key) is None:
            with self._lock:
                if self._tries.get(key, 0) < MAX_TRIES:
                    self._wanted[key] = command
                self._go_on()

    def close(self) -> None:
        """Ends what is under way, for good."""
        with self._lock:
            self._is_closed = True
            self._cancelled.set()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _go_on(self) -> None:
        """Starts the next measurement if one is wanted and nothing is in its way; with the lock held."""
        if self._wanted and not (self._batches or self._thread or self._is_closed):
            key = next(iter(self._wanted))
            self._cancelled = threading.Event()
            args = (key, self._wanted[key], self._cancelled)
            self._thread = threading.Thread(target=self._measure, args=args, name="tuner", daemon=True)
            self._thread.start()

    def _measure(self, key: Key, command: TuningCommand, cancelled: threading.Event) -> None:
        is_quiet = not cancelled.wait(QUIET_S)
        found = self._measured(command, cancelled) if is_quiet else None
        with self._lock:
            self._thread = None
            if found is not None or not cancelled.is_set():
                del self._wanted[key]
                self._tries[key] = self._tries.get(key, 0) + 1
            self._go_on()
        if is_quiet and found is None:
            log.info("event=tuning_%s network=%r", "interrupted" if cancelled.is_set() else "gave_nothing", key.network)

    def _measured(self, command: TuningCommand, cancelled: threading.Event) -> Tuning | None:
        """Measures and keeps."""
        try:
            found = measured(command, cancelled)
            if found is not None:
                self._tunings.keep(found)
                log.info(
                    "event=tuned network=%r processes=%d threads=%d images_per_s=%s",
                    *(found.key.network, found.processes, found.threads, found.images_per_s),
                )
            return found
        except (ModelError, OSError) as error:
            log.warning("event=tuning_failed reason=%s", error)
            return None
