"""``boxwright models``: train, import, look at, deploy, export and delete models of a running service."""

from __future__ import annotations

import argparse
import datetime

from boxwright import errors
from boxwright.commands import asking, finding, metadata_members, model_facts, model_import, output, waiting
from boxwright.commands.connection import RestConnection

EXAMPLES = """\
A model is named by its id, its display name or its full name.

  boxwright models train cars --name cars_1 --wait
  boxwright models evaluate cars_1
  boxwright models deploy cars_1
"""
MAX_NAME_CHARS = 32  # of a display name
DEFAULT_THRESHOLD = 0.5
KEEP_BEST_LABEL = "boxwright-keep-best"


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``models`` and its own commands."""
    text = "train, import, evaluate, deploy, export, list and delete models"
    actions = asking.add_group(commands, "models", text, "Models of a running service, over its REST API.", EXAMPLES)
    train = asking.add_action(
        actions, "train", _train, "train a model from a dataset", "boxwright models train cars --name cars_1 --wait"
    )
    _add_training(train)
    model_import.add_action(actions)
    listing = asking.add_action(actions, "list", _list, "list the models, newest first", "boxwright models list")
    describe = asking.add_action(
        actions,
        "describe",
        _describe,
        "show what a model is, how good it is, and how its network was chosen",
        "boxwright models describe cars_1",
    )
    evaluate = asking.add_action(
        actions,
        "evaluate",
        _evaluate,
        "show how good a model is on its test images, label by label, as was measured after its training",
        "boxwright models evaluate cars_1 --threshold 0.6",
    )
    deploy = asking.add_action(
        actions,
        "deploy",
        _deploy,
        "load a model for online prediction; batch prediction needs none of this",
        "boxwright models deploy cars_1",
    )
    undeploy = asking.add_action(
        actions, "undeploy", _undeploy, "end online prediction with a model", "boxwright models undeploy cars_1"
    )
    export = asking.add_action(
        actions,
        "export",
        _export,
        "write a model's network below an address",
        "boxwright models export cars_1 gs://photos/exports/ --format onnx --wait",
    )
    delete = asking.add_action(
        actions, "delete", _delete, "delete a model with its evaluations", "boxwright models delete cars_1 --yes"
    )
    for action in (describe, evaluate, deploy, undeploy, export, delete):
        action.add_argument("name", metavar="MODEL", help="id, display name or full name")
    evaluate.add_argument(
        "--threshold",
        type=float,
        default=DEFAULT_THRESHOLD,
        metavar="SCORE",
        help=f"score from which boxes count for precision, recall and F1 (default {DEFAULT_THRESHOLD})",
    )
    deploy.add_argument("--nodes", type=int, metavar="N", help="images that it predicts at once (default 1)")
    export.add_argument("prefix", metavar="PREFIX", help="gs://BUCKET/FOLDER/, as the service sees it")
    export.add_argument("--format", default="", help="onnx or openvino (default onnx)")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    asking.add_wait(train)
    asking.add_wait(export)
    asking.finish(train, listing, describe, evaluate, deploy, undeploy, export, delete)


def _add_training(train: argparse.ArgumentParser) -> None:
    train.add_argument("name", metavar="DATASET", help="id, display name or full name")
    train.add_argument(
        "--name", dest="display_name", help="the model's display name (default the dataset's, with the time)"
    )
    train.add_argument(
        "--model-type", default="", metavar="TYPE", help="such as mobile-low-latency-1; docs/models.md has them all"
    )
    train.add_argument(
        "--node-hours", type=float, metavar="H", help="most time for the training (default by type; docs/training.md)"
    )
    train.add_argument(
        "--keep-best", action="store_true", help="if the training is cancelled, keep the best network that it has"
    )


def _train(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    dataset = finding.find(connection, options.name, "datasets")
    metadata: dict[str, str] = {"modelType": options.model_type} if options.model_type else {}
    if options.node_hours is not None:
        if not options.node_hours > 0:
            raise errors.bad_request(f"--node-hours: {options.node_hours:g} is not more than 0.")
        metadata["trainBudgetMilliNodeHours"] = str(round(1000 * options.node_hours))
    model = {
        "displayName": options.display_name or _default_name(dataset["displayName"]),
        "datasetId": finding.last_segment(dataset["name"]),
        f"{metadata_members.kind_of(dataset, 'Dataset')}ModelMetadata": metadata,
    }
    if options.keep_best:
        model["labels"] = {KEEP_BEST_LABEL: "true"}
    parent = dataset["name"].rpartition("/datasets/")[0]
    operation = connection.call("POST", f"{parent}/models", body=model)
    return waiting.started(connection, operation, wait=options.wait, as_json=options.as_json)


def _default_name(dataset: str) -> str:
    """A name for a model: its dataset's, with the time of the call."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("_%Y%m%d%H%M%S")
    start = dataset if dataset[:1].isalpha() else f"model_{dataset}"
    return start[: MAX_NAME_CHARS - len(stamp)] + stamp


