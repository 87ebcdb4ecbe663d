"""What both doors answer when something is wrong: one error, in the clothes of each door."""

from __future__ import annotations

import grpc
import httpx
import pytest
from google.cloud import automl_v1
from google.longrunning import operations_pb2
from google.rpc import code_pb2, status_pb2
from starlette import routing
from tests.unit.surface import tiny_service
from tests.unit.surface.tiny_service import rpc

from boxwright.surface import methods, request_policy, rest_server, transcode

PARENT = tiny_service.PARENT
MODEL = f"{PARENT}/models/m"
TIMEOUT_S = tiny_service.TIMEOUT_S


def test_every_code_has_its_http_code(http: httpx.Client) -> None:
    assert set(transcode.HTTP_CODES) == {code for code in code_pb2.Code.values() if code}
    for code, http_code in transcode.HTTP_CODES.items():
        answer = http.get(f"/v1/{PARENT}/models/IOD{code}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (http_code, http_code)
        assert answer.json()["error"]["status"] == code_pb2.Code.Name(code)


def test_the_rest_error_has_googles_shape(http: httpx.Client) -> None:
    answer = http.get(f"/v1/{PARENT}/models/IOD5")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert answer.json() == {
        "error": {
            "code": 404,
            "message": "Model IOD5 is as it is: ä",
            "status": "NOT_FOUND",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [{"field": "name", "description": "why not"}],
                }
            ],
        }
    }


