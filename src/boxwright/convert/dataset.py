"""Labelled images between two formats: kept in a temporary SQLite file, so that memory does not grow with them.

All boxes are xyxy, as fractions of the image's width and height in [0, 1], in the frame that `pictures` settles: the
image as it is displayed. Images keep the order in which they were read, boxes that within their image. A label
of an image as a whole is kept as one without corners.
"""

from __future__ import annotations

import os
import pathlib
import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from boxwright import states, temporary
from boxwright.convert import account, entries, inventory, number_runs
from boxwright.tool_formats.pictures import Box as Box
from boxwright.tool_formats.pictures import Corners as Corners
from boxwright.tool_formats.pictures import Picture as Picture

CROWD, DIFFICULT, TRUNCATED = entries.CROWD, entries.DIFFICULT, entries.TRUNCATED
OUTSIDE_TOLERANCE_NORM = 1e-6  # a box may stick out by its last decimal without being worth a word
WITHIN_A_PIXEL = "box within the first pixel of its image: are these fractions, where pixels are expected?"
NO_AREA = "box without area inside its image: left out"
CLIPPED = "box partly outside its image: cut at the edge"
REVERSED = "box whose corners are given in another order: put in order"
REPEATED = "box that stands twice in its image, with the same label: both are kept"
ALL_LOST = "image whose every box was left out: left out, as it would seem to be empty"
_NO_MARKS: frozenset[str] = frozenset()
_BATCH = 1000  # boxes that are written at once
_SCHEMA = """
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
    CREATE TABLE images (id INTEGER PRIMARY KEY, path TEXT UNIQUE, split TEXT, height INTEGER, width INTEGER,
                         lost INTEGER DEFAULT 0, place TEXT, file BLOB UNIQUE, folder BLOB);
    CREATE TABLE labels (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
    CREATE TABLE boxes (id INTEGER PRIMARY KEY, image_id INTEGER, label_id INTEGER, x_min REAL, y_min REAL, x_max REAL,
                        y_max REAL, marks TEXT, score REAL);
    CREATE TABLE keys (key TEXT PRIMARY KEY, image_id INTEGER) WITHOUT ROWID;
    CREATE TABLE seen (kind TEXT, name, PRIMARY KEY (kind, name)) WITHOUT ROWID;
"""


