"""VOC's lists of images, ImageSets/Main/train.txt and the like: which set an image belongs to.

A line is the name of an XML file without its extension. Other tools write names with extensions, with the folder of the
images in front, or with the flag of a class behind (-1, 0 or 1); such lines match where no file has the whole line's name.
"""

from __future__ import annotations

import pathlib
import re
import unicodedata
from collections.abc import Iterator

from boxwright import errors, states
from boxwright.convert import account, dataset, folders, options

NO_SUCH_FILE = "line of a set list that names no XML file that was read"
TWO_SETS = "image in two set lists: the first counts"
NOT_USED = "list in ImageSets that names no single set (train, val, test): not used"
_FLAG = re.compile(r"\s+(?:-1|0|1)\s*$")
_FOLDERS = ("jpegimages", "images", "annotations")  # that a line may have in front of a name
_ORDER = (states.MlUse.TRAIN, states.MlUse.VALIDATION, states.MlUse.TEST)


def lists(source: pathlib.Path) -> list[tuple[pathlib.Path, states.MlUse]]:
    """(file, set) of the lists in a folder, in whatever letter case they are named."""
    found = [(file, options.SPLITS.get(file.stem.lower())) for file in _all(source)]
    known = [(file, split) for file, split in found if split in _ORDER and split is not None]
    return sorted(known, key=lambda entry: _ORDER.index(entry[1]))


def tell_unused(source: pathlib.Path, used: list[tuple[pathlib.Path, states.MlUse]], told: account.Account) -> None:
    """Tells lists that say no single set, such as trainval.txt without train.txt, where they may be missed."""
    has_training = any(split is not states.MlUse.TEST for _, split in used)
    for file in _all(source):
        if not has_training and file not in [known for known, _ in used]:
            told.note(NOT_USED, str(file))


def apply(found: list[tuple[pathlib.Path, states.MlUse]], data: dataset.Dataset, told: account.Account) -> None:
    """Puts the images into the sets that the lists say; the key of an image is the name of its XML file.

    Raises:
        ApiError: INVALID_ARGUMENT if a list cannot be read, unless unusable entries are to be left out.
    """
    for file, split in found:
        try:
            lines = options.read_text(file).splitlines()
        except errors.ApiError as error:
            told.refuse(str(file), error.message.removeprefix(f"{file}: ").rstrip("."))
            continue
        for number, line in enumerate(lines, 1):
            if line.strip():
                _apply_line(line, split, f"{file}, line {number}", data, told)


def _apply_line(line: str, split: states.MlUse, where: str, data: dataset.Dataset, told: account.Account) -> None:
    key = next((name for name in _spellings(line) if data.has_key(name)), None)
    if key is None:
        told.note(NO_SUCH_FILE, where)
    elif (image := data.by_key(key)) is not None:
        if data.is_new("image in a set list", key):
            data.set_split(image[0], split)
        elif data.split_of(image[0]) is not split:
            told.note(TWO_SETS, where)


def _all(source: pathlib.Path) -> list[pathlib.Path]:
    """The lists of a folder: those of ImageSets/Main, or else of ImageSets."""
    for folder in (source / "ImageSets" / "Main", source / "ImageSets"):
        if folders.is_folder(folder) and (found := sorted(folder.glob("*.txt"))):
            return found
    return []


def _spellings(line: str) -> Iterator[str]:
    """What a line may mean, to the letter first."""
    yield line
    for text in dict.fromkeys((line.strip(), _FLAG.sub("", line.strip()))):
        path = text.replace("\\", "/")
        parts = path.split("/")
        bare_path = [parts[-1]] if path.startswith("/") or (parts[-2:-1] and parts[-2].lower() in _FOLDERS) else []
        for name in (path, *bare_path):
            known = pathlib.PurePosixPath(name)
            bare = str(known.with_suffix("")) if folders.is_image_name(name) or known.suffix == ".xml" else name
            for spelling in (name, bare):
                yield spelling
                yield unicodedata.normalize("NFC", spelling)
                yield unicodedata.normalize("NFD", spelling)
