"""The work of createModel: write the job, let a training child do it, store the model and its evaluations."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import pathlib
import secrets
import shutil
import time
from collections.abc import Callable, Container, Sequence
from typing import Any

import sqlalchemy as sa
from google.cloud.automl_v1 import types
from google.protobuf import message
from google.rpc import code_pb2, status_pb2

from boxwright import errors, kinds, names, objects, private, states
from boxwright.inference.model_folder import ModelError
from boxwright.inference.model_store import ModelFolders
from boxwright.metadata import database, datasets, messages, models
from boxwright.operations.runner import AttemptError, Context, Runner, Stopped, Success, TurnOver
from boxwright.processes import Child, ChildExitError
from boxwright.runners import training_counts, training_curve, training_forms, training_state
from boxwright.telemetry.metrics import Metrics

SECONDS_PER_MILLI_NODE_HOUR = 3.6  # one node: this machine
REPORT_INTERVAL_S = 1.0
OUTCOME_FILE = "outcome.json"
JOB_FILE = "job.json"
CHOICES_FILE = "choices.json"
REPLACED = (
    "left out of training: another image was imported from this address later, so its bytes are not there any more."
)
# Of the training child: freed memory is kept for the next step instead of going to the system and coming back page by page.
CHILD_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # the most that every version of glibc accepts
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainingLimits:
    """Settings of training; see `settings.TrainingSettings`."""

    train_minutes_max: float | None
    threads: int
    cache_bytes: int
    seed: int
    pretrained: bool = True
    weights_dir: pathlib.Path | None = None
    keep_best: bool = False
    unlabelled_as_negative: bool = False
    state_every_s: float = 60.0


class TrainModel(Runner):
    """Trains models in a child process.

    Args:
        db: the metadata database.
        stores: where the images are.
        work_dir: a folder for training jobs on this machine.
        folders: where trained models go.
        limits: settings of training.
        new_digits: makes evaluation ids.
        metrics: counts the time of trainings.
    """

    def __init__(
        self,
        db: database.Database,
        stores: objects.Stores,
        work_dir: pathlib.Path,
        folders: ModelFolders,
        limits: TrainingLimits,
        new_digits: Callable[[], str],
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._db = db
        self._stores = stores
        self._work_dir = work_dir
        self._folders = folders
        self._limits = limits
        self._new_digits = new_digits

    def run(self, request: bytes, context: Context) -> Success:
        """See `operations.runner.Runner`."""
        model = types.CreateModelRequest.deserialize(request).model
        name = names.ModelName.parse(model.name)
        folder = self._work_dir / context.name.operation
        outcome_file = folder / OUTCOME_FILE
        if not outcome_file.exists():
            state = self._state(context)
            state.fetch()
            self._write_job(folder, name, model, context.should_stop)
            module = _kind(model).training_module
            with state.followed():
                outcome = self._train(module, folder, context, keeps_best=self._keeps_best(model))
            private.replace_file(outcome_file, json.dumps(outcome), is_durable=True)
        outcome = json.loads(outcome_file.read_text())
        target = self._folders.enduring().publish(folder / "model", name.model)
        evaluation = json.loads((target / "evaluation.json").read_text())
        return Success(respond=lambda connection: self._store(connection, name, model, outcome, evaluation))

    def close_cancelled(self, request: bytes, context: Context) -> Success | None:
        """Delivers what earlier attempts have learned, if the model asks for that."""
        model = types.CreateModelRequest.deserialize(request).model
        if not self._keeps_best(model):
            return None
        try:
            has_begun = (self._work_dir / context.name.operation / JOB_FILE).exists() or self._state(context).exists()
        except errors.ApiError as error:
            raise AttemptError(f"the progress of the training cannot be read: {error.message}") from error
        return self.run(request, context) if has_begun else None

    def _state(self, context: Context) -> training_state.TrainingState:
        operation, every_s = context.name.operation, self._limits.state_every_s
        folder = self._work_dir / operation
        stores, epoch = self._stores, context.lease.epoch
        return training_state.TrainingState(stores, operation, folder, epoch, every_s, context.should_stop)

    def _keeps_best(self, model: types.Model) -> bool:
        wish = dict(model.labels).get(names.KEEP_BEST_LABEL)
        return self._limits.keep_best if wish is None else wish == "true"

    def tidy(self, operation: names.OperationName) -> None:
        """Deletes the job: examples, checkpoint, outcome, and their copy in the state."""
        shutil.rmtree(self._work_dir / operation.operation, ignore_errors=True)
        if self._stores.keeps_state_remotely:
            try:
                self._stores.delete_prefix(self._stores.state(f"operations/{operation.operation}"))
            except errors.ApiError as error:  # the next sweep deletes it
                log.warning("event=training_state_not_deleted operation=%s reason=%s", operation, error.message)

    # ---- the job ------------------------------------------------------------------------------------------------

    def _write_job(
        self, folder: pathlib.Path, name: names.ModelName, model: types.Model, should_stop: Callable[[], bool]
    ) -> None:
        """Writes examples.jsonl and choices.json, once for all attempts, and job.json, which adds this machine's part.

        The number of threads is one of the choices: it decides the weights, with the data and the seed.
        """
        if (folder / JOB_FILE).exists() and not (folder / CHOICES_FILE).exists():
            return  # begun by a former version
        private.make_folder(folder)
        if not (folder / CHOICES_FILE).exists():
            private.replace_file(folder / CHOICES_FILE, json.dumps(self._choices(folder, name, model)), is_durable=True)
        job = json.loads((folder / CHOICES_FILE).read_text())
        job["cache_bytes"] = self._limits.cache_bytes
        job["stores"] = self._stores.of_project(name.project).to_config()
        if self._limits.pretrained and self._limits.weights_dir is not None:
            job["weights_dir"] = str(self._limits.weights_dir)
        if base_model_id := getattr(_metadata(model), "base_model_id", ""):
            job["base_model_dir"] = str(self._base_model(name, base_model_id, should_stop))
        private.replace_file(folder / JOB_FILE, json.dumps(job), is_durable=True)

    def _choices(self, folder: pathlib.Path, name: names.ModelName, model: types.Model) -> dict[str, Any]:
        """What decides the weights, whatever machine they are trained on; also writes the examples."""
        with self._db.read() as connection:
            row = datasets.find(connection, name.project, name.location, model.dataset_id)
            if row is None:
                raise errors.not_found(errors.DATASET_UNKNOWN_TO_TRAINING)
            counts = datasets.examples_per_spec(connection, model.dataset_id)
            labels = [entry for entry in datasets.specs(connection, model.dataset_id) if counts.get(entry[0])]
            replaced = datasets.superseded(connection, model.dataset_id)
            self._write_examples(
                connection, row, folder / "examples.jsonl", [spec_id for spec_id, _ in labels], without=replaced
            )
        choices: dict[str, Any] = {
            "labels": [{"display_name": label, "annotation_spec_id": spec_id} for spec_id, label in labels],
            "model_type": _metadata(model).model_type,
            "budget_s": self._budget_s(model),
            "seed": self._limits.seed,
            "threads": self._limits.threads,
            "left_out": [f"{uri}: {REPLACED}" for uri in list(replaced.values())[: errors.MAX_PARTIAL_FAILURES]],
            "recipe": {} if self._limits.pretrained else {"pretrained": False},
        }
        if (labels_of_image := messages.classification_type(row)) is not None:
            choices["classification_type"] = labels_of_image.value
        return choices

    def _base_model(self, name: names.ModelName, base_model_id: str, should_stop: Callable[[], bool]) -> pathlib.Path:
        """The folder of the model that a training starts from, on this machine."""
        with self._db.read() as connection:
            base = models.find(connection, name.project, name.location, base_model_id)
        if base is None:
            raise errors.not_found(errors.MODEL_UNKNOWN)
        try:
            return self._folders.enduring(should_stop).local(base.folder)
        except ModelError as error:
            raise errors.failed_precondition(f"The base model {base_model_id} cannot be read: {error}") from error

    def _write_examples(
        self,
        connection: sa.Connection,
        row: sa.Row[Any],
        path: pathlib.Path,
        label_ids: Sequence[str],
        *,
        without: Container[int],
    ) -> None:
        """Writes what a dataset has to learn from, an example a line, ordered by content hash.

        Of several contents that were imported from one address, the one that was imported last is there: see `superseded`.
        Each line: uri, sha256, ml_use, and what the kind's form says. Label indices follow `label_ids`.
        """
        annotations_of = training_forms.of(kinds.of_member(row.metadata_member)).annotations
        index_of = {spec_id: index for index, spec_id in enumerate(label_ids)}
        labels_of_image = messages.classification_type(row)
        with private.open_file(path, "w") as lines:
            for example in datasets.examples_of(connection, row.id, without):
                if training_forms.is_learned(
                    example, labels_of_image, unlabelled_as_negative=self._limits.unlabelled_as_negative
                ):
                    image = {"uri": example.uri, "sha256": example.sha256, "ml_use": example.ml_use}
                    lines.write(json.dumps(image | annotations_of(example, index_of)) + "\n")

    def _budget_s(self, model: types.Model) -> float:
        budget_s = _metadata(model).train_budget_milli_node_hours * SECONDS_PER_MILLI_NODE_HOUR
        if self._limits.train_minutes_max is not None:
            budget_s = min(budget_s, self._limits.train_minutes_max * 60)
        return budget_s

    # ---- the child ----------------------------------------------------------------------------------------------

    def _train(self, module: str, folder: pathlib.Path, context: Context, *, keeps_best: bool) -> dict[str, Any]:
        """Runs the training child to its end and returns its outcome.

        Raises:
            Stopped, LeaseLost: the work should end.
            TurnOver: likewise, but what a cancelled training has learned is to be delivered later.
            AttemptError: the child died, or an image cannot be reached now.
        """
        job = json.loads((folder / JOB_FILE).read_text())
        threads = str(job["threads"])
        environment = {**CHILD_ENVIRONMENT, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        child = Child(module, [str(folder)], environment, variables=self._stores.variables, umask=private.UMASK)
        counts = training_counts.TrainingCounts(self._metrics)
        try:
            return self._follow(child, context, job.get("left_out", []), counts, keeps_best=keeps_best)
        except ChildExitError as error:
            raise AttemptError(str(error)) from error
        finally:
            child.close(grace_s=0)
            counts.end()

    def _follow(
        self,
        child: Child,
        context: Context,
        left_out: Sequence[str],
        counts: training_counts.TrainingCounts,
        *,
        keeps_best: bool,
    ) -> dict[str, Any]:
        warnings = [status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message=text) for text in left_out]
        if warnings:
            context.report(partial_failures=warnings)
        reported_s = 0.0
        curve = training_curve.TrainingCurve((context.reported or {}).get(training_curve.KEY))
        is_finishing = False
        while True:
            delivers = keeps_best and context.cancel_requested
            if context.should_stop() and (context.must_leave() or not delivers):
                child.stop()
                context.raise_if_lost()
                if delivers:
                    raise TurnOver(str(context.name))
                context.raise_if_stopped()
            if delivers and not is_finishing:
                child.send_line("finish")
                is_finishing = True
            event = child.next_event(timeout_s=0.1)
            counts.note(event)
            match event:
                case None:
                    continue
                case {"event": "progress", "percent": percent}:
                    curve.note(event)
                    if time.monotonic() - reported_s >= REPORT_INTERVAL_S:
                        reported_s = time.monotonic()
                        log.info("event=training operation=%s %s", context.name, json.dumps(event))
                        numbers = {key: value for key, value in event.items() if key not in ("event", "percent")}
                        numbers[training_curve.KEY] = curve.points
                        context.report(progress_percent=min(99, int(percent)), progress=numbers)
                case {"event": "bucket", "bucket": bucket, "permission": permission, "is_allowed": is_allowed}:
                    context.uses.note(objects.ObjectUri.parse(bucket), permission, is_allowed)
                case {"event": "warning", "message": text}:
                    log.warning("event=training_warning operation=%s reason=%s", context.name, text)
                    if len(warnings) < errors.MAX_PARTIAL_FAILURES:
                        warnings.append(status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=text))
                        context.report(partial_failures=warnings)
                case {"event": "nothing"}:
                    raise Stopped(str(context.name))
                case {"event": "interrupted", "message": text}:
                    raise AttemptError(text)
                case {"event": "failed", "message": text}:
                    raise errors.failed_precondition(f"Training failed: {text}")
                case {"event": "done", "stop_reason": stop_reason, "elapsed_s": elapsed_s}:
                    return {"stop_reason": stop_reason, "elapsed_s": elapsed_s}

    # ---- the result ---------------------------------------------------------------------------------------------

    def _store(
        self,
        connection: sa.Connection,
        name: names.ModelName,
        model: types.Model,
        outcome: dict[str, Any],
        evaluation: dict[str, Any],
    ) -> message.Message:
        """Adds the model and its evaluations; returns the operation's response."""
        kind, metadata = _kind(model), _metadata(model)
        now = database.now_us(connection)
        budget = metadata.train_budget_milli_node_hours
        cost = min(budget, math.ceil(outcome["elapsed_s"] / SECONDS_PER_MILLI_NODE_HOUR))
        values = {
            "id": name.model,
            "project": name.project,
            "location": name.location,
            "display_name": model.display_name,
            "dataset_id": model.dataset_id,
            "model_type": metadata.model_type,
            "labels": dict(model.labels),
            "etag": secrets.token_hex(8),
            "create_time_us": now,
            "update_time_us": now,
            "deployment_state": states.DeploymentState.UNDEPLOYED,
            "stop_reason": outcome["stop_reason"],
            "train_budget_milli_node_hours": budget,
            "train_cost_milli_node_hours": cost,
            "folder": name.model,
            "metadata_member": kind.model_member,
            "base_model_id": getattr(metadata, "base_model_id", ""),
        }
        metrics_of = training_forms.of(kind).metrics
        entries = [(one["annotation_spec_id"], one["display_name"], one) for one in evaluation["labels"]]
        entries.append(("", "", evaluation["overall"]))
        rows = [
            {
                "id": self._new_digits(),
                "model_id": name.model,
                "annotation_spec_id": spec_id,
                "display_name": display_name,
                # lists are newest first: the overall evaluation is the newest, as clients look for it first
                "create_time_us": now + position,
                "evaluated_example_count": entry["evaluated_example_count"],
                "metrics": metrics_of(entry),
            }
            for position, (spec_id, display_name, entry) in enumerate(entries)
        ]
        models.insert(connection, values, rows)
        row = models.find(connection, name.project, name.location, name.model)
        assert row is not None
        raw: message.Message = types.Model.pb(messages.model(row))
        return raw


def _kind(model: types.Model) -> kinds.DatasetKind:
    return kinds.of_member(types.Model.pb(model).WhichOneof("model_metadata"))


def _metadata(model: types.Model) -> Any:
    """The member of its metadata that is set: of each kind it has model type and budget."""
    return getattr(types.Model.pb(model), _kind(model).model_member)
