"""The AutoMl service: 18 methods in the order of the proto. Validate, look up, write one row, answer."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from google.cloud.automl_v1 import types
from google.longrunning import operations_pb2

from boxwright import errors, names, states
from boxwright.callers import Caller
from boxwright.metadata import database, datasets, models
from boxwright.metadata.schema import model_evaluations
from boxwright.metadata.schema import models as models_table
from boxwright.operations.ledger import Draft, Ledger, name_of
from boxwright.services import exclusivity, filters, messages, validation

EVALUATIONS_PAGE_SIZE = 50  # an evaluation is about 15 kB; a page stays far below the 4 MiB some clients accept
MIN_IMAGES_PER_LABEL = 10  # the documented requirement for training (spec 5.3)
MAX_LISTED_LABELS = 20  # error texts travel in headers, which clients accept up to 8 KiB

Kind = states.OperationKind
_Name = TypeVar("_Name", bound=names.ResourceName)


@dataclasses.dataclass(frozen=True)
class Policy:
    """The installation's choices that the services enforce.

    Attributes:
        locations: location ids served here.
        min_images_per_label: how many images each label needs before training starts.
        model_life_days: age at which a model stops predicting; None for never.
    """

    locations: Sequence[str] = ("us-central1",)
    min_images_per_label: int = MIN_IMAGES_PER_LABEL
    model_life_days: float | None = None


def random_digits() -> str:
    """Nineteen random decimal digits, the form of the service's ids (never starting with 0)."""
    return str(10**18 + secrets.randbelow(8 * 10**18))


