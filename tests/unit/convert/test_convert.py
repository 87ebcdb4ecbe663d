"""boxwright convert: known values of every format, detours that change nothing, mistakes that are named."""

from __future__ import annotations

import json
import pathlib
import tempfile

import faster_coco_eval
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from boxwright import cli
from boxwright.convert import pictures

CSV = (
    "TRAIN,a.png,car,0.1,0.2,,,0.5,0.6,,\nTEST,b.png,bike,0.25,0.5,0.75,0.5,0.75,1,0.25,1\nVALIDATION,c.png,,,,,,,,,\n"
)
SAME = ["TEST,b.png,bike,0.25,0.5,,,0.75,1,,", "TRAIN,a.png,car,0.1,0.2,,,0.5,0.6,,", "VALIDATION,c.png,,,,,,,,,"]


def _convert(*words: object) -> int:
    return cli.main(["convert", *map(str, words)])


def _images(folder: pathlib.Path, *names: str, size: tuple[int, int] = (200, 100)) -> None:
    for name in names:
        Image.new("RGB", size).save(folder / name)


def _source(folder: pathlib.Path) -> pathlib.Path:
    _images(folder, "a.png", "b.png", "c.png")
    (folder / "labels.csv").write_text(CSV, encoding="utf-8")
    return folder / "labels.csv"


def _rows(path: pathlib.Path) -> list[str]:
    return sorted(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("name", ["coco", "voc", "yolo"])
def test_a_detour_over_another_format_changes_nothing(name: str, tmp_path: pathlib.Path) -> None:
    source = _source(tmp_path)
    assert _convert(source, tmp_path / name, "--to", name) == 0
    assert _convert(tmp_path / name, tmp_path / "back.csv") == 0  # the format is seen from the content
    assert _rows(tmp_path / "back.csv") == SAME


def test_images_without_a_single_box_come_back_from_yolo(tmp_path: pathlib.Path) -> None:
    _images(tmp_path, "0.png", size=(317, 211))
    (tmp_path / "in.csv").write_text("TRAIN,gs://b/d/0.png,,,,,,,,,\n", encoding="utf-8")
    assert _convert(tmp_path / "in.csv", tmp_path / "out", "--to", "yolo", "--images", tmp_path) == 0
    assert _convert(tmp_path / "out", tmp_path / "back.csv", "--image-prefix", "gs://b/d") == 0
    assert _rows(tmp_path / "back.csv") == ["TRAIN,gs://b/d/0.png,,,,,,,,,"]


SPANS = st.tuples(st.integers(0, 980_000), st.integers(20_000, 1_000_000)).filter(
    lambda span: span[0] + 10_000 < span[1]
)
BOXES = st.lists(st.tuples(st.sampled_from(["ace", "Baked Goods", 'ß,"q"']), SPANS, SPANS), max_size=4)
SETS = st.sampled_from(["TRAIN", "VALIDATION", "TEST", "UNASSIGNED"])


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(SETS, BOXES), min_size=1, max_size=4), st.sampled_from(["coco", "voc", "yolo"]))
def test_any_csv_of_six_decimals_comes_back_the_same(
    images: list[tuple[str, list[tuple[str, tuple[int, int], tuple[int, int]]]]], name: str
) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        lines = []
        for index, (split, boxes) in enumerate(images):
            _images(folder, f"{index}.png", size=(317, 211))
            lines += [
                f'{split},gs://b/d/{index}.png,"{label.replace(chr(34), chr(34) * 2)}",'
                f"{x[0] / 1e6:.6f},{y[0] / 1e6:.6f},,,{x[1] / 1e6:.6f},{y[1] / 1e6:.6f},,"
                for label, x, y in boxes
            ] or [f"{split},gs://b/d/{index}.png,,,,,,,,,"]
        (folder / "in.csv").write_text("\n".join(lines), encoding="utf-8")
        assert _convert(folder / "in.csv", folder / "plain.csv") == 0
        exact = ["--voc-exact"] if name == "voc" else []
        assert _convert(folder / "in.csv", folder / "out", "--to", name, "--images", folder, *exact) == 0
        assert _convert(folder / "out", folder / "back.csv", "--image-prefix", "gs://b/d") == 0
        assert _rows(folder / "back.csv") == _rows(folder / "plain.csv")


