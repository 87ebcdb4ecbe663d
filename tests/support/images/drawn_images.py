"""Small images drawn from a seed, and the CSV rows that describe them."""

from __future__ import annotations

import dataclasses
import functools
import io
import pathlib

import numpy as np
from PIL import Image

LABELS = ("red", "blue")
_COLOURS = {"red": (220, 30, 30), "blue": (30, 40, 220)}


@dataclasses.dataclass(frozen=True)
class Drawing:
    """An encoded image with the boxes that are in it: label, then x_min, y_min, x_max, y_max in [0, 1]."""

    content: bytes
    boxes: list[tuple[str, float, float, float, float]]


@functools.lru_cache(maxsize=4096)  # a kilobyte or two each; most tests want the same first ones
def draw(seed: int, *, size_hw: tuple[int, int] = (48, 64), file_format: str = "JPEG", boxes: int = 2) -> Drawing:
    """Draws one image: as many boxes as asked for, red and blue in turn, on grey noise."""
    random = np.random.default_rng(seed)
    height, width = size_hw
    pixels = random.integers(90, 130, (height, width, 3), np.uint8)
    drawn = []
    for number in range(boxes):
        label = LABELS[(seed + number) % len(LABELS)]
        left, top = random.uniform(0.02, 0.55, 2)
        right, bottom = left + random.uniform(0.2, 0.4), top + random.uniform(0.2, 0.4)
        x_min, y_min, x_max, y_max = (round(float(value), 4) for value in (left, top, right, bottom))
        rows = slice(round(y_min * height), round(y_max * height))
        pixels[rows, round(x_min * width) : round(x_max * width)] = _COLOURS[label]
        drawn.append((label, x_min, y_min, x_max, y_max))
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, file_format)
    return Drawing(target.getvalue(), drawn)


def write_images(
    folder: pathlib.Path, count: int, *, size_hw: tuple[int, int] = (48, 64), first_seed: int = 0
) -> list[str]:
    """Writes images named ``0000.jpg`` and on; returns their file names."""
    folder.mkdir(parents=True, exist_ok=True)
    file_names = []
    for number in range(count):
        file_names.append(f"{number:04d}.jpg")
        (folder / file_names[-1]).write_bytes(draw(first_seed + number, size_hw=size_hw).content)
    return file_names


def write_dataset(bucket: pathlib.Path, count: int, *, size_hw: tuple[int, int] = (96, 128)) -> str:
    """Writes images and their ``import.csv`` into a bucket, eight of ten for training; returns the CSV's URI."""
    (bucket / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        drawing = draw(number, size_hw=size_hw)
        (bucket / "images" / f"{number:04d}.jpg").write_bytes(drawing.content)
        ml_use = {8: "VALIDATION", 9: "TEST"}.get(number % 10, "TRAIN")
        for label, x_min, y_min, x_max, y_max in drawing.boxes:
            uri = f"gs://{bucket.name}/images/{number:04d}.jpg"
            rows.append(f"{ml_use},{uri},{label},{x_min},{y_min},,,{x_max},{y_max},,")
    return write_csv(bucket, "import.csv", rows)


def write_label_dataset(bucket: pathlib.Path, count: int, *, labels: int = 1, bare: int = 0) -> str:
    """Writes images with labels of their own and ``labels.csv`` into a bucket; returns the CSV's URI.

    Args:
        bucket: the bucket's folder.
        count: images with labels, red and blue in turn; eight of ten for training.
        labels: how many each has, one or two.
        bare: images without a label, at the end of the list.
    """
    uris = [f"gs://{bucket.name}/labelled/{name}" for name in write_images(bucket / "labelled", count + bare)]
    rows = []
    for number, uri in enumerate(uris):
        ml_use = {8: "VALIDATION", 9: "TEST"}.get(number // len(LABELS) % 10, "TRAIN")
        own = [LABELS[(number + position) % len(LABELS)] for position in range(labels)] if number < count else []
        rows.append(",".join([ml_use, uri, *own]))
    return write_csv(bucket, "labels.csv", rows)


def write_csv(bucket: pathlib.Path, name: str, rows: list[str]) -> str:
    """Writes a CSV into a bucket; returns its URI."""
    path = bucket / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    return f"gs://{bucket.name}/{name}"
