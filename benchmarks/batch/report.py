"""What a report costs: the pass over the candidates of a folder, scaled to a million images, and the pictures.

    python -m benchmarks.batch.report [--quick] [--images 100000] [--boxes 20]

A folder with so many images and candidates is made in this process, then its report. There are no images, so the pictures
are timed by themselves. Prints the seconds of each part and ends with one JSON object. The bars: 60 s for a million images,
and 3 % of the time of a job of 200 images a second.
"""

from __future__ import annotations

import io
import pathlib
import tempfile
import threading
import time
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks.batch import candidates as former
from benchmarks.harness import arguments, results
from boxwright import objects
from boxwright.batch.job import BatchSpec
from boxwright.batch.output.manifest import Manifest
from boxwright.batch.report import gathering, thumbnails
from boxwright.batch.report.leaders import RankedImage
from boxwright.batch.report.reporting import CandidateFile, Reporter

BAR_S, BAR_SHARE, RATE = 60.0, 0.03, 200.0
PICTURE_WH = (1600, 1200)
MIB = 1 << 20
SAMPLE_INTERVAL_S = 0.05


class _PeakMemory:
    """The largest resident memory of this process while it is watched."""

    def __enter__(self) -> _PeakMemory:
        self._process, self._ended = psutil.Process(), threading.Event()
        self.before_mib = self.most_mib = self._process.memory_info().rss / MIB
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_INTERVAL_S):
            self.most_mib = max(self.most_mib, self._process.memory_info().rss / MIB)


def report_s(folder: pathlib.Path, images: int, boxes: float) -> dict[str, Any]:
    """Seconds and processor seconds of a report, and the memory that it takes."""
    stores, uri, _ = former.make_folder(folder, images, boxes)
    manifest = Manifest.from_json(stores.get(objects.ObjectUri.parse(uri)))
    output = uri.rpartition("/")[0]
    spec = BatchSpec(
        [uri], "gs://b/report", str(stores.state("operations/report")), 0.5, 100, former.SHARD_IMAGES, 0.5,
        labels=former.LABELS, report=True, candidate_floor=former.FLOOR,
    )  # fmt: skip
    files = [CandidateFile(f"{output}/{file.name}", file.sha256) for file in manifest.candidates]
    started_s, cpu_before_s = time.perf_counter(), time.process_time()
    with _PeakMemory() as memory:
        made = Reporter(spec, stores, folder, files, lambda: False).report(manifest)
    assert made, "the report has failed"
    seconds = time.perf_counter() - started_s
    return {
        "images": images,
        "seconds": round(seconds, 2),
        "cpu_s": round(time.process_time() - cpu_before_s, 2),
        "cpu_s_per_million": round((time.process_time() - cpu_before_s) / images * 1e6, 1),
        "memory_mib": round(memory.most_mib - memory.before_mib, 1),
        "page_bytes": stores.head(objects.ObjectUri.parse("gs://b/report/report/report.html")).size_bytes,
    }


def pictures_s(folder: pathlib.Path) -> float:
    """Seconds of all pictures of a contact sheet, of images of two megapixels."""
    count = gathering.RANDOM + gathering.SUREST + gathering.TO_LABEL + gathering.DENSEST
    (folder / "buckets" / "b").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8))
        target = io.BytesIO()
        small.resize(PICTURE_WH, Image.Resampling.BICUBIC).save(target, "JPEG", quality=85)
        (folder / "buckets" / "b" / f"{number}.jpg").write_bytes(target.getvalue())
        nothing = np.zeros((5, 0), np.int32)
        found.append(
            RankedImage(0.0, f"gs://b/{number}.jpg", b"%d" % number, PICTURE_WH, 0, np.zeros(0, np.uint16), nothing)
        )
    stores = objects.Stores(folder / "buckets", folder / "state")
    started_s = time.perf_counter()
    taken = thumbnails.taken(found, stores, lambda: False)
    assert len(taken) == count
    return round(time.perf_counter() - started_s, 2)


def main() -> None:
    """Measures and prints."""
    parser = arguments.parser(__doc__, "20,000 images")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--boxes", type=int, default=20, help="candidates of an image, on average")
    options = parser.parse_args()
    images = 20_000 if options.quick else options.images
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        line = report_s(folder / "report", images, options.boxes) | {"pictures_s": pictures_s(folder / "pictures")}
    whole_s = line["seconds"] / images * 1e6 + line["pictures_s"]
    share = (line["seconds"] + line["pictures_s"]) / (images / RATE)
    print(f"{images:,} images: {line['seconds']} s, {line['memory_mib']} MiB; pictures {line['pictures_s']} s")
    print(f"a million images: {whole_s:.0f} s, bar {BAR_S:.0f} s; share of a job {share:.1%}, bar {BAR_SHARE:.0%}")
    results.close(
        __file__,
        options,
        line,
        source="docs/benchmarks.md",
        conditions=f"{options.boxes} candidates an image, images not at hand",
        figures={"report": [line]},
    )


if __name__ == "__main__":
    main()
