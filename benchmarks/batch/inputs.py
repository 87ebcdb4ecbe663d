"""Names below a folder, listed and frozen; and images in an archive against the same images as files.

    python -m benchmarks.batch.inputs [--quick] [--names 1000000] [--images 2000] [--rounds 3]

The first part makes empty files, a thousand in a folder and then all in one, freezes their names and cuts the plan, in this
process. The second starts a service with a network of the real size, and predicts VGA pictures in turn by their folder, as
a tar archive and as a packed one. Prints a table and ends with one JSON object. `--names 0` or
`--images 0` leaves a part out.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import resource
import sys
import tarfile
import tempfile
import time

import psutil

from benchmarks.harness import arguments, pictures, results, serving
from boxwright import objects
from boxwright.batch.inputs import addresses
from boxwright.batch.inputs.frozen_names import FrozenNames
from boxwright.batch.job import BatchSpec
from boxwright.batch.plan import Plan

MIB = 1 << 20
FILES_PER_FOLDER = 1000
LIST_LIMIT_S, ARCHIVE_SHARE = 30.0, 0.9
WAYS = {
    way: f"gs://{serving.BUCKET}/{name}"
    for way, name in (("files", "files/"), ("tar", "all.tar"), ("tar.gz", "all.tar.gz"))
}


@dataclasses.dataclass(frozen=True)
class Listed:
    """One line of the first table."""

    what: str
    names: int
    listed_s: float
    planned_s: float
    grown_mib: float


def write_names(bucket: pathlib.Path, count: int, per_folder: int) -> None:
    """Makes empty files."""
    for number in range(count):
        folder = bucket / f"{number // per_folder:06d}"
        if number % per_folder == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:08d}.jpg").touch()


def listed(folder: pathlib.Path, count: int, per_folder: int) -> Listed:
    """Freezes the names below a folder, and cuts the plan."""
    write_names(folder / "buckets" / "in", count, per_folder)
    stores = objects.Stores(folder / "buckets", folder / "state")
    spec = BatchSpec(["gs://in/"], "gs://in/out", str(stores.state("operations/job")), 0.5, 100, 500, 0.5)
    (address,) = addresses.parse("gs://in/", ["gs"])
    scratch, output = objects.ObjectUri.parse(spec.scratch), objects.ObjectUri.parse(spec.output_directory)
    before_bytes = psutil.Process().memory_info().rss
    started_s = time.perf_counter()
    names = FrozenNames(stores, scratch, 1, address, suffixes=(), output=output)
    names.freeze()
    listed_s = time.perf_counter() - started_s
    assert names.count == count
    plan = Plan(spec, stores)
    images = sum(len(segment.items) for segment in plan.segments())
    assert images == count
    planned_s = time.perf_counter() - started_s - listed_s
    most_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    what = "one folder" if per_folder >= count else f"{count // per_folder:,} folders"
    return Listed(what, count, round(listed_s, 2), round(planned_s, 2), round((most_bytes - before_bytes) / MIB, 1))


def write_images(bucket: pathlib.Path, originals: pathlib.Path, count: int) -> None:
    """Draws pictures, and packs them."""
    (files,) = pictures.make(originals, ["vga"], {"vga": 20}).values()
    (bucket / "files").mkdir(parents=True)
    with tarfile.open(bucket / "all.tar", "w") as plain, tarfile.open(bucket / "all.tar.gz", "w:gz") as packed:
        for number in range(count):
            path = bucket / "files" / f"{number:06d}.jpg"
            path.write_bytes(files[number % len(files)].read_bytes())
            for archive in (plain, packed):
                archive.add(path, path.name)


def rates(folder: pathlib.Path, options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """(images a second, milliseconds of processor time an image) by each way, the best of some rounds."""
    model = options.model or folder / "model"
    if options.model is None:
        serving.make_model(model, options.model_type, options.precision)
    service = serving.Service(folder / "service", model)
    write_images(service.bucket, folder / "originals", options.images)
    best = dict.fromkeys(WAYS, (0.0, float("inf")))
    with service.running():
        service.batch(WAYS["files"])  # loads the model
        for _ in range(options.rounds):
            for way, address in WAYS.items():
                elapsed_s, cpu_s = service.batch(address)
                rate, cpu_ms = best[way]
                best[way] = max(rate, options.images / elapsed_s), min(cpu_ms, 1000 * cpu_s / options.images)
    return best


def main() -> int:
    parser = arguments.parser(__doc__, quick="20,000 names and 200 images, one round")
    parser.add_argument("--names", type=int, default=1_000_000, help="files whose names are listed")
    parser.add_argument("--images", type=int, default=2000, help="pictures that are predicted")
    parser.add_argument("--rounds", type=int, default=3)
    arguments.add_model(parser)
    parser.set_defaults(precision="fp32")
    options = parser.parse_args()
    if options.quick:
        options.names, options.images, options.rounds = min(options.names, 20_000), min(options.images, 200), 1
    lines: list[Listed] = []
    figures: dict[str, float] = {}
    if options.names:
        print(f"{'names':<16}{'count':>12}{'listed s':>10}{'planned s':>11}{'grown MiB':>11}")
        for name, per_folder in (("folders", FILES_PER_FOLDER), ("folder", options.names)):
            with tempfile.TemporaryDirectory() as folder:
                line = listed(pathlib.Path(folder), options.names, per_folder)
            lines.append(line)
            figures |= {f"{name}_listed_s": line.listed_s, f"{name}_planned_s": line.planned_s}
            print(
                f"{line.what:<16}{line.names:>12,}{line.listed_s:>10}{line.planned_s:>11}{line.grown_mib:>11}",
                flush=True,
            )
    found: dict[str, tuple[float, float]] = {}
    if options.images:
        with tempfile.TemporaryDirectory() as folder:
            found = rates(pathlib.Path(folder), options)
        for way, (rate, cpu_ms) in found.items():
            share = rate / found["files"][0]
            name = way.replace(".", "_")
            figures |= {f"{name}_images_per_s": round(rate, 1), f"{name}_cpu_ms": round(cpu_ms, 2)}
            print(
                f"{way:<16}{rate:>10.1f} images/s {share:>6.2f} of files {cpu_ms:>8.2f} ms of CPU an image", flush=True
            )
    results.close(
        __file__,
        options,
        {
            "limit_s": LIST_LIMIT_S,
            "share": ARCHIVE_SHARE,
            "runs": [dataclasses.asdict(line) for line in lines],
            "rates": found,
        },
        source="docs/batch-prediction.md",
        conditions="names of empty files on this machine; VGA pictures through the service, the best of the rounds",
        figures={**figures, "names": options.names, "images": options.images},
    )
    is_fast = all(line.listed_s <= LIST_LIMIT_S * max(1.0, line.names / 1_000_000) for line in lines)
    is_even = not found or found["tar"][0] >= ARCHIVE_SHARE * found["files"][0]
    return 0 if is_fast and is_even else 1


if __name__ == "__main__":
    sys.exit(main())
