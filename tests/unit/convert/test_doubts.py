"""Folders as people have them: each is read rightly and what was doubtful is told; nothing is lost in silence."""

from __future__ import annotations

import pathlib

import pytest
from tests.support.images.labelled_folders import (
    BOX,
    CAT,
    HALF,
    IMAGE,
    MIDDLE,
    NFC,
    NFD,
    bounds,
    boxes,
    coco,
    make,
    object_element,
    xml,
)

from boxwright import cli

# name → files, the rows that come out, a word that must be told
READ: dict[str, tuple[dict[str, object], list[str], str]] = {
    "voc: another extension": (
        {"photo.xml": xml("photo", CAT), "photo.png": IMAGE},
        [f"photo.png cat {HALF}"],
        "photo → photo.png",
    ),
    "voc: another letter case": (
        {"a.xml": xml("a.jpg", CAT), "A.JPG": IMAGE},
        [f"A.JPG cat {HALF}"],
        "letter case",
    ),
    "voc: a dot in a name without extension": (
        {"2007.01.xml": xml("2007.01", CAT), "2007.01.png": IMAGE},
        [f"2007.01.png cat {HALF}"],
        "2007.01.png",
    ),
    "voc: no filename": ({"a.xml": xml("", CAT), "a.png": IMAGE}, [f"a.png cat {HALF}"], ""),
    "voc: the name of a copied file": (
        {"a.xml": xml("a.png", CAT), "a.png": IMAGE, "b.xml": xml("a.png", CAT), "b.png": IMAGE},
        [f"a.png cat {HALF}", f"b.png cat {HALF}"],
        "a.png → b.png",
    ),
    "voc: several boxes in an object": (
        {"a.xml": xml("a.png", f"<object><name>cat</name>{bounds(1, 1, 32, 24)}{bounds(33, 25, 64, 48)}</object>")},
        ["a.png cat 0 0 0.5 0.5", "a.png cat 0.5 0.5 1 1"],
        "one box each",
    ),
    "voc: corners in another order": (
        {"a.xml": xml("a.png", object_element(32, 24, 1, 1))},
        [f"a.png cat {HALF}"],
        "put in order",
    ),
    "voc: what macOS leaves": (
        {"a.xml": xml("a.png", CAT), "._a.xml": b"\0\5\26\7", "__MACOSX/a.xml": b"\0", ".c/a-checkpoint.xml": "<"},
        [f"a.png cat {HALF}"],
        "3 × hidden file",
    ),
    "voc: an encoding that only Python knows": (
        {
            "a.xml": f'<?xml version="1.0" encoding="GBK"?>{xml("a.png", object_element(1, 1, 32, 24, name="猫"))}'.encode(
                "gbk"
            )
        },
        [f"a.png 猫 {HALF}"],
        "",
    ),
    "voc: annots beside images": (
        {"annots/a.xml": xml("a.png", CAT), "images/a.png": IMAGE},
        [f"a.png cat {HALF}"],
        "",
    ),
    "voc: an image without an XML file": (
        {"a.xml": xml("a.png", CAT), "a.png": IMAGE, "b.png": IMAGE},
        [f"a.png cat {HALF}"],
        "b.png",
    ),
    "voc: an image that is not there": (
        {"a.xml": xml("a.png", CAT), "a.png": IMAGE, "b.xml": xml("b.png", CAT)},
        [f"a.png cat {HALF}", f"b.png cat {HALF}"],
        "1 × image whose file was not found",
    ),
    "coco: folders that were merged": (
        {"r.json": coco([{"id": 1, "file_name": "images\\1/a.png"}], [{"image_id": 1}]), "images/a.png": IMAGE},
        [f"images/a.png cat {HALF}"],
        "another folder",
    ),
    "coco: a percent-encoded name": (
        {"r.json": coco([{"id": 1, "file_name": "my%20cat.png"}], [{"image_id": 1}]), "my cat.png": IMAGE},
        [f"my cat.png cat {HALF}"],
        "percent-encoding",
    ),
    "coco: another Unicode form": (
        {"r.json": coco([{"id": 1, "file_name": f"{NFC}.png"}], [{"image_id": 1}]), f"{NFD}.png": IMAGE},
        [f"{NFD}.png cat {HALF}"],
        "Unicode form",
    ),
    "coco: ids of other types": (
        {"r.json": coco([{"id": "7", "file_name": "a.png"}], [{"image_id": 7.0, "category_id": "1"}])},
        [f"a.png cat {HALF}"],
        "",
    ),
    "coco: an annotation id used twice": (
        {"r.json": coco([{"id": 1, "file_name": "a.png"}], [{"id": 1, "image_id": 1}, {"id": 1, "image_id": 1}])},
        [f"a.png cat {HALF}"] * 2,
        "with the id of another",
    ),
    "coco: two categories of one name": (
        {
            "r.json": coco(
                [{"id": 1, "file_name": "a.png"}],
                [{"image_id": 1}],
                [{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}],
            )
        },
        [f"a.png cat {HALF}"],
        "both are one label",
    ),
    "coco: a negative width": (
        {"r.json": coco([{"id": 1, "file_name": "a.png"}], [{"image_id": 1, "bbox": [32, 24, -32, -24]}])},
        [f"a.png cat {HALF}"],
        "put in order",
    ),
    "yolo: a percent-encoded label file": (
        {"classes.txt": "cat", "images/vue_é.png": IMAGE, "labels/vue_%C3%A9.txt": BOX},
        [f"vue_é.png cat {MIDDLE}"],
        "percent-encoding",
    ),
    "yolo: a label file in another Unicode form": (
        {"classes.txt": "cat", f"images/{NFD}.png": IMAGE, f"labels/{NFC}.txt": BOX},
        [f"{NFD}.png cat {MIDDLE}"],
        "Unicode form",
    ),
    "yolo: label files without images": (
        {"classes.txt": "cat", "images/a.png": IMAGE, "labels/a.txt": BOX, "labels/b.txt": BOX},
        [f"a.png cat {MIDDLE}"],
        "labels/b.txt",
    ),
    "yolo: images without label files": (
        {"classes.txt": "cat", "images/a.png": IMAGE, "labels/a.txt": BOX, "images/b.png": IMAGE},
        [f"a.png cat {MIDDLE}", "b.png"],
        "1 × image without a label file",
    ),
    "yolo: only label files": (
        {"classes.txt": "cat", "labels/a.txt": BOX},
        [f"a.jpg cat {MIDDLE}"],
        "taken as .jpg",
    ),
    "yolo: an image in two sets": (
        {"data.yaml": "train: images\nval: images\nnames: [cat]", "images/a.png": IMAGE, "labels/a.txt": BOX},
        [f"a.png cat {MIDDLE}"],
        "two sets",
    ),
    "yolo: names are texts": (
        {"data.yaml": "names: {0: yes}", "images/a.png": IMAGE, "labels/a.txt": BOX},
        [f"a.png yes {MIDDLE}"],
        "",
    ),
    "yolo: class numbers with a point": (
        {"classes.txt": "cat", "a.png": IMAGE, "a.txt": "0.000e+00 5e-1 5e-1 4e-1 4e-1"},
        [f"a.png cat {MIDDLE}"],
        "",
    ),
    "yolo: keypoints": (
        {"data.yaml": "names: [cat]\nkpt_shape: [1, 3]", "images/a.png": IMAGE, "labels/a.txt": f"{BOX[:-1]} .1 .1 2"},
        [f"a.png cat {MIDDLE}"],
        "keypoints",
    ),
    "yolo: a set that nobody exported": (
        {
            "data.yaml": "train: ../train/images\ntest: ../test/images\nnames: [cat]",
            "train/images/a.png": IMAGE,
            "train/labels/a.txt": BOX,
        },
        [f"train/images/a.png cat {MIDDLE}"],
        "test: ../test/images",
    ),
    "yolo: a folder images below images": (
        {"classes.txt": "cat", "images/site/images/a.png": IMAGE, "labels/site/images/a.txt": BOX},
        [f"site/images/a.png cat {MIDDLE}"],
        "",
    ),
    "yolo: two label files that differ": (
        {
            "classes.txt": "cat",
            "images/s/images/a.png": IMAGE,
            "labels/s/images/a.txt": "",
            "images/s/labels/a.txt": BOX,
        },
        [f"s/images/a.png cat {MIDDLE}"],
        "that differ",
    ),
    "yolo: CVAT 1.1": (
        {
            "obj.data": "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n",
            "obj.names": "cat\n",
            "train.txt": "data/obj_train_data/f 0.PNG\n",
            "obj_train_data/f 0.PNG": IMAGE,
            "obj_train_data/f 0.txt": BOX,
        },
        [f"obj_train_data/f 0.PNG cat {MIDDLE}"],
        "",
    ),
    "yolo: classes.txt among the labels": (
        {"labels/classes.txt": "cat\n\n", "images/a.png": IMAGE, "labels/a.txt": BOX},
        [f"a.png cat {MIDDLE}"],
        "",
    ),
    "yolo: a list from another machine": (
        {
            "data.yaml": "train: train.txt\nnames: [cat]",
            "train.txt": "/elsewhere/set/images/a.png\r\n",
            "images/a.png": IMAGE,
            "labels/a.txt": BOX,
        },
        [f"a.png cat {MIDDLE}"],
        "",
    ),
    "csv: a name in another letter case": (
        {"labels.csv": "TRAIN,a.jpg,cat,0,0,,,.5,.5,,\nTRAIN,a.jpg,cat,.3,.3,,,.7,.7,,", "A.JPG": IMAGE},
        [f"A.JPG cat {HALF}", f"A.JPG cat {MIDDLE}"],
        "letter case",
    ),
    "csv: a box that stands twice": (
        {"labels.csv": "TRAIN,a.jpg,cat,0,0,,,.5,.5,,\nTRAIN,a.jpg,cat,0,0,,,.5,.5,,"},
        [f"a.jpg cat {HALF}"] * 2,
        "stands twice",
    ),
}


