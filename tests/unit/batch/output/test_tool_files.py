"""Results in the formats of labelling tools: `boxwright convert` and panlabel read from them what the result lines say."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from boxwright import boxes, cli, kinds
from boxwright.batch.output import candidates, result_formats, selected_results, tool_files
from boxwright.batch.output.candidates import CandidateTable
from boxwright.predictions import LabelScores, Selection

LABELS = [["11", "cat"], ["12", 'Käse, "alt" <&>'], ["13", "dog"]]
NAMES = [name for _, name in LABELS]
IDS = ["gs://b/one.jpg", "gs://b/sub folder/ä.png", "gs://b/images/x/two.jpg", "gs://c/three.jpg"]
SIZE_HW = (480, 640)
FROM = ["yolo", "voc", "cvat", "labelstudio", "labelme", "vertex"]
PANLABEL = shutil.which("panlabel", path=f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def _results(found, kind: kinds.DatasetKind = kinds.OBJECT_DETECTION, ids=IDS) -> selected_results.SelectedResults:
    rows = [(image_id, candidates.of_image(b"x", SIZE_HW, one, 0.0)) for image_id, one in zip(ids, found, strict=True)]
    selection = Selection.of(NAMES, 0.5, {}, None, None)
    return selected_results.selected(CandidateTable.of(kind.name, rows), selection, LABELS)


def _of_boxes(images: int = 4) -> selected_results.SelectedResults:
    """Three boxes on the first image, one on the next two, none on the last; corners on whole pixels."""
    table = np.array([[64, 48, 320, 240, 0.875, 1], [0, 0, 640, 480, 0.75, 0], [128, 96, 130, 98, 0.5, 2]], np.float64)
    table[:, :4] /= [640, 480, 640, 480]

    def found(rows) -> boxes.Detections:
        return boxes.Detections(
            rows[:, :4].astype(np.float32), rows[:, 4].astype(np.float32), rows[:, 5].astype(np.int64)
        )

    all_found = [found(table), found(table[:1]), found(table[1:2]), found(table[:0])]
    return _results(all_found[:images], ids=IDS[:images])


def _of_labels(ids=IDS) -> selected_results.SelectedResults:
    found = [
        LabelScores(np.array([0.875, 0.5, 0.25], np.float32), np.array([1, 0, 2])),
        *[LabelScores(np.array([0.75, 0.125], np.float32), np.array([2, 0]))] * 2,
        LabelScores(np.array([0.25], np.float32), np.array([1])),
    ]
    return _results(found, kinds.IMAGE_CLASSIFICATION, ids)


def _unpacked(name: str, results: selected_results.SelectedResults, folder: pathlib.Path, shard: int = 1):
    """The path that a reader is given: the file, or the folder that the archive is unpacked into."""
    form = result_formats.ALL[name]
    content = form.write(results, shard)
    assert content == form.write(results, shard)
    folder.mkdir(exist_ok=True)
    if form.suffix == "zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None
            archive.extractall(folder)
        return folder
    path = folder / f"results.{form.suffix}"
    path.write_bytes(content)
    return path


def _convert(*words: object) -> None:
    assert cli.main(["convert", *map(str, words)]) == 0


def _read_back(source: pathlib.Path, target: pathlib.Path, name: str, *flags: object) -> list[list[str]]:
    """The rows of a flat table that convert makes of it: image, set, label, score, corners."""
    _convert(source, target, "--to", "table", "--from", name, *flags)
    with target.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle))[1:]


def _named(name: str, image_id: str) -> str:
    """What an image is called in a format."""
    return image_id if name in ("labelstudio", "vertex") else image_id.removeprefix("gs://")


@pytest.mark.parametrize("name", FROM)
def test_what_is_written_of_boxes_is_read_back_by_convert(name: str, tmp_path: pathlib.Path):
    results = _of_boxes()
    source = _unpacked(name, results, tmp_path / "written")
    flags: list[object] = []
    if name == "yolo":  # label files do not say how their images end
        for image_id in IDS:
            file = source / "images" / tool_files.file_name(image_id)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", SIZE_HW[::-1]).save(file)
    rows = _read_back(source, tmp_path / "back.csv", name, *flags)
    found = [(row[0], row[2], row[3], *(round(float(side), 6) for side in row[4:8] if side)) for row in rows]
    numbers = results.numbers.T.tolist()
    expected = [
        (_named(name, IDS[image]), NAMES[label], "" if name == "voc" else repr(score), *corners)
        for image, label, (score, *corners) in zip(results.image_indices, results.label_indices, numbers, strict=True)
    ]
    assert sorted(found) == sorted([*expected, (_named(name, IDS[3]), "", "")])


@pytest.mark.parametrize("name", [name for name in FROM if result_formats.ALL[name].holds_labels])
def test_what_is_written_of_labels_is_read_back_by_convert(name: str, tmp_path: pathlib.Path):
    rows = _read_back(_unpacked(name, _of_labels(), tmp_path / "written"), tmp_path / "back.csv", name)
    scored = name != "labelme"  # its flags have none
    expected = [(_named(name, IDS[0]), NAMES[1], "0.875"), (_named(name, IDS[0]), "cat", "0.5")]
    expected += [(_named(name, image_id), "dog", "0.75") for image_id in IDS[1:3]]
    expected += [(_named(name, IDS[3]), "", "")]
    assert sorted(row[0:1] + row[2:4] for row in rows) == sorted(
        [image, label, score if scored else ""] for image, label, score in expected
    )


@pytest.mark.parametrize(
    ("name", "theirs"), [("yolo", "yolo"), ("cvat", "cvat"), ("labelstudio", "label-studio"), ("labelme", "labelme")]
)
def test_panlabel_reads_the_boxes_that_coco_has(name: str, theirs: str, tmp_path: pathlib.Path):
    assert PANLABEL, "panlabel is not installed"
    results = _of_boxes(3 if name == "labelstudio" else 4)  # it asks for sizes where a task has no region to say them
    source = _unpacked(name, results, tmp_path / "written")
    if name in ("yolo", "labelme"):
        for image_id in IDS:
            file = source / ("images" if name == "yolo" else "") / tool_files.file_name(image_id)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", SIZE_HW[::-1]).save(file)
    done = subprocess.run(
        [PANLABEL, "convert", "--from", theirs, "--to", "coco", "-i", source, "-o", tmp_path / "c.json", "--allow-lossy"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert _boxes((tmp_path / "c.json").read_bytes()) == _boxes(result_formats.to_coco(results, 1))


def _boxes(content: bytes) -> list[tuple[object, ...]]:
    document = json.loads(content)
    names = {image["id"]: pathlib.PurePosixPath(image["file_name"]).name for image in document["images"]}
    labels = {category["id"]: category["name"] for category in document["categories"]}
    return sorted(
        (names[one["image_id"]], labels[one["category_id"]], *(round(side, 3) for side in one["bbox"]))
        for one in document["annotations"]
    )


def test_an_archive_says_which_image_each_name_is_and_no_two_are_alike_up_to_their_suffix(tmp_path: pathlib.Path):
    ids = ["gs://b/a.jpg", "gs://b/a.png", "gs://b/a", "gs://b/a_png.png"]
    source = _unpacked("labelme", _of_labels(ids), tmp_path / "written", shard=3)
    with (source / "files_3.tsv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle, delimiter="\t"))
    names = ["b/a.jpg", "b/a_png.png", "b/a_image", "b/a_png_png.png"]
    assert rows == [["file", "id"], *([name, image_id] for name, image_id in zip(names, ids, strict=True))]
    assert sorted(file.name for file in source.rglob("*.json")) == [
        "a.json", "a_image.json", "a_png.json", "a_png_png.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("image_id", "name"),
    [
        ("gs://b/x/y.jpg", "b/x/y.jpg"),
        ("/data/y.jpg", "data/y.jpg"),
        ("gs://b/../../etc/y.jpg", "b/%2E%2E/%2E%2E/etc/y.jpg"),
        ("gs://b//./y\\z\n.jpg", "b/%2E/y%5Cz%0A.jpg"),
        ("gs://b/\u3000ü👩\u200d🔬.jpg", "b/\u3000ü👩\u200d🔬.jpg"),
        ("gs://", "image"),
        ("a" * 300 + ".jpg", "a" * 170 + "~" + hashlib.sha256(b"a" * 300 + b".jpg").hexdigest()[:16] + ".jpg"),
    ],
)
def test_a_name_is_one_that_a_file_can_have_below_the_folder(image_id: str, name: str):
    assert tool_files.file_name(image_id) == name


@given(st.lists(st.text(max_size=400), max_size=4), st.sampled_from(["", "gs://", "/"]))
def test_any_address_gives_a_name_of_usable_parts(parts: list[str], start: str):
    name = tool_files.file_name(start + "/".join(parts))
    found = name.split("/")
    assert not {"", ".", ".."} & set(found)
    assert all(len(part.encode()) <= 255 and "\0" not in part and "\\" not in part for part in found)


def test_ids_of_frames_go_on_from_shard_to_shard_and_ids_of_labels_are_those_of_the_model():
    results = _of_boxes()
    assert b'<image id="2000001"' in tool_files.to_cvat(results, 3)
    line = json.loads(tool_files.to_vertex(results, 3).splitlines()[0])
    assert line["instance"] == {"content": IDS[0], "mimeType": "image/jpeg"}
    assert line["prediction"]["ids"] == ["12", "11", "13"]
    assert line["prediction"]["bboxes"][0] == [0.1, 0.5, 0.1, 0.5]
    assert "bboxes" not in json.loads(tool_files.to_vertex(_of_labels(), 1).splitlines()[3])["prediction"]


def test_a_shard_without_a_predicted_image_has_files_that_are_whole():
    results = _results([], ids=[])
    for name, form in result_formats.ALL.items():
        content = form.write(results, 1)
        if form.suffix == "zip":
            assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
        assert content or name == "vertex"
