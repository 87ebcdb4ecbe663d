"""Images that are sent to a dataset: over HTTP and gRPC, twice, refused, beside an import, exported, cut off by a kill."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import httpx
import pytest
from google.api import httpbody_pb2
from tests.support.clients import case_world
from tests.support.clients.api import open_api
from tests.support.images import drawn_images

from boxwright import curation_messages as pb
from boxwright import derived_settings, errors, faults
from boxwright.settings import StorageSettings

JPEG, OTHER = {"Content-Type": "image/jpeg"}, {"Content-Type": "application/octet-stream"}


def _client(service: Any) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{service.port}/v1/", timeout=120)


@pytest.fixture
def http(service: Any) -> Iterator[httpx.Client]:
    with _client(service) as client:
        yield client


def _dataset(service: Any, name: str) -> str:
    with open_api(service) as api:
        dataset: str = api.create_dataset(name)
    return dataset


def _upload(http: httpx.Client, dataset: str, content: bytes, **query: str) -> httpx.Response:
    return http.post(f"{dataset}/examples:upload", params=query, content=content, headers=OTHER)


def _listed(http: httpx.Client, dataset: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = http.get(f"{dataset}/examples").json().get("examples", [])
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_an_image_is_an_unlabelled_example_named_by_its_content(service: Any, http: httpx.Client) -> None:
    dataset = _dataset(service, "sent")
    content = drawn_images.draw(1, file_format="PNG").content
    answer = _upload(http, dataset, content, displayName="holiday/at the sea.jpg\x00\n", mlUse="TEST")
    assert answer.status_code == 200, answer.text
    example = answer.json()
    assert example["name"] == f"{dataset}/examples/{_digest(content)}"
    assert example["uri"].endswith(
        f"/{dataset.rpartition('/')[2]}/{_digest(content)}.png"
    )  # as it is, not as it is called
    assert (example["state"], example["mlUse"], example["displayName"]) == ("UNLABELED", "TEST", "at the sea.jpg")
    assert (example["widthPx"], example["heightPx"]) == (64, 48)
    file: pathlib.Path = service.bucket("uploads") / example["uri"].removeprefix("gs://uploads/")
    assert file.read_bytes() == content
    again = _upload(http, dataset, content, displayName="copy.png", mlUse="TRAIN")
    assert again.json() == example
    assert _listed(http, dataset) == [example]
    assert http.get(dataset).json()["exampleCount"] == 1
    assert http.get(f"{example['name']}:image").headers["content-type"] == "image/jpeg"
    plain = http.post(f"{dataset}/examples:upload", content=drawn_images.draw(2).content, headers=JPEG).json()
    assert (plain["mlUse"], plain["displayName"]) == ("UNASSIGNED", f"{_digest(drawn_images.draw(2).content)}.jpg")


def test_grpc_takes_the_same_message(service: Any, http: httpx.Client) -> None:
    dataset = _dataset(service, "by_grpc")
    content = drawn_images.draw(3).content
    with grpc.insecure_channel(service.grpc_target) as channel:
        call = channel.unary_unary(
            "/boxwright.v1.Curation/UploadExample",
            request_serializer=pb.UploadExampleRequest.serialize,
            response_deserializer=pb.Example.deserialize,
        )
        body = httpbody_pb2.HttpBody(content_type="image/jpeg", data=content)
        found = call(pb.UploadExampleRequest(parent=dataset, display_name="a.jpg", image=body), timeout=60)
    assert found.state == pb.Example.State.UNLABELED
    assert http.get(found.name).json()["displayName"] == "a.jpg"


def test_what_is_no_image_is_refused_with_the_decoders_sentence_and_leaves_nothing(
    service: Any, http: httpx.Client
) -> None:
    dataset = _dataset(service, "bad")
    content = drawn_images.draw(4).content
    for bad, said in {
        b"<svg xmlns='http://www.w3.org/2000/svg'/>": "Not an image",
        content[: len(content) // 2]: "truncated",
        b"%PDF-1.4": "PDF",
        b"\0" * 30_000_001: "The file is too large: 30000001 bytes",
        b"": "image.data; Message: Required field not set.",
    }.items():
        answer = _upload(http, dataset, bad)
        assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), answer.text
        assert said in answer.json()["error"]["message"]
    assert "payload size exceeds" in _upload(http, dataset, b"\0" * (32 * 1024 * 1024 + 1)).text
    typed = http.post(f"{dataset}/examples:upload", json={"image": {"data": "aGE="}})
    assert (typed.status_code, "Content-Type" in typed.text) == (400, True)
    assert _upload(http, dataset, content, mlUse="ODD").status_code == 400
    assert _upload(http, f"{dataset}1", content).status_code == 404
    assert _listed(http, dataset) == []
    assert not (service.bucket("uploads") / dataset.rpartition("/")[2]).exists()


def test_pages_of_other_sites_send_nothing(service: Any, http: httpx.Client) -> None:
    dataset = _dataset(service, "other_sites")
    content = drawn_images.draw(5).content
    for foreign in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        for typed in (JPEG, OTHER):
            answer = http.post(f"{dataset}/examples:upload", content=content, headers=typed | foreign)
            assert answer.status_code == 403, answer.text
    for simple in ("text/plain", "multipart/form-data; boundary=a", "application/x-www-form-urlencoded"):
        answer = http.post(f"{dataset}/examples:upload", content=content, headers={"Content-Type": simple})
        assert answer.status_code == 400, answer.text
    assert _listed(http, dataset) == []


def test_looking_up_says_what_is_there(service: Any, http: httpx.Client) -> None:
    dataset = _dataset(service, "looked_up")
    contents = [drawn_images.draw(number).content for number in range(3)]
    for content in contents[:2]:
        assert _upload(http, dataset, content).status_code == 200
    asked = [_digest(content) for content in reversed(contents)]
    answer = http.post(f"{dataset}/examples:lookup", json={"sha256": [*asked, asked[1]]})
    assert answer.json() == {"sha256": asked[1:]}
    many = [f"{number:064x}" for number in range(1000)]
    assert http.post(f"{dataset}/examples:lookup", json={"sha256": many}).json() == {}
    for wrong in ([*many, "f" * 64], ["F" * 64], ["f" * 63], [""], ["g" * 64]):
        assert http.post(f"{dataset}/examples:lookup", json={"sha256": wrong}).status_code == 400
    assert http.post(f"{dataset}1/examples:lookup", json={"sha256": many}).status_code == 404


def test_images_are_sent_while_others_are_imported_and_the_labels_win(service: Any, http: httpx.Client) -> None:
    bucket = service.bucket("beside")
    csv_uri = drawn_images.write_dataset(bucket, 30)
    files = sorted((bucket / "images").iterdir())
    dataset = _dataset(service, "beside")
    with open_api(service) as api, concurrent.futures.ThreadPoolExecutor(4) as pool:
        operation = api.start_import(dataset, csv_uri)
        sent = [pool.submit(_upload, http, dataset, file.read_bytes(), displayName=file.name) for file in files[::2]]
        again = [pool.submit(_upload, http, dataset, files[0].read_bytes()) for _ in range(4)]
        assert {one.result().status_code for one in sent + again} == {200}
        assert not api.finished(operation).HasField("error")
    found = _listed(http, dataset)
    assert len(found) == 30 == http.get(dataset).json()["exampleCount"]
    assert {one["state"] for one in found} == {"LABELED"}


def test_training_and_export_leave_out_what_nobody_has_looked_at(
    service: Any, http: httpx.Client, tiny_model: Any, tiny_classifier: Any
) -> None:
    dataset = _dataset(service, "left_out")
    for number in range(12):
        assert _upload(http, dataset, drawn_images.draw(number).content).status_code == 200
    parent, _, dataset_id = dataset.partition("/datasets/")
    wanted = {"displayName": "m", "datasetId": dataset_id, "imageObjectDetectionModelMetadata": {}}
    refused = http.post(f"{parent}/models", json=wanted)
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "FAILED_PRECONDITION"), refused.text
    assert _exported(service, http, dataset, "boxes") == []  # a bare row would say that there is nothing to find
    with grpc.insecure_channel(service.grpc_target) as channel:
        labels = case_world.World(service, tiny_model, channel, tiny_classifier).for_one_test()("D_labels")
    assert labels is not None
    before = _exported(service, http, labels, "labels-before")
    sent = _upload(http, labels, drawn_images.draw(99).content, mlUse="TRAIN").json()
    assert sorted(_exported(service, http, labels, "labels-after")) == sorted([*before, f"TRAIN,{sent['uri']}"])


def _exported(service: Any, http: httpx.Client, dataset: str, folder: str) -> list[str]:
    bucket: pathlib.Path = service.bucket(f"exported-{folder}")
    output = {"gcsDestination": {"outputUriPrefix": f"gs://{bucket.name}/"}}
    with open_api(service) as api:
        operation = api.finished(http.post(f"{dataset}:exportData", json={"outputConfig": output}).json()["name"])
    assert not operation.HasField("error"), operation
    return [line for path in bucket.rglob("*.csv") for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_kill_between_file_and_row_is_made_good_by_sending_again(
    service_factory: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    content = drawn_images.draw(1).content
    fault = {faults.VARIABLE: "upload.after_put:kill", faults.ONCE_VARIABLE: str(tmp_path)}
    killed = service_factory(environment=fault)
    dataset = _dataset(killed, "cut_off")
    with _client(killed) as http, contextlib.suppress(httpx.HTTPError):
        _upload(http, dataset, content)
    killed.process.wait(timeout=60)
    service = service_factory(data_dir=killed.data_dir, buckets=killed.buckets)
    with _client(service) as http:
        assert _listed(http, dataset) == []
        (file,) = (service.bucket("uploads") / dataset.rpartition("/")[2]).iterdir()
        file.write_bytes(content[:100])  # as after a power cut
        assert _upload(http, dataset, content).status_code == 200
        assert file.read_bytes() == content
        assert len(_listed(http, dataset)) == 1


def test_a_service_without_a_folder_says_what_its_operator_can_do(service_factory: Callable[..., Any]) -> None:
    with pytest.raises(errors.ApiError, match="BOXWRIGHT_SCHEMES"):
        derived_settings.upload_folder(StorageSettings(uploads_uri="s3://bucket/folder/"))
    chosen = {"BOXWRIGHT_SCHEMES": "s3"}
    with _client(other := service_factory(environment=chosen)) as http:
        answer = _upload(http, _dataset(other, "nowhere"), drawn_images.draw(1).content)
    assert (answer.status_code, "uploads_uri" in answer.text) == (400, True), answer.text


def test_what_was_sent_goes_with_its_dataset(service: Any, http: httpx.Client) -> None:
    gone, stays, empty = (_dataset(service, name) for name in ("gone", "stays", "empty"))
    for dataset in (gone, stays):
        for seed in (1, 2):
            assert _upload(http, dataset, drawn_images.draw(seed).content).status_code == 200
    folder: pathlib.Path = service.bucket("uploads")
    stray = folder / gone.rpartition("/")[2] / "stray.jpg"  # of a kill before its row
    stray.write_bytes(b"x")
    with open_api(service) as api:
        asked = http.delete(gone).json()
        assert asked["metadata"]["deleteDetails"] == {}
        ended = api.finished(asked["name"])
        assert ended.response.type_url.endswith("google.protobuf.Empty")
        assert http.get(gone).status_code == 404
        assert not stray.parent.exists()
        assert len(list((folder / stays.rpartition("/")[2]).iterdir())) == 2
        assert http.delete(empty).json()["done"], "nothing was sent to it, and no worker is needed"
        api.automl.delete_dataset(name=stays).result(timeout=300)
        assert not (folder / stays.rpartition("/")[2]).exists()


def test_what_another_dataset_has_imported_stays(service: Any, http: httpx.Client) -> None:
    first, second = _dataset(service, "first"), _dataset(service, "second")
    uri = _upload(http, first, drawn_images.draw(1).content).json()["uri"]
    (service.bucket("b") / "sent.csv").write_text(f"UNASSIGNED,{uri},red,0.1,0.1,,,0.5,0.5,,\n")
    with open_api(service) as api:
        source = {"inputConfig": {"gcsSource": {"inputUris": ["gs://b/sent.csv"]}}}
        assert not api.finished(http.post(f"{second}:importData", json=source).json()["name"]).HasField("error")
        for dataset, is_there in ((first, True), (second, True)):
            api.finished(http.delete(dataset).json()["name"])
            assert (service.bucket("uploads") / uri.removeprefix("gs://uploads/")).exists() == is_there
