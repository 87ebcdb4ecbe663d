"""The label editor in a real Chromium: mouse, keys and fingers at places of the image."""

from __future__ import annotations

import dataclasses
from typing import Any

import httpx
from tests.support.clients.console_page import ConsolePage

KEYS = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Delete": 46,
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
}
ALT, CONTROL, SHIFT = 1, 2, 8
WAIT_S = 30
FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"  # what was done is shown
STEADY = """new Promise((done) => {
  const view = () => document.querySelector('.field canvas')?.dataset.view;
  let last = view(), frames = 0;
  const look = () => {
    frames = view() === last ? frames + 1 : 0;
    last = view();
    if (frames < 10) requestAnimationFrame(look); else done();
  };
  look();
})"""  # the field has its size


@dataclasses.dataclass
class Editor:
    """The editor of one image.

    Attributes:
        console: the tab.
        url: of the service, without a slash at its end.
        dataset: name of the dataset.
    """

    console: ConsolePage
    url: str
    dataset: str

    def get(self, path: str) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/v1/{path}", trust_env=False, timeout=60).json())

    def examples(self) -> list[dict[str, Any]]:
        return list(self.get(f"{self.dataset}/examples?pageSize=50")["examples"])

    def open(self, example: dict[str, Any], query: str = "") -> None:
        """Shows an image and waits until its picture and labels are drawn."""
        self.console.open(
            f"datasets/{self.dataset.rpartition('/')[2]}/images/{example['name'].rpartition('/')[2]}{query}"
        )
        self.ready()

    def follow(self, example: dict[str, Any]) -> None:
        """Leads to an image within the page that is open."""
        place = f"datasets/{self.dataset.rpartition('/')[2]}/images/{example['name'].rpartition('/')[2]}"
        self.console.page.run(f"location.hash = '#/{place}'")
        self.console.until("document.querySelector('.editor')")
        self.ready()

    def ready(self) -> None:
        self.console.until("document.querySelector('.pick') && document.querySelector('.field canvas')?.dataset.view")
        self.console.page.run(STEADY)

    def view(self) -> tuple[float, float, float]:
        """CSS pixels an image pixel, and where the image's corner lies in the window."""
        return tuple(
            self.console.page.run(
                "(() => { const one = document.querySelector('.field canvas'), at = one.getBoundingClientRect(); "
                "const [scale, left, top] = one.dataset.view.split(' ').map(Number); "
                "return [scale, left + at.left, top + at.top]; })()"
            )
        )

    def at(self, x_px: float, y_px: float) -> tuple[float, float]:
        """A point of the image in the window."""
        scale, left, top = self.view()
        return left + x_px * scale, top + y_px * scale

    def mouse(self, kind: str, point: tuple[float, float], modifiers: int = 0, button: str = "left") -> None:
        buttons = {"mousePressed": 1, "mouseMoved": 1, "mouseReleased": 0}[kind]
        self.console.page.command(
            "Input.dispatchMouseEvent",
            type=kind, x=point[0], y=point[1], button=button, buttons=buttons, clickCount=1, modifiers=modifiers,
        )  # fmt: skip

    def drag(self, start: tuple[float, float], end: tuple[float, float], modifiers: int = 0, steps: int = 4) -> None:
        """Drags from one point of the image to another."""
        (x_a, y_a), (x_b, y_b) = self.at(*start), self.at(*end)
        self.mouse("mousePressed", (x_a, y_a), modifiers)
        for step in range(1, steps + 1):
            self.mouse("mouseMoved", (x_a + (x_b - x_a) * step / steps, y_a + (y_b - y_a) * step / steps), modifiers)
        self.mouse("mouseReleased", (x_b, y_b), modifiers)

    def click(self, point: tuple[float, float], modifiers: int = 0) -> None:
        self.mouse("mousePressed", self.at(*point), modifiers)
        self.mouse("mouseReleased", self.at(*point), modifiers)

    def touch(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draws with a finger."""
        (x_a, y_a), (x_b, y_b) = self.at(*start), self.at(*end)
        touch = [{"x": x_a, "y": y_a}]
        self.console.page.command("Input.dispatchTouchEvent", type="touchStart", touchPoints=touch)
        for step in range(1, 6):
            touch = [{"x": x_a + (x_b - x_a) * step / 5, "y": y_a + (y_b - y_a) * step / 5}]
            self.console.page.command("Input.dispatchTouchEvent", type="touchMove", touchPoints=touch)
        self.console.page.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def key(self, key: str, modifiers: int = 0, count: int = 1) -> None:
        """Presses a key on what has the focus."""
        code = KEYS.get(key, ord(key[0].upper()))
        text = key if len(key) == 1 and not modifiers & (ALT | CONTROL) else ""
        for _ in range(count):
            more = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
            self.console.page.command(
                "Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **more
            )
            self.console.page.command("Input.dispatchKeyEvent", type="keyUp", **more)

    def saved(self) -> None:
        """Waits until everything is with the service."""
        self.console.page.run(FRAMES)
        self.console.until("document.querySelector('[data-saving]')?.dataset.saving === 'saved'")

    def shows(self, state: str) -> None:
        self.console.until(f"document.querySelector('[data-saving]')?.dataset.saving === '{state}'")

    def boxes_px(self, example: dict[str, Any]) -> list[tuple[str, float, float, float, float]]:
        """Labels and boxes that the service has, in pixels of the image."""
        found = self.get(example["name"])
        width_px, height_px = found["widthPx"], found["heightPx"]
        boxes = []
        for one in found.get("annotations", []):
            a, b = one["imageObjectDetection"]["boundingBox"]["normalizedVertices"]
            boxes.append(
                (
                    one["displayName"],
                    a.get("x", 0) * width_px,
                    a.get("y", 0) * height_px,
                    b["x"] * width_px,
                    b["y"] * height_px,
                )
            )
        return boxes

    def put(
        self, example: dict[str, Any], boxes: list[tuple[str, float, float, float, float]], state: str = "LABELED"
    ) -> dict[str, Any]:
        """Sets an example's labels through the API, as another person would."""
        found = self.get(example["name"])
        annotations = [
            {
                "displayName": label,
                "imageObjectDetection": {
                    "boundingBox": {
                        "normalizedVertices": [
                            {"x": x_a / found["widthPx"], "y": y_a / found["heightPx"]},
                            {"x": x_b / found["widthPx"], "y": y_b / found["heightPx"]},
                        ]
                    }
                },
            }
            for label, x_a, y_a, x_b, y_b in boxes
        ]
        body = {"name": example["name"], "etag": found["etag"], "state": state, "annotations": annotations}
        answer = httpx.patch(
            f"{self.url}/v1/{example['name']}?updateMask=annotations,state", json=body, trust_env=False, timeout=60
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())
