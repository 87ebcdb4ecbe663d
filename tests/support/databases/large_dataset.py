"""A detection dataset of any size in a data directory that no service uses: rows written at once, one picture for all.

Every image has bytes of its own, as a dataset tells images apart by them: the picture, then the image's number.
"""

from __future__ import annotations

import hashlib
import pathlib
from typing import Any

import sqlalchemy as sa
from tests.support.images import drawn_images

from boxwright import kinds
from boxwright.metadata import database, datasets, schema

DATASET = "IOD2000000000000000001"
SPECS = {"blue": "2000000000000000002", "red": "2000000000000000003"}  # label → id
BUCKET = "large"
SIZE_HW = (192, 256)
SETS = ("TRAIN", "TRAIN", "TRAIN", "VALIDATION", "TEST")  # in turn
STEP = 5000  # images of a transaction


def fill(data_dir: pathlib.Path, buckets: pathlib.Path, count: int) -> str:
    """Adds dataset `DATASET` with `count` images, each with two boxes, named ``00000.jpg`` and on; returns its id."""
    picture = drawn_images.draw(0, size_hw=SIZE_HW)
    folder = buckets / BUCKET
    folder.mkdir(parents=True)
    data_dir.mkdir(parents=True, exist_ok=True)
    db = database.Database(data_dir / "metadata.sqlite")
    with db.write() as connection:
        now = database.now_us(connection)
        datasets.insert(connection, _dataset(count, now))
        specs = [{"id": spec, "dataset_id": DATASET, "display_name": label} for label, spec in SPECS.items()]
        connection.execute(schema.annotation_specs.insert(), specs)
        last = connection.execute(sa.select(sa.func.max(schema.examples.c.id))).scalar_one()
        first = (last or 0) + 1
    for start in range(0, count, STEP):
        numbers = range(start, min(count, start + STEP))
        with db.write() as connection:
            connection.execute(schema.examples.insert(), [_example(folder, picture.content, n, first) for n in numbers])
            boxes = [one for n in numbers for one in _annotations(picture, first + n)]
            connection.execute(schema.annotations.insert(), boxes)
    db.close()
    return DATASET


def _dataset(count: int, now_us: int) -> dict[str, Any]:
    return {
        "id": DATASET, "project": "demo", "location": "us-central1", "display_name": "large", "description": "",
        "labels": {}, "metadata_member": kinds.OBJECT_DETECTION.dataset_member, "metadata_bytes": b"", "etag": "1",
        "create_time_us": now_us, "update_time_us": now_us, "example_count": count,
    }  # fmt: skip


def _example(folder: pathlib.Path, picture: bytes, number: int, first: int) -> dict[str, Any]:
    content, name = picture + number.to_bytes(4, "big"), f"{number:05d}.jpg"
    (folder / name).write_bytes(content)
    return {
        "id": first + number, "dataset_id": DATASET, "sha256": hashlib.sha256(content).hexdigest(), "display_name": name,
        "uri": f"gs://{BUCKET}/{name}", "ml_use": SETS[number % len(SETS)], "width_px": SIZE_HW[1], "height_px": SIZE_HW[0],
        "annotation_count": 2, "min_edge_px": 20.0,
    }  # fmt: skip


def _annotations(picture: drawn_images.Drawing, example_id: int) -> list[dict[str, Any]]:
    corners = ("x_min", "y_min", "x_max", "y_max")
    return [
        {"example_id": example_id, "annotation_spec_id": SPECS[label], **dict(zip(corners, box, strict=True))}
        for label, *box in picture.boxes
    ]
