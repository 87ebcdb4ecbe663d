"""Labels of whole images: folders of labels, the import CSV and COCO without boxes, into each other."""

from __future__ import annotations

import json
import pathlib

import pytest
from tests.support.images import drawn_images

from boxwright import cli


def _convert(*words: object) -> int:
    return cli.main(["convert", *map(str, words)])


def _image(path: pathlib.Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(drawn_images.draw(seed).content)


def _files(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture
def classes(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two labels in two sets, and an image without one."""
    names = [
        "train/cat/1.jpg",
        "train/cat/2.jpg",
        "train/dog/1.jpg",
        "test/dog/9.jpg",
        "test/cat/in/8.jpg",
        "test/7.jpg",
    ]
    for seed, name in enumerate(names):
        _image(tmp_path / "animals" / name, seed)
    return tmp_path / "animals"


ROWS = [
    "TEST,test/7.jpg",
    "TEST,test/cat/in/8.jpg,cat",
    "TEST,test/dog/9.jpg,dog",
    "TRAIN,train/cat/1.jpg,cat",
    "TRAIN,train/cat/2.jpg,cat",
    "TRAIN,train/dog/1.jpg,dog",
]


def test_folders_of_labels_become_a_csv_with_their_sets(classes, tmp_path, capsys):
    assert _convert(classes, tmp_path / "labels.csv") == 0
    assert sorted((tmp_path / "labels.csv").read_text().splitlines()) == ROWS
    said = capsys.readouterr().out
    assert "6 images (train, test) (1 without a label), 5 labels of images, 2 labels." in said
    assert "image in no label's folder: kept without a label" in said


def test_without_folders_of_sets_the_folders_are_labels(tmp_path):
    for seed, name in enumerate(("cat/1.jpg", "test/1.jpg", "dog/1.jpg")):
        _image(tmp_path / "animals" / name, seed)
    assert (
        _convert(tmp_path / "animals", tmp_path / "labels.csv", "--split", "train", "--image-prefix", "gs://b/x") == 0
    )
    assert sorted((tmp_path / "labels.csv").read_text().splitlines()) == [
        "TRAIN,gs://b/x/cat/1.jpg,cat", "TRAIN,gs://b/x/dog/1.jpg,dog", "TRAIN,gs://b/x/test/1.jpg,test",
    ]  # fmt: skip


@pytest.mark.parametrize("between", ["labels.csv", "labels.json", "coco"])
def test_a_way_over_another_format_gives_the_same_folders(classes, tmp_path, between):
    if between == "labels.json":  # one file has no sets
        for name in ("train", "test"):
            for path in (classes / name).iterdir():
                if path.is_dir():
                    (classes / path.name).mkdir(exist_ok=True)
                    for image in path.rglob("*.jpg"):
                        image.rename(classes / path.name / f"{name}-{image.name}")
            for rest in sorted((classes / name).rglob("*"), reverse=True):
                rest.unlink() if rest.is_file() else rest.rmdir()
            (classes / name).rmdir()
    flags = ["--to", "coco"] if between == "coco" else []
    assert _convert(classes, tmp_path / between, *flags) == 0
    assert _convert(tmp_path / between, tmp_path / "again", "--to", "classes", "--images", classes) == 0
    assert _files(tmp_path / "again") == _files(classes)


def test_coco_names_categories_of_images_without_a_box(classes, tmp_path):
    assert _convert(classes, tmp_path / "labels.json") == 0
    document = json.loads((tmp_path / "labels.json").read_text())
    assert [set(one) for one in document["annotations"]] == [{"id", "image_id", "category_id"}] * 5
    assert {one["name"] for one in document["categories"]} == {"cat", "dog"}
    assert all((one["width"], one["height"]) == (64, 48) for one in document["images"])


def test_several_labels_of_an_image_go_through_csv_and_coco_and_not_into_folders(tmp_path, capsys):
    for seed in range(2):
        _image(tmp_path / f"{seed}.jpg", seed)
    rows = ["TRAIN,0.jpg,cat,dog", 'TRAIN,1.jpg,"a, b",cat']
    (tmp_path / "in.csv").write_text("\n".join([*rows, "TRAIN,0.jpg,dog,bird"]))
    assert _convert(tmp_path / "in.csv", tmp_path / "coco", "--to", "coco") == 0
    assert _convert(tmp_path / "coco", tmp_path / "out.csv", "--images", tmp_path) == 0
    assert (tmp_path / "out.csv").read_text().splitlines() == ["TRAIN,0.jpg,cat,dog,bird", rows[1]]
    assert _convert(tmp_path / "in.csv", tmp_path / "folders", "--to", "classes") == 2
    assert "it has several labels ('cat', 'dog', 'bird'), and a folder is one label" in capsys.readouterr().err
    assert not (tmp_path / "folders").exists()


@pytest.mark.parametrize("target", ["voc", "yolo"])
def test_formats_of_boxes_refuse_labels_and_the_other_way(classes, tmp_path, capsys, target):
    assert _convert(classes, tmp_path / "out", "--to", target) == 2
    assert (
        f"holds labels of whole images, and {target} boxes; write one of csv, coco, classes" in capsys.readouterr().err
    )
    (tmp_path / "boxes.csv").write_text("TRAIN,train/cat/1.jpg,cat,0.1,0.1,,,0.5,0.5,,\n")
    assert _convert(tmp_path / "boxes.csv", tmp_path / "out", "--to", "classes", "--images", classes) == 2
    assert "holds boxes, and classes has none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_csv_of_boxes_that_are_broken_is_no_csv_of_labels(tmp_path, capsys):
    (tmp_path / "in.csv").write_text("TRAIN,a.jpg,car,10,20,,,30,40,,\n")
    assert _convert(tmp_path / "in.csv", tmp_path / "out.csv") == 2
    assert "column 4: 10 is outside 0 to 1" in capsys.readouterr().err


def test_labels_may_be_numbers(tmp_path):
    (tmp_path / "in.csv").write_text("TRAIN,a.jpg,7\nTEST,b.jpg,3,0,1\n")
    assert _convert(tmp_path / "in.csv", tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text() == (tmp_path / "in.csv").read_text()


@pytest.mark.parametrize("label", ["a/b", "..", ".hidden", "what?"])
def test_a_label_that_is_no_name_of_a_folder_is_refused(tmp_path, capsys, label):
    _image(tmp_path / "0.jpg", 0)
    (tmp_path / "in.csv").write_text(f"TRAIN,0.jpg,{label}\n")
    assert _convert(tmp_path / "in.csv", tmp_path / "out", "--to", "classes") == 2
    assert f"no folder can have the name of its label, '{label}'" in capsys.readouterr().err
    assert list(tmp_path.glob("out*")) == []


def test_coco_with_segmentation_and_no_box_is_not_taken_for_labels(tmp_path, capsys):
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 5, 1, 5, 5]]}],
    }
    (tmp_path / "in.json").write_text(json.dumps(document))
    assert _convert(tmp_path / "in.json", tmp_path / "out.csv") == 2
    assert "bbox is not a list of four numbers" in capsys.readouterr().err


def test_the_folder_that_all_images_lie_in_is_none_of_the_labels(tmp_path):
    for seed in range(2):
        _image(tmp_path / "photos" / f"{seed}.jpg", seed)
    (tmp_path / "in.csv").write_text("TRAIN,photos/0.jpg,cat\nTEST,photos/1.jpg,dog\n")
    assert _convert(tmp_path / "in.csv", tmp_path / "out", "--to", "classes") == 0
    assert sorted(_files(tmp_path / "out")) == ["test/dog/1.jpg", "train/cat/0.jpg"]


@pytest.mark.parametrize(
    ("row", "labels"),
    [
        ("TRAIN,a.jpg,ace,010", ["010", "ace"]),
        ("TRAIN,a.jpg,ace,7,8,9,10", ["10", "7", "8", "9", "ace"]),
        ("TRAIN,a.jpg,ace,010,,,,,,,", ["010", "ace"]),  # as a spreadsheet pads it
        ("TRAIN,a.jpg,2023,2024", ["2023", "2024"]),
    ],
)
def test_numbers_are_labels_where_no_row_has_a_box(tmp_path: pathlib.Path, row: str, labels: list[str]) -> None:
    _image(tmp_path / "a.jpg", 0)
    (tmp_path / "labels.csv").write_text(row + "\n", encoding="utf-8")
    assert cli.main(["convert", str(tmp_path / "labels.csv"), str(tmp_path / "out.csv")]) == 0
    assert sorted((tmp_path / "out.csv").read_text(encoding="utf-8").strip().split(",")[2:]) == labels


@pytest.mark.parametrize("corners", ["0.1,0.2,,,0.5", "10,20,,,30,40", "0.1,x,,,0.3,0.4,,", "10,20,,,30,"])
def test_a_broken_box_is_no_label(tmp_path: pathlib.Path, corners: str, capsys: pytest.CaptureFixture[str]) -> None:
    _image(tmp_path / "a.jpg", 0)
    (tmp_path / "labels.csv").write_text(f"TRAIN,a.jpg,cat,{corners}\n", encoding="utf-8")
    assert cli.main(["convert", str(tmp_path / "labels.csv"), str(tmp_path / "out.csv")]) != 0
    assert "line 1" in capsys.readouterr().err
