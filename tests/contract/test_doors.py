"""Both doors, really listening, under the unmodified official client and under plain HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import json
import socket
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.api_core import client_options, exceptions
from google.auth import credentials as auth_credentials
from google.cloud import automl_v1
from google.cloud.automl_v1.services.auto_ml import transports as automl_transports
from google.cloud.automl_v1.services.prediction_service import transports as prediction_transports
from google.protobuf import field_mask_pb2, json_format
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tests.unit.surface import tiny_service
from tests.unit.surface.tiny_service import rpc

from boxwright import callers, errors
from boxwright.access import decide
from boxwright.surface import http_server, methods, transcode

PARENT = tiny_service.PARENT
MODEL = f"{PARENT}/models/m"
TIMEOUT_S = tiny_service.TIMEOUT_S
IMAGE_BYTES = bytes(range(256)) * (30 * 1024 * 4)  # 30 MiB, the largest image of the API
BATCH = {
    "name": MODEL,
    "input_config": {"gcs_source": {"input_uris": ["gs://b/in.csv"]}},
    "output_config": {"gcs_destination": {"output_uri_prefix": "gs://b/out"}},
}


@contextlib.contextmanager
def automl_client(doors: tiny_service.Doors, door: str) -> Iterator[automl_v1.AutoMlClient]:
    transport: Any
    if door == "grpc":
        transport = automl_transports.AutoMlGrpcTransport(channel=grpc.insecure_channel(doors.target))
        client = automl_v1.AutoMlClient(transport=transport)
    else:
        client = automl_v1.AutoMlClient(transport="rest", **_rest_options(doors))
    with client:
        yield client


@contextlib.contextmanager
def prediction_client(doors: tiny_service.Doors, door: str) -> Iterator[automl_v1.PredictionServiceClient]:
    transport: Any
    if door == "grpc":
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        channel = grpc.insecure_channel(doors.target, options)
        transport = prediction_transports.PredictionServiceGrpcTransport(channel=channel)
        client = automl_v1.PredictionServiceClient(transport=transport)
    else:
        client = automl_v1.PredictionServiceClient(transport="rest", **_rest_options(doors))
    with client:
        yield client


def _rest_options(doors: tiny_service.Doors) -> dict[str, Any]:
    return {
        "credentials": auth_credentials.AnonymousCredentials(),
        "client_options": client_options.ClientOptions(api_endpoint=doors.url),
    }


@pytest.fixture
def automl(doors: tiny_service.Doors, door: str) -> Iterator[automl_v1.AutoMlClient]:
    with automl_client(doors, door) as client:
        yield client


@pytest.fixture
def prediction(doors: tiny_service.Doors, door: str) -> Iterator[automl_v1.PredictionServiceClient]:
    with prediction_client(doors, door) as client:
        yield client


def test_the_official_client_creates_gets_lists_and_patches(automl: automl_v1.AutoMlClient, door: str) -> None:
    created = []
    for number in range(5):
        dataset = {"display_name": f"{door}_{number}", "image_object_detection_dataset_metadata": {}}
        created.append(automl.create_dataset(parent=PARENT, dataset=dataset).result(TIMEOUT_S))
    fetched = automl.get_dataset(name=created[0].name)
    assert fetched == created[0]
    assert "image_object_detection_dataset_metadata" in fetched
    assert fetched.create_time.microsecond == 302067
    pages = list(automl.list_datasets(request={"parent": PARENT, "page_size": 2}).pages)
    assert len(pages) >= 3
    assert {one.name for one in created} <= {one.name for page in pages for one in page.datasets}
    changed = automl.update_dataset(
        dataset={"name": created[1].name, "display_name": "renamed", "description": "left alone"},
        update_mask=field_mask_pb2.FieldMask(paths=["display_name"]),
    )
    assert (changed.display_name, changed.description) == ("renamed", "")
    assert [one.name for one in automl.list_datasets(request={"parent": PARENT, "filter": "renamed"})] == [
        created[1].name
    ]
    changed.display_name = f"renamed_by_{door}"
    automl.update_dataset(dataset=changed, update_mask={"paths": ["display_name"]})


def test_the_official_client_sees_what_is_missing_and_what_is_planned(automl: automl_v1.AutoMlClient) -> None:
    with pytest.raises(exceptions.NotFound, match="was not found"):
        automl.get_dataset(name=f"{PARENT}/datasets/IOD404", retry=None)
    with pytest.raises((exceptions.MethodNotImplemented, exceptions.ServerError), match="not available") as caught:
        automl.delete_model(name=MODEL, retry=None)
    assert caught.value.code == 501


def test_the_official_client_follows_a_batch_prediction(
    doors: tiny_service.Doors, prediction: automl_v1.PredictionServiceClient
) -> None:
    running = prediction.batch_predict(request=BATCH)
    assert not running.done()
    assert running.metadata.progress_percent == 7
    assert running.metadata.batch_predict_details.input_config.gcs_source.input_uris == ["gs://b/in.csv"]
    operations = doors.house.operations
    doors.house.operations.asked = set()
    with futures.ThreadPoolExecutor(1) as pool:
        result = pool.submit(running.result, TIMEOUT_S)
        operations.wait_until_asked(1)  # its second poll is held
        assert not result.done()
        operations.finish(running.operation.name, automl_v1.BatchPredictResult.pb()(metadata={"k": "v"}))
        assert result.result(TIMEOUT_S).metadata == {"k": "v"}


def test_the_official_client_cancels_an_operation(prediction: automl_v1.PredictionServiceClient) -> None:
    running = prediction.batch_predict(request=BATCH)
    assert running.cancel()
    assert running.cancelled()


def test_the_official_clients_operations_client_lists_and_deletes(automl: automl_v1.AutoMlClient) -> None:
    created = automl.create_dataset(parent=PARENT, dataset={"display_name": "for_operations"})
    operations_client = automl.transport.operations_client
    assert operations_client.get_operation(created.operation.name).done
    listed = [one.name for one in operations_client.list_operations(PARENT, filter_="done=true")]
    assert created.operation.name in listed
    operations_client.delete_operation(created.operation.name)
    with pytest.raises(exceptions.NotFound):
        operations_client.get_operation(created.operation.name, retry=None)


def test_the_official_async_client_follows_a_batch_prediction(doors: tiny_service.Doors) -> None:
    async def follow() -> None:
        async with grpc.aio.insecure_channel(doors.target) as channel:
            transport = prediction_transports.PredictionServiceGrpcAsyncIOTransport(channel=channel)
            client = automl_v1.PredictionServiceAsyncClient(transport=transport)
            running = await client.batch_predict(request=BATCH)
            assert not await running.done()
            doors.house.operations.asked = set()
            result = asyncio.create_task(running.result())
            await asyncio.to_thread(doors.house.operations.wait_until_asked, 1)
            doors.house.operations.finish(running.operation.name, automl_v1.BatchPredictResult.pb()())
            assert await asyncio.wait_for(result, TIMEOUT_S) == automl_v1.BatchPredictResult()

    asyncio.run(follow())


def test_an_image_of_30_mib_passes_both_doors(prediction: automl_v1.PredictionServiceClient) -> None:
    answer = prediction.predict(
        name=MODEL, payload={"image": {"image_bytes": IMAGE_BYTES}}, params={"score_threshold": "0.5"}
    )
    assert answer.metadata["sha256"] == hashlib.sha256(IMAGE_BYTES).hexdigest()
    assert answer.metadata["score_threshold"] == "0.5"
    assert answer.payload[0].image_object_detection.bounding_box.normalized_vertices[0].y == 0


def test_every_code_arrives_through_both_doors(doors: tiny_service.Doors, door: str) -> None:
    for code, http_code in transcode.HTTP_CODES.items():
        if (door, code) == ("rest", code_pb2.UNAUTHENTICATED):
            continue  # the client would try to refresh its credentials
        with automl_client(doors, door) as client, pytest.raises(exceptions.GoogleAPICallError) as caught:
            client.get_model(name=f"{PARENT}/models/IOD{code}", retry=None)
        assert f"Model IOD{code} is as it is: ä" in caught.value.message
        if door == "grpc":
            assert caught.value.details[0].field_violations[0].field == "name"
            assert caught.value.grpc_status_code.value[0] == code
        else:
            assert caught.value.details[0]["fieldViolations"][0]["field"] == "name"
            assert caught.value.code == http_code


def test_both_spellings_and_loose_values_are_read(http: httpx.Client) -> None:
    image = {"image": {"imageBytes": "AAEC"}}
    for body in (
        {"payload": image, "params": {"scoreThreshold": 0.5, "x": True, "n": 3}},
        {"payload": {"image": {"image_bytes": "AAEC"}}, "params": {"scoreThreshold": "0.5", "x": "true", "n": "3"}},
    ):
        answer = http.post(f"/v1/{MODEL}:predict", json=body).json()
        assert answer["metadata"]["bytes"] == "3"
        assert {key: answer["metadata"][key] for key in ("scoreThreshold", "x", "n")} == {
            "scoreThreshold": "0.5",
            "x": "true",
            "n": "3",
        }
        box = {"normalizedVertices": [{"x": 0.32}, {"x": 1.0, "y": 0.9}]}  # float32 in its shortest form, zero left out
        assert answer["payload"] == [
            {
                "annotationSpecId": "7",
                "displayName": "Tomato",
                "imageObjectDetection": {"boundingBox": box, "score": 0.1},
            }
        ]


def test_enums_are_names_unless_integers_are_asked_for(http: httpx.Client) -> None:
    named = http.get(f"/v1/{MODEL}").json()
    assert named["deploymentState"] == "DEPLOYED"
    assert named["imageObjectDetectionModelMetadata"]["nodeCount"] == str(2**40)  # int64 is a string
    for query in ("%24alt=json%3Benum-encoding%3Dint", "$alt=json;enum-encoding=int", "$alt=json%3Benum-encoding=int"):
        assert http.get(f"/v1/{MODEL}?{query}").json()["deploymentState"] == 1
    ignored = "alt=json&key=k&prettyPrint=true&access_token=t&$prettyPrint=true&$.xgafv=2&fields=name"
    assert http.get(f"/v1/{MODEL}?{ignored}").json() == named
    assert "\n  " in http.get(f"/v1/{MODEL}?prettyPrint=true").text


def test_masks_filters_and_pages_are_read_in_both_spellings(http: httpx.Client) -> None:
    json_type = {"content-type": "application/json; charset=utf-8"}
    body = '{"displayName": "curled", "imageObjectDetectionDatasetMetadata": {}}'
    created = http.post(f"/v1/{PARENT}/datasets?$alt=json", content=body, headers=json_type).json()
    assert created["metadata"]["@type"] == "type.googleapis.com/google.cloud.automl.v1.OperationMetadata"
    assert created["metadata"]["createDatasetDetails"] == {}
    assert created["response"]["createTime"] == "2019-06-20T21:28:35.302067Z"
    name = created["response"]["name"]
    for mask in ("updateMask=display_name", "update_mask=displayName", "updateMask=displayName,description"):
        patched = http.patch(f"/v1/{name}?{mask}", json={"display_name": "by_mask", "description": mask}).json()
        assert patched["displayName"] == "by_mask"
    assert patched["description"] == mask
    for query in ('filter="by_mask"&pageSize=1', "filter=by_mask&page_size=1", "filter=%22by_mask%22&pageSize=001"):
        assert [one["name"] for one in http.get(f"/v1/{PARENT}/datasets?{query}").json()["datasets"]] == [name]
    override = {"x-http-method-override": "PATCH"}
    answer = http.post(f"/v1/{name}?updateMask=displayName", json={"displayName": "overridden"}, headers=override)
    assert answer.json()["displayName"] == "overridden"


def test_an_empty_body_will_do_and_a_path_is_decoded_once(doors: tiny_service.Doors, http: httpx.Client) -> None:
    started = http.post(f"/v1/{MODEL}:batchPredict", json=_camel(BATCH)).json()
    assert http.post(f"/v1/{started['name']}:cancel").json() == {}
    assert http.post(f"/v1/{started['name']}:wait", content=b"").json()["error"] == {"code": 1}
    assert http.request("DELETE", f"/v1/{started['name']}", content=b"ignored").json() == {}
    assert http.get("/v1/projects/example.com%3Ap/locations/us%2Dcentral1/models/a%2541").json()["name"] == (
        "projects/example.com:p/locations/us-central1/models/a%41"
    )


def _camel(request: dict[str, Any]) -> dict[str, Any]:
    written = json_format.MessageToDict(automl_v1.BatchPredictRequest.pb(automl_v1.BatchPredictRequest(request)))
    return {key: value for key, value in written.items() if key != "name"}


def test_health_follows_what_is_announced(doors: tiny_service.Doors, channel: grpc.Channel) -> None:
    check = health_pb2_grpc.HealthStub(channel).Check
    for service in ("", methods.AUTOML, methods.PREDICTION, methods.OPERATIONS):
        assert check(health_pb2.HealthCheckRequest(service=service)).status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_describes_every_method(channel: grpc.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)

    def ask(**question: str) -> reflection_pb2.ServerReflectionResponse:
        return next(iter(stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**question)]))))

    listed = {service.name for service in ask(list_services="").list_services_response.service}
    assert {row.service for row in methods.TABLE} < listed
    for name in listed:
        assert ask(file_containing_symbol=name).file_descriptor_response.file_descriptor_proto, name


class Doorkeeper(decide.OpenDecider):
    """Admits who sends a good token, and notes what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, list[tuple[str, str]]]] = []

    def admit(self, method: str, headers: Sequence[tuple[str, str]], *, may_wait: bool = True) -> callers.Caller | None:
        if not may_wait:
            return None
        sent = [(name, value) for name, value in headers if name in ("authorization", "x-goog-api-key")]
        self.seen.append((method, sent))
        if ("authorization", "Bearer good") not in sent:
            raise errors.unauthenticated("Send an access token.")
        return callers.Caller("user:ada@example.org")


