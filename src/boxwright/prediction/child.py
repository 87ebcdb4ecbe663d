"""The inference child: ``python -m boxwright.prediction.child`` keeps models loaded and runs one batch job after another.

Commands on standard input, one a line: a `BatchJob` as JSON, or ``stop`` for the job under way. Events on standard output:

    {"event": "progress", "done", "failed", "estimated_images", "percent"}
    {"event": "shard", …ShardReport}
    {"event": "done", "shards", "images", "failed", "rows_read", "duplicates", "elapsed_s"}
    {"event": "stopped"}                                        shards that were finished stay
    {"event": "error", "code", "message", "row_failures"}       the job as a whole has failed

The child ends when its input ends.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import logging
import os
import pathlib
import queue
import sys
import threading
import time
from typing import Any

from boxwright import errors, objects
from boxwright.prediction.job import BatchJob
from boxwright.prediction.local_engine import LocalEngine
from boxwright.prediction.plan import Plan
from boxwright.prediction.predictor import ModelError, Predictor
from boxwright.prediction.sink import Sink

MODELS_KEPT = 2  # loaded models per child, least recently used out first
PROGRESS_INTERVAL_S = 0.25

log = logging.getLogger("boxwright.prediction.child")


class Commands:
    """Standard input, read by a thread: jobs in a queue, a stop at once, the end of the process at its end."""

    def __init__(self) -> None:
        self.jobs: queue.Queue[BatchJob] = queue.Queue()
        self.stop_requested = threading.Event()
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            if line.strip() == "stop":
                self.stop_requested.set()
            else:
                self.jobs.put(BatchJob.from_json(line))
        os._exit(0)  # the service is gone or wants us gone; shards are whole or absent, nothing needs tidying


class Events:
    """Standard output, one JSON object a line; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def say(self, event: str, **values: Any) -> None:
        """Writes one event."""
        line = json.dumps({"event": event, **values}, ensure_ascii=False)
        with self._lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


class Models:
    """The models kept in memory, by folder."""

    def __init__(self) -> None:
        self._open: collections.OrderedDict[str, Predictor] = collections.OrderedDict()

    def get(self, folder: str, threads: int) -> Predictor:
        """Returns the model's predictor, opening it if it is not in memory."""
        if folder not in self._open:
            self._open[folder] = Predictor.open(pathlib.Path(folder), streams=threads)
            while len(self._open) > MODELS_KEPT:
                self._open.popitem(last=False)
        self._open.move_to_end(folder)
        return self._open[folder]


def run_job(job: BatchJob, models: Models, events: Events, stop_requested: threading.Event) -> None:
    """Runs one job and says how it went; raises ApiError if the job as a whole fails."""
    started_s = time.monotonic()
    stores = objects.Stores.from_config(job.stores)
    sink = Sink(job, stores)
    sink.prepare()
    plan = Plan(job, stores)
    try:
        predictor = models.get(job.model_folder, job.threads)
    except ModelError as error:
        raise errors.failed_precondition(f"The model cannot be loaded: {error}") from error
    engine = LocalEngine(job, stores, predictor, sink)
    progress = _Progress(engine, plan, events)
    shards = images = failed = 0
    try:
        for report in engine.run(plan, stop_requested.is_set):
            shards += 1
            images += report.predicted + report.failed
            failed += report.failed
            progress.read_bytes = max(progress.read_bytes, report.read_bytes)
            events.say("shard", **dataclasses.asdict(report))
    except errors.ApiError as error:
        failures = [[status.code, status.message] for status in plan.row_failures]
        events.say("error", code=error.code, message=error.message, row_failures=failures)
        return
    finally:
        progress.end()
    if stop_requested.is_set():
        events.say("stopped")
        return
    manifest = sink.close(
        "SUCCEEDED", rows_read=plan.rows_read, duplicates=plan.duplicates, model_digest=predictor.digest
    )
    if manifest.images_predicted + sum(manifest.errors_by_code.values()) != plan.images_planned:
        raise RuntimeError(f"the manifest accounts for other images than the {plan.images_planned} planned: {manifest}")
    events.say(
        "done",
        shards=shards,
        images=images,
        failed=failed,
        rows_read=plan.rows_read,
        duplicates=plan.duplicates,
        elapsed_s=round(time.monotonic() - started_s, 3),
    )


class _Progress:
    """Says every quarter second how far the job is."""

    def __init__(self, engine: LocalEngine, plan: Plan, events: Events) -> None:
        self.read_bytes = 0
        self._engine = engine
        self._plan = plan
        self._events = events
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress")
        self._thread.start()

    def end(self) -> None:
        """Stops saying."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        said = -1
        while not self._ended.wait(PROGRESS_INTERVAL_S):
            done = self._engine.images_done
            if done == said:
                continue
            said = done
            estimated = max(self._plan.estimated_images(self.read_bytes), done, 1)
            percent = min(99, int(100 * done / estimated))
            self._events.say(
                "progress",
                done=done,
                failed=self._engine.images_failed,
                estimated_images=round(estimated),
                percent=percent,
            )


def main() -> None:
    """Runs jobs until standard input ends."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    commands, events, models = Commands(), Events(), Models()
    events.say("ready", pid=os.getpid())
    while True:
        job = commands.jobs.get()
        commands.stop_requested.clear()
        try:
            run_job(job, models, events, commands.stop_requested)
        except errors.ApiError as error:
            events.say("error", code=error.code, message=error.message, row_failures=[])


if __name__ == "__main__":
    main()
