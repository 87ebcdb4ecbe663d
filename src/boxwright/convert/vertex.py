"""Vertex AI's JSONL: an image a line, to import, to predict, or predicted; boxes are fractions of the image's sides.

Import: https://cloud.google.com/vertex-ai/docs/image-data/object-detection/prepare-data. A line to predict names
`content` and `mimeType`. In a prediction a box is x_min, x_max, y_min, y_max, in this order.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

from boxwright import errors, states
from boxwright.convert import dataset, entries, folders, json_documents, json_kinds, losses, options, output, pictures
from boxwright.tool_formats import vertex as vertex_format

ML_USE = vertex_format.ML_USE
NO_GS = "image whose address does not begin with gs://, which Vertex AI cannot read (--image-prefix)"
NOT_PREDICTED = "Vertex AI line of an image that was not predicted: left out"
NO_SCORE = "box without a score among predictions: written with confidence 1"
UNLABELLED = "line without annotations: kept as an image without a box or label"


def recognise(source: pathlib.Path) -> bool:
    """Whether this is a file of such lines, or a folder with one."""
    return any(json_kinds.lines_format_name(json_kinds.beginning(file)) == "vertex" for file in _files(source)[:1])


def read(source: pathlib.Path, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    """Reads every line of the file, or of the folder's files.

    Raises:
        ApiError: INVALID_ARGUMENT naming file and line.
    """
    files = _files(source)
    if not files:
        raise errors.bad_request(f"{source}: there is no JSONL file here.")
    for file in files:
        for where, entry in json_documents.lines(file, chosen.told):
            _read_line(entry, where, data, chosen)


def write(data: dataset.Dataset, target: pathlib.Path, chosen: options.ConvertOptions) -> None:
    """Writes one line an image: to import, or predictions if any box or label has a score.

    Raises:
        ApiError: FAILED_PRECONDITION if the file cannot be written.
    """
    common, has_scores, has_several = data.common_folder(), data.scored()[0] > 0, data.has_several_labels()
    numbers = {label: str(number) for number, label in enumerate(data.labels(), 1)}
    with output.new_file(target) as handle:
        for picture in data.pictures():
            address = options.address(picture.path, common, chosen.image_prefix)
            if not address.startswith("gs://"):
                chosen.told.note(NO_GS, address)
            if has_scores:
                line = _prediction(picture, address, numbers, chosen)
            else:
                line = vertex_format.import_line(picture, address, has_several=has_several)
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")


def _files(source: pathlib.Path) -> list[pathlib.Path]:
    if source.is_dir():
        return list(folders.files(source, {".jsonl"}))
    return [source] if source.suffix.lower() in (".jsonl", ".ndjson") else []


def _read_line(entry: dict[str, Any], where: str, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    instance = entry.get("instance", entry)
    path = instance.get("imageGcsUri") or instance.get("content") if isinstance(instance, dict) else None
    if not isinstance(path, str) or not path:
        chosen.told.refuse(where, "it names no image (imageGcsUri, content or instance.content)")
        return
    if "instance" in entry and not isinstance(entry.get("prediction"), dict):
        chosen.told.note(NOT_PREDICTED, where)
        return
    split = _split(entry, where, chosen)
    if split is None:
        return
    image_id = pictures.add(data, chosen, path, split, None, where)
    if image_id is None:
        return
    if "instance" in entry:
        _read_prediction(entry["prediction"], image_id, where, data, chosen)
        return
    listed = entries.objects(entry.get("boundingBoxAnnotations"))
    labelled = [
        *entries.objects(entry.get("classificationAnnotations")),
        *entries.objects(entry.get("classificationAnnotation")),
    ]
    for annotation in listed:
        _read_box(annotation, image_id, where, data, chosen)
    for annotation in labelled:
        data.add_image_label(image_id, _text(annotation.get("displayName")), where)
    if any(annotation.get("annotationResourceLabels") for annotation in [*listed, *labelled]):
        chosen.told.note("Vertex AI annotationResourceLabels, which are dropped", where)
    if not listed and not labelled:
        chosen.told.note(UNLABELLED, where)


def _split(entry: dict[str, Any], where: str, chosen: options.ConvertOptions) -> states.MlUse | None:
    labels = entry.get("dataItemResourceLabels")
    named = labels.get(ML_USE) if isinstance(labels, dict) else None
    if named in (None, "", "unassigned"):
        return chosen.split
    split = options.SPLITS.get(str(named).lower())
    if split is None:
        chosen.told.refuse(where, f"{ML_USE} is training, validation or test, not {named!r}")
    return split


def _read_box(
    annotation: dict[str, Any], image_id: int, where: str, data: dataset.Dataset, chosen: options.ConvertOptions
) -> None:
    sides = _numbers([annotation.get(side) for side in vertex_format.SIDES])
    if sides is None:
        chosen.told.refuse(where, "a box has the numbers xMin, yMin, xMax and yMax")
        data.lost_box(image_id)
    elif max(map(abs, sides)) > 2:
        chosen.told.refuse(where, "these are pixels; fractions of the image's width and height are expected")
        data.lost_box(image_id)
    else:
        data.add_box(image_id, dataset.Box(_text(annotation.get("displayName")), sides), where)


def _read_prediction(
    prediction: dict[str, Any], image_id: int, where: str, data: dataset.Dataset, chosen: options.ConvertOptions
) -> None:
    names, scores = prediction.get("displayNames"), prediction.get("confidences")
    boxes = prediction.get("bboxes")
    lists = [names, scores, *([] if boxes is None else [boxes])]
    if not isinstance(names, list) or not all(isinstance(one, list) and len(one) == len(names) for one in lists):
        chosen.told.refuse(where, "displayNames, confidences and bboxes are lists of one length")
        data.lost_box(image_id)
        return
    for index, name in enumerate(names):
        score = entries.told_score(scores[index], where, chosen.told) if isinstance(scores, list) else None
        if boxes is None:
            data.add_image_label(image_id, _text(name), where, score)
            continue
        sides = entries.finite(boxes[index], 4)
        if sides is None:
            chosen.told.refuse(where, f"bboxes[{index}] is not a list of four numbers: xMin, xMax, yMin, yMax")
            data.lost_box(image_id)
            continue
        corners = (sides[0], sides[2], sides[1], sides[3])
        data.add_box(image_id, dataset.Box(_text(name), corners, score=score), where)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _numbers(values: list[Any]) -> dataset.Corners | None:
    """Numbers, which may be written as texts."""
    try:
        found = entries.finite([float(value) if isinstance(value, str) else value for value in values], 4)
    except ValueError:
        return None
    return None if found is None else (found[0], found[1], found[2], found[3])


def _prediction(
    picture: dataset.Picture, address: str, numbers: dict[str, str], chosen: options.ConvertOptions
) -> dict[str, Any]:
    if picture.split is not states.MlUse.UNASSIGNED:
        chosen.told.note(losses.NO_SETS.format("a prediction of Vertex AI"), address)
    scores = [*picture.label_scores, *(box.score for box in picture.boxes)]
    chosen.told.note(NO_SCORE, picture.path, scores.count(None))
    return vertex_format.prediction(picture, address, numbers)