@pytest.mark.parametrize("model", ["boom", "lost", "odd"])
def test_the_unexpected_is_internal_and_keeps_its_secret(
    model: str, channel: grpc.Channel, http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    answer = http.get(f"/v1/{PARENT}/models/{model}")
    assert answer.status_code == 500
    assert answer.json()["error"]["status"] == "INTERNAL"
    assert answer.json()["error"]["message"].startswith("Internal error encountered. Incident ")
    assert "secret" not in answer.text
    incident_id = answer.json()["error"]["message"].partition("Incident ")[2][:12]
    assert incident_id in caplog.text
    with pytest.raises(grpc.RpcError) as caught:
        rpc(channel, methods.AUTOML, "GetModel")(automl_v1.GetModelRequest.pb()(name=f"{PARENT}/models/{model}"))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in caught.value.details()


def test_a_very_long_error_still_arrives(channel: grpc.Channel, http: httpx.Client) -> None:
    name = f"{MODEL}/modelEvaluations/1"
    with pytest.raises(grpc.RpcError) as caught:
        rpc(channel, methods.AUTOML, "GetModelEvaluation")(automl_v1.GetModelEvaluationRequest.pb()(name=name))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "List of found errors" in caught.value.details()
    assert http.get(f"/v1/{name}").status_code == 400


def test_a_missing_field_is_named_in_the_services_own_words(channel: grpc.Channel, http: httpx.Client) -> None:
    answer = http.post(f"/v1/{MODEL}:predict", json={"payload": {}})
    wanted = "List of found errors:\t1.Field: payload.payload; Message: Required field not set.\t"
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, wanted)
    with pytest.raises(grpc.RpcError) as caught:
        rpc(channel, methods.PREDICTION, "Predict")(automl_v1.PredictRequest.pb()(name=MODEL))
    assert caught.value.details() == wanted
    trailers = dict(caught.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert (status.code, status.message, len(status.details)) == (3, wanted, 1)


def test_bytes_that_are_no_message_are_an_invalid_argument(channel: grpc.Channel) -> None:
    for row in methods.TABLE:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(row.full_name)(b"\xff\xff\xff", timeout=TIMEOUT_S)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, row.rpc
        assert "is not a valid" in caught.value.details()


def test_an_unknown_method_is_unimplemented(channel: grpc.Channel) -> None:
    for name in ("/google.cloud.automl.v1.AutoMl/Nope", "/google.cloud.automl.v1beta1.AutoMl/GetModel", "/x/y"):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(name)(b"", timeout=TIMEOUT_S)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


DEEP = b'{"payload":' * 5_000 + b"{}" + b"}" * 5_000
BAD_REQUESTS: list[tuple[str, str, bytes, str]] = [
    # verb, path, body, part of the message
    ("GET", "/v1/", b"", "was not found on this server"),  # no path at all
    ("GET", "/v1/projects", b"", "was not found on this server"),
    ("GET", "/nowhere", b"", "Not Found"),  # outside the API
    ("GET", "/v2/projects/p/locations/l/models", b"", "Not Found"),
    ("GET", f"/v1beta1/{PARENT}/models", b"", "Not Found"),
    ("GET", f"/v1/{PARENT}/models/", b"", "was not found on this server"),  # trailing slash
    ("GET", f"/v1//{PARENT}/models", b"", "was not found on this server"),
    ("GET", f"/v1/{MODEL}:predict", b"", "It has: POST."),  # known path, other verb
    ("PUT", f"/v1/{MODEL}", b"{}", "It has: DELETE, GET, PATCH."),
    ("POST", f"/v1/{MODEL}:nope", b"{}", "was not found on this server"),
    ("POST", f"/v1/{MODEL}:", b"{}", "It has: DELETE, GET, PATCH."),
    ("OPTIONS", f"/v1/{MODEL}", b"", "It has"),
    ("GET", "/v1/projects/%ff/locations/l/models", b"", "not valid UTF-8"),
    ("GET", f"/v1/{PARENT}/datasets?pageSize=two", b"", "page_size"),
    ("GET", f"/v1/{PARENT}/datasets?pageSize=", b"", "page_size"),
    ("GET", f"/v1/{PARENT}/datasets?pageSize=1e99", b"", "page_size"),
    ("GET", f"/v1/{PARENT}/datasets?pageSize=99999999999", b"", "page"),
    ("GET", f"/v1/{PARENT}/datasets?pagesize=2", b"", 'Unknown name "pagesize"'),
    ("GET", f"/v1/{PARENT}/datasets?filter=a&filter=b", b"", "given 2 times"),
    ("GET", f"/v1/{PARENT}/datasets?filter=%ff", b"", "query string cannot be read"),
    ("GET", f"/v1/{PARENT}/datasets?parent.x=1", b"", 'Unknown name "parent.x"'),
    ("GET", f"/v1/{PARENT}/datasets?" + "&".join(["a=b"] * 300), b"", "query string cannot be read"),
    ("GET", f"/v1/{PARENT}/operations?returnPartialSuccess=maybe", b"", "TYPE_BOOL"),
    ("PATCH", f"/v1/{PARENT}/datasets/IOD1", b"{}", "update_mask; Message: Required"),  # no mask
    ("PATCH", f"/v1/{PARENT}/datasets/IOD1?updateMask=", b"{}", "update_mask; Message: Required"),
    ("POST", f"/v1/{PARENT}/datasets", b"", "dataset.display_name; Message: Required"),  # empty body
    ("POST", f"/v1/{PARENT}/datasets", b"{}", "dataset.display_name; Message: Required"),
    ("POST", f"/v1/{PARENT}/datasets", b"{", "Invalid JSON payload"),
    ("POST", f"/v1/{PARENT}/datasets", b"[]", "Root element must be a message"),
    ("POST", f"/v1/{PARENT}/datasets", b"null", "Root element must be a message"),
    ("POST", f"/v1/{PARENT}/datasets", b'"text"', "Root element must be a message"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"displayName": NaN}', "NaN is not JSON"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"displayName": "\xff"}', "not valid UTF-8"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"displayName": "\\ud800"}', "Invalid JSON payload"),  # half a character
    ("POST", f"/v1/{PARENT}/datasets", b'{"displayName": 7}', "Invalid JSON payload"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"displayName": {"a": 1}}', "Invalid JSON payload"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"displayName": "a", "displayName": "b"}', "given twice"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"displayName": "a", "display_name": "b"}', "in both spellings"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"color": "red"}', "Unknown name \"color\" at 'dataset'"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"exampleCount": 1.5}', "Invalid JSON payload"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"exampleCount": 1e999}', "Invalid JSON payload"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"exampleCount": ' + b"9" * 5000 + b"}", "Invalid JSON payload"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"createTime": "yesterday"}', "Invalid JSON payload"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"createTime": 5}', "nvalid"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"labels": [1]}', "nvalid"),
    ("POST", f"/v1/{PARENT}/datasets", b'{"labels": {"a": null}}', "nvalid"),
    ("POST", f"/v1/{PARENT}/models", b'{"deploymentState": "SOARING"}', "nvalid"),
    ("POST", f"/v1/{MODEL}:predict", b'{"payload": 5}', "nvalid"),
    ("POST", f"/v1/{MODEL}:predict", b'{"payload": {"image": {"imageBytes": "a!b="}}}', "Base64 decoding failed"),
    ("POST", f"/v1/{MODEL}:predict", b'{"payload": {"image": {"imageBytes": 5}}}', "nvalid"),
    ("POST", f"/v1/{MODEL}:predict", b'{"payload": {"image": {}, "textSnippet": {}}}', "nvalid"),  # two of a oneof
    ("POST", f"/v1/{MODEL}:predict", DEEP, "nested too deeply"),
    ("POST", f"/v1/{MODEL}:predict", b"[" * 200_000, "nested too deeply"),
    ("POST", f"/v1/{PARENT}/operations/IOD1:wait", b'{"timeout": "soon"}', "nvalid"),
    ("POST", f"/v1/{PARENT}/operations/IOD1:wait", b'{"timeout": 5}', "nvalid"),
]


