"""Results that are added to a dataset: killed on the way, every image is there once, with what was found in it."""

from __future__ import annotations

import httpx
import pytest
from tests.support.clients.api import metadata, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.processes import crashes

IMAGES = 600


@pytest.mark.full
def test_a_service_killed_while_results_are_added_adds_each_once(environment, service_factory, tiny_model) -> None:
    service = service_factory(environment=environment)
    model = tiny_model.install(service.data_dir, database_url=environment.get("BOXWRIGHT_DATABASE_URL"))
    bucket = service.bucket("b")
    names = drawn_images.write_images(bucket / "images", IMAGES)
    drawn_images.write_csv(bucket, "list.csv", [f"gs://b/images/{name}" for name in names])
    with open_api(service) as api:
        batch = api.start_batch(model, "gs://b/list.csv", "gs://b/out/", score_threshold="0.3")
        assert not api.finished(batch, timeout_s=240).HasField("error")
        dataset = api.create_dataset()
        answer = httpx.post(
            f"http://127.0.0.1:{service.port}/v1/{dataset}/examples:addResults", json={"operation": batch}, timeout=60
        )
        assert answer.status_code == 200, answer.text
        name = answer.json()["name"]
        look = lambda: metadata(api.get(name)).progress_percent  # noqa: E731
        seen = wait_until(lambda: (progress := look()) >= 20 and (progress,), "20 %", interval_s=0.001)
        crashes.kill(service, environment)
    assert seen[0] < 100, "the results were added too quickly to be disturbed"
    again = service_factory(environment=environment)
    with open_api(again) as api:
        operation = api.finished(name, timeout_s=120)
        assert not operation.HasField("error"), operation.error
        assert api.automl.get_dataset(name=dataset).example_count == IMAGES
    found = httpx.get(
        f"http://127.0.0.1:{again.port}/v1/{dataset}/examples", params={"pageSize": 1000}, timeout=60
    ).json()["examples"]
    results = httpx.get(
        f"http://127.0.0.1:{again.port}/v1/{batch}/results", params={"pageSize": 1000}, timeout=60
    ).json()["results"]
    assert [one["uri"] for one in found] == [one["imageId"] for one in results]
    assert {one["state"] for one in found} == {"SUGGESTED"}
    boxes = [len(one.get("annotations", [])) for one in found]
    assert all(0 <= count <= len(one.get("annotations", [])) for count, one in zip(boxes, results, strict=True))
    assert sum(boxes) > 0
    crashes.assert_tidy(again.data_dir)
