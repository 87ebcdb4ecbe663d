"""What a client of any language needs to call every method: a bucket, a data set with images, a trained model, names."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
from collections.abc import Iterator
from typing import Any, Protocol

import grpc
from google.cloud import automl_v1
from google.cloud.automl_v1.services.auto_ml.transports import AutoMlGrpcTransport
from google.longrunning import operations_pb2, operations_pb2_grpc
from tests.support.clients.api import MULTILABEL, OBJECT_DETECTION, PARENT
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel

from boxwright.metadata import database, datasets

_numbers: Iterator[int] = itertools.count(1)


class Running(Protocol):
    """What this module needs of a service."""

    data_dir: pathlib.Path

    def bucket(self, name: str) -> pathlib.Path: ...


@dataclasses.dataclass(frozen=True)
class Scene:
    """Names that exist on one service.

    Attributes:
        csv: an import file of ten images with red and blue boxes.
        images_csv: a list of five images for batch prediction.
        image: a file with one of them.
        output: a prefix for what is written.
        dataset: a data set into which `csv` was imported.
        spec: one of its annotation specs.
        labels_csv: an import file of four images with a label and one without.
        labels_dataset: a classification data set, MULTILABEL, into which `labels_csv` was imported.
        labels_spec: one of its annotation specs, of two images.
        model: a trained model, not deployed.
    """

    parent: str
    csv: str
    images_csv: str
    image: str
    output: str
    dataset: str
    spec: str
    labels_csv: str
    labels_dataset: str
    labels_spec: str
    model: str

    def as_json(self) -> str:
        """The scene for a program of another language."""
        return json.dumps(dataclasses.asdict(self))


def end(channel: grpc.Channel, operation: str) -> None:
    """Cancels an operation and waits for its end."""
    stub = operations_pb2_grpc.OperationsStub(channel)
    stub.CancelOperation(operations_pb2.CancelOperationRequest(name=operation), timeout=30)
    while not stub.WaitOperation(operations_pb2.WaitOperationRequest(name=operation), timeout=60).done:
        pass


def prepare(service: Running, channel: grpc.Channel, tiny_model: TinyModel) -> Scene:
    """Makes a scene with names of its own on a running service."""
    number = next(_numbers)
    bucket = service.bucket(f"scene-{number}")
    csv = drawn_images.write_dataset(bucket, 10)
    images = [f"gs://{bucket.name}/images/{position:04d}.jpg" for position in range(5)]
    images_csv = drawn_images.write_csv(bucket, "images.csv", images)
    client: Any = automl_v1.AutoMlClient(transport=AutoMlGrpcTransport(channel=channel))
    labels_csv = drawn_images.write_label_dataset(bucket, 4, bare=1)
    dataset, spec = _filled(service, client, OBJECT_DETECTION, csv)
    labels_dataset, labels_spec = _filled(service, client, MULTILABEL, labels_csv)
    return Scene(
        parent=PARENT,
        csv=csv,
        images_csv=images_csv,
        image=str(bucket / "images" / "0000.jpg"),
        output=f"gs://{bucket.name}/out/",
        dataset=dataset,
        spec=spec,
        labels_csv=labels_csv,
        labels_dataset=labels_dataset,
        labels_spec=labels_spec,
        model=tiny_model.install(service.data_dir, f"IOD{8_500_000_000_000_000_000 + number}"),
    )


def _filled(service: Running, client: Any, kind: dict[str, Any], csv: str) -> tuple[str, str]:
    """Makes a data set of a kind and imports a file; returns its name and that of one of its annotation specs."""
    name = client.create_dataset(parent=PARENT, dataset={"display_name": "scene", **kind}).result(30).name
    client.import_data(name=name, input_config={"gcs_source": {"input_uris": [csv]}}).result(60)
    db = database.Database(service.data_dir / "metadata.sqlite")
    with db.read() as connection:
        spec_id = datasets.specs(connection, name.rpartition("/")[2])[0][0]
    db.close()
    return name, f"{name}/annotationSpecs/{spec_id}"
