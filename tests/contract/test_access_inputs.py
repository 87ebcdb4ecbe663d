"""Folders, patterns and archives as inputs of callers with grants: listed and read only where they may."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from google.rpc import code_pb2
from tests.support.access.credentials import Account
from tests.support.access.guarded_service import GuardedService, run_guarded_service
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
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


def _ask(service: GuardedService, account: Account, *inputs: str) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {account.signed()}"}
    body = {
        "inputConfig": {"gcsSource": {"inputUris": list(inputs)}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://photos/out/"}},
    }
    answer = service.http.request("POST", f"/v1/{BATCH}", json=body, headers=headers)
    return answer.status_code, answer.json()


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
