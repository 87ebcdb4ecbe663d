"""Folders of labelled images in the forms of COCO, Pascal VOC and YOLO, written by hand, and the CSV that comes of them."""

from __future__ import annotations

import json
import pathlib
import unicodedata
from collections.abc import Mapping
from typing import Any

from PIL import Image

BOX = "0 0.5 0.5 0.4 0.4\n"  # as corners: 0.3, 0.3, 0.7, 0.7
NFC, NFD = (unicodedata.normalize(form, "vue_é") for form in ("NFC", "NFD"))
IMAGE = object()  # stands for an image file of 64 x 48 pixels


def xml(filename: str, *objects: str, size: bool = True) -> str:
    sides = "<size><width>64</width><height>48</height></size>" if size else ""
    named = f"<filename>{filename}</filename>" if filename else ""
    return f"<annotation>{named}{sides}{''.join(objects)}</annotation>"


def bounds(*sides: float) -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True)
    return f"<bndbox>{''.join(f'<{tag}>{side}</{tag}>' for tag, side in tags)}</bndbox>"


def object_element(*sides: float, name: str = "cat") -> str:
    return f"<object><name>{name}</name>{bounds(*sides)}</object>"


CAT = object_element(1, 1, 32, 24)  # as corners: 0, 0, 0.5, 0.5

Item = dict[str, Any]


def coco(
    images: list[dict[str, Any]], annotations: list[dict[str, Any]], categories: list[dict[str, Any]] | None = None
) -> str:
    sizes = {"width": 64, "height": 48}
    return json.dumps(
        {
            "images": [{**sizes, **image} for image in images],
            "annotations": [{"category_id": 1, "bbox": [0, 0, 32, 24], **entry} for entry in annotations],
            "categories": categories or [{"id": 1, "name": "cat"}],
        }
    )


def make(folder: pathlib.Path, files: Mapping[str, object]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is IMAGE:
            Image.new("L", (64, 48)).save(path, "png")
        else:
            path.write_bytes(content if isinstance(content, bytes) else str(content).encode())


def boxes(file: pathlib.Path) -> list[str]:
    """``path label left top right bottom`` of every row; the path alone of an image without a box."""
    rows = [line.split(",") for line in file.read_text(encoding="utf-8").splitlines()]
    return sorted(" ".join(cell for cell in row[1:] if cell).removeprefix("gs://b/") for row in rows)


HALF, MIDDLE = "0 0 0.5 0.5", "0.3 0.3 0.7 0.7"
