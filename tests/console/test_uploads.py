"""Images from this computer in a real Chromium: folders dropped, a service that is killed, everything dropped once more."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.console.conftest import PARENT
from tests.support.clients.console_page import ConsolePage, open_console
from tests.support.images import drawn_images

MAX_ROWS = 40
NUMBERS = """Object.fromEntries([...document.querySelectorAll('.uploads .numbers div')].map(
  (one) => [one.querySelector('dt').innerText, Number(one.querySelector('dd').innerText.replace(/\\D/g, ''))]))"""
IS_DONE = "[...document.querySelectorAll('.uploads strong')].some((one) => one.innerText.startsWith('Done'))"


def _write_folder(folder: pathlib.Path, count: int, first: int = 0) -> None:
    """So many images in folders below each other, one of them twice under other names, and three files that are none."""
    for number in range(count):
        place = folder / ("summer & <b>rain</b>" if number % 2 else "winter") / f"{number % 5}"
        place.mkdir(parents=True, exist_ok=True)
        suffix = ("jpg", "png")[number % 2]
        content = drawn_images.draw(first + number, file_format=("JPEG", "PNG")[number % 2]).content
        (place / f"{number:04} é.{suffix}").write_bytes(content)
    (folder / "copy.jpg").write_bytes(drawn_images.draw(first).content)
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    (folder / "winter" / "broken.jpg").write_bytes(drawn_images.draw(first).content[:300])
    (folder / "empty.png").write_bytes(b"")


def _drop(console: ConsolePage, *paths: pathlib.Path) -> None:
    """Drops files and folders on the page's place for them, as a mouse does."""
    console.until("document.querySelector('.drop')")
    box = json.loads(console.page.run("JSON.stringify(document.querySelector('.drop').getBoundingClientRect())"))
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        console.page.command("Input.dispatchDragEvent", type=kind, **at, data=data)


def _counts(console: ConsolePage) -> dict[str, int]:
    console.until(IS_DONE)
    found: dict[str, int] = console.page.run(NUMBERS)
    return found


@pytest.fixture
def place(service_factory: Callable[..., Any], tmp_path: pathlib.Path) -> Iterator[tuple[Any, ConsolePage]]:
    service = service_factory()
    (tmp_path / "browser").mkdir()
    with open_console(tmp_path / "browser", f"{service.url}/console/") as console:
        yield service, console


