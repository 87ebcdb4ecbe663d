"""COCO's detection JSON: bbox is x, y, width, height in pixels from 0, the left and upper edge first.

Convention and field names: https://cocodataset.org/#format-data. One file holds one set, so that a data set is a folder of
`annotations/instances_SET.json`. Files are read as streams: their size does not matter.
"""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import ijson

from boxwright import errors, states
from boxwright.convert import choices, dataset, folders, output, pictures

PLACES_PX = 9
MAX_EXPLAINED_BYTES = 64 * 1024 * 1024  # up to here a broken file is read once more, for the line of the mistake
NO_ID = "it has no id; a number or a text is expected"
SAME_NAME = "COCO category with the name of another: both are one label"
SAME_ID = "COCO annotation with the id of another: both are kept"
_IMAGE_FIELDS = {"id", "file_name", "width", "height"}
_ANNOTATION_FIELDS = {"id", "image_id", "category_id", "bbox", "iscrowd", "area"}
_NO_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)\b', re.DOTALL)  # skips strings
_SPLIT_IN_NAME = re.compile(r"(?<![a-z])(train|training|val|valid|validation|test|unassigned)(?![a-z])")


def recognise(source: pathlib.Path) -> bool:
    """Whether this is a JSON file, or a folder with COCO's."""
    return bool(_files(source))


def read(source: pathlib.Path, data: dataset.Dataset, chosen: choices.Choices) -> None:
    """Reads one file, or all of a folder; the set is taken from the name of the file.

    Raises:
        ApiError: INVALID_ARGUMENT naming the file and the entry.
    """
    files = _files(source)
    if not files:
        raise errors.bad_request(f"{source}: there is no COCO JSON here.")
    data.labels_are_ordered = True
    for file in files:
        if chosen.told.skip_bad and len(files) > 1 and (problem := _syntax_problem(file)):
            chosen.told.refuse(str(file), problem)
            continue
        data.forget_keys()
        for root in _set_folders(file, source):
            chosen.finder.add_root(root)
        names = _read_categories(file, data, chosen)
        _read_images(file, source, data, chosen)
        _read_annotations(file, names, data, chosen)


def _set_folders(file: pathlib.Path, source: pathlib.Path) -> list[pathlib.Path]:
    """Where the images of one set lie, as in COCO's own layout: train2017/ beside annotations/instances_train2017.json."""
    name = file.stem.removeprefix("instances_")
    root = source if source.is_dir() else file.parent
    return [folder / name for folder in (root, root / "images", root.parent, root.parent / "images")]


def write(data: dataset.Dataset, target: pathlib.Path, chosen: choices.Choices) -> None:
    """Writes one file, if the target ends in .json, or a folder with one file a set.

    Raises:
        ApiError: FAILED_PRECONDITION if it cannot be written.
    """
    ids = {label: number for number, label in enumerate(data.labels(), 1)}
    common = data.common_folder()
    if target.suffix.lower() == ".json":
        splits = data.splits()
        if len(splits) > 1:
            names = ", ".join(splits)
            chosen.told.note("file that holds several sets: COCO cannot say which image is in which", f"{names}")
        with output.new_file(target) as handle:
            handle.writelines(_document(data, None, ids, common, chosen))
        return
    with output.new_folder(target) as folder:
        (folder / "annotations").mkdir()
        for split in data.splits():
            path = folder / "annotations" / f"instances_{choices.SPLIT_NAMES[split]}.json"
            with path.open("w", encoding="utf-8", newline="\n") as handle:
                handle.writelines(_document(data, split, ids, common, chosen))


def _files(source: pathlib.Path) -> list[pathlib.Path]:
    if source.is_file():
        return [source] if source.suffix.lower() == ".json" else []
    for pattern in ("annotations/instances_*.json", "annotations/*.json", "*/_annotations.coco.json", "*.json"):
        found = [file for file in sorted(source.glob(pattern)) if not any(map(folders.is_passed_over, file.parts[-2:]))]
        if found:
            return found
    return []


def _split(file: pathlib.Path, chosen: choices.Choices) -> states.MlUse:
    name = file.parent.name if file.name == "_annotations.coco.json" else file.stem
    found = _SPLIT_IN_NAME.search(name.lower())
    return choices.SPLITS[found[1]] if found else chosen.split


