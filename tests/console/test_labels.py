"""Labels and the readiness for training in the console, in a real Chromium against a real service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.console.conftest import PARENT, World
from tests.support.clients.console_page import ConsolePage
from tests.support.images import drawn_images

HOSTILE = '<img src=x onerror=alert(1)> "it\'s" \u0141'


def _post(world: World, path: str, body: Any) -> dict[str, Any]:
    answer = httpx.post(f"{world.service.url}/v1/{path}", json=body, trust_env=False, timeout=90)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _imported(world: World, count: int) -> str:
    """A dataset of so many drawn images, each with the labels red and blue."""
    csv_uri = drawn_images.write_dataset(world.service.bucket(f"for-labels-{count}"), count)
    body = {"displayName": f"for_labels_{count}", "imageObjectDetectionDatasetMetadata": {}}
    name = _post(world, f"{PARENT}/datasets", body)["response"]["name"]
    started = _post(world, f"{name}:importData", {"inputConfig": {"gcsSource": {"inputUris": [csv_uri]}}})
    _post(world, f"{started['name']}:wait", {"timeout": "60s"})
    return name


def _deleted(world: World, dataset: str) -> None:
    httpx.delete(f"{world.service.url}/v1/{dataset}", trust_env=False, timeout=60)


@pytest.fixture
def dataset(world: World) -> Iterator[str]:
    name = _imported(world, 6)
    yield name
    _deleted(world, name)


def _specs(world: World, dataset: str) -> dict[str, dict[str, Any]]:
    return {one["displayName"]: one for one in world.get(f"{dataset}/annotationSpecs").get("annotationSpecs", [])}


def _path(dataset: str, tab: str) -> str:
    return f"datasets/{dataset.rpartition('/')[2]}/{tab}"


def _row(label: str, act: str) -> str:
    return f"{act}\n{label}"


def test_a_label_is_made_changed_and_shown_as_text(world: World, console: ConsolePage, dataset: str) -> None:
    console.open(_path(dataset, "labels"))
    console.click("New label")
    console.type_into("dialog[open] input[maxlength='128']", HOSTILE)
    console.type_into("dialog[open] input[maxlength='1']", "7")
    console.click("Save")
    console.until("!document.querySelector('dialog[open]') && document.querySelectorAll('tbody tr').length === 3")
    made = _specs(world, dataset)[HOSTILE]
    assert (made["hotKey"], made["colour"][0]) == ("7", "#")
    assert HOSTILE in console.settled()
    assert console.page.run("document.querySelectorAll('main img').length") == 0
    console.click(_row("red", "Change"))
    console.type_into("dialog[open] input[maxlength='1']", "7")
    assert console.page.run(
        "[...document.querySelectorAll('dialog[open] button')].find((e) => e.innerText.startsWith('Save')).title"
    ).startswith("This is the key of the label")
    console.page.run("document.querySelector('dialog[open] input[maxlength=\"1\"]').select()")
    console.type_into("dialog[open] input[maxlength='1']", "R")
    console.click("Save")
    console.until("!document.querySelector('dialog[open]') && document.querySelectorAll('main kbd').length === 2")
    assert _specs(world, dataset)["red"]["hotKey"] == "r"
    assert console.complaints() == []


def test_labels_are_merged_and_deleted_and_both_are_undone(world: World, console: ConsolePage, dataset: str) -> None:
    before = _specs(world, dataset)
    console.open(_path(dataset, "labels"))
    console.click(_row("red", "Merge"))
    console.until("document.querySelector('dialog[open] select')")
    said = console.page.run("document.querySelector('dialog[open]').innerText")
    assert f"{before['red']['exampleCount']} images with the label red" in said
    console.page.run("[...document.querySelectorAll('dialog[open] button')].at(-1).click()")
    console.until("document.querySelectorAll('tbody tr').length === 1 && document.querySelector('main .note')")
    assert set(_specs(world, dataset)) == {"blue"}
    console.click("Undo")
    console.until("document.querySelectorAll('tbody tr').length === 2 && !document.querySelector('main .note')")
    assert _specs(world, dataset) == before

    console.click(_row("blue", "Delete"))
    console.until("document.querySelector('dialog[open] button.danger')")
    console.page.run("document.querySelector('dialog[open] button.danger').click()")
    console.until("document.querySelectorAll('tbody tr').length === 1 && document.querySelector('main .note')")
    assert set(_specs(world, dataset)) == {"red"}
    console.click("Undo")
    console.until("document.querySelectorAll('tbody tr').length === 2")
    assert _specs(world, dataset) == before
    assert console.complaints() == []
    assert console.strangers(world.get("openapi.json")) == []


def test_the_page_for_training_says_what_is_in_the_way(world: World, console: ConsolePage, dataset: str) -> None:
    said = console.open(_path(dataset, "train"))
    assert "The label red has 6 images only. A training needs 10 of each label" in said
    start = "[...document.querySelectorAll('button')].find((e) => e.innerText.startsWith('Start training'))"
    assert console.page.run(f"{start}.getAttribute('aria-disabled')") == "true"
    assert "not ready" in console.page.run(f"{start}.title")
    names = [one["name"] for one in world.get(f"{dataset}/examples")["examples"]]
    _post(world, f"{dataset}/examples:batchUpdate", {"names": names, "state": "UNLABELED"})
    assert "6 images without labels are left out." in console.open(_path(dataset, "train"))
    console.click("Label images")  # leads to them
    console.until("location.hash.endsWith('images?state=UNLABELED')")
    ready = _imported(world, 14)
    said = console.open(_path(ready, "train"))
    assert "Nothing stands in the way of a training." in said
    assert f"is made from {world.get(ready)['exampleCount']} labelled images" in said
    assert console.page.run(f"{start}.getAttribute('aria-disabled')") == "false"
    _deleted(world, ready)
    assert console.complaints() == []


def test_models_are_compared_by_the_numbers_of_their_evaluations(world: World, console: ConsolePage) -> None:
    model = world.get(f"{PARENT}/models/{world.ids['model']}")
    found = world.get(f"{model['name']}/modelEvaluations")["modelEvaluation"]
    whole = next(one for one in found if "annotationSpecId" not in one)["imageObjectDetectionEvaluationMetrics"]
    console.open("settings")
    shown = console.page.run(
        "(async () => { const {ModelComparison} = await import(new URL('pages/model_comparison.js', document.baseURI)); "
        "await import(new URL('pages/train.js', document.baseURI)); "
        "const {html, render} = await import(new URL('vendor/ui.js', document.baseURI)); "
        "const at = document.createElement('div'); document.body.append(at); "
        f"const models = [{json.dumps(model)}, {{...{json.dumps(model)}, displayName: 'other'}}]; "
        "render(html`<${ModelComparison} models=${models} />`, at); "
        "while (!at.querySelector('td')) await new Promise((r) => setTimeout(r, 50)); return at.innerText; })()"
    )
    assert f"{whole['boundingBoxMeanAveragePrecision']:.3f}" in shown
    assert "other" in shown
    assert console.complaints() == []
