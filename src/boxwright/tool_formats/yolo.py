"""YOLO: a text file an image, `class cx cy width height` as fractions of the image, and data.yaml.

The layout is that of https://docs.ultralytics.com/datasets/detect/; a sixth value is a score, as its predictions have it.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from boxwright.tool_formats.pictures import Picture, number

PLACES = 10  # one more than the import CSV's: a centre may lie between two of its steps


def text(picture: Picture, numbers: Mapping[str, int]) -> str:
    """The label file of an image: a line a box.

    Args:
        picture: with its boxes.
        numbers: of the labels, from 0.
    """
    lines = []
    for box in picture.boxes:
        left, top, right, bottom = box.corners_norm
        sides = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        score = "" if box.score is None else f" {number(box.score, PLACES)}"
        lines.append(f"{numbers[box.label]} {' '.join(number(side, PLACES) for side in sides)}{score}\n")
    return "".join(lines)


def label_files(name: str) -> list[str]:
    """Where the label file of ``images/NAME`` lies: where trainers look for it, and where Darknet does.

    Trainers put `labels` in the place of the last folder `images` of the path, Darknet in that of the first.
    """
    parts = ("images", *pathlib.PurePosixPath(name).with_suffix(".txt").parts)
    last = max(index for index, part in enumerate(parts[:-1]) if part == "images")
    return ["/".join((*parts[:index], "labels", *parts[index + 1 :])) for index in dict.fromkeys((last, 0))]


def description(labels: Sequence[str], sets: Mapping[str, str]) -> str:
    """data.yaml: the labels by number, and the list or folder of each set."""
    document: dict[str, Any] = {**sets, "names": dict(enumerate(labels))}
    dumped: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return dumped
