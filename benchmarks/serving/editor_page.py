"""The console's label editor with many boxes in a real Chromium: opening, drawing, dragging, the next image.

    python -m benchmarks.serving.editor_page [--quick] [--boxes 500 5000] [--times 5]

    open   from the address of an image until its picture and its boxes are drawn
    draw   all boxes drawn once, on a canvas of 1280 × 900 pixels that is read back
    hit    which boxes are under a point
    drag   from a movement of the pointer that drags a box until after the next frame; redraws of the other boxes meanwhile
    next   from the key D until the picture of the next image is drawn

Medians over times, the worst beside them; of drag the median and the 95th percentile of a visit's movements. More boxes
than an import takes are written into the database: the editor shows and drags what is there.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import sys
import tempfile

import sqlalchemy as sa
from tests.support.clients.console_page import open_console
from tests.support.clients.editor_page import Editor
from tests.support.databases import large_dataset

from benchmarks.harness import arguments, results, serving
from boxwright.metadata import database, schema

SIZE_PX = {"width": 1280, "height": 900}
IMAGES = 20
MOVES = 60
NAMES = ("open_ms", "draw_ms", "hit_us", "drag_median_ms", "drag_p95_ms", "drag_redraws", "next_ms")
DRAWN = """new Promise((done) => {
  const isDrawn = () => {
    const [below, above] = document.querySelectorAll('.field canvas');
    if (!below?.dataset.view || !document.querySelector('h1')?.innerText.includes(NAME)) return false;
    const rowOf = (one) => [...one.getContext('2d').getImageData(0, one.height / 2, one.width, 1).data];
    const isSeen = (one) => rowOf(one).some((value, index) => index % 4 === 3 && value === 255); // opaque
    return isSeen(below) && (!HAS_BOXES || isSeen(above));
  };
  let frames = 0;
  const look = () => {
    frames = document.querySelector('h1')?.innerText.includes(NAME) ? frames + 1 : 0;
    if (frames > 2 && isDrawn()) done(performance.now()); else requestAnimationFrame(look);
  };
  look();
})"""
PARTS = """(async () => {
  const at = (path) => import(new URL(path, document.baseURI));
  const modules = ['editor/view.js', 'editor/geometry.js', 'editor/wire.js', 'app/api.js'];
  const [{drawBoxes}, {under}, {contentOf}, {get}] = await Promise.all(modules.map(at));
  const example = await get(EXAMPLE);
  const {items} = contentOf(example);
  const size = {width_px: 1280, height_px: 900}, image = {width_px: example.widthPx, height_px: example.heightPx};
  const view = {scale: Math.min(1280 / image.width_px, 900 / image.height_px), left_px: 0, top_px: 0};
  const colours = [...new Set(items.map((one) => one.specId))];
  const shown = {items, selected: new Set(), colour: (id) => ['#12635a', '#b35c00'][colours.indexOf(id)]};
  const canvas = document.createElement('canvas');
  const draws = [];
  for (let i = 0; i < 12; i++) {
    const start = performance.now();
    drawBoxes(canvas, size, view, image, shown);
    canvas.getContext('2d').getImageData(0, 0, 1, 1);
    draws.push(performance.now() - start);
  }
  const start = performance.now();
  for (let i = 0; i < 400; i++) under(items, (i % 20) / 20, (i % 17) / 17);
  const hit_us = (performance.now() - start) / 400 * 1000;
  return {draw_ms: draws.slice(2).sort((a, b) => a - b)[5], hit_us};
})()"""
WATCH = """(() => {
  window.waited = [];
  addEventListener('pointermove', (event) => {
    requestAnimationFrame(() => setTimeout(() => window.waited.push(performance.now() - event.timeStamp)));
  }, true);
})()"""
REDRAWS = "Number(document.querySelectorAll('.field canvas')[1].dataset.draws)"


def write_boxes(data_dir: pathlib.Path, count: int) -> None:
    """Gives the dataset's first image `count` boxes in a grid, each twice as far apart as it is wide."""
    side = int(count**0.5) + 1
    db = database.Database(data_dir / "metadata.sqlite")
    with db.write() as connection:
        first = connection.execute(sa.select(sa.func.min(schema.examples.c.id))).scalar_one()
        connection.execute(schema.annotations.delete().where(schema.annotations.c.example_id == first))
        specs = list(large_dataset.SPECS.values())
        rows = []
        for number in range(count):
            x, y = (number % side) / side, (number // side) / side
            corners = {"x_min": x, "y_min": y, "x_max": x + 0.5 / side, "y_max": y + 0.5 / side}
            rows.append({"example_id": first, "annotation_spec_id": specs[number % len(specs)], **corners})
        connection.execute(schema.annotations.insert(), rows)
        own = schema.examples.c.id == first
        connection.execute(schema.examples.update().where(own).values(annotation_count=count))
    db.close()


def measure_once(editor: Editor, found: dict[str, list[float]]) -> None:
    """Adds what one visit of the first image shows."""
    console, page = editor.console, editor.console.page
    example, following = editor.examples()[:2]
    page.go("about:blank")
    page.go(f"{console.root}#/datasets/{large_dataset.DATASET}/images/{example['name'].rpartition('/')[2]}")
    drawn = DRAWN.replace("NAME", repr(example["displayName"])).replace("HAS_BOXES", "true")
    found["open_ms"].append(page.run(drawn))
    editor.ready()
    parts = page.run(PARTS.replace("EXAMPLE", repr(example["name"])))
    for name, value in parts.items():
        found[name].append(value)
    box = example["annotations"][0]["imageObjectDetection"]["boundingBox"]["normalizedVertices"][1]
    editor.click((box["x"] * example["widthPx"] / 2, box["y"] * example["heightPx"] / 2))
    console.until("!document.querySelector('.edited').hidden")
    page.run(WATCH)
    x, y = editor.at(box["x"] * example["widthPx"] / 2, box["y"] * example["heightPx"] / 2)
    before = page.run(REDRAWS)
    editor.mouse("mousePressed", (x, y))
    for step in range(1, MOVES + 1):
        editor.mouse("mouseMoved", (x + 3 * step, y + 2 * step))
    console.until(f"window.waited.length >= {MOVES}")
    times = sorted(page.run("window.waited"))
    found["drag_median_ms"].append(statistics.median(times))
    found["drag_p95_ms"].append(times[round(0.95 * len(times)) - 1])
    found["drag_redraws"].append(page.run(REDRAWS) - before)
    editor.mouse("mouseMoved", (x, y))
    editor.mouse("mouseReleased", (x, y))  # where it was: nothing is saved
    start = page.run("performance.now()")
    editor.key("d")
    drawn = DRAWN.replace("NAME", repr(following["displayName"])).replace("HAS_BOXES", "false")
    found["next_ms"].append(page.run(drawn) - start)


def measure(folder: pathlib.Path, boxes: int, times: int) -> dict[str, list[float]]:
    """What each visit shows, by name."""
    large_dataset.fill(folder / "data", folder / "buckets", IMAGES)
    write_boxes(folder / "data", boxes)
    dataset = f"projects/demo/locations/us-central1/datasets/{large_dataset.DATASET}"
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    with (
        serving.served(folder / "data", folder / "buckets", folder / "log") as url,
        open_console(folder, f"{url}/console/") as console,
    ):
        console.page.command("Emulation.setDeviceMetricsOverride", **SIZE_PX, deviceScaleFactor=1, mobile=False)
        for _ in range(times):
            measure_once(Editor(console, url, dataset), found)
    return found


def main() -> int:
    parser = arguments.parser(__doc__, quick="few boxes, two visits")
    parser.add_argument("--boxes", type=int, nargs="+", default=[500, 5000], help="boxes of the image")
    parser.add_argument("--times", type=int, default=5)
    options: argparse.Namespace = parser.parse_args()
    if options.quick:
        options.boxes, options.times = [100], 2
    figures: dict[str, float] = {}
    for boxes in options.boxes:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            found = measure(pathlib.Path(temporary), boxes, options.times)
        print(f"{boxes} boxes, {options.times} visits, load {os.getloadavg()[0]:.1f}")
        print(f"{'':18}{'median':>12}{'worst':>12}")
        for name, values in found.items():
            print(f"{name:18}{statistics.median(values):>12,.1f}{max(values):>12,.1f}")
            figures[f"{name}_of_{boxes}"] = round(statistics.median(values), 1)
    line = {**figures, "times": options.times, "load": os.getloadavg()[0], "quick": options.quick}
    conditions = f"one image with {' and '.join(map(str, options.boxes))} boxes, {options.times} visits, medians"
    results.close(__file__, options, line, source="docs/console.md", conditions=conditions, figures=figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
