"""A training process, whatever it trains: `python -m boxwright.detector.train_main JOB_DIR` and its like.

Standard output carries one JSON object a line, logging goes to standard error:

    {"event": "progress", "percent", "stage": "training" | "exporting" | "quantising" | "evaluating", "step", "steps",
     "epoch", "losses", "images_per_s", "eta_s", "initial_weights", …}
    {"event": "warning", "message"}
    {"event": "bucket", "bucket", "permission", "is_allowed"}             see `objects.BucketUse`
    {"event": "done", "stop_reason", "elapsed_s", "weights_sha256"}       last, exit 0
    {"event": "failed", "message"}                                        last, exit 1
    {"event": "interrupted", "message"}                                   last, exit 1: an image cannot be reached now
    {"event": "nothing"}                                                  last, exit 3: nothing is worth delivering

Standard input is the parent's hand: the line `stop` ends the process with exit code 3 within about two seconds, its
checkpoint kept; the line `finish` ends the training and delivers what it has learned, or ends the process with exit code 3
if that is not worth it; the end of input means that the parent is gone and ends it at once. Killing it is safe at any time.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn, TextIO

from boxwright.inference import model_folder
from boxwright.learning import listener
from boxwright.learning.job import EXAMPLES_FILE, JobError, Outcome, TrainingJob

EXIT_FAILED = 1
EXIT_STOPPED = 3
EXIT_ORPHANED = 4
STOP_GRACE_S = 1.5  # then the process ends wherever it is: every file is written atomically
MAX_WARNINGS = 200

Session = Callable[[TrainingJob, Callable[[str], bytes], listener.ProgressListener, listener.ElapsedTime], Outcome]
OpenSession = Callable[[], Session]


class Channel:
    """Events to the parent, and its wish to stop."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._finish = threading.Event()
        self._warnings = 0

    def emit(self, event: str, **fields: object) -> None:
        line = json.dumps({"event": event, **fields}, ensure_ascii=False)
        with self._lock:
            self._output.write(line + "\n")
            self._output.flush()

    def progress(self, percent: float, stage: str, **details: object) -> None:
        self.emit("progress", percent=round(percent, 2), stage=stage, **details)

    def warn(self, message: str) -> None:
        """Reports something the user should know; after `MAX_WARNINGS` only the log does."""
        self._warnings += 1
        if self._warnings <= MAX_WARNINGS:
            self.emit("warning", message=message)
        else:
            print(message, file=sys.stderr)

    def stop_requested(self) -> bool:
        return self._stop.is_set()

    def finish_requested(self) -> bool:
        return self._finish.is_set()

    def watch(self, parent: TextIO) -> None:
        """Obeys the parent until it is gone; runs in its own thread."""
        for line in parent:
            if line.strip() == "finish":
                self._finish.set()
            if line.strip() == "stop":
                self._stop.set()
                timer = threading.Timer(STOP_GRACE_S, os._exit, [EXIT_STOPPED])
                timer.daemon = True
                timer.start()
        os._exit(EXIT_ORPHANED)


def run_job(folder: pathlib.Path, channel: Channel, started_s: float, open_session: OpenSession) -> int:
    """Runs one job; returns the exit code."""
    try:
        job = TrainingJob.read(folder)
    except JobError as error:
        channel.emit("failed", message=str(error))
        return EXIT_FAILED

    # Seconds of imports: after the watcher is listening, and within the measured time.
    from google.rpc import code_pb2

    from boxwright import errors, objects
    from boxwright.learning import pixel_cache

    session = open_session()
    try:
        uses = objects.BucketUses(lambda use: channel.emit("bucket", **dataclasses.asdict(use)))
        stores = objects.Stores.from_config(job.stores).observed(uses.note)
        images = objects.ImportedImages.of_examples(stores, folder / EXAMPLES_FILE)
    except (KeyError, TypeError) as error:
        channel.emit("failed", message=f"The job's stores cannot be opened: {error!r}.")
        return EXIT_FAILED

    def read_bytes(uri: str) -> bytes:
        try:
            return images.get(uri)
        except errors.ApiError as error:
            if error.code != code_pb2.UNAVAILABLE:
                raise
            # no reason to train without the image: it is there and may be read again in a while
            raise objects.StoreLost(error) from error

    try:
        outcome = session(job, read_bytes, channel, listener.ElapsedTime(time.monotonic, started_s))
    except listener.TrainingStopped:
        if channel.finish_requested():
            channel.emit("nothing")
        return EXIT_STOPPED
    except objects.StoreLost as lost:
        channel.emit("interrupted", message=str(lost))
        return EXIT_FAILED
    except (
        JobError,
        FloatingPointError,
        pixel_cache.UnreadableImage,
        model_folder.ModelError,
        OSError,
        MemoryError,
    ) as error:
        # the system's own words have paths of this machine in them, which are no caller's business
        message = error.strerror if isinstance(error, OSError) else str(error)
        channel.emit("failed", message=message or type(error).__name__)
        return EXIT_FAILED
    channel.emit(
        "done",
        stop_reason=outcome.stop_reason,
        elapsed_s=round(outcome.elapsed_s, 2),
        weights_sha256=outcome.weights_sha256,
    )
    return 0


def start(open_session: OpenSession) -> NoReturn:
    """Runs the job that the command line names, and ends the process.

    Args:
        open_session: imports what trains, and returns the function that does a job.
    """
    started_s = time.monotonic()
    # Threads that wait for each other sleep instead of spinning. On a core that is also wanted by someone else, spinning
    # made training up to six times slower. Read once, when the tensor library is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    channel = Channel(sys.stdout)
    sys.stdout = sys.stderr  # nothing but events reaches the parent
    threading.Thread(target=channel.watch, args=[sys.stdin], daemon=True).start()
    code = run_job(pathlib.Path(sys.argv[1]), channel, started_s, open_session)
    sys.stderr.flush()
    os._exit(code)  # native runtimes must not delay or spoil the end with their clean-up
