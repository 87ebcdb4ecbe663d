"""The console's page of a dataset's images in a real Chromium: its start, frames while it is scrolled, jumps, memory.

    python -m benchmarks.serving.images_page [--quick] [--count 100000] [--times 5]

    first_paint    from the address of the console until the browser has painted something (FCP)
    usable         until the datasets are listed
    images         from the address of the page of images until every tile in sight has its picture
    frame_p95      time between two frames while the grid is scrolled by 120 pixels a frame; also the median
    jump_rows      from a jump to nine tenths of the list until the tiles in sight have their names
    jump_pictures  until they have their pictures, which nobody has asked for before

Medians over times, the worst beside them; nodes and memory are the most that was seen. The window has 1280 × 900 pixels.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
from typing import Any

from tests.support.clients.console_page import ConsolePage, open_console
from tests.support.databases import large_dataset

from benchmarks.harness import arguments, results, serving

SIZE_PX = {"width": 1280, "height": 900}
STEPS = 120  # frames of a scroll
SHOWN = "document.querySelectorAll('.cell canvas[data-drawn]').length === CELLS && CELLS > 0"
WAIT = """new Promise((done) => {
  const look = () => IS_SO ? done(performance.now()) : requestAnimationFrame(look);
  look();
})"""
SCROLL = """(async () => {
  const grid = document.querySelector('.grid');
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const [times, nodes] = [[], []];
  let last = await frame();
  for (let step = 0; step < STEPS; step++) {
    grid.scrollTop += 120;
    const now = await frame();
    times.push(now - last);
    last = now;
    nodes.push(grid.querySelectorAll('*').length);
  }
  return {times, nodes: Math.max(...nodes)};
})()"""
JUMP = """(async () => {
  const grid = document.querySelector('.grid');
  const start = performance.now();
  grid.scrollTop = (grid.scrollHeight - grid.clientHeight) * SHARE;
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const rows = await WAIT_ROWS;
  const pictures = await WAIT_PICTURES;
  return {rows: rows - start, pictures: pictures - start};
})()"""


def _until(program: str) -> str:
    return WAIT.replace("IS_SO", program.replace("CELLS", "document.querySelectorAll('.cell').length"))


def measure_once(console: ConsolePage, share: float, found: dict[str, list[float]]) -> None:
    """Adds what one visit of the page shows; milliseconds, bytes."""
    page = console.page
    page.go("about:blank")
    page.go(f"{console.root}#/datasets")
    found["usable_ms"].append(page.run(_until("document.querySelector('.card h2')")))
    paints = (
        "performance.getEntriesByType('paint').find((one) => one.name === 'first-contentful-paint')?.startTime ?? 0"
    )
    found["first_paint_ms"].append(page.run(paints))
    page.go("about:blank")
    page.go(f"{console.root}#/datasets/{large_dataset.DATASET}/images")
    found["images_ms"].append(page.run(_until(SHOWN)))
    scrolled: dict[str, Any] = page.run(SCROLL.replace("STEPS", str(STEPS)))
    times = sorted(scrolled["times"])
    found["frame_median_ms"].append(statistics.median(times))
    found["frame_p95_ms"].append(times[round(0.95 * len(times)) - 1])
    found["nodes"].append(scrolled["nodes"])
    jump = JUMP.replace("SHARE", str(share)).replace("WAIT_PICTURES", _until(SHOWN))
    rows = _until("document.querySelectorAll('.cell .caption').length === CELLS && CELLS > 0")
    jumped = page.run(jump.replace("WAIT_ROWS", rows))
    found["jump_rows_ms"].append(jumped["rows"])
    found["jump_pictures_ms"].append(jumped["pictures"])
    page.command("HeapProfiler.collectGarbage")
    found["heap_bytes"].append(page.command("Runtime.getHeapUsage")["usedSize"])


def measure(folder: pathlib.Path, count: int, times: int) -> dict[str, list[float]]:
    """What each visit shows, by name."""
    large_dataset.fill(folder / "data", folder / "buckets", count)
    found: dict[str, list[float]] = {
        name: []
        for name in ("first_paint_ms", "usable_ms", "images_ms", "frame_median_ms", "frame_p95_ms", "jump_rows_ms",
                     "jump_pictures_ms", "nodes", "heap_bytes")
    }  # fmt: skip
    with (
        serving.served(folder / "data", folder / "buckets", folder / "log") as url,
        open_console(folder, f"{url}/console/") as console,
    ):
        console.page.command("Emulation.setDeviceMetricsOverride", **SIZE_PX, deviceScaleFactor=1, mobile=False)
        for number in range(times):
            measure_once(console, 0.9 + 0.01 * number, found)
    return found


def main() -> int:
    parser = arguments.parser(__doc__, quick="few images, two visits")
    parser.add_argument("--count", type=int, default=100_000, help="images of the dataset (default 100000)")
    parser.add_argument("--times", type=int, default=5)
    options: argparse.Namespace = parser.parse_args()
    if options.quick:
        options.count, options.times = 2000, 2
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        found = measure(pathlib.Path(temporary), options.count, options.times)
    load = os.getloadavg()[0]
    print(f"{options.count} images, {options.times} visits, load {load:.1f}")
    print(f"{'':18}{'median':>12}{'worst':>12}")
    for name, values in found.items():
        print(f"{name:18}{statistics.median(values):>12,.0f}{max(values):>12,.0f}")
    figures = {name: round(statistics.median(values)) for name, values in found.items()}
    results.close(
        __file__,
        options,
        {**figures, "count": options.count, "times": options.times, "load": load, "quick": options.quick},
        source="docs/console.md",
        conditions=f"{options.count} images, {options.times} visits, medians",
        figures=figures,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
