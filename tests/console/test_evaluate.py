"""The page of an evaluation, with a real service: its numbers and its matrix are the API's."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.conftest import Service
from tests.support.clients import console_tools
from tests.support.clients.api import open_api
from tests.support.clients.console_page import ConsolePage, open_console
from tests.support.images import drawn_images
from tests.support.predictions import tiny_classifier, tiny_model
from tests.support.predictions.tiny_model import EVALUATED_IMAGES

from boxwright.metadata import database, models

DETECTOR, CLASSIFIER, OLD = "IOD7610000000000000001", "ICN7610000000000000001", "IOD7610000000000000002"
PARENT = "projects/demo/locations/us-central1"
SLIDERS = "document.querySelectorAll('main input[type=range]')"
CELLS = (
    "[...document.querySelectorAll('.matrix tbody tr')].map((row) => "
    "[...row.querySelectorAll('td')].map((one) => Number(one.innerText) || 0))"
)
TILES = "[...document.querySelectorAll('.tiles.evaluated > li')]"
SHOTS = os.environ.get("BOXWRIGHT_SHOTS", "")


@dataclasses.dataclass
class Scene:
    """A service with two models, and a tab.

    Attributes:
        dataset: the name of the detector's dataset.
    """

    service: Service
    console: ConsolePage
    dataset: str

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        url = f"{self.service.url}/v1/{path}"
        return dict(httpx.get(url, params=query or None, trust_env=False, timeout=60).raise_for_status().json())

    def summary(self, model: str, iou: float, score: float) -> dict[str, Any]:
        query = {"iouThreshold": iou, "scoreThreshold": score}
        return self.get(
            f"{PARENT}/models/{model}:summarizeEvaluation", **{key: value for key, value in query.items() if value}
        )

    def open(self, model: str) -> str:
        self.console.open(f"models/{model}/evaluate")
        self.console.until("document.querySelector('.matrix')")
        return self.console.settled()

    def slide(self, number: int, index: int) -> None:
        """Moves a slider to one of its places."""
        self.console.page.run(
            f"(() => {{ const one = {SLIDERS}[{number}]; one.value = {index}; "
            "one.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )


def _classified(service: Service) -> str:
    """A dataset with the images that the tiny classifier was evaluated with."""
    bucket = service.bucket("classified")
    rows = []
    for seed in range(8, 14):
        drawing = drawn_images.draw(seed, boxes=1)
        (bucket / f"{seed}.jpg").write_bytes(drawing.content)
        rows.append(f"TEST,gs://classified/{seed}.jpg,{drawing.boxes[0][0]}")
    return drawn_images.write_csv(bucket, "list.csv", rows)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, service: Service) -> Iterator[Scene]:
    csv_uri = drawn_images.write_dataset(service.bucket("judged"), 10, size_hw=(48, 64))
    with open_api(service) as api:
        dataset = api.create_dataset("judged")
        assert not api.finished(api.start_import(dataset, csv_uri)).HasField("error")
        metadata = {"classification_type": "MULTICLASS"}
        labels = api.automl.create_dataset(
            parent=PARENT, dataset={"display_name": "labels", "image_classification_dataset_metadata": metadata}
        ).result(timeout=60)
        assert not api.finished(api.start_import(labels.name, _classified(service))).HasField("error")
    tiny_model.make().install(service.data_dir, DETECTOR)
    tiny_model.make().install(service.data_dir, OLD)
    (service.data_dir / "models" / OLD / "evaluated.npz").unlink()
    tiny_classifier.make("MULTICLASS").install(service.data_dir, CLASSIFIER)
    with database.Database(service.data_dir / "metadata.sqlite").write() as connection:
        for model, name in ((DETECTOR, dataset), (OLD, dataset), (CLASSIFIER, labels.name)):
            models.update(connection, model, {"dataset_id": name.rpartition("/")[2]})
    with open_console(tmp_path_factory.mktemp("evaluate"), f"{service.url}/console/") as console:
        console.page.command(
            "Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False
        )
        yield Scene(service, console, dataset)


def _matrix(summary: dict[str, Any]) -> list[list[int]]:
    size = len(summary["labels"]) + 1
    return [summary["confusion"][row * size : (row + 1) * size] for row in range(size)]


def test_numbers_and_matrix_at_five_places_of_the_sliders_are_the_apis(scene: Scene) -> None:
    scene.open(DETECTOR)
    ious = [0.05, *(number / 100 for number in range(10, 100, 5)), 0.96, 0.97, 0.98, 0.99]
    for place, (confidence, iou) in enumerate([(0, 9), (13, 1), (9, 2), (12, 0), (22, 22)]):
        scene.slide(0, confidence)
        scene.slide(1, iou)
        summary = scene.summary(DETECTOR, ious[iou], ious[confidence])
        right, wrong, missed = (
            sum(one.get(f"{name}Count", 0) for one in summary["labelCounts"])
            for name in ("truePositive", "falsePositive", "falseNegative")
        )
        wanted = [right / max(1, right + wrong), right / max(1, right + missed)]
        shown = "[...document.querySelectorAll('.numbers dd')].slice(1, 3).map((one) => one.innerText).join()"
        scene.console.until(f"{shown} === {json.dumps(','.join(f'{round(one * 1000) / 10:.1f}%' for one in wanted))}")
        scene.console.until(
            f"JSON.stringify({CELLS}) === {json.dumps(json.dumps(_matrix(summary), separators=(',', ':')))}"
        )
        assert [sum(row) for row in _matrix(summary)[:-1]] == [6, 6], place
    assert scene.console.complaints() == []
    assert scene.console.strangers(scene.get("openapi.json")) == []


def test_a_number_of_the_matrix_leads_to_its_images_and_from_there_to_the_editor(scene: Scene) -> None:
    scene.open(DETECTOR)
    confused = "document.querySelector('.matrix .count-wrong[aria-label*=\"found as\"]')"
    scene.slide(0, 13)
    scene.slide(1, 1)  # boxes that hardly overlap
    scene.console.until(confused)
    words = scene.console.page.run(f"{confused}.ariaLabel")
    _tab_to(scene.console, words)
    scene.console.press("Enter")
    scene.console.until("document.querySelector('.matrix [aria-pressed=true]')")
    scene.console.until(f"{TILES}.length && {TILES}.every((one) => one.querySelector('img'))")
    listed = [url for _, url in scene.console.requests() if "evaluatedExamples" in url]
    assert "true_label" in listed[-1] and "predicted_label" in listed[-1]
    asked = scene.get(listed[-1].partition("/v1/")[2])
    assert scene.console.page.run(f"{TILES}.length") == len(asked["evaluatedExamples"])
    first = asked["evaluatedExamples"][0]
    drawn = f"[...{TILES}[0].querySelectorAll('rect:not(.halo)')].map((one) => one.getAttribute('class'))"
    looks = {"TRUE_POSITIVE": "right", "CONFUSED": "confused"}
    assert scene.console.page.run(drawn) == [
        f"{'there' if one.get('isTruth') else 'found'} {looks.get(one['outcome'], 'wrong')}"
        for one in first["annotations"]
    ]
    link = scene.console.page.run(f"{TILES}[0].querySelector('a').getAttribute('href')")
    assert link == f"#/datasets/{scene.dataset.rpartition('/')[2]}/images/{first['example'].rpartition('/')[2]}"
    dialog = "document.querySelector('dialog[open]')"
    scene.console.page.run(f"{TILES}[0].querySelector('button').focus()")
    scene.console.press("Enter")
    scene.console.until(f"{dialog}?.querySelectorAll('tbody tr').length === {len(first['annotations'])}")
    scene.console.press("Escape")
    scene.console.until(f"!{dialog}")


def test_kinds_of_images_are_those_that_the_api_lists(scene: Scene) -> None:
    scene.open(DETECTOR)
    scene.slide(0, 8)
    scene.console.settled()
    outcomes = {
        "False alarms": "FALSE_POSITIVE",
        "Missed": "FALSE_NEGATIVE",
        "Wrong label": "CONFUSED",
        "Worst images": "",
    }
    for words, outcome in outcomes.items():
        scene.console.page.run(
            f"[...document.querySelectorAll('.chip')].find((one) => one.innerText === {json.dumps(words)}).click()"
        )
        query = {"iouThreshold": 0.5, "scoreThreshold": 0.45, "filter": outcome and f"outcome={outcome}"}
        found = scene.get(f"{PARENT}/models/{DETECTOR}/evaluatedExamples", **{k: v for k, v in query.items() if v})
        total = found.get("totalSize", 0)
        assert total or outcome
        scene.console.until(
            f"{TILES}.length === {total}" if total else "document.body.innerText.includes('No image matches')"
        )
    assert total == EVALUATED_IMAGES


def test_labels_of_whole_images_have_a_matrix_and_images_too(scene: Scene) -> None:
    scene.open(CLASSIFIER)
    assert scene.console.page.run(f"{SLIDERS}.length") == 1
    scene.slide(0, 3)
    summary = scene.summary(CLASSIFIER, 0, 0.2)
    scene.console.until(
        f"JSON.stringify({CELLS}) === {json.dumps(json.dumps(_matrix(summary), separators=(',', ':')))}"
    )
    scene.console.until(f"{TILES}.length === 6 && {TILES}.every((one) => one.querySelector('img'))")
    assert "Is there: " in scene.console.page.run(f"{TILES}[0].innerText")
    assert scene.console.page.run(f"{TILES}[0].querySelector('a').innerText").startswith("Fix the label")


def test_a_model_without_single_images_says_why(scene: Scene) -> None:
    scene.console.open(f"models/{OLD}/evaluate")
    scene.console.until("document.body.innerText.includes('Nothing is kept of single images')")
    assert not scene.console.page.run("document.querySelector('.matrix')")


@pytest.mark.full
def test_the_page_has_no_barrier_in_any_theme_language_or_width(scene: Scene) -> None:
    script = console_tools.MODULES / "axe-core" / "axe.min.js"
    if not script.exists():
        pytest.skip("axe-core is not installed: `make test` installs it where there is npm")
    axe, console, found = script.read_text(encoding="utf-8"), scene.console, []
    console.open("datasets")  # an address whose choices can be set
    for theme, language, width_px in [
        ("light", "en", 1280),
        ("dark", "id", 360),
        ("light", "id", 360),
        ("dark", "en", 1280),
    ]:
        console.page.command(
            "Emulation.setDeviceMetricsOverride", width=width_px, height=900, deviceScaleFactor=1, mobile=False
        )
        console.choose(theme=theme, language=language)
        for model in (DETECTOR, CLASSIFIER):
            scene.open(model)
            console.until(f"{TILES}.length && {TILES}.every((one) => one.querySelector('img'))")
            console.page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            console.settled()
            wide = console.page.run(  # what is wider than the page
                "document.documentElement.scrollWidth <= innerWidth ? '' : '?' + [...document.querySelectorAll('main *')]"
                ".filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll, .tabs'))"
                ".map((one) => one.outerHTML.slice(0, 120)).join()"
            )
            assert not wide, (model, width_px)
            _picture(console, f"{model}-{theme}-{language}-{width_px}")
            console.page.run(axe)
            found += _violations(console, f"{model} {theme} {language} {width_px}")
            console.page.run(f"{TILES}[0].querySelector('button').click()")
            console.until("document.querySelector('dialog[open] img')")
            _picture(console, f"{model}-{theme}-{language}-{width_px}-large")
            found += _violations(console, f"{model} {theme} {language} {width_px} large")
    console.choose(theme="system", language="en")
    assert not found, "\n".join(found)


def _tab_to(console: ConsolePage, label: str) -> None:
    """Presses Tab until what has the focus has this label."""
    for _ in range(80):
        console.press("Tab")
        if console.page.run("document.activeElement.ariaLabel") == label:
            return
    raise AssertionError(f"no Tab leads to {label!r}")


def _violations(console: ConsolePage, where: str) -> list[str]:
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    said = console.page.run(
        f"axe.run(document, {{runOnly: {{type: 'tag', values: {tags}}}}}).then((done) => done.violations.map((one) => "
        "one.id + ' ' + one.nodes.map((node) => node.html.slice(0, 160) + ' ' + node.failureSummary).join(' | ')))"
    )
    return [f"{where}: {one}" for one in said]


def _picture(console: ConsolePage, name: str) -> None:
    if SHOTS:
        import base64

        content = console.page.command("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        pathlib.Path(SHOTS, f"{name}.png").write_bytes(base64.b64decode(content))
