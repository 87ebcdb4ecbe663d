"""Label Studio's JSON: a list of tasks, each an image with people's annotations or a model's predictions, in per cent.

Fields: https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions. What has a score is written as a
prediction, which a person accepts or not; all else as an annotation.
"""

from __future__ import annotations

import json
import pathlib
import re
import urllib.parse
from typing import Any

from boxwright import errors
from boxwright.convert import (
    dataset,
    entries,
    folders,
    json_documents,
    json_kinds,
    options,
    outlines,
    output,
    pictures,
)
from boxwright.tool_formats import labelstudio as labelstudio_format

UNREVIEWED = "Label Studio prediction of a task with annotations: left out"
SEVERAL = "Label Studio task with several annotations: the ground truth counts, or else the first"
SKIPPED = "Label Studio task that was skipped or has no annotation and no prediction: left out"
UNUSABLE = "Label Studio image address that no browser opens (--image-prefix, as https://…)"
_BOXES, _POLYGONS, _ELLIPSES = ("rectanglelabels", "labels"), ("polygonlabels",), ("ellipselabels",)
_UPLOAD = re.compile(r"^/?data/upload/(?:\d+/)?")


def recognise(source: pathlib.Path) -> bool:
    """Whether this is a JSON file with tasks, or a folder with one such file."""
    return _file(source) is not None