GET_MODEL = "google.cloud.automl.v1.AutoMl.GetModel"


def test_callers_are_judged_once_by_all_headers_of_both_doors() -> None:
    keeper = Doorkeeper()
    good = {"Authorization": "Bearer good"}
    with tiny_service.open_doors(decider=keeper) as guarded, httpx.Client(trust_env=False) as http:
        refused = http.get(f"{guarded.url}/v1/{MODEL}?key=q", headers={"X-Goog-Api-Key": "k"})
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="boxwright"')
        assert keeper.seen == [(GET_MODEL, [("x-goog-api-key", "q"), ("x-goog-api-key", "k")])]
        twice = [("Authorization", "Bearer x"), ("Authorization", "Bearer good")]
        assert http.get(f"{guarded.url}/v1/{MODEL}", headers=twice).status_code == 200
        assert keeper.seen[1:] == [(GET_MODEL, [(name.lower(), value) for name, value in twice])]
        name = http.post(f"{guarded.url}/v1/{MODEL}:batchPredict", json=_camel(BATCH), headers=good).json()["name"]
        asked = len(keeper.seen)
        http.post(f"{guarded.url}/v1/{name}:wait", json={"timeout": "0.2s"}, headers=good)
        assert len(keeper.seen) == asked + 1, "a call that waits is judged once"
        with grpc.insecure_channel(guarded.target) as channel:
            request = automl_v1.CreateDatasetRequest.pb()(parent=PARENT, dataset={"display_name": "d"})
            rpc(channel, methods.AUTOML, "CreateDataset")(request, metadata=[("authorization", "Bearer good")])
        assert guarded.house.automl.callers == [callers.Caller("user:ada@example.org")]


