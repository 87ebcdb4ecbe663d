"""The inference child: ``python -m boxwright.batch.child_main`` keeps models loaded and runs one batch job after another.

Commands on standard input, one a line: a `BatchJob`, a `TrialCommand` or an `EstimateCommand` as JSON, or ``stop`` for the
job under way.
Events on standard output:

    {"event": "progress", "done", "failed", "one_colour", "found", "estimated_images", "exact", "percent",
     "bottleneck", "stages", "amounts"}
    {"event": "shard", "committed", "is_found", "began_s", …ShardReport}   committed: shards that this run itself has
                                                                finished; is_found: this one was finished by an earlier run;
                                                                began_s: when it was begun, seconds since 1970, or null
    {"event": "resumed", "shards", "images", "failed", "first", "reasons"}   what earlier turns have finished, said at once
                                                                in place of their shards; see `output.first_failures`
    {"event": "hosts", "there", "wanted", "lost", "refused"}    of a cluster: there are so many, so many are wanted; so many
                                                                were lost or refused since the last such event
    {"event": "phase", "phase", "began_s", "took_s"}            a part has ended: recall, opening, planning or closing
    {"event": "done", "shards", "images", "failed", "found", "reused", "reuse", "one_colour", "rows_read", "duplicates",
     "unusable", "left_out", "elapsed_s", "images_per_s", "stages", "amounts", "verdict", "errors_files", "report"}
                                                                verdict: why the job fails although all is done, or null;
                                                                report: name of the page in the output folder, or empty
    {"event": "bucket", "bucket", "permission", "is_allowed"}   see `objects.BucketUse`; images count when a list names them
    {"event": "throttled", "bucket", "waiting", "throttled"}    calls wait for a store that is called too often
    {"event": "alive"}                                          nothing to report for a second
    {"event": "tried"}                                          the one image of a trial did no harm
    {"event": "estimating", "stage", "rows"}                    what an estimate is at
    {"event": "estimated", "estimate", "row_failures"}          see `estimate.estimator`
    {"event": "stopped"}                                        shards that were finished stay
    {"event": "error", "code", "message", "row_failures"}       the job as a whole has failed

The child ends when its input ends.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import logging
import os
import pathlib
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

from boxwright import errors, objects, processes
from boxwright.batch import store_waits, turn_file
from boxwright.batch.engine import opening
from boxwright.batch.engine.engine import Engine
from boxwright.batch.engine.loaded_models import LoadedModels
from boxwright.batch.engine.peer_pool import PeerPool
from boxwright.batch.estimate import estimator
from boxwright.batch.events import Events
from boxwright.batch.inputs import image_names, member_files
from boxwright.batch.job import BatchJob, EstimateCommand, TrialCommand, command_from_json
from boxwright.batch.job_progress import JobProgress, Phases, rounded
from boxwright.batch.output import verdict
from boxwright.batch.output.manifest import Manifest
from boxwright.batch.output.shard_reports import ShardReport
from boxwright.batch.output.sink import Sink
from boxwright.batch.plan import Plan
from boxwright.batch.plan_index import PlanPlace
from boxwright.batch.report.reporting import CandidateFile, Reporter, ReportStoppedError
from boxwright.batch.reuse import opening as reuse_opening
from boxwright.batch.reuse.opening import OpenedBase
from boxwright.batch.rewrite.rewriter import NoteUse, Rewriter
from boxwright.batch.rewrite.sources import Sources
from boxwright.batch.turn_file import TurnState
from boxwright.objects import throttling

log = logging.getLogger("boxwright.batch.child_main")


class Commands:
    """Standard input, read by a thread: jobs and trials in a queue, a stop at once, the end of the process at its end."""

    def __init__(self) -> None:
        self.jobs: queue.Queue[BatchJob | TrialCommand | EstimateCommand] = queue.Queue()
        self.stop_requested = threading.Event()
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def _read(self) -> None:
        try:
            for line in sys.stdin:
                if line.strip() == "stop":
                    self.stop_requested.set()
                else:
                    self.jobs.put(command_from_json(line))
        except (ValueError, TypeError, KeyError):
            log.exception("event=unreadable_job")
        os._exit(0)  # the service is gone or wants us gone; shards are whole or absent, nothing needs tidying


class JobEngine(Engine, Protocol):
    """An engine that knows its model."""

    @property
    def model_digest(self) -> str:
        """Names the model's exact version."""


@dataclasses.dataclass(frozen=True)
class EngineParts:
    """What an engine is made of.

    Attributes:
        job: what to predict and how.
        models: that this process keeps loaded.
        peers: the other processes of this machine.
        stores: where images come from.
        sink: where shards go.
        base: the former job whose results are taken over; None for none.
        note_use: hears of the buckets that other processes use.
    """

    job: BatchJob
    models: LoadedModels
    peers: PeerPool
    stores: objects.Stores
    sink: Sink
    base: OpenedBase | None
    note_use: NoteUse


