"""What nobody can know is refused with its place, or left out and counted; consoles of any kind show it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
from tests.support.images.labelled_folders import BOX, CAT, HALF, IMAGE, MIDDLE, boxes, coco, make, object_element, xml

from boxwright import cli

# name → files, words of the refusal, the rows that --skip-bad leaves (None: nothing is left), what it counts
REFUSED: dict[str, tuple[dict[str, object], list[str], list[str] | None, int]] = {
    "voc: a broken file": (
        {"a.xml": xml("a.png", CAT), "b.xml": "<annotation>\n<size>"},
        ["b.xml, line 2", "not XML"],
        [f"a.png cat {HALF}"],
        1,
    ),
    "voc: bytes of an encoding that is not named": (
        {"a.xml": xml("a.png", CAT), "b.xml": xml("b.png", object_element(1, 1, 2, 2, name="狗")).encode("gbk")},
        ["b.xml, line 1"],
        [f"a.png cat {HALF}"],
        1,
    ),
    "voc: a file that is a folder": (
        {"a.xml": xml("a.png", CAT), "b.xml": b"\xff\xfe<\0"},
        ["b.xml"],
        [f"a.png cat {HALF}"],
        1,
    ),
    "voc: two files about one image": (
        {"a.xml": xml("a.png", CAT), "a.png": IMAGE, "b.xml": xml("a.png", CAT)},
        ["b.xml", "'a.png' is named already", "a.xml"],
        [f"a.png cat {HALF}"],
        1,
    ),
    "coco: an image id used twice": (
        {
            "r.json": coco(
                [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}, {"id": 2, "file_name": "c.png"}],
                [{"image_id": 1}, {"image_id": 2}],
            )
        },
        ["images[1]", "id 1 is used twice"],
        [f"c.png cat {HALF}"],
        2,
    ),
    "coco: an image named twice": (
        {
            "r.json": coco(
                [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "a.png"}], [{"image_id": 1}, {"image_id": 2}]
            )
        },
        ["images[1]", "'a.png' is named already", "images[0]"],
        [f"a.png cat {HALF}"],
        2,
    ),
    "coco: a category id used twice": (
        {
            "r.json": coco(
                [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
                [{"image_id": 1}, {"image_id": 2, "category_id": 2}],
                [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}, {"id": 2, "name": "cow"}],
            )
        },
        ["categories[1]", "category id 1 is used twice"],
        [f"b.png cow {HALF}"],
        2,
    ),
    "coco: images without ids": (
        {"r.json": coco([{"file_name": "a.png"}, {"id": 2, "file_name": "b.png"}], [{"image_id": 2}])},
        ["images[0]", "it has no id"],
        [f"b.png cat {HALF}"],
        1,
    ),
    "coco: NaN": (
        {"r.json": '{"images": [\n {"id": 1, "file_name": "NaN.png", "width": NaN, "height": 1}]}'},
        ["r.json, line 2", "NaN is no number"],
        None,
        0,
    ),
    "coco: one file of two is broken": (
        {"train.json": coco([{"id": 1, "file_name": "a.png"}], [{"image_id": 1}]), "val.json": '{"images": [\n'},
        ["val.json, line 2"],
        [f"a.png cat {HALF}"],
        1,
    ),
    "yolo: a hole in the names": (
        {"classes.txt": "cat\n\ndog\n", "a.png": IMAGE, "a.txt": BOX},
        ["classes.txt, names, 1"],
        None,
        0,
    ),
    "yolo: a number that stands twice": (
        {"data.yaml": "names:\n  0: cat\n  0: dog\n", "a.png": IMAGE, "a.txt": BOX},
        ["data.yaml, line 3", "'0' stands twice"],
        None,
        0,
    ),
    "yolo: a label file that is no text": (
        {"classes.txt": "cat", "a.png": IMAGE, "a.txt": BOX, "b.png": IMAGE, "b.txt": b"\xff\xfe0\0"},
        ["b.txt", "not a UTF-8 text"],
        [f"a.png cat {MIDDLE}"],
        1,
    ),
    "yolo: keypoints that nothing announces": (
        {"classes.txt": "cat", "a.png": IMAGE, "a.txt": f"{BOX[:-1]} .1 .1 2 .2 .2 2", "b.png": IMAGE, "b.txt": BOX},
        ["a.txt, line 1", "kpt_shape"],
        [f"b.png cat {MIDDLE}"],
        1,
    ),
    "yolo: labels that fit no image": (
        {"classes.txt": "cat", "images/a.png": IMAGE, "labels/x/b.txt": BOX},
        ["none of the 1 images has a label file"],
        None,
        0,
    ),
    "csv: another tool's": (
        {"labels.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\n"},
        ["TensorFlow's CSV"],
        None,
        0,
    ),
    "csv: make-sense's": ({"labels.csv": "cat,1,2,30,40,a.png,64,48\n"}, ["make-sense's CSV"], None, 0),
    "json: Label Studio's short form": (
        {"p.json": '[{"image": "a.png", "id": 1, "label": [{"x": 1}]}]'},
        ["p.json", "Label Studio's short JSON"],
        None,
        0,
    ),
    "json: a list of COCO results": (
        {"p.json": '[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}]'},
        ["a list of COCO results"],
        None,
        0,
    ),
    "json: CreateML's": (
        {"p.json": '[{"image": "a.png", "annotations": [{"label": "cat", "coordinates": {"x": 1}}]}]'},
        ["CreateML's"],
        None,
        0,
    ),
    "json: VIA's": ({"p.json": '{"_via_settings": {}, "_via_img_metadata": {}}'}, ["VIA's"], None, 0),
    "xml: tracks of CVAT": (
        {"annotations.xml": '<?xml version="1.0"?><annotations><version>1.1</version><track id="0"/></annotations>'},
        ["tracks of a video"],
        None,
        0,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_nobody_can_know_is_refused_with_its_place(
    case: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, words, rows, count = REFUSED[case]
    source, target = tmp_path / "in", tmp_path / "out.csv"
    make(source, files)
    command = ["convert", str(source), str(target), "--image-prefix", "gs://b"]
    assert cli.main(command) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in words), told
    assert list(tmp_path.iterdir()) == [source]
    assert cli.main([*command, "--skip-bad"]) == (2 if rows is None else 0)
    if rows is not None:
        assert boxes(target) == sorted(rows)
        assert f"{count} × left out as unusable" in capsys.readouterr().out


def test_the_account_is_printed_when_a_conversion_is_refused(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path, {"a.xml": xml("a.png", object_element(70, 60, 80, 70)), "b.xml": "<"})
    assert cli.main(["convert", str(tmp_path), str(tmp_path / "x.csv"), "--skip-bad"]) == 2
    told = capsys.readouterr().err
    for word in ("no usable image", "1 × left out as unusable", "b.xml, line 1", "box without area", "a.xml, object 1"):
        assert word in told


def test_damaged_images_are_left_out_where_their_size_is_needed(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "\n".join(f"TRAIN,{name}.png,cat,0,0,,,1,1,," for name in ("a", "b", "c"))
    make(tmp_path, {"labels.csv": rows, "a.png": IMAGE, "b.png": b"\x89PNG\r\n\x1a\n"})
    words = ["convert", str(tmp_path / "labels.csv"), str(tmp_path / "x.json")]
    assert cli.main(words) == 2
    assert "b.png: " in capsys.readouterr().err
    assert cli.main([*words, "--skip-bad"]) == 0
    told = capsys.readouterr().out
    assert "2 × left out as unusable" in told and "c.png: its width and height are needed" in told
    assert [image["file_name"] for image in json.loads((tmp_path / "x.json").read_bytes())["images"]] == ["a.png"]


def test_a_loop_of_links_ends(tmp_path: pathlib.Path) -> None:
    make(tmp_path, {"in/a.xml": xml("a.png", CAT), "in/sub/b.xml": xml("b.png", CAT)})
    (tmp_path / "in/sub/up").symlink_to(tmp_path / "in")
    (tmp_path / "in/linked").symlink_to(tmp_path / "elsewhere")
    make(tmp_path, {"elsewhere/c.xml": xml("c.png", CAT)})
    assert cli.main(["convert", str(tmp_path / "in"), str(tmp_path / "x.csv")]) == 0
    assert boxes(tmp_path / "x.csv") == [f"{name}.png cat {HALF}" for name in ("a", "linked/c", "sub/b")]


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(name, marks=pytest.mark.full) for name in ("cp1252", "utf-8"))]
)
def test_any_console_shows_what_is_told(encoding: str, tmp_path: pathlib.Path) -> None:
    make(tmp_path, {"é猫/r.json": coco([{"id": 5, "file_name": "é猫.png"}], [{"image_id": 5}])})
    pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/raw\xff")).mkdir()
    words = [sys.executable, "-m", "boxwright.cli", "convert"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for target, status in (("x.csv", 0), ("x.csv", 2), (b"raw\xff/x.csv".decode("utf-8", "surrogateescape"), 0)):
        done = subprocess.run(
            [*words, str(tmp_path / "é猫/r.json"), str(tmp_path / target)], env=environment, capture_output=True
        )
        assert done.returncode == status
        assert b"Traceback" not in done.stderr
        assert done.stdout if status == 0 else b"exists" in done.stderr


def test_nobody_reads_what_is_told(tmp_path: pathlib.Path) -> None:
    make(tmp_path, {"r.json": coco([{"id": 5, "file_name": "a.png"}], [{"image_id": 5}])})
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "boxwright.cli", "convert", str(tmp_path / "r.json"), str(tmp_path / "x.csv")]
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert b"Traceback" not in done.stderr
    assert boxes(tmp_path / "x.csv") == [f"a.png cat {HALF}"]


@pytest.mark.parametrize(("redirection", "status"), [(">&-", 0), ("> /dev/full", 2)])
def test_what_is_told_has_no_place_to_go(redirection: str, status: int, tmp_path: pathlib.Path) -> None:
    make(tmp_path, {"r.json": coco([{"id": 5, "file_name": "a.png"}], [{"image_id": 5}])})
    command = f"{sys.executable} -m boxwright.cli convert {tmp_path}/r.json {tmp_path}/x.csv {redirection}"
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE)
    assert done.returncode == status
    assert b"Traceback" not in done.stderr
    assert boxes(tmp_path / "x.csv") == [f"a.png cat {HALF}"]


def test_the_account_is_printed_when_the_locale_cannot_name_a_file(tmp_path: pathlib.Path) -> None:
    rows = "TRAIN,é.png,cat,0,0,,,1,1,,\nTRAIN,b.png,cat,0,0,,,1,1,,\nTRAIN,b.png,cat,0,0,,,1,1,,"
    make(tmp_path, {"in.csv": rows})
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [sys.executable, "-m", "boxwright.cli", "convert", str(tmp_path / "in.csv"), str(tmp_path / "y")]
    done = subprocess.run([*words, "--to", "yolo"], env=environment, capture_output=True)
    assert done.returncode == 2
    assert b"set LC_ALL" in done.stderr and b"stands twice" in done.stderr
    assert b"Traceback" not in done.stderr
    assert not (tmp_path / "y").exists()
