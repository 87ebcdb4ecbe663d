"""docs/metrics.md says what the metrics are: names, types, labels and their values."""

from __future__ import annotations

import pathlib
import re

from boxwright.batch.engine import stages
from boxwright.telemetry.metric_table import COUNTER, HISTOGRAM, METHODS, STAGES, TABLE, VALUES

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "metrics.md"
FREE = {"version", "schema"}  # one value each, for as long as a process lives


def test_the_page_lists_every_metric_and_every_value_of_a_label() -> None:
    metrics = [
        f"| `{metric.name}` | {metric.type} | {', '.join(f'`{label}`' for label in metric.labels) or '—'} | {metric.text} |"
        for metric in TABLE
    ]
    values = [
        f"| `{label}` | {', '.join(f'`{value}`' for value in known)} |" for label, known in VALUES.items() if known
    ]
    text = PAGE.read_text(encoding="utf-8")
    documented = [line for line in text.splitlines() if re.match(r"\| `", line)]
    assert documented == metrics + values, "the tables should read:\n" + "\n".join([*metrics, "", *values])


def test_names_tell_type_and_unit_and_labels_have_lists() -> None:
    for metric in TABLE:
        assert metric.name.startswith("boxwright_")
        assert metric.name.endswith("_total") == (metric.type == COUNTER), metric.name
        assert metric.name.endswith("_seconds") or metric.type != HISTOGRAM, metric.name
        assert set(metric.labels) <= VALUES.keys() | FREE, metric.name
        assert bool(metric.buckets) == (metric.type == HISTOGRAM), metric.name
    assert [label for label, values in VALUES.items() if not values] == [METHODS]


def test_stages_are_those_of_the_engine() -> None:
    assert [stage.replace(" ", "_") for stage in stages.STAGES] == list(STAGES)
