"""The page of a dataset's images: what is shown, how a list of any length is gone through, and changes of many at once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.conftest import Service, _start
from tests.support.clients.api import open_api
from tests.support.clients.console_page import ConsolePage, open_console
from tests.support.images import drawn_images

from boxwright.metadata import database
from boxwright.metadata.schema import datasets, examples

BUCKET = "shown"
IMAGES = 24
MOST_NODES = 300  # of the grid, however long the list is
CELLS = "document.querySelectorAll('.grid [role=gridcell]')"
SHOWN = f"[...{CELLS}].every((one) => one.querySelector('img, [lang]'))"


class Scene:
    """A service with a dataset of drawn images, and a tab with its page.

    Attributes:
        dataset: its name.
    """

    def __init__(self, service: Service, console: ConsolePage, dataset: str) -> None:
        self.service, self.console, self.dataset = service, console, dataset

    @property
    def page(self) -> str:
        return f"datasets/{self.dataset.rpartition('/')[2]}/images"

    def open(self, query: str = "") -> str:
        self.console.open(f"{self.page}{query}")
        self.console.until(f"{CELLS}.length && {SHOWN}")
        return self.console.settled()

    def listed(self, where: str = "") -> list[dict[str, Any]]:
        query = {"filter": where, "pageSize": 1000}
        answer = httpx.get(f"{self.service.url}/v1/{self.dataset}/examples", params=query, trust_env=False, timeout=60)
        return list(answer.raise_for_status().json().get("examples", []))

    def total(self) -> int:
        words = str(self.console.page.run("document.querySelector('section [role=status]').innerText"))
        return int("".join(filter(str.isdigit, words)))


@contextlib.contextmanager
def _scene(service: Service, folder: pathlib.Path, count: int) -> Iterator[Scene]:
    csv_uri = drawn_images.write_dataset(service.bucket(BUCKET), count)
    with open_api(service) as api:
        dataset = api.create_dataset("shown")
        assert not api.finished(api.start_import(dataset, csv_uri)).HasField("error")
    folder.mkdir()
    with open_console(folder, f"{service.url}/console/") as console:
        console.page.command(
            "Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False
        )
        yield Scene(service, console, dataset)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, service: Service) -> Iterator[Scene]:
    with _scene(service, tmp_path_factory.mktemp("images") / "browser", IMAGES) as made:
        yield made


def test_every_image_is_shown_with_its_picture_its_boxes_and_its_name(scene: Scene) -> None:
    scene.open()
    assert scene.total() == IMAGES
    first = scene.listed()[0]
    cell = f"{CELLS}[0]"
    assert first["displayName"] in scene.console.page.run(f"{cell}.innerText")
    assert (
        scene.console.page.run(
            f"{cell}.querySelector('img').decode().then(() => {cell}.querySelector('img').naturalWidth)"
        )
        > 1
    )
    drawn = scene.console.page.run(f"[...{cell}.querySelectorAll('path')].map((one) => one.getAttribute('d')).join('')")
    assert drawn.count("M") == len(first["annotations"])
    left, top = first["annotations"][0]["imageObjectDetection"]["boundingBox"]["normalizedVertices"][0].values()
    assert f"M{left * first['widthPx']:.1f} {top * first['heightPx']:.1f}" in drawn
    assert scene.console.complaints() == []


def test_filters_are_in_the_address_and_show_what_the_api_lists(scene: Scene) -> None:
    scene.open()
    label = scene.listed()[0]["annotations"][0]["displayName"]
    scene.console.until(
        f"[...document.querySelectorAll('.choice')].some((one) => one.innerText.startsWith({json.dumps(label)}))"
    )
    scene.console.page.run(
        f"[...document.querySelectorAll('.choice')].find((one) => one.innerText.startsWith({json.dumps(label)})).click()"
    )
    scene.console.until(f"location.hash.includes('label=') && {CELLS}.length")
    scene.console.settled()
    assert scene.total() == len(scene.listed(f'label="{label}"'))
    assert scene.open("?set=TEST&boxes=some") and scene.total() == len(scene.listed("ml_use=TEST AND boxes>0"))
    scene.console.open(f"{scene.page}?name=no-such-file")
    assert "No image is like that" in scene.console.settled()


def test_many_are_changed_by_keyboard_and_the_change_is_taken_back(scene: Scene) -> None:
    before = {one["name"]: one["mlUse"] for one in scene.listed()}
    scene.open()
    scene.console.page.run("document.querySelector('.grid').focus()")
    scene.console.press("ArrowRight", modifiers=8)
    scene.console.press("ArrowRight", modifiers=8)
    scene.console.until("document.querySelector('.bulk').innerText.includes('3 images chosen')")
    scene.console.click("Move to a set")
    scene.console.page.run(
        "(() => { const one = document.querySelector('.bulk select'); one.value = 'VALIDATION';"
        " one.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    scene.console.click("Change 3 images")
    scene.console.until("document.querySelector('.notices').innerText.includes('3 images are changed')")
    first = [one["mlUse"] for one in scene.listed()[:4]]
    assert first[:3] == ["VALIDATION"] * 3
    scene.console.click("Undo")
    scene.console.until("document.querySelector('.notices').innerText.includes('as before')")
    assert {one["name"]: one["mlUse"] for one in scene.listed()} == before


def test_all_that_match_are_deleted_and_come_back_with_their_labels(scene: Scene) -> None:
    before = scene.listed()
    test_images = scene.listed("ml_use=TEST")
    assert test_images
    scene.open("?set=TEST")
    scene.console.page.run("document.querySelector('.grid').focus()")
    scene.console.press("a", modifiers=2)
    scene.console.until(f"document.querySelector('.bulk').innerText.includes('{len(test_images)} image')")
    scene.console.click("Delete")
    scene.console.until("document.querySelector('.notices').innerText.includes('deleted')")
    assert {one["name"] for one in scene.listed()} == {one["name"] for one in before} - {
        one["name"] for one in test_images
    }
    scene.console.click("Undo")
    scene.console.until("document.querySelector('.notices').innerText.includes('as before')")
    said = ("name", "annotations", "mlUse", "state")
    order = sorted(([one.get(key) for key in said] for one in scene.listed()), key=str)
    assert order == sorted(([one.get(key) for key in said] for one in before), key=str)


@pytest.fixture(scope="module", params=[3_000, pytest.param(100_000, marks=pytest.mark.full)])
def long_list(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, int]]:
    """A dataset whose rows are made here; of the images that they name, those that are looked at are there."""
    folder, count = tmp_path_factory.mktemp("long"), int(request.param)
    service = _start(folder, {}, {})
    try:
        with _scene(service, folder / "browser", 2) as made:
            _fill(made, count)
            yield made, count + 2
    finally:
        service.stop()


def _fill(made: Scene, count: int) -> None:
    service = made.service
    picture = drawn_images.draw(1).content
    bucket = service.bucket(BUCKET)
    rows = []
    for number in range(count):
        content = picture + str(number).encode()  # what follows a JPEG's end is no part of the picture
        if number % (count // 10) < 100 or count - number < 100:
            (bucket / f"{number}.jpg").write_bytes(content)
        rows.append(
            {
                "dataset_id": made.dataset.rpartition("/")[2], "sha256": hashlib.sha256(content).hexdigest(),
                "uri": f"gs://{BUCKET}/{number}.jpg", "display_name": f"{number}.jpg", "ml_use": "TRAIN",
                "width_px": 96, "height_px": 128,
                "state": "LABELED",
            }
        )  # fmt: skip
    db = database.Database(service.data_dir / "metadata.sqlite")
    with contextlib.closing(db), db.write() as connection:
        connection.execute(sa.insert(examples), rows)
        connection.execute(sa.update(datasets).values(example_count=count + 2))


def _scrolled(share: float) -> str:
    return f"(() => {{ const one = document.querySelector('.grid'); one.scrollTop = one.scrollHeight * {share}; }})()"


def _nodes(console: ConsolePage) -> int:
    return int(console.page.run("document.querySelector('.grid').querySelectorAll('*').length"))


def test_a_list_of_any_length_has_few_nodes_and_is_asked_for_in_parts(long_list: tuple[Scene, int]) -> None:
    scene, count = long_list
    console = scene.console
    scene.open()
    assert scene.total() == count
    before = len(console.requests())
    most, steps = 0, 60
    for step in range(steps + 1):
        console.page.run(_scrolled(step / steps))
        console.page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        most = max(most, _nodes(console))
    assert most <= MOST_NODES
    console.until(f"{SHOWN} && {CELLS}[{CELLS}.length - 1].id === 'tile-{count - 1}'")
    asked = console.requests()[before:]
    assert len([url for _, url in asked if "/examples?" in url]) <= steps
    assert len([url for _, url in asked if ":image?" in url]) <= 25 * steps
    console.page.run("document.querySelector('.grid').focus()")
    console.press("Home")
    console.until(f"document.getElementById('tile-0') && {SHOWN}")
    console.press("End")
    console.until(f"document.getElementById('tile-{count - 1}')?.classList.contains('active') && {SHOWN}")
    assert _nodes(console) <= MOST_NODES


@pytest.mark.full
def test_going_through_the_list_again_and_again_keeps_memory_flat(long_list: tuple[Scene, int]) -> None:
    scene, _ = long_list
    scene.open()
    heap_bytes = []
    for _ in range(10):
        for step in (0, 0.25, 0.5, 0.75, 1):
            scene.console.page.run(_scrolled(step))
            scene.console.page.run("new Promise((done) => setTimeout(done, 150))")
        scene.console.page.command("HeapProfiler.collectGarbage")
        heap_bytes.append(int(scene.console.page.command("Runtime.getHeapUsage")["usedSize"]))
    assert max(heap_bytes[5:]) <= 1.2 * max(heap_bytes[2:5])
