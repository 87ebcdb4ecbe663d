"""Nothing that is written loses a box when it is read back, by us or by the rule of common trainers."""

from __future__ import annotations

import pathlib
import posixpath
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from boxwright import cli
from boxwright.convert import formats

FORMATS = ("csv", "coco", "voc", "yolo", "vertex", "cvat", "sagemaker", "datumaro")  # all that carry boxes and sets
FOLDERS = [
    "images",
    "Images",
    "labels",
    "Annotations",
    "train",
    "a.b",
    "my photos",
    "Größe",
    "é",
    "100%",
    "x%20y",
    "#1",
]
STEMS = ["0001", "photo 1", "photo", "a.b", "café", "café", "A", "a", "vue_%C3%A9", "-1", "猫", "images", "a 1", "it's"]
SUFFIXES = [".png", ".PNG", ".Png"]
PATHS = st.builds(
    lambda folders, stem, suffix: "/".join([*folders, stem + suffix]),
    st.lists(st.sampled_from(FOLDERS), max_size=3),
    st.sampled_from(STEMS),
    st.sampled_from(SUFFIXES),
)
NAMES = st.lists(PATHS, min_size=1, max_size=5, unique_by=lambda path: posixpath.splitext(path)[0])
SPANS = st.tuples(st.integers(0, 980_000), st.integers(20_000, 1_000_000)).filter(
    lambda span: span[0] + 10_000 < span[1]
)
BOXES = st.lists(st.tuples(st.sampled_from(["ace", "yes", "010", 'ß,"q"', "-"]), SPANS, SPANS), max_size=3)
SPLITS = st.sampled_from(["TRAIN", "VALIDATION", "TEST", "UNASSIGNED"])


def _convert(*words: object) -> None:
    assert cli.main(["convert", *map(str, words)]) == 0


def _rows(path: pathlib.Path) -> list[str]:
    return sorted(path.read_text(encoding="utf-8").splitlines())


