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

from boxwright import errors, states
from boxwright.convert import (
    account,
    dataset,
    entries,
    folders,
    image_files,
    json_documents,
    json_kinds,
    options,
    output,
    pictures,
)

PLACES_PX = 9
NO_ID = "it has no id; a number or a text is expected"
MAX_ID_BITS = 256
_SMALL = 2**63
NOT_READ = "JSON file beside those that were read: left out (name it as SOURCE)"
SAME_NAME = "COCO category with the name of another: both are one label"
SAME_ID = "COCO annotation with the id of another: both are kept"
_IMAGE_FIELDS = {"id", "file_name", "width", "height"}
_ANNOTATION_FIELDS = {"id", "image_id", "category_id", "bbox", "iscrowd", "area", "score"}
_PATTERNS = ("annotations/instances_*.json", "annotations/*.json", "*/_annotations.coco.json", "*.json")
_SPLIT_IN_NAME = re.compile(r"(?<![a-z])(train|training|val|valid|validation|test|unassigned)(?![a-z])")


def recognise(source: pathlib.Path) -> bool:
    """Whether this is a JSON file, or a folder with COCO's."""
    files = _files(source)
    return bool(files) and (source.is_file() or any(map(_looks_like_coco, files)))


def read(source: pathlib.Path, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    """Reads one file, or all of a folder; the set is taken from the name of the file.

    Raises:
        ApiError: INVALID_ARGUMENT naming the file and the entry.
    """
    files = _files(source)
    if not files:
        raise errors.bad_request(f"{source}: there is no COCO JSON here.")
    data.labels_are_ordered = True
    for other in sorted({file for pattern in _PATTERNS for file in source.glob(pattern)} - set(files)):
        if not any(map(folders.is_passed_over, other.parts[-2:])):
            chosen.told.note(NOT_READ, str(other))
    for file in files:
        opened = _opened(file, chosen, is_alone=len(files) == 1)
        if opened is not None:
            data.forget_keys()
            names = _read_categories(opened, data, chosen)
            _read_images(opened, source, data, chosen)
            _read_annotations(opened, names, data, chosen)


def _set_folders(file: pathlib.Path, source: pathlib.Path) -> list[pathlib.Path]:
    """Where the images of one set lie, as in COCO's own layout: train2017/ beside annotations/instances_train2017.json."""
    name = file.stem.removeprefix("instances_")
    root = source if source.is_dir() else file.parent
    found = [folder / name for folder in (root, root / "images", root.parent, root.parent / "images")]
    return [folder for folder in found if folders.is_folder(folder)]


def _locate(
    name: str, set_folders: list[pathlib.Path], source: pathlib.Path, chosen: options.ConvertOptions
) -> tuple[str, image_files.Located | None]:
    """(path, file) of an image. In a folder with several sets, the set's folder belongs to the path: names may repeat."""
    if entries.is_uri(name) or entries.path_problem(entries.tidy(name)):
        return name, None
    located = chosen.finder.locate(entries.tidy(name), first=set_folders)
    if located is None or not source.is_dir():
        return name, located
    for folder in set_folders:
        if located.file == folder / located.name and folder.is_relative_to(source):
            path = located.file.relative_to(source).as_posix()
            return path, image_files.Located(located.file, path)
    return name, located


def write(data: dataset.Dataset, target: pathlib.Path, chosen: options.ConvertOptions) -> None:
    """Writes one file, if the target ends in .json, or a folder with one file a set.

    Raises:
        ApiError: FAILED_PRECONDITION if it cannot be written.
    """
    ids = {label: number for number, label in enumerate(data.labels(), 1)}
    common = data.common_folder()
    if target.suffix.lower() == ".json":
        with output.new_file(target) as handle:
            handle.writelines(_document(data, None, ids, common))
        return
    with output.new_folder(target) as folder:
        (folder / "annotations").mkdir()
        for split in data.splits():
            path = folder / "annotations" / f"instances_{options.SPLIT_NAMES[split]}.json"
            with path.open("w", encoding="utf-8", newline="\n") as handle:
                handle.writelines(_document(data, split, ids, common))


def _files(source: pathlib.Path) -> list[pathlib.Path]:
    if source.is_file():
        return [source] if source.suffix.lower() == ".json" else []
    for pattern in _PATTERNS:
        found = [file for file in sorted(source.glob(pattern)) if not any(map(folders.is_passed_over, file.parts[-2:]))]
        if found:
            return found
    return []


def _looks_like_coco(file: pathlib.Path) -> bool:
    """Whether a JSON file begins as a detection file does; other tools put a JSON of theirs beside other formats."""
    return json_kinds.format_name(json_kinds.beginning(file)) == "coco"


def _split(file: pathlib.Path, chosen: options.ConvertOptions) -> states.MlUse:
    name = file.parent.name if file.name == "_annotations.coco.json" else file.stem
    found = _SPLIT_IN_NAME.search(name.lower())
    return options.SPLITS[found[1]] if found else chosen.split


class _Detections:
    """One file: its lists, and whether its annotations name categories of whole images.

    They do if none has a box, nor what a box could be drawn around.
    """

    def __init__(self, file: pathlib.Path) -> None:
        self.file = file
        self._shapes = self._labels = 0
        self._document = json_documents.Document(file, self._look)

    @property
    def is_of_labels(self) -> bool:
        return bool(self._labels) and not self._shapes

    def has(self, name: str) -> bool:
        return self._document.has(name)

    def items(self, name: str, told: account.Account) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields (place, entry) of one of the document's lists."""
        prefix = f"{self.file}, {name}"
        for index, item in self._document.entries(name):
            where = f"{prefix}[{index}]"
            if isinstance(item, dict):
                yield where, item
            else:
                told.refuse(where, "an object is expected")

    def _look(self, name: str, entry: Any) -> None:
        if not self._shapes and name == "annotations" and isinstance(entry, dict):
            self._labels += "category_id" in entry
            self._shapes += "bbox" in entry or "segmentation" in entry or "keypoints" in entry


def _opened(file: pathlib.Path, chosen: options.ConvertOptions, *, is_alone: bool) -> _Detections | None:
    """A file of those that are read; None if it was left out.

    Raises:
        ApiError: INVALID_ARGUMENT if it is no JSON; another of several may be left out.
    """
    try:
        return _Detections(file)
    except json_documents.JsonError as problem:
        if not is_alone:
            chosen.told.refuse(f"{file}, line {problem.line}", str(problem))
            return None
        raise errors.bad_request(f"{file}, line {problem.line}: {problem}.") from problem


def _read_categories(opened: _Detections, data: dataset.Dataset, chosen: options.ConvertOptions) -> dict[str, str]:
    """Names by id, as text; the labels are numbered in the order of the ids."""
    names: dict[str, str] = {}
    ambiguous: set[str] = set()
    listed = sorted(opened.items("categories", chosen.told), key=lambda entry: (_rank(entry[1].get("id")), entry[0]))
    for where, entry in listed:
        key, given = _key(entry.get("id")), entry.get("name")
        name = str(given).strip() if isinstance(given, str | int) and not isinstance(given, bool) else ""
        problem = entries.label_problem(name) and f"a name is expected, not {given!r}"
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
        chosen.told.note(
            "COCO file whose category ids are not 1, 2, 3 …: names are kept, ids are not", str(opened.file)
        )
    return names


def _read_images(
    opened: _Detections, source: pathlib.Path, data: dataset.Dataset, chosen: options.ConvertOptions
) -> None:
    file = opened.file
    split, count, set_folders = _split(file, chosen), 0, _set_folders(file, source)
    inside = source.is_dir() and file.name == "_annotations.coco.json"
    for where, entry in opened.items("images", chosen.told):
        count += 1
        name = entry.get("file_name")
        if not isinstance(name, str) or not name:
            chosen.told.refuse(where, "it has no file_name")
            continue
        path = f"{file.parent.name}/{name}" if inside and not entries.is_uri(name) else name
        size_hw = entries.pixel_size(entry.get("height"), entry.get("width"))
        key = _key(entry.get("id"))
        if key is None:
            chosen.told.refuse(where, NO_ID)
            continue
        if data.has_key(key):
            if (known := data.by_key(key)) is not None:
                data.remove_image(known[0])  # whose boxes these would be, nobody can tell
            chosen.told.refuse(where, f"the image id {key} is used twice")
            continue
        path, located = _locate(path, set_folders, source, chosen)
        image_id = pictures.add_located(data, chosen, path, split, size_hw, where, key=key, located=located)
        if image_id is not None and size_hw is None:
            pictures.find_size(data, image_id, chosen)
        for field in () if entry.keys() <= _IMAGE_FIELDS else entry:
            if field not in _IMAGE_FIELDS:
                chosen.told.note(f"COCO image field '{field}', which is dropped", where)
    if not count:
        raise errors.bad_request(f"{file}: it has no list 'images'; a COCO detection file is expected.")


def _read_annotations(
    opened: _Detections, names: dict[str, str], data: dataset.Dataset, chosen: options.ConvertOptions
) -> None:
    read = boxes = tiny = 0  # tiny: boxes that may be in fractions
    file, of_labels = opened.file, opened.is_of_labels
    kind, crowd, no_marks = f"annotation {file}", frozenset({dataset.CROWD}), frozenset[str]()
    for where, entry in opened.items("annotations", chosen.told):
        read += 1
        key, own_id = _key(entry.get("image_id")), _key(entry.get("id"))
        if own_id is not None:
            data.note_repeated(kind, own_id, SAME_ID, where)
        found = None if key is None else data.by_key(key)
        if found is None:
            is_left_out = key is not None and data.has_key(key)
            shown = f"the image with the id {entry.get('image_id')!r}"
            chosen.told.refuse(where, f"{shown} was left out" if is_left_out else f"there is no {shown[4:]}")
            continue
        image_id, size_hw = found
        bbox = entries.finite(entry.get("bbox"), 4)
        label = names.get(_key(entry.get("category_id")) or "")
        problem = None
        if of_labels and label is not None:
            data.add_image_label(image_id, label, where, entries.told_score(entry.get("score"), where, chosen.told))
            continue
        if bbox is None and not of_labels:
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
        boxes += 1
        if max(x, x + width, y, y + height) <= 1:
            tiny += 1
            chosen.told.note(dataset.WITHIN_A_PIXEL, where)
        corners = (x / image_width, y / image_height, (x + width) / image_width, (y + height) / image_height)
        marks = crowd if entry.get("iscrowd") else no_marks
        score = entries.told_score(entry["score"], where, chosen.told) if "score" in entry else None
        data.add_box(image_id, dataset.Box(label, corners, marks, score), where)
        if not entry.keys() <= _ANNOTATION_FIELDS:
            _tell_dropped(entry, where, chosen)
    if boxes and boxes == tiny:
        raise errors.bad_request(f"{file}: all its boxes lie within the first pixel; bbox is in pixels, not fractions.")
    if not read and not opened.has("annotations"):
        raise errors.bad_request(f"{file}: it has no list 'annotations'; a COCO detection file is expected.")


def _tell_dropped(entry: dict[str, Any], where: str, chosen: options.ConvertOptions) -> None:
    for field in entry:
        if field not in _ANNOTATION_FIELDS and entry[field] not in (None, [], {}):
            chosen.told.note(f"COCO annotation field '{field}', which is dropped", where)


def _document(data: dataset.Dataset, split: states.MlUse | None, ids: dict[str, int], common: str) -> Iterator[str]:
    """The text of one file, an entry a line."""
    categories = [{"id": number, "name": name, "supercategory": ""} for name, number in ids.items()]
    yield '{"info": {"description": "Converted by Boxwright"},\n"licenses": [],\n"categories": ['
    yield from _listed(categories)
    yield '],\n"images": ['
    yield from _listed(_image(picture, common) for picture in data.pictures(split))
    yield '],\n"annotations": ['
    yield from _listed(_annotations(data, split, ids))
    yield "]}\n"


def _listed(entries: Any) -> Iterator[str]:
    for index, entry in enumerate(entries):
        yield (",\n" if index else "\n") + json.dumps(entry, ensure_ascii=False)


def _image(picture: dataset.Picture, common: str) -> dict[str, Any]:
    height, width = picture.size_hw or (0, 0)
    name = options.image_name(picture.path, common)
    return {"id": picture.image_id, "file_name": name, "width": width, "height": height}


def _annotations(data: dataset.Dataset, split: states.MlUse | None, ids: dict[str, int]) -> Iterator[dict[str, Any]]:
    number = 0
    for picture in data.pictures(split):
        height_px, width_px = picture.size_hw or (0, 0)
        for label, score in zip(picture.labels, picture.label_scores, strict=True):
            number += 1
            yield {"id": number, "image_id": picture.image_id, "category_id": ids[label], **_scored(score)}
        for box in picture.boxes:
            number += 1
            left, top, right, bottom = box.corners_norm
            sides = (left * width_px, top * height_px, (right - left) * width_px, (bottom - top) * height_px)
            bbox = [round(side, PLACES_PX) for side in sides]
            yield {
                "id": number,
                "image_id": picture.image_id,
                "category_id": ids[box.label],
                "bbox": bbox,
                "area": round(bbox[2] * bbox[3], PLACES_PX),
                "iscrowd": int(dataset.CROWD in box.marks),
                **_scored(box.score),
            }


def _scored(score: float | None) -> dict[str, float]:
    return {} if score is None else {"score": score}


def _key(value: Any) -> str | None:
    """An id as text, so that 1, 1.0 and "1" are one; None if it is none."""
    if type(value) is int and -_SMALL < value < _SMALL:
        return str(value)
    if isinstance(value, int) and value.bit_length() > MAX_ID_BITS:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) and value != "" else None


def _rank(value: Any) -> tuple[int, float, str]:
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, str(value))
