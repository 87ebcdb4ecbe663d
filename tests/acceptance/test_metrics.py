"""What a service and a worker say of themselves on `/metrics`, after a batch with a broken image."""

from __future__ import annotations

import pathlib

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.clients.api import open_api
from tests.support.images import drawn_images
from tests.support.machine import ports
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.services import worker_process

IMAGES, SHARD_IMAGES = 5, 2
Numbers = dict[tuple[str, ...], float]


def _scraped(port: int) -> Numbers:
    """Values by the name of a sample and the values of its labels in the order of their names; without those that are 0."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=20)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples if sample.value}


@pytest.mark.full
def test_a_service_and_a_worker_tell_the_numbers_of_a_batch(
    service_factory, tmp_path: pathlib.Path, tiny_model: TinyModel
):
    service_port, port = ports.free_port(), ports.free_port()
    service = service_factory(no_worker=True, environment={"BOXWRIGHT_HEALTH_PORT": str(service_port)})
    model = tiny_model.install(service.data_dir)
    bucket = service.bucket("numbers")
    names = drawn_images.write_images(bucket, IMAGES)
    (bucket / "broken.jpg").write_bytes(b"no image")
    rows = [f"gs://numbers/{name}" for name in [*names, "broken.jpg", names[0]]]
    listed = drawn_images.write_csv(bucket, "list.csv", rows)
    environment = {"BOXWRIGHT_HEALTH_PORT": str(port), "BOXWRIGHT_KINDS": "batch"}
    environment |= {"BOXWRIGHT_SHARD_IMAGES": str(SHARD_IMAGES), "BOXWRIGHT_BATCH_JOBS": "1"}
    with open_api(service) as api:
        operation = api.start_batch(model, listed, "gs://numbers/out/")
        wait_until(
            lambda: _scraped(service_port).get(("boxwright_operations", "batch_predict", "PENDING")) == 1,
            "the operation to be counted as waiting",
        )
        assert _scraped(service_port)["boxwright_operation_oldest_pending_seconds", "batch_predict"] > 0
        worker = worker_process.start(service.data_dir, service.buckets, tmp_path / "log", environment)
        try:
            assert not api.finished(operation).HasField("error")
            wait_until(lambda: ("boxwright_lanes_busy", "batch_predict") not in _scraped(port), "the lane to be free")
            told = _scraped(port)
        finally:
            worker.stop()
    assert told["boxwright_images_total", "predicted"] == IMAGES
    failed = {key: value for key, value in told.items() if key[0] == "boxwright_images_total" and key[1] != "predicted"}
    assert failed == {("boxwright_images_total", "INVALID_ARGUMENT"): 1}
    assert told["boxwright_shards_total", "committed"] == (IMAGES + 1) / SHARD_IMAGES
    assert ("boxwright_shards_total", "found") not in told
    assert told["boxwright_plan_rows_total", "planned"] == IMAGES + 1
    assert told["boxwright_plan_rows_total", "duplicate"] == 1
    assert told["boxwright_image_stage_seconds_total", "decoding"] > 0
    assert told["boxwright_operation_attempts_total", "done", "batch_predict"] == 1
    assert told["boxwright_operation_seconds_count", "batch_predict", "succeeded"] == 1
    assert told["boxwright_lanes", "batch_predict"] == 1
    assert told["boxwright_children",] == 1
    calls = {key[1:]: value for key, value in told.items() if key[0] == "boxwright_store_seconds_count"}
    assert sum(value for (call, _, scheme), value in calls.items() if (call, scheme) == ("look", "gs")) > 0
    assert {code for _, code, _ in calls} <= {"OK", "NOT_FOUND"}
    assert (
        told["boxwright_ready", "database"]
        == told["boxwright_ready", "state"]
        == told["boxwright_ready", "process"]
        == 1
    )
    assert told["process_resident_memory_bytes",] > 0
    assert not [key for key in told if key[0] == "boxwright_operations"]  # a service tells them, once for all processes
    served = _scraped(service_port)
    assert served["boxwright_rpc_seconds_count", "OK", "grpc", "BatchPredict"] == 1
    assert ("boxwright_rpc_in_flight", "grpc") not in served
    wait_until(
        lambda: _scraped(service_port).get(("boxwright_operations", "batch_predict", "SUCCEEDED")) == 1,
        "the operation to be counted as ended",
    )


def test_what_callers_make_up_makes_no_metric_and_the_api_serves_none(service_factory) -> None:
    port = ports.free_port()
    nobody = "http://127.0.0.1:9"  # takes no traces, and none of this notices
    service = service_factory(environment={"BOXWRIGHT_HEALTH_PORT": str(port), "BOXWRIGHT_TRACES_ENDPOINT": nobody})
    address = f"http://127.0.0.1:{service.port}"
    _scraped(port)
    with httpx.Client(base_url=address, trust_env=False, timeout=20) as client:
        assert client.get("/metrics").status_code == 404
        assert client.get("/v1/projects/demo/locations/us-central1/datasets").status_code == 200
        before = _scraped(port)
        for number in range(10):
            assert client.get(f"/v1/projects/hostile{number}/locations/us-central1/datasets").status_code < 500
            assert client.get(f"/v1/projects/hostile{number}/locations/nowhere/datasets").status_code >= 400
            assert client.post(f"/v1/hostile{number}:explode", json={}).status_code >= 400
            assert client.request(f"HOSTILE{number}", "/v1/operations").status_code >= 400
    after = _scraped(port)
    assert not [key for key in after if any("ostile" in part or "OSTILE" in part for part in key)]
    added = {key[:4] for key in after.keys() - before.keys() if key[0] == "boxwright_rpc_seconds_count"}
    assert len(added) <= 2, added  # the same method with other codes
    assert after["boxwright_rpc_seconds_count", "OK", "rest", "ListDatasets"] >= 1
    assert service.stop() == 0
    assert "event=traces_" in service.tail() and "Traceback" not in service.tail()
