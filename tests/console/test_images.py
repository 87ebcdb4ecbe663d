"""The images of a dataset in the console: a grid of any length, keys, filters, and changes of many at once."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.conftest import Service, _start
from tests.support.clients.console_page import ConsolePage, open_console
from tests.support.databases import large_dataset

SOME, MANY = 1500, 100_000
MOST_NODES = 300
PARENT = "projects/demo/locations/us-central1"
DATASET = f"{PARENT}/datasets/{large_dataset.DATASET}"
IMAGES = f"datasets/{large_dataset.DATASET}/images"
GRID = "document.querySelector('.grid')"
PICTURES = "document.querySelectorAll('.cell canvas[data-drawn]').length"
ALL_SHOWN = f"document.querySelectorAll('.cell').length > 0 && {PICTURES} === document.querySelectorAll('.cell').length"
LAST_SHOWN = f"document.querySelector('#tile-{SOME - 1} canvas[data-drawn]')"
CHOSEN = "document.querySelector('.bulk [role=status]').innerText"
CTRL, SHIFT = 2, 8


class Images:
    """A service with one dataset, and its page of images in a browser."""

    def __init__(self, service: Service, console: ConsolePage) -> None:
        self.service = service
        self.console = console

    def call(self, path: str, **query: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.service.url}/v1/{path}", params=query, trust_env=False, timeout=60)
        return dict(answer.raise_for_status().json())

    def done(self, path: str, **body: Any) -> dict[str, Any]:
        """The operation that a call starts, at its end."""
        with httpx.Client(base_url=f"{self.service.url}/v1/", trust_env=False, timeout=90) as http:
            operation = http.post(path, json=body).raise_for_status().json()
            return dict(http.post(f"{operation['name']}:wait", json={"timeout": "60s"}).raise_for_status().json())

    def count(self, where: str) -> int:
        """How many images a filter lets pass, by the API."""
        return int(self.call(f"{DATASET}/examples", filter=where, pageSize="1").get("totalSize", 0))

    def open(self, query: str = "") -> None:
        """Opens the page and waits until pictures are shown."""
        self.console.open(IMAGES + (f"?{query}" if query else ""))
        self.console.until(ALL_SHOWN)

    def first(self) -> str:
        """The name of the first file that is shown."""
        return str(self.console.page.run("document.querySelector('.cell .caption').textContent.split('\\n')[0]"))

    def active(self) -> int:
        return int(self.console.page.run(f"{GRID}.getAttribute('aria-activedescendant').slice(5)"))

    def focus(self) -> None:
        self.console.page.run(f"{GRID}.focus()")


def _filled(folder: pathlib.Path, count: int) -> Iterator[Images]:
    large_dataset.fill(folder / "data", folder / "buckets", count)
    service = _start(folder, {}, {})
    try:
        with open_console(folder, f"{service.url}/console/") as console:
            console.page.command(
                "Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False
            )
            yield Images(service, console)
    finally:
        service.stop()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    yield from _filled(tmp_path_factory.mktemp("images"), SOME)


# the corner of the first box is the colour of its label
CORNER = """((box) => {
  const canvas = document.querySelector('#tile-0 canvas');
  const scale = Math.min(canvas.width / 256, canvas.height / 192);
  const x = Math.round(box.x * 256 * scale + (canvas.width - 256 * scale) / 2);
  const y = Math.round(box.y * 192 * scale + (canvas.height - 192 * scale) / 2);
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true});
  copy.drawImage(canvas, 0, 0);
  return [...copy.getImageData(x, y, 1, 1).data].slice(0, 3);
})"""


def test_pictures_are_shown_with_their_boxes_in_the_colours_of_their_labels(images: Images) -> None:
    images.open()
    assert images.first() == "00000.jpg"
    first = images.call(f"{DATASET}/examples", pageSize="1")["examples"][0]
    assert images.console.page.run("document.querySelector('#tile-0 canvas').dataset.drawn") == "2"
    shades = {"blue": [18, 184, 152], "red": [189, 101, 18]}  # the first two of the console's colours
    for one in first["annotations"]:
        corner = one["imageObjectDetection"]["boundingBox"]["normalizedVertices"][0]
        assert images.console.page.run(f"{CORNER}({json.dumps(corner)})") == shades[one["displayName"]]
    assert (
        images.console.page.run(f"{GRID}.getAttribute('aria-rowcount') * {GRID}.getAttribute('aria-colcount')") == SOME
    )
    images.console.page.run("document.querySelector('input[type=checkbox]').click()")
    images.console.until("document.querySelector('#tile-0 canvas').dataset.drawn === '0'")
    corner = first["annotations"][0]["imageObjectDetection"]["boundingBox"]["normalizedVertices"][0]
    assert images.console.page.run(f"{CORNER}({json.dumps(corner)})") not in shades.values()
    images.console.page.run("document.querySelector('input[type=checkbox]').click()")
    assert images.console.complaints() == []
    assert images.console.strangers(images.call("openapi.json")) == []


def test_keys_lead_through_the_grid_choose_and_open(images: Images) -> None:
    console = images.console
    images.open()
    images.focus()
    columns = int(console.page.run(f"{GRID}.getAttribute('aria-colcount')"))
    for key, place in (
        ("ArrowRight", 1),
        ("ArrowDown", 1 + columns),
        ("ArrowLeft", columns),
        ("End", SOME - 1),
        ("Home", 0),
    ):
        console.press(key)
        console.until(f"{GRID}.getAttribute('aria-activedescendant') === 'tile-{place}'")
    console.press("PageDown")
    console.until(f"{GRID}.getAttribute('aria-activedescendant') !== 'tile-0'")
    assert images.active() % columns == 0
    console.press("Home")
    console.press(" ")
    console.until(f"{CHOSEN} === '1 image chosen'")
    console.press("ArrowRight", SHIFT)
    console.press("ArrowRight", SHIFT)
    console.until(f"{CHOSEN} === '3 images chosen'")
    assert console.page.run("document.querySelectorAll('.cell[aria-selected=true]').length") == 3
    console.press("a", CTRL)
    console.until(f"{CHOSEN} === '1,500 images chosen'")
    console.press("Escape")
    console.until(f"{CHOSEN} === 'Choose images first.'")
    console.press("End")
    console.until(LAST_SHOWN)
    console.press("Enter")
    last = images.call(f"{DATASET}/examples", pageSize="1", skip=str(SOME - 1))["examples"][0]["name"]
    console.until(f"location.hash.includes({json.dumps('/images/' + last.rpartition('/')[2])})")
    console.page.run("history.back()")
    console.until(f"{GRID} && {GRID}.getAttribute('aria-activedescendant') === 'tile-{SOME - 1}'")


def test_what_is_asked_for_is_in_the_address_and_is_what_the_api_finds(images: Images) -> None:
    console = images.console
    images.open("set=TEST&order=display_name")
    console.until(f"document.body.innerText.includes('{images.count('ml_use=TEST'):,} images')")
    assert images.first() == "00004.jpg"
    console.type_into("input[type=search]", "0001")
    console.until("location.hash.includes('name=0001') && location.hash.includes('set=TEST')")
    console.until(f"document.querySelectorAll('.cell').length === {images.count('ml_use=TEST AND uri=0001')}")
    console.open(f"{IMAGES}?name=none-such")
    console.until("document.body.innerText.includes('No image matches')")
    console.click("Show all images")
    console.until(ALL_SHOWN)
    assert not console.page.run("location.hash.includes('?')")


def test_what_is_done_with_many_can_be_taken_back(images: Images) -> None:
    console = images.console
    images.open()
    images.focus()
    before = images.count("ml_use=TEST")
    console.press(" ")
    console.press("ArrowRight", SHIFT)
    console.press("ArrowRight", SHIFT)
    console.click("Move to a set")
    console.page.run("document.querySelector('.bulk form select').value = 'TEST'")
    console.page.run("document.querySelector('.bulk form select').dispatchEvent(new Event('change', {bubbles: true}))")
    console.click("Change 3 images")
    console.click("Undo")
    console.until("document.body.innerText.includes('It is as before.')")
    assert images.count("ml_use=TEST") == before
    images.open()  # without former notices
    images.focus()
    console.press("End")
    console.until(LAST_SHOWN)
    console.press(" ")
    console.click("Nothing in them")
    console.until("document.body.innerText.includes('1 image is changed.')")
    assert (images.count("boxes=0"), images.count("state=LABELED")) == (1, SOME)
    console.until(f"{GRID}.getAttribute('aria-activedescendant') === 'tile-{SOME - 1}'")  # it stays where it was
    console.page.run("[...document.querySelectorAll('.act-back')].at(-1).click()")
    console.until("document.body.innerText.includes('It is as before.')")
    assert images.count("boxes=0") == 0


def test_all_that_match_are_deleted_at_once_and_come_back(images: Images) -> None:
    console = images.console
    images.open("set=VALIDATION")
    images.focus()
    console.press("a", CTRL)
    console.until(f"{CHOSEN} === '300 images chosen'")
    console.click("Delete")
    console.until("document.body.innerText.includes('300 images are deleted.')")
    assert images.count("") == SOME - 300
    console.click("Undo")
    console.until(ALL_SHOWN)
    assert images.count("ml_use=VALIDATION") == 300


def test_keys_give_labels_where_images_have_labels_of_their_own(images: Images) -> None:
    rows = ["cat", "dog", "", "", ""]
    listed = "".join(
        f"gs://{large_dataset.BUCKET}/{n:05d}.jpg{',' if one else ''}{one}\n" for n, one in enumerate(rows)
    )
    (images.service.bucket(large_dataset.BUCKET) / "labels.csv").write_text(listed, encoding="utf-8")
    metadata = {"classificationType": "MULTICLASS"}
    made = images.done(f"{PARENT}/datasets", displayName="pets", imageClassificationDatasetMetadata=metadata)[
        "response"
    ]["name"]
    source = {"gcsSource": {"inputUris": [f"gs://{large_dataset.BUCKET}/labels.csv"]}}
    images.done(f"{made}:importData", inputConfig=source)
    console = images.console
    console.open(f"datasets/{made.rpartition('/')[2]}/images?order=display_name")
    console.until(ALL_SHOWN)
    assert "Nothing in them" not in console.settled(), "an image has a label, not boxes"
    images.focus()
    console.press("2")  # the first image, then the next one is active
    console.until("document.querySelector('#tile-0')?.innerText.includes('dog')")
    console.until(f"{GRID}.getAttribute('aria-activedescendant') === 'tile-1'")
    console.press("ArrowRight")
    console.press("ArrowRight", SHIFT)
    console.press("ArrowRight", SHIFT)
    console.press("1")
    console.until(
        "['#tile-2', '#tile-3', '#tile-4'].every((one) => document.querySelector(one)?.innerText.includes('cat'))"
    )
    found = images.call(f"{made}/examples", orderBy="display_name")["examples"]
    labels = [[one["displayName"] for one in example["annotations"]] for example in found]
    assert labels == [["dog"], ["dog"], ["cat"], ["cat"], ["cat"]]


SCROLL = """(async () => {
  const grid = document.querySelector('.grid');
  let nodes = 0;
  for (let step = 0; step <= STEPS; step++) {
    grid.scrollTop = (grid.scrollHeight - grid.clientHeight) * step / STEPS;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    nodes = Math.max(nodes, grid.querySelectorAll('*').length);
  }
  return nodes;
})()"""


FAST = """(async () => {
  const grid = document.querySelector('.grid');
  const seen = new Set();
  for (let step = 0; step < 100; step++) {
    grid.scrollTop += 200;
    await new Promise((done) => requestAnimationFrame(done));
    for (const one of grid.querySelectorAll('canvas[data-drawn]')) seen.add(one.parentElement.id);
  }
  return seen.size;
})()"""


def _jump(images: Images, share: float) -> None:
    """Scrolls to this share of the list at once, and waits for the pictures there."""
    images.console.page.run(
        f"{GRID}.scrollTop = ({GRID}.scrollHeight - {GRID}.clientHeight) * {share}; "
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    images.console.until(ALL_SHOWN)


def _scrolled(images: Images, steps: int) -> tuple[int, int]:
    """Scrolls through the whole grid; returns the most nodes it had, and how many requests that took."""
    before = len(images.console.requests())
    nodes = int(images.console.page.run(SCROLL.replace("STEPS", str(steps))))
    images.console.until(ALL_SHOWN)
    assert images.console.page.run("document.querySelector('.cell:last-child').id")
    return nodes, len(images.console.requests()) - before


def test_a_scroll_needs_few_nodes_and_asks_for_nothing_that_is_passed_by(images: Images) -> None:
    images.open()
    nodes, requests = _scrolled(images, 40)
    assert nodes <= MOST_NODES
    assert requests <= 120, "a list and the pictures of where it ends, and of where it may have rested"
    assert images.console.page.run("[...document.querySelectorAll('.cell')].at(-1).id") == f"tile-{SOME - 1}"


@pytest.mark.parametrize(
    ("width", "height"),
    [(3840, 2160), *(pytest.param(*one, marks=pytest.mark.full) for one in ((7680, 4320), (360, 800)))],
)
def test_a_screen_of_any_size_has_larger_tiles_instead_of_more_nodes(images: Images, width: int, height: int) -> None:
    size = images.console.page.command
    try:
        size("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        images.open()
        images.console.page.run(
            "(() => { const one = document.querySelector('main input[type=range]'); one.value = one.min; "
            "one.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )
        assert int(images.console.page.run(SCROLL.replace("STEPS", "8"))) <= MOST_NODES
    finally:
        size("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)


def test_what_is_passed_by_quickly_is_not_decoded(images: Images) -> None:
    images.open()
    before = len(images.console.requests())
    drawn = images.console.page.run(FAST)
    assert drawn < 40, "what was seen at the start, and a little of what came next"
    assert len(images.console.requests()) - before < 40
    images.console.until(ALL_SHOWN)


@pytest.mark.full
def test_a_hundred_thousand_images_are_scrolled_through_in_flat_memory(tmp_path: pathlib.Path) -> None:
    for images in _filled(tmp_path, MANY):
        console = images.console
        images.open()
        for twentieth in range(22):  # until as many lists and pictures are kept as ever
            _jump(images, twentieth % 20 / 20)
        used = []
        for _ in range(10):
            nodes, requests = _scrolled(images, 60)
            assert nodes <= MOST_NODES
            assert requests <= 200
            _jump(images, 0)
            console.page.command("HeapProfiler.collectGarbage")
            used.append(console.page.command("Runtime.getHeapUsage")["usedSize"])
        assert max(used) <= 1.2 * used[0], used
        _jump(images, 0.9)
        assert 89_900 < int(console.page.run("document.querySelector('.cell').id.slice(5)")) < 90_100
        images.focus()
        console.press("End")
        console.until(f"document.getElementById('tile-{MANY - 1}')?.innerText.includes('99999.jpg')")
        console.press("a", CTRL)
        console.until(f"{CHOSEN} === '100,000 images chosen'")
        assert console.complaints() == []
