"""CVAT for images 1.1: one XML file with an element an image; boxes are edges in pixels from 0.

Elements and attributes: https://docs.cvat.ai/docs/manual/advanced/xml_format/. Marks and scores are attributes of a box, as
CVAT's own importers name them. The file is read as a stream. Tracks, of videos, are not read.
"""

from __future__ import annotations

import pathlib

from boxwright import errors
from boxwright.convert import (
    dataset,
    entries,
    folders,
    json_kinds,
    options,
    outlines,
    output,
    pictures,
    xml_elements,
)
from boxwright.tool_formats import cvat as cvat_format

TRACKS = "CVAT track, of a video, which is not read: left out"
ATTRIBUTE = "CVAT attribute '{}', which is dropped"
OCCLUDED = "mark 'occluded' of a CVAT box, which is dropped"
_YES = ("1", "true", "yes")


def recognise(source: pathlib.Path) -> bool:
    """Whether this is such a file, or a folder with `annotations.xml`."""
    file = _file(source)
    return file is not None and xml_elements.root_name(json_kinds.beginning(file)) == "annotations"


def read(source: pathlib.Path, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    """Reads every image of the file.

    Raises:
        ApiError: INVALID_ARGUMENT naming the file and the line or the image.
    """
    file = _file(source)
    if file is None:
        raise errors.bad_request(f"{source}: there is no annotations.xml here.")
    data.labels_are_ordered = True
    tracks = 0
    try:
        for element in xml_elements.elements(file, {"image", "track", "label"}):
            if element.name == "image":
                _read_image(element, f"{file}, line {element.line}", data, chosen)
            elif element.name == "track":
                tracks += 1
                chosen.told.note(TRACKS, f"{file}, line {element.line}")
            elif not entries.label_problem(name := element.text_of("name").strip()):
                data.add_label(name)
    except xml_elements.XmlError as problem:
        raise errors.bad_request(f"{file}, line {problem.line}: {problem}.") from problem
    if tracks and not data.count()[0]:
        raise errors.bad_request(f"{file}: it holds tracks of a video; export it as 'CVAT for images' there.")


def write(data: dataset.Dataset, target: pathlib.Path, chosen: options.ConvertOptions) -> None:
    """Writes one file.

    Raises:
        ApiError: FAILED_PRECONDITION if the file cannot be written.
    """
    common = data.common_folder()
    with output.new_file(target) as handle:
        handle.write(cvat_format.head(data.labels()))
        for number, picture in enumerate(data.pictures()):
            handle.writelines(cvat_format.image(picture, number, options.image_name(picture.path, common)))
        handle.write(cvat_format.TAIL)


def _file(source: pathlib.Path) -> pathlib.Path | None:
    if source.is_dir():
        found = source / "annotations.xml"
        return found if folders.is_file(found) else None
    return source if source.suffix.lower() == ".xml" else None


def _read_image(
    element: xml_elements.Element, where: str, data: dataset.Dataset, chosen: options.ConvertOptions
) -> None:
    name, subset = element.attributes.get("name", ""), element.attributes.get("subset", "")
    if not name:
        chosen.told.refuse(where, "<image> has no name")
        return
    sides = _numbers(element, ("height", "width")) or (None, None)
    split = options.SPLITS.get(subset.lower(), chosen.split)
    added = pictures.add_sized(data, chosen, name, split, entries.pixel_size(*sides), where)
    if added is None:
        return
    for shape in element.children:
        place = f"{where}, <{shape.name}> in line {shape.line}"
        if shape.name == "tag":
            score = _attributes(shape, place, chosen)[1]
            data.add_image_label(added[0], shape.attributes.get("label", "").strip(), place, score)
        else:
            _read_shape(shape, *added, place, data, chosen)


def _read_shape(
    shape: xml_elements.Element,
    image_id: int,
    size_hw: tuple[int, int] | None,
    where: str,
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
) -> None:
    if shape.name not in _CORNERS:
        chosen.told.note(outlines.NO_BOX.format(f"<{shape.name}>"), where)
        data.lost_box(image_id)
        return
    corners = _CORNERS[shape.name](shape)
    if corners is None or size_hw is None:
        chosen.told.refuse(where, "its numbers are missing" if corners is None else pictures.NO_SIZE)
        data.lost_box(image_id)
        return
    if shape.name != "box" or float(shape.attributes.get("rotation") or 0) % 360:
        chosen.told.note(outlines.OUTLINE, where)
    if shape.attributes.get("occluded") in _YES:
        chosen.told.note(OCCLUDED, where)
    marks, score = _attributes(shape, where, chosen)
    label, corners_norm = shape.attributes.get("label", "").strip(), outlines.in_fractions(corners, size_hw)
    data.add_box(image_id, dataset.Box(label, corners_norm, marks, score), where)


def _attributes(
    shape: xml_elements.Element, where: str, chosen: options.ConvertOptions
) -> tuple[frozenset[str], float | None]:
    """(marks, score) of a shape."""
    marks, score = set(), None
    for child in shape.children:
        name, text = child.attributes.get("name", ""), child.text.strip()
        if name in cvat_format.MARKS:
            marks |= {cvat_format.MARKS[name]} if text.lower() in _YES else set()
        elif name == cvat_format.SCORE:
            score = entries.told_score(_number(text), where, chosen.told)
        elif text:
            chosen.told.note(ATTRIBUTE.format(name), where)
    return frozenset(marks), score


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _numbers(element: xml_elements.Element, names: tuple[str, ...]) -> tuple[float, ...] | None:
    return entries.finite([_number(element.attributes.get(name, "")) for name in names], len(names))


def _box(shape: xml_elements.Element) -> dataset.Corners | None:
    sides = _numbers(shape, ("xtl", "ytl", "xbr", "ybr"))
    turned = entries.finite([_number(shape.attributes.get("rotation") or "0")], 1)
    if sides is None or turned is None:
        return None
    corners = (sides[0], sides[1], sides[2], sides[3])
    if not turned[0] % 360:
        return corners
    centre = ((corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2)
    return outlines.around_turned(outlines.corners_of(corners), turned[0], centre)


def _polygon(shape: xml_elements.Element) -> dataset.Corners | None:
    cells = [cell.split(",") for cell in shape.attributes.get("points", "").split(";")]
    points = [entries.finite([_number(value) for value in cell], 2) for cell in cells]
    known = [(point[0], point[1]) for point in points if point is not None]
    return outlines.around(known) if known and len(known) == len(points) else None


def _ellipse(shape: xml_elements.Element) -> dataset.Corners | None:
    sides = _numbers(shape, ("cx", "cy", "rx", "ry"))
    turned = entries.finite([_number(shape.attributes.get("rotation") or "0")], 1)
    if sides is None or turned is None:
        return None
    return outlines.around_ellipse((sides[0], sides[1]), (sides[2], sides[3]), turned[0])


def _mask(shape: xml_elements.Element) -> dataset.Corners | None:
    sides = _numbers(shape, ("left", "top", "width", "height"))
    return None if sides is None else (sides[0], sides[1], sides[0] + sides[2], sides[1] + sides[3])


_CORNERS = {"box": _box, "polygon": _polygon, "ellipse": _ellipse, "mask": _mask}
