"""Alerts, their runbooks and the dashboard ask for metrics, labels and values that exist."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
import yaml

from boxwright.surface import methods
from boxwright.telemetry.metric_table import HISTOGRAM, METHODS, METRICS, VALUES

ROOT = pathlib.Path(__file__).parents[2]
OF_PROMETHEUS = {"job", "instance", "le"}
RULES = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
BOARD = json.loads((ROOT / "deploy/dashboard.json").read_text(encoding="utf-8"))
QUERIES = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", ())
]


def _metric(name: str):
    for suffix in ("_bucket", "_count", "_sum"):
        whole = METRICS.get(name.removesuffix(suffix))
        if name.endswith(suffix) and whole is not None and whole.type == HISTOGRAM:
            return whole
    metric = METRICS.get(name)
    return None if metric is None or metric.type == HISTOGRAM else metric


def _problems(query: str) -> list[str]:
    """What a query asks for that does not exist."""
    found, labels = [], set(OF_PROMETHEUS)
    for name, selector in re.findall(r"(boxwright_\w+)(?:\{([^}]*)\})?", query):
        metric = _metric(name)
        if metric is None:
            found.append(f"no metric {name}")
            continue
        labels |= set(metric.labels)
        for label, operator, values in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', selector):
            known = {row.rpc for row in methods.TABLE} if label == METHODS else set(VALUES.get(label, ()))
            asked = set(values.split("|")) if "~" in operator else {values}
            if label not in metric.labels or not asked <= known:
                found.append(f"{name} has no {label} {sorted(asked - known)}")
    for listed in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", query):
        found += [f"no label {label}" for label in re.findall(r"\w+", listed) if label not in labels]
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_what_exists(query: str) -> None:
    assert "boxwright_" in query
    assert not _problems(query)


@pytest.mark.parametrize(
    "query",
    [
        "boxwright_nothing",
        'boxwright_images_total{outcome="predicted"}',
        'boxwright_images_total{result="lost"}',
        "sum by (project) (boxwright_images_total)",
        "boxwright_rpc_seconds",
        'boxwright_rpc_seconds_count{method=~"GetOperation|Explode"}',
    ],
)
def test_a_query_for_what_does_not_exist_is_noticed(query: str) -> None:
    assert _problems(query)


def test_the_names_in_legends_are_labels_of_their_query() -> None:
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = {label for listed in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in listed.split(", ")}
            assert used <= kept, target


def test_every_alert_has_a_runbook_and_tests_of_its_own() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/runbooks.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
    tests = yaml.safe_load((ROOT / "deploy/alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    tried = [(case["alertname"], bool(case["exp_alerts"])) for test in tests for case in test["alert_rule_test"]]
    assert sorted(tried) == sorted((rule["alert"], fires) for rule in RULES for fires in (True, False))


def test_the_dashboard_has_a_row_for_each_part_and_every_panel_has_a_place() -> None:
    rows = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Service", "Queue", "Batch prediction", "Cluster", "Training", "Stores"]
    places = [tuple(panel["gridPos"][key] for key in "xy") for panel in BOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
