"""The console in a real Chromium: leads to its pages, and keeps what the browser and the service say about them.

A page is settled when it has a heading and asks the service nothing more.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from tests.support.clients import browser

SETTLED = """new Promise((resolve) => {
  let last = performance.now(), seen = 0;
  const look = () => {
    const entries = performance.getEntriesByType('resource').length;
    if (entries !== seen) { seen = entries; last = performance.now(); }
    const rests = performance.now() - last > 250;
    if (rests && document.querySelector('h1') && !document.querySelector('.bone')) resolve(true); else setTimeout(look, 50);
  };
  look();
})"""


class ConsolePage:
    """One tab with the console.

    Attributes:
        page: the browser's tab.
        root: the address of the console, with a slash at its end.
    """

    def __init__(self, page: browser.Page, root: str) -> None:
        self.page = page
        self.root = root
        for domain in ("Runtime", "Log"):
            page.command(f"{domain}.enable")

    def leave(self) -> None:
        """Leaves the console, and forgets what was asked and complained of."""
        self.page.go("about:blank")
        self.page.events.clear()

    def open(self, path: str) -> str:
        """Loads a page of the console anew, such as ``datasets``; returns its text once it has settled."""
        self.page.go("about:blank")
        self.page.go(f"{self.root}#/{path}")
        return self.settled()

    def settled(self) -> str:
        """Waits until the page asks nothing more; returns its text."""
        self.page.run(SETTLED)
        return str(self.page.run("document.body.innerText"))

    def choose(self, **choices: str) -> None:
        """Sets what the console keeps in the browser: ``language="id"``, ``theme="dark"``."""
        for name, value in choices.items():
            self.page.run(f"localStorage.setItem('boxwright.{name}', {json.dumps(value)})")

    def until(self, program: str) -> None:
        """Waits until JavaScript gives something true."""
        self.page.run(
            f"new Promise((done) => {{ const look = () => ({program}) ? done(true) : setTimeout(look, 50); look(); }})"
        )

    def click(self, words: str) -> None:
        """Clicks the first button or link that has these words."""
        found = f"[...document.querySelectorAll('button, a')].find((e) => e.innerText.trim() === {json.dumps(words)})"
        self.until(found)
        self.page.run(f"{found}.click()")

    def type_into(self, selector: str, text: str) -> None:
        """Puts text into a field, as if it had been typed."""
        self.until(f"document.querySelector({json.dumps(selector)})")
        self.page.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.page.command("Input.insertText", text=text)

    def press(self, key: str, modifiers: int = 0) -> None:
        """Presses and releases a key; modifiers as in the protocol, 8 for Shift."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}
        more: dict[str, Any] = {"windowsVirtualKeyCode": codes.get(key, ord(key[0].upper())), "modifiers": modifiers}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        self.page.command(
            "Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", key=key, text=text, **more
        )
        self.page.command("Input.dispatchKeyEvent", type="keyUp", key=key, **more)

    def tab_to(self, words: str) -> None:
        """Presses Tab until what has the focus has these words, or this label."""
        seen = []
        for _ in range(80):
            self.press("Tab")
            focused = "document.activeElement"
            text = self.page.run(f"({focused}.innerText || {focused}.getAttribute('aria-label') || "
                                 f"{focused}.closest('label')?.innerText || '').trim()")  # fmt: skip
            text = " ".join(text.split())
            seen.append(text)
            if text.startswith(words):
                return
        raise AssertionError(f"no Tab leads to {words!r}: {seen}")

    def complaints(self) -> list[str]:
        """What the browser has complained of since the console was left, or the tab opened: errors, warnings, the policy."""
        found = []
        for method, event in self.page.events:
            if method == "Runtime.exceptionThrown":
                found.append(json.dumps(event["exceptionDetails"])[:500])
            elif method == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
                found.append(f"{event['entry']['text']} {event['entry'].get('url', '')}")
            elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
                found.append(json.dumps(event["args"])[:500])
        return found

    def requests(self) -> list[tuple[str, str]]:
        """Verb and address of every request that the tab has sent since the console was left, or the tab opened."""
        sent = [event["request"] for method, event in self.page.events if method == "Network.requestWillBeSent"]
        return [(one["method"], one["url"]) for one in sent]

    def strangers(self, openapi: dict[str, Any]) -> list[str]:
        """Requests that go neither to the console's files nor to a method of the public API."""
        site = self.root.removesuffix("console/")
        patterns = [
            (verb.upper(), re.compile(re.sub(r"/\\\{resource\\\}", "(/[^:]+)?", re.escape(path)).replace(r"\{", "{")))
            for path, verbs in openapi["paths"].items()
            for verb in verbs
        ]
        patterns = [(verb, re.compile(re.sub(r"\{\w+\\?\}", "[^/:]+", pattern.pattern))) for verb, pattern in patterns]
        found = []
        for verb, url in self.requests():
            if url.startswith(("blob:", "about:", "data:", self.root)):
                continue
            path = "/" + url.removeprefix(site).partition("?")[0]
            if not url.startswith(site) or not any(v == verb and p.fullmatch(path) for v, p in patterns):
                found.append(f"{verb} {url}")
        return found


@contextlib.contextmanager
def open_console(folder: pathlib.Path, root: str) -> Iterator[ConsolePage]:
    """Opens a browser for the console at `root`."""
    with browser.open_page(folder) as page:
        yield ConsolePage(page, root)