class AutoMl:
    """`google.cloud.automl.v1.AutoMl`.

    Args:
        db: the metadata database.
        ledger: where operations are started.
        policy: the installation's choices.
        on_model_deleted: called with a deleted model's folder name, to free its disk and memory.
        new_digits: makes ids; random digits unless a test says otherwise.
    """

    def __init__(
        self,
        db: database.Database,
        ledger: Ledger,
        policy: Policy,
        on_model_deleted: Callable[[str], None],
        new_digits: Callable[[], str] = random_digits,
    ) -> None:
        self._db = db
        self._ledger = ledger
        self._policy = policy
        self._on_model_deleted = on_model_deleted
        self._new_digits = new_digits

    def create_dataset(self, request: types.CreateDatasetRequest, caller: Caller) -> operations_pb2.Operation:
        """Creates an empty dataset; the operation is done at once."""
        parent = self._location(request.parent, "parent")
        dataset = request.dataset
        validation.display_name(dataset.display_name, "dataset.display_name")
        validation.description(dataset.description, "dataset.description")
        validation.labels(dataset.labels, "dataset.labels")
        member = types.Dataset.pb(dataset).WhichOneof("dataset_metadata")
        if member is None:
            raise errors.invalid_argument("dataset.image_object_detection_dataset_metadata", "Required field not set.")
        prefix = messages.DATASET_PREFIXES[member]
        dataset_id = prefix + self._new_digits()
        with self._db.write() as connection:
            now = database.now_us(connection)
            datasets.insert(
                connection,
                {
                    "id": dataset_id,
                    "project": parent.project,
                    "location": parent.location,
                    "display_name": dataset.display_name,
                    "description": dataset.description,
                    "metadata_member": member,
                    "metadata_bytes": getattr(types.Dataset.pb(dataset), member).SerializeToString(),
                    "labels": dict(dataset.labels),
                    "etag": secrets.token_hex(8),
                    "create_time_us": now,
                    "update_time_us": now,
                },
            )
            row = datasets.find(connection, parent.project, parent.location, dataset_id)
            response = messages.packed(types.Dataset.pb(messages.dataset(row)))
            name = str(parent.dataset(dataset_id))
            draft = self._draft(parent, Kind.CREATE_DATASET, request, works_on=name, prefix=prefix)
            operation = self._ledger.start_done(connection, draft, response)
        return messages.operation(operation)

    def get_dataset(self, request: types.GetDatasetRequest, caller: Caller) -> types.Dataset:
        """Returns one dataset."""
        name = self._named(names.DatasetName, request.name, "name")
        with self._db.read() as connection:
            return messages.dataset(self._dataset(connection, name, f"Dataset {name} was not found."))

    def list_datasets(self, request: types.ListDatasetsRequest, caller: Caller) -> types.ListDatasetsResponse:
        """Lists a location's datasets, newest first."""
        parent = self._location(request.parent, "parent")
        table = datasets.datasets
        clauses = {
            member: filters.existence(lambda field: table.c.metadata_member == field, member)
            for member in messages.DATASET_PREFIXES
        }
        query = filters.apply(datasets.select_of(parent.project, parent.location), request.filter, clauses)
        rows, token = self._page(query, table, request, scope=f"datasets {parent} {request.filter}")
        return types.ListDatasetsResponse(datasets=[messages.dataset(row) for row in rows], next_page_token=token)

    def delete_dataset(self, request: types.DeleteDatasetRequest, caller: Caller) -> operations_pb2.Operation:
        """Deletes a dataset; models trained from it live on."""
        name = self._named(names.DatasetName, request.name, "name")
        with self._db.write() as connection:
            self._dataset(connection, name, errors.DATASET_UNKNOWN_TO_IMPORT)
            exclusivity.check(self._ledger, connection, name, Kind.DELETE_DATASET)
            datasets.delete(connection, name.dataset)
            draft = self._draft(name.parent, Kind.DELETE_DATASET, request, works_on=str(name))
            operation = self._ledger.start_done(connection, draft, messages.packed())
        return messages.operation(operation)

    def import_data(self, request: types.ImportDataRequest, caller: Caller) -> operations_pb2.Operation:
        """Starts the import of one or more CSVs; nothing is read before the operation is returned."""
        name = self._named(names.DatasetName, request.name, "name")
        with self._db.write() as connection:
            row = self._dataset(connection, name, errors.DATASET_UNKNOWN_TO_IMPORT)
            validation.input_uris(request.input_config.gcs_source.input_uris, "input_config.gcs_source.input_uris")
            _only_object_detection(row, "Images with boxes can be imported only into")
            exclusivity.check(self._ledger, connection, name, Kind.IMPORT_DATA)
            draft = self._draft(name.parent, Kind.IMPORT_DATA, request, works_on=str(name))
            operation = self._ledger.start(connection, draft)
        self._ledger.announce(operation)
        return messages.operation(operation)

    def get_annotation_spec(self, request: types.GetAnnotationSpecRequest, caller: Caller) -> types.AnnotationSpec:
        """Returns one label of a dataset and how many examples carry it."""
        name = self._named(names.AnnotationSpecName, request.name, "name")
        dataset_name = name.parent.dataset(name.dataset)
        with self._db.read() as connection:
            self._dataset(connection, dataset_name, f"Dataset {dataset_name} was not found.")
            row = datasets.find_spec(connection, name.dataset, name.annotation_spec)
            if row is None:
                raise errors.not_found(f"AnnotationSpec {name} was not found.")
            counts = datasets.examples_per_spec(connection, name.dataset)
        return types.AnnotationSpec(name=str(name), display_name=row.display_name, example_count=counts.get(row.id, 0))

    def create_model(self, request: types.CreateModelRequest, caller: Caller) -> operations_pb2.Operation:
        """Starts training; the model appears once it is trained."""
        parent = self._location(request.parent, "parent")
        model = request.model
        validation.display_name(model.display_name, "model.display_name", starts_with_letter=True)
        validation.labels(model.labels, "model.labels")
        if not model.dataset_id:
            raise errors.invalid_argument("model.dataset_id", "Required field not set.")
        with self._db.write() as connection:
            row = datasets.find(connection, parent.project, parent.location, model.dataset_id)
            if row is None:
                raise errors.not_found(errors.DATASET_UNKNOWN_TO_TRAINING)
            name = parent.dataset(row.id)
            _only_object_detection(row, "Models can be trained only from")
            request = self._resolved_training(parent, request)
            self._check_trainable(connection, name)
            exclusivity.check(self._ledger, connection, name, Kind.CREATE_MODEL)
            draft = self._draft(parent, Kind.CREATE_MODEL, request, works_on=str(name))
            operation = self._ledger.start(connection, draft)
        self._ledger.announce(operation)
        return messages.operation(operation)

    def get_model(self, request: types.GetModelRequest, caller: Caller) -> types.Model:
        """Returns one trained model."""
        name = self._named(names.ModelName, request.name, "name")
        with self._db.read() as connection:
            return messages.model(self._model(connection, name))

    def list_models(self, request: types.ListModelsRequest, caller: Caller) -> types.ListModelsResponse:
        """Lists a location's models, newest first."""
        parent = self._location(request.parent, "parent")
        members = [kind.replace("_dataset_", "_model_") for kind in messages.DATASET_PREFIXES]
        clauses: dict[str, filters.Clause] = {"dataset_id": filters.equals(models_table.c.dataset_id)}
        for member in members:
            is_ours = sa.true() if member == "image_object_detection_model_metadata" else sa.false()
            clauses[member] = filters.existence(lambda field, is_ours=is_ours: is_ours, member)  # type: ignore[misc]
        query = filters.apply(models.select_of(parent.project, parent.location), request.filter, clauses)
        rows, token = self._page(query, models_table, request, scope=f"models {parent} {request.filter}")
        return types.ListModelsResponse(model=[messages.model(row) for row in rows], next_page_token=token)

    def delete_model(self, request: types.DeleteModelRequest, caller: Caller) -> operations_pb2.Operation:
        """Deletes a model, its evaluations and its folder; refused while a batch prediction uses it."""
        name = self._named(names.ModelName, request.name, "name")
        with self._db.write() as connection:
            row = self._model(connection, name)
            running = self._ledger.running_on(connection, str(name))
            if running:
                raise errors.failed_precondition(
                    f"The model {name} is in use by {name_of(running[0])}; wait for its end or cancel it first."
                )
            models.delete(connection, name.model)
            draft = self._draft(name.parent, Kind.DELETE_MODEL, request, works_on=str(name))
            operation = self._ledger.start_done(connection, draft, messages.packed())
        self._on_model_deleted(row.folder)
        return messages.operation(operation)

    def get_model_evaluation(
        self, request: types.GetModelEvaluationRequest, caller: Caller
    ) -> types.ModelEvaluation:
        """Returns one evaluation of a model."""
        name = self._named(names.ModelEvaluationName, request.name, "name")
        model_name = name.parent.model(name.model)
        with self._db.read() as connection:
            self._model(connection, model_name)
            row = models.find_evaluation(connection, name.project, name.location, name.model, name.model_evaluation)
        if row is None:
            raise errors.not_found(f"ModelEvaluation {name} was not found.")
        return messages.model_evaluation(row, model_name)

    def list_model_evaluations(
        self, request: types.ListModelEvaluationsRequest, caller: Caller
    ) -> types.ListModelEvaluationsResponse:
        """Lists a model's evaluations, the overall one first; model ``-`` lists those of all models."""
        parent = self._named(names.ModelName, request.parent, "parent")
        wanted = None if parent.model == "-" else parent.model
        if wanted is not None:
            with self._db.read() as connection:
                self._model(connection, parent)
        clauses: dict[str, filters.Clause] = {
            "annotation_spec_id": filters.equals(model_evaluations.c.annotation_spec_id),
            # an old official sample passes this model filter here; every model of ours satisfies it
            "image_object_detection_model_metadata": filters.existence(
                lambda field: sa.true(), "image_object_detection_model_metadata"
            ),
        }
        query = models.evaluations_of(parent.project, parent.location, wanted)
        query = filters.apply(query, request.filter, clauses)
        scope = f"evaluations {parent} {request.filter}"
        rows, token = self._page(query, model_evaluations, request, scope=scope, default_size=EVALUATIONS_PAGE_SIZE)
        evaluations = [messages.model_evaluation(row, parent.parent.model(row.model_id)) for row in rows]
        return types.ListModelEvaluationsResponse(model_evaluation=evaluations, next_page_token=token)

    # ---- inside -------------------------------------------------------------------------------------------------

    def _location(self, text: str, field: str) -> names.LocationName:
        return self._named(names.LocationName, text, field)

    def _named(self, kind: type[_Name], text: str, field: str) -> _Name:
        name = kind.parse(text, field)
        validation.location(name, self._policy.locations, field)
        return name

    def _dataset(self, connection: sa.Connection, name: names.DatasetName, unknown: str) -> sa.Row[Any]:
        row = datasets.find(connection, name.project, name.location, name.dataset)
        if row is None:
            raise errors.not_found(unknown)
        return row

    def _model(self, connection: sa.Connection, name: names.ModelName) -> sa.Row[Any]:
        row = models.find(connection, name.project, name.location, name.model)
        if row is None:
            raise errors.not_found(errors.MODEL_UNKNOWN)
        return row

    def _draft(
        self, parent: names.LocationName, kind: Kind, request: Any, *, works_on: str, prefix: str = "IOD"
    ) -> Draft:
        return Draft(
            location=parent,
            id=prefix + self._new_digits(),
            kind=kind,
            request=type(request).serialize(request),
            details=messages.operation_details(kind),
            works_on=works_on,
        )

    def _page(
        self, query: sa.Select[Any], table: sa.Table, request: Any, *, scope: str, default_size: int = 100
    ) -> tuple[Sequence[sa.Row[Any]], str]:
        size = validation.page_size(request.page_size, default=default_size)
        after = database.PageKey.from_token(request.page_token, scope)
        with self._db.read() as connection:
            rows, following = database.newest_first(connection, query, table, page_size=size, after=after)
        return rows, following.token(scope) if following else ""

    def _resolved_training(self, parent: names.LocationName, request: types.CreateModelRequest) -> types.CreateModelRequest:
        """The request with model type, budget and the new model's name filled in: all that the runner needs."""
        member = types.Model.pb(request.model).WhichOneof("model_metadata")
        if member != "image_object_detection_model_metadata":
            why = "Required field not set." if member is None else f"'{member}' does not match the dataset's type."
            raise errors.invalid_argument("model.image_object_detection_model_metadata", why)
        resolved = types.CreateModelRequest(request)
        metadata = resolved.model.image_object_detection_model_metadata
        field = "model.image_object_detection_model_metadata"
        metadata.model_type = validation.model_type(metadata.model_type, f"{field}.model_type")
        metadata.train_budget_milli_node_hours = validation.train_budget(
            metadata.train_budget_milli_node_hours, metadata.model_type, f"{field}.train_budget_milli_node_hours"
        )
        resolved.model.name = str(parent.model("IOD" + self._new_digits()))
        return resolved

    def _check_trainable(self, connection: sa.Connection, name: names.DatasetName) -> None:
        """FAILED_PRECONDITION unless every label has enough images and something can be trained on (spec 5.3)."""
        counts = datasets.examples_per_spec(connection, name.dataset)
        specs = datasets.specs(connection, name.dataset)
        if not specs:
            raise errors.failed_precondition(f"Dataset {name} has no labelled boxes; import images with boxes first.")
        least = self._policy.min_images_per_label
        lacking = [f"'{label}' has {counts.get(spec, 0)}" for spec, label in specs if counts.get(spec, 0) < least]
        if lacking:
            shown = lacking[:MAX_LISTED_LABELS] + [f"{len(lacking) - MAX_LISTED_LABELS} more have too few"] * (
                len(lacking) > MAX_LISTED_LABELS
            )
            raise errors.failed_precondition(
                f"Each label needs at least {least} images with a box of it; in {name} {', '.join(shown)}. "
                "Import more images of these labels, or lower the minimum in the service's settings."
            )
        uses = datasets.examples_per_use(connection, name.dataset)
        if not uses.get(states.MlUse.TRAIN) and not uses.get(states.MlUse.UNASSIGNED):
            raise errors.failed_precondition(
                f"Dataset {name} has no images to train on: none is assigned to TRAIN or left UNASSIGNED."
            )


def _only_object_detection(row: sa.Row[Any], what: str) -> None:
    if row.metadata_member != messages.OBJECT_DETECTION:
        raise errors.failed_precondition(
            f"{what} datasets of kind {messages.OBJECT_DETECTION}; this one is {row.metadata_member}."
        )
