"""A real Chromium, driven by its DevTools protocol over a pipe.

Where it is not installed and may not be (see `apt`), the tests that need it are skipped with the reason.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.machine import apt

TIMEOUT_S = 60.0  # a start takes a second or two; a loaded machine may need far longer
LONGEST_S = 300.0  # of one wait, whatever the page goes on to report
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip

AS_PIPES = """
import os, sys
read, write = os.dup(int(sys.argv[1])), os.dup(int(sys.argv[2]))
os.dup2(read, 3), os.dup2(write, 4)
os.set_inheritable(3, True), os.set_inheritable(4, True)
os.execv(sys.argv[3], sys.argv[3:])
"""  # the browser reads commands from 3 and writes answers to 4


class Page:
    """One tab. Events of the protocol are kept in the order in which they came.

    Attributes:
        events: (method, parameters) of everything that happened.
    """

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._numbers = itertools.count(1)
        self._to_browser = to_browser
        self._arrived: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._session = ""
        self._reader = threading.Thread(target=self._read, args=(from_browser,), name="browser", daemon=True)
        self._reader.start()
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.command("Network.enable")
        self.command("Page.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command and returns its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to_browser, json.dumps(message).encode() + b"\0")
        deadline_s = time.monotonic() + LONGEST_S
        while True:
            assert time.monotonic() < deadline_s, f"no answer for {LONGEST_S:g} seconds: {method} {parameters}"
            message = self._next()
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])

    def turn_to(self, tab: str = "") -> str:
        """Lets commands go to another tab, a new one without a name; returns the name of the one before."""
        before, self._session = self._session, tab
        if not tab:
            target = self.command("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Network", "Page"):
                self.command(f"{domain}.enable")
        return before

    def until(self, is_so: Callable[[], bool]) -> None:
        """Takes events until something is so."""
        deadline_s = time.monotonic() + LONGEST_S
        while not is_so():
            assert time.monotonic() < deadline_s, f"what is waited for has not come for {LONGEST_S:g} seconds"
            self._next()

    def go(self, url: str) -> str:
        """Leads the tab to an address, as if it had been typed in, waits until it is loaded, and returns its text."""
        before = len(self.events)
        self.command("Page.navigate", url=url)
        self._until_loaded(before)
        return str(self.run("document.documentElement.innerText"))

    def follow(self, program: str) -> None:
        """Runs JavaScript that leads elsewhere, and waits until that is loaded."""
        before = len(self.events)
        self.run(f"void ({program})")
        self._until_loaded(before)

    def _until_loaded(self, before: int) -> None:
        self.until(lambda: any(method == "Page.loadEventFired" for method, _ in self.events[before:]))

    def run(self, program: str) -> Any:
        """Runs JavaScript in the page, waits for its promise, and returns what it gives."""
        done = self.command("Runtime.evaluate", expression=program, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def statuses(self, prefix: str) -> list[tuple[str, str, int]]:
        """Verb, address and status of every request to an address that starts like this, in order."""
        sent: dict[str, tuple[str, str]] = {}
        found = []
        for method, event in self.events:
            if method == "Network.requestWillBeSent":
                sent[event["requestId"]] = (event["request"]["method"], event["request"]["url"])
        for method, event in self.events:
            if method == "Network.responseReceivedExtraInfo":  # as it came, also where the page may not see it
                verb, url = sent.get(event["requestId"], ("", ""))
                if url.startswith(prefix):
                    found.append((verb, url.removeprefix(prefix), int(event["statusCode"])))
        return found

    def _next(self) -> dict[str, Any]:
        message = self._arrived.get(timeout=TIMEOUT_S)
        assert message is not None, "the browser ended"
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message

    def _read(self, from_browser: int) -> None:
        with open(from_browser, "rb") as stream:
            rest = b""
            while chunk := stream.read1(65536):
                *messages, rest = (rest + chunk).split(b"\0")
                for message in messages:
                    self._arrived.put(json.loads(message))
        self._arrived.put(None)

    def close(self) -> None:
        """Ends the browser."""
        with contextlib.suppress(OSError):
            os.write(self._to_browser, b'{"id": 0, "method": "Browser.close"}\0')
        os.close(self._to_browser)
        self._reader.join(TIMEOUT_S)


def find_chromium() -> str:
    """The browser's program; the test is skipped where there is none."""
    for _ in range(2):
        found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if found:
            return found
        if not apt.may_install():
            break
        if trouble := apt.install("chromium"):
            pytest.skip(f"Chromium could not be installed: {trouble}")
    pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")


@contextlib.contextmanager
def open_page(folder: pathlib.Path, *flags: str) -> Iterator[Page]:
    """Starts a browser with a new profile in `folder`, and opens a tab; `flags` come beside the usual ones."""
    program = find_chromium()
    (browser_in, to_browser), (from_browser, browser_out) = os.pipe(), os.pipe()
    command = [program, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}"]
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", AS_PIPES, str(browser_in), str(browser_out), *command],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(browser_in, browser_out),
            env={**os.environ, "HOME": str(folder)},
        )  # fmt: skip
    os.close(browser_in)
    os.close(browser_out)
    page = None
    try:
        page = Page(to_browser, from_browser)
        yield page
    finally:
        if page is not None:
            page.close()
        try:
            process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
