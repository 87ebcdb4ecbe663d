"""The table of methods against what the installed official client declares and sends."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Any

import pytest
from google.auth import credentials
from google.cloud import automl_v1
from google.cloud.automl_v1.services.auto_ml import transports as automl_transports
from google.cloud.automl_v1.services.auto_ml.transports import rest_base as automl_rest
from google.cloud.automl_v1.services.prediction_service.transports import rest_base as prediction_rest
from google.longrunning import operations_pb2
from google.protobuf import field_mask_pb2

from boxwright.surface import methods

CLIENTS = {
    methods.AUTOML: (automl_v1.AutoMlClient, automl_rest._BaseAutoMlRestTransport),
    methods.PREDICTION: (automl_v1.PredictionServiceClient, prediction_rest._BasePredictionServiceRestTransport),
}


def rows(*services: str) -> list[methods.Method]:
    return [row for row in methods.TABLE if row.service in services and not row.is_ours]


def as_declared(options: list[dict[str, str]]) -> list[tuple[str, str, str | None]]:
    return [(option["method"].upper(), option["uri"], option.get("body")) for option in options]


@pytest.mark.parametrize("row", rows(*CLIENTS), ids=lambda row: row.rpc)
def test_every_row_is_what_the_official_client_sends(row: methods.Method) -> None:
    client, transport = CLIENTS[row.service]
    declared = getattr(transport, f"_Base{row.rpc}")._get_http_options()
    assert as_declared(declared) == [(row.verb, path, row.body) for path in row.paths]
    assert callable(getattr(client, row.python_name))


def test_no_method_of_the_official_client_is_missing() -> None:
    for service, (_, transport) in CLIENTS.items():
        declared = {
            name.removeprefix("_Base")
            for name, kind in vars(transport).items()
            if name.startswith("_Base") and hasattr(kind, "_get_http_options")
        }
        assert {row.rpc for row in rows(service)} == declared
    assert [len(rows(service)) for service in CLIENTS] == [18, 2]


def test_every_operations_row_is_what_the_official_client_sends() -> None:
    transport = automl_transports.AutoMlRestTransport(credentials=credentials.AnonymousCredentials())
    declared = transport.operations_client._transport._http_options
    for row in rows(methods.OPERATIONS):
        assert as_declared(declared[f"{row.service}.{row.rpc}"]) == [(row.verb, path, row.body) for path in row.paths]
    assert len(declared) == len(rows(methods.OPERATIONS)) == 5
    transport.close()


OPERATION = "/v1/{name=projects/*/locations/*/operations/*}"
OURS: dict[str, tuple[str, ...]] = {
    "/google.cloud.automl.v1.AutoMl/DescribeModel": ("GET", "/v1/{name=projects/*/locations/*/models/*}:describe"),
    "/google.cloud.automl.v1.AutoMl/ImportModel": ("POST", "/v1/{name=projects/*/locations/*}/models:import"),
    "/google.longrunning.Operations/ResumeOperation": ("POST", OPERATION + ":resume"),
    "/google.longrunning.Operations/GetOperationProgress": ("GET", OPERATION + ":progress"),
    "/boxwright.v1.Curation/ListExamples": ("GET", "/v1/{parent=projects/*/locations/*/datasets/*}/examples"),
    "/boxwright.v1.Curation/GetExample": ("GET", "/v1/{name=projects/*/locations/*/datasets/*/examples/*}"),
    "/boxwright.v1.Curation/UploadExample": (
        "POST",
        "/v1/{parent=projects/*/locations/*/datasets/*}/examples:upload",
    ),
    "/boxwright.v1.Curation/LookupExamples": (
        "POST",
        "/v1/{parent=projects/*/locations/*/datasets/*}/examples:lookup",
    ),
    "/boxwright.v1.Curation/GetExampleImage": (
        "GET",
        "/v1/{name=projects/*/locations/*/datasets/*/examples/*}:image",
    ),
    "/boxwright.v1.Curation/SuggestAnnotations": (
        "POST",
        "/v1/{name=projects/*/locations/*/datasets/*/examples/*}:suggest",
    ),
    "/boxwright.v1.Curation/ListEvaluatedExamples": (
        "GET",
        "/v1/{parent=projects/*/locations/*/models/*}/evaluatedExamples",
    ),
    "/boxwright.v1.Curation/SummarizeEvaluation": (
        "GET",
        "/v1/{name=projects/*/locations/*/models/*}:summarizeEvaluation",
    ),
    "/boxwright.v1.Curation/ListResults": ("GET", OPERATION.replace("name", "parent") + "/results"),
    "/boxwright.v1.Curation/AddResults": (
        "POST",
        "/v1/{parent=projects/*/locations/*/datasets/*}/examples:addResults",
    ),
    "/boxwright.v1.Curation/GetResultImage": (
        "GET",
        "/v1/{name=projects/*/locations/*/operations/*/results/*}:image",
    ),
    "/boxwright.v1.Curation/DownloadObject": ("GET", OPERATION + ":download"),
    "/boxwright.v1.Curation/ListObjects": ("GET", "/v1/{parent=projects/*/locations/*}/objects"),
    "/boxwright.v1.Curation/SummarizeResults": ("GET", OPERATION + ":summarizeResults"),
    "/boxwright.v1.Curation/UpdateExample": (
        "PATCH",
        "/v1/{example.name=projects/*/locations/*/datasets/*/examples/*}",
    ),
    **{
        f"/boxwright.v1.Curation/{rpc}": (verb, path.replace("D", "projects/*/locations/*/datasets/*", 1))
        for rpc, verb, path in (
            ("BatchUpdateExamples", "POST", "/v1/{parent=D}/examples:batchUpdate"),
            ("BatchDeleteExamples", "POST", "/v1/{parent=D}/examples:batchDelete"),
            ("RevertChange", "POST", "/v1/{name=D/changes/*}:revert"),
            ("SummarizeDataset", "GET", "/v1/{name=D}:summarize"),
            ("ListAnnotationSpecs", "GET", "/v1/{parent=D}/annotationSpecs"),
            ("CreateAnnotationSpec", "POST", "/v1/{parent=D}/annotationSpecs"),
            ("UpdateAnnotationSpec", "PATCH", "/v1/{annotation_spec.name=D/annotationSpecs/*}"),
            ("DeleteAnnotationSpec", "DELETE", "/v1/{name=D/annotationSpecs/*}"),
            ("MergeAnnotationSpecs", "POST", "/v1/{name=D/annotationSpecs/*}:merge"),
        )
    },
}


def test_our_own_additions_are_few_and_known() -> None:
    ours = {row.full_name: (row.verb, *row.paths) for row in methods.TABLE if row.is_ours}
    assert ours == OURS


def test_rows_are_unique_and_frozen() -> None:
    of_google = [row for row in methods.TABLE if not row.is_ours]
    assert len({row.full_name for row in methods.TABLE}) == len(methods.TABLE)
    assert len(of_google) == 31
    addresses = [(row.verb, path) for row in methods.TABLE for path in row.paths]
    assert len(set(addresses)) == len(addresses)
    with pytest.raises(dataclasses.FrozenInstanceError):
        methods.TABLE[0].verb = "GET"  # type: ignore[misc]


@pytest.mark.parametrize("row", methods.TABLE, ids=lambda row: row.rpc)
def test_the_fields_a_row_names_exist(row: methods.Method) -> None:
    empty = row.request_pb()
    for path in row.required:
        assert not methods.is_set(empty, path), path
    if row.body not in (None, "*"):
        assert row.body in empty.DESCRIPTOR.fields_by_name
    assert (row.response is operations_pb2.Operation and row.service != methods.OPERATIONS) == (row.result is not None)


def test_the_evaluation_filter_is_not_required() -> None:
    row = next(row for row in methods.TABLE if row.rpc == "ListModelEvaluations")
    assert row.required == ("parent",)


IS_SET: list[tuple[Any, str, bool]] = [
    (automl_v1.PredictRequest(), "payload.payload", False),  # nothing there
    (automl_v1.PredictRequest(payload={}), "payload.payload", False),  # an empty message
    (automl_v1.PredictRequest(payload={"image": {}}), "payload.payload", True),  # a member of the oneof
    (automl_v1.PredictRequest(name="m"), "name", True),
    (automl_v1.ImportDataRequest(input_config={"gcs_source": {}}), "input_config.gcs_source.input_uris", False),
    (
        automl_v1.ImportDataRequest(input_config={"gcs_source": {"input_uris": ["gs://b/a.csv"]}}),
        "input_config.gcs_source.input_uris",
        True,
    ),
    (automl_v1.UpdateModelRequest(update_mask=field_mask_pb2.FieldMask()), "update_mask", False),  # an empty mask
    (automl_v1.UpdateModelRequest(update_mask=field_mask_pb2.FieldMask(paths=["labels"])), "update_mask", True),
    (automl_v1.CreateDatasetRequest(dataset={}), "dataset", True),  # present, though empty
    (automl_v1.CreateDatasetRequest(), "dataset", False),
]


@pytest.mark.parametrize("request_, path, expected", IS_SET, ids=range(len(IS_SET)))
def test_a_field_is_set_when_it_has_a_value(request_: Any, path: str, expected: bool) -> None:
    assert methods.is_set(type(request_).pb(request_), path) is expected


def test_wrapping_shares_the_message() -> None:
    row = next(row for row in methods.TABLE if row.rpc == "GetModel")
    request = row.request_pb(name="a")
    row.wrap(request).name = "b"
    assert request.name == "b"


def test_an_answer_of_the_wrong_type_is_not_passed_on() -> None:
    row = next(row for row in methods.TABLE if row.rpc == "GetModel")
    with pytest.raises(TypeError, match="GetModel answered Dataset instead of Model"):
        row.unwrap(automl_v1.Dataset())


def test_a_row_without_permission_or_resource_cannot_be_made() -> None:
    row = methods.TABLE[0]
    for lacking in ({"permission": ""}, {"resource": ""}, {"resource": "dataset"}):
        with pytest.raises(TypeError, match="CreateDataset"):
            dataclasses.replace(row, **lacking)


@pytest.mark.parametrize("row", methods.TABLE, ids=lambda row: row.rpc)
def test_the_field_that_is_judged_is_the_one_that_the_path_fills(row: methods.Method) -> None:
    assert {re.search(r"\{([\w.]+)=", path)[1] for path in (*row.paths, *row.post_paths)} == {row.resource}


def _needed(rpc: str, **fields: Any) -> list[tuple[str, str]]:
    row = next(row for row in methods.TABLE if row.rpc == rpc)
    return [(found.permission, found.resource) for found in methods.requirements(row, row.request_pb(**fields))]


def test_what_a_request_needs_is_on_the_name_that_it_has() -> None:
    location = "projects/p/locations/l"
    assert _needed("GetModel", name=f"{location}/models/m") == [("automl.models.get", f"{location}/models/m")]
    both = [("automl.models.create", location), ("automl.datasets.get", f"{location}/datasets/IOD1")]
    assert _needed("CreateModel", parent=location, model={"dataset_id": "IOD1"}) == both
    odd = [("automl.models.create", location), ("automl.datasets.get", location)]
    assert _needed("CreateModel", parent=location, model={"dataset_id": "../x"}) == odd
    assert _needed("UpdateDataset", dataset={"name": "x"}) == [("automl.datasets.update", "x")]
    assert _needed("TestIamPermissions", resource="projects/p") == []
    for kind, permission in (
        ("projects/p", "resourcemanager.projects"),
        (location, "automl.locations"),
        (f"{location}/datasets/d", "automl.datasets"),
        (f"{location}/models/m", "automl.models"),
    ):
        assert _needed("SetIamPolicy", resource=kind) == [(f"{permission}.setIamPolicy", kind)]


def test_every_row_is_documented() -> None:
    page = (pathlib.Path(__file__).parents[3] / "docs" / "wire.md").read_text(encoding="utf-8")
    for row in methods.TABLE:
        addresses = [(row.verb, path) for path in row.paths] + [("POST", path) for path in row.post_paths]
        for verb, path in addresses:
            plain = re.sub(r"\{[\w.]+=([^}]+)\}", r"\1", path).replace("projects/*/locations/*", "P")
            assert re.search(rf"^\| `{row.rpc}` \| `{verb} {re.escape(plain)}[`?]", page, re.MULTILINE), row.rpc
