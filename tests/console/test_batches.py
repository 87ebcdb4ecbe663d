"""Batch jobs in the console, with a real service: estimated, started, followed, asked for again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.console.conftest import PARENT, World
from tests.support.clients.console_page import ConsolePage

OUTPUT = "gs://photos/from-console/"
FIELDS = {
    "inputs": "textarea[placeholder='gs://bucket/photos/']",
    "output": "input[placeholder='gs://bucket/results/']",
}
VALUES = "[...document.querySelectorAll('{}')].map((one) => one.value)"


@pytest.fixture(scope="module")
def mixed_list(world: World) -> Iterator[str]:
    """A list of two images, one of which is not there."""
    bucket = world.service.bucket("mixed")
    (bucket / "list.csv").write_text("gs://photos/many/0000.jpg\ngs://photos/many/missing.jpg\n", encoding="utf-8")
    yield "gs://mixed/list.csv"


def _fill(console: ConsolePage, inputs: str, output: str = OUTPUT) -> None:
    console.type_into(FIELDS["inputs"], inputs)
    console.type_into(FIELDS["output"], output)


def _value(console: ConsolePage, field: str) -> str:
    return str(console.page.run(f"document.querySelector({json.dumps(FIELDS[field])}).value"))


def _started(console: ConsolePage) -> str:
    """Starts what the form says, and returns the operation's id once the job's page is there."""
    console.click("Start")
    console.until("/^#\\/batches\\/IOD\\w+$/.test(location.hash)")
    return str(console.page.run("location.hash.split('/')[2]"))


def _ended(console: ConsolePage) -> str:
    """Waits on a job's page for its end; returns its text."""
    console.until("['Succeeded', 'Failed', 'Stopped'].includes(document.querySelector('main .state')?.innerText)")
    console.until("[...document.querySelectorAll('a.button')].some((one) => one.innerText === 'Start it again')")
    return console.settled()


def test_a_job_is_estimated_started_and_followed_to_its_end(world: World, console: ConsolePage) -> None:
    console.open(f"batches/new?model={world.ids['model']}")
    _fill(console, "gs://photos/many/")
    console.click("Estimate")
    console.until("document.querySelector('.big')?.innerText.startsWith('24 images')")
    facts = console.page.run("document.querySelector('main .facts').innerText")
    assert "Missing images" in facts and "Size of the results" in facts
    operation = _started(console)
    text = _ended(console)
    assert "24 / 24" in text and "Succeeded" in text
    asked = world.get(f"{PARENT}/operations/{operation}:progress")
    assert (asked["done"], asked["score_threshold"], asked["output_uri_prefix"]) == (24, 0.5, OUTPUT)


def test_a_change_after_the_estimate_says_that_it_is_old(world: World, console: ConsolePage) -> None:
    console.open(f"batches/new?model={world.ids['model']}")
    _fill(console, "gs://photos/none-such/")
    console.click("Estimate")
    console.until("document.querySelector('[role=alert]')?.innerText.includes('NOT_FOUND')")
    console.page.run(f"document.querySelector({json.dumps(FIELDS['inputs'])}).select()")
    console.type_into(FIELDS["inputs"], "gs://photos/many.csv")
    console.click("Estimate")
    console.until("document.querySelector('.big')")
    console.type_into(FIELDS["inputs"], "\ngs://photos/images/")
    console.until("document.body.innerText.includes('Estimate again.')")
    assert not console.page.run("document.querySelector('.big')")


def test_a_job_is_asked_for_again_and_its_failed_images_too(
    world: World, console: ConsolePage, mixed_list: str
) -> None:
    console.open(f"batches/new?model={world.ids['model']}")
    _fill(console, mixed_list)
    console.page.run("[...document.querySelectorAll('label')].find((one) => one.innerText === 'CSV').click()")
    operation = _started(console)
    assert "NOT_FOUND" in _ended(console)
    details = world.get(f"{PARENT}/operations/{operation}")["metadata"]["batchPredictDetails"]
    errors = f"{details['outputInfo']['gcsOutputDirectory'].rstrip('/')}/errors_1.jsonl"

    console.click("Start it again")
    console.until(f"document.querySelector({json.dumps(FIELDS['inputs'])})?.value")
    assert (_value(console, "inputs"), _value(console, "output")) == (mixed_list, OUTPUT)
    assert console.page.run(
        "[...document.querySelectorAll('fieldset :checked')].map((one) => one.parentNode.innerText)"
    ) == ["CSV"]

    console.open(f"batches/{operation}")
    console.click("Predict the failed images again")
    console.until(f"document.querySelector({json.dumps(FIELDS['inputs'])})?.value")
    assert _value(console, "inputs") == errors
    again = _started(console)
    assert "Nothing was predicted" in _ended(console)
    assert world.get(f"{PARENT}/operations/{again}:progress")["input_uris"] == [errors]
