"""Results of a batch job in the console: counts from memory, images, failed ones, files, and what to label next."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import httpx
import pytest
from tests.console.conftest import PARENT, World
from tests.support.clients.console_page import ConsolePage
from tests.support.machine.waiting import wait_until

NUMBERS = "[...document.querySelectorAll('main .numbers dd')].map((one) => one.innerText.replaceAll(/\\D/g, ''))"
TILES = "document.querySelectorAll('.tile').length"
SLIDER = "document.querySelector('main input[type=range]')"
ASKED = "performance.getEntriesByType('resource').length"
FLOOR = 0.05


@pytest.fixture(scope="module")
def job(world: World) -> str:
    """An ended batch prediction of 24 images and one that is not there; everything above the floor is in its files."""
    _needs(world, ":summarizeResults")
    bucket = world.service.bucket("with-results")
    (bucket / "list.csv").write_text("gs://photos/many/gone.jpg\n", encoding="utf-8")
    started = httpx.post(
        f"{world.service.url}/v1/{PARENT}/models/{world.ids['model']}:batchPredict",
        json={
            "inputConfig": {"gcsSource": {"inputUris": ["gs://photos/many/", "gs://with-results/list.csv"]}},
            "outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://with-results/out/"}},
            "params": {"score_threshold": str(FLOOR), "max_bounding_box_count": "500"},
        },
        trust_env=False,
        timeout=60,
    ).json()["name"]
    wait_until(lambda: bool(world.get(started).get("done")), "the job has ended")
    return str(started.rpartition("/")[2])


def _needs(world: World, row: str) -> None:
    """Skips where the service has no such method yet."""
    if not any(row in path for path in world.get("openapi.json")["paths"]):
        pytest.skip(f"the service has no {row}")


def _lines(world: World, job: str) -> list[dict[str, Any]]:
    """What the job's result files say."""
    folder = world.get(f"{PARENT}/operations/{job}")["metadata"]["batchPredictDetails"]["outputInfo"]
    path = world.service.bucket("with-results").parent / folder["gcsOutputDirectory"].removeprefix("gs://")
    files = sorted(path.glob("image_object_detection_*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def _scores(line: dict[str, Any], label: str = "") -> list[float]:
    found = [one for one in line["annotations"] if not label or one["display_name"] == label]
    return [one["image_object_detection"]["score"] for one in found]


def _move(console: ConsolePage, threshold: float) -> None:
    console.page.run(f"(() => {{ const one = {SLIDER}; one.value = '{threshold}'; "
                     "one.dispatchEvent(new Event('input', {bubbles: true})); })()")  # fmt: skip


def test_the_slider_counts_from_memory_and_asks_nothing_while_it_moves(
    world: World, console: ConsolePage, job: str
) -> None:
    lines = _lines(world, job)
    console.open(f"batches/{job}/results")
    for threshold in (0.1, 0.35, 0.6, 0.85, 0.97):
        _move(console, threshold)
        found = sum(score >= threshold for line in lines for score in _scores(line))
        images = sum(any(score >= threshold for score in _scores(line)) for line in lines)
        console.until(f"{NUMBERS}.slice(0, 3).join() === '{found},{images},{len(lines) - images}'")
        assert console.page.run(f"document.querySelector('.mark').getAttribute('d') === `M${{{threshold} * 100}} 0V40`")
        assert f"{threshold:.2f}" in console.page.run(f"{SLIDER}.parentElement.innerText")
    _move(console, 1)
    console.until("document.body.innerText.includes('Nothing reaches this threshold.')")
    _move(console, 0.1)
    console.until("!document.body.innerText.includes('Nothing reaches this threshold.')")
    console.settled()
    asked = console.page.run(
        f"(async () => {{ const one = {SLIDER}, before = {ASKED}, shown = new Set(); for (let k = 5; k <= 100; k++) {{ "
        "one.value = String(k / 100); one.dispatchEvent(new Event('input', {bubbles: true})); await Promise.resolve(); "
        f"shown.add({NUMBERS}[0]); }} return [{ASKED} - before, shown.size]; }})()"
    )
    assert asked[0] == 0
    assert asked[1] > 20, "the numbers follow the slider"


def test_the_gallery_is_asked_for_once_the_slider_rests_and_by_label(
    world: World, console: ConsolePage, job: str
) -> None:
    lines = _lines(world, job)
    console.open(f"batches/{job}/results")
    before = len(console.requests())
    for threshold in (0.5, 0.7, 0.9):
        _move(console, threshold)
    console.until("document.querySelector('.tile .caption')")
    wanted = sum(score >= 0.9 for score in _scores(lines[0]))
    console.until(f"document.querySelector('.tile .caption .quiet')?.innerText.startsWith('{wanted or 'nothing'}')")
    lists = [url for _, url in console.requests()[before:] if "/results?" in url]
    assert lists and all("scoreThreshold=0.9" in url for url in lists)
    label = lines[0]["annotations"][0]["display_name"]
    console.page.run(
        f"[...document.querySelectorAll('.chip')].find((one) => one.innerText.includes('{label}')).click()"
    )
    images = sum(any(score >= 0.9 for score in _scores(line, label)) for line in lines)
    console.until(f"{TILES} === {images}")
    console.until(f"{NUMBERS}[1] === '{images}'")


def test_images_are_looked_at_one_after_the_other_by_keyboard_alone(
    world: World, console: ConsolePage, job: str
) -> None:
    _needs(world, "/results/{result}:image")
    lines = _lines(world, job)
    console.open(f"batches/{job}")
    console.tab_to("Results")
    console.press("Enter")
    console.until(f"{TILES} > 1")
    first, second = (line["ID"].rpartition("/")[2] for line in lines[:2])
    console.tab_to(first)
    console.press("Enter")
    console.until(f"document.querySelector('dialog h2')?.innerText === '{first}'")
    console.until("document.querySelector('dialog .picture img')?.complete")
    console.press("ArrowRight")
    console.until(f"document.querySelector('dialog h2')?.innerText === '{second}'")
    console.press("ArrowLeft")
    console.until(f"document.querySelector('dialog h2')?.innerText === '{first}'")
    console.press("Escape")
    console.until("!document.querySelector('dialog')")


def test_a_job_without_candidates_says_why_the_slider_is_off(world: World, console: ConsolePage) -> None:
    _needs(world, ":summarizeResults")
    text = console.open(f"batches/{world.ids['batch']}/results")
    assert console.page.run(f"{SLIDER}.disabled")
    assert "The threshold cannot be moved here." in text
    assert world.get(f"{PARENT}/operations/{world.ids['batch']}:summarizeResults")["reason"] in text
    assert console.page.run(TILES) == 24


def test_failed_images_are_listed_and_kept_as_a_list(
    world: World, console: ConsolePage, job: str, tmp_path: pathlib.Path
) -> None:
    console.page.command("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    text = console.open(f"batches/{job}/failed")
    assert "gs://photos/many/gone.jpg" in text and "NOT_FOUND" in text
    console.click("Save a list of them (CSV)")
    kept = tmp_path / f"failed-{job}.csv"
    wait_until(kept.exists, "the browser has saved a file")
    wait_until(lambda: kept.read_text(encoding="utf-8") == "gs://photos/many/gone.jpg\n", "the list is whole")
    console.click("Predict the failed images again")
    console.until("document.querySelector('main textarea')?.value.endsWith('/errors_1.jsonl')")


def test_a_file_is_downloaded_as_it_is(world: World, console: ConsolePage, job: str, tmp_path: pathlib.Path) -> None:
    _needs(world, ":download")
    console.page.command("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    console.open(f"batches/{job}/files")
    button = (
        "[...document.querySelectorAll('main tbody button')].find((one) => one.textContent.endsWith(' manifest.json'))"
    )
    console.page.run(f"{button}.click()")
    kept = tmp_path / "manifest.json"
    wait_until(kept.exists, "the browser has saved a file")
    folder = world.get(f"{PARENT}/operations/{job}:summarizeResults")["outputDirectory"].removeprefix("gs://")
    original = world.service.bucket("with-results").parent / folder / "manifest.json"
    wait_until(lambda: kept.read_bytes() == original.read_bytes(), "the file is whole")
    console.click("Choose folder and formats")
    console.until("document.querySelector('main textarea')?.value.endsWith('/manifest.json')")
    assert "Nothing is predicted." in console.settled()


def test_what_to_label_next_goes_into_a_dataset_as_suggestions(world: World, console: ConsolePage, job: str) -> None:
    _needs(world, "/examples:addResults")
    dataset = f"{PARENT}/datasets/{world.ids['dataset']}"
    before = world.get(f"{dataset}/examples?filter=state%3DSUGGESTED").get("totalSize", 0)
    console.open(f"batches/{job}/next")
    console.page.run("document.querySelector('main input[type=number]').select()")
    console.type_into("main input[type=number]", "3")
    console.click("Add 3 images to the dataset")
    console.until("[...document.querySelectorAll('a.button')].some((one) => one.innerText === 'Label them now')")
    after = world.get(f"{dataset}/examples?filter=state%3DSUGGESTED")["totalSize"]
    assert before < after <= before + 3, "an image that the dataset has already keeps its labels"
    console.click("Label them now")
    console.until(f"location.hash === '#/datasets/{world.ids['dataset']}/images?state=SUGGESTED'")


def test_a_folder_is_picked_from_the_buckets(world: World, console: ConsolePage) -> None:
    _needs(world, "/objects")
    console.open(f"batches/new?model={world.ids['model']}")
    console.click("Browse buckets")
    console.click("gs://photos/")
    console.click("many/")
    console.until("[...document.querySelectorAll('dialog li')].some((one) => one.innerText.includes('0000.jpg'))")
    console.click("Take this folder")
    console.until(
        "document.querySelector('main textarea').value === 'gs://photos/many/' && !document.querySelector('dialog')"
    )


# a list of many files, as the service answers it: empty pages, and how far they are
LONG = """
const real = fetch;
let read = 0;
globalThis.fetch = async (url, ...more) => {
  if (!String(url).includes('/results?') || !globalThis.isLong) return real(url, ...more);
  await new Promise((done) => setTimeout(done, 20));
  const far = {readFileCount: ++read, fileCount: 5000, totalSize: -1};
  return new Response(JSON.stringify({...far, nextPageToken: 'further'}), {status: 200});
};
globalThis.isLong = true;
"""


def test_a_list_that_takes_long_says_how_far_it_is_and_is_stopped(world: World, console: ConsolePage, job: str) -> None:
    script = console.page.command("Page.addScriptToEvaluateOnNewDocument", source=LONG)["identifier"]
    try:
        console.page.go("about:blank")
        console.page.go(f"{console.root}#/batches/{job}/results")
        console.until("/^[0-9]+ of 5,000 files are read/m.test(document.body.innerText)")
        far = "document.querySelector('main [role=status] progress')"
        before = int(console.page.run(f"{far}.value"))
        console.until(f"{far}.value > {before}")
        console.click("Stop")
        console.until("document.body.innerText.includes('None so far.')")
        asked = len(console.requests())
        console.settled()
        assert len(console.requests()) == asked
        console.page.run("globalThis.isLong = false")
        console.page.run(f"{SLIDER}.value = '0.06'; {SLIDER}.dispatchEvent(new Event('input', {{bubbles: true}}))")
        console.until(f"{TILES} > 1 && !{far}")
    finally:
        console.page.command("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
