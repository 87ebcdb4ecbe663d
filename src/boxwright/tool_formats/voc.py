"""Pascal VOC: an XML file an image.

Pixels count from 1, and xmax, ymax are the last ones inside (VOC2012 development kit).
"""

from __future__ import annotations

import pathlib
from xml.etree import ElementTree as tree  # makes elements; nothing is read

from boxwright.tool_formats.pictures import DIFFICULT, TRUNCATED, Box, Picture, number

PLACES_PX = 9


def document(picture: Picture, name: str, *, first_pixel: int = 1, exact: bool = False) -> tuple[str, bool]:
    """The annotation of an image; scores have no place in it.

    Args:
        picture: with its size.
        name: the image's path; its last part is written.
        first_pixel: the number of the first column and row, 1 or 0.
        exact: write fractions of pixels, instead of whole ones.

    Returns:
        (text, whether a box was moved to whole pixels).
    """
    height, width = picture.size_hw or (0, 0)
    root = tree.Element("annotation")
    _add(root, "filename", pathlib.PurePosixPath(name).name)
    size = tree.SubElement(root, "size")
    for tag, value in (("width", width), ("height", height), ("depth", 3)):
        _add(size, tag, str(value))
    _add(root, "segmented", "0")
    moved = False
    for box in picture.boxes:
        element = tree.SubElement(root, "object")
        _add(element, "name", box.label)
        _add(element, "pose", "Unspecified")
        for mark in (TRUNCATED, DIFFICULT):
            _add(element, mark, str(int(mark in box.marks)))
        bounds = tree.SubElement(element, "bndbox")
        texts, was_moved = _bounds(box, (height, width), first_pixel, exact)
        moved = moved or was_moved
        for tag, text in zip(("xmin", "ymin", "xmax", "ymax"), texts, strict=True):
            _add(bounds, tag, text)
    tree.indent(root, "\t")
    return tree.tostring(root, encoding="unicode") + "\n", moved


def _bounds(box: Box, size_hw: tuple[int, int], first: int, exact: bool) -> tuple[list[str], bool]:
    """(xmin, ymin, xmax, ymax as text, whether they were moved): whole pixels, at least one, unless exact."""
    height, width = size_hw
    low, high, moved = [], [], False
    for side, a, b in ((width, 0, 2), (height, 1, 3)):
        start, end = box.corners_norm[a] * side, box.corners_norm[b] * side
        if not exact:
            whole_start = min(round(start), side - 1)
            whole_end = max(round(end), whole_start + 1)
            moved = moved or max(abs(whole_start - start), abs(whole_end - end)) > 0.001
            start, end = whole_start, whole_end
        low.append(number(start + first, PLACES_PX))
        high.append(number(end, PLACES_PX))
    return [*low, *high], moved


def _add(parent: tree.Element, tag: str, text: str) -> None:
    tree.SubElement(parent, tag).text = text
