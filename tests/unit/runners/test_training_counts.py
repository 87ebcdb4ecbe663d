from __future__ import annotations

from tests.support.operations.scraped import samples
from tests.support.services.trace_collector import TraceCollector

from boxwright.runners.training_counts import TrainingCounts
from boxwright.telemetry import spans
from boxwright.telemetry.metrics import Metrics
from boxwright.telemetry.otlp_traces import OtlpTraces


def test_a_trainings_phases_are_counted_and_are_spans_one_after_the_other() -> None:
    metrics = Metrics()
    with TraceCollector() as collector:
        traces = OtlpTraces(collector.url)
        with spans.entered(traces.begin("attempt create_model")):
            counts = TrainingCounts(metrics)
            for stage in ("training", "training", "exporting", "evaluating"):
                counts.note({"event": "progress", "percent": 1, "stage": stage})
                counts.note(None)
            counts.end()
        traces.close()
    told = samples(metrics)
    for phase in ("preparing", "training", "exporting", "evaluating"):
        assert told["boxwright_training_seconds_total", phase] > 0
    assert told["boxwright_training_seconds_total", "quantising"] == 0
    *phases, attempt = collector.spans
    assert [span.name for span in phases] == ["preparing", "training", "exporting", "evaluating"]
    assert {span.parent_id for span in phases} == {attempt.span_id}
    ends = [span.start_s + span.seconds for span in phases]
    assert all(end <= later.start_s + 1e-6 for end, later in zip(ends, phases[1:], strict=False))


def test_stages_that_a_child_makes_up_are_counted_together() -> None:
    metrics = Metrics()
    counts = TrainingCounts(metrics)
    counts.note({"event": "progress", "stage": "gs://private"})
    counts.note({"event": "progress", "stage": ["training"]})
    counts.end()
    told = samples(metrics)
    assert told["boxwright_training_seconds_total", "other"] > 0
    assert not [key for key in told if "gs://private" in key]
