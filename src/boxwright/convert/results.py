"""Our own result files, as a batch prediction writes them: detections or labels with their scores, an image a line."""

from __future__ import annotations

import pathlib
from typing import Any

from boxwright import errors
from boxwright.convert import dataset, entries, json_documents, json_kinds, options, pictures

FAILED = "image that could not be predicted (errors_N.jsonl): left out"
_PATTERNS = ("image_object_detection_*.jsonl", "image_classification_*.jsonl")
_ERRORS = "errors_*.jsonl"


def recognise(source: pathlib.Path) -> bool:
    """Whether this is the folder of a batch prediction, or one of its result files."""
    return any(json_kinds.lines_format_name(json_kinds.beginning(file)) == "results" for file in _files(source)[:1])


def read(source: pathlib.Path, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    """Reads every line; images that failed are counted.

    Raises:
        ApiError: INVALID_ARGUMENT naming file and line.
    """
    files = _files(source)
    if not files:
        raise errors.bad_request(f"{source}: there are no result files here ({', '.join(_PATTERNS)}).")
    for file in [*files, *(sorted(source.glob(_ERRORS), key=_number) if source.is_dir() else [])]:
        for where, entry in json_documents.lines(file, chosen.told):
            _read_line(entry, where, data, chosen)


def _files(source: pathlib.Path) -> list[pathlib.Path]:
    if source.is_dir():
        return [file for pattern in _PATTERNS for file in sorted(source.glob(pattern), key=_number)]
    return [source] if source.suffix.lower() == ".jsonl" else []


def _number(file: pathlib.Path) -> tuple[int, str]:
    """The place of a result file among the others: 2 before 10."""
    number = file.stem.rpartition("_")[2]
    return int(number) if number.isdecimal() else 0, file.name


def _read_line(entry: dict[str, Any], where: str, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    path, found = entry.get("ID"), entry.get("annotations")
    if isinstance(path, str) and "status" in entry:
        chosen.told.note(FAILED, where)
        return
    if not isinstance(path, str) or not isinstance(found, list):
        chosen.told.refuse(where, "it has no ID and annotations, as a line of results has")
        return
    image_id = pictures.add(data, chosen, path, chosen.split, None, where)
    if image_id is None:
        return
    for index, one in enumerate(found):
        _read_annotation(one if isinstance(one, dict) else {}, image_id, f"{where}, annotation {index}", data, chosen)


def _read_annotation(
    one: dict[str, Any], image_id: int, where: str, data: dataset.Dataset, chosen: options.ConvertOptions
) -> None:
    label = _member(one, "display_name")
    detection, classification = _member(one, "image_object_detection"), _member(one, "classification")
    scored = detection if isinstance(detection, dict) else classification
    corners = _corners(detection) if isinstance(detection, dict) else None
    if not isinstance(label, str) or not isinstance(scored, dict) or (scored is detection and corners is None):
        chosen.told.refuse(
            where, "a display_name and a bounding_box with two vertices, or a classification, is expected"
        )
        data.lost_box(image_id)
        return
    score = entries.told_score(scored.get("score", 0.0), where, chosen.told)
    if corners is None:
        data.add_image_label(image_id, label, where, score)
    else:
        data.add_box(image_id, dataset.Box(label, corners, score=score), where)


def _corners(detection: dict[str, Any]) -> dataset.Corners | None:
    box = _member(detection, "bounding_box")
    vertices = _member(box, "normalized_vertices") if isinstance(box, dict) else None
    if not isinstance(vertices, list) or len(vertices) != 2 or not all(isinstance(one, dict) for one in vertices):
        return None
    sides = entries.finite([one.get(axis, 0) for one in vertices for axis in ("x", "y")], 4)  # proto JSON may omit 0
    return None if sides is None else (sides[0], sides[1], sides[2], sides[3])


def _member(value: dict[str, Any], name: str) -> Any:
    """A member in either spelling of proto JSON: display_name or displayName."""
    first, *others = name.split("_")
    return value.get(name, value.get(first + "".join(word.capitalize() for word in others)))
