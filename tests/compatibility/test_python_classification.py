"""The official Python client on classification datasets, over both transports: labels without boxes."""

from __future__ import annotations

import itertools
import pathlib
import re
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import automl_v1
from google.rpc import code_pb2
from tests.support.clients.api import Api, metadata, open_api
from tests.support.images import drawn_images

from boxwright.metadata import database, datasets

MULTICLASS, MULTILABEL = automl_v1.ClassificationType.MULTICLASS, automl_v1.ClassificationType.MULTILABEL
TYPES = [MULTICLASS, MULTILABEL]
FIELD = "image_classification_dataset_metadata"
_numbers = itertools.count(1)


@pytest.fixture(params=["grpc", "rest"])
def api(service, request):
    with open_api(service, request.param) as opened:
        yield opened


@pytest.fixture
def parent() -> str:
    """A project of the test's own, so that its lists are its own."""
    return f"projects/labels-{next(_numbers)}/locations/us-central1"


@pytest.fixture
def bucket(service) -> pathlib.Path:
    """A bucket of the test's own."""
    folder: pathlib.Path = service.bucket(f"labels-{next(_numbers)}")
    return folder


def _create(api: Api, parent: str, of_type: Any, name: str = "flowers") -> automl_v1.Dataset:
    dataset: Any = {"display_name": name, FIELD: {"classification_type": of_type}}
    return api.automl.create_dataset(parent=parent, dataset=dataset).result(timeout=30)


def _images(bucket: pathlib.Path, count: int) -> list[str]:
    return [f"gs://{bucket.name}/{name}" for name in drawn_images.write_images(bucket, count)]


def _import(api: Api, dataset: str, bucket: pathlib.Path, rows: list[str]) -> list[str]:
    """Imports rows; returns what is told of single ones."""
    uri = drawn_images.write_csv(bucket, f"rows-{next(_numbers)}.csv", rows)
    operation = api.finished(api.start_import(dataset, uri))
    assert not operation.HasField("error"), operation.error
    return [failure.message for failure in metadata(operation).partial_failures]


def _examples(service, dataset: str) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """(set, state, labels) of each image by its file's name."""
    db = database.Database(service.data_dir / "metadata.sqlite")
    with db.read() as connection:
        found = {
            one.uri.rpartition("/")[2]: (one.ml_use, one.state, tuple(label.label for label in one.annotations))
            for one in datasets.examples_of(connection, dataset.rpartition("/")[2])
        }
    db.close()
    return found


def _specs(service, api: Api, dataset: str) -> dict[str, int]:
    """Examples by label, as GetAnnotationSpec says."""
    db = database.Database(service.data_dir / "metadata.sqlite")
    with db.read() as connection:
        ids = [spec_id for spec_id, _ in datasets.specs(connection, dataset.rpartition("/")[2])]
    db.close()
    found = [api.automl.get_annotation_spec(name=f"{dataset}/annotationSpecs/{spec_id}") for spec_id in ids]
    return {spec.display_name: spec.example_count for spec in found}


def _exported(api: Api, dataset: str, bucket: pathlib.Path) -> list[str]:
    """The lines of an export."""
    config: Any = {"gcs_destination": {"output_uri_prefix": f"gs://{bucket.name}/exports/"}}
    operation = api.finished(api.automl.export_data(name=dataset, output_config=config).operation.name)
    assert not operation.HasField("error"), operation.error
    directory = metadata(operation).export_data_details.output_info.gcs_output_directory
    assert re.fullmatch(rf"gs://{bucket.name}/exports/export_data-flowers-[-\d]+T[\d:.]+Z", directory)
    (file,) = (bucket / directory.removeprefix(f"gs://{bucket.name}/")).iterdir()
    assert file.name == "image_classification_1.csv"
    return file.read_text(encoding="utf-8").splitlines()


# ---- the dataset ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of_type", TYPES)
def test_a_dataset_is_created_got_listed_changed_and_deleted(api, parent, of_type):
    created = _create(api, parent, of_type)
    assert re.fullmatch(r".*/datasets/ICN[1-9]\d{18}", created.name)
    got = api.automl.get_dataset(name=created.name)
    assert got == created
    assert got.image_classification_dataset_metadata.classification_type == of_type
    detection: Any = {"display_name": "boxes", "image_object_detection_dataset_metadata": {}}
    boxes = api.automl.create_dataset(parent=parent, dataset=detection).result(timeout=30)
    for text, names in (
        (f"{FIELD}:*", [created.name]),
        ("imageClassificationDatasetMetadata:*", [created.name]),
        (f"NOT {FIELD}:*", [boxes.name]),
    ):
        found = api.automl.list_datasets(request={"parent": parent, "filter": text})
        assert [dataset.name for dataset in found] == names
    changed = automl_v1.Dataset(name=created.name, display_name="plants")
    updated = api.automl.update_dataset(dataset=changed, update_mask={"paths": ["display_name"]})
    assert (updated.display_name, updated.image_classification_dataset_metadata.classification_type) == (
        "plants",
        of_type,
    )
    deletion = api.automl.delete_dataset(name=created.name)
    assert "/operations/ICN" in deletion.operation.name
    deletion.result(timeout=30)
    with pytest.raises(exceptions.NotFound):
        api.automl.get_dataset(name=created.name)


