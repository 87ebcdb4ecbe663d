"""What is told of calls of stores: of a folder, and of a server that refuses some."""

from __future__ import annotations

import pathlib

import pytest
from tests.support.operations.scraped import samples
from tests.support.services.trace_collector import TraceCollector
from tests.support.stores import object_servers, rough_proxy

from boxwright import errors, objects
from boxwright.objects.recorded_stores import RecordedStores
from boxwright.telemetry import spans
from boxwright.telemetry.metrics import Metrics
from boxwright.telemetry.otlp_traces import OtlpTraces

BUCKET = object_servers.BUCKET


def _told(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    return {key[1:]: value for key, value in samples(metrics).items() if key[0] == name and value}


def test_calls_of_a_folder_are_told_by_kind_and_code_also_by_what_is_derived(tmp_path: pathlib.Path) -> None:
    (tmp_path / "buckets" / "b").mkdir(parents=True)
    metrics = Metrics()
    stores = RecordedStores(metrics, tmp_path / "buckets", tmp_path / "state")
    image = objects.ObjectUri.parse("gs://b/private/image.jpg")
    with TraceCollector() as collector:
        traces = OtlpTraces(collector.url)
        with spans.entered(traces.begin("call")):
            stores.put(image, b"bytes")
            derived = stores.of_project("p").hasty(0.1)
            assert derived.get(image) == b"".join(derived.stream(image)) == b"bytes"
            assert [one.uri for one in stores.list(objects.ObjectUri.parse("gs://b/private/"))] == [image]
            assert not stores.exists(objects.ObjectUri.parse("gs://b/absent"))
            with pytest.raises(errors.ApiError):
                stores.get(image, max_bytes=1)
            stores.delete_written(image)
            stores.delete_below(objects.ObjectUri.parse("gs://b/private/"))
        traces.close()
    counts = _told(metrics, "boxwright_store_seconds_count")
    assert counts.pop(("read", "OK", "gs")) >= 2  # a stream is read in several calls
    assert counts == {
        ("write", "OK", "gs"): 1,
        ("list", "OK", "gs"): 1,
        ("look", "NOT_FOUND", "gs"): 1,
        ("read", "INVALID_ARGUMENT", "gs"): 1,
        ("delete", "OK", "gs"): 2,
    }
    assert not _told(metrics, "boxwright_store_retries_total")
    names = [span.name for span in collector.spans if span.name.startswith("store ")]
    assert set(names) == {f"store {call}" for call in ("write", "read", "list", "look", "delete")}
    assert not any(b"private" in body for body in collector.bodies)


def test_calls_that_are_made_again_count_as_one_with_its_retries(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_servers.double_of_gcs() as server, rough_proxy.before(server.address) as proxy:
        for name, value in server.environment(proxy.address).items():
            monkeypatch.setenv(name, value)
        metrics = Metrics()
        choices = objects.StoreConfig(schemes=("gs",), gs="cloud", retry_s=30)
        stores = RecordedStores(metrics, tmp_path / "none", tmp_path / "none", choices)
        uri = objects.ObjectUri("gs", BUCKET, "a")
        proxy.then(500, 502)
        stores.put(uri, b"bytes")
        proxy.then(500)
        assert stores.get(uri) == b"bytes"
        with pytest.raises(objects.ObjectNotFound):
            stores.head(objects.ObjectUri("gs", BUCKET, "absent"))
    assert _told(metrics, "boxwright_store_seconds_count") == {
        ("write", "OK", "gs"): 1,
        ("read", "OK", "gs"): 1,
        ("look", "NOT_FOUND", "gs"): 1,
    }
    assert _told(metrics, "boxwright_store_retries_total") == {("write", "gs"): 2, ("read", "gs"): 1}
