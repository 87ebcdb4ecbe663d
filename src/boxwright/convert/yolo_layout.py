"""What a YOLO folder says about itself: its labels, its sets, its keypoints.

Four descriptions are read: data.yaml (https://docs.ultralytics.com/datasets/detect/), CVAT's "YOLO 1.1" with obj.data and
obj.names (Darknet's form), classes.txt as labelImg writes it, and YAML files of other names that have `names`.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import yaml

from boxwright import errors, states
from boxwright.convert import account, entries, folders, options

OTHER_COUNT = "description that says another number of classes (nc, classes) than it has names"
TWO_LISTS = "classes.txt that does not agree with the names used"
_YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml")
_NAME_FILES = ("classes.txt", "obj.names", "labels/classes.txt")
_NAME_PATTERNS = ("data/obj.data", "labels/*/classes.txt", "*/_darknet.labels", "*/classes.txt")
_NOTHING = ("", "~", "null", "Null", "NULL")
SETS = {
    "train": states.MlUse.TRAIN,
    "val": states.MlUse.VALIDATION,
    "valid": states.MlUse.VALIDATION,
    "validation": states.MlUse.VALIDATION,
    "test": states.MlUse.TEST,
}


@dataclasses.dataclass(frozen=True)
class Layout:
    """A YOLO folder's description.

    Attributes:
        root: the folder that images are named from.
        base: where the paths of the description begin: `path` if it is there.
        file: what describes it.
        names: labels by class number.
        sets: (key, set, path) of what the description names, in its order; paths are as written.
        keypoint_values: how many values of a line follow the box and belong to keypoints; 0 without keypoints.
    """

    root: pathlib.Path
    base: pathlib.Path
    file: pathlib.Path
    names: dict[int, str]
    sets: tuple[tuple[str, states.MlUse, str], ...]
    keypoint_values: int


class _Text(yaml.BaseLoader):
    """Reads every value as the text that it is: ``no``, ``010`` and ``12:30`` are names."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuses duplicate keys; PyYAML itself keeps the last one without a word."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return super().construct_mapping(node, deep=deep)


def description_file(source: pathlib.Path) -> pathlib.Path | None:
    """The file that describes a YOLO folder, or SOURCE itself if it is one."""
    if source.is_file():
        return source if source.suffix.lower() in (".yaml", ".yml", ".data") else None
    if not source.is_dir():
        return None
    for name in _YAML_NAMES:
        if (source / name).is_file():
            return source / name
    data_files = sorted(source.glob("*.data"))
    if len(data_files) == 1:
        return data_files[0]
    for name in _NAME_FILES:
        if (source / name).is_file():
            return source / name
    others = [file for file in sorted(source.glob("*.y*ml")) if _has_names(file)]
    if not others:  # names beside every set; they must be the same
        found = [file for pattern in _NAME_PATTERNS for file in sorted(source.glob(pattern))]
        others = found[:1] if len({file.read_bytes() for file in found}) == 1 else []
    return others[0] if len(others) == 1 else None


def read(source: pathlib.Path, told: account.Account) -> Layout:
    """Reads the description.

    Raises:
        ApiError: INVALID_ARGUMENT naming the file, and the line or the name.
    """
    file = description_file(source)
    if file is None:
        raise errors.bad_request(f"{source}: there is no data.yaml, obj.data or classes.txt that names the labels.")
    root = source if source.is_dir() else source.parent
    if file.suffix.lower() in (".yaml", ".yml"):
        found = _yaml(file)
        names, place = found.get("names"), file
        count = found.get("nc")
    elif file.suffix.lower() == ".data":
        found = _data_file(file)
        place = resolved(root, root, str(found.get("names") or "obj.names")) or root / "obj.names"
        names, count = _lines(place), found.get("classes")
    else:
        found, place, count = {}, file, None
        names = _lines(file)
    by_number = _class_names(names, place)
    if count is not None and str(count).strip() != str(len(by_number)):
        told.note(OTHER_COUNT, f"{file}: {count}, not {len(by_number)}")
    other = root / "classes.txt"
    if file != other and other.is_file() and _lines(other) != list(by_number.values()):
        told.note(TWO_LISTS, str(other))
    sets = tuple(_sets(found))
    base = pathlib.Path(os.path.normpath(root / str(found.get("path") or "")))
    if not folders.is_folder(base):
        base = root  # `path` often names a folder of the machine that wrote it
    elif not base.resolve().is_relative_to(root.resolve()):
        is_apart = any((base / entry).exists() for _, _, entry in sets)
        root = base = base if is_apart else root  # the description may lie apart from the images
    return Layout(root, base, file, by_number, sets, _keypoint_values(found.get("kpt_shape"), file))


