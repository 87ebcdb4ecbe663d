"""What an import has staged in a file of its own: the tables, the images as they are merged, and the rows that failed."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator
from typing import Any

from google.rpc import code_pb2, status_pb2

from boxwright import errors, states
from boxwright.runners import import_sets

TABLES = """
CREATE TABLE images (id INTEGER PRIMARY KEY, uri TEXT UNIQUE, ml_use TEXT, rows INTEGER DEFAULT 0, place TEXT,
                     told TEXT DEFAULT '', set_place TEXT, sha256 TEXT, width_px INTEGER, height_px INTEGER);
CREATE TABLE annotations (image_id INTEGER, label TEXT, x_min REAL, y_min REAL, x_max REAL, y_max REAL, score REAL);
CREATE INDEX annotations_of_image ON annotations (image_id);
CREATE INDEX copies ON images (sha256);
"""


@dataclasses.dataclass
class RowCounts:
    """How many rows there were and which failed."""

    rows: int = 0
    failed: int = 0
    failures: list[status_pb2.Status] = dataclasses.field(default_factory=list)
    conflicts: import_sets.Conflicts = dataclasses.field(default_factory=import_sets.Conflicts)

    def fail(self, place: str, reason: str, *, rows: int = 1, code: int = code_pb2.INVALID_ARGUMENT) -> None:
        """Counts rows that failed, and keeps the reasons of the first."""
        self.failed += rows
        if len(self.failures) < errors.MAX_PARTIAL_FAILURES:
            self.failures.append(status_pb2.Status(code=code, message=f"{place}: {reason}"))

    @property
    def listed(self) -> list[status_pb2.Status]:
        """What is told of single rows: failures first, then rows whose set is not their image's."""
        return [*self.failures, *self.conflicts.told][: errors.MAX_PARTIAL_FAILURES]


def staged_images(staging: sqlite3.Connection, bare_state: states.ExampleState) -> Iterator[dict[str, Any]]:
    """Yields the images that could be read, as `datasets.merge` takes them; `bare_state`: of those without annotations."""
    staged = staging.execute(
        "SELECT id, uri, ml_use, sha256, width_px, height_px, place, COALESCE(set_place, place), "
        "EXISTS (SELECT 1 FROM images AS other WHERE other.sha256 = images.sha256 AND other.id < images.id) "
        "FROM images WHERE sha256 IS NOT NULL ORDER BY id"
    )
    for image_id, uri, ml_use, sha256, width_px, height_px, place, set_place, is_copy in staged:
        annotations = staging.execute(
            "SELECT label, x_min, y_min, x_max, y_max, score FROM annotations WHERE image_id = ? ORDER BY rowid",
            (image_id,),
        ).fetchall()
        yield {
            "uri": uri,
            "ml_use": ml_use,
            "sha256": sha256,
            "width_px": width_px,
            "height_px": height_px,
            "state": states.ExampleState.LABELED if annotations else bare_state,
            "place": place,
            "set_place": set_place,
            "is_copy": bool(is_copy),
            "annotations": [tuple(row[:5]) for row in annotations],
            "scores": [row[5] for row in annotations],
        }
