"""HTTP requests to messages and back; and that no request whatever can raise anything but ApiError."""

from __future__ import annotations

import base64
import json
from typing import Any

import hypothesis
import pytest
from google.cloud import automl_v1
from google.longrunning import operations_pb2
from google.protobuf import json_format
from google.rpc import code_pb2, status_pb2
from hypothesis import strategies as st

from boxwright import errors
from boxwright.surface import methods, routes, transcode

P = "projects/p/locations/l"


def read(verb: str, path: str, query: str = "", body: Any = b"") -> Any:
    """Reads a request as the door does; a body that is no bytes is written as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    route = routes.find_route(verb, f"/v1/{path}")
    return route.row.wrap(transcode.read_request(route, query.encode(), content))


READ: list[tuple[str, str, str, Any, Any]] = [
    # verb, path, query, body, request
    ("GET", f"{P}/datasets", "", b"", automl_v1.ListDatasetsRequest(parent=P)),
    (
        "GET",
        f"{P}/datasets",
        "pageSize=5&page_token=t&filter=a%3A*",
        b"",
        automl_v1.ListDatasetsRequest(parent=P, page_size=5, page_token="t", filter="a:*"),
    ),
    ("GET", f"{P}/models", 'filter="a"', b"", automl_v1.ListModelsRequest(parent=P, filter="a")),  # one pair of quotes
    ("GET", f"{P}/models", 'filter=""a""', b"", automl_v1.ListModelsRequest(parent=P, filter='"a"')),  # only one
    ("GET", f"{P}/models", 'filter="', b"", automl_v1.ListModelsRequest(parent=P, filter='"')),
    ("GET", f"{P}/models", "filter=a+b&pageToken=", b"", automl_v1.ListModelsRequest(parent=P, filter="a b")),
    ("GET", f"{P}/models", "parent=other", b"", automl_v1.ListModelsRequest(parent=P)),  # the path wins
    (
        "GET",
        f"{P}/models/m",
        "$alt=json;enum-encoding=int&key=k&fields=*",
        b"",
        automl_v1.GetModelRequest(name=f"{P}/models/m"),
    ),
    ("POST", f"{P}/datasets", "", b"", automl_v1.CreateDatasetRequest(parent=P, dataset={})),
    ("POST", f"{P}/datasets", "", b"\xef\xbb\xbf{}", automl_v1.CreateDatasetRequest(parent=P, dataset={})),  # a BOM
    (
        "POST",
        f"{P}/datasets",
        "",
        {"display_name": "a", "labels": {"n": 1}, "exampleCount": "3"},
        automl_v1.CreateDatasetRequest(
            parent=P, dataset={"display_name": "a", "labels": {"n": "1"}, "example_count": 3}
        ),
    ),
    (
        "POST",
        f"{P}/models",
        "",
        {"deploymentState": 1, "imageObjectDetectionModelMetadata": {"trainBudgetMilliNodeHours": 24000}},
        automl_v1.CreateModelRequest(
            parent=P,
            model={
                "deployment_state": "DEPLOYED",
                "image_object_detection_model_metadata": {"train_budget_milli_node_hours": 24000},
            },
        ),
    ),
    (
        "PATCH",
        f"{P}/models/m",
        "updateMask=displayName,labels&updateMask=image_object_detection_model_metadata.nodeCount",
        {"name": "other"},
        automl_v1.UpdateModelRequest(
            model={"name": f"{P}/models/m"},
            update_mask={"paths": ["display_name", "labels", "image_object_detection_model_metadata.node_count"]},
        ),
    ),
    (
        "POST",
        f"{P}/models/m:deploy",
        "",
        {
            "name": "other",
            "imageObjectDetectionModelDeploymentMetadata": {"nodeCount": "2"},
            "image_classification_model_deployment_metadata": None,
        },
        automl_v1.DeployModelRequest(
            name=f"{P}/models/m", image_object_detection_model_deployment_metadata={"node_count": 2}
        ),
    ),
    ("POST", f"{P}/operations/o:wait", "", {"timeout": "1.5s"}, None),
    ("GET", f"{P}/operations", "return_partial_success=true&filter=done=true", b"", None),
]


@pytest.mark.parametrize("verb, path, query, body, expected", READ, ids=range(len(READ)))
def test_a_request_is_read(verb: str, path: str, query: str, body: Any, expected: Any) -> None:
    found = read(verb, path, query, body)
    if expected is not None:
        assert found == expected


def test_operation_requests_are_read() -> None:
    waits = read("POST", f"{P}/operations/o:wait", "", {"timeout": "1.5s"})
    assert (waits.name, waits.timeout.seconds, waits.timeout.nanos) == (f"{P}/operations/o", 1, 500_000_000)
    lists = read("GET", f"{P}/operations", ["return_partial_success=true&filter=done=true", ".x=1"][0])
    assert (lists.name, lists.return_partial_success, lists.filter) == (P, True, "done=true")


def test_duration_in_the_query_is_read() -> None:
    assert read("POST", f"{P}/operations/o:wait", "timeout=2s").timeout.seconds == 2


IMAGES = [
    # base64 as it comes, the bytes
    ("", b""),
    ("AAEC", b"\0\1\2"),
    ("AA==", b"\0"),
    ("AA", b"\0"),  # padding left out
    ("-_-_", b"\xfb\xff\xbf"),  # URL-safe
    ("AA\nEC\r\n", b"\0\1\2"),  # wrapped by a command-line tool
]


@pytest.mark.parametrize("text, expected", IMAGES)
@pytest.mark.parametrize("key", ["imageBytes", "image_bytes"])
def test_image_bytes_are_decoded(key: str, text: str, expected: bytes) -> None:
    found = read("POST", f"{P}/models/m:predict", "", {"payload": {"image": {key: text}}})
    assert found.payload.image.image_bytes == expected
    assert automl_v1.ExamplePayload.pb(found.payload).WhichOneof("payload") == "image"


@pytest.mark.parametrize("text", ["a", "a!b=", "AA=A", "ä", "A==="])
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(errors.ApiError, match=r"'payload.image.image_bytes' \(TYPE_BYTES\), Base64 decoding failed"):
        read("POST", f"{P}/models/m:predict", "", {"payload": {"image": {"imageBytes": text}}})


def test_an_unknown_field_is_named_with_its_place() -> None:
    with pytest.raises(errors.ApiError) as caught:
        read("POST", f"{P}/models/m:predict", "", {"payload": {"image": {"colour": 1}}})
    assert caught.value.message == (
        "Invalid JSON payload received. Unknown name \"colour\" at 'payload.image': Cannot find field."
    )
    assert caught.value.details[0].field_violations[0].field == "payload.image.colour"


OPTIONS = [
    ("", transcode.Options()),
    ("%24alt=json%3Benum-encoding%3Dint", transcode.Options(integers_for_enums=True)),
    ("$alt=json;enum-encoding=int&prettyPrint=true", transcode.Options(integers_for_enums=True, is_pretty=True)),
    ("$alt=json", transcode.Options()),
    ("alt=json;enum-encoding=int", transcode.Options(integers_for_enums=True)),
    ("key=k", transcode.Options(credentials=(("x-goog-api-key", "k"),))),
    ("access_token=t", transcode.Options()),  # addresses are kept in logs: no access token is read from one
    ("key=a&key=b", transcode.Options(credentials=(("x-goog-api-key", "a"), ("x-goog-api-key", "b")))),
    ("x=%ff", transcode.Options()),  # unreadable
]


@pytest.mark.parametrize("query, expected", OPTIONS)
def test_system_parameters_are_read(query: str, expected: transcode.Options) -> None:
    assert transcode.read_options(query.encode()) == expected


def test_messages_are_written_as_clients_know_them() -> None:
    model = automl_v1.Model(
        display_name="ä",
        deployment_state="UNDEPLOYED",
        image_object_detection_model_metadata={"node_qps": 1.5, "train_budget_milli_node_hours": 24000},
    )
    written = transcode.write_message(automl_v1.Model.pb(model))
    assert json.loads(written) == {
        "displayName": "ä",
        "deploymentState": "UNDEPLOYED",
        "imageObjectDetectionModelMetadata": {"nodeQps": 1.5, "trainBudgetMilliNodeHours": "24000"},
    }
    assert "ä".encode() in written
    assert written.count(b"\n") == 1
    as_integers = transcode.write_message(automl_v1.Model.pb(model), integers_for_enums=True)
    assert json.loads(as_integers)["deploymentState"] == 2


@pytest.mark.parametrize("row", [row for row in methods.TABLE if row.result is not None], ids=lambda row: row.rpc)
def test_every_result_of_an_operation_can_be_written(row: methods.Method) -> None:
    operation = operations_pb2.Operation(done=True)
    operation.metadata.Pack(automl_v1.OperationMetadata.pb()())
    operation.response.Pack(methods.pb_class(row.result)())
    written = json.loads(transcode.write_message(operation))
    assert written["response"]["@type"] == f"type.googleapis.com/{methods.pb_class(row.result).DESCRIPTOR.full_name}"


def test_an_error_is_written_in_the_one_shape() -> None:
    http_code, body = transcode.write_error(errors.not_found("gone \ud800"))
    assert http_code == 404
    assert json.loads(body) == {"error": {"code": 404, "message": "gone ?", "status": "NOT_FOUND"}}
    assert set(transcode.HTTP_CODES) == {code for code in code_pb2.Code.values() if code}
    for code in transcode.HTTP_CODES:
        assert transcode.write_error(errors.from_status(status_pb2.Status(code=code)))[0] >= 400


# --- whatever arrives ------------------------------------------------------------------------------------------------

POSTS = [row for row in methods.TABLE if row.body is not None]
FIELD_NAMES = sorted(
    {
        name
        for row in POSTS
        for field in row.request_pb.DESCRIPTOR.fields
        for inner in (field, *(field.message_type.fields if field.message_type else ()))
        for name in (inner.name, inner.camelcase_name)
    }
    | {"imageBytes", "gcsSource", "inputUris", "labels", "params", "seconds", "paths", "@type"}
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELD_NAMES) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
PROFILE = hypothesis.settings(max_examples=300, deadline=None, derandomize=True, database=None)


def survives(route: routes.Route, query: bytes, body: bytes) -> None:
    try:
        answer = transcode.read_request(route, query, body)
    except errors.ApiError as refused:
        assert refused.code == code_pb2.INVALID_ARGUMENT
        refused.status.SerializeToString()
        assert json.loads(transcode.write_error(refused)[1])["error"]["code"] == 400
    else:
        json_format.MessageToJson(answer)


def route_to(row: methods.Method) -> routes.Route:
    field = next(name for name in ("name", "parent", "resource") if name in row.request_pb.DESCRIPTOR.fields_by_name)
    return routes.Route(row, field, P, row.body)


@PROFILE
@hypothesis.given(st.sampled_from([row for row in POSTS if "." not in row.paths[0]]), VALUES)
def test_any_json_is_read_or_refused(row: methods.Method, value: Any) -> None:
    survives(route_to(row), b"", json.dumps(value).encode("utf-8", "surrogatepass"))


@PROFILE
@hypothesis.given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(query: bytes, body: bytes) -> None:
    route = routes.find_route("POST", f"/v1/{P}/models/m:predict")
    survives(route, query, body)
    survives(route, b"", b'{"payload": {"image": {"imageBytes": "' + body + b'"}}}')
    transcode.read_options(query)


@PROFILE
@hypothesis.given(
    st.sampled_from(methods.TABLE), st.lists(st.tuples(st.sampled_from(FIELD_NAMES), SCALARS), max_size=3)
)
def test_any_query_is_read_or_refused(row: methods.Method, pairs: list[tuple[str, Any]]) -> None:
    query = "&".join(f"{name}={value}" for name, value in pairs).encode("utf-8", "replace")
    hypothesis.assume("." not in row.paths[0])
    survives(route_to(row), query, b"")


@PROFILE
@hypothesis.given(st.sampled_from(["GET", "POST", "PATCH", "X"]), st.text(max_size=80))
def test_any_path_is_found_or_refused(verb: str, path: str) -> None:
    for candidate in (path, f"/v1/projects/{path}/locations", f"/v1/{P}/models/{path}"):
        try:
            routes.find_route(verb, candidate)
        except errors.ApiError as refused:
            assert refused.code in (code_pb2.NOT_FOUND, code_pb2.INVALID_ARGUMENT)
            refused.status.SerializeToString()


@PROFILE
@hypothesis.given(st.binary(max_size=400))
def test_any_image_passes(image_bytes: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        body = {"payload": {"image": {"imageBytes": encode(image_bytes).decode()}}}
        assert read("POST", f"{P}/models/m:predict", "", body).payload.image.image_bytes == image_bytes
