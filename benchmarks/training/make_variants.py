"""Makes other data sets out of a labelled folder, to see what training does with kinds of data that are not at hand.

    python -m benchmarks.training.make_variants FOLDER OUT KIND [--count N]

FOLDER holds labels.csv (the 11-column import format without header) and images; OUT gets the same. The kinds:

    few      N training images, all of validation and test                      few labels
    tiles    N x N images of the same set pasted into one                        objects N times as small
    grey     grey, half the contrast, noise                                     thermal and microscope images
    one      the boxes of label number N (from 0, by name) alone; others empty   one label, many empty images

What is drawn by chance is drawn from a fixed seed: the same call makes the same set.
"""

from __future__ import annotations

import argparse
import collections
import csv
import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

SEED = 0
NOISE = 6.0  # grey levels, standard deviation
CONTRAST = 0.5
QUALITY = 92


@dataclasses.dataclass
class Labelled:
    """One image: its set, pixels, and (label, x_min, y_min, x_max, y_max) in [0, 1]."""

    ml_use: str
    pixels: Image.Image
    boxes: list[tuple[str, float, float, float, float]]


def read(folder: pathlib.Path) -> Iterator[Labelled]:
    """Images in the order of labels.csv; what cannot be read is left out, with a word."""
    rows: dict[str, list[list[str]]] = collections.defaultdict(list)
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            rows[row[1]].append(row)
    for path, own in rows.items():
        boxes = [(row[2], float(row[3]), float(row[4]), float(row[7]), float(row[8])) for row in own if row[2]]
        try:
            pixels = Image.open(folder / path).convert("RGB")
        except OSError as error:
            print(f"{path} is left out: {error}")
            continue
        yield Labelled(own[0][0], pixels, boxes)


def few(images: list[Labelled], count: int) -> Iterator[Labelled]:
    training = [one for one in images if one.ml_use == "TRAIN"]
    chosen = np.random.default_rng(SEED).permutation(len(training))[:count]
    yield from (training[index] for index in sorted(chosen))
    yield from (one for one in images if one.ml_use != "TRAIN")


def tiles(images: list[Labelled], count: int) -> Iterator[Labelled]:
    for ml_use in sorted({one.ml_use for one in images}):
        own = [one for one in images if one.ml_use == ml_use]
        width = max(one.pixels.width for one in own)
        height = max(one.pixels.height for one in own)
        for first in range(0, len(own), count * count):
            sheet = Labelled(ml_use, Image.new("RGB", (width * count, height * count), (127, 127, 127)), [])
            for place, one in enumerate(own[first : first + count * count]):
                row, column = divmod(place, count)
                left, top = column * width, row * height
                sheet.pixels.paste(one.pixels, (left, top))
                for label, *corners in one.boxes:
                    x_min, x_max = ((left + x * one.pixels.width) / sheet.pixels.width for x in corners[0::2])
                    y_min, y_max = ((top + y * one.pixels.height) / sheet.pixels.height for y in corners[1::2])
                    sheet.boxes.append((label, x_min, y_min, x_max, y_max))
            yield sheet


def grey(images: list[Labelled], count: int) -> Iterator[Labelled]:
    del count
    rng = np.random.default_rng(SEED)
    for one in images:
        levels = np.asarray(one.pixels.convert("L"), np.float64)
        levels = 127 + CONTRAST * (levels - levels.mean()) + rng.normal(0.0, NOISE, levels.shape)
        pixels = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).convert("RGB")
        yield dataclasses.replace(one, pixels=pixels)


def one(images: list[Labelled], count: int) -> Iterator[Labelled]:
    label = sorted({box[0] for image in images for box in image.boxes})[count]
    for image in images:
        yield dataclasses.replace(image, boxes=[box for box in image.boxes if box[0] == label])


KINDS = {"few": few, "tiles": tiles, "grey": grey, "one": one}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--count", type=int, default=2, help="N of the kinds above (default: 2)")
    arguments = parser.parse_args()
    (arguments.out / "images").mkdir(parents=True)
    with (arguments.out / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, image in enumerate(KINDS[arguments.kind](list(read(arguments.folder)), arguments.count)):
            path = f"images/{number:05}.jpg"
            image.pixels.save(arguments.out / path, quality=QUALITY)
            rows = [
                [label, x_min, y_min, "", "", x_max, y_max, "", ""] for label, x_min, y_min, x_max, y_max in image.boxes
            ]
            for row in rows or [[""] * 9]:
                writer.writerow([image.ml_use, path, *row])


if __name__ == "__main__":
    main()