def read(source: pathlib.Path, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    """Reads every task: its annotation, or its prediction if it has none.

    Raises:
        ApiError: INVALID_ARGUMENT naming the file and the task.
    """
    source = source if source.is_file() else _file(source) or source
    if not source.is_file():
        raise errors.bad_request(f"{source}: name the JSON file that Label Studio exported.")
    try:
        document = json_documents.Document(source)
    except json_documents.JsonError as problem:
        raise errors.bad_request(f"{source}, line {problem.line}: {problem}.") from problem
    if not document.has(json_documents.ROOT):
        raise errors.bad_request(f"{source}: a list of tasks is expected.")
    for index, task in document.entries(json_documents.ROOT):
        where = f"{source}, task {index}"
        if isinstance(task, dict):
            _read_task(task, where, data, chosen)
        else:
            chosen.told.refuse(where, "an object is expected")


def write(data: dataset.Dataset, target: pathlib.Path, chosen: options.ConvertOptions) -> None:
    """Writes one file, a task a line.

    Raises:
        ApiError: FAILED_PRECONDITION if the file cannot be written.
    """
    common, is_model = data.common_folder(), data.scored()[0] > 0
    with output.new_file(target) as handle:
        for index, picture in enumerate(data.pictures()):
            address = options.address(picture.path, common, chosen.image_prefix)
            if not address.startswith(("http://", "https://", "/data/", "s3://", "gs://", "azure-blob://")):
                chosen.told.note(UNUSABLE, address)
            task = labelstudio_format.task(picture, address, chosen.control, is_model=is_model)
            handle.write((",\n" if index else "[\n") + json.dumps(task, ensure_ascii=False))
        handle.write("\n]\n")


def _file(source: pathlib.Path) -> pathlib.Path | None:
    """The file with tasks: SOURCE itself, or the only one in it."""
    files = sorted(source.iterdir()) if source.is_dir() else [source]
    jsons = [file for file in files if file.suffix.lower() == ".json" and folders.is_file(file)]
    found = [file for file in jsons if json_kinds.format_name(json_kinds.beginning(file)) == "labelstudio"]
    return found[0] if len(found) == 1 else None


def _read_task(task: dict[str, Any], where: str, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    given = entries.objects(task.get("annotations") or task.get("completions"))
    annotations = [one for one in given if not one.get("was_cancelled")]
    predictions = entries.objects(task.get("predictions"))
    if len(annotations) > 1:
        chosen.told.note(SEVERAL, where)
    truths = [one for one in annotations if one.get("ground_truth")]
    if annotations and predictions:
        chosen.told.note(UNREVIEWED, where, len(predictions))
    found = (truths or annotations or (predictions if not given else []))[:1]
    if not found:
        chosen.told.note(SKIPPED, where)
        return
    results = entries.objects(found[0].get("result"))
    path = _image(task, results)
    if path is None:
        chosen.told.refuse(where, "its data name no image")
        return
    image_id = _add_image(path, where, data, chosen)
    if image_id is None:
        return
    whole = None if annotations or any("score" in one for one in results) else found[0].get("score")
    whole_score = entries.told_score(whole, where, chosen.told)
    labelled = {str(one.get("id")) for one in results if one.get("type") != "rectangle"}
    for number, one in enumerate(results, 1):
        if one.get("type") != "rectangle" or str(one.get("id")) not in labelled:  # or else its label stands apart
            _read_result(one, whole_score, image_id, f"{where}, result {number}", data, chosen)


def _add_image(path: str, where: str, data: dataset.Dataset, chosen: options.ConvertOptions) -> int | None:
    """Uploaded files are called `8 digits-NAME` there, and often NAME here."""
    if _UPLOAD.match(path):
        path = _UPLOAD.sub("", path)
        bare = re.sub(r"^[0-9a-f]{8}-", "", path)
        if chosen.finder.locate(path, moved=False) is None and chosen.finder.find(bare) is not None:
            path = bare
    elif "/data/local-files/" in path:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
        path = query.get("d", [path])[0]
    return pictures.add(data, chosen, path, chosen.split, None, where)


def _image(task: dict[str, Any], results: list[dict[str, Any]]) -> str | None:
    """What a task names its image: `data.image`, or whatever the results are about, or the only text."""
    named = task.get("data")
    if not isinstance(named, dict):
        return None
    keys = ["image", *(str(one.get("to_name")) for one in results), "img", "url", "image_url"]
    texts = {key: value for key, value in named.items() if isinstance(value, str) and value}
    found = [texts[key] for key in keys if key in texts]
    return found[0] if found else next(iter(texts.values())) if len(texts) == 1 else None


def _read_result(
    one: dict[str, Any],
    whole_score: float | None,
    image_id: int,
    where: str,
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
) -> None:
    kind, value = str(one.get("type") or ""), one.get("value")
    value = value if isinstance(value, dict) else {}
    score = entries.told_score(one.get("score"), where, chosen.told) if "score" in one else whole_score
    if kind == "choices":
        choices = value.get("choices")
        named = [str(label).strip() for label in choices] if isinstance(choices, list) else []
        for label, own in zip(named, _scores(one, len(named), score), strict=True):
            data.add_image_label(image_id, label, where, entries.told_score(own, where, chosen.told))
        return
    if kind not in (*_BOXES, *_POLYGONS, *_ELLIPSES):
        chosen.told.note(outlines.NO_BOX.format(kind), where)
        data.lost_box(image_id)
        return
    labels, corners = value.get(kind), _corners(kind, value, one)
    if corners is None or not isinstance(labels, list) or len(labels) != 1:
        chosen.told.refuse(where, f"numbers in per cent, and one label in '{kind}', are expected")
        data.lost_box(image_id)
        return
    if kind not in _BOXES or float(value.get("rotation") or 0) % 360:
        chosen.told.note(outlines.OUTLINE, where)
    data.add_box(image_id, dataset.Box(str(labels[0]).strip(), corners, score=score), where)


def _scores(one: dict[str, Any], count: int, score: float | None) -> list[Any]:
    """The scores of several choices: Label Studio has a place for one, and we write all beside."""
    meta = one.get("meta")
    found = meta.get("scores") if isinstance(meta, dict) else None
    return found if isinstance(found, list) and len(found) == count else [score] * count


def _corners(kind: str, value: dict[str, Any], one: dict[str, Any]) -> dataset.Corners | None:
    """Fractions of the image's sides; turning needs its shape."""
    size = entries.pixel_size(one.get("original_height"), one.get("original_width"))
    degrees = entries.finite([value.get("rotation") or 0], 1)
    if degrees is None or (size is None and degrees[0] % 360):
        return None
    height, width = size or (100, 100)
    scale = (width / 100, height / 100)
    if kind in _POLYGONS:
        listed = value.get("points")
        found = [entries.finite(point, 2) for point in listed] if isinstance(listed, list) else []
        points = [(x[0] * scale[0], x[1] * scale[1]) for x in found if x is not None]
        return outlines.in_fractions(outlines.around(points), (height, width)) if points else None
    names = ("x", "y", "radiusX", "radiusY") if kind in _ELLIPSES else ("x", "y", "width", "height")
    sides = entries.finite([value.get(name) for name in names], 4)
    if sides is None:
        return None
    if kind in _BOXES and not degrees[0] % 360:
        x, y, box_width, box_height = (side / 100 for side in sides)
        return x, y, x + box_width, y + box_height
    x, y, a, b = (side * scale[index % 2] for index, side in enumerate(sides))
    if kind in _ELLIPSES:
        return outlines.in_fractions(outlines.around_ellipse((x, y), (a, b), degrees[0]), (height, width))
    turned = outlines.around_turned(outlines.corners_of((x, y, x + a, y + b)), degrees[0], (x, y))
    return outlines.in_fractions(turned, (height, width))
