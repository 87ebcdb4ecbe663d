"""``boxwright batch``: predict lists of images, predict again what failed, make results again, look at the report."""

from __future__ import annotations

import argparse
from typing import Any

from boxwright import errors
from boxwright.commands import asking, finding, reports, waiting
from boxwright.commands.connection import RestConnection

EXAMPLES = """\
  boxwright batch predict cars_1 gs://photos/list.csv gs://photos/results/ --threshold 0.6 --wait
  boxwright batch predict cars_1 gs://photos/2026/ 'gs://photos/shards/*.tar' gs://photos/results/
  boxwright batch retry IOD4485591010266213735 --wait
  boxwright batch rewrite gs://photos/results/prediction-cars_1-2026-11-28T09:00:00.000Z gs://photos/lower/ --threshold 0.3
  boxwright batch report gs://photos/results/prediction-cars_1-2026-11-28T09:00:00.000Z --import cars --wait
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``batch`` and its own commands."""
    text = "predict folders, lists and archives, once more the images that failed, and make results again"
    description = "Batch prediction by a running service, over its REST API; see docs/batch-prediction.md."
    actions = asking.add_group(commands, "batch", text, description, EXAMPLES)
    added = _add_predict(actions), _add_retry(actions), _add_rewrite(actions), reports.add_report(actions)
    for command in added:
        asking.add_wait(command)
    asking.finish(*added)


