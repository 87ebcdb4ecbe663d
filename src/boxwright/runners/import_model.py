"""The work of importModel: fetch the files, let a limited process make a model of them, store the model and its evaluation.

The process that reads the network has neither secrets nor stores: what it needs lies in its folder before it starts.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import pathlib
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import sqlalchemy as sa
from google.cloud.automl_v1 import types
from google.protobuf import message
from google.rpc import code_pb2, status_pb2

from boxwright import errors, extras, kinds, names, objects, private, processes, rows, states
from boxwright.adapters import job
from boxwright.images import decode
from boxwright.inference.model_store import ModelFolders
from boxwright.metadata import database, messages, models
from boxwright.operations.runner import Context, Runner, Success
from boxwright.runners import box_rows, import_rows, training_forms

CHILD_MODULE = "boxwright.adapters.import_main"
MAX_NETWORK_BYTES = 2_000_000_000
MAX_LABELS_BYTES = 1_000_000
MAX_IMAGES = 500  # of the CSV; the first ones judge
MAX_IMAGES_BYTES = 2_000_000_000
CHILD_ATTEMPTS = 2  # it may have been killed for someone else's memory
EVALUATION_FILE = "evaluation.json"
MODEL_TYPE = "imported"
REPORTED_FACTS = ("layout", "evidence", "input", "resize", "fill", "validation", "hypotheses")

log = logging.getLogger(__name__)


class ImportFiles(Protocol):
    """The files of a request, as `services.model_imports` reads them."""

    @property
    def network(self) -> objects.ObjectUri:
        """The ONNX file."""

    @property
    def labels(self) -> objects.ObjectUri | None:
        """Names of the classes, one a line."""

    @property
    def examples(self) -> objects.ObjectUri | None:
        """An import CSV to validate with."""


class ImportParams(Protocol):
    """The params of a request, as `services.model_imports` reads them."""

    @property
    def display_name(self) -> str:
        """Of the model."""

    @property
    def chosen(self) -> dict[str, Any]:
        """Fields of `adapters.job.ImportJob`."""


@dataclasses.dataclass(frozen=True)
class RequestReader:
    """How a request is read; the services' own functions, which have judged it before."""

    files: Callable[[Any], ImportFiles]
    params: Callable[[Mapping[str, str], objects.ObjectUri], ImportParams]


@dataclasses.dataclass(frozen=True)
class ImportLimits:
    """What the process may use; see `settings.OperationsSettings`."""

    memory_bytes: int
    timeout_s: float
    threads: int


