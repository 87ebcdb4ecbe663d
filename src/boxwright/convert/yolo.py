"""YOLO folders: a text file an image, `class cx cy width height` as fractions of the image, and data.yaml.

The layout is that of https://docs.ultralytics.com/datasets/detect/: labels lie where the images lie, with the last folder
`images` of the path replaced by `labels`. Sets are folders or lists of images that data.yaml names. We write lists
(train.txt, val.txt, test.txt), so that an image's name does not depend on its set.

    yolo_layout    what the folder says about itself
    yolo_labels    label files: whose they are, what they say
"""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

from boxwright import errors, states
from boxwright.convert import (
    dataset,
    entries,
    folders,
    image_files,
    options,
    output,
    pictures,
    yolo_labels,
    yolo_layout,
)
from boxwright.tool_formats import yolo as yolo_format

UNASSIGNED_LIST = "unassigned.txt"  # read by no trainer: the images of no set
NOT_THERE = "set that data.yaml names and that is not there"
TWO_SETS = "image in two sets: the first counts"
TWICE = "image that is listed twice: the first counts"
ASSUMED_JPG = "label file, and no image file here at all: its image is taken as .jpg"
_WRITTEN_SETS = ("train", "val", "test")


def recognise(source: pathlib.Path) -> bool:
    """Whether this is a folder with data.yaml, obj.data or classes.txt, or such a file."""
    return yolo_layout.description_file(source) is not None


