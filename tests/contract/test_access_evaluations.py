"""Who sees the images of an evaluation, and who may ask a model for suggestions: over a service with accounts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.access.guarded_service import LOCATION, GuardedService, run_guarded_service
from tests.support.predictions import tiny_model

from boxwright.metadata import database, models

MODEL_ID, DATASET_ID = "IOD6500000000000000001", "IOD6500000000000000002"
MODEL, DATASET = f"{LOCATION}/models/{MODEL_ID}", f"{LOCATION}/datasets/{DATASET_ID}"
VIEWER, PREDICTOR = "roles/automl.viewer", "roles/automl.predictor"
GRANTS = {
    "of_model": [(VIEWER, MODEL)],
    "of_both": [(VIEWER, MODEL), (VIEWER, DATASET)],
    "of_dataset": [(VIEWER, DATASET)],
    "predictor": [(VIEWER, DATASET), (PREDICTOR, MODEL)],
    "nobody": [],
    "elsewhere": [("roles/owner", "projects/other")],
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GuardedService, dict[str, str]]]:
    with run_guarded_service(tmp_path_factory.mktemp("evaluations"), "--no-worker") as service:
        tiny_model.make().install(service.data_dir, MODEL_ID)
        with database.Database(service.data_dir / "metadata.sqlite").write() as connection:
            models.update(connection, MODEL_ID, {"dataset_id": DATASET_ID})
        tokens = {}
        for number, (name, grants) in enumerate(GRANTS.items()):
            account = service.registry.account(f"judge-{number}", "home")
            for role, resource in grants:
                service.registry.grant(account.member, role, resource)
            tokens[name] = service.registry.token(account)
        yield service, tokens


def _call(guarded: tuple[GuardedService, dict[str, str]], caller: str, verb: str, path: str, **sent: Any) -> Any:
    service, tokens = guarded
    return service.http.request(verb, f"/v1/{path}", headers={"Authorization": f"Bearer {tokens[caller]}"}, **sent)


def test_the_images_of_an_evaluation_are_for_those_who_may_list_the_datasets(guarded: Any) -> None:
    summary, listed = f"{MODEL}:summarizeEvaluation", f"{MODEL}/evaluatedExamples"
    for caller in ("of_model", "of_both"):
        assert _call(guarded, caller, "GET", summary).status_code == 200
    assert _call(guarded, "of_both", "GET", listed).json()["totalSize"] == 6
    denied = _call(guarded, "of_model", "GET", listed)
    assert denied.status_code == 403
    assert "automl.examples.list" in denied.text and DATASET in denied.text
    for caller in ("of_dataset", "nobody", "elsewhere", "predictor"):
        for path in (summary, listed):
            there = _call(guarded, caller, "GET", path)
            absent = _call(guarded, caller, "GET", path.replace(MODEL_ID, "IOD6500000000000000009"))
            assert there.status_code == absent.status_code == 403, (caller, path)
            said = there.json()["error"]["message"].replace(MODEL_ID, "")
            assert said == absent.json()["error"]["message"].replace("IOD6500000000000000009", "")


def test_suggestions_need_both_the_image_and_the_model(guarded: Any) -> None:
    path, body = f"{DATASET}/examples/{'0' * 64}:suggest", {"model": MODEL}
    assert _call(guarded, "predictor", "POST", path, json=body).status_code == 404  # the dataset is not there
    for caller, lacking in [("of_both", "automl.models.predict"), ("of_model", "automl.examples.get")]:
        denied = _call(guarded, caller, "POST", path, json=body)
        assert (denied.status_code, lacking in denied.text) == (403, True)
