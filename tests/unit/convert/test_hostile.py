"""Layouts and files that are easily read wrongly: the sets of others, what would be replaced, and values out of range."""

from __future__ import annotations

import json
import pathlib

import pytest
from PIL import Image
from tests.support.images.labelled_folders import BOX, CAT, HALF, IMAGE, MIDDLE, boxes, coco, make, xml

from boxwright import cli


def _convert(*words: object) -> int:
    return cli.main(["convert", *map(str, words)])


def _splits(file: pathlib.Path) -> dict[str, str]:
    """Set by image."""
    return {row.split(",")[1]: row.split(",")[0] for row in file.read_text(encoding="utf-8").splitlines()}


def test_every_coco_set_has_its_own_folder_of_images(tmp_path: pathlib.Path) -> None:
    files = {
        "train2017/0001.png": IMAGE,
        "train2017/0002.png": IMAGE,
        "val2017/0002.png": IMAGE,
        "annotations/instances_train2017.json": coco([{"id": 1, "file_name": "0001.png"}], [{"image_id": 1}]),
        "annotations/instances_val2017.json": coco([{"id": 1, "file_name": "0002.png"}], [{"image_id": 1}]),
    }
    make(tmp_path, files)
    assert _convert(tmp_path, tmp_path / "x.csv", "--image-prefix", "gs://b") == 0
    assert _splits(tmp_path / "x.csv") == {
        "gs://b/train2017/0001.png": "TRAIN",
        "gs://b/val2017/0002.png": "VALIDATION",
    }


def test_a_missing_yolo_set_does_not_take_the_folder_of_another(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = "train: ../train/images\nval: images\nnames: [cat]"
    make(tmp_path, {"data.yaml": description, "images/a.png": IMAGE, "labels/a.txt": BOX})
    assert _convert(tmp_path, tmp_path / "x.csv") == 0
    assert _splits(tmp_path / "x.csv") == {"a.png": "VALIDATION"}
    assert "train: ../train/images" in capsys.readouterr().out


def test_boxes_of_stored_images_without_a_size_are_turned(tmp_path: pathlib.Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (100, 50)).save(tmp_path / "a.jpg", exif=exif)
    document = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]}],
    }
    (tmp_path / "x.json").write_text(json.dumps(document), encoding="utf-8")
    assert _convert(tmp_path / "x.json", tmp_path / "x.csv", "--orientation", "stored") == 0
    assert boxes(tmp_path / "x.csv") == ["a.jpg cat 0.8 0 1 0.1"]


