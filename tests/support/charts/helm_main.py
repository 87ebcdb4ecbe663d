"""Helm's engine, in a process of its own: ``python -m tests.support.charts.helm_main``.

The engine is a Go program inside a library. In a process that has loaded other native libraries, or has many threads, it
ends that process now and then. A line of JSON in is a question, a line of JSON out its answer: ``{"chart", "values",
"name"}`` gives ``{"files"}``, without a name ``{"findings"}``; what the engine refuses is ``{"error"}``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import helm_python


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    chart, values, name = question["chart"], question["values"], question.get("name")
    try:
        if name is None:
            return {"findings": helm_python.lint(chart, values=values)}
        with helm_python.Chart.load(chart) as loaded:
            return {"files": dict(loaded.render(values, name=name, namespace="production"))}
    except helm_python.HelmError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)
