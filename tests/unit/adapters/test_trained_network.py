"""The network of a trained model, exported and imported again by its contract: the same boxes, and int8 with its guard."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pytest
from tests.support.images import drawn_images
from tests.support.predictions.tiny_model import TinyModel
from tests.support.predictions.tiny_model import tiny_model as tiny_model

from boxwright.adapters import job, model_making, precision, source
from boxwright.inference import predictor

IMAGES = 40


def _asked(folder: pathlib.Path, model: TinyModel, **said: Any) -> job.ImportJob:
    folder.mkdir(exist_ok=True)
    (folder / job.SOURCE_FILE).write_bytes((model.folder / "model.onnx").read_bytes())
    usual = {"labels": drawn_images.LABELS, "model_id": "IOD1", "memory_bytes": 1 << 34, "threads": 1}
    return job.ImportJob(**{**usual, "timeout_s": 2400.0, **said})


def _make(folder: pathlib.Path, asked: job.ImportJob) -> predictor.Predictor:
    model_making.make(folder, asked, lambda percent, stage, facts: None)
    return predictor.Predictor.open(folder / "model", streams=1)


def test_a_trained_network_comes_back_with_the_same_boxes(tmp_path: pathlib.Path, tiny_model: TinyModel) -> None:
    opened = _make(tmp_path / "job", _asked(tmp_path / "job", tiny_model))
    assert opened.info.document["adapter"]["layout"] == "contract"
    trained = predictor.Predictor.open(tiny_model.folder, streams=1, precision="fp32")
    for seed in range(5):
        content = drawn_images.draw(seed).content
        mine, theirs = opened.predict(content), trained.predict(content)
        assert np.array_equal(mine.label_indices, theirs.label_indices)
        assert np.abs(mine.scores - theirs.scores).max(initial=0) <= 1e-3
        assert np.abs(mine.boxes_norm - theirs.boxes_norm).max(initial=0) <= 0.5 / 64


@pytest.mark.full
def test_int8_is_compared_on_the_labelled_images(
    tmp_path: pathlib.Path, tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nncf")
    folder = tmp_path / "job"
    asked = _asked(folder, tiny_model)
    trained = predictor.Predictor.open(tiny_model.folder, streams=1, precision="fp32")
    (folder / job.IMAGES_FOLDER).mkdir()
    lines = []
    for seed in range(IMAGES):
        content = drawn_images.draw(seed).content
        (folder / job.IMAGES_FOLDER / str(seed)).write_bytes(content)
        found = trained.predict(content).keep(0.5, 3)
        boxes = [
            [drawn_images.LABELS[index], *corners.tolist()]
            for index, corners in zip(found.label_indices, found.boxes_norm, strict=True)
        ]
        lines.append(json.dumps({"file": str(seed), "boxes": boxes}) + "\n")
    (folder / job.EXAMPLES_FILE).write_text("".join(lines))
    monkeypatch.setattr(precision, "INT8_S", 300.0)  # a busy machine is no reason here
    section = _make(folder, asked).info.document["quantisation"]
    assert set(section) >= {"chosen", "reason", "fp32", "int8", "calibration_images", "compared_images"}
    assert section["compared_images"] == {"VALIDATION": IMAGES, "TRAIN": 0}
    if section["chosen"] == "int8":
        assert section["fp32"]["map50_95"] - section["int8"]["map50_95"] <= 0.005
    assert section["fp32"]["map50_95"] > 0.1


def test_a_network_that_was_not_validated_stays_as_it_is(tmp_path: pathlib.Path, tiny_model: TinyModel) -> None:
    section = _make(tmp_path / "job", _asked(tmp_path / "job", tiny_model)).info.document["quantisation"]
    assert section["chosen"] == "fp32"


def test_a_size_that_the_network_does_not_take_is_refused(tmp_path: pathlib.Path, tiny_model: TinyModel) -> None:
    with pytest.raises(source.Refused, match="96 x 64 pixels and nothing else"):
        _make(tmp_path / "job", _asked(tmp_path / "job", tiny_model, input_hw=(640, 640)))