def test_reflection_is_for_callers_who_are_admitted_and_health_is_for_probes() -> None:
    with tiny_service.open_doors(decider=Doorkeeper()) as guarded, grpc.insecure_channel(guarded.target) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.ServerReflectionInfo(iter([question])))
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert list(stub.ServerReflectionInfo(iter([question]), metadata=[("authorization", "Bearer good")]))
        assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status == 1


def test_a_refused_body_is_not_taken() -> None:
    big = b"x" * (40 << 20)
    with tiny_service.open_doors(decider=Doorkeeper()) as guarded:
        options = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(guarded.target, options) as channel:
            request = automl_v1.PredictRequest.pb()(name=MODEL, payload={"image": {"image_bytes": big}})
            with pytest.raises(grpc.RpcError) as caught:
                rpc(channel, methods.PREDICTION, "Predict")(request)
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        head = f"POST /v1/{MODEL}:predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", guarded.rest_port), tiny_service.TIMEOUT_S) as plain:
            plain.sendall(f"{head}Content-Length: {len(big)}\r\n\r\n".encode())
            assert plain.recv(100).startswith(b"HTTP/1.1 401 "), "answered before any of the body is sent"
        assert guarded.budget.most_bytes == 0


def test_the_json_of_an_operation_is_what_the_documentation_shows(http: httpx.Client) -> None:
    started = http.post(f"/v1/{MODEL}:batchPredict", json=_camel(BATCH))
    assert json.loads(started.text) == {
        "name": started.json()["name"],
        "metadata": {
            "@type": "type.googleapis.com/google.cloud.automl.v1.OperationMetadata",
            "batchPredictDetails": {"inputConfig": {"gcsSource": {"inputUris": ["gs://b/in.csv"]}}},
            "progressPercent": 7,
        },
    }


def test_answers_over_a_kept_connection_are_not_delayed() -> None:
    with http_server.open_listener("127.0.0.1", 0) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_grpc_door_speaks_tls() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tiny_service.open_doors(credentials=grpc.ssl_server_credentials([(key_pem, certificate)])) as secured:
        authority = [("grpc.ssl_target_name_override", "localhost")]
        with grpc.secure_channel(secured.target, grpc.ssl_channel_credentials(certificate), authority) as channel:
            answer = rpc(channel, methods.AUTOML, "GetModel")(automl_v1.GetModelRequest.pb()(name=MODEL))
    assert answer.name == MODEL
