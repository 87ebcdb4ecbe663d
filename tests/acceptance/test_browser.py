"""A real browser on the machine of the service: pages of other origins change nothing and read nothing."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.support.clients import browser
from tests.support.clients import foreign_site as foreign_site_pages
from tests.support.clients.api import PARENT

DATASETS = f"/v1/{PARENT}/datasets"

# Each attack ends when the browser has its answer, or has none; `SERVICE` is replaced by the service's address.
ATTACKS = """
(async () => {
  const service = "SERVICE", path = "PATH", told = {};
  const body = name => JSON.stringify({displayName: name, imageObjectDetectionDatasetMetadata: {}});
  const tried = async promise => { try { return await promise } catch (error) { return "refused: " + error.message } };
  const text = async answer => answer.text === undefined ? answer : answer.type + answer.status + await answer.text();
  const loaded = (kind, fill) => new Promise(done => {
    const made = document.createElement(kind);
    made.onload = () => done("loaded"); made.onerror = () => done("failed");
    fill(made); document.body.append(made);
  });
  told.blob = await text(await tried(
    fetch(service + path, {method: "POST", mode: "no-cors", body: new Blob([body("by_blob")])})));
  told.json = await text(await tried(
    fetch(service + path, {method: "POST", headers: {"Content-Type": "application/json"}, body: body("by_json")})));
  told.beacon = navigator.sendBeacon(service + path, new Blob([body("by_beacon")]));
  told.read = await text(await tried(fetch(service + path)));
  told.opaque = await text(await tried(fetch(service + path, {mode: "no-cors"})));
  told.deleted = await text(await tried(fetch(service + path + "/VICTIM", {method: "DELETE"})));
  told.image = await loaded("img", made => made.src = service + path + "?image");
  told.script = await loaded("script", made => made.src = service + path + "?script");
  await loaded("iframe", made => { made.name = "sink"; made.src = "/empty" });
  const form = document.createElement("form");
  Object.assign(form, {method: "POST", enctype: "text/plain", action: service + path, target: "sink"});
  const [key, value] = body("by_form").split('"by_form"');
  form.append(Object.assign(document.createElement("input"), {name: key + '"by_form","description":"', value: '"' + value}));
  document.body.append(form);
  await new Promise(done => { document.getElementsByName("sink")[0].onload = done; form.submit() });
  await loaded("iframe", made => made.src = service + "/");
  const heard = new Promise(done => window.onmessage = event => done(event.data));
  await loaded("iframe", made => {
    made.sandbox = "allow-scripts";
    made.srcdoc = `<script>fetch("${service + path}", {method: "POST", mode: "no-cors", body:
      new Blob([${JSON.stringify(body("by_null"))}])}).finally(() => parent.postMessage(origin, "*"))</script>`;
  });
  told.null = await heard;
  return told;
})()
"""


@pytest.fixture(scope="module")
def foreign_site() -> Iterator[str]:
    """The address of a server of empty pages, on another port and under another name than the service."""
    with foreign_site_pages.serving() as address:
        yield address


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    folder: pathlib.Path = tmp_path_factory.mktemp("browser")
    with browser.open_page(folder, foreign_site_pages.RESOLVING) as opened:
        yield opened


def _names(service: Any) -> set[str]:
    found = requests.get(service.url + DATASETS, timeout=30).json().get("datasets", [])
    return {dataset["displayName"] for dataset in found}


def test_pages_of_another_origin_change_nothing_and_read_nothing(
    service: Any, page: browser.Page, foreign_site: str
) -> None:
    dataset = {"displayName": "victim", "imageObjectDetectionDatasetMetadata": {}}
    made = requests.post(service.url + DATASETS, json=dataset, timeout=30).json()
    victim = made["response"]["name"].rpartition("/")[2]
    before = _names(service)

    page.go(foreign_site)
    program = ATTACKS.replace("SERVICE", service.url).replace("PATH", DATASETS).replace("VICTIM", victim)
    told = page.run(program)

    assert _names(service) == before
    assert {key: told[key] for key in ("image", "script", "null")} == {
        "image": "failed",
        "script": "failed",
        "null": "null",
    }
    for key in ("blob", "json", "read", "opaque", "deleted"):
        assert told[key] == "opaque0" or told[key].startswith("refused"), (key, told[key])
    page.until(lambda: len(page.statuses(service.url)) >= 10)
    answers = page.statuses(service.url)
    assert {status for _, _, status in answers} == {403}, answers
    assert {verb for verb, _, _ in answers} >= {"GET", "POST", "OPTIONS"}, answers


def test_a_page_under_a_foreign_name_that_leads_here_reads_nothing(service: Any, page: browser.Page) -> None:
    for path in (DATASETS, "/"):
        shown = page.go(f"http://{foreign_site_pages.NAME}:{service.port}{path}")
        assert f"The host '{foreign_site_pages.NAME}' is not served" in shown


SHOWN = """new Promise((done) => {
  const look = () => document.querySelector('h1') ? done(document.body.innerText) : setTimeout(look, 50);
  look();
})"""


def test_a_person_may_open_the_front_page_from_anywhere(service: Any, page: browser.Page, foreign_site: str) -> None:
    page.go(service.url + "/")
    assert "Datasets" in page.run(SHOWN)
    page.go(foreign_site)
    page.follow(f"location.href = '{service.url}/'")
    assert "Datasets" in page.run(SHOWN)
    assert page.run("location.pathname") == "/console/"
    page.follow("location.href = '../v1/openapi.json'")  # a link on a page of its own
    assert page.run("JSON.parse(document.body.innerText).openapi").startswith("3.")
