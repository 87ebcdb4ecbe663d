"""The import CSVs (docs/import.md): a box a row, corners as fractions of the displayed image; or labels after the image."""

from __future__ import annotations

import csv
import functools
import io
import pathlib
import re
from collections.abc import Iterator

from boxwright import errors, rows, states
from boxwright.convert import account, dataset, entries, options, output, pictures
from boxwright.runners import box_rows, import_rows, label_rows

PLACES = 9  # a thousandth of the published precision, so that a detour over another format changes nothing
TOO_SMALL = (
    f"box smaller than {box_rows.MIN_EDGE_NORM} of the image's side: written; an import takes it with wide_box_limits=true "
    "only"
)
TWO_SETS = "image in two sets: the first counts"
_QUOTED = re.compile(r"[^\w/:.-]")  # what `csv.writer` may put into quotes
_ANY_URI = "gs://bucket/image"  # stands for the path while a row is parsed: here it may also be a local one


def recognise(source: pathlib.Path) -> bool:
    """Whether this is a CSV, or a folder with exactly one."""
    return _file(source) is not None


def read(source: pathlib.Path, data: dataset.Dataset, chosen: options.ConvertOptions) -> None:
    """Reads the rows of the file, or of the only CSV in the folder.

    Raises:
        ApiError: INVALID_ARGUMENT naming file and line.
    """
    file = _file(source)
    if file is None:
        raise errors.bad_request(f"{source}: there is no CSV, or more than one; name the file.")
    parse = label_rows.parse if _is_of_labels(file) else functools.partial(box_rows.parse, min_edge_norm=0)
    for where, cells in _cells(file, chosen.told):
        path = cells[1] if len(cells) > 1 else ""
        try:
            row = parse([cells[0], path and _ANY_URI, *cells[2:]])
        except import_rows.BadRow as bad:
            chosen.told.refuse(where, str(bad))
            continue
        image_id = _image(data, chosen, path, row.ml_use, where)
        if image_id is None:
            continue
        for label, box in row.annotations:
            if box is None:
                data.add_image_label(image_id, label, where)
            else:
                data.add_box(image_id, dataset.Box(label, box), where)


def _cells(file: pathlib.Path, told: account.Account | None) -> Iterator[tuple[str, list[str]]]:
    """Yields (place, cells) of the rows, with a cell for the set."""
    for number, line in _lines(file):
        where = f"{file}, line {number}"
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True, strict=True), [])]
        except csv.Error as error:
            if told is not None:
                told.refuse(where, f"this is no row of a CSV ({error})")
            continue
        if any(cells):
            yield where, ["", *cells] if entries.is_uri(cells[0]) else cells  # as in an import, the set may be left out


def _is_of_labels(file: pathlib.Path) -> bool:
    """Whether rows have labels and no row has a box: then they are labels of whole images."""
    has_labels = False
    for _, cells in _cells(file, None):
        if box_rows.is_box(cells[3:]) or _is_broken_box(cells):
            return False
        labels = [cell for cell in cells[2:] if cell]
        has_labels = has_labels or (bool(labels) and [label.upper() for label in labels] != [box_rows.NEGATIVE_IMAGE])
    return has_labels


def _is_broken_box(cells: list[str]) -> bool:
    """Whether a row that is no box was meant to be one: a label may be a whole number, but is hardly a fraction."""
    corners = cells[3:11]
    numbers = [cell for cell in corners if _is_number(cell)]
    if not numbers or _is_number(cells[2]):
        return False
    last = max(number for number, cell in enumerate(corners) if cell)
    has_gaps = not all(corners[:last])  # labels leave no column empty between them
    return has_gaps or any("." in cell for cell in numbers)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _image(
    data: dataset.Dataset, chosen: options.ConvertOptions, path: str, split: states.MlUse, where: str
) -> int | None:
    """The number of the image of a row: an image has a row for every box."""
    key = entries.tidy(path)
    known = data.by_key(key)
    if known is None and data.has_key(key):
        chosen.told.refuse(where, "its image was left out")
        return None
    if known is None:
        return pictures.add(data, chosen, path, split, None, where, key=key)
    if data.split_of(known[0]) is not split:
        chosen.told.note(TWO_SETS, where)
    return known[0]


def write(data: dataset.Dataset, target: pathlib.Path, chosen: options.ConvertOptions) -> None:
    """Writes one row a box, in the two-vertex form, or one an image with its labels; an image may have none.

    Raises:
        ApiError: FAILED_PRECONDITION if the file cannot be written.
    """
    common, of_labels = data.common_folder(), data.holds()[1]
    least = box_rows.MIN_EDGE_NORM - box_rows.TOLERANCE_NORM
    cell = functools.lru_cache(maxsize=1024)(_cell)
    with output.new_file(target) as handle:
        writer = csv.writer(handle, lineterminator="\n")
        for picture in data.pictures():
            path = options.address(picture.path, common, chosen.image_prefix)
            if path != path.strip():
                chosen.told.refuse(path, "its name begins or ends with a space, which a CSV cannot carry: rename it")
                continue
            if of_labels:
                writer.writerow([picture.split.value, path, *picture.labels])
                continue
            head = f"{picture.split.value},{_cell(path)},"
            handle.writelines([f"{head}{cell(box.label)},{_corners(box.corners_norm)}\n" for box in picture.boxes])
            for _, (left, top, right, bottom), _, _ in picture.boxes:
                if right - left < least or bottom - top < least:
                    chosen.told.note(TOO_SMALL, path)
            if not picture.boxes:
                writer.writerow([picture.split.value, path, *[""] * 9])


def _file(source: pathlib.Path) -> pathlib.Path | None:
    if source.is_file():
        return source if source.suffix.lower() == ".csv" else None
    found = [source / "labels.csv"] if (source / "labels.csv").is_file() else sorted(source.glob("*.csv"))
    return found[0] if len(found) == 1 else None


def _lines(file: pathlib.Path) -> Iterator[tuple[int, str]]:
    """Yields (line number, line), never holding more than one line."""
    number = 1
    try:
        with file.open(encoding="utf-8-sig") as handle:
            while line := handle.readline(rows.MAX_LINE_CHARS + 1):
                if len(line) > rows.MAX_LINE_CHARS or "\0" in line:
                    raise errors.bad_request(f"{file}, line {number}: this is not a CSV (endless line, or NUL bytes).")
                yield number, line.rstrip("\n")
                number += 1
    except UnicodeDecodeError as error:
        raise errors.bad_request(f"{file}: this is not a UTF-8 text file ({error.reason}).") from error
    except OSError as error:
        raise errors.bad_request(f"{file}: {error.strerror}.") from error


def _cell(text: str) -> str:
    """A cell as `csv.writer` writes it among others."""
    if not _QUOTED.search(text):
        return text
    target = io.StringIO(newline="")
    csv.writer(target, lineterminator="\n").writerow(["", text])
    return target.getvalue()[1:-1]


def _corners(corners_norm: dataset.Corners) -> str:
    """The eight cells of a box in the two-vertex form: at most `PLACES` decimals, without superfluous ones."""
    left, top, right, bottom = [
        f"{side:.9f}".rstrip("0") for side in corners_norm
    ]  # PLACES, written out: asked so often
    text = f"{left},{top},,,{right},{bottom},,"
    return text if ".," not in text else text.replace(".,", ",")