def _write(folder: pathlib.Path, images: dict[str, tuple[str, list]], prefix: str) -> pathlib.Path:
    """Images of 317 x 211 pixels and a CSV about them; returns the CSV."""
    lines = []
    for name, (split, boxes) in images.items():
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (317, 211)).save(path, "png")
        lines += [
            f'{split},{prefix}{name},"{label.replace(chr(34), chr(34) * 2)}",'
            f"{x[0] / 1e6:.6f},{y[0] / 1e6:.6f},,,{x[1] / 1e6:.6f},{y[1] / 1e6:.6f},,"
            for label, x, y in boxes
        ] or [f"{split},{prefix}{name},,,,,,,,,"]
    (folder / "in.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "in.csv"


def _to(name: str, source: pathlib.Path, target: pathlib.Path, *flags: object) -> pathlib.Path:
    exact = ["--voc-exact"] if name == "voc" else []
    found = formats.FORMATS[name]
    target = target if found.writes_folder else target.with_suffix(found.target_suffixes[0])
    _convert(source, target, "--to", name, *exact, *flags)
    return target


@settings(max_examples=30, deadline=None)
@given(first=st.sampled_from(FORMATS), second=st.sampled_from(FORMATS), names=NAMES, data=st.data())
def test_a_way_over_two_formats_keeps_every_box_set_and_name(
    first: str, second: str, names: list[str], data: st.DataObject
) -> None:
    _check_a_way(first, second, names, data)


@pytest.mark.full
@pytest.mark.parametrize("second", FORMATS)
@pytest.mark.parametrize("first", FORMATS)
@settings(max_examples=2, deadline=None)
@given(names=NAMES, data=st.data())
def test_every_pair_of_formats_keeps_every_box_set_and_name(
    first: str, second: str, names: list[str], data: st.DataObject
) -> None:
    _check_a_way(first, second, names, data)


def _check_a_way(first: str, second: str, names: list[str], data: st.DataObject) -> None:
    images = {name: (data.draw(SPLITS), data.draw(BOXES)) for name in names}
    common = posixpath.commonpath([posixpath.dirname("d/" + name) for name in names]).removeprefix("d").lstrip("/")
    uri_folder = f"gs://b/d/{common}"
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        source = _write(folder, images, "gs://b/d/")
        _convert(source, folder / "plain.csv")
        photos = folder / "photos" / common
        one = _to(first, source, folder / "one", "--images", photos)
        # Between two formats other than the CSV, names are relative to the folder that all URIs shared.
        two = _to(second, one, folder / "two", "--images", photos)
        prefix = [] if first == second == "csv" else ["--image-prefix", uri_folder]
        _convert(two, folder / "back.csv", *prefix)
        assert _rows(folder / "back.csv") == _rows(folder / "plain.csv")


@settings(max_examples=12, deadline=None)
@given(names=NAMES, data=st.data())
def test_trainers_find_every_label_file(names: list[str], data: st.DataObject) -> None:
    """The rule of common trainers, on what is written with the images: the last /images/ becomes /labels/."""
    images = {name: (data.draw(SPLITS), data.draw(BOXES)) for name in names}
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        source = _write(folder, images, "")
        _convert(source, folder / "out", "--to", "yolo", "--images", folder / "photos", "--copy-images")
        found = {}
        for split in ("train", "val", "test", "unassigned"):
            list_file = folder / "out" / f"{split}.txt"
            for line in list_file.read_text(encoding="utf-8").split("\n")[:-1] if list_file.exists() else []:
                image = str(list_file.parent) + line.removeprefix(".")
                assert pathlib.Path(image).is_file()
                label = pathlib.Path("/labels/".join(image.rsplit("/images/", 1)).rsplit(".", 1)[0] + ".txt")
                darknet = pathlib.Path(
                    f"{folder}/out/labels/" + image.removeprefix(f"{folder}/out/images/").rsplit(".", 1)[0] + ".txt"
                )
                assert label.read_bytes() == darknet.read_bytes()
                found[line.removeprefix("./images/")] = len(label.read_text(encoding="utf-8").splitlines())
        assert found == {name: len(boxes) for name, (_, boxes) in images.items()}
        _convert(folder / "out", folder / "back.csv")
        _convert(source, folder / "plain.csv")
        assert _rows(folder / "back.csv") == _rows(folder / "plain.csv")


NOT_WRITTEN = ["gs://b/d/photo", "gs://b/d//a.png", "gs://b/d/.a.png", "gs://b/d/__MACOSX/a.png", "gs://b/d/x\\a.png"]


@pytest.mark.parametrize("uri", NOT_WRITTEN)
@pytest.mark.parametrize("name", ["voc", "yolo"])
def test_names_that_readers_would_not_find_are_refused_or_left_out(
    name: str, uri: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (64, 48)).save(tmp_path / "photo", "png")
    Image.new("L", (64, 48)).save(tmp_path / "a.png")
    Image.new("L", (64, 48)).save(tmp_path / "b.png")
    rows = "\n".join(f"TRAIN,{one},car,0,0,,,1,1,," for one in (uri, "gs://b/d/b.png", "gs://b/c.png"))
    Image.new("L", (64, 48)).save(tmp_path / "c.png")
    (tmp_path / "in.csv").write_text(rows, encoding="utf-8")
    (tmp_path / "d").mkdir()
    words = ("convert", str(tmp_path / "in.csv"), str(tmp_path / "out"), "--to", name, "--images", str(tmp_path))
    moved = {"gs://b/d/.a.png": ".a.png", "gs://b/d/__MACOSX/a.png": "a.png", "gs://b/d/x\\a.png": "x\\a.png"}
    if uri in moved:
        Image.new("L", (64, 48)).save(tmp_path / moved[uri], "png")
    assert cli.main(words) == 2
    assert "rename" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert cli.main([*words, "--skip-bad"]) == 0
    assert cli.main(["convert", str(tmp_path / "out"), str(tmp_path / "back.csv")]) == 0
    assert [row.split(",")[1] for row in _rows(tmp_path / "back.csv")] == ["c.png", "d/b.png"]
