"""What it takes to look at the results of a large batch prediction: its summary, pages at any place, filters, an order.

    python -m benchmarks.serving.batch_results [--quick] [--images 1000000] [--found 10]

Writes an output folder of drawn candidates, 500 images a file, with the manifest that a job writes. Measures in this process
what the service does for a call: nothing of HTTP is in the figures.
"""

from __future__ import annotations

import hashlib
import math
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.harness import arguments, results
from boxwright import objects
from boxwright.batch.output import candidates
from boxwright.batch.output.candidates import CandidatesOrigin, CandidateTable, ImageCandidates
from boxwright.batch.output.manifest import MANIFEST_FILE, Manifest
from boxwright.batch.output.shard_index import OutputFile
from boxwright.batch.output.sidecars import SidecarFile
from boxwright.batch.results import folder, listing, summary
from boxwright.batch.results.listing import Place, Source
from boxwright.batch.results.ranking import Ranking
from boxwright.batch.results.wanted import ResultSelection, Threshold
from boxwright.services import filters

KIND, LABELS = "image_object_detection", [[str(number), f"label{number}"] for number in range(20)]
SHARD_IMAGES, RARE = 500, "label19"
JOB = Threshold(0.5, {}, None, 100)


def drawn(shard: int, found: int) -> CandidateTable:
    """The candidates of a shard: so many an image; the last label is in one shard of a hundred."""
    random = np.random.default_rng(shard)
    rows = []
    for image in range(SHARD_IMAGES):
        scores = np.sort(random.integers(50_000, 1_000_000, (found, 1)), axis=0)[::-1]
        values = np.concatenate([scores, random.integers(0, 1_000_000, (found, 4))], axis=1).astype("<i4")
        labels = random.integers(0, len(LABELS) - (shard % 100 != 0), found).astype("<u2")
        digest = hashlib.sha256(b"%d %d" % (shard, image)).digest()[: candidates.SHA256_BYTES]
        row = ImageCandidates(500_000, digest, 1920, 1080, labels.tobytes(), values.tobytes())
        rows.append((f"gs://photos/{shard:06d}/{image:03d}.jpg", row))
    return CandidateTable.of(KIND, rows)


def write(root: pathlib.Path, shards: int, found: int) -> Source:
    """Writes the folder of a finished job."""
    stores = objects.Stores(root / "buckets", root / "state")
    (root / "buckets" / "b").mkdir(parents=True)
    uri = objects.ObjectUri.parse("gs://b/prediction")
    origin = CandidatesOrigin(KIND, "projects/p/locations/l/models/m", "d", 0.05, LABELS)
    files, lines = [], []
    for shard in range(1, shards + 1):
        content = candidates.to_parquet(drawn(shard, found), origin)
        name = f"candidates/{KIND}_{shard}.parquet"
        stores.put(uri.child(name), content)
        files.append(SidecarFile(name, SHARD_IMAGES, candidates.digest_of(content)))
        lines.append(OutputFile(f"{KIND}_{shard}.jsonl", SHARD_IMAGES, "0" * 64))
    count = shards * SHARD_IMAGES
    model = {"name": origin.model, "digest": "d"}
    manifest = Manifest("SUCCEEDED", count, 0, count, {}, lines, [], model, {"candidate_floor": 0.05}, candidates=files)
    stores.put(uri.child(MANIFEST_FILE), manifest.to_json())
    return Source(stores, folder.opened(stores, uri, KIND), KIND)


def took_ms(work: Callable[[], Any], rounds: int = 3) -> float:
    """The shortest of some rounds."""
    best = math.inf
    for _ in range(rounds):
        started_s = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started_s)
    return round(best * 1000, 1)


def _pages(source: Source, wanted: ResultSelection, size: int) -> Iterator[int]:
    """Walks a list until a page's results are there or it ends; yields for each call."""
    place: Place | None = Place()
    found = 0
    while place is not None and found < size:
        some, place = listing.page(source, wanted, place, size - found)
        found += len(some)
        yield found


def measure(source: Source) -> dict[str, float]:
    """What is measured → milliseconds, or a number."""
    stores, uri = source.stores, source.folder.uri
    count = source.folder.images
    plain = ResultSelection([], JOB)
    rare = ResultSelection(filters.parse(f"label={RARE}"), JOB)
    calls = sum(1 for _ in _pages(source, rare, 100))
    ranked = Ranking(plain, "uncertainty", is_turned=True)
    first_ms = took_ms(lambda: ranked.extend(source), 1)
    order_calls = 1
    while not ranked.is_complete:
        ranked.extend(source)
        order_calls += 1

    def summarized() -> None:
        summary.summarized(stores, folder.with_sizes(stores, source.folder), KIND)

    return {
        "open_ms": took_ms(lambda: folder.opened(stores, uri, KIND)),
        "summary_ms": took_ms(summarized, 1),
        "summary_again_ms": took_ms(summarized),
        "page_first_ms": took_ms(lambda: listing.page(source, plain, Place(), 100)),
        "page_last_ms": took_ms(lambda: listing.page(source, plain, Place(skip=count - 100), 100)),
        "page_of_a_rare_label_calls": calls,
        "page_of_a_rare_label_ms": took_ms(lambda: list(_pages(source, rare, 100)), 1),
        "order_call_ms": first_ms,
        "order_calls": order_calls,
        "page_of_an_order_ms": took_ms(lambda: ranked.page(source, 0, 100)),
    }


def main() -> int:
    parser = arguments.parser(__doc__, quick="few images")
    parser.add_argument("--images", type=int, default=1_000_000, help="of the job (default 1000000)")
    parser.add_argument("--found", type=int, default=10, help="candidates of an image (default 10)")
    options = parser.parse_args()
    if options.quick:
        options.images = 5000
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(write(pathlib.Path(temporary), max(1, options.images // SHARD_IMAGES), options.found))
    for name, value in found.items():
        print(f"{name:28}{value:>10}")
    results.close(
        __file__,
        options,
        {**found, "images": options.images, "found": options.found, "quick": options.quick},
        source="docs/batch-prediction.md",
        conditions=f"{options.images} images, {options.found} candidates each, {SHARD_IMAGES} images a file",
        figures=found,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