def _items(file: pathlib.Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (place, entry) of one of the document's lists."""
    try:
        with file.open("rb") as handle:
            for index, item in enumerate(ijson.items(handle, f"{name}.item", use_float=True)):
                where = f"{file}, {name}[{index}]"
                if not isinstance(item, dict):
                    raise errors.bad_request(f"{where}: an object is expected.")
                yield where, item
    except (ijson.JSONError, UnicodeDecodeError) as error:
        raise errors.bad_request(f"{file}{_mistake(file)}") from error
    except OSError as error:
        raise errors.bad_request(f"{file}: {error.strerror}.") from error


def _syntax_problem(file: pathlib.Path) -> str | None:
    """Why a file is no JSON, or None."""
    try:
        with file.open("rb") as handle:
            for _ in ijson.basic_parse(handle):
                pass
    except (ijson.JSONError, UnicodeDecodeError):
        return _mistake(file).lstrip(",: ").rstrip(".")
    except OSError as error:
        return str(error.strerror)
    return None


def _mistake(file: pathlib.Path) -> str:
    if file.stat().st_size <= MAX_EXPLAINED_BYTES:
        try:
            text = file.read_bytes().decode("utf-8")
            json.loads(text)
        except json.JSONDecodeError as error:
            return f", line {error.lineno}: this is not JSON ({error.msg}, column {error.colno})."
        except UnicodeDecodeError as error:
            return f": this is not JSON: it is not UTF-8 text ({error.reason}); save it as UTF-8."
        except RecursionError:
            pass
        else:
            for found in _NO_NUMBER.finditer(text):
                if found[1]:
                    line = text.count("\n", 0, found.start()) + 1
                    column = found.start() - text.rfind("\n", 0, found.start())
                    return f", line {line}: this is not JSON: {found[1]} is no number in JSON (column {column})."
    return ": this is not JSON (it may be cut off, or hold NaN or Infinity)."


def _read_categories(file: pathlib.Path, data: dataset.Dataset, chosen: choices.Choices) -> dict[str, str]:
    """Names by id, as text; the labels are numbered in the order of the ids."""
    names: dict[str, str] = {}
    ambiguous: set[str] = set()
    entries = sorted(_items(file, "categories"), key=lambda entry: (_rank(entry[1].get("id")), entry[0]))
    for where, entry in entries:
        name, key = str(entry.get("name", "")).strip(), _key(entry.get("id"))
        problem = dataset.label_problem(name)
        if key is None:
            problem = NO_ID
        elif key in ambiguous or key in names:
            problem = f"the category id {key} is used twice"
            names.pop(key, None)
            ambiguous.add(key)
        if problem or key is None:
            chosen.told.refuse(where, problem or "")
            continue
        if name in names.values():
            chosen.told.note(SAME_NAME, where)
        names[key] = name
        data.add_label(name)
        if entry.get("supercategory") not in (None, "", "none"):
            chosen.told.note("COCO supercategory, which is dropped", where)
    if list(names) != [str(number) for number in range(1, len(names) + 1)]:
        chosen.told.note("COCO file whose category ids are not 1, 2, 3 …: names are kept, ids are not", str(file))
    return names


def _read_images(file: pathlib.Path, source: pathlib.Path, data: dataset.Dataset, chosen: choices.Choices) -> None:
    split, count = _split(file, chosen), 0
    inside = source.is_dir() and file.name == "_annotations.coco.json"
    for where, entry in _items(file, "images"):
        count += 1
        name = entry.get("file_name")
        if not isinstance(name, str) or not name:
            chosen.told.refuse(where, "it has no file_name")
            continue
        path = f"{file.parent.name}/{name}" if inside and not dataset.is_uri(name) else name
        size = dataset.finite([entry.get("height"), entry.get("width")], 2)
        size_hw = (int(size[0]), int(size[1])) if size and min(size) >= 1 else None
        key = _key(entry.get("id"))
        if key is None:
            chosen.told.refuse(where, NO_ID)
            continue
        if data.has_key(key):
            if (known := data.by_key(key)) is not None:
                data.remove_image(known[0])  # whose boxes these would be, nobody can tell
            chosen.told.refuse(where, f"the image id {key} is used twice")
            continue
        image_id = pictures.add(data, chosen, path, split, size_hw, where, key=key)
        if (
            image_id is not None
            and size_hw is None
            and (size_hw := pictures.size_of(data.file_of(image_id), chosen.told))
        ):
            data.set_size(image_id, size_hw)
        for field in sorted(entry.keys() - _IMAGE_FIELDS):
            chosen.told.note(f"COCO image field '{field}', which is dropped", where)
    if not count:
        raise errors.bad_request(f"{file}: it has no list 'images'; a COCO detection file is expected.")


def _read_annotations(
    file: pathlib.Path, names: dict[str, str], data: dataset.Dataset, chosen: choices.Choices
) -> None:
    for where, entry in _items(file, "annotations"):
        key, own_id = _key(entry.get("image_id")), _key(entry.get("id"))
        if own_id is not None and not data.is_new(f"annotation {file}", own_id):
            chosen.told.note(SAME_ID, where)
        found = None if key is None else data.by_key(key)
        if found is None:
            is_left_out = key is not None and data.has_key(key)
            shown = f"the image with the id {entry.get('image_id')!r}"
            chosen.told.refuse(where, f"{shown} was left out" if is_left_out else f"there is no {shown[4:]}")
            continue
        image_id, size_hw = found
        bbox = dataset.finite(entry.get("bbox"), 4)
        label = names.get(_key(entry.get("category_id")) or "")
        problem = None
        if bbox is None:
            problem = "bbox is not a list of four numbers: x, y, width, height"
        elif label is None:
            problem = f"there is no category with the id {entry.get('category_id')!r}"
        elif size_hw is None:
            problem = "its image has neither width and height nor a file that was found; name the folder with --images"
        if problem or bbox is None or label is None or size_hw is None:
            chosen.told.refuse(where, problem or "")
            data.lost_box(image_id)
            continue
        (x, y, width, height), (image_height, image_width) = bbox, size_hw
        corners = (x / image_width, y / image_height, (x + width) / image_width, (y + height) / image_height)
        marks = frozenset({dataset.CROWD} if entry.get("iscrowd") else ())
        data.add_box(image_id, dataset.Box(label, corners, marks), where)
        _tell_dropped(entry, where, chosen)


def _tell_dropped(entry: dict[str, Any], where: str, chosen: choices.Choices) -> None:
    for field in sorted(entry.keys() - _ANNOTATION_FIELDS):
        if entry[field] not in (None, [], {}):
            chosen.told.note(f"COCO annotation field '{field}', which is dropped", where)


def _document(
    data: dataset.Dataset, split: states.MlUse | None, ids: dict[str, int], common: str, chosen: choices.Choices
) -> Iterator[str]:
    """The text of one file, an entry a line."""
    categories = [{"id": number, "name": name, "supercategory": ""} for name, number in ids.items()]
    yield '{"info": {"description": "Converted by Boxwright"},\n"licenses": [],\n"categories": ['
    yield from _listed(categories)
    yield '],\n"images": ['
    yield from _listed(_image(picture, common) for picture in data.pictures(split))
    yield '],\n"annotations": ['
    yield from _listed(_annotations(data, split, ids, chosen))
    yield "]}\n"


def _listed(entries: Any) -> Iterator[str]:
    for index, entry in enumerate(entries):
        yield (",\n" if index else "\n") + json.dumps(entry, ensure_ascii=False)


def _image(picture: dataset.Picture, common: str) -> dict[str, Any]:
    height, width = picture.size_hw or (0, 0)
    name = choices.image_name(picture.path, common)
    return {"id": picture.image_id, "file_name": name, "width": width, "height": height}


def _annotations(
    data: dataset.Dataset, split: states.MlUse | None, ids: dict[str, int], chosen: choices.Choices
) -> Iterator[dict[str, Any]]:
    number = 0
    for picture in data.pictures(split):
        height_px, width_px = picture.size_hw or (0, 0)
        for box in picture.boxes:
            number += 1
            left, top, right, bottom = box.corners_norm
            sides = (left * width_px, top * height_px, (right - left) * width_px, (bottom - top) * height_px)
            bbox = [round(side, PLACES_PX) for side in sides]
            for mark in sorted(box.marks - {dataset.CROWD}):
                chosen.told.note(f"mark '{mark}' of a box, which COCO cannot carry", picture.path)
            yield {
                "id": number,
                "image_id": picture.image_id,
                "category_id": ids[box.label],
                "bbox": bbox,
                "area": round(bbox[2] * bbox[3], PLACES_PX),
                "iscrowd": int(dataset.CROWD in box.marks),
            }


def _key(value: Any) -> str | None:
    """An id as text, so that 1, 1.0 and "1" are one; None if it is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) and value != "" else None


def _rank(value: Any) -> tuple[int, float, str]:
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, str(value))
