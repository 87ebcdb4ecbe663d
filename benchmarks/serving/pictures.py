"""Times of images that are sent to a dataset, and of their pictures: made for the first time, from the cache, of a part.

    python -m benchmarks.serving.pictures [--quick] [--count 20]

Starts a service of its own and asks it over one REST connection, four at a time for what a page shows. Prints the median
time of a call in milliseconds for each kind of image, and ends with one JSON object.
"""

from __future__ import annotations

import concurrent.futures
import io
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

import requests

from benchmarks.harness import arguments, pictures, results, tiny_service

AT_ONCE = 4  # as the console sends and asks
DATASET = {"displayName": "pictures", "imageObjectDetectionDatasetMetadata": {}}


def _medians(work: Callable[[str], None], given: Sequence[str]) -> tuple[float, float]:
    """Median time of a call in ms, one after the other; and calls a second, four at a time, where `given` is asked again."""
    times = []
    for one in given:
        began_s = time.perf_counter()
        work(one)
        times.append(1000 * (time.perf_counter() - began_s))
    began_s = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(work, given))
    return statistics.median(times), len(given) / (time.perf_counter() - began_s)


def measure(service: tiny_service.TinyService, count: int) -> list[dict[str, object]]:
    """The lines of the table."""
    found: list[dict[str, object]] = []
    dataset = service.call("POST", f"{tiny_service.PARENT}/datasets", DATASET)["response"]["name"]
    with requests.Session() as session:
        for kind in pictures.SIZES_WH:
            names, sent_ms = [], []
            for seed in range(count):
                content = io.BytesIO()
                pictures.draw(kind, seed).save(content, "JPEG", quality=pictures.QUALITY[kind])
                began_s = time.perf_counter()
                url = f"{service.url}{dataset}/examples:upload"
                answer = session.post(url, content.getvalue(), headers={"Content-Type": "image/jpeg"}, timeout=60)
                sent_ms.append(1000 * (time.perf_counter() - began_s))
                names.append(answer.json()["name"])
            found.append({"what": "sent", "image": kind, "first_ms": round(statistics.median(sent_ms), 1)})
            for what, query in (
                ("picture of 256 px", "edgePx=256"),
                ("picture of 1280 px", "edgePx=1280"),
                ("part of 1280 px", "edgePx=1280&region.left=.4&region.top=.4&region.width=.2&region.height=.2"),
            ):

                def ask(name: str, query: str = query) -> None:
                    session.get(f"{service.url}{name}:image?{query}", timeout=60).raise_for_status()

                first_ms, _ = _medians(ask, names)
                again_ms, per_s = _medians(ask, names)
                row = {"first_ms": round(first_ms, 1), "again_ms": round(again_ms, 1), "again_per_s": round(per_s)}
                found.append({"what": what, "image": kind, **row})
                print(found[-1], flush=True)
    return found


def main() -> None:
    parser = arguments.parser(__doc__, "three images of each kind")
    parser.add_argument("--count", type=int, default=20, help="images of each kind (default 20)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, tiny_service.running(pathlib.Path(folder)) as service:
        found = measure(service, 3 if chosen.quick else chosen.count)
    figures = {f"{one['what']}, {one['image']}": one for one in found}
    conditions = f"{AT_ONCE} calls at a time for the rate; drawn JPEGs"
    results.close(
        __file__, chosen, {"pictures": figures}, source="docs/images.md", conditions=conditions, figures=figures
    )


if __name__ == "__main__":
    main()
