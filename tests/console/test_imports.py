"""Images of buckets and batch jobs in a real Chromium: a folder without a list, and what a model is least certain about."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from tests.console.conftest import PARENT, World
from tests.support.clients.console_page import ConsolePage
from tests.support.images import drawn_images

IMAGES = 5
CHOOSE = """(([words, value]) => {
  const label = [...document.querySelectorAll('main label')].find((one) => one.innerText.startsWith(words));
  const select = label.querySelector('select');
  select.value = value;
  select.dispatchEvent(new Event('change', { bubbles: true }));
})([%s, %s])"""


@pytest.fixture
def dataset(world: World) -> Iterator[str]:
    """The id of an empty dataset, which is gone afterwards: pages propose the newest one."""
    with httpx.Client(base_url=f"{world.service.url}/v1/", trust_env=False, timeout=60) as http:
        body = {"displayName": "shelf", "imageObjectDetectionDatasetMetadata": {}}
        name = http.post(f"{PARENT}/datasets", json=body).json()["response"]["name"]
        yield str(name.rpartition("/")[2])
        assert http.delete(name).status_code == 200


def _states(world: World, dataset: str) -> list[str]:
    found = world.get(f"{PARENT}/datasets/{dataset}/examples?pageSize=1000").get("examples", [])
    return [one["state"] for one in found]


def test_a_folder_is_found_in_the_buckets_and_all_of_its_images_come_without_labels(
    world: World, console: ConsolePage, dataset: str
) -> None:
    bucket = world.service.bucket("shelf")
    drawn_images.write_images(bucket / "spring <b>", IMAGES)
    (bucket / "spring <b>" / "notes.txt").write_text("no image", encoding="utf-8")
    console.open(f"datasets/{dataset}/import")
    console.click("Browse buckets")
    for words in ("gs://shelf/", "spring <b>/"):
        console.until(
            f"[...document.querySelectorAll('dialog li button')].some((b) => b.innerText === {json.dumps(words)})"
        )
        console.click(words)
    console.until("document.querySelector('dialog .mono')?.innerText === 'gs://shelf/spring <b>/'")
    console.click("All images of this folder")
    console.until("document.querySelector('textarea')?.value === 'gs://shelf/spring <b>/'")
    console.page.run("[...document.querySelectorAll('main button')].find((one) => one.innerText === 'Import').click()")
    console.until("[...document.querySelectorAll('main td .state')].some((one) => one.innerText === 'Succeeded')")
    assert _states(world, dataset) == ["UNLABELED"] * IMAGES
    assert console.page.run("document.querySelector('textarea').value") == ""
    assert "left out, as their names are none of images: 1 .txt" in console.settled()
    operation = world.get(f"{PARENT}/operations?filter=works_on%3D{PARENT}/datasets/{dataset}")["operations"][0]
    text = console.open(f"operations/{operation['name'].rpartition('/')[2]}")
    assert "5 / 5" in text and "gs://shelf/spring <b>/" in text


def test_lists_and_folders_are_told_apart(console: ConsolePage, world: World) -> None:
    console.open(f"datasets/{world.ids['dataset']}/import")
    program = """(async () => {
      const { importsOf } = await import(new URL('pages/import.js', document.baseURI));
      return JSON.stringify(importsOf('gs://b/a b.csv\\n gs://b/in/ \\ngs://b\\ngs://b/*.jpg').map(
        (one) => [one.inputConfig.gcsSource.inputUris, Object.keys(one.inputConfig.params)]));
    })()"""
    assert json.loads(console.page.run(program)) == [
        [["gs://b/a b.csv"], ["wide_box_limits"]],
        [["gs://b/in/", "gs://b", "gs://b/*.jpg"], ["unlabelled"]],
    ]


@pytest.mark.parametrize("state", ["SUGGESTED", "UNLABELED"])
def test_images_of_a_batch_job_come_the_least_certain_first_and_lead_to_the_images(
    world: World, console: ConsolePage, dataset: str, state: str
) -> None:
    console.open(f"datasets/{dataset}/import")
    console.click("Choose a batch job")
    console.until("document.querySelector('main section select')")
    console.page.run(CHOOSE % (json.dumps("Batch job"), json.dumps(f"{PARENT}/operations/{world.ids['batch']}")))
    console.until("[...document.querySelectorAll('main button')].some((b) => b.innerText.startsWith('Add '))")
    console.page.run(CHOOSE % (json.dumps("Bring in"), json.dumps(state)))
    console.page.run("document.querySelector('main input[type=number]').select()")
    console.type_into("main input[type=number]", "3")
    console.until("[...document.querySelectorAll('main button')].some((b) => b.innerText.startsWith('Add 3 '))")
    console.click("Add 3 images to the dataset")
    console.until("document.querySelector('main [role=status] a.button')")
    assert _states(world, dataset) == [state] * 3
    console.click("Label them now")
    console.until(f"location.hash === '#/datasets/{dataset}/images?state={state}'")