@pytest.mark.parametrize("key", ["annotation", "annotations"])
def test_a_coco_file_without_a_list_of_annotations_is_refused(
    key: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = json.dumps({"images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}], key: None})
    make(tmp_path, {"x.json": text})
    assert _convert(tmp_path / "x.json", tmp_path / "x.csv") == 2
    assert "no list 'annotations'" in capsys.readouterr().err


def test_boxes_in_fractions_are_refused_where_pixels_are_expected(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = coco([{"id": 1, "file_name": "a.png"}], [{"image_id": 1, "bbox": [0.1, 0.2, 0.5, 0.4]}])
    make(tmp_path, {"x.json": document})
    assert _convert(tmp_path / "x.json", tmp_path / "x.csv") == 2
    assert "not fractions" in capsys.readouterr().err


def test_what_is_read_and_what_is_of_another_kind_is_not_replaced(tmp_path: pathlib.Path) -> None:
    make(tmp_path, {"in/x.json": coco([{"id": 1, "file_name": "a.png"}], [{"image_id": 1}]), "in/a.png": IMAGE})
    make(tmp_path, {"precious.txt": "kept"})
    out = tmp_path / "out"
    assert _convert(tmp_path / "in/x.json", out, "--to", "yolo", "--copy-images") == 0
    for source, target in ((out, out), (tmp_path / "in/x.json", tmp_path / "precious.txt"), (out, out / "data.yaml")):
        assert _convert(source, target, "--to", "voc", "--overwrite") == 2
    assert (tmp_path / "precious.txt").read_text(encoding="utf-8") == "kept"
    assert (out / "images/a.png").is_file()
    assert (out / "data.yaml").is_file()


@pytest.mark.parametrize("source", ["x.csv", "."])
def test_a_file_that_is_read_is_not_replaced(source: str, tmp_path: pathlib.Path) -> None:
    row = "TRAIN,a.png,cat,0,0,,,0.5,0.5,,\n"
    make(tmp_path, {"x.csv": row})
    assert _convert(tmp_path / source, tmp_path / "x.csv", "--overwrite", "--image-prefix", "gs://b") == 2
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == row


ENCODED = {
    "utf8": ("utf8", "Käse", "utf-8"),
    "a mark and GBK": ("gbk", "猫", "utf-8-sig"),
    "UTF-8 that says UTF-16": ("utf-16", "Käse", "utf-8"),
    "GB 2312 with a later character": ("gb2312", "镕", "gb18030"),
}


@pytest.mark.parametrize("case", ENCODED)
def test_declared_encodings_are_read_as_they_are_meant(case: str, tmp_path: pathlib.Path) -> None:
    declared, label, encoding = ENCODED[case]
    text = f'<?xml version="1.0" encoding="{declared}"?>{xml("a.png", CAT).replace(">cat<", f">{label}<")}'
    make(tmp_path, {"a.xml": text.encode(encoding)})
    assert _convert(tmp_path, tmp_path / "x.csv") == 0
    assert boxes(tmp_path / "x.csv") == [f"a.png {label} {HALF}"]


ODD = {  # what once was an unnamed exception: files and a word of the refusal, None if it is read
    "a name longer than any file's": ({"labels.csv": f"TRAIN,{'n' * 300}.png,cat,0,0,,,1,1,,"}, None),
    "a width beyond all numbers": (
        {"x.json": coco([{"id": 1, "file_name": "a.png", "width": 1e300}], [{"image_id": 1}])},
        "neither width and height",
    ),
    "an id of 5,000 digits": ({"x.json": '{"images": [{"id": ' + "9" * 5000 + ', "file_name": "a.png"}]}'}, "x.json"),
    "a path that is elsewhere": (
        {"data.yaml": "path: /usr\ntrain: images\nnames: [cat]", "images/a.png": IMAGE, "labels/a.txt": BOX},
        None,
    ),
    "an endless cell": ({"labels.csv": "a" * 140_000}, "labels.csv"),
    "a quote without an end": ({"labels.csv": 'TRAIN,"a.png,cat,0,0,,,1,1,,'}, "line 1: this is no row"),
    "a JSON with a mark": (
        {"x.json": b"\xef\xbb\xbf" + coco([{"id": 1, "file_name": "a.png"}], [{"image_id": 1}]).encode()},
        None,
    ),
    "a category without a name": (
        {"x.json": coco([{"id": 1, "file_name": "a.png"}], [], [{"id": 1, "name": None}])},
        "a name is expected",
    ),
    "entries that are none": ({"x.json": '{"images": [null], "annotations": []}'}, "images[0]: an object"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_values_are_read_or_refused_by_name(
    case: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, word = ODD[case]
    make(tmp_path / "in", files)
    assert _convert(tmp_path / "in", tmp_path / "x.csv") == (2 if word else 0)
    assert (word or "") in capsys.readouterr().err


def test_label_studios_yolo_zip_is_yolo(tmp_path: pathlib.Path) -> None:
    notes = '{"categories": [{"id": 0, "name": "cat"}], "info": {"year": 2026}}'
    make(tmp_path, {"classes.txt": "cat\n", "notes.json": notes, "images/a.png": IMAGE, "labels/a.txt": BOX})
    assert _convert(tmp_path, tmp_path / "x.csv") == 0
    assert boxes(tmp_path / "x.csv") == [f"a.png cat {MIDDLE}"]


@pytest.mark.parametrize(("folder", "name"), [("Main", "Train"), ("Main", "trainval"), (".", "Train")])
def test_set_lists_are_found_in_any_letter_case_or_told(
    folder: str, name: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path, {"Annotations/a.xml": xml("a.png", CAT), f"ImageSets/{folder}/{name}.txt": "a\n"})
    assert _convert(tmp_path, tmp_path / "x.csv") == 0
    assert _splits(tmp_path / "x.csv") == {"a.png": "UNASSIGNED" if name == "trainval" else "TRAIN"}
    assert ("names no single set" in capsys.readouterr().out) == (name == "trainval")


def test_two_uris_that_end_alike_are_two_images(tmp_path: pathlib.Path) -> None:
    rows = "TRAIN,gs://x/t/a.png,cat,0,0,,,.5,.5,,\nTRAIN,gs://x/v/a.png,cat,0,0,,,.5,.5,,"
    make(tmp_path, {"in.csv": rows, "a.png": IMAGE})
    assert _convert(tmp_path / "in.csv", tmp_path / "x.csv") == 0
    assert set(_splits(tmp_path / "x.csv")) == {"gs://x/t/a.png", "gs://x/v/a.png"}


def test_annotations_beside_the_images_of_every_set(tmp_path: pathlib.Path) -> None:
    make(tmp_path, {"train/annotations/a.xml": xml("a.png", CAT), "train/images/a.png": IMAGE})
    assert _convert(tmp_path, tmp_path / "x.csv") == 0
    assert _splits(tmp_path / "x.csv") == {"train/images/a.png": "TRAIN"}
