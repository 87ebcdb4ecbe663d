"""A person who has only a keyboard: real key presses, and a look at where the focus is and whether it is seen.

Names are those of a screen reader: the element's label, else its words.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from tests.support.clients.console_page import ConsolePage

SHIFT, CONTROL = 8, 2
MOST_TABS = 160
CODES = {
    "Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36,
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Delete": 46,
}  # fmt: skip
FOCUSED = """(() => {
  const e = document.activeElement;
  const words = (one) => (one?.getAttribute?.('aria-label') || one?.innerText || '').trim().replace(/\\s+/g, ' ');
  const field = /^(INPUT|SELECT|TEXTAREA)$/.test(e.tagName);
  const name = field ? e.getAttribute('aria-label') || words(e.closest('label')) : words(e);
  const shown = e.matches('.grid') ? e.querySelector('.cell.active') ?? e : e;
  const box = shown.getBoundingClientRect(), style = getComputedStyle(shown);
  const x = box.left + box.width / 2, y = Math.min(Math.max(box.top, 0) + 4, innerHeight - 1);
  const top = document.elementFromPoint(x, Math.max(y, box.top + Math.min(box.height / 2, 12)));
  const label = e.closest('label');
  return {
    tag: e.tagName, name, isLost: e === document.body || e === document.documentElement,
    isRinged: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    isInSight: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    isOnTop: Boolean(top) && (shown.contains(top) || top.contains(shown) || Boolean(label?.contains(top))),
    isInContent: Boolean(e.closest('main, dialog')),
  };
})()"""
FOLLOWS = """(() => {
  const now = document.activeElement, before = window.focusedBefore;
  window.focusedBefore = now;
  return !before?.isConnected || !now || Boolean(before.compareDocumentPosition(now) & Node.DOCUMENT_POSITION_FOLLOWING);
})()"""
RESTS = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@dataclasses.dataclass
class Keyboard:
    """Keys for the console. Nothing here points at anything.

    Attributes:
        console: the tab.
    """

    console: ConsolePage

    def __post_init__(self) -> None:
        self.console.page.command("Page.setInterceptFileChooserDialog", enabled=True)

    def press(self, key: str, modifiers: int = 0, count: int = 1) -> None:
        """Presses and releases a key on what has the focus."""
        code = CODES.get(key, ord(key[0].upper()))
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 and not modifiers & CONTROL else "")
        more = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        for _ in range(count):
            kind = "keyDown" if text else "rawKeyDown"
            self.console.page.command("Input.dispatchKeyEvent", type=kind, text=text, **more)
            self.console.page.command("Input.dispatchKeyEvent", type="keyUp", **more)

    def type(self, text: str) -> None:
        """Types text over what the field has."""
        self.press("a", CONTROL)
        for letter in text:
            self.press(letter)

    def focused(self) -> dict[str, Any]:
        """What has the focus."""
        return dict(self.console.page.run(FOCUSED))

    def tab(self, modifiers: int = 0) -> str:
        """Presses Tab; what has the focus then must be seen. Returns its name, empty where the page ends."""
        self.press("Tab", modifiers)
        self.console.page.run(RESTS)
        found = self.focused()
        if found["isLost"]:
            return ""
        assert found["isRinged"], f"the focus is not seen: {found}"
        assert found["isInSight"] and found["isOnTop"], f"the focus is hidden: {found}"
        return str(found["name"])

    def tab_to(self, words: str, tag: str = "", *, is_whole: bool = False, within: str = "*") -> None:
        """Presses Tab until what has the focus begins with these words, or is called so; it may pass the page's end once.

        Args:
            words: how its name begins.
            tag: its element.
            is_whole: whether `words` are all of its name.
            within: a selector of what it is in.
        """
        seen, ends = [], 0
        self.console.page.run("void (window.focusedBefore = null)")
        for _ in range(MOST_TABS):
            name = self.tab()
            follows = self.console.page.run(FOLLOWS)
            seen.append(name)
            if not name or not follows:
                ends += 1
                assert ends <= 2, f"no Tab leads to {words!r}: {seen}"
            is_called = name == words if is_whole else name.startswith(words)
            if is_called and self.focused()["tag"].startswith(tag) and self._is_within(within):
                return
        raise AssertionError(f"no Tab leads to {words!r}: {seen}")

    def _is_within(self, selector: str) -> bool:
        return bool(self.console.page.run(f"Boolean(document.activeElement.closest({selector!r}))"))

    def enter(self, words: str) -> None:
        """Goes to a button or a link and presses Enter."""
        self.tab_to(words)
        self.press("Enter")

    def follow(self, words: str, place: str) -> str:
        """Goes to a link that leads to another page; the focus must be in that page. Returns its text."""
        self.tab_to(words, "A", is_whole=True)
        self.press("Enter")
        self.lands(place)
        return str(self.console.page.run("document.querySelector('main').innerText"))

    def lands(self, place: str) -> None:
        """Waits for an address that has `place` in it; the focus must be in the page."""
        self.console.until(f"location.hash.includes({place!r})")
        self.console.settled()
        self.holds()

    def holds(self) -> dict[str, Any]:
        """The focus must be in the page's content or a dialog, not nowhere."""
        self.console.page.run(RESTS)
        found = self.focused()
        assert found["isInContent"], f"the focus is lost: {found}"
        return found

    def choose_files(self, words: str, paths: list[pathlib.Path]) -> None:
        """Opens a file dialog by key and gives it files, as its user does."""
        page = self.console.page
        before = len(page.events)
        self.enter(words)
        page.until(lambda: any(method == "Page.fileChooserOpened" for method, _ in page.events[before:]))
        opened = next(event for method, event in page.events[before:] if method == "Page.fileChooserOpened")
        page.command(
            "DOM.setFileInputFiles", files=[str(path) for path in paths], backendNodeId=opened["backendNodeId"]
        )
