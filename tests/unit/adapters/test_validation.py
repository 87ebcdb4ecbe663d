"""Labelled images decide between what is left, and say how good the model is."""

from __future__ import annotations

import io
import json
import pathlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support.networks import foreign_onnx

from boxwright.adapters import job, model_making, source
from boxwright.inference import predictor

LABELS = ("circle", "square", "triangle")
SAID = {"input": "rgb255", "resize": "letterbox"}


def _picture(number: int) -> bytes:
    """A flat picture, wide and low, of another red each time."""
    pixels = np.random.default_rng(number).integers(0, 30, (32, 96, 3), np.uint8)
    pixels[..., 0] += np.uint8(40 + 7 * number)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def _asked(folder: pathlib.Path, **said: Any) -> job.ImportJob:
    folder.mkdir(exist_ok=True)
    (folder / job.SOURCE_FILE).write_bytes(foreign_onnx.moving())
    usual = {"labels": LABELS, "model_id": "IOD1", "memory_bytes": 1 << 34, "threads": 1, "timeout_s": 600.0}
    return job.ImportJob(**{**usual, **said})


def _make(folder: pathlib.Path, asked: job.ImportJob) -> list[str]:
    return model_making.make(folder, asked, lambda percent, stage, facts: None)


def _labelled(folder: pathlib.Path, truth: pathlib.Path, images: int, label: str = "") -> None:
    """Writes pictures and the boxes that the true reading of the network finds in them."""
    _make(truth, _asked(truth, **SAID))
    opened = predictor.Predictor.open(truth / "model", streams=1)
    (folder / job.IMAGES_FOLDER).mkdir(parents=True)
    lines = []
    for number in range(images):
        content = _picture(number)
        (folder / job.IMAGES_FOLDER / str(number)).write_bytes(content)
        found = opened.predict(content).keep(0.5, None)
        assert len(found.scores) == 3
        boxes = [
            [label or LABELS[index], *corners.tolist()]
            for index, corners in zip(found.label_indices, found.boxes_norm, strict=True)
        ]
        lines.append(json.dumps({"file": str(number), "boxes": boxes}) + "\n")
    (folder / job.EXAMPLES_FILE).write_text("".join(lines))


def test_labelled_images_choose_input_and_resize(tmp_path: pathlib.Path) -> None:
    _labelled(tmp_path / "job", tmp_path / "truth", 24)
    assert _make(tmp_path / "job", _asked(tmp_path / "job")) == []
    document = predictor.Predictor.open(tmp_path / "job" / "model", streams=1).info.document
    assert (document["adapter"]["input"], document["preprocessing"]["resize_mode"]) == ("rgb255", "letterbox")
    assert document["adapter"]["map50"] > 0.95
    assert document["adapter"]["images"] == 24
    assert any("24 labelled images" in sentence for sentence in document["adapter"]["evidence"])
    evaluation = json.loads((tmp_path / "job" / "model" / "evaluation.json").read_text())
    assert [one["display_name"] for one in evaluation["labels"]] == list(LABELS)
    assert evaluation["overall"]["evaluated_bounding_box_count"] == 72


def test_without_images_the_same_file_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(source.Refused, match="in 4 ways"):
        _make(tmp_path / "job", _asked(tmp_path / "job"))


def test_images_that_do_not_decide_are_no_reason(tmp_path: pathlib.Path) -> None:
    _labelled(tmp_path / "job", tmp_path / "truth", 24, label="square")
    lines = (tmp_path / "job" / job.EXAMPLES_FILE).read_text().splitlines()
    rows = [{**json.loads(line), "boxes": [["square", 0.0, 0.0, 0.01, 0.01]]} for line in lines]
    (tmp_path / "job" / job.EXAMPLES_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(source.Refused, match="does not decide"):
        _make(tmp_path / "job", _asked(tmp_path / "job"))
    with pytest.raises(source.Refused, match="next to none"):
        _make(tmp_path / "job", _asked(tmp_path / "job", **SAID))
    (warning,) = _make(tmp_path / "job", _asked(tmp_path / "job", **SAID, accepts_unvalidated=True))
    assert "next to none" in warning


def test_few_images_and_labels_that_the_network_lacks_are_refused(tmp_path: pathlib.Path) -> None:
    _labelled(tmp_path / "job", tmp_path / "truth", 19)
    with pytest.raises(source.Refused, match="19 images"):
        _make(tmp_path / "job", _asked(tmp_path / "job"))
    with pytest.raises(source.Refused, match="label 'circle', which the network does not have"):
        _make(tmp_path / "job", _asked(tmp_path / "job", labels=("a", "b", "c")))
