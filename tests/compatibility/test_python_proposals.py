"""The official Python client imports labels that nobody has looked at, and confirms them by importing the images again."""

from __future__ import annotations

import csv
import itertools
import pathlib

import pytest
from google.api_core import exceptions
from google.rpc import code_pb2
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images

_numbers = itertools.count(1)
BOX = ["0.1", "0.1", "", "", "0.6", "0.7", "", ""]
OTHER = ["0.2", "0.2", "", "", "0.5", "0.5", "", ""]


@pytest.fixture(params=["grpc", "rest"])
def api(service, request):
    with open_api(service, request.param) as opened:
        yield opened


class Bucket:
    """A bucket of a test's own with images."""

    def __init__(self, service) -> None:
        self.name = f"proposals-{next(_numbers)}"
        self.folder: pathlib.Path = service.bucket(self.name)
        self.images = [f"gs://{self.name}/{one}" for one in drawn_images.write_images(self.folder, 4)]

    def list_of(self, *rows: list[str]) -> str:
        """Writes an import CSV."""
        file = self.folder / f"list-{next(_numbers)}.csv"
        with file.open("w", newline="") as target:
            csv.writer(target).writerows(rows)
        return f"gs://{self.name}/{file.name}"


@pytest.fixture
def bucket(service) -> Bucket:
    return Bucket(service)


def _import(api: Api, dataset: str, uri: str, **params: str):
    operation = api.automl.import_data(
        name=dataset, input_config={"gcs_source": {"input_uris": [uri]}, "params": params}
    ).operation
    finished = api.finished(operation.name)
    assert not finished.HasField("error"), finished.error
    return finished


def _exported(api: Api, dataset: str, bucket: Bucket) -> list[list[str]]:
    operation = api.automl.export_data(
        name=dataset,
        output_config={"gcs_destination": {"output_uri_prefix": f"gs://{bucket.name}/out-{next(_numbers)}/"}},
    ).operation
    finished = api.finished(operation.name)
    output = metadata(finished).export_data_details.output_info.gcs_output_directory
    folder = bucket.folder / output.removeprefix(f"gs://{bucket.name}/")
    return [row for file in sorted(folder.glob("*.csv")) for row in csv.reader(file.read_text().splitlines())]


def test_proposed_boxes_are_in_no_export_until_an_import_confirms_them_with_its_own(api: Api, bucket: Bucket):
    dataset = api.create_dataset()
    first, second, third, _ = bucket.images
    _import(api, dataset, bucket.list_of(["TRAIN", third, "car", *BOX]))
    proposed = bucket.list_of(
        ["UNASSIGNED", first, "car", *BOX], ["UNASSIGNED", second, "bus", *BOX], ["UNASSIGNED", third, "bus", *BOX]
    )
    operation = _import(api, dataset, proposed, reviewed="false")
    (told,) = metadata(operation).partial_failures
    assert (told.code, f"{third} is labelled in the dataset already" in told.message) == (code_pb2.ALREADY_EXISTS, True)
    assert api.progress(operation.name)["reviewed"] is False
    assert [row[1:3] for row in _exported(api, dataset, bucket)] == [[third, "car"]]
    assert api.automl.get_dataset(name=dataset).example_count == 3
    _import(api, dataset, bucket.list_of(["TEST", first, "car", *OTHER], ["TEST", second, *[""] * 9]))
    rows = sorted(_exported(api, dataset, bucket), key=lambda row: bucket.images.index(row[1]))
    assert [row[1:3] for row in rows] == [[first, "car"], [second, ""], [third, "car"]]
    assert [float(rows[0][place]) for place in (3, 4, 7, 8)] == [0.2, 0.2, 0.5, 0.5]


def test_no_training_begins_from_proposals_alone_and_their_labels_do_not_count(api: Api, bucket: Bucket):
    dataset = api.create_dataset()
    _import(api, dataset, bucket.list_of(*(["TRAIN", one, "car", *BOX] for one in bucket.images)), reviewed="False")
    model = {"display_name": "m", "dataset_id": dataset.rpartition("/")[2], "image_object_detection_model_metadata": {}}
    with pytest.raises(exceptions.BadRequest, match="has no labelled boxes"):
        api.automl.create_model(parent=dataset.partition("/datasets/")[0], model=model)


@pytest.mark.parametrize("classification_type", ["MULTICLASS", "MULTILABEL"])
def test_proposed_labels_of_images_are_replaced_and_what_says_nothing_leaves_them(api, bucket, classification_type):
    dataset = api.automl.create_dataset(
        parent=f"projects/proposals-{next(_numbers)}/locations/us-central1",
        dataset={
            "display_name": "flowers",
            "image_classification_dataset_metadata": {"classification_type": classification_type},
        },
    ).result(timeout=30)
    first, second, *_ = bucket.images
    _import(api, dataset.name, bucket.list_of(["", first, "tulip"], ["", second, "tulip"]), reviewed="false")
    assert _exported(api, dataset.name, bucket) == []
    confirmed = _import(api, dataset.name, bucket.list_of(["", first, "rose"], ["", second]))
    assert not metadata(confirmed).partial_failures
    assert _exported(api, dataset.name, bucket) == [["UNASSIGNED", first, "rose"]]


def test_what_is_neither_true_nor_false_is_refused_and_other_keys_are_named(api: Api, bucket: Bucket):
    dataset = api.create_dataset()
    uri = bucket.list_of(["TRAIN", bucket.images[0], "car", *BOX])
    with pytest.raises(exceptions.BadRequest, match=r"input_config\.params\.reviewed"):
        _import(api, dataset, uri, reviewed="no")
    operation = _import(api, dataset, uri, reviewd="false")
    assert api.progress(operation.name)["ignored_params"] == [{"key": "reviewd", "nearest": "reviewed"}]
    assert len(_exported(api, dataset, bucket)) == 1
