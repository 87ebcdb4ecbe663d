from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from boxwright.telemetry.metrics import Metrics


def _samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(metrics.page()[1].decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_values_that_no_list_has_are_counted_together() -> None:
    metrics = Metrics(["Predict"])
    metrics.observe("boxwright_rpc_seconds", 0.1, "Predict", "grpc", "OK")
    size = len(_samples(metrics))
    for number in range(100):
        metrics.observe("boxwright_rpc_seconds", 0.1, f"Hostile{number}", "grpc", f'"}} evil{number}\n')
        metrics.add("boxwright_images_total", 1, f"code {number}")
    told = _samples(metrics)
    assert told["boxwright_rpc_seconds_count", "other", "grpc", "other"] == 100
    assert told["boxwright_images_total", "other"] == 100
    assert len(told) - size <= 10
    assert not [key for key in told if any("evil" in part or "Hostile" in part for part in key)]


def test_a_source_that_fails_is_left_out_and_the_others_are_told() -> None:
    metrics = Metrics()

    def away() -> dict[str, dict[tuple[str, ...], float]]:
        raise OSError("the database is away")

    metrics.follow(away)
    metrics.follow(lambda: {"boxwright_children": {(): 3.0}})
    metrics.add("boxwright_leases_lost_total")
    told = _samples(metrics)
    assert told["boxwright_children",] == 3
    assert told["boxwright_leases_lost_total",] == 1


def test_counters_are_there_before_anything_is_counted() -> None:
    told = _samples(Metrics())
    assert told["boxwright_child_deaths_total", "crash"] == told["boxwright_images_total", "predicted"] == 0


def test_what_raises_is_timed_and_two_registries_share_nothing() -> None:
    metrics, other = Metrics(), Metrics()
    with pytest.raises(OSError), metrics.timed("boxwright_db_seconds", "read"):
        raise OSError
    assert _samples(metrics)["boxwright_db_seconds_count", "read"] == 1
    assert _samples(other).get(("boxwright_db_seconds_count", "read"), 0) == 0