@pytest.mark.parametrize("case", READ)
def test_what_was_meant_is_read_and_told(case: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    files, rows, word = READ[case]
    source = tmp_path / "in"
    make(source, files)
    assert cli.main(["convert", str(source), str(tmp_path / "out.csv"), "--image-prefix", "gs://b"]) == 0
    assert boxes(tmp_path / "out.csv") == sorted(rows)
    assert word in capsys.readouterr().out


LISTS = {  # lines of ImageSets/Main/train.txt → the images that are in the set then
    "a\nb c\n": {"a", "b c"},
    "a.png\r\nb c.xml\r\n": {"a", "b c"},
    "a  1\nb c -1\n": {"a", "b c"},
    "JPEGImages/a.png\n/elsewhere/JPEGImages/b c.png\n": {"a", "b c"},
    "b c 1\n": {"b c 1"},  # a file of exactly that name comes first
    "none\na\n": {"a"},
}


@pytest.mark.parametrize("text", LISTS)
def test_set_lists_match_with_extensions_flags_and_folders(
    text: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path, {f"Annotations/{stem}.xml": xml(f"{stem}.png", CAT) for stem in ("a", "b c", "b c 1")})
    make(tmp_path, {"ImageSets/Main/train.txt": text})
    assert cli.main(["convert", str(tmp_path), str(tmp_path / "x.csv")]) == 0
    rows = (tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()
    assert {row.split(",")[1][:-4] for row in rows if row.startswith("TRAIN")} == LISTS[text]
    assert ("names no XML file" in capsys.readouterr().out) == ("none" in text)
