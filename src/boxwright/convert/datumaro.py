"""Datumaro's JSON: a file a set with categories and items; bbox is x, y, width, height in pixels from 0.

Fields: https://openvinotoolkit.github.io/datumaro (formats, datumaro). Labels are numbered by their place in the categories.
Marks and scores are attributes of an annotation, as Datumaro's readers of other formats name them.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import IO, Any

from boxwright import errors, states
from boxwright.convert import (
    dataset,
    entries,
    folders,
    image_files,
    json_documents,
    json_kinds,
    options,
    outlines,
    output,
    pictures,
)

ATTRIBUTE = "Datumaro attribute '{}', which is dropped"
NOT_READ = "JSON file that is not Datumaro's beside those that were read: left out"
ASSUMED_JPG = "Datumaro item without an image's path, and no such image here: taken as .jpg"
_MARKS = {"is_crowd": dataset.CROWD, "difficult": dataset.DIFFICULT, "truncated": dataset.TRUNCATED}
_NAMES = {mark: name for name, mark in _MARKS.items()}
_DEFAULT = "default"  # the subset of items that are in none


def recognise(source: pathlib.Path) -> bool:
    """Whether this is such a file, or a folder with one in `annotations`."""
    files = _files(source)
    return any(json_kinds.format_name(json_kinds.beginning(file)) == "datumaro" for file in files[:1])


def read(source: pathlib.Path, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    """Reads one file, or all of the folder; the set is the name of the file.

    Raises:
        ApiError: INVALID_ARGUMENT naming the file and the item.
    """
    files = _files(source)
    if not files:
        raise errors.bad_request(f"{source}: there is no Datumaro JSON here.")
    data.labels_are_ordered = True
    for file in files:
        try:
            document = json_documents.Document(file, kept={"categories"})
        except json_documents.JsonError as problem:
            raise errors.bad_request(f"{file}, line {problem.line}: {problem}.") from problem
        if not document.has("items"):
            if len(files) == 1:
                raise errors.bad_request(f"{file}: it has no list 'items'; Datumaro's JSON is expected.")
            chosen.told.note(NOT_READ, str(file))
            continue
        names = _labels(document.values.get("categories"), file)
        for name in names.values():
            if entries.label_problem(name) is None:
                data.add_label(name)
        for index, item in document.entries("items"):
            where = f"{file}, items[{index}]"
            if isinstance(item, dict):
                _read_item(item, names, file, where, data, chosen)
            else:
                chosen.told.refuse(where, "an object is expected")


def write(data: dataset.Dataset, target: pathlib.Path, chosen: options.ConvertOptions) -> None:
    """Writes one file, if the target ends in .json, or a folder with `annotations/SET.json`.

    Raises:
        ApiError: FAILED_PRECONDITION if it cannot be written.
    """
    labels, common = data.labels(), data.common_folder()
    numbers = {label: number for number, label in enumerate(labels)}

    def write_set(split: states.MlUse | None, handle: IO[str]) -> None:
        listed = [{"name": label, "parent": "", "attributes": []} for label in labels]
        categories = {"label": {"labels": listed, "attributes": []}}
        handle.write('{"dm_format_version": "1.0", "media_type": 2, "infos": {},\n"categories": ')
        handle.write(json.dumps(categories, ensure_ascii=False) + ',\n"items": [')
        for index, picture in enumerate(data.pictures(split)):
            item = _item(picture, options.image_name(picture.path, common), numbers)
            handle.write((",\n" if index else "\n") + json.dumps(item, ensure_ascii=False))
        handle.write("\n]}\n")

    names = {split: f"annotations/{_subset(split)}.json" for split in data.splits()}
    output.write_sets(target, None if target.suffix.lower() == ".json" else names, write_set)


def _files(source: pathlib.Path) -> list[pathlib.Path]:
    if source.is_file():
        return [source] if source.suffix.lower() == ".json" else []
    return [file for file in folders.files(source / "annotations", {".json"}) if file.parent.name == "annotations"]


def _subset(split: states.MlUse) -> str:
    return _DEFAULT if split is states.MlUse.UNASSIGNED else options.SPLIT_NAMES[split]


def _labels(categories: Any, file: pathlib.Path) -> dict[int, str]:
    label = _object(_object(categories).get("label"))
    listed = label.get("labels")
    if not isinstance(listed, list):
        raise errors.bad_request(f"{file}: it has no list categories.label.labels of the labels.")
    return {number: str(_object(one).get("name") or "").strip() for number, one in enumerate(listed)}


def _read_item(
    item: dict[str, Any],
    names: dict[int, str],
    file: pathlib.Path,
    where: str,
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
) -> None:
    image = _object(item.get("image")) or _object(item.get("media"))
    path, identity = image.get("path"), item.get("id")
    found = _locate(path, identity, file, where, chosen)
    if found is None:
        chosen.told.refuse(where, "it has no id and no path of an image")
        return
    sizes = image.get("size")
    size_hw = entries.pixel_size(*sizes) if isinstance(sizes, list) and len(sizes) == 2 else None
    split = options.SPLITS.get(file.stem.lower(), chosen.split)
    added = pictures.add_sized(data, chosen, found[0], split, size_hw, where, located=found[1])
    if added is None:
        return
    for index, annotation in enumerate(entries.objects(item.get("annotations"))):
        _read_annotation(annotation, names, *added, f"{where}, annotation {index}", data, chosen)


def _locate(
    path: Any, identity: Any, file: pathlib.Path, where: str, chosen: options.ConvertOptions
) -> tuple[str, image_files.Located | None] | None:
    """(path, file) of an item's image, which lies in images/SET, in images or beside; names may repeat in other sets."""
    if isinstance(path, str) and path:
        if entries.is_uri(path) or entries.path_problem(entries.tidy(path)):
            return path, None
        located = chosen.finder.locate(f"{file.stem}/{entries.tidy(path)}", moved=False)
        return (path, None) if located is None else (located.name, located)
    if not isinstance(identity, str) or not identity:
        return None
    if folders.is_image_name(identity):
        return identity, None
    for name in (f"{file.stem}/{identity}.jpg", f"{identity}.jpg"):
        located = chosen.finder.locate(name, moved=False)
        if located is not None:
            return located.name, image_files.Located(located.file, located.name)
    chosen.told.note(ASSUMED_JPG, where)
    return f"{identity}.jpg", None