def test_the_type_of_a_dataset_stays(api, parent):
    created = _create(api, parent, MULTICLASS)
    wanted = automl_v1.Dataset(
        name=created.name, image_classification_dataset_metadata={"classification_type": MULTILABEL}
    )
    for path in (f"{FIELD}.classification_type", FIELD):
        with pytest.raises(exceptions.BadRequest, match=f"update_mask; Message: '{path}' cannot be changed"):
            api.automl.update_dataset(dataset=wanted, update_mask={"paths": [path]})


# ---- import and export ------------------------------------------------------------------------------------------------


def test_labels_of_columns_and_rows_are_joined_and_images_without_one_are_kept(service, api, parent, bucket):
    dataset = _create(api, parent, MULTILABEL).name
    one, two, three, four = _images(bucket, 4)
    rows = [
        f"TRAIN,{one},daisy",
        f"TEST,{two},dandelion,tulip,rose",
        f"TRAIN,{one},tulip,daisy",
        f"UNASSIGNED,{three}",
        f"{four},rose",
    ]
    assert _import(api, dataset, bucket, rows) == []
    assert _examples(service, dataset) == {
        "0000.jpg": ("TRAIN", "LABELED", ("daisy", "tulip")),
        "0001.jpg": ("TEST", "LABELED", ("dandelion", "tulip", "rose")),
        "0002.jpg": ("UNASSIGNED", "UNLABELED", ()),
        "0003.jpg": ("UNASSIGNED", "LABELED", ("rose",)),
    }
    assert api.automl.get_dataset(name=dataset).example_count == 4
    assert _specs(service, api, dataset) == {"daisy": 1, "dandelion": 1, "rose": 2, "tulip": 2}
    assert _import(api, dataset, bucket, [f"{three},daisy", f"TEST,{two}"]) == []
    assert _examples(service, dataset)["0002.jpg"] == ("UNASSIGNED", "LABELED", ("daisy",))
    assert _examples(service, dataset)["0001.jpg"][1] == "LABELED"


@pytest.mark.parametrize("of_type", TYPES)
def test_what_is_exported_is_imported_to_the_same(service, api, parent, bucket, of_type):
    first = _create(api, parent, of_type).name
    csv_uri = drawn_images.write_label_dataset(bucket, 6, labels=2 if of_type is MULTILABEL else 1, bare=2)
    rows = [f'TRAIN,{uri},"a ""label"", quoted"' for uri in _images(bucket, 9)[8:]]
    assert not api.finished(api.start_import(first, csv_uri)).HasField("error")
    assert _import(api, first, bucket, rows) == []
    lines = _exported(api, first, bucket)
    assert len(lines) == 9
    second = _create(api, parent, of_type).name
    assert _import(api, second, bucket, lines) == []
    assert _exported(api, second, bucket) == lines
    assert _examples(service, second) == _examples(service, first)


def test_one_label_an_image_stays_in_a_multiclass_dataset(service, api, parent, bucket):
    dataset = _create(api, parent, MULTICLASS).name
    one, two, three, four = _images(bucket, 4)
    (bucket / "copy.jpg").write_bytes((bucket / "0002.jpg").read_bytes())
    rows = [
        f"TRAIN,{one},daisy",
        f"TRAIN,{one},daisy",
        f"TRAIN,{one},tulip",  # another row, another label
        f"TRAIN,{two},rose,tulip",  # two in a row
        f"TRAIN,{three},rose",
        f"TRAIN,gs://{bucket.name}/copy.jpg,daisy",  # the same content
        f"TRAIN,{four}",
        f"TRAIN,{four},daisy",  # labelled later
        f"TRAIN,{four},daisy,daisy",
    ]
    told = _import(api, dataset, bucket, rows)
    assert [re.sub(r".*, (line \d+): .*", r"\1", text) for text in told] == ["line 3", "line 4", "line 6"]
    assert (
        "is labelled 'tulip' here and 'daisy' in an earlier row; a MULTICLASS dataset has one label an image" in told[0]
    )
    assert "is labelled 'tulip' here beside 'rose'" in told[1]
    assert f"copy.jpg is labelled 'daisy' and has the content of {three}, 'rose'" in told[2]
    assert all("create a MULTILABEL dataset" in text for text in told)
    after = {name: labels for name, (_, _, labels) in _examples(service, dataset).items()}
    assert after == {"0000.jpg": ("daisy",), "0001.jpg": ("rose",), "0002.jpg": ("rose",), "0003.jpg": ("daisy",)}
    assert _specs(service, api, dataset) == {"daisy": 2, "rose": 2}
    (again,) = _import(api, dataset, bucket, [f"TRAIN,{one},rose", f"TRAIN,{two},rose"])
    assert "line 1: " in again and "is labelled 'rose' here and 'daisy' in the dataset already" in again
    assert _examples(service, dataset)["0000.jpg"][2] == ("daisy",)


