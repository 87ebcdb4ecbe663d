"""What a service sends to a collector of traces: a batch from the call to its shards, through both API servers."""

from __future__ import annotations

import json

import grpc
import httpx
import pytest
from google.cloud.automl_v1 import types
from google.longrunning import operations_pb2
from tests.support.clients.api import PARENT, open_api
from tests.support.images import drawn_images
from tests.support.machine.waiting import wait_until
from tests.support.predictions.tiny_model import TinyModel
from tests.support.services.trace_collector import TraceCollector

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
IMAGES, EXAMPLES = 4, 6


def test_a_batch_is_one_trace_from_its_callers_span_to_its_shards_and_calls_go_on_with_theirs(
    service_factory, tiny_model: TinyModel
) -> None:
    with TraceCollector() as collector:
        environment = {"BOXWRIGHT_TRACES_ENDPOINT": collector.url, "BOXWRIGHT_LOG_FORMAT": "json"}
        environment |= {"BOXWRIGHT_SHARD_IMAGES": "2", "BOXWRIGHT_TRACES_SHARD_STEP": "1"}
        service = service_factory(environment=environment)
        model = tiny_model.install(service.data_dir)
        bucket = service.bucket("secret-bucket")
        names = drawn_images.write_images(bucket, IMAGES)
        listed = drawn_images.write_csv(bucket, "list.csv", [f"gs://secret-bucket/{name}" for name in names])
        examples = drawn_images.write_dataset(service.bucket("secret-examples"), EXAMPLES)
        with open_api(service) as api:
            imported = api.start_import(api.create_dataset(), examples)
            request = types.BatchPredictRequest(
                name=model,
                input_config={"gcs_source": {"input_uris": [listed]}},
                output_config={"gcs_destination": {"output_uri_prefix": "gs://secret-bucket/out/"}},
            )
            started = api.channel.unary_unary(
                "/google.cloud.automl.v1.PredictionService/BatchPredict",
                request_serializer=types.BatchPredictRequest.serialize,
                response_deserializer=operations_pb2.Operation.FromString,
            )(
                request,
                metadata=(("traceparent", f"00-{CALLER}-00f067aa0ba902b7-01"), ("authorization", "Bearer hidden")),
            )
            assert not api.finished(started.name).HasField("error")
            assert not api.finished(imported).HasField("error")
            assert "trace" not in api.progress(started.name)
            with pytest.raises(grpc.RpcError):
                api.get(f"{PARENT}/operations/unknown")
        with httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client:
            path = f"/v1/{PARENT}/datasets"
            for header in (f"00-{CALLER}-00f067aa0ba902b7-01", f"00-{CALLER}-00f067aa0ba902b7-00", "no traceparent"):
                assert client.get(path, headers={"traceparent": header}).status_code == 200
            assert client.get(f"{path}/unknown?key=hidden").status_code == 404
        wait_until(lambda: collector.named("operation batch_predict"), "the operation's span")
        assert service.stop() == 0
    _see_the_batch(collector, model, started.name)
    _see_the_import(collector, imported)
    _see_the_calls(collector)
    sent = b"".join(collector.bodies)
    assert b"gs://" not in sent and b"secret-" not in sent and b"hidden" not in sent
    assert {facts["service.name"] for facts in collector.resources} == {"boxwright"}
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    assert CALLER in {line["trace_id"] for line in lines if line.get("event") == "operation_started"}
    assert not [line for line in lines if line.get("event") == "stopping" and "trace_id" in line]


def _see_the_batch(collector: TraceCollector, model: str, name: str) -> None:
    (call,) = collector.named("google.cloud.automl.v1.PredictionService/BatchPredict")
    (operation,) = collector.named("operation batch_predict")
    (attempt,) = collector.named("attempt batch_predict")
    assert {one.trace_id for one in (call, operation, attempt)} == {CALLER}
    assert call.parent_id == "00f067aa0ba902b7"
    assert (operation.parent_id, attempt.parent_id) == (call.span_id, operation.span_id)
    assert call.attributes["boxwright.door"] == "grpc"
    assert call.attributes["boxwright.code"] == "OK"
    assert call.attributes["boxwright.resource"] == model
    assert attempt.attributes["boxwright.end"] == "done"
    assert {one.attributes["boxwright.operation"] for one in (call, operation, attempt)} == {name}
    parts = [span for span in collector.spans if span.parent_id == attempt.span_id]
    shards = [span for span in parts if span.name == "shard"]
    assert sorted(span.attributes["boxwright.shard"] for span in shards) == [1, 2]
    assert sum(span.attributes["boxwright.predicted"] for span in shards) == IMAGES
    assert {"recall", "planning", "opening", "closing"} <= {span.name for span in parts}
    assert all(attempt.start_s <= span.start_s and span.seconds <= attempt.seconds for span in parts)


def _see_the_import(collector: TraceCollector, name: str) -> None:
    (attempt,) = [
        one for one in collector.named("attempt import_data") if one.attributes["boxwright.operation"] == name
    ]
    parts = {span.name: span for span in collector.spans if span.parent_id == attempt.span_id}
    assert parts.keys() >= {"rows", "images", "merging"}
    assert "store read" in {span.name for span in collector.spans if span.parent_id == parts["rows"].span_id}
    of_images = [span for span in collector.spans if span.parent_id == parts["images"].span_id]
    assert len(of_images) < EXAMPLES, f"an image has no span: {of_images}"


def _see_the_calls(collector: TraceCollector) -> None:
    goes_on, begins = collector.named("google.cloud.automl.v1.AutoMl/ListDatasets")  # the second is not sampled
    assert (goes_on.trace_id, goes_on.parent_id) == (CALLER, "00f067aa0ba902b7")
    assert goes_on.attributes["boxwright.door"] == "rest"
    assert begins.parent_id == "" and begins.trace_id != CALLER
    (missing,) = collector.named("google.cloud.automl.v1.AutoMl/GetDataset")
    assert missing.attributes["boxwright.code"] == "NOT_FOUND" and missing.status == 0
    unknown = collector.named("google.longrunning.Operations/GetOperation")[-1]
    assert (unknown.attributes["boxwright.door"], unknown.attributes["boxwright.code"]) == ("grpc", "NOT_FOUND")