def test_coco_boxes_crowds_ids_and_empty_images(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 100} for i in (7, 8, 9)],
        "categories": [{"id": 90, "name": "bike"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [20, 10, 100, 50], "segmentation": [[1, 2, 3, 4, 5, 6]]},
            {"id": 2, "image_id": 7, "category_id": 90, "bbox": [150, 50, 100, 60]},
            {"id": 3, "image_id": 8, "category_id": 3, "bbox": [0, 0, 50, 50], "iscrowd": 1},
        ],
    }
    (tmp_path / "instances_val2017.json").write_text(json.dumps(document), encoding="utf-8")
    assert _convert(tmp_path / "instances_val2017.json", tmp_path / "x.csv", "--image-prefix", "gs://b/p/") == 0
    assert _rows(tmp_path / "x.csv") == [
        "VALIDATION,gs://b/p/7.jpg,bike,0.75,0.5,,,1,1,,",
        "VALIDATION,gs://b/p/7.jpg,car,0.1,0.1,,,0.6,0.6,,",
        "VALIDATION,gs://b/p/9.jpg,,,,,,,,,",
    ]
    told = capsys.readouterr().out
    for word in ("crowd", "'segmentation'", "ids are not", "cut at the edge", "whose every box was left out"):
        assert word in told


def test_coco_tools_load_what_is_written(tmp_path: pathlib.Path) -> None:
    assert _convert(_source(tmp_path), tmp_path / "all.json") == 0
    loaded = faster_coco_eval.COCO(str(tmp_path / "all.json"))
    assert [loaded.imgs[number]["file_name"] for number in loaded.getImgIds()] == ["a.png", "b.png", "c.png"]
    (found,) = loaded.loadAnns(loaded.getAnnIds(imgIds=[1]))
    assert found["bbox"] == [20, 20, 80, 40]
    assert loaded.cats[found["category_id"]]["name"] == "car"


def test_voc_counts_pixels_from_one_or_from_zero(tmp_path: pathlib.Path) -> None:
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(
        "<annotation><filename>a.jpg</filename><size><width>200</width><height>100</height></size><object><name>car</name>"
        "<difficult>1</difficult><bndbox><xmin>21</xmin><ymin>11</ymin><xmax>200</xmax><ymax>50</ymax></bndbox></object>"
        "</annotation>",
        encoding="utf-8",
    )
    assert _convert(tmp_path, tmp_path / "one.csv") == 0
    assert _rows(tmp_path / "one.csv") == ["UNASSIGNED,a.jpg,car,0.1,0.1,,,1,0.5,,"]
    assert _convert(tmp_path, tmp_path / "zero.csv", "--from", "voc", "--voc-first-pixel", 0, "--split", "test") == 0
    assert _rows(tmp_path / "zero.csv") == ["TEST,a.jpg,car,0.105,0.11,,,1,0.5,,"]
    assert _convert(tmp_path, tmp_path / "again", "--from", "voc", "--to", "voc") == 0
    text = (tmp_path / "again/Annotations/a.xml").read_text(encoding="utf-8")
    assert "<xmin>21</xmin>" in text and "<difficult>1</difficult>" in text


def test_yolo_folders_of_sets_and_outlines(tmp_path: pathlib.Path) -> None:
    for split in ("train", "val"):
        (tmp_path / "images" / split).mkdir(parents=True)
        (tmp_path / "labels" / split).mkdir(parents=True)
        _images(tmp_path / "images" / split, f"{split}.png")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [car, bike]\n", encoding="utf-8")
    (tmp_path / "labels/train/train.txt").write_text("1 0.5 0.5 0.2 0.4\n0 .1 .1 .3 .1 .3 .2\n", encoding="utf-8")
    assert _convert(tmp_path, tmp_path / "x.csv", "--image-prefix", "gs://b") == 0
    assert _rows(tmp_path / "x.csv") == [
        "TRAIN,gs://b/train/train.png,bike,0.4,0.3,,,0.6,0.7,,",
        "TRAIN,gs://b/train/train.png,car,0.1,0.1,,,0.3,0.2,,",
        "VALIDATION,gs://b/val/val.png,,,,,,,,,",
    ]


