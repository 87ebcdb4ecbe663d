"""The image files of a data set: where they lie, how large they are, and which way up their boxes are meant.

Boxwright's boxes, like those of YOLO's trainers, refer to the image as it is displayed, its EXIF orientation applied. COCO
and VOC do not say; there the size in the annotation tells, wherever the orientation swaps width and height.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from boxwright import errors
from boxwright.convert import account, dataset
from boxwright.prediction import decode

TURNED = "boxes of an image turned from its stored to its displayed orientation"
AMBIGUOUS = "image with an EXIF orientation that its annotation does not mention: taken as displayed"
OTHER_SIZE = "image of another size than its annotation says: boxes kept as fractions"


class Finder:
    """Finds the files of images.

    Args:
        roots: folders in which relative paths begin, best first.
    """

    def __init__(self, roots: Sequence[pathlib.Path]) -> None:
        self._roots = [root for root in roots if root.is_dir()]

    def find(self, path: str) -> pathlib.Path | None:
        """The file of an image; for a URI, the longest end of it that exists below a root."""
        parts = pathlib.PurePosixPath(path.split("://", 1)[-1]).parts
        starts = range(len(parts)) if dataset.is_uri(path) else (0,)
        if path.startswith("/") and pathlib.Path(path).is_file():
            return pathlib.Path(path)
        for start in starts:
            for root in self._roots:
                candidate = root.joinpath(*[part for part in parts[start:] if part != "/"])
                if candidate.is_file():
                    return candidate
        return None

    def header(self, path: str) -> tuple[tuple[int, int], int] | None:
        """((height, width) as displayed, EXIF orientation) of an image, None if its file is not there.

        Raises:
            ApiError: INVALID_ARGUMENT if the file is no usable image.
        """
        file = self.find(path)
        if file is None:
            return None
        data = file.read_bytes()
        try:
            return decode.upright_size(data), decode.exif_orientation(data)
        except decode.DecodeError as error:
            raise errors.bad_request(f"{file}: {error.reason}") from error


def settle(
    data: dataset.Dataset, finder: Finder, told: account.Account, *, turn: str = "auto", sizes_wanted: bool
) -> None:
    """Brings every image's size and boxes into the frame of the displayed image.

    Args:
        data: what was read; changed in place.
        finder: where the image files are; an image without a file keeps what its annotation says.
        told: hears what was turned or doubtful.
        turn: `displayed` or `stored`, what the boxes refer to, or `auto` to go by the annotation's size.
        sizes_wanted: whether the target needs the size of every image.

    Raises:
        ApiError: INVALID_ARGUMENT if a size is needed and not to be had, or an image file is damaged.
    """
    for page in data.pages():
        for picture in page:
            if not sizes_wanted and picture.size_hw is None and turn != "stored":
                continue  # boxes are fractions already: the file can say nothing of use
            header = finder.header(picture.path)
            if header is not None:
                _settle_one(data, picture, header, told, turn)
            elif picture.size_hw is None and sizes_wanted:
                raise errors.bad_request(
                    f"{picture.path}: its width and height are needed, and its file was not found; "
                    "name the folder of the images with --images."
                )


def _settle_one(
    data: dataset.Dataset,
    picture: dataset.Picture,
    header: tuple[tuple[int, int], int],
    told: account.Account,
    turn: str,
) -> None:
    displayed_hw, orientation = header
    if orientation != 1 and _is_stored_frame(picture, displayed_hw, orientation, told, turn):
        for box_id, corners in data.boxes_of(picture.image_id):
            data.move_box(box_id, turned(corners, orientation))
        told.note(TURNED, picture.path)
    elif picture.size_hw not in (None, displayed_hw):
        told.note(OTHER_SIZE, picture.path)
    data.set_size(picture.image_id, displayed_hw)


def _is_stored_frame(
    picture: dataset.Picture, displayed_hw: tuple[int, int], orientation: int, told: account.Account, turn: str
) -> bool:
    if turn != "auto":
        return turn == "stored"
    if picture.size_hw is None:
        return False
    if orientation >= 5 and displayed_hw[0] != displayed_hw[1]:
        return picture.size_hw == displayed_hw[::-1]
    told.note(AMBIGUOUS, picture.path)
    return False


def turned(corners: dataset.Corners, orientation: int) -> dataset.Corners:
    """A box of the stored image in the frame of the displayed one; EXIF 2.3, tag 274."""
    points = []
    for x, y in (corners[:2], corners[2:]):
        if orientation >= 5:
            x, y = y, x  # 5 is the transposition alone; 6 to 8 mirror it
        points.append((1 - x if orientation in (2, 3, 6, 7) else x, 1 - y if orientation in (3, 4, 7, 8) else y))
    (x_a, y_a), (x_b, y_b) = points
    return min(x_a, x_b), min(y_a, y_b), max(x_a, x_b), max(y_a, y_b)
