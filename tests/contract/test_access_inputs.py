"""What callers with grants name as inputs: folders, patterns, archives, manifests, networks; read only where they may."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.cloud import automl_v1
from google.longrunning import operations_pb2
from google.rpc import code_pb2
from tests.support.access.credentials import Account
from tests.support.access.guarded_service import LOCATION, GuardedService, run_guarded_service
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.networks import foreign_onnx
from tests.support.predictions.batch_inputs import tar
from tests.support.predictions.tiny_model import MODEL_NAME, TinyModel

BATCH = f"{MODEL_NAME}:batchPredict"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, tiny_model: TinyModel) -> Iterator[GuardedService]:
    folder = tmp_path_factory.mktemp("inputs")
    photos = folder / "buckets" / "photos"
    for name in ("in", "in2", "secret", "out"):
        (photos / name).mkdir(parents=True)
        drawn_images.write_images(photos / name, 2)
    for name in ("in", "secret"):
        (photos / name / "best.onnx").write_bytes(foreign_onnx.of("yolov8"))
        (photos / name / "labels.txt").write_text("a\nb\nc\n")
    (photos / "in" / "link.onnx").symlink_to(photos / "secret" / "best.onnx")
    (photos / "in" / "link.jpg").symlink_to(photos / "secret" / "0000.jpg")
    content = (photos / "in" / "0000.jpg").read_bytes()
    for name in ("in", "secret"):
        (photos / name / "all.tar").write_bytes(tar({"a.jpg": content}))
    (folder / "data").mkdir()
    tiny_model.install(folder / "data")
    with run_guarded_service(folder, tune="false") as running:
        yield running


@pytest.fixture(scope="module")
def ada(service: GuardedService) -> Account:
    account = service.registry.account("ada")
    service.registry.grant(account.member, "roles/automl.predictor", MODEL_NAME)
    service.registry.grant_folder(account.member, "gs://photos/in/", read=True)
    service.registry.grant_folder(account.member, "gs://photos/out/", write=True)
    return account


def _batch(*inputs: str, **params: str) -> dict[str, Any]:
    return {
        "inputConfig": {"gcsSource": {"inputUris": list(inputs)}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://photos/out/"}},
        "params": params,
    }


def _ask(service: GuardedService, account: Account, *inputs: str) -> tuple[int, dict[str, Any]]:
    return _post(service, account, BATCH, _batch(*inputs))


def _post(service: GuardedService, account: Account, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {account.signed()}"}
    answer = service.http.request("POST", f"/v1/{path}", json=body, headers=headers)
    return answer.status_code, answer.json()


def _called(service: GuardedService, account: Account, door: str, path: str, body: dict[str, Any]) -> tuple[str, str]:
    """Calls BatchPredict, ImportModel or ImportData; returns what is refused with which words, or ("", operation)."""
    if door == "rest":
        code, answer = _post(service, account, path, body)
        return ("", answer["name"]) if code == 200 else (answer["error"]["status"], answer["error"]["message"])
    is_batch = path.endswith(":batchPredict")
    kind = automl_v1.BatchPredictRequest if is_batch else automl_v1.ImportDataRequest
    request = kind.from_json(json.dumps({"name": path.removesuffix("/models:import").partition(":")[0], **body}))
    imports = "AutoMl/ImportModel" if path.endswith(":import") else "AutoMl/ImportData"
    rpc = "PredictionService/BatchPredict" if is_batch else imports
    stub = service.channel.unary_unary(
        f"/google.cloud.automl.v1.{rpc}",
        request_serializer=kind.serialize,
        response_deserializer=operations_pb2.Operation.FromString,
    )
    try:
        return "", str(stub(request, metadata=[("authorization", f"Bearer {account.signed()}")], timeout=300).name)
    except grpc.RpcError as error:
        return error.code().name, str(error.details())


def _ended(service: GuardedService, account: Account, name: str) -> dict[str, Any]:
    def done() -> dict[str, Any] | None:
        headers = {"Authorization": f"Bearer {account.signed()}"}
        operation: dict[str, Any] = service.http.request("GET", f"/v1/{name}", headers=headers).json()
        return operation if operation.get("done") else None

    return wait_until(done, f"{name} to end")


@pytest.mark.parametrize(
    ("address", "permission", "resource"),
    [
        ("gs://photos/in2/", "storage.objects.list", "gs://photos/in2/"),
        ("gs://photos/", "storage.objects.list", "gs://photos/"),
        ("gs://photos", "storage.objects.list", "gs://photos/"),
        ("gs://photos/**", "storage.objects.list", "gs://photos/"),
        ("gs://photos/in*/*.jpg", "storage.objects.list", "gs://photos/"),
        ("gs://photos/{in,secret}/*", "storage.objects.list", "gs://photos/secret/"),
        ("gs://photos/secret/*.tar", "storage.objects.list", "gs://photos/secret/"),
        ("gs://photos/secret/all.tar", "storage.objects.get", "gs://photos/secret/all.tar"),
        ("gs://photos/in", "storage.objects.get", "gs://photos/in"),
        ("gs://nowhere/", "storage.objects.list", "gs://nowhere/"),
    ],
)
def test_what_may_not_be_listed_or_read_is_refused_at_the_call_by_its_name(service, ada, address, permission, resource):
    code, body = _ask(service, ada, "gs://photos/in/", address)
    assert code == 403, body
    assert body["error"]["message"].endswith(
        f"Permission '{permission}' denied on resource (or it may not exist). {resource}"
    )


def test_a_granted_folder_and_archive_are_predicted_and_what_a_link_leads_to_is_not(service, ada):
    code, operation = _ask(service, ada, "gs://photos/in/", "gs://photos/in/*.tar")
    assert code == 200, operation
    done = _ended(service, ada, operation["name"])
    assert "error" not in done, done
    folder = done["metadata"]["batchPredictDetails"]["outputInfo"]["gcsOutputDirectory"]
    path = service.folder / "buckets" / pathlib.PurePosixPath(folder.removeprefix("gs://"))
    found = [json.loads(line)["ID"] for line in (path / "image_object_detection_1.jsonl").read_text().splitlines()]
    assert found == ["gs://photos/in/0000.jpg", "gs://photos/in/0001.jpg", "gs://photos/in/all.tar#a.jpg"]
    (failed,) = map(json.loads, (path / "errors_1.jsonl").read_text().splitlines())
    assert (failed["ID"], failed["status"]["code"]) == ("gs://photos/in/link.jpg", code_pb2.PERMISSION_DENIED)


@pytest.fixture(scope="module")
def former(service: GuardedService, ada: Account) -> pathlib.Path:
    """The results of a batch, with candidates, where Ada may not read."""
    code, operation = _post(service, ada, BATCH, _batch("gs://photos/in/*.tar"))
    assert code == 200, operation
    done = _ended(service, ada, operation["name"])
    assert "error" not in done, done
    output = done["metadata"]["batchPredictDetails"]["outputInfo"]["gcsOutputDirectory"]
    return shutil.move(service.folder / "buckets" / output.removeprefix("gs://"), _photos(service) / "secret/former")


def _denied(account: Account, uri: str) -> tuple[str, str]:
    return "PERMISSION_DENIED", (
        f"{account.email} does not have storage.objects.get access to the Google Cloud Storage object. "
        f"Permission 'storage.objects.get' denied on resource (or it may not exist). {uri}"
    )


def _photos(service: GuardedService) -> pathlib.Path:
    return service.folder / "buckets" / "photos"


def _rewritten(service: GuardedService, ada: Account, folder: str, door: str) -> dict[str, Any]:
    code, name = _called(service, ada, door, BATCH, _batch(f"gs://photos/in/{folder}/manifest.json"))
    assert not code, name
    return _ended(service, ada, name)


@pytest.mark.parametrize("others", [[], ["gs://photos/in/mine/manifest.json"]], ids=["alone", "beside another"])
def test_results_are_not_made_from_a_manifest_that_may_not_be_read(service, ada, former, door, others):
    uri = "gs://photos/secret/former/manifest.json"
    before = set(_photos(service).glob("out/*"))
    for named in (uri, uri.replace("former", "nothing")):  # what is there and what is not are refused alike
        assert _called(service, ada, door, BATCH, _batch(*others, named, score_threshold="0.9")) == _denied(ada, named)
    assert set(_photos(service).glob("out/*")) == before


def test_results_are_made_from_a_manifest_in_a_granted_folder(service, ada, former, door):
    shutil.copytree(former, _photos(service) / "in" / f"mine-{door}")
    done = _rewritten(service, ada, f"mine-{door}", door)
    assert "error" not in done, done
    output = done["metadata"]["batchPredictDetails"]["outputInfo"]["gcsOutputDirectory"]
    found = service.folder / "buckets" / output.removeprefix("gs://") / "image_object_detection_1.jsonl"
    assert found.read_bytes() == (former / "image_object_detection_1.jsonl").read_bytes()


@pytest.mark.parametrize("linked", ["manifest.json", "candidates"])
def test_a_link_in_a_granted_folder_does_not_lead_to_a_former_job(service, ada, former, door, linked):
    name = f"{linked}-{door}"
    folder = shutil.copytree(former, _photos(service) / "in" / name)
    if linked == "candidates":
        shutil.rmtree(folder / linked)
    else:
        (folder / linked).unlink()
    (folder / linked).symlink_to(former / linked)
    before = set(_photos(service).glob("out/*/image_object_detection_1.jsonl"))
    error = _rewritten(service, ada, name, door)["error"]
    assert error["code"] == code_pb2.PERMISSION_DENIED, error
    assert f"gs://photos/in/{name}/{linked}" in error["message"]
    assert set(_photos(service).glob("out/*/image_object_detection_1.jsonl")) == before


def test_a_manifest_of_another_project_is_refused_although_it_may_be_read(service, ada, former, door):
    name = f"foreign-{door}"
    folder = shutil.copytree(former, _photos(service) / "in" / name)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["model"]["name"] = manifest["model"]["name"].replace("projects/demo/", "projects/other/")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    error = _rewritten(service, ada, name, door)["error"]
    assert error["code"] == code_pb2.FAILED_PRECONDITION, error
    assert "is of another project" in error["message"]


IMPORT = f"{LOCATION}/models:import"


def _network(*names: str) -> dict[str, Any]:
    return {"inputConfig": {"gcsSource": {"inputUris": [f"gs://photos/{name}" for name in names]}}}


def _models(service: GuardedService) -> set[str]:
    return {path.name for path in (service.data_dir / "models").iterdir()}


@pytest.fixture(scope="module")
def importer(service: GuardedService) -> Account:
    account = service.registry.account("importer")
    service.registry.grant(account.member, "roles/automl.editor", "projects/demo")
    service.registry.grant_folder(account.member, "gs://photos/in/", read=True)
    return account


def test_a_network_is_imported_by_who_has_the_role_and_the_grant_only(service, ada, importer, door):
    before = _models(service)
    code, message = _called(service, ada, door, IMPORT, _network("in/best.onnx", "in/labels.txt"))
    assert (code, "automl.models.create" in message) == ("PERMISSION_DENIED", True), message
    for refused in (
        ["secret/best.onnx"],
        ["in/best.onnx", "secret/labels.txt"],
        ["in/best.onnx", "secret/nothing.csv"],
    ):
        denied = _denied(importer, f"gs://photos/{refused[-1]}")
        assert _called(service, importer, door, IMPORT, _network(*refused)) == denied
    assert _models(service) == before
    code, name = _called(service, importer, door, IMPORT, _network("in/best.onnx", "in/labels.txt"))
    assert not code, name
    done = _ended(service, importer, name)
    assert "error" not in done, done
    assert len(_models(service) - before) == 1


def test_a_link_in_a_granted_folder_does_not_lead_to_a_network(service, importer, door):
    before = _models(service)
    code, name = _called(service, importer, door, IMPORT, _network("in/link.onnx", "in/labels.txt"))
    error = {"message": name} if code else _ended(service, importer, name)["error"]
    assert (code or code_pb2.Code.Name(error["code"])) == "PERMISSION_DENIED", error
    assert "secret" not in error["message"]
    assert _models(service) == before


@pytest.mark.parametrize("door", ["rest", "grpc"])
def test_images_of_folders_are_imported_by_who_may_list_and_read_them_alone(service, door):
    ada = service.registry.account(f"importer-{door}")
    service.registry.grant(ada.member, "roles/automl.editor", "projects/demo")
    service.registry.grant_folder(ada.member, "gs://photos/in/", read=True, write=False)
    body = {"displayName": "folders", "imageObjectDetectionDatasetMetadata": {}}
    code, created = _post(service, ada, f"{LOCATION}/datasets", body)
    assert code == 200, created
    dataset = created["response"]["name"]
    for address, permission in (("gs://photos/secret/", "list"), ("gs://photos/**", "list"), ("gs://nowhere/", "list")):
        refused, message = _called(service, ada, door, f"{dataset}:importData", _folders(address))
        assert refused == "PERMISSION_DENIED"
        assert f"Permission 'storage.objects.{permission}' denied" in message
    refused, name = _called(service, ada, door, f"{dataset}:importData", _folders("gs://photos/in/"))
    assert not refused, name
    done = _ended(service, ada, name)
    assert "error" not in done, done
    told = [(one["code"], one["message"]) for one in done["metadata"]["partialFailures"]]
    assert [(code, "gs://photos/in/link.jpg" in text) for code, text in told[-1:]] == [
        (code_pb2.PERMISSION_DENIED, True)
    ]
    headers = {"Authorization": f"Bearer {ada.signed()}"}
    found = service.http.request("GET", f"/v1/{dataset}/examples", headers=headers).json()["examples"]
    assert [one["uri"] for one in found] == ["gs://photos/in/0000.jpg", "gs://photos/in/0001.jpg"]
    stranger = service.registry.account(f"stranger-{door}")
    refused, message = _called(service, stranger, door, f"{dataset}:importData", _folders("gs://photos/in/"))
    unknown = f"{LOCATION}/datasets/IOD0000000000000000000"
    assert (refused, message.replace(dataset, unknown)) == _called(
        service, stranger, door, f"{unknown}:importData", _folders("gs://photos/in/")
    )
    assert refused in ("PERMISSION_DENIED", "NOT_FOUND")


def _folders(address: str) -> dict[str, Any]:
    return {"inputConfig": {"gcsSource": {"inputUris": [address]}, "params": {"unlabelled": "true"}}}
