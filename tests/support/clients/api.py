"""The official client's view of a running service: both clients and the operations methods over one transport."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import grpc
from google.auth import credentials
from google.cloud import automl_v1
from google.cloud.automl_v1.services.auto_ml.transports import AutoMlGrpcTransport
from google.cloud.automl_v1.services.prediction_service.transports import PredictionServiceGrpcTransport
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import duration_pb2, struct_pb2
from tests.support.machine.waiting import PATIENCE_S

PARENT = "projects/demo/locations/us-central1"
OBJECT_DETECTION: dict[str, Any] = {"image_object_detection_dataset_metadata": {}}
MULTILABEL: dict[str, Any] = {"image_classification_dataset_metadata": {"classification_type": "MULTILABEL"}}
WAIT_STEP_S = 20  # one WaitOperation; the service may be killed and started meanwhile


class Running(Protocol):
    """What this module needs of a service."""

    url: str
    grpc_target: str


@dataclasses.dataclass
class Api:
    """Clients of one service over one transport.

    Attributes:
        stub: the gRPC operations methods, whatever the transport of the clients is.
        channel: the plaintext gRPC channel of `stub`.
    """

    automl: automl_v1.AutoMlClient
    prediction: automl_v1.PredictionServiceClient
    stub: operations_pb2_grpc.OperationsStub
    channel: grpc.Channel

    @property
    def operations(self) -> Any:
        """The operations client that the transport itself offers."""
        return self.automl.transport.operations_client

    def get(self, name: str) -> operations_pb2.Operation:
        """The operation as it stands."""
        return self.stub.GetOperation(operations_pb2.GetOperationRequest(name=name), timeout=60)

    def cancel(self, name: str) -> None:
        """Asks for an operation's end."""
        self.stub.CancelOperation(operations_pb2.CancelOperationRequest(name=name), timeout=60)

    def delete(self, name: str) -> None:
        """Forgets an operation that has ended."""
        self.stub.DeleteOperation(operations_pb2.DeleteOperationRequest(name=name), timeout=60)

    def resume(self, name: str) -> str:
        """Lets a batch prediction that has ended go on; returns the new operation's name."""
        return self._ours("ResumeOperation", operations_pb2.Operation)(
            operations_pb2.GetOperationRequest(name=name), timeout=60
        ).name

    def progress(self, name: str) -> dict[str, Any]:
        """An operation's progress in numbers."""
        request = operations_pb2.GetOperationRequest(name=name)
        return dict(self._ours("GetOperationProgress", struct_pb2.Struct)(request, timeout=60))

    def _ours(self, rpc: str, answer: Any) -> Any:
        return self.channel.unary_unary(
            f"/google.longrunning.Operations/{rpc}",
            request_serializer=operations_pb2.GetOperationRequest.SerializeToString,
            response_deserializer=answer.FromString,
        )

    def finished(self, name: str, *, timeout_s: float = PATIENCE_S) -> operations_pb2.Operation:
        """Waits, by WaitOperation, for an operation's end and returns it; `timeout_s` is as in `wait_until`."""
        timeout_s = max(timeout_s, PATIENCE_S)
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = deadline_s - time.monotonic()
            request = operations_pb2.WaitOperationRequest(
                name=name, timeout=duration_pb2.Duration(nanos=0, seconds=round(max(1, min(WAIT_STEP_S, left_s))))
            )
            operation = self.stub.WaitOperation(request, timeout=WAIT_STEP_S + 20)
            if operation.done:
                return operation
            assert left_s > 0, f"{name} is not done after {timeout_s} s: {metadata(operation)}"

    def create_dataset(self, display_name: str = "things") -> str:
        """Creates an empty object detection dataset; returns its name."""
        dataset: Any = {"display_name": display_name, **OBJECT_DETECTION}
        return self.automl.create_dataset(parent=PARENT, dataset=dataset).result(timeout=30).name

    def start_import(self, dataset: str, *uris: str, **params: str) -> str:
        """Starts an import; returns the operation's name."""
        config: Any = {"gcs_source": {"input_uris": list(uris)}, "params": params}
        return self.automl.import_data(name=dataset, input_config=config).operation.name

    def start_training(
        self, dataset: str, *, display_name: str = "model_1", labels: Mapping[str, str] | None = None
    ) -> str:
        """Starts a training; returns the operation's name."""
        model: Any = {
            "display_name": display_name,
            "dataset_id": dataset.rpartition("/")[2],
            "labels": dict(labels or {}),
            "image_object_detection_model_metadata": {
                "model_type": "mobile-low-latency-1",
                "train_budget_milli_node_hours": 1000,
            },
        }
        return self.automl.create_model(parent=PARENT, model=model).operation.name

    def deploy(self, model: str) -> None:
        """Deploys a model, so that it answers online."""
        self.automl.deploy_model(name=model).result(timeout=60)

    def start_batch(self, model: str, csv_uri: str, output_uri: str, **params: str) -> str:
        """Starts a batch prediction; returns the operation's name."""
        source: Any = {"gcs_source": {"input_uris": [csv_uri]}}
        target: Any = {"gcs_destination": {"output_uri_prefix": output_uri}}
        return self.prediction.batch_predict(
            name=model, input_config=source, output_config=target, params=params
        ).operation.name


@contextlib.contextmanager
def open_api(service: Running, transport: str = "grpc") -> Iterator[Api]:
    """Opens the official clients on a service, over ``grpc`` or ``rest``."""
    with grpc.insecure_channel(service.grpc_target) as channel:
        stub = operations_pb2_grpc.OperationsStub(channel)
        automl: Any
        prediction: Any
        if transport == "grpc":
            automl = automl_v1.AutoMlClient(transport=AutoMlGrpcTransport(channel=channel))
            prediction = automl_v1.PredictionServiceClient(transport=PredictionServiceGrpcTransport(channel=channel))
        else:
            options: dict[str, Any] = {
                "credentials": credentials.AnonymousCredentials(),
                "client_options": {"api_endpoint": service.url},
            }
            automl = automl_v1.AutoMlClient(transport="rest", **options)
            prediction = automl_v1.PredictionServiceClient(transport="rest", **options)
        with automl, prediction:
            yield Api(automl, prediction, stub, channel)


def metadata(operation: operations_pb2.Operation) -> automl_v1.OperationMetadata:
    """An operation's metadata."""
    return automl_v1.OperationMetadata.deserialize(operation.metadata.value)
