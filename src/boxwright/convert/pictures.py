"""The images of a data set: their files beside their annotations, how large they are, which way up their boxes are meant.

Boxwright's boxes, like those of YOLO's trainers, refer to the image as it is displayed, its EXIF orientation applied. COCO
and VOC do not say; there the size in the annotation tells, wherever the orientation swaps width and height.
"""

from __future__ import annotations

import pathlib

from boxwright import states
from boxwright.convert import account, dataset, entries, folders, image_files, options
from boxwright.images import decode

TURNED = "boxes of an image turned from its stored to its displayed orientation"
AMBIGUOUS = "image with an EXIF orientation that its annotation does not mention: taken as displayed"
OTHER_SIZE = "image of another size than its annotation says: boxes kept as fractions"
MISSING = "image whose file was not found: kept under the name that it has in the annotations"
UNCHECKED = "image whose file is not here: names were not compared with files (--images DIR says where they are)"
NO_SIZE = "its image has neither a width and height nor a file that was found; name the folder with --images"
UNNAMED = "image file beside the others that no annotation names: left out"


def add(
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
    path: str,
    split: states.MlUse,
    size_hw: tuple[int, int] | None,
    where: str,
    *,
    key: str | None = None,
    located: image_files.Located | None = None,
) -> int | None:
    """Makes an image known under the name of its file; returns its number, None if it was refused.

    Args:
        data: where it is added.
        chosen: the finder of files, and who is told of names that differ.
        path: as the annotation names it.
        split: its set.
        size_hw: (height, width) in pixels, as the annotation says.
        where: the place of the annotation.
        key: a name by which annotations refer to it.
        located: its file, if that was looked for already.
    """
    path = entries.tidy(path)
    if located is None and entries.path_problem(path) is None:
        located = chosen.finder.locate(path)
    return add_located(data, chosen, path, split, size_hw, where, key=key, located=located)


def add_located(
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
    path: str,
    split: states.MlUse,
    size_hw: tuple[int, int] | None,
    where: str,
    *,
    key: str | None,
    located: image_files.Located | None,
) -> int | None:
    """As `add`, of an image whose file was looked for already: None if it was not found."""
    path = entries.tidy(path)
    if located is not None and (located.how or entries.is_uri(path)) and data.has_file(located.file):
        located = None  # it is another image's; a name that is only alike, or the end of one, does not claim it
    if located is None:
        return data.add_image(path, split, size_hw, where, key=key)
    if located.how:
        chosen.told.note(image_files.RENAMED.format(how=located.how), f"{where}: {path} → {located.name}")
        path = path if entries.is_uri(path) else located.name
    return data.add_image(path, split, size_hw, where, key=key, file=located.file)


def add_sized(
    data: dataset.Dataset,
    chosen: options.ConvertOptions,
    path: str,
    split: states.MlUse,
    size_hw: tuple[int, int] | None,
    where: str,
    *,
    key: str | None = None,
    located: image_files.Located | None = None,
) -> tuple[int, tuple[int, int] | None] | None:
    """As `add`, with the size from the image's header where the annotation says none.

    Returns:
        (number, (height, width) in pixels or None without a file); None if the image was refused or is damaged.
    """
    image_id = add(data, chosen, path, split, size_hw, where, key=key, located=located)
    if image_id is None or size_hw is not None:
        return None if image_id is None else (image_id, size_hw)
    has_file = data.file_of(image_id) is not None
    found = find_size(data, image_id, chosen)
    return None if has_file and found is None else (image_id, found)


def find_size(data: dataset.Dataset, image_id: int, chosen: options.ConvertOptions) -> tuple[int, int] | None:
    """(height, width) in pixels of an image whose annotation does not say, in the frame that boxes refer to.

    None without a file. An image with a damaged file is left out of the data set, and None too.

    Raises:
        ApiError: INVALID_ARGUMENT if the file is damaged, unless unusable entries are to be left out.
    """
    file = data.file_of(image_id)
    if file is None:
        return None
    header = _header(file, chosen.told)
    if header is None:
        data.remove_image(image_id)
        return None
    size_hw, orientation = header
    if orientation != 1 and chosen.orientation == "auto":
        chosen.told.note(AMBIGUOUS, str(file))
    if orientation >= 5 and chosen.orientation == "stored":
        size_hw = size_hw[::-1]
    data.set_size(image_id, size_hw)
    return size_hw


def _header(file: pathlib.Path | None, told: account.Account) -> tuple[tuple[int, int], int] | None:
    if file is None:
        return None
    try:
        return image_files.header(file)
    except decode.DecodeError as error:
        told.refuse(str(file), error.reason.rstrip("."))
        return None


def check_files(data: dataset.Dataset, told: account.Account) -> None:
    """Tells the images whose files are not there, and the image files beside the others that nothing names."""
    count, place = data.without_file()
    there = data.folders()
    told.note(MISSING if there else UNCHECKED, place, count)
    for folder in there:
        for file in sorted(pathlib.Path(folder).iterdir()):
            if folders.is_image_name(file.name) and not folders.is_passed_over(file.name) and not data.has_file(file):
                told.note(UNNAMED, str(file))


def settle(
    data: dataset.Dataset,
    told: account.Account,
    *,
    turn: str = "auto",
    sizes_wanted: bool,
    sizes_used: bool = False,
    files_wanted: bool = False,
) -> None:
    """Brings every image's size and boxes into the frame of the displayed image.

    Args:
        data: what was read; changed in place. An image without a file keeps what its annotation says.
        told: hears what was turned, doubtful or left out.
        turn: `displayed` or `stored`, what the boxes refer to, or `auto` to go by the annotation's size.
        sizes_wanted: whether the target needs the size of every image.
        sizes_used: whether the target has the size of an image whose file is there.
        files_wanted: whether the target needs the file of every image.

    Raises:
        ApiError: INVALID_ARGUMENT if a size or a file is needed and not to be had, or an image file is damaged, unless
            such images are to be left out.
    """
    for page in data.pages():
        for picture in page:
            if picture.file is None:
                lacking = "its file is to be copied" if files_wanted else "its width and height are needed"
                if files_wanted or (sizes_wanted and picture.size_hw is None):
                    why = f"{lacking}, and its file was not found; name the folder of the images with --images"
                    told.refuse(picture.path, why)
                    data.remove_image(picture.image_id)
            elif sizes_wanted or sizes_used or picture.size_hw is not None or turn == "stored":
                header = _header(picture.file, told)
                if header is None:
                    data.remove_image(picture.image_id)
                else:
                    _settle_one(data, picture, header, told, turn)


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
