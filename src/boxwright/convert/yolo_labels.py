"""YOLO's label files: which one belongs to an image, and what its lines say."""

from __future__ import annotations

import dataclasses
import pathlib

from boxwright import errors
from boxwright.convert import dataset, entries, folders, image_files, options, yolo_layout

POLYGON = "outline (segmentation or turned box): its upright bounding box is taken"
KEYPOINTS = "keypoints of a box, which are dropped"
BACKGROUND = "image without a label file: taken as one with nothing in it"
ORPHAN = "label file of no image that was read: left out"
SHARED = "label file of two images: both get its boxes"
DIFFERING = "image with two label files that differ: the one that trainers read is used"
RENAMED = "label file that is named otherwise than its image ({how}): taken as the image's"
LABEL_FILE = "label file"
_NO_LABELS = frozenset(
    {"classes.txt", "_darknet.labels", "train.txt", "val.txt", "valid.txt", "test.txt", "unassigned.txt"}
)
_OUTLINE_MAX_NORM = 1.5  # an outline may leave its image a little; 2 is the mark of a visible keypoint


def label_paths(image: pathlib.PurePosixPath) -> list[pathlib.PurePosixPath]:
    """Where the label file of an image may lie, in the order in which it is looked for.

    Trainers put `labels` in the place of the last folder `images` of the path
    (https://docs.ultralytics.com/datasets/detect/), Darknet in that of the first; without one it lies beside the image.
    """
    parts = image.with_suffix(".txt").parts
    exact = [index for index, part in enumerate(parts[:-1]) if part == "images"]
    alike = [index for index, part in enumerate(parts[:-1]) if part != "images" and part.lower() == "images"]
    places = [*reversed(exact), *reversed(alike)]
    found = [pathlib.PurePosixPath(*parts[:index], "labels", *parts[index + 1 :]) for index in places]
    return [*found, pathlib.PurePosixPath(*parts)]


