"""The console's pages in a real Chromium, against a real service: what they ask, show, and never do."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.console.conftest import PARENT, World
from tests.support.access.guarded_service import run_guarded_service
from tests.support.clients import console_tools
from tests.support.clients.console_page import ConsolePage, open_console
from tests.support.machine.prefix_proxy import serving_under_prefix

HOSTILE = "gs://photos/<img src=x onerror=document.title='taken'>.csv"
SHOTS = os.environ.get("BOXWRIGHT_CONSOLE_SHOTS")  # a folder for a picture of every page, for a person to look at


@pytest.fixture
def axe() -> str:
    script = console_tools.MODULES / "axe-core" / "axe.min.js"
    if not script.exists():
        pytest.skip("axe-core is not installed: `make test` installs it where there is npm")
    return script.read_text(encoding="utf-8")


def _openapi(world: World) -> dict[str, Any]:
    return world.get("openapi.json")


def test_pages_keep_the_policy_and_ask_the_public_api_only(world: World, console: ConsolePage) -> None:
    dataset, model, batch = world.ids["dataset"], world.ids["model"], world.ids["batch"]
    paths = ["datasets", f"datasets/{dataset}/train", f"models/{model}/evaluate", f"batches/{batch}", "settings"]
    headings = _walked(world, console, paths)
    assert headings["datasets"] == "Datasets"
    assert headings[f"batches/{batch}"] == "Batch prediction"


@pytest.mark.full
def test_every_page_keeps_the_policy_and_asks_the_public_api_only(world: World, console: ConsolePage) -> None:
    assert all(_walked(world, console, world.pages).values())


def _walked(world: World, console: ConsolePage, paths: list[str]) -> dict[str, str]:
    """Opens pages, and looks at each and at what the browser says of all; returns their headings."""
    headings = {}
    for path in paths:
        text = console.open(path)
        headings[path] = console.page.run("document.querySelector('h1, h2').innerText")
        raw = re.findall(r"\b(?:nav|tab|state|kind|code|evaluate|train|batch|operation)\.[a-z_.]+\b", text)
        assert not raw, f"{path} shows ids of sentences: {raw}"
        assert not console.page.run("document.querySelector('[role=alert]')"), text
        assert console.page.run("document.title").endswith("Boxwright")
    assert console.complaints() == []
    assert console.strangers(_openapi(world)) == []
    return headings


def test_the_evaluation_shows_the_numbers_of_the_api(world: World, console: ConsolePage) -> None:
    found = world.get(f"{PARENT}/models/{world.ids['model']}/modelEvaluations")["modelEvaluation"]
    whole = next(one for one in found if "annotationSpecId" not in one)["imageObjectDetectionEvaluationMetrics"]
    entries = next(
        row["confidenceMetricsEntries"]
        for row in whole["boundingBoxMetricsEntries"]
        if abs(row["iouThreshold"] - 0.5) < 0.001
    )
    entries.sort(key=lambda one: one.get("confidenceThreshold", 0))
    console.open(f"models/{world.ids['model']}/evaluate")
    for index in (0, 5, 10, 15, len(entries) - 1):
        console.page.run(
            f"(() => {{ const one = document.querySelector('input[type=range]'); one.value = {index}; "
            "one.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )
        wanted = [round(entries[index].get(key, 0) * 1000) / 10 for key in ("precision", "recall")]
        shown = "[...document.querySelectorAll('.numbers dd')].map((e) => e.innerText)"
        console.until(f"{shown}[1] === '{wanted[0]:.1f}%' && {shown}[2] === '{wanted[1]:.1f}%'")
    assert console.page.run("document.querySelectorAll('.chart > svg .line').length") == 4


def test_what_a_stranger_has_named_is_text(world: World, console: ConsolePage) -> None:
    started = httpx.post(
        f"{world.service.url}/v1/{PARENT}/datasets/{world.ids['dataset']}:importData",
        json={"inputConfig": {"gcsSource": {"inputUris": [HOSTILE]}}},
        trust_env=False,
        timeout=60,
    ).json()
    httpx.post(f"{world.service.url}/v1/{started['name']}:wait", json={"timeout": "60s"}, trust_env=False, timeout=90)
    for path in (
        f"datasets/{world.ids['dataset']}/import",
        "operations",
        f"operations/{started['name'].split('/')[-1]}",
    ):
        assert "<img src=x" in console.open(path)
        assert console.page.run("document.querySelectorAll('img[src=x]').length") == 0
        assert console.page.run("document.title") != "taken"


def test_a_dataset_is_made_found_and_deleted_by_keyboard_alone(world: World, console: ConsolePage) -> None:
    console.open("datasets")
    console.tab_to("New dataset")
    console.press("Enter")
    console.until("document.querySelector('dialog[open] input')")
    console.page.command("Input.insertText", text="by_keyboard")
    console.tab_to("Create")
    console.press("Enter")
    console.until("location.hash.endsWith('/import') && document.querySelector('h1')?.innerText === 'by_keyboard'")
    console.tab_to("Datasets")
    console.press("Enter")
    console.until("document.querySelector('h1')?.innerText === 'Datasets'")
    console.until("document.body.innerText.includes('by_keyboard')")
    console.tab_to("Delete by_keyboard")
    console.press("Enter")
    console.tab_to("Type the name by_keyboard")
    console.page.command("Input.insertText", text="by_keyboard")
    console.tab_to("Delete")
    console.press("Enter")
    console.until("![...document.querySelectorAll('h2')].some((e) => e.innerText === 'by_keyboard')")
    names = [one["displayName"] for one in world.get(f"{PARENT}/datasets")["datasets"]]
    assert "by_keyboard" not in names


def test_an_image_is_predicted_and_the_slider_chooses_among_its_boxes(world: World, console: ConsolePage) -> None:
    picture = next((world.service.buckets / "photos").rglob("*.jpg"))
    console.open(f"models/{world.ids['model']}/test")
    console.click("Remove from service")
    console.until("document.querySelector('.drop button').title === 'Deploy the model first.'")
    console.click("Deploy")
    console.until("document.body.innerText.includes('Remove from service')")
    root = console.page.command("DOM.getDocument")["root"]["nodeId"]
    field = console.page.command("DOM.querySelector", nodeId=root, selector="input[type=file]")["nodeId"]
    console.page.command("DOM.setFileInputFiles", nodeId=field, files=[str(picture)])
    console.until("document.querySelector('.picture img')?.naturalWidth > 0")

    def boxes_at(threshold: str) -> int:
        console.page.run(
            f"(() => {{ const one = document.querySelector('input[type=range]'); one.value = '{threshold}'; "
            "one.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )
        console.until(f"document.querySelector('input[type=range]').closest('label').innerText.endsWith('{threshold}')")
        return int(console.page.run("document.querySelectorAll('.picture g').length"))

    console.settled()  # datasets that the image may go into are asked for once
    before = len(console.requests())
    assert boxes_at("0.01") > 0
    assert boxes_at("1.00") == 0
    assert len(console.requests()) == before, "the slider asks the service nothing"


def test_calls_are_shown_with_the_real_ids(world: World, console: ConsolePage) -> None:
    console.open(f"models/{world.ids['model']}/about")
    console.click("Show as API call")
    console.until("document.querySelector('dialog[open] pre')")
    shown = console.page.run("document.querySelector('dialog[open] pre').innerText")
    assert f"curl '{world.service.url}/v1/{PARENT}/models/{world.ids['model']}:describe'" in shown


@pytest.fixture
def prefixed(world: World) -> Iterator[str]:
    """The service behind a proxy that cuts ``/a/b`` off."""
    with serving_under_prefix(world.service.port) as address:
        yield address


def test_the_console_works_behind_a_path_prefix(world: World, prefixed: str, console: ConsolePage) -> None:
    before = len(console.requests())
    console.page.go(prefixed)
    assert console.page.run("location.pathname") == "/a/b/console/"
    assert "Datasets" in console.settled()
    dataset = world.get(f"{PARENT}/datasets/{world.ids['dataset']}")["displayName"]
    console.until(f"document.body.innerText.includes('{dataset}')")
    outside = [url for _, url in console.requests()[before:] if not url.startswith((prefixed, "blob:"))]
    assert not outside


@pytest.mark.full
def test_who_needs_an_account_signs_in_and_sees_what_is_denied(tmp_path: pathlib.Path) -> None:
    (tmp_path / "service").mkdir()
    with (
        run_guarded_service(tmp_path / "service") as guarded,
        open_console(tmp_path, f"{guarded.url}/console/") as console,
    ):
        reader = guarded.registry.account("reader")
        guarded.registry.grant(reader.member, "roles/automl.viewer", "projects/demo")
        console.page.go(f"{guarded.url}/console/")
        console.type_into("input[type=password]", "bxk_wrong")
        console.click("Sign in")
        console.until("document.querySelector('[role=alert]')?.innerText.includes('API key')")
        console.page.run("document.querySelector('input').select()")
        console.type_into("input[type=password]", guarded.registry.api_key(reader))
        console.click("Sign in")
        console.until("document.body.innerText.includes('No dataset yet')")
        denied = "[...document.querySelectorAll('button')].find((e) => e.innerText.startsWith('New dataset'))"
        console.until(f"{denied}.getAttribute('aria-disabled') === 'true'")
        assert "automl.datasets.create" in console.page.run(f"{denied}.title")
        kept = console.page.run("JSON.stringify(localStorage) + document.cookie + location.href")
        assert "bxk_" not in kept
        assert not [url for _, url in console.requests() if "bxk_" in url]


@pytest.mark.full
def test_no_page_has_a_barrier_in_any_theme_language_or_width(world: World, console: ConsolePage, axe: str) -> None:
    found = []
    console.open("datasets")  # an address whose choices can be set
    for theme, language, width_px in (
        ("light", "en", 1280),
        ("dark", "id", 1280),
        ("light", "id", 360),
        ("dark", "en", 360),
    ):
        console.page.command(
            "Emulation.setDeviceMetricsOverride", width=width_px, height=900, deviceScaleFactor=1, mobile=False
        )
        for path in world.pages:
            console.choose(theme=theme, language=language)
            console.open(path)
            _picture(console, f"{path.replace('/', '-')}-{theme}-{language}-{width_px}")
            assert console.page.run("document.documentElement.scrollWidth") <= width_px, (
                f"{path} is wider than {width_px}"
            )
            console.page.run(axe)
            found += [f"{path} {theme} {language} {width_px}: {one}" for one in _violations(console)]
            console.page.run("document.querySelector('header button').click()")
            found += [f"{path} with a dialog: {one}" for one in _violations(console)]
    console.choose(theme="system", language="en")
    console.page.command("Emulation.clearDeviceMetricsOverride")
    assert not found, "\n".join(found)
    assert console.complaints() == []


def _violations(console: ConsolePage) -> list[str]:
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    return list(
        console.page.run(
            f"axe.run(document, {{runOnly: {{type: 'tag', values: {tags}}}}}).then((done) => done.violations.map((one) => "
            "one.id + ' ' + one.nodes.map((node) => node.html.slice(0, 160) + ' ' + node.failureSummary).join(' | ')))"
        )
    )


def _picture(console: ConsolePage, name: str) -> None:
    if SHOTS:
        import base64

        content = console.page.command("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        pathlib.Path(SHOTS, f"{name}.png").write_bytes(base64.b64decode(content))
