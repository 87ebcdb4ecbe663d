"""The official Python client on datasets, imports and operations, over both transports."""

from __future__ import annotations

import itertools
import re

import pytest
from google.api_core import exceptions
from google.cloud import automl_v1
from google.longrunning import operations_pb2
from tests.support.clients.api import PARENT, Api, metadata, open_api
from tests.support.images import drawn_images

DATASET_ID = re.compile(r"projects/[\w-]+/locations/us-central1/datasets/IOD[1-9]\d{0,18}")
_numbers = itertools.count(1)


@pytest.fixture(params=["grpc", "rest"])
def api(service, request):
    with open_api(service, request.param) as opened:
        yield opened


@pytest.fixture
def parent() -> str:
    """A project of the test's own, so that its lists are its own."""
    return f"projects/own-{next(_numbers)}/locations/us-central1"


def _create(api: Api, parent: str, display_name: str = "things", **fields: object) -> automl_v1.Dataset:
    dataset = {"display_name": display_name, "image_object_detection_dataset_metadata": {}, **fields}
    return api.automl.create_dataset(parent=parent, dataset=dataset).result(timeout=30)


@pytest.fixture
def imported(service, api) -> str:
    """A dataset of ten images with red and blue boxes."""
    dataset = api.create_dataset()
    csv_uri = drawn_images.write_dataset(service.bucket("drawn"), 10)
    assert not api.finished(api.start_import(dataset, csv_uri)).HasField("error")
    return dataset


# ---- datasets -----------------------------------------------------------------------------------------------------------


def test_a_created_dataset_is_got_listed_and_deleted(api, parent):
    operation = api.automl.create_dataset(
        parent=parent,
        dataset={
            "display_name": "salads_1",
            "description": "fünf",
            "labels": {"team": "a"},
            "image_object_detection_dataset_metadata": {},
        },
    )
    assert operation.operation.done, "a dataset is created at once"
    assert automl_v1.OperationMetadata.pb(operation.metadata).WhichOneof("details") == "create_dataset_details"
    created = operation.result(timeout=30)
    assert DATASET_ID.fullmatch(created.name)
    got = api.automl.get_dataset(name=created.name)
    assert got == created
    assert (got.display_name, got.description, got.labels["team"], got.example_count) == ("salads_1", "fünf", "a", 0)
    assert automl_v1.Dataset.pb(got).WhichOneof("dataset_metadata") == "image_object_detection_dataset_metadata"
    assert list(api.automl.list_datasets(parent=parent)) == [created]
    deletion = api.automl.delete_dataset(name=created.name)
    deletion.result(timeout=30)
    assert automl_v1.OperationMetadata.pb(deletion.metadata).WhichOneof("details") == "delete_details"
    with pytest.raises(exceptions.NotFound, match="was not found"):
        api.automl.get_dataset(name=created.name)
    assert list(api.automl.list_datasets(parent=parent)) == []


def test_datasets_of_other_kinds_are_kept_as_shells_with_their_prefix(api, parent):
    dataset = {"display_name": "texts", "text_extraction_dataset_metadata": {}}
    created = api.automl.create_dataset(parent=parent, dataset=dataset).result(timeout=30)
    assert created.name.rpartition("/")[2].startswith("TEN")


