"""The console's page of a batch job's results in a real Chromium: its start, and a step of the threshold's slider.

    python -m benchmarks.serving.results_page [--quick] [--labels 500] [--times 5]

    open        from the address of the page until its counts are shown
    step        from an event of the slider until the page is laid out anew; also the 95th percentile of all steps

The job is that of an earlier release. Its summary is replaced in the browser by that of a job of a million images with as
many labels as asked for; what a step costs depends on the labels alone. Steps ask the service nothing; the script counts
requests.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from tests.support.clients.console_page import ConsolePage, open_console
from tests.support.releases import data_folder

from benchmarks.harness import arguments, results, serving

SUMMARY = """
const real = fetch;
globalThis.fetch = async (url, ...more) => {
  const answer = await real(url, ...more);
  if (!String(url).includes(':summarizeResults')) return answer;
  const found = await answer.json();
  const above = Array.from({length: 101}, (_, k) => String(1000000 - k * 9000));
  const counted = {foundAbove: above, imagesAbove: above};
  const labels = Array.from({length: LABELS}, (_, n) => ({displayName: 'label ' + n, ...counted}));
  const counts = {imageCount: '1000000', hasCandidates: true, imagesAbove: above, labels};
  return new Response(JSON.stringify({...found, ...counts}), {status: 200});
};
"""
OPEN = """new Promise((done) => {
  const look = () => document.querySelector('main .numbers') ? done(performance.now()) : requestAnimationFrame(look);
  look();
})"""
STEPS = """(async () => {
  const slider = document.querySelector('main input[type=range]');
  const times = [];
  const before = performance.getEntriesByType('resource').length;
  for (let k = 50; k <= 100; k++) {
    const start = performance.now();
    slider.value = String(k / 100);
    slider.dispatchEvent(new Event('input', {bubbles: true}));
    await Promise.resolve();
    void document.body.offsetHeight;
    times.push(performance.now() - start);
  }
  return {times, asked: performance.getEntriesByType('resource').length - before};
})()"""


def measure_once(console: ConsolePage, batch: str, found: dict[str, list[float]]) -> None:
    """Adds what one visit of the page shows, in milliseconds; the number of requests in `asked`."""
    console.page.go("about:blank")
    console.page.go(f"{console.root}#/batches/{batch}/results")
    found["open_ms"].append(console.page.run(OPEN))
    console.settled()
    moved = console.page.run(STEPS)
    found["step_ms"] += moved["times"]
    found["asked"].append(moved["asked"])


def measure(folder: pathlib.Path, labels: int, times: int) -> dict[str, list[float]]:
    """What the visits show, by name."""
    release = sorted(data_folder.FOLDER.glob("*.zip"))[0]
    data_folder.unpack(release, folder / "release")
    data_dir = folder / "release" / "data"
    migrate = [sys.executable, "-m", "boxwright.cli", "migrate", "--data-dir", str(data_dir)]
    subprocess.run(migrate, check=True, capture_output=True)
    found: dict[str, list[float]] = {"open_ms": [], "step_ms": [], "asked": []}
    with (
        serving.served(data_dir, folder / "release" / "buckets", folder / "log") as url,
        open_console(folder, f"{url}/console/") as console,
    ):
        console.page.command("Page.addScriptToEvaluateOnNewDocument", source=SUMMARY.replace("LABELS", str(labels)))
        batch = _batch(console)
        for _ in range(times):
            measure_once(console, batch, found)
    return found


def _batch(console: ConsolePage) -> str:
    """The id of an ended batch prediction."""
    console.open("batches")
    link = "document.querySelector('main tbody a').getAttribute('href').split('/')[2]"
    return str(console.page.run(link))


def main() -> int:
    parser = arguments.parser(__doc__, quick="two visits")
    parser.add_argument("--labels", type=int, default=500, help="labels of the job (default 500)")
    parser.add_argument("--times", type=int, default=5)
    options: argparse.Namespace = parser.parse_args()
    if options.quick:
        options.times = 2
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        found = measure(pathlib.Path(temporary), options.labels, options.times)
    steps = sorted(found["step_ms"])
    figures = {
        "open_ms": round(statistics.median(found["open_ms"])),
        "step_median_ms": round(statistics.median(steps), 1),
        "step_p95_ms": round(steps[round(0.95 * len(steps)) - 1], 1),
        "asked": int(sum(found["asked"])),
    }
    load = os.getloadavg()[0]
    print(f"{options.labels} labels, {options.times} visits, load {load:.1f}: {figures}")
    results.close(
        __file__,
        options,
        {**figures, "labels": options.labels, "times": options.times, "load": load, "quick": options.quick},
        source="docs/console.md",
        conditions=f"a million images, {options.labels} labels, {options.times} visits",
        figures=figures,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
