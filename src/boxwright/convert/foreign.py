"""Other tools' annotation files: known by their content, so that a refusal can name them and say which export is read."""

from __future__ import annotations

import csv
import json
import pathlib
import re
from collections.abc import Callable, Collection
from typing import Any

from boxwright.convert import folders

_LOOKED_AT_CHARS = 200_000  # of a file's beginning
_KEYS_AT_FRONT = re.compile(r'"([^"\\]{1,40})"\s*:')
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
        if look is not None and (found := look(_beginning(file))):
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


def _beginning(file: pathlib.Path) -> str:
    try:
        with file.open("rb") as handle:
            return handle.read(_LOOKED_AT_CHARS).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def _of_json(text: str) -> str | None:
    if re.match(r"\s*\{", text) and re.search(r'"images"\s*:\s*\[', text):
        return None  # COCO
    keys = set(_KEYS_AT_FRONT.findall(text))
    is_list = text.lstrip().startswith("[")
    first = _first_entry(text) if is_list else {}
    if {"shapes", "imagePath"} <= keys:
        return "LabelMe (a JSON file an image): convert it to COCO, for example with labelme's own labelme2coco"
    if is_list and "annotations" in keys and ({"data", "file_upload"} & keys or "from_name" in keys):
        return f"Label Studio's JSON: {_COCO} or {_YOLO} there"
    if is_list and isinstance(first.get("image"), str) and "annotations" in first and "coordinates" in keys:
        return f"CreateML's JSON: {_COCO} there"
    if is_list and "image" in first and ("bbox" in keys or "label" in keys):
        return f"Label Studio's short JSON: {_COCO} or {_YOLO} there"
    if "_via_img_metadata" in keys or ("regions" in keys and "shape_attributes" in keys):
        return f"VIA's (VGG Image Annotator) JSON: {_COCO} there"
    if "data_row" in keys:
        return "Labelbox's export: convert it to COCO there"
    if {"imageGcsUri", "boundingBoxAnnotations"} & keys:
        return "Vertex AI's JSONL: the import CSV of AutoML Vision is read"
    if "items" in keys and {"dm_format_version", "categories"} & keys:
        return f"Datumaro's JSON: {_COCO} or {_YOLO} there"
    if ({"frames", "videos"} & keys and "box2d" in keys) or ("box2d" in keys and "category" in keys):
        return "BDD100K's (Scalabel) JSON: convert it to COCO with its own tools"
    return None


def _first_entry(text: str) -> dict[str, Any]:
    try:
        start = text.index("{")
        found, _ = json.JSONDecoder().raw_decode(text, start)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


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
    if root[1] == "annotations" and re.search(r"<(image|track|meta|version)\b", text):
        return "CVAT's XML ('CVAT for images' or 'for video'): export as 'COCO', 'Pascal VOC' or 'YOLO' there"
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
    ".csv": _of_csv,
    ".xml": _of_xml,
    ".tfrecord": _of_record,
    ".record": _of_record,
}
