"""The console on a phone of 360 pixels, and its header in the longer language: what can be counted of how it looks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from tests.console.conftest import PARENT, World
from tests.support.clients.console_page import ConsolePage

PHONE_PX, DESK_PX = 360, 1280
OUTSIDE = """[...document.querySelectorAll('.rail a.item, .tabs a, .stacks :is(th, td), .facts dd')]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth)
  .map((one) => one.outerHTML.slice(0, 120))"""
SIDEWAYS = "[...document.querySelectorAll('.stacks')].filter((one) => one.scrollWidth > one.clientWidth + 1).length"
# WCAG 2.2, 2.5.8: 24 pixels; links in a sentence may be lower. A label belongs to the target of its field.
SMALL = """[...document.querySelectorAll('button, a, input, select, summary')].filter((one) => {
  const isInline = one.matches('.skip, .hidden') || one.closest('p, dd, .head .quiet, h2, h3, li > span');
  if (!one.checkVisibility() || isInline) return false;
  const {width, height} = (one.closest('label') ?? one).getBoundingClientRect();
  return width < 24 || height < 24;
}).map((one) => one.outerHTML.slice(0, 120))"""
BELOW_THE_FIRST = """[...document.querySelectorAll('.top > a, .top > span, .top > .end > *')].filter((one) =>
  one.getBoundingClientRect().top >= document.querySelector('.top > a').getBoundingClientRect().bottom).length"""


@pytest.fixture
def wide(console: ConsolePage) -> Iterator[ConsolePage]:
    """In Bahasa Indonesia, whose words are longer; the language and the window are put back."""
    console.open("settings")
    console.choose(language="id")
    yield console
    console.choose(language="en")
    console.page.command("Emulation.clearDeviceMetricsOverride")


def _at(console: ConsolePage, width_px: int) -> None:
    console.page.command(
        "Emulation.setDeviceMetricsOverride", width=width_px, height=800, deviceScaleFactor=1, mobile=False
    )


def _seen_on_a_phone(console: ConsolePage, paths: list[str]) -> list[str]:
    _at(console, PHONE_PX)
    found = []
    for path in paths:
        console.open(path)
        found += [f"{path}: outside the window: {one}" for one in console.page.run(OUTSIDE)]
        found += [f"{path}: too small to be touched: {one}" for one in console.page.run(SMALL)]
        if console.page.run(SIDEWAYS):
            found.append(f"{path}: a table is wider than the window")
    return found


def test_lists_and_tabs_fit_on_a_phone(world: World, wide: ConsolePage) -> None:
    assert _seen_on_a_phone(wide, ["models", f"datasets/{world.ids['dataset']}/labels"]) == []


@pytest.mark.full
def test_every_page_fits_on_a_phone(world: World, wide: ConsolePage) -> None:
    assert _seen_on_a_phone(wide, world.pages) == []


def test_rows_on_a_phone_name_their_values(world: World, wide: ConsolePage) -> None:
    _at(wide, PHONE_PX)
    wide.open("models")
    titles = "[...document.querySelectorAll('.stacks td')].map((one) => getComputedStyle(one, '::before').content)"
    assert '"Set data"' in wide.page.run(titles)
    wide.page.run("document.querySelector('.stacks thead button').click()")
    wide.until("document.querySelector('[aria-sort=ascending]')")


def test_the_header_is_one_line_in_either_language(world: World, wide: ConsolePage) -> None:
    _at(wide, DESK_PX)
    wide.open("datasets")
    assert wide.page.run("document.documentElement.lang") == "id"
    assert wide.page.run(BELOW_THE_FIRST) == 0


def test_a_model_is_told_in_words(world: World, console: ConsolePage) -> None:
    text = console.open(f"models/{world.ids['model']}/about")
    assert "(Deleted)" in text  # the dataset that it was trained from
    assert not re.search("BUDGET_REACHED|MODEL_CONVERGED|VALIDATION", text), text


def test_an_operation_says_the_name_of_what_it_works_on(world: World, console: ConsolePage) -> None:
    name = world.get(f"{PARENT}/models/{world.ids['model']}")["displayName"]
    console.open(f"operations/{world.ids['batch']}")
    console.until(f"[...document.querySelectorAll('.facts a')].some((one) => one.innerText === {json.dumps(name)})")
