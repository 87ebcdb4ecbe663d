"""What a registry of metrics tells, read as Prometheus does."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from boxwright.telemetry.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Values by the name of a sample and the values of its labels, in the order of their names."""
    families = text_string_to_metric_families(metrics.page()[1].decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}