@pytest.mark.parametrize("verb, path, body, part", BAD_REQUESTS, ids=range(len(BAD_REQUESTS)))
def test_a_bad_request_gets_a_clean_refusal(http: httpx.Client, verb: str, path: str, body: bytes, part: str) -> None:
    answer = http.request(verb, path, content=body, headers={"content-type": "application/json"})
    _assert_refused(answer, part)


def _assert_refused(answer: httpx.Response, part: str) -> None:
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    shown = answer.json()["error"]
    assert set(shown) <= {"code", "message", "status", "details"}
    assert shown["code"] == answer.status_code
    assert transcode.HTTP_CODES[code_pb2.Code.Value(shown["status"])] == answer.status_code
    assert part in shown["message"]
    assert len(shown["message"]) < 1000
    assert "Traceback" not in answer.text


def test_a_body_of_another_type_is_refused(http: httpx.Client) -> None:
    form = http.post(f"/v1/{MODEL}:predict", data={"payload": "x"})
    _assert_refused(form, "Content-Type 'application/x-www-form-urlencoded' is not supported")
    untyped = http.post(f"/v1/{MODEL}:predict", content=b"{}")
    _assert_refused(untyped, "A body needs a type")
    packed = http.post(f"/v1/{MODEL}:predict", content=b"\x1f\x8b", headers={"content-encoding": "gzip"})
    _assert_refused(packed, "Content-Encoding is not supported")


def test_a_body_over_the_limit_is_refused_however_it_is_announced(http: httpx.Client) -> None:
    too_large = bytes(49 * 1024 * 1024)
    refused = "Request payload size exceeds the limit: 50331648 bytes."
    _assert_refused(http.post(f"/v1/{MODEL}:predict", content=too_large), refused)
    chunks = (too_large[start : start + 2**20] for start in range(0, len(too_large), 2**20))
    as_json = {"content-type": "application/json"}
    _assert_refused(http.post(f"/v1/{MODEL}:predict", content=chunks, headers=as_json), refused)


def test_a_message_over_the_limit_is_refused_by_grpc(channel: grpc.Channel) -> None:
    with grpc.insecure_channel(channel._channel.target().decode(), [("grpc.max_send_message_length", -1)]) as open_end:
        with pytest.raises(grpc.RpcError) as caught:
            open_end.unary_unary(f"/{methods.PREDICTION}/Predict")(bytes(49 * 1024 * 1024), timeout=TIMEOUT_S)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_both_doors_take_connections_of_the_named_proxies_only() -> None:
    for peers, is_served in ((["127.0.0.0/8"], True), (["10.0.0.0/8"], False)):
        policy = request_policy.RequestPolicy(peers=peers)
        with tiny_service.open_doors(request_guard=policy) as opened, httpx.Client(trust_env=False) as plain:
            code = plain.get(f"{opened.url}/v1/{tiny_service.PARENT}/operations").status_code
            with grpc.insecure_channel(opened.target) as channel:
                call = tiny_service.rpc(channel, methods.OPERATIONS, "ListOperations")
                try:
                    call(operations_pb2.ListOperationsRequest(name=tiny_service.PARENT))
                    found = grpc.StatusCode.OK
                except grpc.RpcError as error:
                    found = error.code()
        assert (code, found) == ((200, grpc.StatusCode.OK) if is_served else (403, grpc.StatusCode.PERMISSION_DENIED))


def test_a_further_route_is_public_by_name_or_the_server_is_not_built() -> None:
    route = routing.Route("/secrets", lambda request: None)
    with pytest.raises(TypeError, match="Nobody judges the callers of /secrets"):
        rest_server.build_rest_app(
            tiny_service.build_house().dispatcher, None, None, [route], request_guard=None, bounds=None, budget=None
        )
