"""``boxwright datasets``: create, fill, look at, export and delete datasets of a running service."""

from __future__ import annotations

import argparse

from boxwright.commands import asking, finding, metadata_members, output, waiting
from boxwright.commands.connection import RestConnection

EXAMPLES = """\
A dataset is named by its id, its display name or its full name.

  boxwright datasets create cars
  boxwright datasets create flowers --type multiclass
  boxwright datasets import cars gs://photos/labels.csv --wait
  boxwright datasets list
"""
DEFAULT_TYPE = "detection"


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``datasets`` and its own commands."""
    text = "create, fill, list, export and delete datasets"
    actions = asking.add_group(
        commands, "datasets", text, "Datasets of a running service, over its REST API.", EXAMPLES
    )
    create = asking.add_action(actions, "create", _create, "create an empty dataset", "boxwright datasets create cars")
    create.add_argument("name", metavar="NAME", help="its display name: letters, digits and _, at most 32")
    create.add_argument(
        "--type",
        choices=tuple(metadata_members.TYPES),
        default=DEFAULT_TYPE,
        help="what its images have: boxes (detection, the default), one label (multiclass) or any number (multilabel)",
    )
    create.add_argument("--description", default="", metavar="TEXT", help="free text")
    create.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="may be given several times")
    listing = asking.add_action(actions, "list", _list, "list the datasets, newest first", "boxwright datasets list")
    describe = asking.add_action(
        actions,
        "describe",
        _describe,
        "show a dataset and the models trained from it",
        "boxwright datasets describe cars",
    )
    fill = asking.add_action(
        actions,
        "import",
        _import,
        "import labelled images from CSV files, or all images of folders (docs/import.md)",
        "boxwright datasets import cars gs://photos/labels.csv --wait",
    )
    export = asking.add_action(
        actions,
        "export",
        _export,
        "write a dataset as import CSV below an address",
        "boxwright datasets export cars gs://photos/exports/ --wait",
    )
    delete = asking.add_action(
        actions,
        "delete",
        _delete,
        "delete a dataset; models trained from it stay",
        "boxwright datasets delete cars --yes",
    )
    for action in (describe, fill, export, delete):
        action.add_argument("name", metavar="DATASET", help="id, display name or full name")
    _add_import_choices(fill)
    fill.add_argument(
        "uris", metavar="CSV", nargs="+", help="gs://BUCKET/FILE.csv, or with --unlabelled gs://BUCKET/FOLDER/"
    )
    export.add_argument("prefix", metavar="PREFIX", help="gs://BUCKET/FOLDER/, as the service sees it")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    asking.add_wait(fill)
    asking.add_wait(export)
    asking.finish(create, listing, describe, fill, export, delete)


def _add_import_choices(fill: argparse.ArgumentParser) -> None:
    """Adds what the params of an import say."""
    fill.add_argument(
        "--not-reviewed",
        action="store_true",
        help="nobody has looked at these labels: they are proposals, which no training learns from until an import without "
        "this confirms them",
    )
    fill.add_argument(
        "--wide-box-limits",
        action="store_true",
        help="take boxes from 2 pixels on, and up to 5,000 an image; without this an edge is at least 0.01 of the image's "
        "side, and an image has 500 boxes at most",
    )
    fill.add_argument(
        "--unlabelled",
        action="store_true",
        help="the addresses are folders, or patterns such as gs://BUCKET/FOLDER/*.jpg: their images are imported without "
        "labels",
    )


def _create(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    dataset = {"displayName": options.name, **metadata_members.dataset_metadata(options.type)}
    if options.description:
        dataset["description"] = options.description
    if options.label:
        dataset["labels"] = asking.labels(options.label)
    operation = connection.call("POST", f"{connection.parent}/datasets", body=dataset)
    if options.as_json or "response" not in operation:
        return waiting.started(connection, operation, wait=False, as_json=options.as_json)
    print(operation["response"]["name"])
    return 0


def _list(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    found = connection.pages(f"{connection.parent}/datasets", "datasets")
    if options.as_json:
        output.print_json(found)
    else:
        rows = [
            (
                finding.last_segment(dataset["name"]),
                dataset["displayName"],
                metadata_members.type_of(dataset),
                output.number(dataset.get("exampleCount", 0)),
                output.moment(dataset["createTime"]),
            )
            for dataset in found
        ]
        output.print_table(("DATASET", "NAME", "TYPE", "IMAGES", "CREATED"), rows)
    asking.nothing(found, connection, "datasets")
    return 0


def _describe(options: argparse.Namespace) -> int:
    connection = RestConnection(options)
    dataset = finding.find(connection, options.name, "datasets")
    parent = dataset["name"].rpartition("/datasets/")[0]
    dataset_id = finding.last_segment(dataset["name"])
    models = connection.pages(f"{parent}/models", "model", filter=f"dataset_id={dataset_id}")
    if options.as_json:
        output.print_json({"dataset": dataset, "models": models})
        return 0
    fields = {
        "name": dataset["name"],
        "display name": dataset["displayName"],
        "description": dataset.get("description", ""),
        "type": metadata_members.type_of(dataset),
        "images": output.number(dataset.get("exampleCount", 0)),
        "created": dataset["createTime"],
        "labels": ", ".join(f"{key}={value}" for key, value in sorted(dataset.get("labels", {}).items())),
        "models": ", ".join(f"{model['displayName']} ({finding.last_segment(model['name'])})" for model in models),
    }
    output.print_fields(fields)
    return 0


def _import(options: argparse.Namespace) -> int:
    uris = asking.addresses(options.uris, "CSV")
    connection = RestConnection(options)
    name = finding.find(connection, options.name, "datasets")["name"]
    params = {"reviewed": "false"} if options.not_reviewed else {}
    params |= {"wide_box_limits": "true"} if options.wide_box_limits else {}
    params |= {"unlabelled": "true"} if options.unlabelled else {}
    body = {"inputConfig": {"gcsSource": {"inputUris": uris}, **({"params": params} if params else {})}}
    operation = connection.call("POST", f"{name}:importData", body=body)
    return waiting.started(connection, operation, wait=options.wait, as_json=options.as_json)


def _export(options: argparse.Namespace) -> int:
    prefix = asking.address(options.prefix, "PREFIX")
    connection = RestConnection(options)
    name = finding.find(connection, options.name, "datasets")["name"]
    body = {"outputConfig": {"gcsDestination": {"outputUriPrefix": prefix}}}
    operation = connection.call("POST", f"{name}:exportData", body=body)
    return waiting.started(connection, operation, wait=options.wait, as_json=options.as_json)


def _delete(options: argparse.Namespace) -> int:
    return asking.delete(options, "datasets")
