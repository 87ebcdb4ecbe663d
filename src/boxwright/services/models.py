"""The AutoMl methods about models and their evaluations, in proto order."""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa
from google.cloud.automl_v1 import types
from google.longrunning import operations_pb2
from google.protobuf import struct_pb2

from boxwright import errors, extras, kinds, names, states
from boxwright.access import policies
from boxwright.callers import Caller
from boxwright.metadata import database, datasets, models
from boxwright.metadata.schema import model_evaluations
from boxwright.metadata.schema import models as models_table
from boxwright.operations.ledger import name_of
from boxwright.services import exclusivity, filters, messages, model_imports, training_rules, updates, validation
from boxwright.services.resources import Kind, Resources

EVALUATIONS_PAGE_SIZE = 50  # an evaluation is about 15 kB; a page stays far below the 4 MiB some clients accept
EXPORTABLE = ("mobile-", "imported")  # how model types begin whose networks can be exported
MAX_NODES = 100  # model deployment metadata: 1 to 100 nodes
_KIND_CLAUSES: dict[str, filters.Clause] = {
    kind.model_member: filters.existence(lambda field: models_table.c.metadata_member == field, kind.model_member)
    for kind in kinds.ALL
}


class ModelMethods(Resources):
    """Models and their evaluations."""

    def create_model(self, request: types.CreateModelRequest, caller: Caller) -> operations_pb2.Operation:
        """Starts training; the model appears once it is trained."""
        parent = self._location(request.parent, "parent")
        model = request.model
        validation.display_name(model.display_name, "model.display_name", starts_with_letter=True)
        validation.labels(model.labels, "model.labels")
        validation.keep_best(model.labels, "model.labels")
        if not model.dataset_id:
            raise errors.invalid_argument("model.dataset_id", "Required field not set.")
        if not self._policy.trains:
            raise errors.failed_precondition(extras.TRAINING_NEEDS)
        self._ledger.limits.check_stored(self._db, parent.project)
        with self._db.write() as connection:
            row = datasets.find(connection, parent.project, parent.location, model.dataset_id)
            if row is None:
                raise errors.not_found(errors.DATASET_UNKNOWN_TO_TRAINING)
            name = parent.dataset(row.id)
            request = self._resolved_training(connection, parent, row, request)
            exclusivity.check(self._ledger, connection, name, Kind.CREATE_MODEL)
            draft = self._draft(caller, parent, Kind.CREATE_MODEL, request, works_on=str(name))
            operation = self._ledger.start(connection, draft)
        return self._announced(operation)

    def import_model(self, request: types.ImportDataRequest, caller: Caller) -> operations_pb2.Operation:
        """Starts the import of a network that was trained elsewhere; the model appears once it is recognised and adapted."""
        parent = self._location(request.name, "name")
        config = request.input_config
        files = model_imports.files(config.gcs_source.input_uris, self._policy.schemes)
        model_imports.params(config.params, files.network)
        self._looks.check(caller, files.all, project=parent.project)
        self._ledger.limits.check_stored(self._db, parent.project)
        with self._db.write() as connection:
            draft = self._draft(caller, parent, Kind.IMPORT_MODEL, request, works_on=str(parent))
            operation = self._ledger.start(connection, draft)
        return self._announced(operation)

    def get_model(self, request: types.GetModelRequest, caller: Caller) -> types.Model:
        """Returns one trained model."""
        name = self._named(names.ModelName, request.name, "name")
        with self._db.read() as connection:
            return messages.model(self._model(connection, name))

    def describe_model(self, request: types.GetModelRequest, caller: Caller) -> struct_pb2.Struct:
        """Returns what the model's own document says: input size, precision, provenance, digests."""
        name = self._named(names.ModelName, request.name, "name")
        with self._db.read() as connection:
            folder = self._model(connection, name).folder
        answer = struct_pb2.Struct()
        answer.update(self._online.describe(folder))
        return answer

    def list_models(self, request: types.ListModelsRequest, caller: Caller) -> types.ListModelsResponse:
        """Lists a location's models, newest first."""
        parent = self._location(request.parent, "parent")
        clauses = {"dataset_id": filters.equals(models_table.c.dataset_id), **_KIND_CLAUSES}
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
            policies.forget(connection, str(name))
            draft = self._draft(caller, name.parent, Kind.DELETE_MODEL, request, works_on=str(name))
            operation = self._ledger.start_done(connection, draft, messages.packed())
        self._online.delete(row.folder)
        return messages.operation(operation)

    def update_model(self, request: types.UpdateModelRequest, caller: Caller) -> types.Model:
        """Changes the display name or labels that the mask names."""
        name = self._named(names.ModelName, request.model.name, "model.name")
        model = request.model
        checks = {
            "display_name": lambda: validation.display_name(
                model.display_name, "model.display_name", starts_with_letter=True
            ),
            "labels": lambda: validation.labels(model.labels, "model.labels"),
        }
        with self._db.write() as connection:
            row = self._model(connection, name)
            paths = updates.paths(request.update_mask, checks)
            updates.check_etag(model.etag, row.etag, name)
            values = {path: dict(model.labels) if path == "labels" else getattr(model, path) for path in paths}
            values |= {"etag": secrets.token_hex(8), "update_time_us": database.now_us(connection)}
            models.update(connection, name.model, values)
            return messages.model(self._model(connection, name))

    def deploy_model(self, request: types.DeployModelRequest, caller: Caller) -> operations_pb2.Operation:
        """Loads a model for online prediction; the node count is how many images it answers at once."""
        name = self._named(names.ModelName, request.name, "name")
        with self._db.write() as connection:
            row = self._usable_model(connection, name)
            node_count = _node_count(request, kinds.of_member(row.metadata_member))
            self._set_deployment(connection, row, states.DeploymentState.DEPLOYED, node_count)
            draft = self._draft(caller, name.parent, Kind.DEPLOY_MODEL, request, works_on=str(name))
            operation = self._ledger.start_done(connection, draft, messages.packed())
        self._online.deploy(row.folder, node_count)
        return messages.operation(operation)

    def undeploy_model(self, request: types.UndeployModelRequest, caller: Caller) -> operations_pb2.Operation:
        """Ends online prediction with a model; no effect if it is not deployed."""
        name = self._named(names.ModelName, request.name, "name")
        with self._db.write() as connection:
            row = self._model(connection, name)
            self._set_deployment(connection, row, states.DeploymentState.UNDEPLOYED, 0)
            draft = self._draft(caller, name.parent, Kind.UNDEPLOY_MODEL, request, works_on=str(name))
            operation = self._ledger.start_done(connection, draft, messages.packed())
        self._online.undeploy(row.folder)
        return messages.operation(operation)

    def export_model(self, request: types.ExportModelRequest, caller: Caller) -> operations_pb2.Operation:
        """Starts writing a model in an exchange format below a prefix, where a look at the stores does not forbid it."""
        name = self._named(names.ModelName, request.name, "name")
        with self._db.read() as connection:
            self._model(connection, name)
        prefix = validation.output_uri_prefix(
            request.output_config.gcs_destination.output_uri_prefix,
            "output_config.gcs_destination.output_uri_prefix",
            self._policy.schemes,
        )
        found = self._looks.at_destination(caller, prefix, project=name.project)
        with self._db.write() as connection:
            row = self._model(connection, name)
            resolved = types.ExportModelRequest(request)
            resolved.output_config.model_format = validation.model_format(
                request.output_config.model_format, "output_config.model_format"
            )
            if not row.model_type.startswith(EXPORTABLE):
                raise errors.failed_precondition(
                    f"The model {name} is of type {row.model_type}, which is not exportable; train one of the "
                    "mobile-* types."
                )
            draft = self._draft(caller, name.parent, Kind.EXPORT_MODEL, resolved, works_on=str(name))
            operation = self._ledger.start(connection, draft, found)
        return self._announced(operation)

    def get_model_evaluation(self, request: types.GetModelEvaluationRequest, caller: Caller) -> types.ModelEvaluation:
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
            **_KIND_CLAUSES,  # an old official sample passes the filter of models here
        }
        query = models.evaluations_of(parent.project, parent.location, wanted)
        query = filters.apply(query, request.filter, clauses)
        scope = f"evaluations {parent} {request.filter}"
        rows, token = self._page(query, model_evaluations, request, scope=scope, default_size=EVALUATIONS_PAGE_SIZE)
        evaluations = [messages.model_evaluation(row, parent.parent.model(row.model_id)) for row in rows]
        return types.ListModelEvaluationsResponse(model_evaluation=evaluations, next_page_token=token)

    # ---- inside -------------------------------------------------------------------------------------------------

    def _resolved_training(
        self,
        connection: sa.Connection,
        parent: names.LocationName,
        row: sa.Row[Any],
        request: types.CreateModelRequest,
    ) -> types.CreateModelRequest:
        """The request with model type, budget and the new model's name filled in: all that the runner needs.

        Args:
            row: of the dataset.

        Raises:
            ApiError: INVALID_ARGUMENT, NOT_FOUND or FAILED_PRECONDITION if it cannot be trained like that.
        """
        kind = kinds.of_member(row.metadata_member)
        if not kind.is_served:
            training_rules.check_kind(row)
        resolved = training_rules.resolved(request, kind)
        training_rules.check_base_model(connection, parent, resolved.model)
        training_rules.check_examples(connection, parent.dataset(row.id), kind, self._policy.min_images_per_label)
        training_rules.check_kind(row)
        resolved.model.name = str(parent.model(kind.prefix + self._new_digits()))
        return resolved

    def _set_deployment(
        self, connection: sa.Connection, row: sa.Row[Any], state: states.DeploymentState, node_count: int
    ) -> None:
        if (row.deployment_state, row.node_count) != (state, node_count):
            now = database.now_us(connection)
            values = {"deployment_state": state, "node_count": node_count, "update_time_us": now}
            models.update(connection, row.id, {**values, "etag": secrets.token_hex(8)})


def _node_count(request: types.DeployModelRequest, kind: kinds.DatasetKind) -> int:
    """The nodes asked for; 1 when no metadata is given."""
    raw = types.DeployModelRequest.pb(request)
    member = raw.WhichOneof("model_deployment_metadata")
    if member is None:
        return 1
    if member != kind.deployment_member:
        raise errors.invalid_argument(
            member, f"It does not match the model's type, {kind.words}: send {kind.deployment_member}."
        )
    node_count: int = getattr(raw, member).node_count
    if not 1 <= node_count <= MAX_NODES:
        raise errors.invalid_argument(f"{member}.node_count", f"{node_count} is not from 1 to {MAX_NODES}.")
    return node_count