class Dataset(inventory.Inventory):
    """The images, labels and boxes of one conversion; a context manager that removes its file at the end."""

    def __init__(self, told: account.Account) -> None:
        self._told = told
        self._folder = temporary.TemporaryFolder("convert")
        super().__init__(sqlite3.connect(self._folder.path / "dataset.sqlite", isolation_level=None))
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")
        self._label_ids: dict[str, int] = {}
        self._pending: list[tuple[object, ...]] = []  # rows of boxes that are not written yet
        self._asked: dict[tuple[str, str], tuple[str, str]] = {}  # what `note_repeated` has not looked for yet
        self._new_keys: list[tuple[str, int | None]] = []  # that are not written yet
        self._key_run, self._keys_are_run = number_runs.NumberRange(), True  # whether all keys are of the run
        self._runs: dict[str, number_runs.NumberRange] = {}  # by kind, what `note_repeated` need not write down
        self._last_key: tuple[str, tuple[int, tuple[int, int] | None] | None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._folder.close()

    def add_label(self, name: str) -> int:
        """Makes a label known, with or without boxes; returns its number."""
        if name not in self._label_ids:
            self._label_ids[name] = len(self._label_ids) + 1
            self._db.execute("INSERT INTO labels VALUES (?, ?)", (self._label_ids[name], name))
        return self._label_ids[name]

    def add_image(
        self,
        path: str,
        split: states.MlUse,
        size_hw: tuple[int, int] | None,
        where: str,
        *,
        file: pathlib.Path | None = None,
        key: str | None = None,
    ) -> int | None:
        """Makes an image known; returns its number, None if it was refused: its path is none, or known already.

        Args:
            path: relative, or a URI.
            split: what the source says.
            size_hw: what the annotation says, (height, width) in pixels.
            where: the place in the source, for what may have to be told.
            file: where it lies, if it was found.
            key: a name by which `by_key` finds the image.
        """
        path, raw = entries.tidy(path), None if file is None else os.fsencode(file)
        self._last_key, image_id = None, None
        problem = entries.path_problem(path)
        if problem is None:
            height, width = size_hw or (None, None)
            values = (path, split.value, height, width, _text(where), raw, file and os.fsencode(file.parent))
            try:
                image_id = self._db.execute(
                    "INSERT INTO images (path, split, height, width, place, file, folder) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    values,
                ).lastrowid
            except sqlite3.IntegrityError:
                problem = self._known_problem(path, raw)
        if problem:
            self._told.refuse(where, problem)
            if key is not None:
                self._keys_are_run = self._key_run.takes(key) and self._keys_are_run
                self._write_keys()
                self._db.execute("INSERT OR IGNORE INTO keys VALUES (?, NULL)", (_text(key),))
            return None
        if key is not None:
            self._keys_are_run = self._key_run.takes(key) and self._keys_are_run
            self._new_keys.append((_text(key), image_id))
            if len(self._new_keys) >= _BATCH:
                self._write_keys()
        return image_id

    def _write_keys(self) -> None:
        """Before keys are looked at or changed."""
        self._db.executemany("INSERT OR REPLACE INTO keys VALUES (?, ?)", self._new_keys)
        self._new_keys.clear()

    def _known_problem(self, path: str, raw: bytes | None) -> str:
        statement = "SELECT path, place FROM images WHERE path = ? OR file = ?"
        known = self._db.execute(statement, (path, raw)).fetchone()
        named = f"'{path}'" if known[0] == path else f"the file of '{known[0]}'"
        return f"the image {named} is named already ({known[1]}); an image has one place"

    def split_of(self, image_id: int) -> states.MlUse:
        """The set of an image."""
        return states.MlUse(self._db.execute("SELECT split FROM images WHERE id = ?", (image_id,)).fetchone()[0])

    def file_of(self, image_id: int) -> pathlib.Path | None:
        """Where an image lies, if it was found."""
        return _path(self._db.execute("SELECT file FROM images WHERE id = ?", (image_id,)).fetchone()[0])

    def remove_image(self, image_id: int) -> None:
        """Forgets an image and its boxes; its key stays known."""
        self._last_key = None
        self._write_pending()
        self._write_keys()
        self._db.execute("DELETE FROM boxes WHERE image_id = ?", (image_id,))
        self._db.execute("DELETE FROM images WHERE id = ?", (image_id,))
        self._db.execute("UPDATE keys SET image_id = NULL WHERE image_id = ?", (image_id,))

    def is_new(self, kind: str, name: str) -> bool:
        """Whether this name of that kind is seen for the first time."""
        return self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", _seen(kind, name)).rowcount == 1

    def note_repeated(self, kind: str, name: str, what: str, where: str) -> None:
        """Tells `what` if `is_new` or this was asked for the name before; names are looked for many at a time."""
        run = self._runs.get(kind)
        if run is None:
            run = self._runs[kind] = number_runs.NumberRange()
        if run.takes(name):
            return
        if name in run or (kind, name) in self._asked:
            self._told.note(what, where)
            return
        self._asked[kind, name] = (what, where)
        if len(self._asked) >= _BATCH:
            self._write_asked()

    def _write_asked(self) -> None:
        before = self._db.total_changes
        self._db.execute("SAVEPOINT asked")
        self._db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", (_seen(*asked) for asked in self._asked))
        if self._db.total_changes - before < len(self._asked):  # some are there already: which, is found out one by one
            self._db.execute("ROLLBACK TO asked")
            for (kind, name), (what, where) in self._asked.items():
                if not self.is_new(kind, name):
                    self._told.note(what, where)
        self._db.execute("RELEASE asked")
        self._asked.clear()

    def has_seen(self, kind: str, name: str) -> bool:
        """Whether `is_new` was asked for this name before."""
        found = self._db.execute("SELECT 1 FROM seen WHERE kind = ? AND name = ?", _seen(kind, name)).fetchone()
        return found is not None

    def has_key(self, key: str) -> bool:
        """Whether an image had that key, be it left out since."""
        if self._keys_are_run:
            return key in self._key_run
        self._write_keys()
        return self._db.execute("SELECT 1 FROM keys WHERE key = ?", (_text(key),)).fetchone() is not None

    def set_split(self, image_id: int, split: states.MlUse) -> None:
        """Puts an image into a set."""
        self._db.execute("UPDATE images SET split = ? WHERE id = ?", (split.value, image_id))

    def forget_keys(self) -> None:
        """Before the next file, whose keys are its own."""
        self._last_key, self._key_run, self._keys_are_run = None, number_runs.NumberRange(), True
        self._new_keys.clear()
        self._db.execute("DELETE FROM keys")

    def by_key(self, key: str) -> tuple[int, tuple[int, int] | None] | None:
        """(number, size) of the image of that key."""
        if self._last_key is None or self._last_key[0] != key:  # the boxes of an image often come one after the other
            if self._new_keys:
                self._write_keys()
            statement = "SELECT id, height, width FROM keys JOIN images ON images.id = image_id WHERE key = ?"
            found = self._db.execute(statement, (_text(key),)).fetchone()
            self._last_key = (key, None if found is None else (found[0], _size(found[1], found[2])))
        return self._last_key[1]

    def add_box(self, image_id: int, box: Box, where: str) -> None:
        """Adds a box, cut at the image's edges; one without area is left out and told."""
        if box.label not in self._label_ids and (problem := entries.label_problem(box.label)):
            self._told.refuse(where, problem)
            self._lose(image_id)
            return
        inside = self._inside(image_id, box.corners_norm, where)
        if inside is None:
            return
        marks = " ".join(sorted(box.marks)) if box.marks else ""
        self._add_row((image_id, self.add_label(box.label), *inside, marks, box.score))

    def _inside(self, image_id: int, given: Corners, where: str) -> tuple[float, ...] | None:
        """The corners in order and cut at the image's edges; None, and told, if there is no area between them."""
        a, b, c, d = given
        if 0 <= a < c <= 1 and 0 <= b < d <= 1:
            return given
        corners = (min(a, c), min(b, d), max(a, c), max(b, d))
        if corners != given:
            self._told.note(REVERSED, where)
        inside = tuple(min(1.0, max(0.0, value)) for value in corners)
        if any(abs(a - b) > OUTSIDE_TOLERANCE_NORM for a, b in zip(inside, corners, strict=True)):
            self._told.note(CLIPPED, where)
        if inside[2] <= inside[0] or inside[3] <= inside[1]:
            self._told.note(NO_AREA, where)
            self._lose(image_id)
            return None
        return inside

    def add_image_label(self, image_id: int, label: str, where: str, score: float | None = None) -> None:
        """Adds a label of an image as a whole, once."""
        if problem := entries.label_problem(label):
            self._told.refuse(where, problem.replace("box", "image"))
            self._lose(image_id)
            return
        label_id = self.add_label(label)
        if self.is_new("label of an image", f"{image_id} {label_id}"):
            self._add_row((image_id, label_id, None, None, None, None, "", score))

    def _add_row(self, row: tuple[object, ...]) -> None:
        self._pending.append(row)
        if len(self._pending) >= _BATCH:
            self._write_pending()

    def _write_pending(self) -> None:
        """Before boxes are looked at or changed."""
        self._db.executemany(
            "INSERT INTO boxes (image_id, label_id, x_min, y_min, x_max, y_max, marks, score) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            self._pending,
        )
        self._pending.clear()

    def lost_box(self, image_id: int) -> None:
        """The image had a box that could not be used: without it, it may not count as empty."""
        self._lose(image_id)

    def _lose(self, image_id: int) -> None:
        self._db.execute("UPDATE images SET lost = lost + 1 WHERE id = ?", (image_id,))

    def drop(self, mark: str, what: str) -> None:
        """Leaves out the boxes with a mark, and tells so."""
        self._write_pending()
        marked = (
            "SELECT boxes.id, image_id, path FROM boxes JOIN images ON images.id = image_id "
            "WHERE ' ' || marks || ' ' LIKE ? ORDER BY boxes.id"
        )
        for box_id, image_id, path in self._db.execute(marked, (f"% {mark} %",)).fetchall():
            self._db.execute("DELETE FROM boxes WHERE id = ?", (box_id,))
            self._lose(image_id)
            self._told.note(what, path)

    def drop_below(self, threshold: float) -> int:
        """Leaves out boxes and labels with a score below this; an image may be left without any. Returns their number."""
        self._write_pending()
        return self._db.execute("DELETE FROM boxes WHERE score < ?", (threshold,)).rowcount

    def drop_scores(self) -> None:
        """Forgets all scores."""
        self._write_pending()
        self._db.execute("UPDATE boxes SET score = NULL")

    def seal(self) -> None:
        """After reading: leaves out the images that lost all their boxes, tells repeated boxes; speeds up what follows."""
        self._write_pending()
        self._write_asked()
        self._db.execute("CREATE INDEX IF NOT EXISTS box_images ON boxes (image_id)")
        repeated = (
            "SELECT path, count(*) - 1 FROM boxes JOIN images ON images.id = image_id "
            "GROUP BY image_id, label_id, x_min, y_min, x_max, y_max HAVING count(*) > 1 ORDER BY min(boxes.id)"
        )
        for path, count in self._db.execute(repeated):
            self._told.note(REPEATED, path, count)
        lost = "lost > 0 AND NOT EXISTS (SELECT 1 FROM boxes WHERE image_id = images.id)"
        for (path,) in self._db.execute(f"SELECT path FROM images WHERE {lost} ORDER BY id"):
            self._told.note(ALL_LOST, path)
        self._db.execute(f"DELETE FROM images WHERE {lost}")

    def pictures(self, split: states.MlUse | None = None) -> Iterator[Picture]:
        """Yields the images, with their boxes, in order; of one set or of all."""
        images = self._db.execute(
            "SELECT id, path, split, height, width, file, place FROM images WHERE ? IS NULL OR split = ? ORDER BY id",
            (split and split.value, split and split.value),
        )
        names = dict(self._db.execute("SELECT id, name FROM labels"))
        boxes = self._db.execute(  # of all images: which are of this set, their order tells
            "SELECT image_id, label_id, x_min, y_min, x_max, y_max, marks, score FROM boxes ORDER BY image_id, id"
        )
        row = next(boxes, None)
        for image_id, path, split_text, height, width, file, place in images:
            while row is not None and row[0] < image_id:
                row = next(boxes, None)
            found, labels, scores = [], [], []
            while row is not None and row[0] == image_id:
                if row[2] is None:
                    labels.append(names[row[1]])
                    scores.append(row[7])
                else:
                    found.append(Box(names[row[1]], row[2:6], _marks(row[6]), row[7]))
                row = next(boxes, None)
            yield Picture(
                image_id,
                path,
                states.MlUse(split_text),
                _size(height, width),
                tuple(found),
                _path(file),
                place,
                tuple(labels),
                tuple(scores),
            )

    def pages(self, size: int = 1000) -> Iterator[list[Picture]]:
        """Yields the images without their boxes, in order, so that they may be changed meanwhile."""
        last = 0
        while True:
            page = self._db.execute(
                "SELECT id, path, split, height, width, file, place FROM images WHERE id > ? ORDER BY id LIMIT ?",
                (last, size),
            ).fetchall()
            if not page:
                return
            last = page[-1][0]
            yield [
                Picture(row[0], row[1], states.MlUse(row[2]), _size(row[3], row[4]), (), _path(row[5]), row[6])
                for row in page
            ]

    def set_size(self, image_id: int, size_hw: tuple[int, int]) -> None:
        """What the image's header says."""
        self._last_key = None
        self._db.execute("UPDATE images SET height = ?, width = ? WHERE id = ?", (*size_hw, image_id))

    def boxes_of(self, image_id: int) -> list[tuple[int, Corners]]:
        """(number, corners) of an image's boxes."""
        statement = "SELECT id, x_min, y_min, x_max, y_max FROM boxes WHERE image_id = ? AND x_min NOT NULL ORDER BY id"
        return [(row[0], row[1:5]) for row in self._db.execute(statement, (image_id,))]

    def move_box(self, box_id: int, corners_norm: Corners) -> None:
        """Gives a box other corners."""
        statement = "UPDATE boxes SET x_min = ?, y_min = ?, x_max = ?, y_max = ? WHERE id = ?"
        self._db.execute(statement, (*corners_norm, box_id))


def _marks(text: str) -> frozenset[str]:
    return frozenset(text.split()) if text else _NO_MARKS


def _path(file: bytes | None) -> pathlib.Path | None:
    return None if file is None else pathlib.Path(os.fsdecode(file))


def _text(value: str) -> str:
    """A text that the database takes: lone surrogates are written as escapes."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")


def _seen(kind: str, name: str) -> tuple[str, str | int]:
    """A row of what was seen: a name that is a whole number is kept as one, which takes a third of the room and time."""
    return _text(kind), int(name) if number_runs.is_number(name) else _text(name)


def _size(height: int | None, width: int | None) -> tuple[int, int] | None:
    return None if height is None or width is None else (height, width)
