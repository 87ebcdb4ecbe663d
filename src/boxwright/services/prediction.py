"""The PredictionService: online and batch prediction requests."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

import sqlalchemy as sa
from google.cloud.automl_v1 import types
from google.longrunning import operations_pb2

from boxwright import boxes, errors, names, states
from boxwright.callers import Caller
from boxwright.metadata import database, models
from boxwright.operations.ledger import Draft, Ledger
from boxwright.services import messages, validation
from boxwright.services.automl import Policy, random_digits

MAX_IMAGE_BYTES = 30_000_000  # data_items.proto / prediction_service.proto: 30 MB
DAY_US = 86_400_000_000


class OnlinePredictor(Protocol):
    """Answers one image at a time with a trained model, keeping models in memory."""

    def predict(self, folder: str, image_bytes: bytes) -> tuple[boxes.Detections, list[tuple[str, str]]]:
        """Returns the detections and the model's (annotation spec id, display name) by label index."""


class PredictionService:
    """`google.cloud.automl.v1.PredictionService`."""

    def __init__(
        self,
        db: database.Database,
        ledger: Ledger,
        policy: Policy,
        online: OnlinePredictor,
        new_digits: Callable[[], str] = random_digits,
    ) -> None:
        self._db = db
        self._ledger = ledger
        self._policy = policy
        self._online = online
        self._new_digits = new_digits

    def predict(self, request: types.PredictRequest, caller: Caller) -> types.PredictResponse:
        """Detects objects in one image that came with the request."""
        name = self._name(request.name)
        if not re.match(r"[A-Za-z]{3}", name.model):
            raise errors.bad_request(errors.MODEL_ID_INVALID)
        with self._db.read() as connection:
            row = self._usable_model(connection, name)
        payload = types.ExamplePayload.pb(request.payload)
        if payload.WhichOneof("payload") != "image":
            raise errors.invalid_argument("payload.image", "Required field not set.")
        image_bytes = payload.image.image_bytes
        if not image_bytes:
            raise errors.invalid_argument("payload.image.image_bytes", "Required field not set.")
        if len(image_bytes) > MAX_IMAGE_BYTES:
            why = f"The image has {len(image_bytes)} bytes; the limit is {MAX_IMAGE_BYTES}."
            raise errors.invalid_argument("payload.image.image_bytes", why)
        score_threshold, max_boxes = validation.prediction_params(request.params)
        found, labels = self._online.predict(row.folder, image_bytes)
        return types.PredictResponse(
            payload=messages.annotation_payloads(found.keep(score_threshold, max_boxes), labels)
        )

    def batch_predict(self, request: types.BatchPredictRequest, caller: Caller) -> operations_pb2.Operation:
        """Starts a batch prediction; storage is not touched before the operation is returned."""
        name = self._name(request.name)
        with self._db.write() as connection:
            self._usable_model(connection, name)
            validation.input_uris(request.input_config.gcs_source.input_uris, "input_config.gcs_source.input_uris")
            prefix = request.output_config.gcs_destination.output_uri_prefix
            validation.output_uri_prefix(prefix, "output_config.gcs_destination.output_uri_prefix")
            validation.prediction_params(request.params)
            draft = Draft(
                location=name.parent,
                id="IOD" + self._new_digits(),
                kind=states.OperationKind.BATCH_PREDICT,
                request=types.BatchPredictRequest.serialize(request),
                details=messages.operation_details(states.OperationKind.BATCH_PREDICT, request.input_config),
                works_on=str(name),
            )
            operation = self._ledger.start(connection, draft)
        self._ledger.announce(operation)
        return messages.operation(operation)

    def _name(self, text: str) -> names.ModelName:
        name = names.ModelName.parse(text, "name")
        validation.location(name, self._policy.locations, "name")
        return name

    def _usable_model(self, connection: sa.Connection, name: names.ModelName) -> sa.Row[Any]:
        """The model's row; NOT_FOUND if there is none, FAILED_PRECONDITION if its life has ended (spec 6.4)."""
        row = models.find(connection, name.project, name.location, name.model)
        if row is None:
            raise errors.not_found(errors.MODEL_UNKNOWN)
        life_days = self._policy.model_life_days
        if life_days is not None and database.now_us(connection) - row.create_time_us > life_days * DAY_US:
            raise errors.failed_precondition(
                f"The model {name} has expired: models predict for {life_days:g} days after their training. "
                "Train a new model, or change the model life in the service's settings."
            )
        return row
