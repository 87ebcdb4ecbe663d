"""What a person may choose about a conversion, as one value that every format reads from."""

from __future__ import annotations

import dataclasses
import pathlib

from boxwright import errors, states
from boxwright.convert import account, entries, image_files

SPLIT_NAMES = {
    states.MlUse.TRAIN: "train",
    states.MlUse.VALIDATION: "val",
    states.MlUse.TEST: "test",
    states.MlUse.UNASSIGNED: "unassigned",
}
SPLITS = {
    **{name: split for split, name in SPLIT_NAMES.items()},
    "training": states.MlUse.TRAIN,
    "valid": states.MlUse.VALIDATION,
    "validation": states.MlUse.VALIDATION,
}


@dataclasses.dataclass(frozen=True)
class ConvertOptions:
    """What the flags said.

    Attributes:
        told: where to tell what was lost.
        finder: the image files.
        split: the set of images whose source names none.
        image_prefix: what paths begin with instead of the source's folder.
        voc_first_pixel: the number of the first column and row in VOC files, 1 or 0.
        voc_exact: write fractions of pixels into VOC files.
        copy_images: put the images beside their annotations.
        control: the name of the control that Label Studio's regions belong to.
        orientation: what boxes of turned images refer to: `displayed`, `stored`, or `auto` to go by the annotation's size.
    """

    told: account.Account
    finder: image_files.Finder
    split: states.MlUse = states.MlUse.UNASSIGNED
    image_prefix: str | None = None
    voc_first_pixel: int = 1
    voc_exact: bool = False
    copy_images: bool = False
    orientation: str = "auto"
    control: str = "label"


def read_text(path: pathlib.Path) -> str:
    """The content of a small text file.

    Raises:
        ApiError: INVALID_ARGUMENT if it cannot be read or is no UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.bad_request(f"{path}: this is not a UTF-8 text file ({error.reason}).") from error
    except OSError as error:
        raise errors.bad_request(f"{path}: {error.strerror}.") from error


def image_name(path: str, common_folder: str) -> str:
    """The name of an image below the folder of images: of a URI, what follows the folder that all lie in."""
    return path.removeprefix(common_folder) if entries.is_uri(path) else path


def address(path: str, common_folder: str, prefix: str | None) -> str:
    """What a format whose paths say where images are calls one: its path, or its name below the prefix."""
    if prefix is None:
        return path
    folder = prefix if prefix.endswith("://") else f"{prefix.rstrip('/')}/"
    return folder + image_name(path, common_folder)
