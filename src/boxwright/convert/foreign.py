"""Other tools' annotation files: known by their content, so that a refusal can name them and say which export is read."""

from __future__ import annotations

import csv
import pathlib
import re
from collections.abc import Callable, Collection

from boxwright.convert import folders, json_kinds

_YOLO = "export as 'YOLO'"
_COCO = "export as 'COCO'"


def name_of(source: pathlib.Path, suffixes: Collection[str] | None = None) -> tuple[str, pathlib.Path] | None:
    """(the format and what to do, the file) of a file, or of a folder's first files; None if it is none known.

    Args:
        source: the file or folder.
        suffixes: look only at files that end so.
    """
    candidates = [source] if source.is_file() else _first_files(source)
    for file in candidates:
        if suffixes is not None and file.suffix.lower() not in suffixes:
            continue
        look = _LOOKS.get(file.suffix.lower())
        if look is not None and (found := look(json_kinds.beginning(file))):
            return found, file
    return None


def _first_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The first file of every suffix that is known, in a folder and the folders in it."""
    found: dict[str, pathlib.Path] = {}
    for place in (folder, *(entry for entry in sorted(folder.iterdir()) if entry.is_dir())):
        for entry in sorted(place.iterdir()):
            suffix = entry.suffix.lower()
            if suffix in _LOOKS and entry.is_file() and not folders.is_passed_over(entry.name):
                found.setdefault(suffix, entry)
    return list(found.values())


def _of_json(text: str) -> str | None:
    if json_kinds.format_name(text) in ("labelme", "labelstudio", "datumaro"):
        return None
    if re.match(r"\s*\{", text) and re.search(r'"images"\s*:\s*\[', text):
        return None  # COCO
    keys = json_kinds.keys(text)
    is_list = text.lstrip().startswith("[")
    first = json_kinds.first_entry(text) if is_list else {}
    if is_list and isinstance(first.get("image"), str) and "annotations" in first and "coordinates" in keys:
        return f"CreateML's JSON: {_COCO} there"
    if is_list and "image" in first and ("bbox" in keys or "label" in keys):
        return "Label Studio's short JSON (JSON-MIN): export as 'JSON' there"
    if is_list and {"image_id", "bbox"} <= first.keys():
        return "a list of COCO results, which names no images: put it into a COCO file, as its 'annotations'"
    if "_via_img_metadata" in keys or ("regions" in keys and "shape_attributes" in keys):
        return f"VIA's (VGG Image Annotator) JSON: {_COCO} there"
    if "data_row" in keys:
        return "Labelbox's export: convert it to COCO there"
    if ({"frames", "videos"} & keys and "box2d" in keys) or ("box2d" in keys and "category" in keys):
        return "BDD100K's (Scalabel) JSON: convert it to COCO with its own tools"
    return None


def _of_csv(text: str) -> str | None:
    lines = [line for line in text.splitlines() if line.strip()][:2]
    if not lines:
        return None
    try:
        cells = [cell.strip().strip('"').lower() for cell in next(csv.reader([lines[0]]))]
    except csv.Error:
        return None
    if {"filename", "class", "xmin", "ymin", "xmax", "ymax"} <= set(cells):
        return "TensorFlow's CSV (filename, width, height, class, xmin, ymin, xmax, ymax): export as 'COCO' or 'Pascal VOC'"
    if {"imageid", "labelname", "xmin", "xmax"} <= set(cells):
        return "Open Images' CSV: convert it to COCO first"
    if {"label_name", "bbox_x", "bbox_y", "bbox_width", "bbox_height"} <= set(cells):
        return "make-sense's CSV: export as 'YOLO' or 'VOC XML' there"
    if {"filename", "region_shape_attributes"} <= set(cells):
        return f"VIA's (VGG Image Annotator) CSV: {_COCO} there"
    if len(cells) == 8 and _are_numbers(cells[1:5]) and _are_numbers(cells[6:8]) and folders.is_image_name(cells[5]):
        return "make-sense's CSV (label, x, y, width, height, image, size): export as 'YOLO' or 'VOC XML' there"
    if len(cells) == 6 and _are_numbers(cells[1:5]) and folders.is_image_name(cells[0]):
        return "RetinaNet's CSV (image, x1, y1, x2, y2, class), in pixels: convert it to COCO first"
    return None


def _are_numbers(cells: list[str]) -> bool:
    return all(re.fullmatch(r"-?\d+(\.\d+)?", cell) for cell in cells)


def _of_xml(text: str) -> str | None:
    root = re.search(r"<([A-Za-z_][\w.-]*)", re.sub(r"<\?.*?\?>|<!--.*?-->", "", text, flags=re.DOTALL))
    if root is None:
        return None
    if root[1] == "annotation" and "<polygon" in text and "<bndbox" not in text and "<pt>" in text:
        return "LabelMe's XML: it holds outlines, not boxes; convert it to COCO first"
    if root[1] == "dataset" and "<box " in text:
        return "dlib's (imglab) XML: convert it to Pascal VOC first"
    return None


def _of_record(text: str) -> str | None:
    return "TensorFlow's TFRecord: export as 'COCO' or 'Pascal VOC'"


_LOOKS: dict[str, Callable[[str], str | None]] = {
    ".json": _of_json,
    ".jsonl": _of_json,
    ".ndjson": _of_json,
    ".csv": _of_csv,
    ".xml": _of_xml,
    ".tfrecord": _of_record,
    ".record": _of_record,
}
