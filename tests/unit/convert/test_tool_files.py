"""Files as labelling tools write them: what is read of them, and what is told about the rest."""

from __future__ import annotations

import csv
import json
import pathlib

import numpy as np
import pytest
from tests.support.images.labelled_folders import IMAGE, boxes, make

from boxwright import cli
from boxwright.batch.output import json_lines
from boxwright.boxes import Detections

# Of an image of 64 x 48 pixels: a box over its left upper quarter, as the tool writes it.
LABEL_STUDIO_SIZES = {"original_width": 64, "original_height": 48, "image_rotation": 0}


def _region(kind: str, value: dict, **more: object) -> dict:
    return {
        "id": "r1",
        "from_name": "label",
        "to_name": "image",
        "type": kind,
        "value": value,
        **LABEL_STUDIO_SIZES,
        **more,
    }


def _rectangle(label: str = "cat", rotation: float = 0, **more: object) -> dict:
    value = {"x": 0, "y": 0, "width": 50, "height": 50, "rotation": rotation, "rectanglelabels": [label]}
    return _region("rectanglelabels", value, **more)


def _task(image: str, *annotations: list, **more: object) -> dict:
    given = [{"id": n, "result": result, "was_cancelled": False} for n, result in enumerate(annotations, 1)]
    return {"id": 1, "data": {"image": image}, "annotations": given, "file_upload": "x", **more}


TASKS = [
    _task("/data/upload/7/1a2b3c4d-a.png", [_rectangle()]),
    _task("b.png", [_region("polygonlabels", {"points": [[0, 0], [50, 25], [25, 50]], "polygonlabels": ["cat"]})]),
    _task("c.png", [_rectangle("dog")], [_rectangle()], predictions=[{"result": [_rectangle("cow")]}]),
    _task("d.png", predictions=[{"score": 0.25, "result": [_rectangle()]}]),
    _task("e.png", predictions=[{"result": [_rectangle(score=0.75)]}]),
    _task("f.png", []),
    _task("g.png"),
    _task("h.png", [_region("keypointlabels", {"x": 1, "y": 1, "keypointlabels": ["cat"]})]),
    _task("/data/local-files/?d=set%2Fi.png", [_rectangle()]),
]

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task><id>5</id><name>streets</name><size>4</size><mode>annotation</mode>
      <labels>
        <label><name>cat</name><color>#ff0000</color><type>any</type>
          <attributes><attribute><name>age</name><values>1</values></attribute></attributes></label>
        <label><name>tree</name><type>any</type><attributes></attributes></label>
      </labels>
    </task>
    <dumped>2026-11-01 10:00:00.000000+00:00</dumped>
  </meta>
  <image id="0" name="a.png" subset="Train" task_id="5" width="64" height="48">
    <box label="cat" source="manual" occluded="1" xtl="0.00" ytl="0.00" xbr="32.00" ybr="24.00" z_order="0">
      <attribute name="age">3</attribute><attribute name="difficult">true</attribute>
    </box>
    <polygon label="cat" source="manual" occluded="0" points="0.00,0.00;32.00,12.00;16.00,24.00" z_order="0"></polygon>
    <polyline label="cat" source="manual" occluded="0" points="1.0,1.0;2.0,2.0" z_order="0"></polyline>
  </image>
  <image id="1" name="b.png" subset="Validation" task_id="5" width="64" height="48">
    <box label="cat" source="auto" occluded="0" xtl="16" ytl="0" xbr="48" ybr="16" rotation="90.0" z_order="0"></box>
    <ellipse label="cat" source="manual" occluded="0" cx="32" cy="24" rx="32" ry="24" z_order="0"></ellipse>
    <mask label="cat" source="semi-auto" occluded="0" rle="3, 5" left="0" top="0" width="32" height="24" z_order="0"></mask>
  </image>
  <image id="2" name="c.png" task_id="5" width="64" height="48"></image>
  <track id="0" label="cat"><box frame="0" outside="0" xtl="1" ytl="1" xbr="2" ybr="2"></box></track>