def resolved(root: pathlib.Path, base: pathlib.Path, entry: str) -> pathlib.Path | None:
    """What a path of a description means on this machine: where it says, or else the longest end of it that is there."""
    path = entry.replace("\\", "/").rstrip("/") or "."
    for place in (base / path, root / path):
        if folders.is_file(place) or folders.is_folder(place):
            return place
    parts = [part for part in pathlib.PurePosixPath(path).parts if part not in ("..", "/")]
    for start in range(len(parts)):  # Roboflow writes ../train/images, CVAT data/train.txt
        place = root.joinpath(*parts[start:])
        # A file's name says enough; the last folder alone, as images, may be that of another set.
        if folders.is_file(place) or (folders.is_folder(place) and len(parts) - start >= min(2, len(parts))):
            return place
    return None


def _has_names(file: pathlib.Path) -> bool:
    try:
        return bool(_yaml(file).get("names"))
    except errors.ApiError:
        return False


def _yaml(file: pathlib.Path) -> dict[str, Any]:
    try:
        found = yaml.load(options.read_text(file), Loader=_Text)  # makes texts only
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise errors.bad_request(f"{file}{line}: this is not YAML ({getattr(error, 'problem', error)}).") from error
    if not isinstance(found, dict):
        raise errors.bad_request(f"{file}: keys such as names and train are expected.")
    return found


def _data_file(file: pathlib.Path) -> dict[str, Any]:
    """Darknet's ``key = value`` lines."""
    pairs = (line.partition("=") for line in options.read_text(file).splitlines())
    return {key.strip(): value.strip() for key, sign, value in pairs if sign}


def _lines(file: pathlib.Path) -> list[str]:
    """The lines of a list of names; only empty lines at the end may be missing, as the place of a line is its number."""
    lines = [line.strip() for line in options.read_text(file).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _class_names(names: Any, place: pathlib.Path) -> dict[int, str]:
    if isinstance(names, list):
        names = {str(number): name for number, name in enumerate(names)}
    if not isinstance(names, dict):  # empty, where no image has a box
        if names in _NOTHING:
            return {}
        raise errors.bad_request(f"{place}: it has no list 'names' of the labels.")
    found: dict[int, str] = {}
    for number, name in names.items():
        text = name.strip() if isinstance(name, str) else ""
        problem = entries.label_problem(text) and f"a name is expected, not {name!r}"
        if problem is None and not (number.isascii() and number.isdecimal()):
            problem = "names are a list, or numbers with a name each"
        elif problem is None and (text in found.values() or int(number) in found):
            problem = f"the name '{text}' or its number stands twice"
        if problem:
            raise errors.bad_request(f"{place}, names, {number}: {problem}.")
        found[int(number)] = text
    return dict(sorted(found.items()))


def _sets(found: dict[str, Any]) -> Iterator[tuple[str, states.MlUse, str]]:
    for key, split in SETS.items():
        entries = found.get(key)
        for entry in entries if isinstance(entries, list) else [entries]:
            if isinstance(entry, str) and entry not in _NOTHING:
                yield key, split, entry


def _keypoint_values(shape: Any, file: pathlib.Path) -> int:
    if shape is None or shape in _NOTHING:
        return 0
    if (
        isinstance(shape, list)
        and len(shape) == 2
        and all(isinstance(side, str) and side.isdecimal() for side in shape)
    ):
        return int(shape[0]) * int(shape[1])
    raise errors.bad_request(f"{file}: kpt_shape is [number of keypoints, values of each].")
