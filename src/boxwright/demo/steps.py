"""The API calls of the tour, made with the official client over plaintext gRPC."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import Any

import grpc
from google.api_core import exceptions, operation
from google.cloud import automl_v1
from google.cloud.automl_v1.services.auto_ml.transports import AutoMlGrpcTransport
from google.cloud.automl_v1.services.prediction_service.transports import PredictionServiceGrpcTransport

from boxwright.demo import progress

PARENT = "projects/demo/locations/us-central1"
SCORE_THRESHOLD = "0.05"  # into the files goes nearly everything; the page decides what it shows
POLL_S = 0.3  # the service holds a poll open until something changes, for up to a few seconds


class StepError(Exception):
    """A step of the tour failed; the message is the service's own."""


@dataclasses.dataclass(frozen=True)
class BatchOutcome:
    """A finished batch prediction.

    Attributes:
        directory: the output directory as the operation names it, ``gs://…``.
        elapsed_s: from the call to its end, by the service's clock.
        partial_failures: the messages of the first failures.
    """

    directory: str
    elapsed_s: float
    partial_failures: tuple[str, ...]


class DemoSteps:
    """The steps, one method each; every long one shows its progress."""

    def __init__(self, grpc_target: str, reporter: progress.Reporter, check_alive: Callable[[], None]) -> None:
        self._channel = grpc.insecure_channel(grpc_target)
        self._automl = automl_v1.AutoMlClient(transport=AutoMlGrpcTransport(channel=self._channel))
        self._prediction = automl_v1.PredictionServiceClient(
            transport=PredictionServiceGrpcTransport(channel=self._channel)
        )
        self._reporter = reporter
        self._check_alive = check_alive

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def create_dataset(self, wanted: automl_v1.Dataset) -> automl_v1.Dataset:
        """Creates an empty dataset and returns it."""
        started = self._automl.create_dataset(parent=PARENT, dataset=wanted)
        dataset: automl_v1.Dataset = self._finish("create dataset", started)
        return dataset

    def import_data(self, dataset_name: str, csv_uri: str) -> tuple[str, ...]:
        """Imports the labels and returns the messages of rows that could not be used (at most 20)."""
        source = automl_v1.InputConfig(gcs_source=automl_v1.GcsSource(input_uris=[csv_uri]))
        started = self._automl.import_data(name=dataset_name, input_config=source)
        self._finish("import labels", started)
        return _partial_failures(started)

    def train(self, wanted: automl_v1.Model) -> automl_v1.Model:
        """Trains a model and returns it."""
        started = self._automl.create_model(parent=PARENT, model=wanted)
        model: automl_v1.Model = self._finish("train", started)
        return model

    def evaluations(self, model_name: str) -> list[automl_v1.ModelEvaluation]:
        """Every evaluation of the model, each with all its metrics."""
        listed = self._automl.list_model_evaluations(parent=model_name, filter="")
        return [self._automl.get_model_evaluation(name=evaluation.name) for evaluation in listed]

    def batch_predict(self, model_name: str, csv_uri: str, output_uri: str) -> BatchOutcome:
        """Predicts the images of a list and waits for the end."""
        started = self._prediction.batch_predict(
            name=model_name,
            input_config=automl_v1.BatchPredictInputConfig(gcs_source=automl_v1.GcsSource(input_uris=[csv_uri])),
            output_config=automl_v1.BatchPredictOutputConfig(
                gcs_destination=automl_v1.GcsDestination(output_uri_prefix=output_uri)
            ),
            params={"score_threshold": SCORE_THRESHOLD},
        )
        self._finish("batch predict", started)
        metadata: automl_v1.OperationMetadata = started.metadata
        return BatchOutcome(
            metadata.batch_predict_details.output_info.gcs_output_directory,
            (metadata.update_time - metadata.create_time).total_seconds(),
            _partial_failures(started),
        )

    def _finish(self, name: str, started: operation.Operation) -> Any:
        """Waits for an operation, showing its progress, and returns its response."""
        try:
            with self._reporter.step(name) as show:
                while not started.done():
                    self._check_alive()
                    show(started.metadata.progress_percent)
                    time.sleep(POLL_S)
                show(100)
            return started.result()
        except exceptions.GoogleAPICallError as error:
            details = "".join(f"\n    {failure}" for failure in _partial_failures(started))
            raise StepError(f"The step '{name}' failed: {error.message}{details}") from error


def local_path(gs_uri: str, buckets: pathlib.Path) -> pathlib.Path:
    """The file or folder behind a ``gs://`` address, whose buckets are sub-folders of `buckets`."""
    return buckets / gs_uri.removeprefix("gs://")


def _partial_failures(started: operation.Operation) -> tuple[str, ...]:
    metadata = started.metadata
    return tuple(failure.message for failure in metadata.partial_failures) if metadata else ()
