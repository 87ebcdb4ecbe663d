"""The file in which an import stages its rows: images, and their annotations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from boxwright import states

TABLES = """
CREATE TABLE images (id INTEGER PRIMARY KEY, uri TEXT UNIQUE, ml_use TEXT, rows INTEGER DEFAULT 0, place TEXT,
                     told TEXT DEFAULT '', is_listed INTEGER DEFAULT 1,
                     set_place TEXT, sha256 TEXT, width_px INTEGER, height_px INTEGER);
CREATE TABLE annotations (image_id INTEGER, label TEXT, x_min REAL, y_min REAL, x_max REAL, y_max REAL, score REAL);
CREATE INDEX annotations_of_image ON annotations (image_id);
"""


def images(staging: sqlite3.Connection, bare_state: states.ExampleState) -> Iterator[dict[str, Any]]:
    """Yields the staged images that can be imported, as `datasets.merge` takes them, in the order of their rows.

    Args:
        staging: has the tables.
        bare_state: of an image that a row names without annotations.
    """
    staged = staging.execute(
        "SELECT id, uri, ml_use, sha256, width_px, height_px, place, COALESCE(set_place, place), "
        "EXISTS (SELECT 1 FROM images AS other WHERE other.sha256 = images.sha256 AND other.id < images.id), is_listed "
        "FROM images WHERE sha256 IS NOT NULL ORDER BY id"
    )
    unlabelled = states.ExampleState.UNLABELED
    for image_id, uri, ml_use, sha256, width_px, height_px, place, set_place, is_copy, is_listed in staged:
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
            "state": states.ExampleState.LABELED if annotations else unlabelled if is_listed else bare_state,
            "place": place,
            "set_place": set_place,
            "is_copy": bool(is_copy),
            "annotations": [tuple(row[:5]) for row in annotations],
            "scores": [row[5] for row in annotations],
        }
