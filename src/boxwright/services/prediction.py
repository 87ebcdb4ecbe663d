"""The PredictionService: online and batch prediction requests."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import sqlalchemy as sa
from google.cloud.automl_v1 import types
from google.longrunning import operations_pb2

from boxwright import errors, kinds, names, states
from boxwright.batch.job import is_manifest
from boxwright.callers import Caller
from boxwright.images import decode
from boxwright.operations import request_ids
from boxwright.operations.ledger import Draft, name_of
from boxwright.services import messages, validation
from boxwright.services.resources import Resources

BATCH_METHOD = "google.cloud.automl.v1.PredictionService.BatchPredict"


class PredictionService(Resources):
    """`google.cloud.automl.v1.PredictionService`."""

    def predict(self, request: types.PredictRequest, caller: Caller) -> types.PredictResponse:
        """Predicts one image that came with the request."""
        name = self._named(names.ModelName, request.name, "name")
        if not re.match(r"[A-Za-z]{3}", name.model):
            raise errors.bad_request(errors.MODEL_ID_INVALID)
        with self._db.read() as connection:
            row = self._usable_model(connection, name)
        if row.deployment_state != states.DeploymentState.DEPLOYED:
            raise errors.failed_precondition(
                f"The model {name} is not deployed. Deploy it first (POST /v1/{name}:deploy, or the client's "
                "deploy_model), or use batchPredict, which needs no deployment."
            )
        payload = types.ExamplePayload.pb(request.payload)
        if payload.WhichOneof("payload") != "image":
            raise errors.invalid_argument("payload.image", "Required field not set.")
        image_bytes = payload.image.image_bytes
        if not image_bytes:
            raise errors.invalid_argument("payload.image.image_bytes", "Required field not set.")
        if len(image_bytes) > decode.MAX_IMAGE_BYTES:
            why = f"The image has {len(image_bytes)} bytes; the limit is {decode.MAX_IMAGE_BYTES}."
            raise errors.invalid_argument("payload.image.image_bytes", why)
        kind = kinds.of_member(row.metadata_member)
        score_threshold, max_boxes = validation.prediction_params(kind, request.params)
        self._online.ensure(row.folder, row.node_count)
        found, labels = self._online.predict(row.folder, image_bytes)
        ignored = ", ".join(map(str, validation.ignored_params(request.params, validation.PREDICT_PARAMS[kind])))
        return types.PredictResponse(
            payload=messages.annotation_payloads(found.keep(score_threshold, max_boxes), labels),
            metadata={"ignored_params": ignored} if ignored else {},
        )

    def batch_predict(self, request: types.BatchPredictRequest, caller: Caller) -> operations_pb2.Operation:
        """Starts a batch prediction or a dry run; the operation has failed already if a look at the stores says it must.

        A request whose ``request_id`` has started one is answered with that one.
        """
        name = self._named(names.ModelName, request.name, "name")
        with self._db.read() as connection:
            model = self._usable_model(connection, name)
        inputs = validation.batch_inputs(
            request.input_config.gcs_source.input_uris, "input_config.gcs_source.input_uris", self._policy.schemes
        )
        prefix = validation.output_uri_prefix(
            request.output_config.gcs_destination.output_uri_prefix,
            "output_config.gcs_destination.output_uri_prefix",
            self._policy.schemes,
        )
        terms = self._terms(caller, request.params, method=BATCH_METHOD, model=name)
        chosen = validation.batch_params(kinds.of_member(model.metadata_member), request.params)
        identified = _identified(request, caller, name)
        if identified is not None and (earlier := self._earlier(identified)) is not None:
            return earlier
        column, dry_run = chosen.get("input_column", ""), chosen.get("validate_only", False)
        if dry_run and is_manifest(inputs[0].text):
            why = "Results are made again from a manifest within seconds, and have no dry run; leave it out."
            raise errors.invalid_argument("params.validate_only", why)
        found = self._looks.at_batch(caller, inputs, prefix, project=name.project, column=column)
        with self._db.write() as connection:
            self._usable_model(connection, name)
            if identified is not None and (first := request_ids.first_operation(connection, identified)) is not None:
                return messages.operation(self._found_first(connection, first))
            draft = Draft(
                location=name.parent,
                id=kinds.prefix_of(str(name)) + self._new_digits(),
                kind=states.OperationKind.BATCH_PREDICT,
                request=types.BatchPredictRequest.serialize(request),
                details=messages.operation_details(states.OperationKind.BATCH_PREDICT, request.input_config),
                works_on=str(name),
                caller=caller,
                terms=terms,
            )
            operation = self._ledger.start(connection, draft, found, dry_run=dry_run)
            if identified is not None and found is None:  # what has failed at once may be sent again
                request_ids.note(connection, identified, name_of(operation))
        return self._announced(operation)

    def _earlier(self, identified: request_ids.IdentifiedRequest) -> operations_pb2.Operation | None:
        """The operation that a request has started before, before its inputs are looked at again."""
        with self._db.read() as connection:
            first = request_ids.first_operation(connection, identified)
            return None if first is None else messages.operation(self._found_first(connection, first))

    def _found_first(self, connection: sa.Connection, first: names.OperationName) -> sa.Row[Any]:
        row = self._ledger.find_in(connection, first)
        if row is None:
            raise errors.already_exists(
                f"This request has started {first}, which was deleted. Another params.request_id starts it again."
            )
        return row


def _identified(
    request: types.BatchPredictRequest, caller: Caller, name: names.ModelName
) -> request_ids.IdentifiedRequest | None:
    """The request with its id; None if it has none."""
    if not (given := validation.request_id(request.params)):
        return None
    content = types.BatchPredictRequest.pb(request).SerializeToString(deterministic=True)
    return request_ids.IdentifiedRequest(name.project, caller.member, given, hashlib.sha256(content).hexdigest())
