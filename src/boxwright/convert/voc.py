"""Pascal VOC: one XML file an image under Annotations, lists of images under ImageSets/Main.

Pixels count from 1 and xmax, ymax are the last ones inside (VOC2012 development kit): a box over a whole image
of W columns goes from 1 to W. As edges that is [xmin - 1, xmax]. Files that count from 0 are common too; what they call
xmin and xmax are then taken for the edges themselves.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from xml.etree import ElementTree as tree  # makes and names elements; what is read goes through defusedxml

import defusedxml
import defusedxml.ElementTree as safe_tree

from boxwright import errors, states
from boxwright.convert import choices, dataset, output

PLACES_PX = 9
ROUNDED = "box moved to whole pixels (--voc-exact keeps fractions)"
ZERO_BASED = "box that begins at pixel 0: are these files counted from 0? (--voc-first-pixel 0)"
MAX_FILE_BYTES = 16 * 1024 * 1024  # a file describes one image
_OBJECT_FIELDS = {"name", "bndbox", "difficult", "truncated"}
_SETS = (states.MlUse.TRAIN, states.MlUse.VALIDATION, states.MlUse.TEST)


def recognise(source: pathlib.Path) -> bool:
    """Whether this is a folder with VOC's XML files."""
    return source.is_dir() and next(_files(source), None) is not None


def read(source: pathlib.Path, data: dataset.Dataset, chosen: choices.Choices) -> None:
    """Reads every XML file below Annotations, or below the folder itself if there is none.

    Raises:
        ApiError: INVALID_ARGUMENT naming the file, and the line or the object.
    """
    root = _annotations(source)
    sets = _read_sets(source)
    for file in sorted(_files(source)):
        stem = file.relative_to(root).with_suffix("").as_posix()
        _read_file(file, stem, sets.get(stem, chosen.split), data, chosen)


def write(data: dataset.Dataset, target: pathlib.Path, chosen: choices.Choices) -> None:
    """Writes Annotations and ImageSets/Main, and JPEGImages if images are to be copied.

    Raises:
        ApiError: FAILED_PRECONDITION if the folder cannot be written; INVALID_ARGUMENT if two images share a name.
    """
    common = data.common_folder()
    for label in data.unused_labels():
        chosen.told.note("label without a box, which VOC cannot carry", label)
    with output.new_folder(target) as folder:
        (folder / "Annotations").mkdir()
        lists = folder / "ImageSets" / "Main"
        lists.mkdir(parents=True)
        for split in data.splits():
            if split is states.MlUse.UNASSIGNED:
                continue
            with (lists / f"{choices.SPLIT_NAMES[split]}.txt").open("w", encoding="utf-8", newline="\n") as handle:
                for picture in data.pictures(split):
                    name = choices.image_name(picture.path, common)
                    handle.write(f"{pathlib.PurePosixPath(name).with_suffix('')}\n")
        for picture in data.pictures():
            name = choices.image_name(picture.path, common)
            output.write_beside(folder / "Annotations", name, ".xml", _document(picture, name, chosen))
            if chosen.copy_images:
                output.copy_image(chosen.finder.find(picture.path), folder / "JPEGImages" / name, picture.path)


def _annotations(source: pathlib.Path) -> pathlib.Path:
    return source / "Annotations" if (source / "Annotations").is_dir() else source


def _files(source: pathlib.Path) -> Iterator[pathlib.Path]:
    return _annotations(source).rglob("*.xml")


def _read_sets(source: pathlib.Path) -> dict[str, states.MlUse]:
    found: dict[str, states.MlUse] = {}
    for split in _SETS:
        file = source / "ImageSets" / "Main" / f"{choices.SPLIT_NAMES[split]}.txt"
        if file.is_file():
            for line in choices.read_text(file).splitlines():
                if line.strip():
                    found.setdefault(line.strip(), split)
    return found


