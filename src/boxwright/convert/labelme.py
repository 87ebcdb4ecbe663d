"""LabelMe: a JSON file an image beside it; shapes are lists of points in pixels from 0.

Fields: https://github.com/wkentaro/labelme (label_file.py). Labels of a whole image are the flags that are true. A shape's
`score` is that of tools which predict into LabelMe's files; LabelMe itself keeps it.
"""

from __future__ import annotations

import itertools
import pathlib
import posixpath
from typing import Any

from boxwright import errors
from boxwright.convert import (
    dataset,
    entries,
    folders,
    image_files,
    json_documents,
    json_kinds,
    options,
    outlines,
    output,
    pictures,
)
from boxwright.tool_formats import labelme as labelme_format

MAX_FILE_BYTES = 64 * 1024 * 1024  # a file may hold its image
OTHER = "JSON file beside LabelMe's that is none of them: left out"
GROUP = "LabelMe group of a shape, which is dropped"
FLAGS = "LabelMe flag of a shape, which is dropped"
_LOOKED_AT_FILES = 10  # other tools' JSON may come first
_OUTLINES = ("polygon", "mask", "rotation", "oriented_rectangle")


def recognise(source: pathlib.Path) -> bool:
    """Whether this is such a file, or a folder with one."""
    if source.is_file() and source.suffix.lower() != ".json":
        return False
    return any(json_kinds.format_name(json_kinds.beginning(file)) == "labelme" for file in _files(source))


def read(source: pathlib.Path, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    """Reads every JSON file below a folder, or the one.

    Raises:
        ApiError: INVALID_ARGUMENT naming the file and the shape.
    """
    root = source if source.is_dir() else source.parent
    for file in folders.files(source, {".json"}, chosen.told) if source.is_dir() else [source]:
        try:
            if file.stat().st_size > MAX_FILE_BYTES:
                chosen.told.refuse(str(file), f"an annotation of more than {MAX_FILE_BYTES} bytes is none")
                continue
            document = json_documents.parse(options.read_text(file))
        except json_documents.JsonError as problem:
            chosen.told.refuse(f"{file}, line {problem.line}", str(problem))
            continue
        except errors.ApiError as error:
            chosen.told.refuse(str(file), error.message.removeprefix(f"{file}: ").rstrip("."))
            continue
        if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
            chosen.told.note(OTHER, str(file))
            continue
        _read_document(document, file, file.relative_to(root).parent.as_posix(), data, chosen)


def write(data: dataset.Dataset, target: pathlib.Path, chosen: options.ConvertOptions) -> None:
    """Writes a folder with a file an image, and the images beside them if they are to be copied.

    Raises:
        ApiError: FAILED_PRECONDITION if the folder cannot be written; INVALID_ARGUMENT if two images share a name.
    """
    common = data.common_folder()
    with output.new_folder(target) as folder:
        for picture in data.pictures():
            name = options.image_name(picture.path, common)
            path = folder / pathlib.PurePosixPath(name).with_suffix(".json")
            text = labelme_format.document(picture, name)
            written = output.write_annotation([path], name, text, chosen.told)
            if written and chosen.copy_images and picture.file is not None:
                output.copy_image(picture.file, folder / name)


def _files(source: pathlib.Path) -> list[pathlib.Path]:
    if not source.is_dir():
        return [source]
    return list(itertools.islice(folders.files(source, {".json"}), _LOOKED_AT_FILES))


def _read_document(
    document: dict[str, Any], file: pathlib.Path, folder: str, data: dataset.Dataset, chosen: options.ConvertOptions
) -> None:
    named = document.get("imagePath")
    if not isinstance(named, str) or not named:
        chosen.told.refuse(str(file), "it has no imagePath")
        return
    path = posixpath.normpath(posixpath.join(folder, entries.tidy(named)))
    if path.startswith(".."):
        path = posixpath.basename(path)
    beside = file.parent / named
    located = None
    if not entries.is_uri(path) and folders.is_file(beside) and posixpath.basename(path) == named:
        located = image_files.Located(beside, path)
    split = options.SPLITS.get(path.split("/")[0].lower(), chosen.split) if "/" in path else chosen.split
    size_hw = entries.pixel_size(document.get("imageHeight"), document.get("imageWidth"))
    added = pictures.add_sized(data, chosen, path, split, size_hw, str(file), located=located)
    if added is None:
        return
    flags = document.get("flags")
    for label, is_set in flags.items() if isinstance(flags, dict) else ():
        if is_set is True:
            data.add_image_label(added[0], label.strip(), str(file))
    for index, shape in enumerate(document["shapes"], 1):
        _read_shape(shape if isinstance(shape, dict) else {}, *added, f"{file}, shape {index}", data, chosen)


def _read_shape(
    shape: dict[str, Any],
    image_id: int,
    size_hw: tuple[int, int] | None,
    where: str,
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
) -> None:
    kind, label = str(shape.get("shape_type") or "polygon"), shape.get("label")
    listed = shape.get("points")
    found = [entries.finite(point, 2) for point in listed] if isinstance(listed, list) else []
    points = [(point[0], point[1]) for point in found if point is not None]
    if kind not in ("rectangle", "circle", *_OUTLINES):
        chosen.told.note(outlines.NO_BOX.format(kind), where)
        data.lost_box(image_id)
        return
    problem = None
    if len(points) != len(found) or len(points) < 2:
        problem = "its points are pairs of numbers, two or more"
    elif size_hw is None:
        problem = pictures.NO_SIZE
    if problem or size_hw is None:
        chosen.told.refuse(where, problem or "")
        data.lost_box(image_id)
        return
    corners = outlines.around(points)
    if kind == "circle":  # its centre, and a point on it
        (x, y), (x_on, y_on) = points[:2]
        radius = ((x - x_on) ** 2 + (y - y_on) ** 2) ** 0.5
        corners = outlines.around_ellipse((x, y), (radius, radius))
    if kind != "rectangle":
        chosen.told.note(outlines.OUTLINE, where)
    if shape.get("group_id") is not None:
        chosen.told.note(GROUP, where)
    marks = _marks(shape, where, chosen)
    text, score = label.strip() if isinstance(label, str) else "", shape.get("score")
    box = dataset.Box(
        text, outlines.in_fractions(corners, size_hw), marks, entries.told_score(score, where, chosen.told)
    )
    data.add_box(image_id, box, where)


def _marks(shape: dict[str, Any], where: str, chosen: options.ConvertOptions) -> frozenset[str]:
    flags = shape.get("flags")
    given = {name for name, is_set in flags.items() if is_set is True} if isinstance(flags, dict) else set()
    if given - labelme_format.MARKS.keys():
        chosen.told.note(FLAGS, where)
    return frozenset(mark for name, mark in labelme_format.MARKS.items() if name in given)
