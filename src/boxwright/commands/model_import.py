"""``boxwright models import``: a detector that was trained elsewhere becomes a model of a running service."""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any

from boxwright import errors
from boxwright.commands import asking, waiting
from boxwright.commands.connection import RestConnection

MAX_LABELS_BYTES = 25_000  # of a parameter
PARAMS = ("layout", "input", "input_size", "resize", "fill", "nms_iou", "licence", "accept")  # as the API calls them


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    parser = asking.add_action(
        actions,
        "import",
        _import,
        "import a detector that was trained elsewhere, from an ONNX file (docs/own-onnx.md)",
        "boxwright models import gs://photos/best.onnx --labels names.txt --validate gs://photos/labels.csv --wait",
    )
    parser.add_argument("network", metavar="ONNX", help="gs://BUCKET/FILE.onnx, as the service sees it")
    parser.add_argument("--name", dest="display_name", default="", help="the model's display name (default the file's)")
    parser.add_argument(
        "--labels",
        default="",
        metavar="FILE",
        help="the names of the classes, one a line: a file of this machine or an address (default what the ONNX file says)",
    )
    parser.add_argument(
        "--validate",
        default="",
        metavar="CSV",
        help="labelled images, gs://BUCKET/FILE.csv as datasets are imported from",
    )
    parser.add_argument("--layout", default="", help="what the outputs mean, if it is not to be found out")
    parser.add_argument(
        "--input", default="", help="what the image's numbers are: rgb01, rgb255, bgr01, bgr255, imagenet"
    )
    parser.add_argument("--input-size", default="", metavar="WxH", help="for networks that take any size")
    parser.add_argument("--resize", default="", help="letterbox, letterbox-topleft or stretch")
    parser.add_argument("--fill", default="", metavar="GREY", help="of what the image leaves free, 0 to 255")
    parser.add_argument("--nms-iou", default="", metavar="IOU", help="boxes of a label that overlap more are one")
    parser.add_argument(
        "--licence", default="", metavar="TEXT", help="kept with the model (default what the ONNX file says)"
    )
    parser.add_argument(
        "--accept", default="", metavar="WHAT", help="unvalidated: import it though it finds none of the CSV's boxes"
    )
    asking.add_wait(parser)
    asking.finish(parser)


def _import(options: argparse.Namespace) -> int:
    uris = [asking.address(options.network, "ONNX")]
    params: dict[str, str] = {key: getattr(options, key) for key in PARAMS if getattr(options, key)}
    if options.display_name:
        params["display_name"] = options.display_name
    if "://" in options.labels:
        uris.append(options.labels)
    elif options.labels:
        params["labels"] = _labels(pathlib.Path(options.labels))
    if options.validate:
        uris.append(asking.address(options.validate, "--validate"))
    connection = RestConnection(options)
    config: dict[str, Any] = {"gcsSource": {"inputUris": uris}, "params": params}
    operation = connection.call("POST", f"{connection.parent}/models:import", body={"inputConfig": config})
    return waiting.started(connection, operation, wait=options.wait, as_json=options.as_json)


def _labels(path: pathlib.Path) -> str:
    """The lines of a file of this machine as a JSON list."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise errors.bad_request(f"--labels: {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise errors.bad_request(f"--labels: {path} is no UTF-8 text; it has one name a line.") from None
    while lines and not lines[-1].strip():
        lines.pop()
    listed = json.dumps([line.strip() for line in lines], ensure_ascii=False)
    if len(listed) > MAX_LABELS_BYTES:
        raise errors.bad_request(
            f"--labels: {path} is too long to be sent with the call. Put it into a bucket, and name its address."
        )
    return listed