BAD = {  # file → its content, and what the complaint must name
    "rows.csv": ("TRAIN,a.png,car,0,0,,,1,1,,\nTRAIN,a.png,car,0,0,,,7,1,,\n", "rows.csv, line 2: column 8"),
    "cut.json": ('{"images": [\n{"id": 1,\n', "cut.json, line 3: this is not JSON"),
    "none.json": ("{}", "none.json: it has no list 'images'"),
    "v/Annotations/a.xml": ("<annotation>\n<size>\n</annotation>", "a.xml, line 3: this is not XML"),
    "b/Annotations/a.xml": (
        '<!DOCTYPE a [<!ENTITY b "b">]><annotation>&b;</annotation>',
        "entities, which are refused",
    ),
    "u/data.yaml": ("names: [car\ntrain: x: y\n", "data.yaml, line 2: this is not YAML"),
    "w/data.yaml": ("names: [car]\ntrain: images\n", "data.yaml names train: images, which is not there"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_named_with_its_place_and_nothing_is_written(
    name: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(BAD[name][0], encoding="utf-8")
    source = path if path.parent == tmp_path else tmp_path / name.split("/")[0]
    (tmp_path / "out").mkdir()
    assert _convert(source, tmp_path / "out/x.csv") == 2
    assert BAD[name][1] in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_a_yolo_line_is_named_and_can_be_left_out(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "classes.txt").write_text("car\n", encoding="utf-8")
    (tmp_path / "labels/a.txt").write_text("0 .5 .5 .2 .2\n3 .5 .5 .2 .2\n", encoding="utf-8")
    assert _convert(tmp_path, tmp_path / "x.csv") == 2
    assert "a.txt, line 2: class 3 is not among the 1 names" in capsys.readouterr().err
    assert _convert(tmp_path, tmp_path / "x.csv", "--skip-bad") == 0
    assert _rows(tmp_path / "x.csv") == ["UNASSIGNED,a.jpg,car,0.4,0.4,,,0.6,0.6,,"]


def test_nothing_is_replaced_unasked_nor_a_folder_that_is_not_ours(tmp_path: pathlib.Path) -> None:
    source = _source(tmp_path)
    assert _convert(source, tmp_path / "y", "--to", "yolo") == 0
    assert _convert(source, tmp_path / "y", "--to", "yolo") == 2
    assert _convert(source, tmp_path / "y", "--to", "yolo", "--overwrite", "--copy-images") == 0
    assert (tmp_path / "y/images/a.png").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/photo.jpg").write_bytes(b"kept")
    assert _convert(source, tmp_path / "mine", "--to", "yolo", "--overwrite") == 2
    assert (tmp_path / "mine/photo.jpg").read_bytes() == b"kept"
    assert not list(tmp_path.glob(".*partial*"))


def test_two_images_that_would_share_an_annotation_are_refused(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.csv").write_text("TRAIN,a.png,car,0,0,,,1,1,,\nTRAIN,a.jpg,car,0,0,,,1,1,,\n", encoding="utf-8")
    assert _convert(tmp_path / "x.csv", tmp_path / "y", "--to", "yolo") == 2
    assert "another image is called a too" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_turns_as_the_image_does(orientation: int) -> None:
    stored = Image.new("L", (40, 20))
    stored.paste(255, (4, 2, 12, 6))
    stored.getexif()[274] = orientation
    shown = ImageOps.exif_transpose(stored)
    assert shown is not None
    left, top, right, bottom = shown.getbbox() or (0, 0, 0, 0)
    expected = (left / shown.width, top / shown.height, right / shown.width, bottom / shown.height)
    assert pictures.turned((0.1, 0.1, 0.3, 0.3), orientation) == pytest.approx(expected)


def test_the_annotations_size_tells_whether_boxes_are_turned(tmp_path: pathlib.Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (200, 100)).save(tmp_path / "a.jpg", exif=exif)
    for width, height, box in ((200, 100, "0.4,0.1,,,0.9,0.6"), (100, 200, "0.2,0.05,,,1,0.3")):
        document = {
            "images": [{"id": 1, "file_name": "a.jpg", "width": width, "height": height}],
            "categories": [{"id": 1, "name": "car"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 10, 100, 50]}],
        }
        (tmp_path / "x.json").write_text(json.dumps(document), encoding="utf-8")
        assert _convert(tmp_path / "x.json", tmp_path / "x.csv", "--overwrite") == 0
        assert _rows(tmp_path / "x.csv") == [f"UNASSIGNED,a.jpg,car,{box},,"]