OpenEngine: TypeAlias = Callable[[EngineParts], contextlib.AbstractContextManager[JobEngine]]


def open_here(parts: EngineParts) -> contextlib.AbstractContextManager[JobEngine]:
    """The engine of this machine, made ready for a job; see `engine.opening.opened`."""
    return opening.opened(parts.job, parts.models, parts.peers, parts.stores, parts.sink, parts.base)


def run_job(
    job: BatchJob,
    models: LoadedModels,
    peers: PeerPool,
    events: Events,
    stop_requested: threading.Event,
    open_engine: OpenEngine = open_here,
) -> None:
    """Runs one job and says how it went; raises ApiError if it cannot begin."""
    started_s = time.monotonic()
    uses = objects.BucketUses(lambda use: events.say("bucket", **dataclasses.asdict(use)))
    stores = objects.Stores.from_config(job.folders.stores).enduring(stop_requested.is_set).observed(uses.note)
    phases = Phases(events)
    with phases.timed("recall"):
        sink, begin = _begun(job, stores, events)
    with contextlib.ExitStack() as opened:
        opened.callback(sink.end_recall)
        with phases.timed("opening"):
            work = _work(
                job, models, peers, stores, sink, opened, lambda use: events.say("bucket", **use), open_engine, begin
            )
        progress = JobProgress(work.engine, work.plan, events, phases, sink.one_colour)
        try:
            done = _run(job, work, sink, stores, progress, stop_requested)
        except errors.ApiError as error:
            failures = [[status.code, status.message] for status in work.plan.row_failures]
            events.say("error", code=error.code, message=error.message, row_failures=failures)
            return
        finally:
            progress.end()
    if done is None:
        if isinstance(work.plan, Plan):
            state = sink.state()
            place = dataclasses.asdict(work.plan.place_of(sink.first_open))
            turn_file.keep(job, TurnState({"sink": state.values, "plan": place}, state.parts))
        events.say("stopped")
        return
    elapsed_s = time.monotonic() - started_s
    stage_s = rounded(work.engine.stage_s())
    images = done["images"]
    log.info("event=stages images=%d elapsed_s=%.3f %s", images, elapsed_s, _as_log(stage_s))
    done |= {"elapsed_s": round(elapsed_s, 3), "images_per_s": round(images / max(elapsed_s, 1e-3), 1)}
    events.say("done", **done, stages=stage_s, amounts=work.engine.amounts())


def _begun(job: BatchJob, stores: objects.Stores, events: Events) -> tuple[Sink, PlanPlace | None]:
    """Where the job's results go, with all that is there already, and from where on its plan is needed."""
    sink = Sink(job.spec, stores)
    kept = turn_file.taken(job)
    if kept is None:
        sink.prepare()
        sink.recall()
        return sink, None
    sink.go_on(TurnState(kept.values["sink"], kept.parts))
    shards, images, failed = sink.counted()
    events.say("resumed", shards=shards, images=images, failed=failed, **sink.failures.values())
    return sink, PlanPlace.of_values(kept.values["plan"])


@dataclasses.dataclass(frozen=True)
class _Work:
    """What there is to do, and who does it.

    Attributes:
        engine: works on the plan: predicts images, or makes shards of candidates.
        plan: what the engine works on.
        base: the former job whose results are taken over; None for candidates.
        reports: begins the work, and yields the report of each shard until all are done or the callable says to stop.
    """

    engine: JobEngine | Rewriter
    plan: Plan | Sources
    reports: Callable[[Callable[[], bool]], Iterator[ShardReport]]
    base: OpenedBase | None = None


def _work(
    job: BatchJob,
    models: LoadedModels,
    peers: PeerPool,
    stores: objects.Stores,
    sink: Sink,
    opened: contextlib.ExitStack,
    note_use: NoteUse,
    open_engine: OpenEngine,
    begin: PlanPlace | None,
) -> _Work:
    """Makes ready what the job needs; raises ApiError if it cannot begin."""
    if job.spec.reads_manifests:
        sources, rewriter = Sources(job.spec, stores), Rewriter(job, stores, sink, note_use)
        return _Work(rewriter, sources, functools.partial(rewriter.run, sources))
    made = Plan(job.spec, stores, job.folders.notes, sink.finished, begin=begin, is_counted=sink.is_counted)
    plan = opened.enter_context(contextlib.closing(made))
    base = opened.enter_context(reuse_opening.opened(job, stores))  # before the peers, which read its index
    parts = EngineParts(job, models, peers, stores, sink, base, note_use)
    engine = opened.enter_context(open_engine(parts))
    _, images, failed = sink.counted()
    engine.counts.add(done=images, failed=failed, found=images)
    return _Work(engine, plan, functools.partial(engine.run, plan), base)


