"""A drawn data set for training tests: filled rectangles and ellipses on grey, a few hundred bytes each."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pathlib
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from boxwright.learning import listener

LABELS = [
    {"display_name": "square", "annotation_spec_id": "11"},
    {"display_name": "disc", "annotation_spec_id": "22"},
]
# 40 steps at a size where a step takes milliseconds.
RECIPE = {
    "network": "tiny",
    "steps": 40,
    "input_area_px": 96 * 96,
    "batch_size": 4,
    "peak_rate": 2e-2,
    "checkpoint_every_s": 1e9,
}


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Images by URI, and the rows of examples.jsonl."""

    images: dict[str, bytes]
    rows: list[dict[str, Any]]

    def read(self, uri: str) -> bytes:
        return self.images[uri]


def draw(count: int, seed: int = 0) -> Drawn:
    rng = np.random.default_rng(seed)
    images, rows = {}, []
    for index in range(count):
        image = Image.new("RGB", (120, 100), tuple(int(value) for value in rng.integers(90, 160, 3)))
        pen = ImageDraw.Draw(image)
        boxes = []
        for label in range(2):
            side = int(rng.integers(24, 44))
            left, top = int(rng.integers(0, 60 - side)) + 60 * label, int(rng.integers(0, 100 - side))
            shape = pen.rectangle if label == 0 else pen.ellipse
            shape((left, top, left + side, top + side), fill=(230, 40, 40) if label == 0 else (40, 60, 230))
            boxes.append([label, left / 120, top / 100, (left + side + 1) / 120, min(1.0, (top + side + 1) / 100)])
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=88)
        uri = f"gs://shapes/{index:03}.jpg"
        images[uri] = buffer.getvalue()
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        rows.append({"uri": uri, "sha256": digest, "ml_use": "UNASSIGNED", "boxes": boxes})
    return Drawn(images, rows)


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    return draw(24)


def write_job(folder: pathlib.Path, rows: list[dict[str, Any]], **fields: Any) -> pathlib.Path:
    """A job folder as the service writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "labels": LABELS,
        "model_type": "mobile-low-latency-1",
        "budget_s": 600.0,
        "seed": 0,
        "threads": 1,
        "cache_bytes": 1 << 28,
        "stores": {},
        "recipe": RECIPE,
        **fields,
    }
    (folder / "job.json").write_text(json.dumps(document))
    (folder / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


STAGES = {"exporting": 90.0, "quantising": 91.0, "evaluating": 94.0}


class Watcher:
    """Remembers what it is told; asks to stop at a point: 2 to 90 are the steps of training, then come `STAGES`."""

    def __init__(self, stop_at: float = 1e9) -> None:
        self.events: list[tuple[float, str, dict[str, Any]]] = []
        self.warnings: list[str] = []
        self.stop_at = stop_at
        self.point = 0.0

    def progress(self, percent: float, stage: str, **details: Any) -> None:
        self.events.append((percent, stage, details))
        done = details["step"] / details["steps"] if details.get("steps") else 0.0
        self.point = STAGES.get(stage, 2.0 + 88.0 * done)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def finish_requested(self) -> bool:
        return False

    def stop_requested(self) -> bool:
        return bool(self.events) and self.point >= self.stop_at


def elapsed() -> listener.ElapsedTime:
    return listener.ElapsedTime(time.monotonic, time.monotonic())
