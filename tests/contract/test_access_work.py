"""Work with few rights: a client that may only predict with one model gets its results, and nobody else does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.access.credentials import Account
from tests.support.access.guarded_service import LOCATION, GuardedService, run_guarded_service
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import MODEL_NAME, TinyModel

from boxwright.metadata import schema


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, tiny_model: TinyModel) -> Iterator[GuardedService]:
    folder = tmp_path_factory.mktemp("work")
    bucket = folder / "buckets" / "b"
    images = drawn_images.write_images(bucket, 3)
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/{name}" for name in images])
    (folder / "data").mkdir()
    tiny_model.install(folder / "data")
    with run_guarded_service(folder, tune="false") as running:
        yield running


def ask(
    service: GuardedService, account: Account, verb: str, path: str, body: Any = None
) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {account.signed()}"}
    answer = service.http.request(verb, f"/v1/{path}", json=body, headers=headers)
    return answer.status_code, answer.json()


def test_who_may_only_predict_gets_the_result_of_a_batch(service: GuardedService) -> None:
    client, other = service.registry.account("client"), service.registry.account("bystander")
    for account in (client, other):
        service.registry.grant(account.member, "roles/automl.predictor", MODEL_NAME)
    service.registry.grant_folder(client.member, "gs://b/", read=True, write=True)
    request = {
        "inputConfig": {"gcsSource": {"inputUris": ["gs://b/list.csv"]}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://b/out/"}},
        "params": {"score_threshold": "0.1"},
    }
    code, operation = ask(service, client, "POST", f"{MODEL_NAME}:batchPredict", request)
    assert code == 200, operation
    name = operation["name"]
    for verb, path, body in (("GET", name, None), ("POST", f"{name}:cancel", {}), ("GET", f"{name}:progress", None)):
        assert ask(service, other, verb, path, body)[0] == 403, path
    done = wait_until(lambda: _done(service, client, name), "the batch to end")
    assert "error" not in done, done
    assert done["metadata"]["batchPredictDetails"]["outputInfo"]["gcsOutputDirectory"].startswith("gs://b/out/")
    assert ask(service, client, "GET", f"{LOCATION}/operations")[0] == 403
    assert ask(service, client, "DELETE", name)[0] == 403
    with service.registry.db.read() as connection:
        columns = (schema.operations.c.caller, schema.operations.c.charged_project)
        (row,) = connection.execute(sa.select(*columns).where(schema.operations.c.id == name.rpartition("/")[2])).all()
    assert row == (client.member, "demo")


def _done(service: GuardedService, account: Account, name: str) -> dict[str, Any] | None:
    code, operation = ask(service, account, "POST", f"{name}:wait", {"timeout": "5s"})
    assert code == 200, operation
    return operation if operation.get("done") else None


def test_a_resumed_batch_needs_the_right_to_predict_of_who_resumes_it(service: GuardedService) -> None:
    viewer = service.registry.account("viewer")
    service.registry.grant(viewer.member, "roles/automl.viewer", "projects/demo")
    _, listed = ask(service, viewer, "GET", f"{LOCATION}/operations")
    name = next(one["name"] for one in listed["operations"] if "batchPredictDetails" in one["metadata"])
    code, answer = ask(service, viewer, "POST", f"{name}:resume", {})
    assert (code, answer["error"]["details"][0]["metadata"]) == (
        403,
        {"permission": "automl.models.predict", "resource": MODEL_NAME},
    )
    service.registry.grant(viewer.member, "roles/automl.predictor", MODEL_NAME)
    code, answer = ask(service, viewer, "POST", f"{name}:resume", {})
    assert answer["error"]["status"] == "FAILED_PRECONDITION", "it has succeeded: there is nothing to resume"


def test_high_priority_is_for_who_may(service: GuardedService) -> None:
    client = service.registry.account("hasty")
    service.registry.grant(client.member, "roles/automl.predictor", MODEL_NAME)
    service.registry.grant_folder(client.member, "gs://b/", read=True, write=True)
    request: dict[str, Any] = {
        "inputConfig": {"gcsSource": {"inputUris": ["gs://b/list.csv"]}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://b/hasty/"}},
        "params": {"priority": "high", "deadline_s": "3600"},
    }
    code, answer = ask(service, client, "POST", f"{MODEL_NAME}:batchPredict", request)
    assert (code, "boxwright.operations.prioritize" in answer["error"]["message"]) == (403, True)
    service.registry.grant(client.member, "roles/boxwright.prioritizer", MODEL_NAME)
    code, operation = ask(service, client, "POST", f"{MODEL_NAME}:batchPredict", request)
    assert code == 200, operation
    done = wait_until(lambda: _done(service, client, operation["name"]), "the batch to end")
    assert "error" not in done, done
    code, numbers = ask(service, client, "GET", f"{operation['name']}:progress")
    assert (code, numbers["priority"], numbers["deadline_s"]) == (200, "high", 3600)


def test_a_batch_counts_its_images_for_its_project(service: GuardedService) -> None:
    client = service.registry.account("counted")
    service.registry.grant(client.member, "roles/automl.predictor", MODEL_NAME)
    service.registry.grant_folder(client.member, "gs://b/", read=True, write=True)

    def counted() -> int:
        with service.registry.db.read() as connection:
            return sum(connection.execute(sa.select(schema.image_days.c.images)).scalars())

    before = counted()
    request = {
        "inputConfig": {"gcsSource": {"inputUris": ["gs://b/list.csv"]}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://b/counted/"}},
    }
    code, operation = ask(service, client, "POST", f"{MODEL_NAME}:batchPredict", request)
    assert code == 200, operation
    done = wait_until(lambda: _done(service, client, operation["name"]), "the batch to end")
    assert counted() == before + 3
    folder = done["metadata"]["batchPredictDetails"]["outputInfo"]["gcsOutputDirectory"]
    request["inputConfig"]["gcsSource"]["inputUris"] = [f"{folder}/manifest.json"]
    code, operation = ask(service, client, "POST", f"{MODEL_NAME}:batchPredict", request)
    assert code == 200, operation
    done = wait_until(lambda: _done(service, client, operation["name"]), "the results made again")
    assert "error" not in done and counted() == before + 3, "no image was predicted"


def _of(service: GuardedService, account: Account, path: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {account.signed()}"}
    answer = service.http.request("GET", f"/v1/{path}", headers=headers)
    return answer.status_code, answer.text


def test_results_are_for_who_started_the_batch_and_for_who_may_read_its_folder(service: GuardedService) -> None:
    client, viewer = service.registry.account("starter"), service.registry.account("onlooker")
    service.registry.grant(client.member, "roles/automl.predictor", MODEL_NAME)
    service.registry.grant_folder(client.member, "gs://b/", read=True, write=True)
    service.registry.grant(viewer.member, "roles/automl.viewer", "projects/demo")
    request = {
        "inputConfig": {"gcsSource": {"inputUris": ["gs://b/list.csv"]}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://b/mine/"}},
    }
    _, operation = ask(service, client, "POST", f"{MODEL_NAME}:batchPredict", request)
    name = operation["name"]
    wait_until(lambda: _done(service, client, name), "the batch to end")
    paths = [
        f"{name}/results",
        f"{name}:summarizeResults",
        f"{name}/results/1-0:image",
        f"{name}:download?path=manifest.json",
    ]
    assert [_of(service, client, path)[0] for path in paths] == [200] * 4
    stranger = service.registry.account("stranger")
    assert [_of(service, stranger, path)[0] for path in paths] == [403] * 4
    refused = [_of(service, viewer, path) for path in paths]
    assert all(
        code == 403 and "storage.objects.get" in text for code, text in refused
    )  # sees the operation, not the folder
    service.registry.grant_folder(viewer.member, "gs://b/mine/", read=True)
    assert [_of(service, viewer, path)[0] for path in paths] == [200, 200, 403, 200]  # the images are elsewhere

    objects = f"{LOCATION}/objects"
    assert _of(service, client, objects)[0] == 403  # may only predict
    code, text = _of(service, viewer, objects)
    assert (code, '"gs://b/mine/"' in text, '"gs://b/"' in text) == (200, True, False)
    assert _of(service, viewer, f"{objects}?prefix=gs://b/mine/")[0] == 200
    for prefix in ("gs://b/", "gs://b/min", "gs://absent/", "gs://b/mine/../"):
        assert _of(service, viewer, f"{objects}?prefix={prefix}")[0] in (400, 403), prefix
    assert "absent" in _of(service, viewer, f"{objects}?prefix=gs://absent/")[1]

    editor = service.registry.account("editor")
    service.registry.grant(editor.member, "roles/automl.editor", "projects/demo")
    body = {"displayName": "added", "imageObjectDetectionDatasetMetadata": {}}
    dataset = ask(service, editor, "POST", f"{LOCATION}/datasets", body)[1]["response"]["name"]
    code, answer = ask(service, editor, "POST", f"{dataset}/examples:addResults", {"operation": name})
    assert (code, "storage.objects.get" in answer["error"]["message"]) == (403, True)
    service.registry.grant_folder(editor.member, "gs://b/mine/", read=True)
    code, started = ask(service, editor, "POST", f"{dataset}/examples:addResults", {"operation": name})
    ended = wait_until(lambda: _done(service, editor, started["name"]), "the results to be added")
    assert (code, ended["error"]["code"]) == (200, 3)  # no image may be read, so every row has failed
    service.registry.grant_folder(editor.member, "gs://b/", read=True)
    _, started = ask(service, editor, "POST", f"{dataset}/examples:addResults", {"operation": name})
    ended = wait_until(lambda: _done(service, editor, started["name"]), "the results to be added")
    assert "error" not in ended, ended
    assert len(ask(service, editor, "GET", f"{dataset}/examples")[1]["examples"]) == 3