def _read_annotation(
    annotation: dict[str, Any],
    names: dict[int, str],
    image_id: int,
    size_hw: tuple[int, int] | None,
    where: str,
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
) -> None:
    kind, number = annotation.get("type"), annotation.get("label_id")
    if kind not in ("bbox", "polygon", "label"):
        chosen.told.note(outlines.NO_BOX.format(kind), where)
        data.lost_box(image_id)
        return
    label = names.get(number) if isinstance(number, int) and not isinstance(number, bool) else None
    corners = None if kind == "label" else _corners(annotation)
    problem = None
    if label is None:
        problem = f"label_id {number!r} is the number of none of the {len(names)} labels"
    elif kind != "label" and corners is None:
        problem = "its bbox or points are not the numbers that are expected"
    elif kind != "label" and size_hw is None:
        problem = pictures.NO_SIZE
    if problem or label is None:
        chosen.told.refuse(where, problem or "")
        data.lost_box(image_id)
        return
    marks, score = _attributes(annotation, where, chosen)
    if corners is None or size_hw is None:
        data.add_image_label(image_id, label, where, score)
        return
    if kind == "polygon":
        chosen.told.note(outlines.OUTLINE, where)
    data.add_box(image_id, dataset.Box(label, outlines.in_fractions(corners, size_hw), marks, score), where)


def _corners(annotation: dict[str, Any]) -> dataset.Corners | None:
    if annotation["type"] == "bbox":
        sides = entries.finite(annotation.get("bbox"), 4)
        return None if sides is None else (sides[0], sides[1], sides[0] + sides[2], sides[1] + sides[3])
    listed = annotation.get("points")
    count = len(listed) if isinstance(listed, list) else 0
    values = entries.finite(listed, count) if count >= 6 and count % 2 == 0 else None
    return None if values is None else outlines.around(list(zip(values[0::2], values[1::2], strict=True)))


def _attributes(
    annotation: dict[str, Any], where: str, chosen: options.ConvertOptions
) -> tuple[frozenset[str], float | None]:
    attributes = _object(annotation.get("attributes"))
    for name, value in attributes.items():
        if name not in _MARKS and name != "score" and value not in (None, False, "", 0):
            chosen.told.note(ATTRIBUTE.format(name), where)
    marks = frozenset(mark for name, mark in _MARKS.items() if attributes.get(name) in (True, 1, "true", "1"))
    return marks, entries.told_score(attributes.get("score"), where, chosen.told)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _item(picture: dataset.Picture, name: str, numbers: dict[str, int]) -> dict[str, Any]:
    return {
        "id": str(pathlib.PurePosixPath(name).with_suffix("")),
        "annotations": list(_annotations(picture, numbers)),
        "attr": {},
        "image": {"path": name, "size": list(picture.size_hw or (0, 0))},
    }


def _annotations(picture: dataset.Picture, numbers: dict[str, int]) -> Iterator[dict[str, Any]]:
    scored = zip(picture.labels, picture.label_scores, strict=True)
    for number, (label, score) in enumerate(scored):
        attributes = {} if score is None else {"score": score}
        yield {"id": number, "type": "label", "attributes": attributes, "group": 0, "label_id": numbers[label]}
    for number, box in enumerate(picture.boxes):
        left, top, right, bottom = outlines.in_pixels(box.corners_norm, picture.size_hw)
        marks: dict[str, Any] = {_NAMES[mark]: True for mark in sorted(box.marks)}
        yield {
            "id": number,
            "type": "bbox",
            "attributes": {**marks, **({} if box.score is None else {"score": box.score})},
            "group": 0,
            "label_id": numbers[box.label],
            "z_order": 0,
            "bbox": [left, top, round(right - left, 9), round(bottom - top, 9)],
        }
