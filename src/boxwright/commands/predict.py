"""``boxwright predict``: images of this machine, one after another, by a model that is deployed."""

from __future__ import annotations

import argparse
import base64
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from google.rpc import code_pb2

from boxwright import errors
from boxwright.commands import finding, metadata_members, output, waiting
from boxwright.commands.connection import RestConnection, Unreachable, add_arguments

SUFFIXES = (".bmp", ".gif", ".ico", ".jpe", ".jpeg", ".jfif", ".jpg", ".png", ".tif", ".tiff", ".webp")
MAX_IMAGE_BYTES = 30_000_000  # of the API
EXAMPLES = """\
Examples:

  boxwright predict cars_1 street.jpg
  boxwright predict cars_1 street.jpg more-photos/ --threshold 0.6 --out drawn/

The model must be deployed: boxwright models deploy MODEL. Many images are predicted faster by boxwright batch predict.
Exit status: 0 all images were predicted; 1 none was; 2 the service could not be asked; 3 some were not.
"""
HEADINGS = ("IMAGE", "LABEL", "SCORE")
MORE_HEADINGS = {metadata_members.DETECTION: ("X_MIN", "Y_MIN", "X_MAX", "Y_MAX")}  # by the model's kind


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``predict``."""
    parser = commands.add_parser(
        "predict",
        help="predict images of this machine, and draw the boxes",
        description="Predict images of this machine by a deployed model of a running service, over its REST API. Boxes are "
        "fractions of the image's width and height as viewers show it.",
        epilog=EXAMPLES,
    )
    parser.add_argument("model", metavar="MODEL", help="id, display name or full name")
    parser.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        type=pathlib.Path,
        help="a file, or a folder: the images in it, at any depth",
    )
    parser.add_argument(
        "--threshold", type=float, metavar="SCORE", help="least score of a box or label, 0 to 1 (default 0.5)"
    )
    parser.add_argument(
        "--max-boxes",
        type=int,
        metavar="N",
        help="most boxes of an image, 1 to 500 (default 100); not with a classifier",
    )
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="DIR", help="also write the images there, as JPEG with the boxes drawn"
    )
    add_arguments(parser)
    parser.set_defaults(run=_predict)


def _predict(options: argparse.Namespace) -> int:
    images = list(_with_places(_images(options.images)))
    if not images:
        raise errors.bad_request(f"There is no image in {', '.join(map(str, options.images))}.")
    connection = RestConnection(options)
    model = finding.find(connection, options.model, "models")
    _check_deployed(model)
    if options.out:
        _make_folder(options.out)
    params = {"score_threshold": options.threshold, "max_bounding_box_count": options.max_boxes}
    sent = {key: str(value) for key, value in params.items() if value is not None}
    found: list[dict[str, Any]] = []
    colour_of: dict[str, str] = {}
    failed = 0
    for path, target in images:
        try:
            payload = _ask(connection, model["name"], path, sent)
            found.append({"image": str(path), "payload": payload})
            if options.out:
                _draw(path, options.out / target, payload, colour_of)
        except Unreachable:
            raise
        except errors.ApiError as error:
            if error.code not in (code_pb2.INVALID_ARGUMENT, code_pb2.DATA_LOSS) or _is_about_params(error):
                raise
            failed += 1
            found.append({"image": str(path), "error": {"code": error.code, "message": error.message.strip()}})
            output.say(f"{path}: {error.message.strip()}")
    if options.as_json:
        output.print_json(found)
    else:
        headings = (*HEADINGS, *MORE_HEADINGS.get(metadata_members.kind_of(model, "Model"), ()))
        output.print_table(headings, [row[: len(headings)] for one in found for row in _rows(one)])
    return waiting.SUCCEEDED if not failed else waiting.FAILED if failed == len(images) else waiting.PARTLY


def _images(paths: list[pathlib.Path]) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """The image files that are meant, each with its place below ``--out``.

    Raises:
        ApiError: NOT_FOUND if one of the paths is not there.
    """
    for path in paths:
        if path.is_dir():
            for folder, folders, names in os.walk(path):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for name in sorted(names):
                    file = pathlib.Path(folder, name)
                    if file.suffix.lower() in SUFFIXES and not name.startswith("."):
                        yield file, file.relative_to(path)
        elif path.exists():
            yield path, pathlib.Path(path.name)
        else:
            raise errors.not_found(f"There is no file or folder {path} on this machine.")


def _with_places(images: Iterator[tuple[pathlib.Path, pathlib.Path]]) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """Makes places JPEG files, and those different that are the same: ``a.jpg``, ``a-2.jpg`` and so on."""
    taken: set[pathlib.Path] = set()
    for path, place in images:
        name = place if place.suffix.lower() in (".jpg", ".jpeg") else place.with_name(f"{place.name}.jpg")
        free, number = name, 1
        while free in taken:
            number += 1
            free = name.with_stem(f"{name.stem}-{number}")
        taken.add(free)
        yield path, free


def _check_deployed(model: dict[str, Any]) -> None:
    if model.get("deploymentState") != "DEPLOYED":
        short = finding.last_segment(model["name"])
        raise errors.failed_precondition(
            f"The model {model['displayName']} ({short}) is not deployed. Deploy it: boxwright models deploy {short}. "
            "Lists of images in buckets need no deployment: boxwright batch predict."
        )


def _ask(connection: RestConnection, model: str, path: pathlib.Path, params: dict[str, str]) -> list[dict[str, Any]]:
    """The annotations of one image, best first.

    Raises:
        ApiError: INVALID_ARGUMENT if it cannot be predicted.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_IMAGE_BYTES:
            raise errors.bad_request(f"It has {size_bytes:,} bytes; the most is {MAX_IMAGE_BYTES:,}.")
        content = path.read_bytes()
    except OSError as error:
        raise errors.bad_request(f"It cannot be read: {error.strerror}.") from error
    if not content:
        raise errors.bad_request("The file is empty.")
    image = {"imageBytes": base64.b64encode(content).decode("ascii")}
    answer = connection.call("POST", f"{model}:predict", body={"payload": {"image": image}, "params": params})
    return answer.get("payload", [])