def _listed(service: Any, dataset: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{service.url}/v1/{PARENT}/datasets/{dataset}/examples?pageSize=1000", trust_env=False)
    found: list[dict[str, Any]] = answer.json().get("examples", [])
    return found


def _first_dataset(console: ConsolePage, folder: pathlib.Path) -> str:
    """Drops a folder on the empty list of datasets, and takes the dataset that is proposed."""
    assert "Drop a folder of images here" in console.open("datasets")
    _drop(console, folder)
    console.until("document.querySelector('dialog input')?.value")
    assert console.page.run("document.querySelector('dialog input').value") == "my_photos"
    console.click("Create")
    console.until("location.hash.endsWith('/import')")
    return str(console.page.run("location.hash.split('/')[2]"))


def test_a_dropped_folder_becomes_a_dataset_and_dropping_it_again_adds_nothing(
    place: tuple[Any, ConsolePage], tmp_path: pathlib.Path
) -> None:
    service, console = place
    folder = tmp_path / "my photos!"
    _write_folder(folder, 56)
    dataset = _first_dataset(console, folder)
    assert _counts(console) == {"Added": 56, "Already there": 1, "Refused": 3, "Waiting": 0}
    found = _listed(service, dataset)
    assert len(found) == 56
    assert {one["state"] for one in found} == {"UNLABELED"}
    assert "0001 é.png" in {one["displayName"] for one in found}
    console.page.run(
        "[...document.querySelectorAll('.chip')].find((one) => one.innerText.startsWith('Refused')).click()"
    )
    console.until("document.querySelectorAll('.upload-list .item').length === 3")
    text = console.page.run("document.querySelector('.upload-list').innerText")
    assert "The file is empty." in text and "Not an image" in text and "truncated" in text
    console.page.run(
        "window.saved = []; const real = URL.createObjectURL; URL.createObjectURL = (one) => (saved.push(one), real(one))"
    )
    console.click("Save the refused as CSV")
    lines = console.page.run("saved[0].text()").splitlines()
    assert lines[0] == "file,message" and len(lines) == 4
    assert '"my photos!/empty.png","The file is empty."' in lines
    (folder / "new.jpg").write_bytes(drawn_images.draw(500).content)
    console.open(f"datasets/{dataset}/import")  # the page knows nothing any more
    _drop(console, folder)
    assert _counts(console) == {"Added": 1, "Already there": 57, "Refused": 3, "Waiting": 0}
    assert len(_listed(service, dataset)) == 57
    assert console.complaints() == [one for one in console.complaints() if " 400 " in one]  # what was refused
    sent = [url for verb, url in console.requests() if ":upload" in url]
    assert len(sent) == 56 + 2 + 1 + 2  # nothing that is there was sent again


def test_an_upload_goes_on_when_the_service_is_back(
    place: tuple[Any, ConsolePage], service_factory: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    service, console = place
    folder = tmp_path / "my photos!"
    _write_folder(folder, 57)
    dataset = _first_dataset(console, folder)
    console.until(f"({NUMBERS})['Added'] >= 5")
    service.kill()
    console.until("document.querySelector('.uploads [role=alert]')")
    assert "Nothing is lost" in console.page.run("document.querySelector('.uploads').innerText")
    again = service_factory(
        data_dir=service.data_dir, buckets=service.buckets, port=service.port, grpc_port=service.grpc_port
    )
    assert sum(_counts(console).values()) == 57 + 1 + 3
    assert len(_listed(again, dataset)) == 57
    assert _counts(console)["Refused"] == 3


def test_an_upload_is_paused_and_resumed_and_files_are_chosen(
    place: tuple[Any, ConsolePage], tmp_path: pathlib.Path
) -> None:
    service, console = place
    folder = tmp_path / "my photos!"
    _write_folder(folder, 40)
    dataset = _first_dataset(console, folder)
    console.click("Pause")
    console.until("[...document.querySelectorAll('.uploads button')].some((one) => one.innerText === 'Resume')")
    console.until(f"({NUMBERS})['Waiting'] >= 0 && !document.querySelector('.uploads .state.runs')")
    before = len(_listed(service, dataset))
    assert before < 40
    console.click("Resume")
    assert _counts(console)["Added"] == 40
    chosen = [*sorted(folder.rglob("*.jpg"))[:3], tmp_path / "one more.png"]
    chosen[-1].write_bytes(drawn_images.draw(900).content)
    root = console.page.command("DOM.getDocument")["root"]["nodeId"]
    field = console.page.command("DOM.querySelector", nodeId=root, selector="input[data-of=files]")["nodeId"]
    console.page.command("DOM.setFileInputFiles", nodeId=field, files=[str(path) for path in chosen])
    console.until(f"({NUMBERS})['Added'] === 41")
    assert _counts(console)["Refused"] >= 3
    assert len(_listed(service, dataset)) == 41


@pytest.mark.full
def test_a_thousand_files_take_few_rows_and_little_memory(
    place: tuple[Any, ConsolePage], tmp_path: pathlib.Path
) -> None:
    service, console = place
    folder = tmp_path / "my photos!"
    _write_folder(folder, 1000)
    dataset = _first_dataset(console, folder)
    console.page.command("HeapProfiler.enable")
    heaps = []
    for wanted in (200, 900):
        console.until(f"({NUMBERS})['Added'] >= {wanted}")
        assert console.page.run("document.querySelectorAll('.upload-list li').length") <= MAX_ROWS
        console.page.command("HeapProfiler.collectGarbage")
        heaps.append(console.page.command("Runtime.getHeapUsage")["usedSize"])
    assert heaps[1] < 1.5 * heaps[0] + 2_000_000  # nothing of what was sent is kept
    assert _counts(console) == {"Added": 1000, "Already there": 1, "Refused": 3, "Waiting": 0}
    assert len(_listed(service, dataset)) == 1000
    console.page.run("document.querySelector('.upload-list').scrollTop = 20000")
    console.until("[...document.querySelectorAll('.upload-list li')].some((one) => one.innerText.includes('0'))")
    assert console.page.run("document.querySelectorAll('.upload-list li').length") <= MAX_ROWS