def _list(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    found = connection.pages(f"{connection.parent}/models", "model")
    if options.as_json:
        output.print_json(found)
    elif found:
        datasets = {
            finding.last_segment(dataset["name"]): dataset["displayName"]
            for dataset in connection.pages(f"{connection.parent}/datasets", "datasets")
        }
        quality = model_facts.quality_by_model(connection)
        rows = [
            (
                finding.last_segment(model["name"]),
                model["displayName"],
                metadata_members.model_metadata(model)["modelType"],
                model["deploymentState"].lower(),
                quality.get(model["name"], ""),
                datasets.get(model.get("datasetId", ""), model.get("datasetId", "")),
                output.moment(model["createTime"]),
            )
            for model in found
        ]
        output.print_table(("MODEL", "NAME", "TYPE", "DEPLOYED", "QUALITY", "DATASET", "CREATED"), rows)
    asking.nothing(found, connection, "models")
    return 0


def _describe(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    model = finding.find(connection, options.name, "models")
    details = connection.call("GET", f"{model['name']}:describe")
    evaluations = connection.pages(f"{model['name']}/modelEvaluations", "modelEvaluation")
    if options.as_json:
        output.print_json({"model": model, "details": details, "evaluations": evaluations})
        return 0
    model_facts.print_model(model, details)
    print("evaluation:")
    for line in model_facts.evaluation_lines(evaluations):
        print(f"  {line}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    name = finding.find(connection, options.name, "models")["name"]
    evaluations = connection.pages(f"{name}/modelEvaluations", "modelEvaluation")
    if options.as_json:
        output.print_json(evaluations)
        return 0
    if not 0 <= options.threshold <= 1:
        raise errors.bad_request(f"--threshold: {options.threshold:g} is not from 0 to 1.")
    model_facts.print_evaluations(evaluations, options.threshold)
    return 0


def _deploy(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    model = finding.find(connection, options.name, "models")
    name, kind = model["name"], metadata_members.kind_of(model, "Model")
    nodes = {} if options.nodes is None else {"nodeCount": str(options.nodes)}
    body = {f"{kind}ModelDeploymentMetadata": nodes} if nodes else {}
    return _switched(connection, connection.call("POST", f"{name}:deploy", body=body), f"Deployed {name}.", options)


def _undeploy(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    name = finding.find(connection, options.name, "models")["name"]
    return _switched(connection, connection.call("POST", f"{name}:undeploy", body={}), f"Undeployed {name}.", options)


def _switched(connection: RestConnection, operation: dict[str, object], text: str, options: argparse.Namespace) -> int:
    if options.as_json or "response" not in operation:
        return waiting.started(connection, operation, wait=True, as_json=options.as_json)
    print(text)
    return 0


def _export(options: argparse.Namespace) -> int:
    prefix = asking.address(options.prefix, "PREFIX")
    connection = RestConnection(options)
    name = finding.find(connection, options.name, "models")["name"]
    config = {"gcsDestination": {"outputUriPrefix": prefix}, "modelFormat": options.format}
    operation = connection.call("POST", f"{name}:export", body={"outputConfig": config})
    return waiting.started(connection, operation, wait=options.wait, as_json=options.as_json)


def _delete(options: argparse.Namespace) -> int:
    return asking.delete(options, "models")
