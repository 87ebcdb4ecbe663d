"""The work of batchPredict: make the job, let an inference child run it, pass on what it says."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from google.cloud.automl_v1 import types
from google.rpc import code_pb2, status_pb2

from boxwright import errors, kinds, names, objects
from boxwright.batch import spec_file
from boxwright.batch.child_pool import Children, JobChild
from boxwright.batch.inputs import addresses
from boxwright.batch.job import Attempt, BatchJob, BatchSpec, JobFolders, MachineShare, is_manifest, stamp
from boxwright.batch.output.manifest import MANIFEST_FILE
from boxwright.batch.output.sink import Sink
from boxwright.batch.tuning.scheduler import Tuner
from boxwright.inference import runtime_selection
from boxwright.inference.model_folder import ModelError, ModelInfo
from boxwright.inference.model_store import ModelFolders
from boxwright.metadata import database, models
from boxwright.operations import sharing
from boxwright.operations.runner import Context, Runner, Stopped, Success, TurnOver
from boxwright.processes import STOP_GRACE_S
from boxwright.runners import base_choice, batch_choices, batch_counts, batch_spans, host_counts, output_folders
from boxwright.runners.batch_choices import OutputSettings
from boxwright.runners.batch_progress import BatchProgress
from boxwright.runners.dry_run import DryRuns
from boxwright.runners.isolation import Isolation, events
from boxwright.runners.plan_folders import PlanFolders
from boxwright.telemetry.metrics import Metrics

REPORT_INTERVAL_S = 0.5
PASSES_FILE = "passes.json"

log = logging.getLogger(__name__)


@dataclasses.dataclass
class _Failures:
    """The first failed images in input order, whatever order their shards finish in."""

    first: list[tuple[int, int, str]] = dataclasses.field(default_factory=list)

    def add(self, shard: int, failures: list[list[Any]]) -> bool:
        """Takes failures of a shard; returns whether any is among the first."""
        before = self.first
        self.first = sorted([*before, *((shard, code, text) for code, text in failures)], key=lambda f: f[0])
        del self.first[errors.MAX_PARTIAL_FAILURES :]
        return self.first != before

    def statuses(self) -> list[status_pb2.Status]:
        return [status_pb2.Status(code=code, message=text) for _, code, text in self.first]


class BatchPredict(Runner):
    """Runs batch predictions in child processes.

    Args:
        db: to look the model up.
        stores: where lists and images are, and where results go.
        plans: where plans and the notes on images under way are kept.
        folders: the trained models.
        children: the inference children.
        tuner: knows how many processes suit a model.
        output: the settings that reach the output.
        share: what this machine gives for a job.
        dry_runs: estimates jobs that are not to be done.
        validated_params: parses a request's params, by the model's kind, into the fields of a `BatchSpec` that they choose.
        metrics: counts images, shards and children.
    """

    def __init__(
        self,
        db: database.Database,
        stores: objects.Stores,
        plans: PlanFolders,
        folders: ModelFolders,
        children: Children,
        tuner: Tuner,
        output: OutputSettings,
        share: MachineShare,
        dry_runs: DryRuns,
        validated_params: Callable[[kinds.DatasetKind, Mapping[str, str]], dict[str, Any]],
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._hosts = host_counts.HostCounts(self._metrics)
        self._db = db
        self._stores = stores
        self._plans = plans
        self._folders = folders
        self._children = children
        self._tuner = tuner
        self._output = output
        self._share = share
        self._dry_runs = dry_runs
        self._validated_params = validated_params

    def run(self, request: bytes, context: Context) -> Success:
        """See `operations.runner.Runner`."""
        with self._tuner.batch():
            message = types.BatchPredictRequest.deserialize(request)
            job = self._tuner.tuned(self._job(message, context))
            if job.share.processes:
                threads = job.share.of_one_process().cores
                log.info(
                    "event=tuning operation=%s processes=%d threads=%d", context.name, job.share.processes, threads
                )
            if context.is_dry_run:
                return _success(self._dry_run(job, message.output_config.gcs_destination.output_uri_prefix, context))
            try:
                numbers = self._run_job(job, context)
            except Stopped:
                if context.cancel_requested:
                    self._close_cancelled(job, context)
                raise
            if not job.spec.reads_manifests:  # else no network has run
                self._tuner.succeeded(job)
        told = {key: str(numbers[key] or 0) for key in ("failed", "elapsed_s", "images_per_s", "manifest")}
        told["images"] = str(numbers["done"])
        if numbers["report"]:
            told["report"] = numbers["report"]
        told |= {key: str(numbers[key]) for key in ("reused", "reuse") if key in numbers}
        if numbers["left_out"]:
            told["left_out"] = str(numbers["left_out"])
        return _success(told)

    def _dry_run(self, job: BatchJob, output_prefix: str, context: Context) -> dict[str, str]:
        """Estimates a job; its file is all that is written below the output prefix."""
        prefix = objects.ObjectUri.parse(output_prefix)

        def put(name: str, content: bytes) -> str:
            uri = prefix.child(name)
            context.limited(self._stores, prefix).stoppable(context.raise_if_stopped).put(uri, content)
            return str(uri)

        return self._dry_runs.run(job, context, self._stop, put)

    def made_output(self, context: Context) -> bool:
        """See `operations.runner.Runner`."""
        return output_folders.holds_anything(self._stores.of_project(context.name.project), context.output_directory)

    def close_cancelled(self, request: bytes, context: Context) -> Success | None:
        """Writes the manifest of what earlier turns have finished."""
        if context.output_directory:
            try:
                job = self._job(types.BatchPredictRequest.deserialize(request), context)
            except errors.ApiError as error:
                log.warning("event=cancelled_without_manifest operation=%s reason=%s", context.name, error.message)
            else:
                self._close_cancelled(job, context)
        return None

    def tidy(self, operation: names.OperationName) -> None:
        """Deletes the plan, the reports and the notes, unless the operation can be resumed; and those of older ones."""
        self._plans.sweep_quietly()

    def _close_cancelled(self, job: BatchJob, context: Context) -> None:
        """Writes the CANCELLED manifest; who cancels is not kept waiting by a store that takes none."""
        try:
            digest = ModelInfo.read(pathlib.Path(job.folders.model)).digest
            stores = self._limited(context, job.spec.output_directory)
            Sink(job.spec, stores).close("CANCELLED", rows_read=0, duplicates=0, model_digest=digest)
        except (errors.ApiError, ModelError) as error:
            log.warning("event=cancelled_without_manifest operation=%s reason=%s", context.name, error)

    def _job(self, request: types.BatchPredictRequest, context: Context) -> BatchJob:
        name = names.ModelName.parse(request.name)
        with self._db.read() as connection:
            model = models.find(connection, name.project, name.location, name.model)
        if model is None:
            raise errors.not_found(errors.MODEL_UNKNOWN)
        try:
            model_folder = self._folders.enduring(context.should_stop).local(model.folder)
            info = ModelInfo.read(model_folder)
        except ModelError as error:
            raise errors.failed_precondition(f"The model {name} cannot be loaded: {error}") from error
        spec = self._spec(request, context, model.display_name, kinds.of_member(model.metadata_member), info)
        if not context.is_dry_run:
            context.keep_output_directory(spec.output_directory)
        notes = self._plans.notes(context.plan_id)
        stores = self._limited(context, spec.output_directory)
        folders = JobFolders(str(model_folder), stores.to_config(), str(notes))
        share = dataclasses.replace(self._share, priority_weight=sharing.weight(context.priority))
        return BatchJob(spec, folders, share, Attempt(str(context.name), context.lease.epoch))

    def _limited(self, context: Context, output_directory: str) -> objects.Stores:
        """The stores for what the caller may: they go to the inference child, which judges every image by them."""
        return context.limited(self._stores, objects.ObjectUri.parse(output_directory))

    def _spec(
        self,
        request: types.BatchPredictRequest,
        context: Context,
        display_name: str,
        kind: kinds.DatasetKind,
        info: ModelInfo,
    ) -> BatchSpec:
        """What decides the output: as the first attempt had it, whatever the settings are by now."""
        prefix = objects.ObjectUri.parse(request.output_config.gcs_destination.output_uri_prefix)
        inputs = list(request.input_config.gcs_source.input_uris)
        lists = addresses.uris(inputs, self._stores.schemes)
        context.limited(self._stores).check_request(lists, prefix)
        if not context.output_directory:  # before anything is done, and before a folder is named
            context.limited(self._stores, prefix).stoppable(context.raise_if_stopped).check_destination(prefix)
        params = self._validated_params(kind, request.params)
        params.pop("validate_only", None)
        directory = str(prefix.child(f"prediction-{display_name}-{stamp(context.create_time_us)}"))
        predicts = not any(map(is_manifest, inputs))
        on_gpu = runtime_selection.is_for_a_gpu(
            info.is_onnx(self._output.precision or info.precision), self._share.runtime
        )
        chosen = batch_choices.chosen(self._output, params, info, predicts=predicts, on_gpu=on_gpu)
        base = base_choice.BaseChoice()
        if predicts and not context.output_directory:  # a later attempt keeps to the first one's
            stores = context.limited(self._stores, prefix).stoppable(context.raise_if_stopped).named()
            wish, model = params.get("reuse", self._output.reuse), names.ModelName.parse(request.name)
            base = base_choice.choose(self._db, stores, wish, model, prefix, chosen["policy_digest"])
        spec = BatchSpec(
            input_uris=inputs,
            output_directory=context.output_directory or directory,
            scratch=str(self._plans.scratch(context.plan_id)),
            model=request.name,
            kind=kind.name,
            pass_number=len(self._earlier_passes(context)),
            **base.fields,
            **chosen,
        )
        try:
            return spec_file.kept(
                self._stores,
                spec,
                is_begun=bool(context.output_directory),
                must_exist=bool(context.output_directory) and context.goes_on,
                requested=params.keys(),
            )
        except objects.ObjectNotFound as error:
            raise errors.failed_precondition(
                f"The plan that {context.name} would go on with is gone; start a new batch prediction."
            ) from error

    def _earlier_passes(self, context: Context) -> list[str]:
        """The ids of the operations before this one that tried every image of the plan and failed by their limit."""
        if not context.goes_on:
            return []
        try:
            passes = self._plans.scratch(context.plan_id).child(PASSES_FILE)
            ended: list[str] = json.loads(self._stores.enduring(context.should_stop).get(passes))
        except objects.ObjectNotFound:
            return []
        return [operation for operation in ended if operation != context.name.operation]

    def _end_pass(self, context: Context) -> None:
        """Notes that this operation has tried every image: one that resumes it tries the failed ones again."""
        ended = [*self._earlier_passes(context), context.name.operation]
        passes = self._plans.scratch(context.plan_id).child(PASSES_FILE)
        self._stores.enduring(context.should_stop).put(passes, json.dumps(ended).encode())

    def _run_job(self, job: BatchJob, context: Context) -> dict[str, Any]:
        """Runs the job in a child; when an image takes the child down with it, leaves that image out and goes on.

        Returns:
            The numbers at the end, as they are reported; `manifest` is the manifest's address.

        Raises:
            ApiError: the job has failed.
        """
        precision = job.spec.precision or ModelInfo.read(pathlib.Path(job.folders.model)).precision
        known = {"precision": precision, "cores": job.share.cores}
        predicts = not job.spec.reads_manifests
        progress = BatchProgress(before=context.reported, predicts=predicts, known=known, others=self._tuner.others)

        def run(child: JobChild) -> dict[str, Any]:
            counts, traced = batch_counts.BatchCounts(self._metrics, self._hosts), batch_spans.BatchSpans()

            def hear(event: dict[str, Any]) -> None:
                counts.note(event)
                traced.note(event)

            child.send_line(job.to_json())
            try:
                return self._follow(child, context, progress, hear, job.spec.image_timeout_s)
            except TurnOver:
                self._stop(child)  # in good order, so that the next job finds the model loaded
                raise
            finally:
                counts.end()
                _report_end(context, progress)

        done = Isolation(self._children, job, self._metrics).in_child(context, run)
        manifest = objects.ObjectUri.parse(job.spec.output_directory).child(MANIFEST_FILE)
        counts = {key: done[key] for key in ("errors_files", "left_out")}
        if done["reuse"]:
            counts |= {key: done[key] for key in ("reused", "reuse")}
        report = str(objects.ObjectUri.parse(job.spec.output_directory).child(done["report"])) if done["report"] else ""
        numbers = progress.final(done) | {"manifest": str(manifest), "report": report} | counts
        context.report(progress=numbers, images=progress.newly_tried())
        log.info("event=batch_done operation=%s %s", context.name, _as_log(done))
        if done["verdict"]:
            self._end_pass(context)
            raise errors.failed_precondition(done["verdict"])
        return numbers

    def _follow(
        self,
        child: JobChild,
        context: Context,
        progress: BatchProgress,
        hear: Callable[[dict[str, Any]], None],
        image_timeout_s: float,
    ) -> dict[str, Any]:
        """Passes the child's events on until the job is done; stops the child when the operation should stop.

        `hear` is told each of them.

        Returns:
            The event ``done``.
        """
        failures = _Failures()
        progress.begin_child()
        reported_s = 0.0
        first_shard_s: float | None = None  # of this attempt: finding what is there already is no turn
        heard = events(child, context, self._stop, image_timeout_s)
        while True:
            event = next(heard)
            hear(event)
            match event:
                case {"event": "progress" | "alive" | "throttled"}:
                    progress.note(event)
                    if time.monotonic() - reported_s >= REPORT_INTERVAL_S:
                        reported_s = time.monotonic()
                        context.report(
                            progress_percent=event.get("percent"),
                            progress=progress.numbers(),
                            images=progress.newly_tried(),
                        )
                        progress.log(context.name)
                case {"event": "shard", "shard": shard, "failures": listed, "committed": committed}:
                    if listed or event["errors_by_code"]:
                        progress.note_failures(shard, event["errors_by_code"], listed)
                    if listed and failures.add(shard, listed):
                        context.report(partial_failures=failures.statuses())
                    if committed and first_shard_s is None:
                        first_shard_s = time.monotonic()
                    if first_shard_s is not None and context.should_yield(time.monotonic() - first_shard_s):
                        raise TurnOver(str(context.name))
                case {"event": "resumed", "first": first, "reasons": reasons}:
                    for shard, code, text in first:
                        failures.add(shard, [[code, text]])
                    for code_name, (images, shard, text) in reasons.items():
                        progress.note_failures(shard, {code_name: images}, [[code_pb2.Code.Value(code_name), text]])
                    log.info("event=batch_goes_on operation=%s shards=%d", context.name, event["shards"])
                case {"event": "error", "code": code, "message": message, "row_failures": rows}:
                    if rows:
                        context.report(partial_failures=[status_pb2.Status(code=c, message=text) for c, text in rows])
                    raise errors.ApiError(code, message)
                case {"event": "done"}:
                    return event

    def _stop(self, child: JobChild) -> None:
        """Ends the job under way: whole shards stay; a child that does not listen in time is killed."""
        child.send_line("stop")
        deadline_s = time.monotonic() + STOP_GRACE_S
        while time.monotonic() < deadline_s:
            event = child.next_event(timeout_s=0.1)
            if event is not None and event["event"] in ("stopped", "done", "error"):
                return
        child.close(grace_s=0)


def _success(told: dict[str, str]) -> Success:
    return Success(respond=lambda connection: types.BatchPredictResult.pb(types.BatchPredictResult(metadata=told)))


def _report_end(context: Context, progress: BatchProgress) -> None:
    """Keeps the numbers of an attempt that has ended, in whatever way; who has lost the lease keeps nothing."""
    with contextlib.suppress(errors.LeaseLost, database.Transient):
        context.report(progress=progress.ended(), images=progress.newly_tried())


def _as_log(event: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in event.items() if key not in ("event", "verdict"))
