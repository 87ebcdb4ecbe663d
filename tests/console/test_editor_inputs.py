"""The editor's rarer inputs in a real Chromium: two fingers, single keys, number fields, a narrow window."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.console.conftest import PARENT, World
from tests.support.clients.console_page import ConsolePage
from tests.support.clients.editor_page import CONTROL, FRAMES, Editor

ROW = """(() => {{ const one = document.querySelectorAll('.field canvas')[{layer}], copy = document.createElement('canvas');
  [copy.width, copy.height] = [one.width, 1];
  const paint = copy.getContext('2d', {{ willReadFrequently: true }}); // of the page's own Chromium complains
  paint.drawImage(one, 0, -Math.round({y}));
  return [...paint.getImageData(0, 0, one.width, 1).data]; }})()"""


@pytest.fixture
def editor(world: World, console: ConsolePage) -> Editor:
    console.page.command(
        "Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False
    )
    return Editor(console, world.service.url, f"{PARENT}/datasets/{world.ids['dataset']}")


def _row(editor: Editor, layer: int, y_px: float) -> list[int]:
    """A row of a canvas at a place of the image, as RGBA."""
    scale, _, top = editor.view()
    above = editor.console.page.run("document.querySelector('.field canvas').getBoundingClientRect().top")
    return list(editor.console.page.run(ROW.format(layer=layer, y=top - above + y_px * scale)))


def _fingers(editor: Editor, kind: str, *points: tuple[float, float]) -> None:
    touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    editor.console.page.command("Input.dispatchTouchEvent", type=kind, touchPoints=touches)


def _lies_on(editor: Editor, x_a: float, y_a: float, x_b: float, y_b: float) -> None:
    """The edited box lies where these pixels of the image are."""
    editor.console.page.run(FRAMES)
    box = editor.console.page.run(
        "(() => { const at = document.querySelector('.edited').getBoundingClientRect(); "
        "return [at.left, at.top, at.right, at.bottom]; })()"
    )
    assert box == pytest.approx([*editor.at(x_a, y_a), *editor.at(x_b, y_b)], abs=5)


def _space(editor: Editor, kind: str) -> None:
    editor.console.page.command("Input.dispatchKeyEvent", type=kind, key=" ", code="Space", windowsVirtualKeyCode=32)


def _wheel(editor: Editor, x: float, y: float, delta_px: float, modifiers: int = 0) -> None:
    editor.console.page.command(
        "Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=delta_px, modifiers=modifiers
    )


def test_two_fingers_zoom_and_move_and_draw_nothing(editor: Editor) -> None:
    example = editor.examples()[3]
    before = editor.put(example, [("red", 10, 10, 30, 30)])
    editor.open(example)
    scale, left, top = editor.view()
    x, y = editor.at(32, 24)
    _fingers(editor, "touchStart", (x - 20, y))
    _fingers(editor, "touchStart", (x - 20, y), (x + 20, y))
    for step in range(1, 6):
        _fingers(editor, "touchMove", (x - 20 - 4 * step, y + 2 * step), (x + 20 + 4 * step, y + 2 * step))
    _fingers(editor, "touchEnd", (x + 40, y + 10))  # one finger is lifted first
    _fingers(editor, "touchMove", (x + 60, y + 40))
    _fingers(editor, "touchEnd")
    editor.console.until("document.querySelector('.corner') === null")
    after = editor.view()
    assert after[0] == pytest.approx(2 * scale, rel=0.05)
    assert (after[1] - (x - (x - left) * 2), after[2] - (y + 10 - (y - top) * 2)) == pytest.approx((0, 0), abs=6)
    editor.saved()
    assert editor.get(example["name"])["etag"] == before["etag"]


def test_the_selected_box_stays_on_its_object_while_the_view_moves(editor: Editor) -> None:
    example = editor.examples()[3]
    box = (20, 15, 36, 30)
    editor.put(example, [("red", *box)])
    editor.open(example)
    editor.click((28, 22))
    editor.console.until("!document.querySelector('.edited').hidden")
    x, y = editor.at(28, 22)
    _space(editor, "rawKeyDown")
    editor.mouse("mousePressed", (x, y))
    for step in range(1, 4):
        editor.mouse("mouseMoved", (x + 20 * step, y + 10 * step))
    _lies_on(editor, *box)
    editor.mouse("mouseReleased", (x + 60, y + 30))
    _space(editor, "keyUp")
    scale = editor.view()[0]
    _wheel(editor, x, y, -200)
    _lies_on(editor, *box)
    assert editor.view()[0] > 1.2 * scale
    x, y = editor.at(28, 22)
    _fingers(editor, "touchStart", (x - 30, y))
    _fingers(editor, "touchStart", (x - 30, y), (x + 30, y))
    for step in range(1, 5):
        _fingers(editor, "touchMove", (x - 30 + 3 * step, y), (x + 30 - 3 * step, y + 4 * step))
    _lies_on(editor, *box)
    _fingers(editor, "touchEnd")
    editor.key("+")
    _lies_on(editor, *box)


def test_two_fingers_on_a_touchpad_zoom_in_small_steps(editor: Editor) -> None:
    example = editor.examples()[3]
    editor.open(example)
    scale = editor.view()[0]
    for _ in range(5):
        _wheel(editor, *editor.at(32, 24), -10, CONTROL)
        editor.console.page.run(FRAMES)
    assert editor.view()[0] == pytest.approx(scale * 1.01**50, rel=0.05)
    _wheel(editor, *editor.at(32, 24), 120, CONTROL)  # a notch of a mouse's wheel
    editor.console.page.run(FRAMES)
    assert editor.view()[0] == pytest.approx(scale * 1.01**25, rel=0.05)


def test_a_space_bar_that_is_released_elsewhere_moves_the_view_no_longer(editor: Editor) -> None:
    example = editor.examples()[3]
    editor.put(example, [])
    editor.open(example)
    _space(editor, "rawKeyDown")
    editor.console.page.run("document.querySelector('.side input').focus()")
    _space(editor, "keyUp")
    editor.drag((10, 10), (30, 30))
    editor.saved()
    assert len(editor.boxes_px(example)) == 1


def test_z_goes_from_box_to_box_and_i_shows_pixels_as_they_are(editor: Editor) -> None:
    example = editor.examples()[3]
    editor.put(example, [("red", 8, 8, 12, 12), ("blue", 48, 35, 52, 39)])
    editor.open(example)
    scale = editor.view()[0]
    middles = []
    for _ in range(2):
        shown = editor.console.page.run("document.querySelector('.field canvas').dataset.view")
        editor.key("z")
        editor.console.until(f"document.querySelector('.field canvas').dataset.view !== '{shown}'")
        editor.console.until("!document.querySelector('.edited').hidden")
        now, left, top = editor.view()
        field = editor.console.page.run(
            "(() => { const at = document.querySelector('.field').getBoundingClientRect(); "
            "return [at.left + at.width / 2, at.top + at.height / 2]; })()"
        )
        assert now > 1.5 * scale
        middles.append([round((field[0] - left) / now), round((field[1] - top) / now)])
    assert middles == [[10, 10], [50, 37]]
    crisp = _row(editor, 0, 37)
    editor.key("i")
    editor.console.page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert _row(editor, 0, 37) != crisp
    editor.key("i")
    editor.console.page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert _row(editor, 0, 37) == crisp


def test_h_hides_boxes_while_it_is_held_and_t_gives_the_next_set(editor: Editor) -> None:
    example = editor.examples()[3]
    editor.put(example, [("red", 5, 5, 55, 40)])
    editor.open(example)
    steady = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    assert any(_row(editor, 1, 20))
    more: dict[str, Any] = {"key": "h", "windowsVirtualKeyCode": 72}
    editor.console.page.command("Input.dispatchKeyEvent", type="keyDown", text="h", **more)
    editor.console.page.run(steady)
    assert not any(_row(editor, 1, 20))
    editor.console.page.command("Input.dispatchKeyEvent", type="keyUp", **more)
    editor.console.page.run(steady)
    assert any(_row(editor, 1, 20))
    before = editor.get(example["name"]).get("mlUse", "UNASSIGNED")
    sets = ["TRAIN", "VALIDATION", "TEST", "UNASSIGNED"]
    for step in range(1, 5):
        editor.key("t")
        editor.saved()
        wanted = sets[(sets.index(before) + step) % 4]
        assert editor.get(example["name"]).get("mlUse", "UNASSIGNED") == wanted


def test_l_looks_for_a_label_by_its_name(editor: Editor) -> None:
    example = editor.examples()[3]
    editor.put(example, [("red", 5, 5, 30, 30)])
    editor.open(example)
    editor.click((10, 10))
    editor.console.until("!document.querySelector('.edited').hidden")
    editor.key("l")
    editor.console.until("document.activeElement.matches('.side input')")
    editor.console.page.command("Input.insertText", text="blu")
    editor.key("Enter")
    editor.saved()
    assert [one[0] for one in editor.boxes_px(example)] == ["blue"]


def test_l_takes_the_label_of_exactly_that_name_and_nothing_for_nothing(editor: Editor) -> None:
    url = f"{editor.url}/v1/{editor.dataset}/annotationSpecs"
    made = httpx.post(url, json={"displayName": "a red"}, trust_env=False, timeout=60).json()
    try:
        example = editor.examples()[3]
        editor.put(example, [("blue", 5, 5, 30, 30)])
        editor.open(example)
        editor.click((10, 10))
        editor.console.until("!document.querySelector('.edited').hidden")
        for typed, wanted in (("", "blue"), ("red", "red"), ("a r", "a red"), ("BLUE", "blue")):
            editor.key("l")
            editor.console.until("document.activeElement.matches('.side input')")
            if typed:
                editor.console.page.command("Input.insertText", text=typed)
            editor.key("Enter")
            editor.console.until("document.activeElement.matches('.field')")
            editor.saved()
            assert [one[0] for one in editor.boxes_px(example)] == [wanted], typed
        editor.put(example, [])
    finally:
        httpx.delete(f"{editor.url}/v1/{made['name']}", trust_env=False, timeout=60)


def test_numbers_place_a_box_and_odd_ones_change_nothing_else(editor: Editor) -> None:
    example = editor.examples()[3]
    editor.put(example, [("red", 10, 8, 30, 28)])
    editor.open(example)
    editor.click((20, 18))
    fields = "document.querySelectorAll('.side fieldset input[type=number]')"
    editor.console.until(f"{fields}.length === 4")
    assert editor.console.page.run(f"[...{fields}].map((one) => Number(one.value))") == [10, 8, 20, 20]
    for place, text, wanted in (
        (0, "4", (4, 8, 24, 28)), (3, "30", (4, 8, 24, 38)), (2, "-5", (4, 8, 4.64, 38)), (2, "1000", (4, 8, 64, 38)),
        (1, "", (4, 8, 64, 38)), (1, "12.5", (4, 12.5, 64, 42.5)), (2, "20", (4, 12.5, 24, 42.5)),
        (0, "60", (44, 12.5, 64, 42.5)), (0, "-7", (0, 12.5, 20, 42.5)), (1, "1e9", (0, 18, 20, 48)),
    ):  # fmt: skip
        editor.console.page.run(
            f"(() => {{ const one = {fields}[{place}]; one.value = {text!r}; "
            "one.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )
        editor.saved()
        (box,) = editor.boxes_px(example)
        assert box[1:] == pytest.approx(wanted, abs=0.2), text
        shown = editor.console.page.run(f"[...{fields}].map((one) => Number(one.value))")
        left, top, right, bottom = wanted
        assert shown == pytest.approx([left, top, right - left, bottom - top], abs=0.2), text
    editor.key("Escape")


@pytest.mark.parametrize("width", [320, 360, 768])
def test_a_narrow_window_holds_the_whole_editor(editor: Editor, width: int) -> None:
    example = editor.examples()[3]
    editor.put(example, [("red", 10, 8, 30, 28)])
    editor.console.page.command(
        "Emulation.setDeviceMetricsOverride", width=width, height=740, deviceScaleFactor=1, mobile=False
    )
    editor.open(example)
    editor.click((20, 18))
    editor.console.until("document.querySelectorAll('.side fieldset input[type=number]').length === 4")
    odd = editor.console.page.run(
        "[...document.querySelectorAll('.editor *')].filter((one) => { const at = one.getBoundingClientRect(); "
        "return at.width && !one.closest('.hidden, .field') && (at.right > innerWidth - 4 || at.left < 4); })"
        ".map((one) => `${one.tagName} ${one.className} ${Math.round(one.getBoundingClientRect().right)}`).slice(0, 5)"
    )
    assert odd == []
    assert editor.console.page.run("document.documentElement.scrollWidth <= innerWidth")