def _run(
    job: BatchJob,
    work: _Work,
    sink: Sink,
    stores: objects.Stores,
    progress: JobProgress,
    stop_requested: threading.Event,
) -> dict[str, Any] | None:
    """Runs a plan to its end and writes the manifest; returns the counts of the event ``done``, None if it was stopped."""
    shards, images, failed = sink.counted()  # by earlier turns
    for report in work.reports(stop_requested.is_set):
        shards += 1
        images += report.predicted + report.failed + (report.reused if job.spec.only_new else 0)
        failed += report.failed
        progress.note(report)
    if stop_requested.is_set():
        return None
    why = sink.failures.first[0][2] if sink.failures.first else ""
    said = verdict.too_many_failed(
        sink.predicted + (sink.reused if job.spec.only_new else 0),
        sink.errors_by_code,
        why,
        job.spec.image_failure_limit,
    )
    try:
        with progress.phases.timed("closing"):
            manifest = _close(
                sink, work, "FAILED" if said else "SUCCEEDED", _reporter(job, work, stores, stop_requested)
            )
    except ReportStoppedError:
        return None
    if manifest.sources:  # their failed images are in no shard
        failed = sum(manifest.errors_by_code.values())
    left_out = collections.Counter[str]()
    for counts in manifest.left_out.values():
        left_out.update(counts)
    if left_out:
        log.info("event=left_out %s", image_names.in_words(left_out))
    return {
        "shards": shards,
        "images": images if not manifest.sources else images + failed,
        "failed": failed,
        "found": work.engine.counts.images_found,
        "reused": manifest.reused,
        "reuse": _reuse(work.base),
        "one_colour": progress.one_colour,
        "rows_read": work.plan.rows_read,
        "duplicates": work.plan.duplicates,
        "unusable": work.plan.rows_failed,
        "left_out": left_out.total(),
        "verdict": said,
        "errors_files": len(manifest.errors_files),
        "report": next((file.name for file in manifest.report if file.name.endswith(".html")), ""),
    }


def _reporter(job: BatchJob, work: _Work, stores: objects.Stores, stop_requested: threading.Event) -> Reporter:
    """What makes the report of a job whose shards are all there."""
    files = None
    if isinstance(work.plan, Sources):
        files = [CandidateFile(source.uri, source.sha256) for source in work.plan.shards()]
    return Reporter(job.spec, stores, pathlib.Path(job.folders.model), files, stop_requested.is_set)


def try_image(trial: TrialCommand, models: LoadedModels, events: Events) -> None:
    """Predicts the one image of a trial and forgets the result; raises ApiError if the model cannot be loaded."""
    stores = objects.Stores.from_config(trial.job.folders.stores)
    with opening.alone(trial.job, models, stores) as pipeline:
        pipeline.run(trial.image_id, member_files.left_by(trial.job.folders.notes, trial.image_id))
    events.say("tried")


def _close(sink: Sink, work: _Work, state: str, reporter: Reporter) -> Manifest:
    """Writes the manifest; raises RuntimeError rather than call a job done that left a row out."""
    plan, carried = work.plan, None
    if not plan.is_complete:
        raise RuntimeError("the engine ended before the list was read to its end")
    if isinstance(plan, Sources):
        state, carried = plan.state, plan.carry_over()
    manifest = sink.close(
        state,
        rows_read=plan.rows_read,
        duplicates=plan.duplicates,
        model_digest=work.engine.model_digest,
        left_out=plan.left_out,
        carried=carried,
        report=reporter.report,
        removed=None if work.base is None else work.base.removed(),
    )
    accounted = manifest.images_predicted + manifest.left_to_base + sum(manifest.errors_by_code.values())
    if accounted != plan.images_planned:
        raise RuntimeError(f"the manifest accounts for {accounted} images, but {plan.images_planned} were planned")
    return manifest


def _reuse(base: OpenedBase | None) -> str:
    """The manifest of the base, or why nothing was taken over; empty if the job asks for no base."""
    if base is None or base.reason:
        return "" if base is None else f"nothing was taken over: {base.reason}"
    return "" if base.source is None else base.source["manifest"]


def _as_log(stage_s: dict[str, float]) -> str:
    return " ".join(f"{stage.replace(' ', '_')}_s={spent_s}" for stage, spent_s in stage_s.items())


def main(open_engine: OpenEngine = open_here) -> None:
    """Runs jobs until standard input ends.

    Args:
        open_engine: makes the engine of a job.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    commands, events, models, peers = Commands(), Events(), LoadedModels(), PeerPool()
    events.say("ready", pid=os.getpid())
    store_waits.tell(events.say, lambda: throttling.count() + peers.throttled)
    while True:
        command = commands.jobs.get()
        commands.stop_requested.clear()
        try:
            if isinstance(command, TrialCommand):
                try_image(command, models, events)
            elif isinstance(command, EstimateCommand):
                estimator.run(command.job, models, peers, events, commands.stop_requested)
            else:
                run_job(command, models, peers, events, commands.stop_requested, open_engine)
        except errors.ApiError as error:
            events.say("error", code=error.code, message=error.message, row_failures=[])


if __name__ == "__main__":
    processes.end_quickly()
    main()
