"""LabelMe: a JSON file an image beside it; shapes are lists of points in pixels from 0.

Fields: https://github.com/wkentaro/labelme (label_file.py). Labels of a whole image are the flags that are true. A shape's
`score` is that of tools which predict into LabelMe's files; LabelMe itself keeps it.
"""

from __future__ import annotations

import json
import posixpath
from typing import Any

from boxwright.tool_formats.pictures import CROWD, DIFFICULT, TRUNCATED, Box, Picture, in_pixels

VERSION = "5.5.0"  # whose fields are written
MARKS = {"is_crowd": CROWD, "difficult": DIFFICULT, "truncated": TRUNCATED}


def document(picture: Picture, name: str) -> str:
    """The annotation of an image.

    Args:
        picture: with its size.
        name: the image's path; its last part is written.
    """
    height, width = picture.size_hw or (0, 0)
    found = {
        "version": VERSION,
        "flags": dict.fromkeys(picture.labels, True),
        "shapes": [_shape(box, picture.size_hw) for box in picture.boxes],
        "imagePath": posixpath.basename(name),
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def _shape(box: Box, size_hw: tuple[int, int] | None) -> dict[str, Any]:
    left, top, right, bottom = in_pixels(box.corners_norm, size_hw)
    return {
        "label": box.label,
        "points": [[left, top], [right, bottom]],
        "group_id": None,
        "description": "",
        "shape_type": "rectangle",
        "flags": {name: True for name, mark in MARKS.items() if mark in box.marks},
        "mask": None,
        **({} if box.score is None else {"score": box.score}),
    }
