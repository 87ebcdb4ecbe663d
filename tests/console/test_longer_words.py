"""The console in a language whose words are longer by two fifths: nothing is cut off, no page is wider than the window."""

from __future__ import annotations

import pytest
from tests.console.conftest import World
from tests.support.clients.console_page import ConsolePage

LONGER = r"""(async () => {
  const at = (path) => import(new URL(path, document.baseURI));
  const word = (one) => one + '~'.repeat(Math.ceil(one.length * 0.4));
  const longer = (text) => text.replace(/\{\w+\}|\p{L}+/gu, (one) => one.startsWith('{') ? one : word(one));
  const {language} = await at('app/store.js');
  const {TEXTS, turnTo} = await at('app/i18n.js');
  await turnTo('id');
  for (const [key, text] of Object.entries(TEXTS.id)) {
    TEXTS.id[key] = typeof text === 'string' ? longer(text)
      : Object.fromEntries(Object.entries(text).map(([form, one]) => [form, longer(one)]));
  }
  language.value = 'en';
  language.value = 'id';
})()"""
CUT_OFF = """[...document.querySelectorAll('button, a.button, th, h1, h2, label, nav a')].filter((one) => {
  const style = getComputedStyle(one);
  const isCut = style.overflowX === 'hidden' && style.textOverflow !== 'ellipsis' && one.scrollWidth > one.clientWidth + 1;
  return one.offsetParent && isCut && !one.matches('.hidden');
}).map((one) => one.outerHTML.slice(0, 120))"""


def _wide(console: ConsolePage, paths: list[str]) -> list[str]:
    found = []
    for width_px in (1280, 360):
        console.page.command(
            "Emulation.setDeviceMetricsOverride", width=width_px, height=900, deviceScaleFactor=1, mobile=False
        )
        for path in paths:
            console.open(path)
            console.page.run(LONGER)
            assert "~" in console.settled(), f"{path} shows other words"
            seen_px = console.page.run("document.documentElement.scrollWidth")
            if seen_px > width_px:
                found.append(f"{path} is {seen_px} pixels wide in a window of {width_px}")
            found += [f"{path} at {width_px} cuts off {one}" for one in console.page.run(CUT_OFF)]
    console.page.command("Emulation.clearDeviceMetricsOverride")
    console.choose(language="en")
    return found


def test_longer_words_fit_on_the_first_pages(world: World, console: ConsolePage) -> None:
    assert not _wide(console, ["datasets", "batches/new"])


@pytest.mark.full
def test_longer_words_fit_on_every_page(world: World, console: ConsolePage) -> None:
    assert not _wide(console, world.pages)
