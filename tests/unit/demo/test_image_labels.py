"""Anybody's images with labels and no boxes: what is taken, and what is said about a folder that cannot be."""

from __future__ import annotations

import pathlib

import pytest

from boxwright.demo import dataset, image_labels


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with three files that stand for images, one of them hidden."""
    for name in ("cats/a.jpg", "cats/deep/b b.PNG", "dogs/c.jpeg", "dogs/notes.txt", "cats/.d.jpg", ".git/e.jpg"):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "source"


def _write(source: pathlib.Path, *rows: str) -> None:
    (source / "labels.csv").write_text("".join(row + "\n" for row in rows))


def test_rows_give_labels_as_many_as_there_are(source: pathlib.Path) -> None:
    _write(source, "train,cats/a.jpg,cat", ",cats/deep/b b.PNG, cat ,wild,cat,", "TEST,dogs/c.jpeg", "")
    assert image_labels.read_labels(source) == [
        dataset.DemoImage("TRAIN", "cats/a.jpg", labels=("cat",)),
        dataset.DemoImage("UNASSIGNED", "cats/deep/b b.PNG", labels=("cat", "wild")),
        dataset.DemoImage("TEST", "dogs/c.jpeg"),
    ]


def test_without_a_list_each_folder_is_a_label(source: pathlib.Path) -> None:
    assert image_labels.read_labels(source) == [
        dataset.DemoImage("UNASSIGNED", "cats/a.jpg", labels=("cats",)),
        dataset.DemoImage("UNASSIGNED", "cats/deep/b b.PNG", labels=("cats",)),
        dataset.DemoImage("UNASSIGNED", "dogs/c.jpeg", labels=("dogs",)),
    ]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ((), "has no rows"),
        (("TRAIN",), "row 1 has one column"),
        (("x,cats/a.jpg,cat",), "row 1: the set 'x'"),
        (("TRAIN,cats/no.jpg,cat",), "row 1: there is no file"),
        (("TRAIN,../a.jpg,cat",), "is not a path inside"),
        (("TRAIN,cats/a.jpg",), "has no labels; the third column"),
        (("TRAIN,cats/a.jpg,cat,0.1,0.1,,,0.2,0.2,,",), "leave out --kind classification"),  # a box
        (("TRAIN,cats/a.jpg,cat", "TRAIN,cats/a.jpg,wild"), "row 2: cats/a.jpg has a row already"),
    ],
)
def test_what_is_wrong_is_said_with_its_row(source: pathlib.Path, rows: tuple[str, ...], complaint: str) -> None:
    _write(source, *rows)
    with pytest.raises(dataset.DataError, match=r"labels\.csv") as caught:
        image_labels.read_labels(source)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_either_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(dataset.DataError, match=r"has neither labels\.csv nor a folder of images"):
        image_labels.read_labels(tmp_path / name)