@pytest.mark.parametrize("of_type", TYPES)
def test_a_list_of_boxes_is_refused_with_what_to_do(service, api, parent, bucket, of_type):
    dataset = _create(api, parent, of_type).name
    operation = api.finished(api.start_import(dataset, drawn_images.write_dataset(bucket, 3)))
    assert operation.error.code == code_pb2.INVALID_ARGUMENT
    assert "columns 4 to 11: this row has a box; boxes are for datasets of object detection" in operation.error.message
    assert _examples(service, dataset) == {}


def test_a_list_of_labels_is_refused_by_a_dataset_of_boxes(api, bucket):
    dataset = api.create_dataset()
    operation = api.finished(api.start_import(dataset, drawn_images.write_label_dataset(bucket, 3)))
    assert operation.error.code == code_pb2.INVALID_ARGUMENT
    assert (
        "comes without a box; labels of whole images are for datasets of image classification"
        in operation.error.message
    )


def test_a_label_that_is_too_long_is_told_with_its_column(service, api, parent, bucket):
    dataset = _create(api, parent, MULTILABEL).name
    one, two = _images(bucket, 2)
    (told,) = _import(api, dataset, bucket, [f"TRAIN,{one},daisy", f"TRAIN,{two},daisy,{'x' * 129}"])
    assert "line 2: column 4: a label is printable text of at most 128 characters" in told
    assert _specs(service, api, dataset) == {"daisy": 1}


def test_a_dataset_has_no_more_than_five_thousand_labels(service, api, parent, bucket):
    dataset = _create(api, parent, MULTILABEL).name
    one, two = _images(bucket, 2)
    labels = [f"l{number}" for number in range(5_000)]
    assert _import(api, dataset, bucket, [",".join(["TRAIN", one, *labels])]) == []
    assert _import(api, dataset, bucket, [f"TRAIN,{two},l7"]) == []
    uri = drawn_images.write_csv(bucket, "more.csv", [f"TRAIN,{two},one more"])
    operation = api.finished(api.start_import(dataset, uri))
    assert operation.error.code == code_pb2.FAILED_PRECONDITION
    assert "would have more than 5000 labels" in operation.error.message
    assert _examples(service, dataset)["0001.jpg"][2] == ("l7",)


# ---- what a training would need ----------------------------------------------------------------------------------------


def _train(api: Api, dataset: str, **asked: Any) -> None:
    parent, _, dataset_id = dataset.rpartition("/datasets/")
    model: Any = {"display_name": "m", "dataset_id": dataset_id, "image_classification_model_metadata": asked}
    api.automl.create_model(parent=parent, model=model)


def test_a_model_is_asked_for_with_what_its_kind_allows(api, parent, bucket):
    dataset = _create(api, parent, MULTICLASS).name
    few = api.finished(api.start_import(dataset, drawn_images.write_label_dataset(bucket, 2)))
    assert not few.HasField("error")
    with pytest.raises(exceptions.BadRequest, match="'blue' has 1, 'red' has 1"):
        _train(api, dataset)
    field = "model.image_classification_model_metadata"
    for asked, text in (
        ({"train_budget_milli_node_hours": 999}, f"{field}.train_budget_milli_node_hours; Message: 999 is outside"),
        (
            {"model_type": "mobile-versatile-1", "train_budget_milli_node_hours": 999},
            "999 is outside the range of mobile",
        ),
        ({"model_type": "cloud-high-accuracy-1"}, f"{field}.model_type; Message: Unknown model type"),
    ):
        with pytest.raises(exceptions.BadRequest, match=re.escape(text)):
            _train(api, dataset, **asked)
    with pytest.raises(exceptions.NotFound, match="The model does not exist"):
        _train(api, dataset, base_model_id="ICN123456789")