def _is_about_params(error: errors.ApiError) -> bool:
    return "params." in error.message


def _rows(one: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """An image's lines of the table, corners for boxes; one with a dash if nothing was found, none if it failed."""
    from boxwright.contact_sheet import results

    if "payload" in one and not one["payload"]:
        yield one["image"], "-", "", "", "", "", ""
    for annotation in one.get("payload", []):
        prediction = results.annotation(annotation)
        box = prediction.box
        corners = () if box is None else (box.x_min, box.y_min, box.x_max, box.y_max)
        shown = [f"{corner:.4f}" for corner in corners] or [""] * 4
        yield one["image"], prediction.label, f"{prediction.score:.3f}", *shown


def _make_folder(folder: pathlib.Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.failed_precondition(f"--out: {folder} cannot be made: {error.strerror}.") from error


def _draw(path: pathlib.Path, target: pathlib.Path, payload: list[dict[str, Any]], colour_of: dict[str, str]) -> None:
    """Writes an image with its boxes; one that this machine cannot show is told."""
    from boxwright.contact_sheet import pictures, results  # Pillow, which most commands do without

    try:
        if target.exists() and target.samefile(path):
            output.say(f"{path}: not drawn, as it would replace the image itself; name another folder with --out.")
            return
        image = pictures.open_upright(path)
        pictures.draw(image, [results.annotation(one) for one in payload], colour_of)
        target.parent.mkdir(parents=True, exist_ok=True)
        pictures.save(image, target)
    except (pictures.PictureError, OSError) as error:
        output.say(f"{path}: predicted, but not drawn: {error}")
