"""`boxwright results show` on folders of this machine."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
from tests.support.images import drawn_images

from boxwright import cli

BOX = {"image_object_detection": {"bounding_box": {"normalized_vertices": [{}, {"x": 0.5, "y": 0.5}]}}}


def _result(uri: str, *scores: float) -> dict:
    annotations = []
    for score in scores:
        detection = {**BOX["image_object_detection"], "score": score}
        annotations.append({"display_name": "red", "annotation_spec_id": "1", "image_object_detection": detection})
    return {"ID": uri, "annotations": annotations}


def _write(folder: pathlib.Path, name: str, *lines: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Results of twelve images in two files, three of them not on this machine, and one that failed."""
    names = drawn_images.write_images(tmp_path / "buckets/photos/street", 9)
    uris = [f"gs://photos/street/{name}" for name in names]
    uris += ["gs://photos/none.jpg", "gs://other/none.jpg", "gs://photos/../../secret.jpg"]
    drawn_images.write_images(tmp_path, 1)
    (tmp_path / "0000.jpg").rename(tmp_path / "secret.jpg")
    folder = tmp_path / "buckets/photos/out/prediction-cars-2026"
    _write(folder, "image_object_detection_1.jsonl", *(_result(uri, 0.9, 0.4) for uri in uris[:10]))
    _write(folder, "image_object_detection_2.jsonl", *(_result(uri) for uri in uris[10:]))
    _write(folder, "errors_1.jsonl", {"ID": "gs://photos/<x>.jpg", "status": {"code": 5, "message": "It is gone."}})
    return folder


def _show(capsys, *arguments: object) -> tuple[int, str, str]:
    status = cli.main(["results", "show", *map(str, arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_page_has_the_images_that_are_found_around_the_folder(folder, tmp_path, capsys):
    page = tmp_path / "page.html"
    status, out, err = _show(capsys, folder, "--out", page)
    assert (status, out) == (0, f"{page}: 12 images, 1 failed, 10 boxes; 12 shown\n")
    assert "3 of the 12 images shown are not on this machine" in err
    text = page.read_text()
    assert (text.count("<figure>"), text.count("data:image/jpeg;base64,")) == (12, 9)
    assert text.count('class="hit"') == 10
    assert text.count('class="hit hidden"') == 10  # below the threshold
    assert "gs://photos/&lt;x&gt;.jpg" in text
    assert "It is gone." in text
    assert ">1 box<" in text
    assert 'id="truth"' not in text
    assert list(tmp_path.glob(".page*")) == []


def test_folder_threshold_and_limit_are_chosen(folder, tmp_path, capsys):
    page = tmp_path / "page.html"
    arguments = ("gs://photos/out/prediction-cars-2026", "--buckets", tmp_path / "buckets", "--out", page)
    status, out, _ = _show(capsys, *arguments, "--threshold", "0.3", "--limit", "4")
    assert (status, out) == (0, f"{page}: 12 images, 1 failed, 20 boxes; 4 shown\n")
    text = page.read_text()
    assert (text.count("<figure>"), "8 more images are not shown." in text) == (4, True)
    assert 'value="0.30"' in text


def test_the_threshold_of_the_job_is_the_first_one(folder, tmp_path, capsys):
    _write(folder, "manifest.json", {"settings": {"score_threshold": 0.35}})
    assert "20 boxes" in _show(capsys, folder, "--out", tmp_path / "page.html")[1]


def test_camel_case_is_read_too(tmp_path, capsys):
    detection = {"boundingBox": {"normalizedVertices": [{"x": 0.1}, {"x": 0.5, "y": 1}]}, "score": 0.9}
    annotation = {"displayName": "red", "imageObjectDetection": detection}
    _write(tmp_path, "image_object_detection_1.jsonl", {"ID": "gs://b/a.jpg", "annotations": [annotation]})
    assert "1 images, 0 failed, 1 boxes" in _show(capsys, tmp_path, "--out", tmp_path / "page.html")[1]


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("image_object_detection_1.jsonl", "{", "is no JSON Lines file"),
        ("image_object_detection_1.jsonl", "[1]\n", "line 1 is no result of an image"),
        ("image_object_detection_1.jsonl", '{"ID": "a", "annotations": [{}]}\n', "line 1 is no result of an image"),
        ("errors_1.jsonl", '{"ID": "a"}\n', "line 1 does not say why an image failed"),
        ("errors_1.jsonl", "\udcff", "is no JSON Lines file"),
        ("labels.csv", "", "has no results"),
    ],
)
def test_a_folder_that_cannot_be_read_is_told(tmp_path, capsys, name, content, told):
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    status, out, err = _show(capsys, tmp_path, "--out", tmp_path / "page.html")
    assert (status, out) == (2, "")
    assert told in err
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["gs://photos/out"], "--buckets"),
        (["nowhere"], "There is no folder nowhere"),
        (["{folder}", "--threshold", "2"], "--threshold: 2 is not from 0 to 1"),
        (["{folder}", "--limit", "-1"], "--limit"),
        (["{folder}", "--out", "{folder}/none/page.html"], "No such file"),
    ],
)
def test_what_cannot_be_done_is_said(folder, capsys, arguments, told):
    status, out, err = _show(capsys, *(one.format(folder=folder) for one in arguments))
    assert (status, out) == (2, "")
    assert told in err


def test_labels_of_whole_images_are_shown_without_a_frame(folder, tmp_path, capsys):
    names = drawn_images.write_images(tmp_path / "buckets/photos/labelled", 2)
    labels = tmp_path / "buckets/photos/out/prediction-flowers-2026"
    scores = [("daisy", 0.9), ("<rose>", 0.3)]
    lines = [
        {
            "ID": f"gs://photos/labelled/{name}",
            "annotations": [
                {"display_name": label, "annotation_spec_id": "1", "classification": {"score": score}}
                for label, score in scores[:count]
            ],
        }
        for name, count in zip(names, (2, 0), strict=True)
    ]
    _write(labels, "image_classification_1.jsonl", lines[0])
    _write(labels, "image_classification_2.jsonl", lines[1])
    page = tmp_path / "page.html"
    status, out, err = _show(capsys, labels, "--out", page)
    assert (status, out, err) == (0, f"{page}: 2 images, 0 failed, 1 labels; 2 shown\n", "")
    text = page.read_text()
    assert (text.count("<figure>"), text.count('class="hit"'), text.count('class="hit hidden"')) == (2, 1, 1)
    (shown,) = re.findall(r'<g class="hit" data-score="0.9000".*?</g>', text)
    assert shown.count("<rect") == 1, "a tag, and no frame"
    assert "daisy 0.90" in shown
    assert "&lt;rose&gt; 0.30" in text
    assert ">1 label<" in text and ">0 labels<" in text
    assert "Labels with a score of at least 0.50" in text
