"""VOC's lists of images, ImageSets/Main/train.txt and the like: which set an image belongs to.

A line is the name of an XML file without its extension. Other tools write names with extensions, with the folder of the
images in front, or with the flag of a class behind (-1, 0 or 1); such lines match where no file has the whole line's name.
"""

from __future__ import annotations

import pathlib
import re
import unicodedata
from collections.abc import Iterator

from boxwright import states
from boxwright.convert import account, choices, dataset, folders

NO_SUCH_FILE = "line of a set list that names no XML file that was read"
TWO_SETS = "image in two set lists: the first counts"
_FLAG = re.compile(r"\s+(?:-1|0|1)\s*$")
_NAMES = {
    states.MlUse.TRAIN: ("train",),
    states.MlUse.VALIDATION: ("val", "valid", "validation"),
    states.MlUse.TEST: ("test",),
}


def lists(source: pathlib.Path) -> list[tuple[pathlib.Path, states.MlUse]]:
    """(file, set) of the lists in a folder."""
    folder = source / "ImageSets" / "Main"
    found = [(folder / f"{name}.txt", split) for split, names in _NAMES.items() for name in names]
    return [(file, split) for file, split in found if file.is_file()]


def apply(found: list[tuple[pathlib.Path, states.MlUse]], data: dataset.Dataset, told: account.Account) -> None:
    """Puts the images into the sets that the lists say; the key of an image is the name of its XML file.

    Raises:
        ApiError: INVALID_ARGUMENT if a list cannot be read.
    """
    for file, split in found:
        for number, line in enumerate(choices.read_text(file).splitlines(), 1):
            if not line.strip():
                continue
            where = f"{file}, line {number}"
            key = next((name for name in _spellings(line) if data.has_key(name)), None)
            if key is None:
                told.note(NO_SUCH_FILE, where)
            elif (image := data.by_key(key)) is not None:
                if data.is_new("image in a set list", key):
                    data.set_split(image[0], split)
                elif data.split_of(image[0]) is not split:
                    told.note(TWO_SETS, where)


def _spellings(line: str) -> Iterator[str]:
    """What a line may mean, to the letter first."""
    yield line
    for text in dict.fromkeys((line.strip(), _FLAG.sub("", line.strip()))):
        path = text.replace("\\", "/")
        for name in (path, path.rsplit("/", 1)[-1]):
            known = pathlib.PurePosixPath(name)
            bare = str(known.with_suffix("")) if folders.is_image_name(name) or known.suffix == ".xml" else name
            for spelling in (name, bare):
                yield spelling
                yield unicodedata.normalize("NFC", spelling)
                yield unicodedata.normalize("NFD", spelling)