class ImportModel(Runner):
    """Imports networks that were trained elsewhere.

    Args:
        db: the metadata database.
        stores: where the files are.
        work_dir: a folder for the files on this machine.
        folders: where models go.
        limits: of the process.
        reader: of requests.
        new_digits: makes evaluation ids.
    """

    def __init__(
        self,
        db: database.Database,
        stores: objects.Stores,
        work_dir: pathlib.Path,
        folders: ModelFolders,
        limits: ImportLimits,
        reader: RequestReader,
        new_digits: Callable[[], str],
    ) -> None:
        self._db = db
        self._stores = stores
        self._work_dir = work_dir
        self._folders = folders
        self._limits = limits
        self._reader = reader
        self._new_digits = new_digits

    def run(self, request: bytes, context: Context) -> Success:
        """See `operations.runner.Runner`."""
        if not extras.can_import_models():
            raise errors.failed_precondition(extras.IMPORT_NEEDS)
        asked = types.ImportDataRequest.deserialize(request)
        config = asked.input_config
        files = self._reader.files(config.gcs_source.input_uris)
        params = self._reader.params(config.params, files.network)
        parent = names.LocationName.parse(asked.name)
        # of the operation's own digits, so that each attempt makes the same model
        name = parent.model(kinds.OBJECT_DETECTION.prefix + context.name.operation[3:])
        folder = self._work_dir / context.name.operation
        try:
            self._fetch(folder, name, files, params, context)
        except objects.StoreLost as lost:
            raise lost.error from lost
        outcome = folder / "outcome.json"
        if not outcome.exists():
            warnings = self._made(folder, context)
            private.replace_file(outcome, json.dumps(warnings), is_durable=True)
        warnings = json.loads(outcome.read_text(encoding="utf-8"))
        target = self._folders.enduring(context.should_stop).publish(folder / "model", name.model)
        evaluation = json.loads((target / EVALUATION_FILE).read_text(encoding="utf-8"))
        statuses = [status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message=text) for text in warnings]
        context.report(progress_percent=99, partial_failures=statuses[: errors.MAX_PARTIAL_FAILURES])
        log.info("event=model_imported operation=%s model=%s", context.name, name)
        return Success(respond=lambda connection: self._store(connection, name, params.display_name, evaluation))

    def tidy(self, operation: names.OperationName) -> None:
        """Deletes the files."""
        shutil.rmtree(self._work_dir / operation.operation, ignore_errors=True)

    # ---- the files ----------------------------------------------------------------------------------------------

    def _fetch(
        self, folder: pathlib.Path, name: names.ModelName, files: ImportFiles, params: ImportParams, context: Context
    ) -> None:
        """Fetches all files, then writes job.json; what an earlier attempt has fetched whole stays as it is."""
        if (folder / job.JOB_FILE).exists():
            return
        private.make_folder(folder)
        stores = context.limited(self._stores).named().stoppable(context.raise_if_stopped)
        self._fetch_network(stores, files.network, folder / job.SOURCE_FILE)
        chosen = dict(params.chosen)
        if "labels" not in chosen and files.labels is not None:
            chosen["labels"] = _labels(files.labels, stores.get(files.labels, max_bytes=MAX_LABELS_BYTES))
        if files.examples is not None:
            self._fetch_examples(stores, files.examples, folder, context)
        whole = job.ImportJob(
            model_id=name.model,
            memory_bytes=self._limits.memory_bytes,
            threads=self._limits.threads,
            timeout_s=self._limits.timeout_s,
            **chosen,
        )
        private.replace_file(folder / job.JOB_FILE, whole.to_json(), is_durable=True)

    def _fetch_network(self, stores: objects.Stores, uri: objects.ObjectUri, path: pathlib.Path) -> None:
        size_bytes = stores.head(uri).size_bytes
        if size_bytes > MAX_NETWORK_BYTES:
            raise errors.bad_request(
                f"{uri} has {size_bytes} bytes; at most {MAX_NETWORK_BYTES} are taken. Export the network in float16, or a "
                "smaller one."
            )
        with private.open_file(path, "wb") as file:
            for chunk in stores.stream(uri):
                file.write(chunk)

    def _fetch_examples(
        self, stores: objects.Stores, uri: objects.ObjectUri, folder: pathlib.Path, context: Context
    ) -> None:
        """Fetches the first images of the CSV, and writes examples.jsonl."""
        boxes: dict[str, list[list[Any]]] = {}
        for row in rows.read(stores, uri):
            try:
                parsed = box_rows.parse(row.cells, self._stores.schemes)
            except import_rows.BadRow as error:
                raise errors.bad_request(
                    f"{row.uri}, line {row.line}: {import_rows.with_header_hint(str(error), row)}"
                ) from error
            if parsed.uri not in boxes and len(boxes) == MAX_IMAGES:
                continue
            boxes.setdefault(parsed.uri, []).extend([one.label, *(one.box or ())] for one in parsed.annotations)
        if not boxes:
            raise rows.none_to_import([uri])
        private.make_folder(folder / job.IMAGES_FOLDER)
        total_bytes = 0
        with private.open_file(folder / job.EXAMPLES_FILE, "w") as lines:
            for number, (image, found) in enumerate(boxes.items()):
                content = stores.get(objects.ObjectUri.parse(image), max_bytes=decode.MAX_IMAGE_BYTES)
                total_bytes += len(content)
                if total_bytes > MAX_IMAGES_BYTES:
                    raise errors.bad_request(
                        f"The images of {uri} have more than {MAX_IMAGES_BYTES} bytes. Send fewer; 100 are enough."
                    )
                with private.open_file(folder / job.IMAGES_FOLDER / str(number), "wb") as file:
                    file.write(content)
                lines.write(json.dumps({"file": str(number), "boxes": found}) + "\n")
                if number % 20 == 0:
                    context.report(progress_percent=min(20, number * 20 // len(boxes)))

    # ---- the process --------------------------------------------------------------------------------------------

    def _made(self, folder: pathlib.Path, context: Context) -> list[str]:
        """Lets the process make the model; returns what it warns of.

        Raises:
            ApiError: INVALID_ARGUMENT: the network is not taken; DEADLINE_EXCEEDED.
        """
        for attempt in range(1, CHILD_ATTEMPTS + 1):
            shutil.rmtree(folder / "model", ignore_errors=True)
            child = processes.Child(CHILD_MODULE, [str(folder)], processes.FEW_HEAPS, umask=private.UMASK)
            try:
                return self._follow(child, context)
            except processes.ChildExitError as error:
                log.warning("event=import_child_died operation=%s attempt=%d reason=%s", context.name, attempt, error)
                if f"signal {int(signal.SIGXCPU)}" in str(error):
                    raise self._too_slow() from error
                if attempt == CHILD_ATTEMPTS:
                    raise errors.bad_request(
                        "Reading and trying out the network ended its process, "
                        f"{CHILD_ATTEMPTS} times. It may need more than the {self._limits.memory_bytes} bytes of memory "
                        "that it may use (setting import_model_bytes), or be damaged. Check it with onnx.checker."
                    ) from error
            finally:
                child.close(grace_s=0)
        raise AssertionError("the last attempt returns or raises")

    def _follow(self, child: processes.Child, context: Context) -> list[str]:
        until_s = time.monotonic() + self._limits.timeout_s
        while True:
            context.raise_if_stopped()
            if time.monotonic() > until_s:
                raise self._too_slow()
            match child.next_event(timeout_s=0.1):
                case {"event": "progress", "percent": percent, "stage": stage, "facts": facts}:
                    told = {key: facts[key] for key in REPORTED_FACTS if key in facts}
                    context.report(progress_percent=20 + int(percent) * 79 // 100, progress={"stage": stage, **told})
                case {"event": "refused", "message": "memory"}:
                    raise errors.bad_request(
                        f"The network needs more than {self._limits.memory_bytes} bytes of memory (setting "
                        "import_model_bytes)."
                    )
                case {"event": "refused", "message": text}:
                    raise errors.bad_request(str(text))
                case {"event": "failed", "message": text}:
                    raise errors.failed_precondition(f"The network could not be imported: {text}")
                case {"event": "done", "warnings": warnings}:
                    return [str(text) for text in warnings]

    def _too_slow(self) -> errors.ApiError:
        return errors.deadline_exceeded(
            f"The network was not read and tried out within {self._limits.timeout_s:g} s (setting import_model_timeout_s)."
        )

    # ---- the result ---------------------------------------------------------------------------------------------

    def _store(
        self, connection: sa.Connection, name: names.ModelName, display_name: str, evaluation: dict[str, Any]
    ) -> message.Message:
        """Adds the model and its evaluations; returns the operation's response."""
        kind, now = kinds.OBJECT_DETECTION, database.now_us(connection)
        values = {
            "id": name.model,
            "project": name.project,
            "location": name.location,
            "display_name": display_name,
            "dataset_id": "",
            "model_type": MODEL_TYPE,
            "labels": {},
            "etag": secrets.token_hex(8),
            "create_time_us": now,
            "update_time_us": now,
            "deployment_state": states.DeploymentState.UNDEPLOYED,
            "stop_reason": "",
            "train_budget_milli_node_hours": 0,
            "train_cost_milli_node_hours": 0,
            "folder": name.model,
            "metadata_member": kind.model_member,
        }
        entries = [(one["annotation_spec_id"], one["display_name"], one) for one in evaluation.get("labels", [])]
        if evaluation:
            entries.append(("", "", evaluation["overall"]))
        metrics_of = training_forms.of(kind).metrics
        evaluations = [
            {
                "id": self._new_digits(),
                "model_id": name.model,
                "annotation_spec_id": spec_id,
                "display_name": label,
                "create_time_us": now + position,  # lists are newest first, the overall evaluation is the newest
                "evaluated_example_count": entry["evaluated_example_count"],
                "metrics": metrics_of(entry),
            }
            for position, (spec_id, label, entry) in enumerate(entries)
        ]
        models.insert(connection, values, evaluations)
        row = models.find(connection, name.project, name.location, name.model)
        assert row is not None
        return types.Model.pb(messages.model(row))


def _labels(uri: objects.ObjectUri, content: bytes) -> list[str]:
    """The lines of a file of labels; empty ones at its end do not count."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise errors.bad_request(f"{uri} is no UTF-8 text; a file of labels has one name a line.") from None
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.strip() for line in lines]