@dataclasses.dataclass
class Reader:
    """Reads the label files of one data set.

    Attributes:
        layout: names, root and keypoints.
        data: where boxes are added.
        chosen: who is told.
        without: how many images had no label file.
    """

    layout: yolo_layout.Layout
    data: dataset.Dataset
    chosen: options.ConvertOptions
    without: int = 0

    def __post_init__(self) -> None:
        self._listings = image_files.Listings()

    def close(self) -> None:
        """Frees what is remembered about folders."""
        self._listings.close()

    def has_labels(self, image: pathlib.PurePosixPath) -> bool:
        """Whether there is a label file of exactly the name of an image, whose path is relative to the root."""
        return any(folders.is_file(self.layout.root / path) for path in label_paths(image))

    def read(self, image: pathlib.PurePosixPath, image_id: int, where: str) -> None:
        """Adds the boxes of an image, whose path is relative to the root."""
        file = self._find(image, where)
        if file is None:
            self.without += 1
            self.chosen.told.note(BACKGROUND, where)
            return
        if not self.data.is_new(LABEL_FILE, str(file)):
            self.chosen.told.note(SHARED, str(file))
        try:
            text = options.read_text(file)
        except errors.ApiError as error:
            self.chosen.told.refuse(str(file), error.message.removeprefix(f"{file}: ").rstrip("."))
            self.data.lost_box(image_id)
            return
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                self._read_line(line.split(), image_id, f"{file}, line {number}")

    def tell_orphans(self) -> int:
        """Tells the label files that belong to no image which was read; returns their number."""
        count = 0
        for file in folders.files(self.layout.root, {".txt"}):
            if file.name not in _NO_LABELS and not self.data.has_seen(LABEL_FILE, str(file)):
                inside = any(part.lower() == "labels" for part in file.relative_to(self.layout.root).parts[:-1])
                if inside or _looks_like_labels(file):
                    self.chosen.told.note(ORPHAN, str(file))
                    count += 1
        return count

    def _find(self, image: pathlib.PurePosixPath, where: str) -> pathlib.Path | None:
        root, paths = self.layout.root, label_paths(image)
        there = [root / path for path in paths if folders.is_file(root / path)]
        for other in there[1:]:
            self.data.is_new(LABEL_FILE, str(other))
            if other.read_bytes() != there[0].read_bytes():
                self.chosen.told.note(DIFFERING, f"{there[0]}, {other}")
        return there[0] if there else self._find_alike(image, paths)

    def _find_alike(self, image: pathlib.PurePosixPath, paths: list[pathlib.PurePosixPath]) -> pathlib.Path | None:
        """The only label file whose name is like that of the image and of no other image."""
        root = self.layout.root
        for path in paths:
            found = self._listings.alike(root, path.parts, suffixes=frozenset({".txt"}))
            if found is None:
                continue
            file = root.joinpath(*found[0])
            owner = self._listings.alike(root, [*image.parent.parts, f"{file.stem}.jpg"])
            is_of_another = owner is not None and pathlib.PurePosixPath(owner[0][-1]).stem == file.stem != image.stem
            if not is_of_another and not self.data.has_seen(LABEL_FILE, str(file)):
                if found[1]:
                    self.chosen.told.note(RENAMED.format(how=found[1]), f"{file} → {image}")
                return file
        return None

    def _read_line(self, cells: list[str], image_id: int, where: str) -> None:
        number, values, problem = self._values(cells, where)
        if problem or values is None:
            self.chosen.told.refuse(where, problem or "")
            self.data.lost_box(image_id)
            return
        score = None
        if len(values) in (4, 5):
            x, y, width, height = values[:4]
            score = entries.told_score(values[4], where, self.chosen.told) if len(values) == 5 else None
            corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        else:
            xs, ys = values[0::2], values[1::2]
            corners = (min(xs), min(ys), max(xs), max(ys))
            self.chosen.told.note(POLYGON, where)
        self.data.add_box(image_id, dataset.Box(self.layout.names[number], corners, score=score), where)

    def _values(self, cells: list[str], where: str) -> tuple[int, tuple[float, ...] | None, str | None]:
        """(class number, the box's or outline's values, what is wrong with them) of a line."""
        layout = self.layout
        try:
            number_as_float, values = (
                float(cells[0]),
                entries.finite([float(cell) for cell in cells[1:]], len(cells) - 1),
            )
        except ValueError:
            return -1, None, "a class number and fractions are expected"
        if values is None or not number_as_float.is_integer():
            return -1, None, "a class number and fractions are expected"
        number, problem = int(number_as_float), None
        if number not in layout.names:
            problem = f"class {number} is not among the {len(layout.names)} names"
        elif layout.keypoint_values and len(values) == 4 + layout.keypoint_values:
            self.chosen.told.note(KEYPOINTS, where)
            values = values[:4]
        elif layout.keypoint_values and len(values) != 4:
            problem = f"it has {len(cells)} values; kpt_shape asks for {5 + layout.keypoint_values}"
        elif len(values) not in (4, 5) and (len(values) < 6 or len(values) % 2):
            expected = "class, cx, cy, width, height are expected, and a score if it is a prediction"
            problem = f"it has {len(cells)} values; {expected}"
        if problem is None and max(values) > 2:
            problem = "these are pixels; fractions of the image's width and height are expected"
        elif problem is None and len(values) > 5 and max(values) > _OUTLINE_MAX_NORM:
            problem = "an outline far outside its image; if these are keypoints, name kpt_shape in data.yaml"
        return number, values, problem


def _looks_like_labels(file: pathlib.Path) -> bool:
    """Whether the first line that is not empty has a class number and four or more numbers."""
    try:
        with file.open(encoding="utf-8-sig") as handle:
            cells = next((line.split() for line in iter(lambda: handle.readline(10_000), "") if line.strip()), [])
        return len([float(cell) for cell in cells]) >= 5
    except (OSError, ValueError):
        return False
