"""Images in one folder a label, as image classification data often comes: LABEL/a.jpg, or SET/LABEL/a.jpg.

Sets are folders named train, valid (or val, validation), test or unassigned, if all folders are. An image that lies in no
label's folder is not labelled.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from boxwright import errors, states
from boxwright.convert import dataset, folders, options, output, pictures

NOT_LABELLED = "image in no label's folder: kept without a label"
SEVERAL = "it has several labels ({}), and a folder is one label: write csv or coco instead"


def recognise(source: pathlib.Path) -> bool:
    """Whether this is a folder whose folders have images below them."""
    if not source.is_dir():
        return False
    inside = _folders(source)
    return bool(inside) and any(next(folders.files(folder, folders.IMAGE_SUFFIXES), None) for folder in inside)


def read(source: pathlib.Path, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    """Reads the images of every label's folder.

    Raises:
        ApiError: INVALID_ARGUMENT naming the folder.
    """
    if not source.is_dir():
        raise errors.bad_request(f"{source} is no folder; name the one that has a folder for each label.")
    inside = _folders(source)
    sets = {folder: options.SPLITS.get(folder.name.lower()) for folder in inside}
    if inside and all(sets.values()):
        for folder, split in sets.items():
            _read_labels(source, folder, split or chosen.split, data, chosen)
        _read_bare(source, source, chosen.split, data, chosen)
    else:
        _read_labels(source, source, chosen.split, data, chosen)


def write(data: dataset.Dataset, target: pathlib.Path, chosen: options.ConvertOptions) -> None:
    """Copies every image into the folder of its label, below one of its set if any image has one.

    Raises:
        ApiError: FAILED_PRECONDITION if the folder cannot be written; INVALID_ARGUMENT if an image has several labels.
    """
    common = data.common_folder()
    has_sets = data.splits() != [states.MlUse.UNASSIGNED]
    with output.new_folder(target) as folder:
        for picture in data.pictures():
            if len(picture.labels) > 1:
                listed = ", ".join(f"'{label}'" for label in picture.labels[:3])
                chosen.told.refuse(picture.path, SEVERAL.format(listed))
                continue
            name = _name(picture, picture.path.removeprefix(common))
            parts = [options.SPLIT_NAMES[picture.split]] * has_sets + list(picture.labels)
            problem = output.name_problem(name) or _label_problem(picture.labels, has_sets=has_sets)
            path = folder.joinpath(*parts, name)
            if problem is None and path.exists():
                problem = f"another image is called {name} too; rename one"
            if problem is not None:
                chosen.told.refuse(picture.path, problem)
            elif picture.file is not None:
                output.copy_image(picture.file, path)


def _folders(source: pathlib.Path) -> list[pathlib.Path]:
    return [
        path for path in sorted(source.iterdir()) if folders.is_folder(path) and not folders.is_passed_over(path.name)
    ]


def _read_labels(
    source: pathlib.Path,
    root: pathlib.Path,
    split: states.MlUse,
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
) -> None:
    for folder in _folders(root):
        for file in folders.files(folder, folders.IMAGE_SUFFIXES, chosen.told):
            where = file.relative_to(source).as_posix()
            image_id = pictures.add(data, chosen, where, split, None, where)
            if image_id is not None:
                data.add_image_label(image_id, folder.name, where)
    _read_bare(source, root, split, data, chosen)


def _read_bare(
    source: pathlib.Path,
    root: pathlib.Path,
    split: states.MlUse,
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
) -> None:
    for file in _images(root):
        where = file.relative_to(source).as_posix()
        if pictures.add(data, chosen, where, split, None, where) is not None:
            chosen.told.note(NOT_LABELLED, where)


def _images(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The images of a folder itself."""
    for path in sorted(folder.iterdir()):
        if folders.is_image_name(path.name) and not folders.is_passed_over(path.name) and folders.is_file(path):
            yield path


def _name(picture: dataset.Picture, name: str) -> str:
    """An image's path below its label's folder: without the folders of set and label that it may lie in already."""
    parts = name.split("/")
    if len(parts) > 1 and options.SPLITS.get(parts[0].lower()) is picture.split:
        parts = parts[1:]
    if len(parts) > 1 and parts[0] in picture.labels:
        parts = parts[1:]
    return "/".join(parts)


def _label_problem(labels: tuple[str, ...], *, has_sets: bool) -> str | None:
    """Why a label cannot be the name of a folder that is read back as it, or None."""
    for label in labels:
        if (
            label in (".", "..")
            or folders.is_passed_over(label)
            or any(character in label for character in '/\\:*?"<>|')
        ):
            return f"no folder can have the name of its label, '{label}'"
        if not has_sets and label.lower() in options.SPLITS:
            return f"a folder with the name of its label, '{label}', would be read as a set"
    return None
