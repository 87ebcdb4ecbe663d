"""A drawn data set for training tests: one red square, blue disc or green cross on noise; few hundred bytes each."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from boxwright.learning import listener

LABELS = [
    {"display_name": "square", "annotation_spec_id": "11"},
    {"display_name": "disc", "annotation_spec_id": "22"},
    {"display_name": "cross", "annotation_spec_id": "33"},
]
# 12 steps of the smallest network at a size where a step takes a tenth of a second.
RECIPE = {"input_hw": [64, 64], "steps": 12, "batch_size": 4, "checkpoint_every_s": 1e9, "quantise": False}


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Images by URI, and the rows of examples.jsonl."""

    images: dict[str, bytes]
    rows: list[dict[str, Any]]

    def read(self, uri: str) -> bytes:
        return self.images[uri]


def drawing(labels: Sequence[int], rng: np.random.Generator) -> bytes:
    """A JPEG that shows some of the three things."""
    image = Image.fromarray(rng.integers(110, 150, (80, 100, 3), np.uint8))
    pen = ImageDraw.Draw(image)
    for label in labels:
        side = int(rng.integers(18, 30))
        left, top = 33 * label + int(rng.integers(0, 33 - side)) if side < 33 else 0, int(rng.integers(0, 80 - side))
        box = (left, top, left + side, top + side)
        if label == 0:
            pen.rectangle(box, fill=(230, 40, 40))
        elif label == 1:
            pen.ellipse(box, fill=(40, 60, 230))
        else:
            pen.line(box, fill=(30, 200, 40), width=7)
            pen.line((left, top + side, left + side, top), fill=(30, 200, 40), width=7)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def draw(count: int, seed: int = 0, *, multilabel: bool = False) -> Drawn:
    rng = np.random.default_rng(seed)
    images, rows = {}, []
    for index in range(count):
        labels = [label for label in range(3) if rng.random() < 0.5] if multilabel else [index % 3]
        content = drawing(labels, rng)
        uri = f"gs://shapes/{index:03}.jpg"
        images[uri] = content
        digest = hashlib.sha256(content).hexdigest()
        rows.append({"uri": uri, "sha256": digest, "ml_use": "UNASSIGNED", "labels": labels})
    return Drawn(images, rows)


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    return draw(60)


@pytest.fixture(scope="session")
def drawn_sets() -> Drawn:
    return draw(60, multilabel=True)


def write_job(folder: pathlib.Path, rows: list[dict[str, Any]], **fields: Any) -> pathlib.Path:
    """A job folder as the service writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "labels": LABELS,
        "model_type": "mobile-low-latency-1",
        "classification_type": "MULTICLASS",
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


class Watcher:
    """Remembers what it is told; asks to stop, or to finish, from a step of fine-tuning on."""

    def __init__(self, stop_at: float = 1e9, finish_at: float = 1e9) -> None:
        self.events: list[tuple[float, str, dict[str, Any]]] = []
        self.warnings: list[str] = []
        self.stop_at = stop_at
        self.finish_at = finish_at
        self.step = -1.0

    def progress(self, percent: float, stage: str, **details: Any) -> None:
        self.events.append((percent, stage, details))
        self.step = details["step"] if details.get("steps") else 1e6 if stage != "training" else self.step

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def finish_requested(self) -> bool:
        return self.step >= self.finish_at

    def stop_requested(self) -> bool:
        return self.step >= self.stop_at


def elapsed() -> listener.ElapsedTime:
    return listener.ElapsedTime(time.monotonic, time.monotonic())
