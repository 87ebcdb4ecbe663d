"""What ImportModel is asked for: the files that the request names, and its params."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from boxwright import errors, objects
from boxwright.adapters import job
from boxwright.images import letterbox
from boxwright.services import validation

URIS = "input_config.gcs_source.input_uris"
PARAMS = ("display_name", "layout", "labels", "input", "input_size", "resize", "fill", "licence", "license", "nms_iou",
          "accept")  # fmt: skip
MAX_LICENCE_CHARS = 200
DEFAULT_NAME = "imported"
MAX_NAME_CHARS = 32


@dataclasses.dataclass(frozen=True)
class ImportFiles:
    """The files of a request.

    Attributes:
        network: the ONNX file.
        labels: names of the classes, one a line; None if it is not sent.
        examples: an import CSV to validate with; None if it is not sent.
    """

    network: objects.ObjectUri
    labels: objects.ObjectUri | None
    examples: objects.ObjectUri | None

    @property
    def all(self) -> list[objects.ObjectUri]:
        """Those that are sent."""
        return [one for one in (self.network, self.labels, self.examples) if one is not None]


def files(uris: Sequence[str], schemes: Sequence[str] = objects.DEFAULT_SCHEMES) -> ImportFiles:
    """One ``.onnx``, at most one ``.txt`` with labels, at most one ``.csv``; in any order.

    Raises:
        ApiError: INVALID_ARGUMENT naming what is too much or missing.
    """
    found: dict[str, objects.ObjectUri] = {}
    for uri in validation.input_uris(uris, URIS, schemes):
        suffix = uri.key.rpartition(".")[2].lower()
        if suffix not in ("onnx", "txt", "csv"):
            raise errors.invalid_argument(
                URIS, f"{uri} is neither an .onnx nor a .txt with labels nor a .csv of labelled images."
            )
        if suffix in found:
            raise errors.invalid_argument(URIS, f"There are two .{suffix} files: {found[suffix]} and {uri}. Send one.")
        found[suffix] = uri
    if "onnx" not in found:
        raise errors.invalid_argument(URIS, "There is no .onnx file. Name the network's file.")
    return ImportFiles(found["onnx"], found.get("txt"), found.get("csv"))


@dataclasses.dataclass(frozen=True)
class ImportParams:
    """The params of a request; `chosen` are fields of `adapters.job.ImportJob`."""

    display_name: str
    chosen: dict[str, Any]


def params(values: Mapping[str, str], network: objects.ObjectUri) -> ImportParams:
    """Reads the params; unknown keys are ignored, and told elsewhere.

    Raises:
        ApiError: INVALID_ARGUMENT naming the param.
    """
    chosen: dict[str, Any] = {}
    name = _name_of(network)
    for key, value in values.items():
        field = f"input_config.params.{key[:80]}"
        if len(value) > validation.MAX_PARAM_CHARS:
            raise errors.invalid_argument(field, f"It is longer than {validation.MAX_PARAM_CHARS} characters.")
        if not value:
            continue
        match validation.spelled(key):
            case "display_name":
                name = value
            case "layout":
                chosen["layout"] = _one_of(value, field, (*job.LAYOUTS, *job.ALIASES))
            case "labels":
                chosen["labels"] = _labels(value, field)
            case "input":
                chosen["input"] = _one_of(value, field, job.INPUTS)
            case "input_size":
                chosen["input_hw"] = _size(value, field)
            case "resize":
                chosen["resize"] = _one_of(value, field, letterbox.RESIZES)
            case "fill":
                chosen["fill"] = validation.number(value, field, int, 0, 255)
            case "licence" | "license":
                chosen["licence"] = _licence(value, field)
            case "nms_iou":
                chosen["nms_iou"] = validation.number(value, field, float, 0.0, 1.0)
            case "accept":
                _one_of(value, field, (job.UNVALIDATED,))
                chosen["accepts_unvalidated"] = True
    validation.display_name(name, "input_config.params.display_name", starts_with_letter=True)
    return ImportParams(name, chosen)


def _name_of(network: objects.ObjectUri) -> str:
    """A display name from the file's name."""
    stem = re.sub(r"[^A-Za-z0-9_]+", "_", network.key.rpartition("/")[2].rpartition(".")[0]).strip("_")
    named = stem if stem[:1].isalpha() else f"{DEFAULT_NAME}_{stem}".rstrip("_")
    return named[:MAX_NAME_CHARS]


def _one_of(value: str, field: str, known: Sequence[str]) -> str:
    if value not in known:
        raise errors.invalid_argument(field, f"'{value[:80]}' is none of {', '.join(known)}.")
    return value


def _labels(value: str, field: str) -> list[str]:
    """Names separated by commas, or a JSON list of them."""
    if not value.lstrip().startswith("["):
        return [one.strip() for one in value.split(",")]
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise errors.invalid_argument(field, "It begins as a JSON list and is none of texts.")
    return found


def _size(value: str, field: str) -> list[int]:
    """``640`` or ``WIDTHxHEIGHT`` as height and width."""
    sides = value.lower().split("x")
    if len(sides) > 2:
        raise errors.invalid_argument(field, f"'{value[:80]}' is no size; say 640, or 640x480 for width and height.")
    numbers = [validation.number(side, field, int, 1, 1 << 16) for side in sides]
    return [numbers[-1], numbers[0]]


def _licence(value: str, field: str) -> str:
    if len(value) > MAX_LICENCE_CHARS or not value.isprintable():
        raise errors.invalid_argument(field, f"A licence is printable text of at most {MAX_LICENCE_CHARS} characters.")
    return value