def test_pages_of_any_size_give_every_dataset_once_newest_first(api, parent):
    names = [_create(api, parent, f"d{number}").name for number in range(5)]
    for size in (1, 2, 5, 50):
        pager = api.automl.list_datasets(request={"parent": parent, "page_size": size})
        pages = [[dataset.name for dataset in page.datasets] for page in pager.pages]
        assert [name for page in pages for name in page] == names[::-1]
        assert len(pages) == -(-5 // size)


def test_a_page_token_of_another_list_is_refused(api, parent):
    for number in range(2):
        _create(api, parent, f"d{number}")
    token = next(iter(api.automl.list_datasets(request={"parent": parent, "page_size": 1}).pages)).next_page_token
    for request in ({"parent": PARENT, "page_token": token}, {"parent": parent, "page_token": "x" + token}):
        with pytest.raises(exceptions.BadRequest, match="page_token"):
            api.automl.list_datasets(request=request)


def test_datasets_are_filtered_by_kind_in_either_casing(api, parent):
    ours = _create(api, parent)
    other = {"display_name": "texts", "text_extraction_dataset_metadata": {}}
    api.automl.create_dataset(parent=parent, dataset=other).result(timeout=30)
    for text in ("image_object_detection_dataset_metadata:*", "imageObjectDetectionDatasetMetadata:*"):
        found = api.automl.list_datasets(request={"parent": parent, "filter": text})
        assert [dataset.name for dataset in found] == [ours.name]
    assert len(list(api.automl.list_datasets(request={"parent": parent, "filter": ""}))) == 2


def test_projects_do_not_see_each_other(api, parent):
    created = _create(api, parent)
    other = created.name.replace(parent, f"{parent.split('/')[0]}/somebody-else/locations/us-central1")
    with pytest.raises(exceptions.NotFound):
        api.automl.get_dataset(name=other)


# ---- import -------------------------------------------------------------------------------------------------------------


def test_an_import_ends_with_examples_labels_and_its_own_kind_of_metadata(api, imported):
    assert api.automl.get_dataset(name=imported).example_count == 10
    operations = api.stub.ListOperations(_list_request(f"worksOn={imported}"))
    (operation,) = [one for one in operations.operations if _kind(one) == "import_data_details"]
    seen = metadata(operation)
    assert seen.progress_percent == 100
    assert seen.update_time >= seen.create_time
    assert operation.response.TypeName() == "google.protobuf.Empty"


def test_importing_the_same_again_adds_nothing(service, api, imported):
    again = api.automl.import_data(
        name=imported, input_config={"gcs_source": {"input_uris": ["gs://drawn/import.csv"]}}
    )
    again.result(timeout=60)
    assert api.automl.get_dataset(name=imported).example_count == 10


def test_bad_rows_are_listed_with_file_line_and_reason_and_the_good_ones_imported(service, api):
    bucket = service.bucket("drawn")
    drawn_images.write_dataset(bucket, 10)
    good = (bucket / "import.csv").read_text().splitlines()
    rows = [good[0], "TRAIN,gs://drawn/images/0000.jpg,car,1,2,,,3,4,,", good[1], "TRIAN,gs://drawn/images/0001.jpg"]
    uri = drawn_images.write_csv(bucket, "some-bad.csv", rows)
    dataset = api.create_dataset()
    operation = api.finished(api.start_import(dataset, uri))
    assert not operation.HasField("error")
    messages = [failure.message for failure in metadata(operation).partial_failures]
    assert [message.partition(": ")[0] for message in messages] == [f"{uri}, line 2", f"{uri}, line 4"]
    assert "column 5: 2 is outside" in messages[0]
    assert "column 1" in messages[1]
    assert api.automl.get_dataset(name=dataset).example_count == 1


# ---- operations ---------------------------------------------------------------------------------------------------------


def _list_request(text: str):
    return operations_pb2.ListOperationsRequest(name=PARENT, filter=text)


def _kind(operation) -> str:
    return automl_v1.OperationMetadata.pb(metadata(operation)).WhichOneof("details")


def test_an_operation_is_got_listed_waited_for_and_forgotten_through_the_clients_own_operations_client(api, imported):
    name = api.automl.import_data(
        name=imported, input_config={"gcs_source": {"input_uris": ["gs://drawn/import.csv"]}}
    ).operation.name
    assert api.finished(name).done
    got = api.operations.get_operation(name)
    assert (got.name, got.done) == (name, True)
    listed = [operation.name for operation in api.operations.list_operations(PARENT, "")]
    assert name in listed
    api.operations.cancel_operation(name)  # done already: nothing happens
    assert not api.operations.get_operation(name).HasField("error")
    api.operations.delete_operation(name)
    with pytest.raises(exceptions.NotFound, match="not found"):
        api.operations.get_operation(name)
    assert name not in [operation.name for operation in api.operations.list_operations(PARENT, "")]


OPERATION_FILTERS = ["done=true", "done!=false", "NOT done=false", "operation_id={id}", "worksOn={dataset}",
                     "worksOn = {dataset} AND done = true"]  # fmt: skip


@pytest.mark.parametrize("text", OPERATION_FILTERS)
def test_operations_are_filtered_as_documented(api, text):
    operation = api.automl.create_dataset(
        parent=PARENT, dataset={"display_name": "d", "image_object_detection_dataset_metadata": {}}
    )
    name = operation.operation.name
    values = {"id": name.rpartition("/")[2], "dataset": operation.result(timeout=30).name}
    found = [one.name for one in api.operations.list_operations(PARENT, text.format(**values))]
    assert name in found
    opposite = f"done=false AND operation_id={values['id']}"
    assert [one.name for one in api.operations.list_operations(PARENT, opposite)] == []


def test_operations_are_listed_in_pages(api, parent):
    names = [
        api.automl.create_dataset(
            parent=parent, dataset={"display_name": "d", "image_object_detection_dataset_metadata": {}}
        ).operation.name
        for _ in range(3)
    ]
    seen, token = [], ""
    while True:
        request = operations_pb2.ListOperationsRequest(name=parent, page_size=1, page_token=token)
        answer = api.stub.ListOperations(request, timeout=10)
        seen += [operation.name for operation in answer.operations]
        token = answer.next_page_token
        if not token:
            break
    assert seen == names[::-1]


def test_an_unknown_operation_is_not_found_whatever_is_asked_of_it(api):
    name = f"{PARENT}/operations/IOD1"
    for act in (api.operations.get_operation, api.operations.cancel_operation, api.operations.delete_operation):
        with pytest.raises(exceptions.NotFound, match="not found"):
            act(name)


# ---- the texts that official tests match ----------------------------------------------------------------------------------

UNKNOWN_DATASET = f"{PARENT}/datasets/IOD0000000000000000"


def test_an_unknown_dataset_is_told_in_the_published_words(api):
    known = "The Dataset doesn't exist or is inaccessible for use with AutoMl"
    with pytest.raises(exceptions.NotFound, match=known):
        api.automl.import_data(
            name=UNKNOWN_DATASET, input_config={"gcs_source": {"input_uris": ["gs://nowhere/import.csv"]}}
        )
    with pytest.raises(exceptions.NotFound, match=r"Dataset does not exist\."):
        api.automl.create_model(
            parent=PARENT,
            model={
                "display_name": "m",
                "dataset_id": "IOD0000000000000000",
                "image_object_detection_model_metadata": {},
            },
        )


FIELDS = [
    ("things!", "dataset.display_name"),
    ("x" * 33, "dataset.display_name"),
    ("", "dataset.display_name"),
]


@pytest.mark.parametrize(("display_name", "field"), FIELDS)
def test_a_bad_field_is_an_invalid_argument_in_the_numbered_form(api, parent, display_name, field):
    with pytest.raises(exceptions.BadRequest, match=rf"List of found errors:\t1\.Field: {re.escape(field)}; Message: "):
        _create(api, parent, display_name)


@pytest.mark.parametrize("location", ["europe-west4", "-"])
def test_a_location_that_is_not_served_is_refused_by_name(api, location):
    with pytest.raises(exceptions.BadRequest, match=f"Location '{location}' is not served here; allowed: us-central1"):
        api.automl.list_datasets(parent=f"projects/demo/locations/{location}")


@pytest.mark.parametrize("name", ["x", "projects/demo", f"{PARENT}/models/m", f"{PARENT}/datasets/a/b"])
def test_a_malformed_name_is_refused_with_the_expected_form(service, name):
    with (
        open_api(service) as grpc_api,
        pytest.raises(exceptions.InvalidArgument, match="Malformed resource name") as raised,
    ):
        grpc_api.automl.get_dataset(name=name)
    assert "projects/{project}/locations/{location}/datasets/{dataset}" in str(raised.value)
