"""Time and memory of `boxwright convert`: a generated COCO file into every format, and every format back into a CSV.

    python -m benchmarks.storage.conversion [--quick] [--images 100000] [--formats csv,cvat]

The file has five boxes an image on average, and no image lies beside it. Each conversion is a process of its own; what is
measured is its wall time, its CPU time, and the most memory that it had resident. A tenth of the images is converted
first: memory is flat if ten times as many images need no more than 20 % above that. Prints a table and ends with one
JSON object.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from benchmarks.harness import arguments, results
from boxwright.convert import formats

LABELS, MOST_BOXES = 80, 9  # in an image; one is the least
WIDTH, HEIGHT = 640, 480
FLAT_PERCENT = 20
NO_FILES = ("classes", "results")  # one copies images, the other is not written


@dataclasses.dataclass(frozen=True)
class Conversion:
    """One conversion that was run."""

    what: str
    images: int
    wall_s: float
    cpu_s: float
    peak_mib: float


def write_coco(path: pathlib.Path, images: int) -> int:
    """A COCO file of that many images, the same at every call; returns the number of its boxes."""
    drawn, number = random.Random(7), 0
    with path.open("w", encoding="utf-8") as handle:
        handle.write('{"images": [')
        for image in range(1, images + 1):
            entry = {
                "id": image,
                "file_name": f"{image // 1000:03d}/{image:012d}.jpg",
                "width": WIDTH,
                "height": HEIGHT,
            }
            handle.write((", " if image > 1 else "") + json.dumps(entry))
        handle.write('], "annotations": [')
        for image in range(1, images + 1):
            for _ in range(drawn.randint(1, MOST_BOXES)):
                number += 1
                width, height = drawn.uniform(20, 300), drawn.uniform(20, 200)
                sides = (drawn.uniform(0, WIDTH - width), drawn.uniform(0, HEIGHT - height), width, height)
                entry = {
                    "id": number,
                    "image_id": image,
                    "category_id": drawn.randint(1, LABELS),
                    "bbox": [round(side, 2) for side in sides],
                    "area": round(width * height, 2),
                    "iscrowd": 0,
                }
                handle.write((", " if number > 1 else "") + json.dumps(entry))
        categories = [{"id": label, "name": f"label {label}"} for label in range(1, LABELS + 1)]
        handle.write('], "categories": ' + json.dumps(categories) + "}\n")
    return number


def converted(what: str, images: int, words: Sequence[str | pathlib.Path]) -> Conversion:
    """Runs one conversion as a process."""
    command = [sys.executable, "-m", "boxwright.cli", "convert", *map(str, words)]
    started_s = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}.")
    cpu_s = used.ru_utime + used.ru_stime
    return Conversion(what, images, round(wall_s, 2), round(cpu_s, 2), round(used.ru_maxrss / 1024, 1))


def measure(folder: pathlib.Path, images: int, names: Sequence[str]) -> list[Conversion]:
    """COCO into each format, and each format that is read into a CSV."""
    source, found = folder / "source.json", []
    write_coco(source, images)
    for name in names:
        one = formats.FORMATS[name]
        suffix = one.target_suffixes[0] if one.target_suffixes and not one.writes_folder else ""
        target = folder / f"{name}{suffix}"
        found.append(converted(f"coco → {name}", images, [source, target, "--to", name]))
        if one.reads and name not in ("csv", "coco"):
            found.append(
                converted(f"{name} → csv", images, [target, folder / "back.csv", "--from", name, "--overwrite"])
            )
    return found


def main() -> None:
    parser = arguments.parser(__doc__, "two thousand images")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--formats", type=lambda text: text.split(","), help="csv,coco,… (default: all)")
    options = parser.parse_args()
    images = 2000 if options.quick else options.images
    names = options.formats or [name for name in formats.WRITTEN if name not in NO_FILES]
    table: list[tuple[Conversion, float]] = []
    with tempfile.TemporaryDirectory() as few, tempfile.TemporaryDirectory() as many:
        before = measure(pathlib.Path(few), images // 10, names)
        for early, late in zip(before, measure(pathlib.Path(many), images, names), strict=True):
            table.append((late, 100 * (late.peak_mib / early.peak_mib - 1)))
    print(f"{'':22} {'images':>8} {'wall s':>7} {'CPU s':>7} {'MiB':>6} {'grown':>6}")
    for one, grown in table:
        mark = "" if grown <= FLAT_PERCENT else " not flat"
        print(
            f"{one.what:22} {one.images:8} {one.wall_s:7.2f} {one.cpu_s:7.2f} {one.peak_mib:6.1f} {grown:5.1f}%{mark}"
        )
    results.close(
        __file__,
        options,
        {"conversions": [dataclasses.asdict(one) for one, _ in table]},
        source="docs/benchmarks.md",
        conditions="five boxes an image on average; no image files; each conversion a process of its own",
        figures={one.what: {"wall_s": one.wall_s, "peak_mib": one.peak_mib} for one, _ in table},
    )


if __name__ == "__main__":
    main()
