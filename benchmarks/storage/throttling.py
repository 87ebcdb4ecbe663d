"""Reading from a store that takes so many calls a second and answers the others 503 and 429: calls answered and wasted.

    python -m benchmarks.storage.throttling [--quick] [--allowed 50,200] [--seconds 30] [--threads 32]

Threads read small objects of a server of Google Cloud Storage's interface, behind a proxy that lets so many requests a
second through: by `Stores`, which keep a pace for the bucket, and by the client library's own retries, as it was before.
Then a batch prediction of a service reads as many images as are allowed in that time, and writes its results there. Prints
a table and ends with one JSON object.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import obstore
from tests.support.images import drawn_images
from tests.support.stores import object_servers, rough_proxy
from tests.support.stores.object_servers import BUCKET

from benchmarks.harness import arguments, results, tiny_service
from boxwright import objects
from boxwright.objects.clouds import Cloud

OBJECTS = 50
RETRY_S = 20.0
BURST_S = 0.1  # of the allowed rate


@contextlib.contextmanager
def throttling() -> Iterator[rough_proxy.RoughProxy]:
    """A store with images behind a proxy, which the environment leads to from now on; yields the proxy."""
    with object_servers.double_of_gcs() as server, rough_proxy.before(server.address) as proxy:
        os.environ.update(server.environment(proxy.address))
        stores = objects.Stores(
            pathlib.Path("/none"), pathlib.Path(tempfile.gettempdir()), objects.StoreConfig("cloud")
        )
        for number in range(OBJECTS):
            stores.put(objects.ObjectUri("gs", BUCKET, f"in/{number}.jpg"), drawn_images.draw(number).content)
        yield proxy


def read(call: Callable[[int], Any], threads: int, seconds: float) -> int:
    """Calls by so many threads for so long; returns how many calls were answered."""
    until_s, counts = time.monotonic() + seconds, [0] * threads

    def work(index: int) -> None:
        while time.monotonic() < until_s:
            with contextlib.suppress(Exception):  # the library gives up after a while
                call((index + counts[index]) % OBJECTS)
                counts[index] += 1

    workers = [threading.Thread(target=work, args=[index]) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts)


def readers(proxy: rough_proxy.RoughProxy, allowed: float, threads: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Reads in both ways."""
    cloud = Cloud("gs", RETRY_S)
    stores = objects.Stores(pathlib.Path("/none"), pathlib.Path(tempfile.gettempdir()), objects.StoreConfig("cloud"))
    stores = stores.enduring()

    def library(number: int) -> None:
        place = cloud.long_place(objects.ObjectUri("gs", BUCKET, f"in/{number}.jpg"))
        obstore.get(place.store, place.key).bytes()

    for who, call in (
        ("pace", lambda number: stores.get(objects.ObjectUri("gs", BUCKET, f"in/{number}.jpg"))),
        ("library", library),
    ):
        proxy.throttle(allowed, max(1, int(BURST_S * allowed)))
        started_s = time.monotonic()
        answered = read(call, threads, seconds)
        elapsed_s = time.monotonic() - started_s
        wasted = len(proxy.troubled)
        yield _row(who, allowed, answered / elapsed_s, wasted / max(1, len(proxy.seen)))
    proxy.always(None)


def batch(proxy: rough_proxy.RoughProxy, allowed: float, seconds: float) -> dict[str, Any]:
    """A batch prediction of as many images as are allowed in that time."""
    images = int(allowed * seconds)
    stores = objects.Stores(pathlib.Path("/none"), pathlib.Path(tempfile.gettempdir()), objects.StoreConfig("cloud"))
    for number in range(OBJECTS, images):
        content = drawn_images.draw(number % OBJECTS).content
        stores.put(objects.ObjectUri("gs", BUCKET, f"in/{number}.jpg"), content)
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="bxthrottling-"))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bxthrottling-"))
        settings = {"gs": "cloud", "file_roots": place, "shard_images": 100}
        service = stack.enter_context(tiny_service.running(pathlib.Path(folder), **settings))
        for name, count in (("few", 10), ("all", images)):
            rows = (f"gs://{BUCKET}/in/{number}.jpg\n" for number in range(count))
            pathlib.Path(place, f"{name}.csv").write_text("".join(rows))
        service.finished(service.start_batch(f"file://{place}/few.csv", f"file://{place}/warm/"))
        proxy.throttle(allowed, max(1, int(BURST_S * allowed)))
        started_s = time.monotonic()
        ended = service.finished(service.start_batch(f"file://{place}/all.csv", f"gs://{BUCKET}/out/"))
        elapsed_s = time.monotonic() - started_s
        wasted = len(proxy.troubled) / max(1, len(proxy.seen))
        proxy.always(None)
        if "error" in ended or ended["metadata"].get("partialFailures"):
            raise SystemExit(f"The batch prediction lost something: {ended}")
    return _row("batch", allowed, images / elapsed_s, wasted)


def _row(who: str, allowed: float, answered_per_s: float, wasted: float) -> dict[str, Any]:
    return {
        "who": who,
        "allowed_per_s": allowed,
        "answered_per_s": round(answered_per_s, 1),
        "wasted_share": round(wasted, 3),
    }


def main() -> None:
    """Measures what the command line asks for."""
    parser = arguments.parser(__doc__, "one rate, five seconds")
    parser.add_argument("--allowed", type=lambda text: [float(one) for one in text.split(",")], default=[50.0, 200.0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=32)
    options = parser.parse_args()
    rates, seconds = ([50.0], 5.0) if options.quick else (options.allowed, options.seconds)
    rows: list[dict[str, Any]] = []
    with throttling() as proxy:
        for allowed in rates:
            rows += readers(proxy, allowed, options.threads, seconds)
            rows.append(batch(proxy, allowed, seconds))
    print(f"{'who':8} {'allowed/s':>10} {'answered/s':>11} {'wasted calls':>13}")
    for row in rows:
        print(f"{row['who']:8} {row['allowed_per_s']:10.0f} {row['answered_per_s']:11.1f} {row['wasted_share']:13.1%}")
    figures = {f"{row['who']}_{row['allowed_per_s']:.0f}": row for row in rows}
    conditions = f"{options.threads} threads for {seconds:g} s; the proxy allows a tenth of a second's calls at once"
    results.close(__file__, options, {"rows": rows}, source="docs/storage.md", conditions=conditions, figures=figures)


if __name__ == "__main__":
    main()
