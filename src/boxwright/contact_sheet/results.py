"""What a batch prediction wrote, read back: `image_object_detection_N.jsonl`, `image_classification_N.jsonl`, errors."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from boxwright.contact_sheet.boxes import Box, Prediction

DETECTION, CLASSIFICATION = "image_object_detection", "image_classification"
RESULTS, ERRORS = (DETECTION, CLASSIFICATION), ("errors",)
MANIFEST_FILE = "manifest.json"


class ResultsError(Exception):
    """A file of the folder cannot be read; the message names the file and the line."""


@dataclasses.dataclass(frozen=True)
class Predicted:
    """One image with what was found in it, best first.

    Attributes:
        uri: the image's address as the list named it.
    """

    uri: str
    predictions: tuple[Prediction, ...]


@dataclasses.dataclass(frozen=True)
class FailedImage:
    """One image that could not be predicted.

    Attributes:
        why: the reason in a sentence.
    """

    uri: str
    why: str


def predicted(folder: pathlib.Path) -> Iterator[Predicted]:
    """Yields the images with a result, in the order of the files' numbers.

    Raises:
        ResultsError: a line is none of a result.
    """
    for place, line in _lines(folder, RESULTS):
        try:
            found = tuple(annotation(one) for one in line.get("annotations", ()))
            yield Predicted(str(line["ID"]), found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ResultsError(f"{place} is no result of an image.") from error


def failed(folder: pathlib.Path) -> Iterator[FailedImage]:
    """Yields the images that failed, in the order of the files' numbers.

    Raises:
        ResultsError: a line is none of an error.
    """
    for place, line in _lines(folder, ERRORS):
        try:
            yield FailedImage(str(line["ID"]), str(line["status"].get("message", "")))
        except (KeyError, TypeError, AttributeError) as error:
            raise ResultsError(f"{place} does not say why an image failed.") from error


def files(folder: pathlib.Path, stems: Sequence[str]) -> list[pathlib.Path]:
    """The files STEM_1.jsonl, STEM_2.jsonl and so on of a folder, in the order of their numbers."""
    numbered = re.compile(rf"(?:{'|'.join(stems)})_(\d+)\.jsonl")
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := numbered.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def score_threshold(folder: pathlib.Path) -> float | None:
    """The least score that the job kept, from its manifest; None if there is none that says it."""
    try:
        return float(json.loads((folder / MANIFEST_FILE).read_bytes())["settings"]["score_threshold"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def annotation(value: dict[str, Any]) -> Prediction:
    """One annotation, in snake case or camel case; protobuf's JSON leaves out what is zero.

    Raises:
        KeyError, TypeError, ValueError: it has another form.
    """
    label = str(_either(value, "display_name", "displayName"))
    if "classification" in value:
        return Prediction(label, float(value["classification"].get("score", 0)))
    detection = _either(value, DETECTION, "imageObjectDetection")
    box = _either(detection, "bounding_box", "boundingBox")
    top_left, bottom_right = _either(box, "normalized_vertices", "normalizedVertices")
    corners = (float(vertex.get(axis, 0)) for vertex in (top_left, bottom_right) for axis in ("x", "y"))
    return Prediction.of_box(Box(label, *corners), float(detection.get("score", 0)))


def _either(value: dict[str, Any], snake: str, camel: str) -> Any:
    return value[snake] if snake in value else value[camel]


def _lines(folder: pathlib.Path, stems: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects in the files of these stems, each with its place; there may be no such file."""
    for path in files(folder, stems):
        with path.open(encoding="utf-8") as file:
            try:
                for number, text in enumerate(file, 1):
                    if text.strip():
                        yield f"{path}, line {number}", json.loads(text)
            except ValueError as error:  # also what is no UTF-8
                raise ResultsError(f"{path} is no JSON Lines file: {error}.") from error