</annotations>
"""


def _shape(kind: str, *points: list[float], **more: object) -> dict:
    shape = {"label": "cat", "points": points, "group_id": None, "shape_type": kind, "flags": {}}
    return {**shape, **more}


def _labelme(image: str, *shapes: dict, **more: object) -> str:
    document = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": "aGVsbG8=" * 100}
    return json.dumps({**document, "imageHeight": 48, "imageWidth": 64, **more}, indent=2)


LABELME = {
    "a.json": _labelme("a.png", _shape("rectangle", [32, 24], [0, 0]), _shape("point", [1, 1])),
    "deep/b.json": _labelme("..\\deep\\b.png", _shape("polygon", [0, 0], [32, 12], [16, 24], group_id=3)),
    "c.json": _labelme("c.png", _shape("circle", [32, 24], [32, 36])),
    "d.json": _labelme("d.png", _shape("linestrip", [0, 0], [1, 1])),
    "e.json": _labelme("e.png"),
    "package.json": "{}",
}

MANIFEST_ANNOTATION = {"class_id": 1, "left": 0, "top": 0, "width": 32, "height": 24}


def _manifest_line(name: str, job: str = "boxes", human: str = "yes", confidence: float = 0.9, **more: object) -> str:
    size = [{"width": 64, "height": 48, "depth": 3}]
    metadata = {
        "objects": [{"confidence": confidence}],
        "class-map": {"0": "dog", "1": "cat"},
        "type": "groundtruth/object-detection",
        "human-annotated": human,
        "creation-date": "2026-11-01T10:00:00.000000",
        "job-name": f"labeling-job/{job}",
    }
    content = {"image_size": size, "annotations": [MANIFEST_ANNOTATION]}
    return json.dumps({"source-ref": f"s3://b/{name}", job: content, f"{job}-metadata": metadata, **more})


MANIFEST = "\n".join(
    [
        _manifest_line("a.png"),
        _manifest_line("b.png", human="no", confidence=0.5),
        '{"source-ref": "s3://b/c.png", "boxes-metadata": {"failure-reason": "no worker", "type": "groundtruth/x"}}',
        '{"source-ref": "s3://b/d.png"}',
        "",
    ]
)

DATUMARO = {
    "dm_format_version": "1.0",
    "media_type": 2,
    "infos": {},
    "categories": {
        "label": {"labels": [{"name": "dog", "parent": "", "attributes": []}, {"name": "cat"}], "label_groups": []},
        "points": {"items": []},
    },
    "items": [
        {
            "id": "a",
            "annotations": [
                {"id": 0, "type": "bbox", "attributes": {"occluded": True, "is_crowd": False}, "group": 0, "label_id": 1,
                 "z_order": 0, "bbox": [0, 0, 32, 24]},
                {"id": 1, "type": "points", "label_id": 1, "points": [1, 2]},
            ],
            "attr": {"frame": 0},
            "image": {"path": "a.png", "size": [48, 64]},
        },
        {"id": "b", "annotations": [{"type": "polygon", "label_id": 1, "points": [0, 0, 32, 12, 16, 24]}],
         "media": {"path": "", "size": [48, 64]}},
        {"id": "c", "annotations": [], "image": {"path": "c.png", "size": [48, 64]}},
    ],
}  # fmt: skip

VERTEX = "\n".join(
    json.dumps(line)
    for line in (
        {
            "imageGcsUri": "gs://b/a.png",
            "boundingBoxAnnotations": [
                {"displayName": "cat", "xMin": "0.0", "yMin": 0, "xMax": 0.5, "yMax": 0.5,
                 "annotationResourceLabels": {"aiplatform.googleapis.com/annotation_set_name": "x"}},
            ],
            "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "training"},
        },
        {"content": "gs://b/b.png", "mimeType": "image/png"},
        {
            "instance": {"content": "gs://b/c.png", "mimeType": "image/png"},
            "prediction": {"ids": ["1"], "displayNames": ["cat"], "confidences": [0.25], "bboxes": [[0.5, 1, 0, 0.25]]},
        },
        {"instance": {"content": "gs://b/d.png"}, "error": {"status": "INVALID_ARGUMENT", "message": "no image"}},
    )
)  # fmt: skip

QUARTER = "cat 0 0 0.5 0.5"
# tool → files, the rows that come of them, what is told
CASES: dict[str, tuple[dict[str, object], list[str], list[str]]] = {
    "labelstudio": (
        {"p.json": json.dumps(TASKS), "a.png": IMAGE},
        [f"{name}.png {QUARTER}" for name in "abde"]
        + ["c.png dog 0 0 0.5 0.5", "f.png", f"set/i.png {QUARTER}"],
        ["1 × Label Studio prediction of a task", "1 × Label Studio task with several", "1 × Label Studio task that was",
         "1 × outline", "1 × shape that is no box and no outline (keypointlabels)", "1 × image whose every box",
         "2 × score of a box or label"],
    ),
    "cvat": (
        {"annotations.xml": CVAT},
        [f"a.png {QUARTER}"] * 2
        + [f"b.png {QUARTER}", "b.png cat 0 0 1 1", "b.png cat 0.375 0 0.625 0.5", "c.png"],
        ["4 × outline", "1 × shape that is no box and no outline (<polyline>)", "attribute 'age'", "1 × CVAT track",
         "1 × mark 'occluded'", "1 × mark 'difficult'", "label without a box"],
    ),
    "labelme": (
        LABELME,
        [f"a.png {QUARTER}", f"deep/b.png {QUARTER}", "c.png cat 0.3125 0.25 0.6875 0.75", "e.png"],
        ["2 × outline", "1 × shape that is no box and no outline (point)", "1 × LabelMe group", "1 × image whose every box",
         "1 × JSON file beside LabelMe's"],
    ),
    "sagemaker": (
        {"train.manifest": MANIFEST},
        [f"{name}.png {QUARTER}" for name in "ab"] + ["d.png"],
        ["1 × SageMaker confidence of an annotation by people", "1 × SageMaker line of an image that was not labelled",
         "1 × SageMaker line without a labelling job", "1 × score of a box or label"],
    ),
    "datumaro": (
        {"annotations/train.json": json.dumps(DATUMARO), "images/train/a.png": IMAGE, "images/train/b.png": IMAGE},
        [f"{name}.png {QUARTER}" for name in ("train/a", "train/b")] + ["c.png"],
        ["1 × outline", "1 × shape that is no box and no outline (points)", "1 × Datumaro attribute 'occluded'"],
    ),
    "vertex": (
        {"data.jsonl": VERTEX},
        [f"a.png {QUARTER}", "b.png", "c.png cat 0.5 0 1 0.25"],
        ["1 × Vertex AI annotationResourceLabels", "1 × line without annotations",
         "1 × Vertex AI line of an image that was not"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("tool", CASES)
def test_what_a_tool_writes_is_read_and_the_rest_is_told(
    tool: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, rows, told = CASES[tool]
    source = tmp_path / "in"
    make(source, files)
    only = source / next(iter(files)) if tool in ("labelstudio", "vertex") else source
    assert cli.main(["convert", str(only), str(tmp_path / "x.csv")]) == 0
    shown = capsys.readouterr().out
    assert f"({tool})" in shown
    found = [row.replace("gs://b/", "").replace("s3://b/", "") for row in boxes(tmp_path / "x.csv")]
    assert sorted(found) == sorted(rows)
    for line in told:
        assert line in shown, shown


def _line(name: str, annotations: list[dict]) -> str:
    return json.dumps({"ID": f"gs://b/{name}", "annotations": annotations}) + "\n"


def _found(label: str, score: float, camel: bool = False) -> dict:
    vertices = [{"y": 0.0}, {"x": 0.5, "y": 0.5}]  # as proto JSON may have it: 0 left out
    if camel:
        box = {"boundingBox": {"normalizedVertices": vertices}, "score": score}
        return {"annotationSpecId": "1", "displayName": label, "imageObjectDetection": box}
    box = {"bounding_box": {"normalized_vertices": vertices}, "score": score}
    return {"annotation_spec_id": "1", "display_name": label, "image_object_detection": box}


def test_the_folder_of_a_batch_prediction_is_read_with_its_scores(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = json.dumps({"ID": "gs://b/d.png", "status": {"code": 5, "message": "There is no such object."}}) + "\n"
    files = {
        "image_object_detection_1.jsonl": _line("a.png", [_found("cat", 0.75), _found("dog", 0.25)]),
        "image_object_detection_2.jsonl": _line("b.png", [_found("cat", 0.25, camel=True)]) + _line("c.png", []),
        "errors_1.jsonl": failed,
        "manifest.json": '{"format_version": 3, "errors_by_code": {"NOT_FOUND": {"images": 1, "retryable": false}}}',
    }
    make(tmp_path / "in", files)
    command = ["convert", str(tmp_path / "in")]
    assert cli.main([*command, str(tmp_path / "x.jsonl"), "--threshold", "0.5"]) == 0
    shown = capsys.readouterr().out
    assert "1 × image that could not be predicted" in shown
    assert "2 × box or label with a score below the threshold" in shown
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[0]["instance"] == {"content": "gs://b/a.png", "mimeType": "image/png"}
    assert lines[0]["prediction"] == {
        "ids": ["1"], "displayNames": ["cat"], "confidences": [0.75], "bboxes": [[0.0, 0.5, 0.0, 0.5]]
    }  # fmt: skip
    assert [line["prediction"]["displayNames"] for line in lines[1:]] == [[], []]
    assert cli.main([*command, str(tmp_path / "y.jsonl"), "--drop-scores"]) == 0
    first = json.loads((tmp_path / "y.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert [box["displayName"] for box in first["boundingBoxAnnotations"]] == ["cat", "dog"]


def test_scores_become_predictions_that_a_person_reviews(tmp_path: pathlib.Path) -> None:
    make(tmp_path / "in", {"image_object_detection_1.jsonl": _line("a.png", [_found("cat", 0.75)]), "a.png": IMAGE})
    words = [
        "--to",
        "labelstudio",
        "--image-prefix",
        "https://photos",
        "--images",
        tmp_path / "in",
        "--control",
        "boxes",
    ]
    assert cli.main(["convert", *map(str, (tmp_path / "in", tmp_path / "x.json", *words))]) == 0
    (task,) = json.loads((tmp_path / "x.json").read_bytes())
    assert task["data"] == {"image": "https://photos/a.png"}
    assert "annotations" not in task
    (prediction,) = task["predictions"]
    (region,) = prediction["result"]
    assert prediction["score"] == region["score"] == 0.75
    assert (region["original_width"], region["original_height"]) == (64, 48)
    assert (region["from_name"], region["to_name"], region["type"]) == ("boxes", "image", "rectanglelabels")
    expected = {"x": 0.0, "y": 0.0, "width": 50.0, "height": 50.0, "rotation": 0, "rectanglelabels": ["cat"]}
    assert region["value"] == expected


def test_the_labels_of_a_classifiers_results_are_read(tmp_path: pathlib.Path) -> None:
    scored = [{"annotation_spec_id": "1", "display_name": "cat", "classification": {"score": 0.75}}]
    make(tmp_path / "in", {"image_classification_1.jsonl": _line("a.png", scored)})
    assert cli.main(["convert", str(tmp_path / "in"), str(tmp_path / "x.csv")]) == 0
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == "UNASSIGNED,gs://b/a.png,cat\n"


@pytest.mark.parametrize("keys", [json_lines.SNAKE_CASE, json_lines.CAMEL_CASE], ids=["snake", "camel"])
def test_lines_that_a_batch_prediction_writes_are_read_as_they_are(
    keys: json_lines.Keys, tmp_path: pathlib.Path
) -> None:
    found = Detections(
        np.array([[0, 0, 0.5, 0.25], [0.125, 0.25, 1, 1]], np.float32),
        np.array([0.75, 0.25], np.float32),
        np.array([1, 0]),
    )
    line = json_lines.success_line("gs://b/ü,1.jpg", found, [("7", "dog"), ("8", 'a "cat"')], keys)
    (tmp_path / "image_object_detection_1.jsonl").write_bytes(line)
    assert cli.main(["convert", str(tmp_path), str(tmp_path / "x.csv"), "--to", "table"]) == 0
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as handle:
        rows = [[cell for cell in row[:8] if cell] for row in list(csv.reader(handle))[1:]]
    start = ["gs://b/ü,1.jpg", "UNASSIGNED"]
    assert rows == [
        [*start, 'a "cat"', "0.75", "0.0", "0.0", "0.5", "0.25"],
        [*start, "dog", "0.25", "0.125", "0.25", "1.0", "1.0"],
    ]
