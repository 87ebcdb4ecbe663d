"""``boxwright models``: list and describe the models of a running service."""

from __future__ import annotations

import argparse
import json
from typing import Any

from boxwright.commands.connection import Connection, add_arguments

METADATA = "imageObjectDetectionModelMetadata"
METRICS = "imageObjectDetectionEvaluationMetrics"


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``models`` and its own commands."""
    parser = commands.add_parser(
        "models", help="list and describe models", description="Models of a running service, over its REST API."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, run, text in (
        ("list", _list, "newest first"),
        ("describe", _describe, "one model: what it is, how good it is, how its network was chosen"),
    ):
        action = actions.add_parser(name, help=text, description=f"{name.capitalize()}: {text}.")
        if name == "describe":
            action.add_argument("name", metavar="NAME", help="the model, by its full name or its id")
        add_arguments(action)
        action.set_defaults(run=run)


def _list(options: argparse.Namespace) -> int:
    connection = Connection(options)
    found = connection.pages(f"{connection.parent}/models", "model")
    if options.as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    for model in found:
        print(
            f"{model['name'].rpartition('/')[2]:24} {model['displayName']:32} {model[METADATA]['modelType']:24} "
            f"{model['deploymentState'].lower():10} {model['createTime']}"
        )
    return 0


def _describe(options: argparse.Namespace) -> int:
    connection = Connection(options)
    name = connection.full_name(options.name, "models")
    model = connection.call("GET", name)
    details = connection.call("GET", f"{name}:describe")
    evaluations = connection.pages(f"{name}/modelEvaluations", "modelEvaluation")
    if options.as_json:
        shown = {"model": model, "details": details, "evaluations": evaluations}
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return 0
    metadata = model[METADATA]
    lines = {
        "name": name,
        "display name": model["displayName"],
        "model type": metadata["modelType"],
        "deployed": model["deploymentState"].lower(),
        "trained": f"{model['createTime']}, {metadata.get('stopReason', '').replace('_', ' ').lower()}",
        "dataset": model["datasetId"],
    }
    for key, value in lines.items():
        print(f"{key + ':':16} {value}")
    _print_nested(details, 0)
    print("evaluation:")
    for evaluation in sorted(evaluations, key=lambda one: one.get("displayName", "")):
        metrics = evaluation[METRICS]
        label = evaluation.get("displayName") or "all labels"
        print(
            f"  {label:30} mean average precision {metrics.get('boundingBoxMeanAveragePrecision', 0):.4f}   "
            f"{metrics.get('evaluatedBoundingBoxCount', 0)} boxes in {evaluation.get('evaluatedExampleCount', 0)} images"
        )
    return 0


def _print_nested(values: dict[str, Any], depth: int) -> None:
    for key, value in values.items():
        label = "  " * depth + key.replace("_", " ") + ":"
        if isinstance(value, dict):
            print(label)
            _print_nested(value, depth + 1)
        else:
            print(f"{label:16} {json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value}")
