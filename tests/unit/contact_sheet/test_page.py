"""The page that shows images with their boxes."""

from __future__ import annotations

import pathlib
import re

import pytest
from PIL import Image

from boxwright.contact_sheet import page
from boxwright.contact_sheet.boxes import Box, Prediction

TABLE = page.Table("Found", ("label", "images"), [("cat", "1"), ("all", "1")], "a note", "all")
HIT = (Prediction.of_box(Box("<cat>", 0.25, 0.5, 0.75, 1.0), 0.9),)


def _write(path: pathlib.Path, *figures: page.Figure) -> tuple[int, str]:
    sheet = page.PageInfo(
        "A & B", [("images", "1")], TABLE, ["<cat>", "cat"], 0.5, "a note", False, [("gs://b/<c>", "gone")]
    )
    blank = page.write(path, sheet, figures)
    return blank, path.read_text(encoding="utf-8")


@pytest.mark.parametrize("size, drawn", [((48, 24), (480, 240)), ((1920, 960), (480, 240)), ((24, 48), (240, 480))])
def test_boxes_are_drawn_at_one_scale_whatever_the_size_of_the_image(tmp_path, size, drawn):
    Image.new("RGB", size).save(tmp_path / "a.png")
    _, text = _write(tmp_path / "page.html", page.Figure("a.png", "gs://b/a.png", tmp_path / "a.png", HIT))
    assert f'viewBox="0 0 {drawn[0]} {drawn[1]}"' in text
    frame = re.search(r'<title>&lt;cat&gt; 0.90</title><rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', text)
    assert [float(value) for value in frame.groups()] == [drawn[0] / 4, drawn[1] / 2, drawn[0] / 2]


def test_an_image_that_cannot_be_shown_is_an_empty_field_with_its_boxes(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    figures = [
        page.Figure("x", "gs://b/x", where, HIT) for where in (None, tmp_path / "none.png", tmp_path / "text.png")
    ]
    blank, text = _write(tmp_path / "page.html", *figures)
    assert blank == 3
    assert (text.count('class="why"'), text.count('class="hit"'), text.count("data:image")) == (3, 3, 0)


def test_names_are_text(tmp_path):
    name = '"><script>alert(1)</script>.jpg'
    _, text = _write(tmp_path / "page.html", page.Figure(name, name, None, ()))
    assert text.count("<script>") == 1
    assert "<title>A &amp; B</title>" in text
    assert "gs://b/&lt;c&gt;" in text


def test_a_page_that_cannot_be_finished_leaves_the_former_one(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("former")

    def figures():
        yield page.Figure("a", "a", None, ())
        raise KeyboardInterrupt

    sheet = page.PageInfo("A", [], TABLE, [], 0.5, "", False, [])
    with pytest.raises(KeyboardInterrupt):
        page.write(path, sheet, figures())
    assert path.read_text() == "former"
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]


def test_labels_of_whole_images_stand_below_one_another_the_best_first_as_far_as_there_is_room(tmp_path):
    Image.new("RGB", (48, 24)).save(tmp_path / "a.png")
    found = tuple(Prediction(f"l{number}", 1 - number / 100) for number in range(100))
    _, text = _write(tmp_path / "page.html", page.Figure("a.png", "gs://b/a.png", tmp_path / "a.png", found))
    tags = re.findall(r'data-score="([\d.]+)".*?<rect class="tag" x="0.0" y="([\d.]+)"', text)
    assert len(tags) == 240 // page.TAG_HEIGHT_PX
    assert sorted(tags, key=lambda tag: float(tag[1])) == sorted(tags, key=lambda tag: -float(tag[0]))
    assert [float(y) for _, y in tags[-2:]] == [page.TAG_HEIGHT_PX, 0]