def _add_predict(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
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
    _add_selection(predict)
    predict.add_argument(
        "--image-failure-limit", type=float, metavar="SHARE", help="share of failed images above which the job fails"
    )
    predict.add_argument(
        "--input-column", metavar="NAME", help="column or key of the addresses in lists, if it has an unusual name"
    )
    predict.add_argument(
        "--input-suffixes", metavar="SUFFIXES", help="of images in folders and archives, such as .jpg,.png; '*' for any"
    )
    predict.add_argument(
        "--request-id",
        metavar="ID",
        help="a name for this request: sent again within seven days, it answers the operation that it has started",
    )
    predict.add_argument(
        "--reuse",
        metavar="FORMER",
        help="take over what a former job has found in unchanged images: `auto`, an operation or a results' folder",
    )
    predict.add_argument(
        "--only-new",
        action="store_true",
        help="write no lines of images that were taken over; removed.csv lists what is gone",
    )
    predict.add_argument(
        "--priority",
        choices=("high", "normal", "low"),
        help="turns among the jobs of the project that wait: 4 to 2 to 1 (default normal)",
    )
    predict.add_argument(
        "--deadline",
        type=float,
        metavar="SECONDS",
        help="cancel the job unless it has ended so long after its start; what is finished stays",
    )
    predict.add_argument(
        "--notify",
        action="append",
        metavar="WHERE",
        help="send the job's events there: https://HOST/PATH, or gs://BUCKET/FOLDER/; may be repeated",
    )
    predict.add_argument(
        "--no-candidates", action="store_true", help="keep no candidates: `rewrite` has nothing to start from"
    )
    predict.add_argument("--no-report", action="store_true", help="write no report")
    return predict


def _add_retry(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    retry = asking.add_action(
        actions,
        "retry",
        _retry,
        "predict the failed images of a former batch prediction again, as a new one with a folder of its own",
        "boxwright batch retry IOD4485591010266213735 --wait",
    )
    retry.add_argument("operation", metavar="OPERATION", help="id or full name, or the name of the results' folder")
    retry.add_argument(
        "--whole",
        action="store_true",
        help="make a folder of all images: the same inputs once more, with the results of the former job taken over",
    )
    retry.add_argument("--output", metavar="OUTPUT", help="gs://BUCKET/FOLDER/ (default the former one's)")
    return retry


def _add_rewrite(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    rewrite = asking.add_action(
        actions,
        "rewrite",
        _rewrite,
        "make the results of a former batch prediction again, with another threshold or format, without predicting",
        "boxwright batch rewrite gs://photos/results/prediction-cars_1-2026-11-28T09:00:00.000Z gs://photos/lower/ "
        "--threshold 0.3 --format csv --wait",
    )
    rewrite.add_argument("folder", metavar="FOLDER", help="gs://BUCKET/…/prediction-…, the results' folder")
    rewrite.add_argument("output", metavar="OUTPUT", help="gs://BUCKET/FOLDER/, below which the new folder is made")
    rewrite.add_argument(
        "--model", metavar="MODEL", help="the model that predicted it (default: the one of the operation that made it)"
    )
    _add_selection(rewrite)
    return rewrite


def _add_selection(command: argparse.ArgumentParser) -> None:
    """Adds what chooses results and their formats."""
    command.add_argument(
        "--threshold", type=float, metavar="SCORE", help="least score of a box or label, 0 to 1 (default 0.5)"
    )
    command.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="LABEL=SCORE",
        help="least score of one label, instead of --threshold; may be repeated",
    )
    command.add_argument(
        "--only", action="append", metavar="LABEL", help="write results of this label only; may be repeated"
    )
    command.add_argument(
        "--max-boxes",
        type=int,
        metavar="N",
        help="most boxes of an image, 1 to 500 (default 100); not with a classifier",
    )
    command.add_argument(
        "--format",
        action="append",
        metavar="FORMAT",
        help="write the results in this format as well: csv, parquet, coco, yolo, voc, cvat, labelstudio, labelme, "
        "vertex; may be repeated",
    )


def _selection(options: argparse.Namespace) -> dict[str, Any]:
    """The params that `_add_selection` asks for."""
    params: dict[str, Any] = {
        "score_threshold": options.threshold,
        "max_bounding_box_count": options.max_boxes,
        "labels": options.only and ",".join(options.only),
        "formats": options.format and ",".join(options.format),
    }
    for pair in options.label:
        label, separator, score = pair.rpartition("=")
        if not separator or not label:
            raise errors.bad_request(f"--label: '{pair}' is not LABEL=SCORE.")
        params[f"score_threshold.{label}"] = score
    return params


def _predict(options: argparse.Namespace) -> int:
    inputs, output_prefix = asking.addresses(options.inputs, "INPUT"), asking.address(options.output, "OUTPUT")
    connection = RestConnection(options)
    model = finding.find(connection, options.model, "models")["name"]
    params = _selection(options) | {
        "image_failure_limit": options.image_failure_limit,
        "input_column": options.input_column,
        "input_suffixes": options.input_suffixes,
        "candidates": "none" if options.no_candidates else None,
        "report": "false" if options.no_report else None,
        "request_id": options.request_id,
        "reuse": options.reuse,
        "only_new": "true" if options.only_new else None,
        "priority": options.priority,
        "deadline_s": options.deadline,
        "notify": options.notify and ",".join(options.notify),
    }
    return _start(connection, model, inputs, output_prefix, params, options)


def _rewrite(options: argparse.Namespace) -> int:
    folder, output_prefix = asking.address(options.folder, "FOLDER"), asking.address(options.output, "OUTPUT")
    folder = folder.rstrip("/").removesuffix("/manifest.json")
    params = _selection(options)
    connection = RestConnection(options)
    if options.model:
        model = finding.find(connection, options.model, "models")["name"]
    else:
        if not finding.last_segment(folder).startswith("prediction-"):
            raise errors.bad_request(f"FOLDER: {folder} is no results' folder; its name begins with prediction-.")
        operation = finding.find(connection, finding.last_segment(folder), "operations")["name"]
        model = connection.call("GET", f"{operation}:progress")["model"]
    return _start(connection, model, [f"{folder}/manifest.json"], output_prefix, params, options)


def _retry(options: argparse.Namespace) -> int:
    if options.output is not None:
        asking.address(options.output, "--output")
    connection = RestConnection(options)
    name = finding.find(connection, options.operation, "operations")["name"]
    operation, numbers = connection.call("GET", name), connection.call("GET", f"{name}:progress")
    inputs = _same_inputs(name, operation, numbers) if options.whole else _error_files(name, operation, numbers)
    params = {
        "reuse": name if options.whole else None,
        "score_threshold": numbers.get("score_threshold"),
        "max_bounding_box_count": _whole(numbers.get("max_bounding_box_count")),
        "image_failure_limit": numbers.get("image_failure_limit"),
        "labels": ",".join(numbers.get("labels", ())) or None,
        "formats": ",".join(numbers.get("formats", ())) or None,
        **{f"score_threshold.{label}": score for label, score in numbers.get("score_thresholds", {}).items()},
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


def _same_inputs(name: str, operation: dict[str, Any], numbers: dict[str, Any]) -> list[str]:
    """The addresses of a job's inputs.

    Raises:
        ApiError: FAILED_PRECONDITION with the reason if they cannot be predicted again.
    """
    if numbers["kind"] != "batch_predict":
        raise errors.failed_precondition(f"{name} is no batch prediction ({numbers['kind']}).")
    if not operation.get("done"):
        short = finding.last_segment(name)
        raise errors.failed_precondition(f"{name} has not ended yet; wait for it: boxwright operations wait {short}.")
    config = operation["metadata"]["batchPredictDetails"]["inputConfig"]
    inputs: list[str] = config["gcsSource"]["inputUris"]
    return inputs


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
