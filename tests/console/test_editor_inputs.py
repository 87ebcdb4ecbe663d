"""The editor's rarer inputs in a real Chromium: two fingers, single keys, number fields, a narrow window."""

from __future__ import annotations

from typing import Any

import pytest
from tests.console.conftest import PARENT, World
from tests.support.clients.console_page import ConsolePage
from tests.support.clients.editor_page import Editor

ROW = """(() => {{ const one = document.querySelectorAll('.field canvas')[{layer}];
  return [...one.getContext('2d').getImageData(0, Math.round({y}), one.width, 1).data]; }})()"""


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
        (1, "", (4, 8, 64, 38)), (1, "12.5", (4, 12.5, 64, 42.5)),
    ):  # fmt: skip
        editor.console.page.run(
            f"(() => {{ const one = {fields}[{place}]; one.value = {text!r}; "
            "one.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )
        editor.saved()
        (box,) = editor.boxes_px(example)
        assert box[1:] == pytest.approx(wanted, abs=0.2), text
    editor.key("Escape")


@pytest.mark.parametrize("width", [320, 360, 768])
def test_a_narrow_window_holds_the_whole_editor(editor: Editor, width: int) -> None:
    example = editor.examples()[3]
    editor.put(example, [("red", 10, 8, 30, 28)])
    editor.console.page.command(
        "Emulation.setDeviceMetricsOverride", width=width, height=740, deviceScaleFactor=1, mobile=False
    )
    editor.open(example)
    odd = editor.console.page.run(
        "[...document.querySelectorAll('.editor *')].filter((one) => { const at = one.getBoundingClientRect(); "
        "return at.width && !one.closest('.hidden, .field') && (at.right > innerWidth - 4 || at.left < 4); })"
        ".map((one) => `${one.tagName} ${one.className} ${Math.round(one.getBoundingClientRect().right)}`).slice(0, 5)"
    )
    assert odd == []
    assert editor.console.page.run("document.documentElement.scrollWidth <= innerWidth")