def read(source: pathlib.Path, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    """Reads the images that data.yaml names and their labels; an image without a label file is one with nothing in it.

    Raises:
        ApiError: INVALID_ARGUMENT naming file and line.
    """
    layout = yolo_layout.read(source, chosen.told)
    data.labels_are_ordered = True
    for name in layout.names.values():
        data.add_label(name)
    if layout.root != source:
        for root in (layout.root, layout.root / "images"):
            chosen.finder.add_root(root)
    count = 0
    with contextlib.closing(yolo_labels.Reader(layout, data, chosen)) as labels:
        for split, image, where in _images(layout, labels, chosen):
            count += 1
            _read_image(image, split, where, labels)
        if not count:
            missing = [f"{key}: {entry}" for key, _, entry in layout.sets]
            named = f"; {layout.file.name} names {', '.join(missing)}, which is not there" if missing else ""
            raise errors.bad_request(
                f"{source}: no image and no label file was found{named}. See docs/convert.md for the layout."
            )
        if labels.tell_orphans() and labels.without == count:
            raise errors.bad_request(
                f"{source}: none of the {count} images has a label file, and there are label files that belong to none: "
                "labels lie beside the images, or below 'labels' as the images lie below 'images'."
            )


def write(data: dataset.Dataset, target: pathlib.Path, chosen: options.ConvertOptions) -> None:
    """Writes labels/, a list a set and data.yaml, and images/ if images are to be copied.

    Raises:
        ApiError: FAILED_PRECONDITION if the folder cannot be written; INVALID_ARGUMENT if two images share a name.
    """
    labels = data.labels()
    numbers = {label: index for index, label in enumerate(labels)}
    common = data.common_folder()
    with output.new_folder(target) as folder:
        (folder / "labels").mkdir()
        for split in data.splits():
            unassigned = split is states.MlUse.UNASSIGNED
            list_name = UNASSIGNED_LIST if unassigned else f"{options.SPLIT_NAMES[split]}.txt"
            with (folder / list_name).open("w", encoding="utf-8", newline="\n") as handle:
                for picture in data.pictures(split):
                    name = options.image_name(picture.path, common)
                    files = [folder / file for file in yolo_format.label_files(name)]
                    text = yolo_format.text(picture, numbers)
                    if not output.write_annotation(files, name, text, chosen.told):
                        continue
                    handle.write(f"./images/{name}\n")
                    if unassigned:
                        chosen.told.note("image of no set: in unassigned.txt, which trainers do not read", picture.path)
                    if chosen.copy_images and picture.file is not None:
                        output.copy_image(picture.file, folder / "images" / name)
        present = {options.SPLIT_NAMES[split] for split in data.splits()}
        sets = {name: f"{name}.txt" for name in _WRITTEN_SETS if name in present}
        (folder / "data.yaml").write_text(yolo_format.description(labels, sets), encoding="utf-8")


def _images(
    layout: yolo_layout.Layout, labels: yolo_labels.Reader, chosen: options.ConvertOptions
) -> Iterator[tuple[states.MlUse, pathlib.PurePosixPath, str]]:
    """Yields (set, path relative to the root, where it is named) of every image, those of data.yaml first."""
    root = layout.root
    for key, split, entry in layout.sets:
        place = _place(layout, entry)
        if place is None:
            chosen.told.note(NOT_THERE, f"{layout.file}: {key}: {entry}")
        elif place.is_file():
            yield from ((split, *found) for found in _listed(root, place, labels))
        else:
            yield from ((split, *found) for found in _in_folder(root, place, chosen))
    if (root / UNASSIGNED_LIST).is_file():
        yield from ((chosen.split, *found) for found in _listed(root, root / UNASSIGNED_LIST, labels))
    elif not layout.sets:
        for folder, split in _set_folders(root, chosen):
            yield from ((split, *found) for found in _in_folder(root, folder, chosen))


def _set_folders(root: pathlib.Path, chosen: options.ConvertOptions) -> Iterator[tuple[pathlib.Path, states.MlUse]]:
    """The folders of images, when nothing names them: images/, images/SET/ and SET/images/."""
    images = root / "images" if (root / "images").is_dir() or (root / "labels").is_dir() else root
    found = False
    for split, name in _set_names(root, images):
        for folder in (root / name / "images", images / name):
            if folders.is_folder(folder) or folders.is_folder(_label_folder(root, folder)):
                found = True
                yield folder, split
                break
    if not found:
        yield images, chosen.split


def _set_names(root: pathlib.Path, images: pathlib.Path) -> list[tuple[states.MlUse, str]]:
    """(set, name) of the folders that are named as sets, in any letter case; training sets first."""
    order, places = list(states.MlUse), (root, images, root / "labels")
    names = {entry.name for place in places if folders.is_folder(place) for entry in place.iterdir()}
    known = [(options.SPLITS[name.lower()], name) for name in sorted(names) if name.lower() in options.SPLITS]
    return sorted(known, key=lambda entry: order.index(entry[0]))


def _place(layout: yolo_layout.Layout, entry: str) -> pathlib.Path | None:
    """The folder or list that a set names; a folder of images may be missing where its labels are there."""
    for base in dict.fromkeys((layout.base, layout.root, layout.file.parent)):
        place = yolo_layout.resolved(layout.root, base, entry)
        if place is not None and _below(layout.root, place) is not None:
            return place
    folder = layout.root.joinpath(*[part for part in pathlib.PurePosixPath(entry).parts if part not in ("..", "/")])
    return folder if _label_folder(layout.root, folder).is_dir() and "images" in folder.parts else None


def _listed(
    root: pathlib.Path, file: pathlib.Path, labels: yolo_labels.Reader
) -> Iterator[tuple[pathlib.PurePosixPath, str]]:
    """The images of a list. A path that is nowhere here is taken without its first folders, as far as that helps."""
    dropped = 0  # how many first folders the last line that was found had to lose: others of the list lose them too
    for number, line in enumerate(options.read_text(file).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        image = _listed_image(root, file, line, labels) or _listed_image(root, file, line.strip(), labels)
        if image is not None and not line.startswith("/"):
            dropped = max(0, len(pathlib.PurePosixPath(line.strip()).parts) - len(image.parts))
        if image is None:
            plain = entries.tidy(line.strip())
            image = pathlib.PurePosixPath(*pathlib.PurePosixPath(plain).parts[dropped:])
            if plain.startswith("/") or ".." in image.parts:
                labels.chosen.told.refuse(where, f"{plain} does not lie below {root}")
                continue
            image = _below(root, file.parent / image) or image
        yield image, where


def _listed_image(
    root: pathlib.Path, file: pathlib.Path, text: str, labels: yolo_labels.Reader
) -> pathlib.PurePosixPath | None:
    """What a line means, if an image or a label file is there: relative to the list, to the root, or the end of a path."""
    path = pathlib.PurePosixPath(text.replace("\\", "/"))
    parts = [part for part in path.parts if part != "/"]
    candidates = [
        pathlib.Path(text),
        file.parent / path,
        *(root.joinpath(*parts[start:]) for start in range(len(parts))),
    ]
    for candidate in candidates if path.is_absolute() else candidates[1:]:
        image = _below(root, candidate)
        if image is not None and (folders.is_file(root / image) or labels.has_labels(image)):
            return image
    return None


def _in_folder(
    root: pathlib.Path, folder: pathlib.Path, chosen: options.ConvertOptions
) -> Iterator[tuple[pathlib.PurePosixPath, str]]:
    """The images of a folder; where there are none at all, its label files stand for them."""
    found = False
    for path in folders.files(folder, folders.IMAGE_SUFFIXES, chosen.told):
        found = True
        yield pathlib.PurePosixPath(path.relative_to(root).as_posix()), str(path)
    labels = _label_folder(root, folder)
    if not found and labels != folder:
        for path in folders.files(labels, {".txt"}, chosen.told):
            if path.name != "classes.txt":
                chosen.told.note(ASSUMED_JPG, str(path))  # what YOLO data mostly are; the label file cannot say
                image = folder / path.relative_to(labels).with_suffix(".jpg")
                yield pathlib.PurePosixPath(image.relative_to(root).as_posix()), str(path)


def _below(root: pathlib.Path, path: pathlib.Path) -> pathlib.PurePosixPath | None:
    """The path relative to the root, None if it lies elsewhere."""
    normal = pathlib.Path(os.path.normpath(path.absolute()))
    base = pathlib.Path(os.path.normpath(root.absolute()))
    return pathlib.PurePosixPath(normal.relative_to(base).as_posix()) if normal.is_relative_to(base) else None


def _label_folder(root: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Where the labels of a folder of images lie, by the trainers' rule."""
    relative = _below(root, folder)
    if relative is None:
        return folder
    return root / yolo_labels.label_paths(relative / "image.jpg")[0].parent


def _read_image(image: pathlib.PurePosixPath, split: states.MlUse, where: str, labels: yolo_labels.Reader) -> None:
    data, chosen, root = labels.data, labels.chosen, labels.layout.root
    path = str(image.relative_to("images") if image.parts[0] == "images" and len(image.parts) > 1 else image)
    key = str(image)
    if (known := data.by_key(key)) is not None:
        chosen.told.note(TWICE if data.split_of(known[0]) is split else TWO_SETS, where)
        return
    file = root / image
    located = image_files.Located(file, path) if folders.is_file(file) else chosen.finder.locate(path)
    image_id = pictures.add(data, chosen, path, split, None, where, key=key, located=located)
    if image_id is None:
        return
    if located is not None and located.how and not labels.has_labels(image):
        image = _below(root, located.file) or image  # a label file goes by the name on disk
    labels.read(image, image_id, where)
