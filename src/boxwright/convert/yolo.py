"""YOLO folders: a text file an image, `class cx cy width height` as fractions of the image, and data.yaml.

The layout is that of https://docs.ultralytics.com/datasets/detect/: labels lie where the images lie, with the last folder
`images` of the path replaced by `labels`. Sets are folders or lists of images that data.yaml names. We write lists
(train.txt, val.txt, test.txt), so that an image's name does not depend on its set.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import yaml

from boxwright import errors, states
from boxwright.convert import choices, dataset, output

PLACES = 10  # one more than the CSV's: a centre may lie between two of its steps
POLYGON = "outline (segmentation or turned box): its upright bounding box is taken"
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".ico", ".webp", ".tif", ".tiff"}
UNASSIGNED_LIST = "unassigned.txt"  # read by no trainer: the images of no set
_YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml")
_SETS = {"train": states.MlUse.TRAIN, "val": states.MlUse.VALIDATION, "test": states.MlUse.TEST}


def recognise(source: pathlib.Path) -> bool:
    """Whether this is a folder with data.yaml or classes.txt, or such a YAML file."""
    if source.is_file():
        return source.suffix.lower() in (".yaml", ".yml")
    return source.is_dir() and (_yaml(source) is not None or (source / "classes.txt").is_file())


def read(source: pathlib.Path, data: dataset.Dataset, chosen: choices.Choices) -> None:
    """Reads the images that data.yaml names and their labels; an image without a label file is one with nothing in it.

    Raises:
        ApiError: INVALID_ARGUMENT naming file and line.
    """
    root = source.parent if source.is_file() else source
    description = _description(source, root)
    names = _class_names(description, root)
    data.labels_are_ordered = True
    for name in names.values():
        data.add_label(name)
    count = 0
    for split, image, where in _images(root, description, chosen):
        count += 1
        _read_image(root, image, split, where, names, data, chosen)
    if not count:
        raise errors.bad_request(f"{source}: no image and no label file was found; see docs/convert.md for the layout.")


def write(data: dataset.Dataset, target: pathlib.Path, chosen: choices.Choices) -> None:
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
            list_name = UNASSIGNED_LIST if unassigned else f"{choices.SPLIT_NAMES[split]}.txt"
            with (folder / list_name).open("w", encoding="utf-8", newline="\n") as handle:
                for picture in data.pictures(split):
                    name = choices.image_name(picture.path, common)
                    handle.write(f"./images/{name}\n")
                    output.write_beside(folder / "labels", name, ".txt", "".join(_lines(picture, numbers, chosen)))
                    if unassigned:
                        chosen.told.note("image of no set: in unassigned.txt, which trainers do not read", picture.path)
                    if chosen.copy_images:
                        output.copy_image(chosen.finder.find(picture.path), folder / "images" / name, picture.path)
        present = {choices.SPLIT_NAMES[split] for split in data.splits()}
        description: dict[str, Any] = {name: f"{name}.txt" for name in _SETS if name in present}
        description["names"] = dict(enumerate(labels))
        text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True)
        (folder / "data.yaml").write_text(text, encoding="utf-8")


def _lines(picture: dataset.Picture, numbers: dict[str, int], chosen: choices.Choices) -> Iterator[str]:
    for box in picture.boxes:
        left, top, right, bottom = box.corners_norm
        sides = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        yield f"{numbers[box.label]} {' '.join(output.number(side, PLACES) for side in sides)}\n"
        for mark in sorted(box.marks):
            chosen.told.note(f"mark '{mark}' of a box, which YOLO cannot carry", picture.path)


def _yaml(source: pathlib.Path) -> pathlib.Path | None:
    if source.is_file():
        return source
    return next((source / name for name in _YAML_NAMES if (source / name).is_file()), None)


def _description(source: pathlib.Path, root: pathlib.Path) -> dict[str, Any]:
    file = _yaml(source)
    if file is None:
        return {"names": [line for line in choices.read_text(root / "classes.txt").splitlines() if line.strip()]}
    try:
        found = yaml.safe_load(choices.read_text(file))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise errors.bad_request(f"{file}{line}: this is not YAML ({getattr(error, 'problem', error)}).") from error
    if not isinstance(found, dict):
        raise errors.bad_request(f"{file}: keys such as names and train are expected.")
    return found


def _class_names(description: dict[str, Any], root: pathlib.Path) -> dict[int, str]:
    names = description.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):  # empty, where no image has a box
        raise errors.bad_request(f"{root}: data.yaml has no list 'names' of the labels.")
    found: dict[int, str] = {}
    for number, name in names.items():
        text = str(name).strip()
        problem = dataset.label_problem(text)
        if problem is None and (not str(number).isdigit() or text in found.values()):
            problem = "names are a list, or numbers with a name each, and no name stands twice"
        if problem:
            raise errors.bad_request(f"{root}, names, {number!r}: {problem}.")
        found[int(number)] = text
    return dict(sorted(found.items()))


def _images(
    root: pathlib.Path, description: dict[str, Any], chosen: choices.Choices
) -> Iterator[tuple[states.MlUse, pathlib.PurePosixPath, str]]:
    """Yields (set, path relative to the root, where it is named) of every image, those of data.yaml first."""
    base = root / str(description.get("path") or "")
    base = base if base.is_dir() else root  # `path` often names a folder of the machine that wrote it
    named = False
    for key, split in (*_SETS.items(), ("valid", states.MlUse.VALIDATION)):
        entries = description.get(key)
        for entry in entries if isinstance(entries, list) else [entries] if entries else []:
            named = True
            yield from ((split, image, where) for image, where in _named_images(root, base, str(entry), key))
    if (root / UNASSIGNED_LIST).is_file():
        yield from ((chosen.split, *found) for found in _listed(root, root / UNASSIGNED_LIST))
    elif not named:
        for folder, split in _set_folders(root, chosen):
            yield from ((split, image, where) for image, where in _in_folder(root, folder))


def _set_folders(root: pathlib.Path, chosen: choices.Choices) -> Iterator[tuple[pathlib.Path, states.MlUse]]:
    """The folders of images, when nothing names them: images/, images/SET/ and SET/images/."""
    images = root / "images" if (root / "images").is_dir() or (root / "labels").is_dir() else root
    found = False
    for name, split in choices.SPLITS.items():
        for folder in (images / name, root / name / "images"):
            if folder.is_dir() or _label_folder(folder).is_dir():
                found = True
                yield folder, split
    if not found:
        yield images, chosen.split


def _named_images(
    root: pathlib.Path, base: pathlib.Path, entry: str, key: str
) -> Iterator[tuple[pathlib.PurePosixPath, str]]:
    candidates = [base / entry, root / entry, root / entry.removeprefix("../")]  # Roboflow writes ../train/images
    place = next((path for path in candidates if path.exists() or _label_folder(path).is_dir()), None)
    if place is None:
        raise errors.bad_request(f"{root}: data.yaml names '{entry}' as {key}, which is not there.")
    yield from _listed(root, place) if place.is_file() else _in_folder(root, place)


def _listed(root: pathlib.Path, file: pathlib.Path) -> Iterator[tuple[pathlib.PurePosixPath, str]]:
    for number, line in enumerate(choices.read_text(file).splitlines(), 1):
        if line.strip():
            path = pathlib.Path(line.strip())
            absolute = path if path.is_absolute() else file.parent / path
            yield _relative(root, absolute, f"{file}, line {number}"), f"{file}, line {number}"


def _in_folder(root: pathlib.Path, folder: pathlib.Path) -> Iterator[tuple[pathlib.PurePosixPath, str]]:
    """The images of a folder; label files stand for images that are not there."""
    found = set()
    if folder.is_dir():
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                found.add(path.relative_to(folder).with_suffix(""))
                yield _relative(root, path, str(path)), str(path)
    labels = _label_folder(folder)
    if labels.is_dir() and labels != folder:
        for path in sorted(labels.rglob("*.txt")):
            stem = path.relative_to(labels).with_suffix("")
            if stem not in found and path.name != "classes.txt":
                image = (
                    folder / stem.parent / f"{stem.name}.jpg"
                )  # what YOLO data mostly are; the label file cannot say
                yield _relative(root, image, str(path)), str(path)


def _relative(root: pathlib.Path, path: pathlib.Path, where: str) -> pathlib.PurePosixPath:
    try:
        return pathlib.PurePosixPath(path.absolute().relative_to(root.absolute()).as_posix())
    except ValueError:
        raise errors.bad_request(f"{where}: {path} does not lie below {root}.") from None


def _label_folder(folder: pathlib.Path) -> pathlib.Path:
    """Where the labels of a folder of images lie."""
    parts = list(folder.parts)
    for index in reversed(range(len(parts))):
        if parts[index] == "images":
            return pathlib.Path(*parts[:index], "labels", *parts[index + 1 :])
    return folder


def _read_image(
    root: pathlib.Path,
    image: pathlib.PurePosixPath,
    split: states.MlUse,
    where: str,
    names: dict[int, str],
    data: dataset.Dataset,
    chosen: choices.Choices,
) -> None:
    path = image.relative_to("images") if image.parts[0] == "images" else image
    image_id = data.add_image(str(path), split, None, where)
    labels = _label_folder(root / image.parent) / f"{image.stem}.txt"
    if image_id is None or not labels.is_file():
        return
    for number, line in enumerate(choices.read_text(labels).splitlines(), 1):
        if line.strip():
            _read_line(line.split(), image_id, f"{labels}, line {number}", names, data, chosen)


def _read_line(
    cells: list[str], image_id: int, where: str, names: dict[int, str], data: dataset.Dataset, chosen: choices.Choices
) -> None:
    try:
        number, values = int(cells[0]), dataset.finite([float(cell) for cell in cells[1:]], len(cells) - 1)
    except ValueError:
        number, values = -1, None
    problem = None
    if values is None:
        problem = "a class number and fractions are expected"
    elif number not in names:
        problem = f"class {number} is not among the {len(names)} names"
    elif len(values) != 4 and (len(values) < 6 or len(values) % 2):
        problem = f"it has {len(cells)} values; class, cx, cy, width, height are expected (a prediction's score is not)"
    elif max(values) > 2:
        problem = "these are pixels; fractions of the image's width and height are expected"
    if problem or values is None:
        chosen.told.refuse(where, problem or "")
        data.lost_box(image_id)
        return
    if len(values) == 4:
        x, y, width, height = values
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    else:
        xs, ys = values[0::2], values[1::2]
        corners = (min(xs), min(ys), max(xs), max(ys))
        chosen.told.note(POLYGON, where)
    data.add_box(image_id, dataset.Box(names[number], corners), where)
