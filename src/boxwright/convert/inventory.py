"""What a data set holds, counted: sets, labels, boxes, scores, marks, and the folders that its images lie in."""

from __future__ import annotations

import itertools
import os
import pathlib
import sqlite3

from boxwright import states


class Inventory:
    """Questions about the tables of a data set.

    Args:
        database: with the tables that `dataset` makes.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database
        self.labels_are_ordered = False  # whether the source numbers its labels

    def holds(self) -> tuple[bool, bool]:
        """Whether there are (boxes, labels of images as a whole)."""
        statement = "SELECT EXISTS (SELECT 1 FROM boxes WHERE x_min IS {} NULL)"
        boxes, labels = (self._db.execute(statement.format(word)).fetchone()[0] for word in ("NOT", ""))
        return bool(boxes), bool(labels)

    def labels(self) -> list[str]:
        """All labels, in the source's order; by name if it has none."""
        names = [name for (name,) in self._db.execute("SELECT name FROM labels ORDER BY id")]
        return names if self.labels_are_ordered else sorted(names)

    def unused_labels(self) -> list[str]:
        """Labels without a box."""
        statement = "SELECT name FROM labels WHERE id NOT IN (SELECT label_id FROM boxes) ORDER BY id"
        return [name for (name,) in self._db.execute(statement)]

    def splits(self) -> list[states.MlUse]:
        """The sets that have images."""
        present = {value for (value,) in self._db.execute("SELECT DISTINCT split FROM images")}
        return [split for split in states.MlUse if split.value in present]

    def count(self) -> tuple[int, int, int]:
        """(images, boxes, images without a box)."""
        images, boxes, empty = self._db.execute(
            "SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM boxes), "
            "(SELECT count(*) FROM images WHERE id NOT IN (SELECT image_id FROM boxes))"
        ).fetchone()
        return images, boxes, empty

    def without_file(self) -> tuple[int, str]:
        """(how many images have no file, where the first of them is named)."""
        statement = "SELECT count(*), (SELECT place FROM images WHERE file IS NULL ORDER BY id LIMIT 1) FROM images"
        count, place = self._db.execute(f"{statement} WHERE file IS NULL").fetchone()
        return count, place or ""

    def folders(self) -> list[str]:
        """The folders that images lie in."""
        rows = self._db.execute("SELECT DISTINCT folder FROM images WHERE folder IS NOT NULL ORDER BY folder")
        return [os.fsdecode(name) for (name,) in rows]

    def has_file(self, file: pathlib.Path) -> bool:
        """Whether a file is that of an image."""
        return self._db.execute("SELECT 1 FROM images WHERE file = ?", (os.fsencode(file),)).fetchone() is not None

    def common_folder(self) -> str:
        """The folder that all images lie in, with its slash; empty if there is none."""
        first, last = self._db.execute("SELECT min(path), max(path) FROM images").fetchone()
        if first is None:
            return ""
        # What the first and the last path of an order share, all between them share.
        shared = "".join(
            a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
        )
        return shared[: shared.rfind("/") + 1]

    def has_several_labels(self) -> bool:
        """Whether an image has more than one label as a whole."""
        statement = "SELECT 1 FROM boxes WHERE x_min IS NULL GROUP BY image_id HAVING count(*) > 1 LIMIT 1"
        return self._db.execute(statement).fetchone() is not None

    def scored(self) -> tuple[int, str]:
        """(how many boxes and labels have a score, the path of the first image with one)."""
        return self._counted("score NOT NULL")

    def marked(self, mark: str) -> tuple[int, str]:
        """(how many boxes have a mark, the path of the first image with one)."""
        return self._counted("' ' || marks || ' ' LIKE ?", f"% {mark} %")

    def _counted(self, condition: str, *values: object) -> tuple[int, str]:
        statement = f"SELECT count(*), min(image_id) FROM boxes WHERE {condition}"
        count, image_id = self._db.execute(statement, values).fetchone()
        found = self._db.execute("SELECT path FROM images WHERE id = ?", (image_id,)).fetchone()
        return count, found[0] if found else ""

    def of_split(self, split: states.MlUse) -> tuple[int, str]:
        """(how many images a set has, the path of the first of them)."""
        statement = "SELECT count(*), min(id) FROM images WHERE split = ?"
        count, image_id = self._db.execute(statement, (split.value,)).fetchone()
        found = self._db.execute("SELECT path FROM images WHERE id = ?", (image_id,)).fetchone()
        return count, found[0] if found else ""
