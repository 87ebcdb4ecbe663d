"""``boxwright batch``: predict lists of images, and predict again what failed."""

from __future__ import annotations

import argparse
from typing import Any

from boxwright import errors
from boxwright.commands import asking, finding, waiting
from boxwright.commands.connection import RestConnection

EXAMPLES = """\
  boxwright batch predict cars_1 gs://photos/list.csv gs://photos/results/ --threshold 0.6 --wait
  boxwright batch predict cars_1 gs://photos/2026/ 'gs://photos/shards/*.tar' gs://photos/results/
  boxwright batch retry IOD4485591010266213735 --wait
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``batch`` and its own commands."""
    text = "predict folders, lists and archives of images, and once more those that failed"
    description = "Batch prediction by a running service, over its REST API; see docs/batch-prediction.md."
    actions = asking.add_group(commands, "batch", text, description, EXAMPLES)
    predict = asking.add_action(
        actions,
        "predict",
        _predict,
        "predict every image of folders, patterns, lists and archives",
        "boxwright batch predict cars_1 gs://photos/list.csv gs://photos/results/ --wait",
    )
    predict.add_argument("model", metavar="MODEL", help="id, display name or full name; it need not be deployed")
    predict.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="what to predict, as the service sees it: a folder (gs://BUCKET/FOLDER/), a pattern in quotes "
        "('gs://BUCKET/2026-*/*.jpg'), a list (.csv, .jsonl, .parquet, .manifest, also .gz), an archive (.tar, .tar.gz), or "
        "the errors_N.jsonl of a former job",
    )
    predict.add_argument(
        "output", metavar="OUTPUT", help="gs://BUCKET/FOLDER/, below which the results' folder is made"
    )
    predict.add_argument(
        "--threshold", type=float, metavar="SCORE", help="least score of a box or label, 0 to 1 (default 0.5)"
    )
    predict.add_argument(
        "--max-boxes",
        type=int,
        metavar="N",
        help="most boxes of an image, 1 to 500 (default 100); not with a classifier",
    )
    predict.add_argument(
        "--image-failure-limit", type=float, metavar="SHARE", help="share of failed images above which the job fails"
    )
    predict.add_argument(
        "--input-column", metavar="NAME", help="column or key of the addresses in lists, if it has an unusual name"
    )
    predict.add_argument(
        "--input-suffixes", metavar="SUFFIXES", help="of images in folders and archives, such as .jpg,.png; '*' for any"
    )
    retry = asking.add_action(
        actions,
        "retry",
        _retry,
        "predict the failed images of a former batch prediction again, as a new one with a folder of its own",
        "boxwright batch retry IOD4485591010266213735 --wait",
    )
    retry.add_argument("operation", metavar="OPERATION", help="id or full name, or the name of the results' folder")
    retry.add_argument("--output", metavar="OUTPUT", help="gs://BUCKET/FOLDER/ (default the former one's)")
    asking.add_wait(predict)
    asking.add_wait(retry)
    asking.finish(predict, retry)


def _predict(options: argparse.Namespace) -> int:
    inputs, output_prefix = asking.addresses(options.inputs, "INPUT"), asking.address(options.output, "OUTPUT")
    connection = RestConnection(options)
    model = finding.find(connection, options.model, "models")["name"]
    params = {
        "score_threshold": options.threshold,
        "max_bounding_box_count": options.max_boxes,
        "image_failure_limit": options.image_failure_limit,
        "input_column": options.input_column,
        "input_suffixes": options.input_suffixes,
    }
    return _start(connection, model, inputs, output_prefix, params, options)


def _retry(options: argparse.Namespace) -> int:
    if options.output is not None:
        asking.address(options.output, "--output")
    connection = RestConnection(options)
    name = finding.find(connection, options.operation, "operations")["name"]
    operation, numbers = connection.call("GET", name), connection.call("GET", f"{name}:progress")
    inputs = _error_files(name, operation, numbers)
    params = {
        "score_threshold": numbers.get("score_threshold"),
        "max_bounding_box_count": _whole(numbers.get("max_bounding_box_count")),
        "image_failure_limit": numbers.get("image_failure_limit"),
    }
    return _start(connection, numbers["model"], inputs, options.output or numbers["output_uri_prefix"], params, options)


def _error_files(name: str, operation: dict[str, Any], numbers: dict[str, Any]) -> list[str]:
    """The addresses of the files that list a job's failed images.

    Raises:
        ApiError: FAILED_PRECONDITION with the reason if there are none.
    """
    short = finding.last_segment(name)
    if numbers["kind"] != "batch_predict":
        raise errors.failed_precondition(f"{name} is no batch prediction ({numbers['kind']}).")
    if not operation.get("done"):
        raise errors.failed_precondition(
            f"{name} has not ended yet; wait for it: boxwright operations wait {short}. Its errors files come last."
        )
    if count := _whole(numbers.get("errors_files")):
        folder = finding.output_folder(operation.get("metadata", {})).rstrip("/")
        return [f"{folder}/errors_{number}.jsonl" for number in range(1, count + 1)]
    if "error" in operation:
        raise errors.failed_precondition(
            f"{name} ended ({waiting.state_of(operation)}) before all its images were tried; let it go on instead: "
            f"boxwright operations resume {short}."
        )
    if numbers.get("failed"):
        raise errors.failed_precondition(
            f"{name} does not say how many errors files it has; name them: boxwright batch predict MODEL "
            "gs://…/errors_1.jsonl OUTPUT."
        )
    raise errors.failed_precondition(f"No image of {name} failed; there is nothing to predict again.")


def _start(
    connection: RestConnection,
    model: str,
    inputs: list[str],
    output_prefix: str,
    params: dict[str, Any],
    options: argparse.Namespace,
) -> int:
    """Starts a batch prediction; params that are None are left to the service."""
    body = {
        "inputConfig": {"gcsSource": {"inputUris": inputs}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": output_prefix}},
        "params": {key: str(value) for key, value in params.items() if value is not None},
    }
    operation = connection.call("POST", f"{model}:batchPredict", body=body)
    return waiting.started(connection, operation, wait=options.wait, as_json=options.as_json)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