def _parse(file: pathlib.Path) -> tree.Element:
    """The root of a file, which may name no entities and no document type."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise errors.bad_request(f"{file}: an annotation of more than {MAX_FILE_BYTES} bytes is none.")
        root: tree.Element = safe_tree.fromstring(file.read_bytes(), forbid_dtd=True)
    except defusedxml.DefusedXmlException as error:
        raise errors.bad_request(f"{file}: it has a document type or entities, which are refused.") from error
    except (tree.ParseError, ValueError, LookupError) as error:
        line = f", line {error.position[0]}" if isinstance(error, tree.ParseError) else ""
        raise errors.bad_request(f"{file}{line}: this is not XML ({error}).") from error
    except OSError as error:
        raise errors.bad_request(f"{file}: {error.strerror}.") from error
    return root


def _read_file(
    file: pathlib.Path, stem: str, split: states.MlUse, data: dataset.Dataset, chosen: choices.Choices
) -> None:
    root = _parse(file)
    if root.tag != "annotation":
        chosen.told.refuse(str(file), f"its root is <{root.tag}>, not <annotation>")
        return
    named = (root.findtext("filename") or "").strip().replace("\\", "/").rsplit("/", 1)[-1]
    if not named:
        chosen.told.refuse(str(file), "it has no <filename>")
        return
    # The file's own place tells the folder: <filename> is a bare name in VOC, and many tools leave the extension out.
    path = str(pathlib.PurePosixPath(stem).with_name(named if pathlib.PurePosixPath(named).suffix else f"{named}.jpg"))
    size = _numbers(root.find("size"), ("height", "width"))
    size_hw = (int(size[0]), int(size[1])) if size and min(size) >= 1 else None
    if size_hw is None and (header := chosen.finder.header(path)):
        size_hw = header[0]
    image_id = data.add_image(path, split, size_hw, str(file))
    if image_id is None:
        return
    if (root.findtext("segmented") or "0").strip() not in ("0", "Unspecified"):
        chosen.told.note("VOC segmentation, which is dropped", str(file))
    for index, element in enumerate(root.iter("object"), 1):
        _read_object(element, image_id, size_hw, f"{file}, object {index}", data, chosen)


def _read_object(
    element: tree.Element,
    image_id: int,
    size_hw: tuple[int, int] | None,
    where: str,
    data: dataset.Dataset,
    chosen: choices.Choices,
) -> None:
    sides = _numbers(element.find("bndbox"), ("xmin", "ymin", "xmax", "ymax"))
    if sides is None or size_hw is None:
        missing = "its image has neither <size> nor a file that was found; name the folder with --images"
        chosen.told.refuse(
            where, "<bndbox> lacks one of the numbers xmin, ymin, xmax, ymax" if sides is None else missing
        )
        data.lost_box(image_id)
        return
    first, (height, width) = chosen.voc_first_pixel, size_hw
    if first and min(sides[:2]) == 0:
        chosen.told.note(ZERO_BASED, where)
    left, top, right, bottom = sides
    corners = ((left - first) / width, (top - first) / height, right / width, bottom / height)
    marks = {mark for mark in (dataset.DIFFICULT, dataset.TRUNCATED) if (element.findtext(mark) or "0").strip() == "1"}
    label = (element.findtext("name") or "").strip()
    data.add_box(image_id, dataset.Box(label, corners, frozenset(marks)), where)
    for child in element:
        if child.tag not in _OBJECT_FIELDS and (child.text or "").strip() not in ("", "0", "Unspecified"):
            chosen.told.note(f"VOC field <{child.tag}>, which is dropped", where)
        elif child.tag == "part":
            chosen.told.note("VOC field <part>, which is dropped", where)


def _numbers(parent: tree.Element | None, names: tuple[str, ...]) -> tuple[float, ...] | None:
    if parent is None:
        return None
    try:
        return dataset.finite([float(parent.findtext(name) or "") for name in names], len(names))
    except ValueError:
        return None


def _document(picture: dataset.Picture, name: str, chosen: choices.Choices) -> str:
    height, width = picture.size_hw or (0, 0)
    root = tree.Element("annotation")
    _add(root, "filename", pathlib.PurePosixPath(name).name)
    size = tree.SubElement(root, "size")
    for tag, value in (("width", width), ("height", height), ("depth", 3)):
        _add(size, tag, str(value))
    _add(root, "segmented", "0")
    for box in picture.boxes:
        element = tree.SubElement(root, "object")
        _add(element, "name", box.label)
        _add(element, "pose", "Unspecified")
        for mark in (dataset.TRUNCATED, dataset.DIFFICULT):
            _add(element, mark, str(int(mark in box.marks)))
        if dataset.CROWD in box.marks:
            chosen.told.note("mark 'crowd' of a box, which VOC cannot carry", picture.path)
        bounds = tree.SubElement(element, "bndbox")
        for tag, text in zip(("xmin", "ymin", "xmax", "ymax"), _bounds(box, picture, chosen), strict=True):
            _add(bounds, tag, text)
    tree.indent(root, "\t")
    return tree.tostring(root, encoding="unicode") + "\n"


def _bounds(box: dataset.Box, picture: dataset.Picture, chosen: choices.Choices) -> list[str]:
    """xmin, ymin, xmax, ymax as text: whole pixels, at least one, unless fractions were asked for."""
    first, (height, width) = chosen.voc_first_pixel, picture.size_hw or (0, 0)
    low, high, moved = [], [], False
    for side, a, b in ((width, 0, 2), (height, 1, 3)):
        start, end = box.corners_norm[a] * side, box.corners_norm[b] * side
        if not chosen.voc_exact:
            whole_start = min(round(start), side - 1)
            whole_end = max(round(end), whole_start + 1)
            moved = moved or max(abs(whole_start - start), abs(whole_end - end)) > 0.001
            start, end = whole_start, whole_end
        low.append(output.number(start + first, PLACES_PX))
        high.append(output.number(end, PLACES_PX))
    if moved:
        chosen.told.note(ROUNDED, picture.path)
    return [*low, *high]


def _add(parent: tree.Element, tag: str, text: str) -> None:
    tree.SubElement(parent, tag).text = text
