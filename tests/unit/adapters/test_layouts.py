"""Each layout against its reference in numpy: 50 images, boxes within half a pixel, scores within a thousandth."""

from __future__ import annotations

import pathlib

import numpy as np
import onnxruntime
import pytest
from tests.support.images import drawn_images
from tests.support.networks import foreign_onnx, references

from boxwright.adapters import adapter_graph, job, layouts, model_making, source
from boxwright.inference import model_folder, predictor

IMAGES = 50
LABELS = ("circle", "square", "triangle")
SAYS = {"yolonas": {"input": "rgb255", "resize": "letterbox"}, "hf-detr": {"resize": "stretch"},
        "hf-rtdetr": {"input": "imagenet"}}  # fmt: skip
MOST_PX, MOST_SCORE = 0.5, 1e-3


def make(folder: pathlib.Path, content: bytes, **said: object) -> predictor.Predictor:
    """Makes a model of a network, in this process and without its limits."""
    folder.mkdir(exist_ok=True)
    (folder / job.SOURCE_FILE).write_bytes(content)
    usual = {"labels": LABELS, "model_id": "IOD1", "memory_bytes": 1 << 34, "threads": 1, "timeout_s": 600.0}
    model_making.make(folder, job.ImportJob(**{**usual, **said}), lambda percent, stage, facts: None)
    return predictor.Predictor.open(folder / "model", streams=1)


@pytest.mark.parametrize("layout", foreign_onnx.HEADS)
def test_a_layout_is_found_and_gives_the_boxes_of_its_reference(layout: str, tmp_path: pathlib.Path) -> None:
    content = foreign_onnx.of(layout)
    said = SAYS.get(layout, {})
    opened = make(tmp_path / "job", content, **said)
    adapter = opened.info.document["adapter"]
    assert adapter["layout"] == layout
    assert adapter["validation"] == "unvalidated"
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    _, usual = foreign_onnx.HEADS[layout]
    options = foreign_onnx.Options(**usual)
    kind = np.uint8 if session.get_inputs()[0].type == "tensor(uint8)" else np.float32
    found_any = 0
    for seed in range(IMAGES):
        prepared = opened.prepare(drawn_images.draw(seed).content)
        tensor = references.image_tensor(prepared.pixels[0], adapter["input"], channels_last=options.channels_last)
        feed = {"images": (tensor[None] if options.has_batch else tensor).astype(kind)}
        if options.inputs:
            feed["orig_target_sizes"] = np.asarray([[foreign_onnx.HW[1], foreign_onnx.HW[0]]], np.int64)
        feed = {name: value for name, value in feed.items() if name in {one.name for one in session.get_inputs()}}
        boxes, scores = references.DECODERS[layout](session.run(None, feed), len(LABELS))
        raw = opened.infer(prepared)
        assert np.abs(raw.boxes_px - boxes).max() <= MOST_PX
        assert np.abs(raw.scores - scores).max() <= MOST_SCORE
        found_any += len(opened.postprocess(raw, prepared).scores)
    assert found_any >= IMAGES


def test_every_layout_of_the_table_has_a_network_here() -> None:
    assert {one.name for one in layouts.TABLE} == set(foreign_onnx.HEADS) == set(job.LAYOUTS)
    assert set(job.ALIASES.values()) <= set(job.LAYOUTS)
    assert set(job.INPUTS) == set(adapter_graph.INPUTS)


def test_a_model_says_what_it_was_made_of(tmp_path: pathlib.Path) -> None:
    metadata = {"author": "Ultralytics", "names": "{0: 'a', 1: 'b', 2: 'c'}", "task": "detect", "license": "AGPL-3.0"}
    content = foreign_onnx.of("yolov8", metadata=metadata)
    opened = make(tmp_path / "job", content, labels=())
    assert [one.display_name for one in opened.labels] == ["a", "b", "c"]
    document = opened.info.document
    assert document["licence"] == "AGPL-3.0"
    assert any("Ultralytics" in sentence for sentence in document["adapter"]["evidence"])
    assert (opened.info.framing.resize, opened.info.framing.fill) == ("letterbox", 114)
    assert opened.info.voting is not None


def test_networks_that_have_chosen_their_boxes_are_not_suppressed_again(tmp_path: pathlib.Path) -> None:
    info = make(tmp_path / "job", foreign_onnx.of("rtdetr")).info
    assert (info.suppression_iou, info.voting, info.framing.resize) == (1.0, None, "stretch")


def test_the_same_file_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    digests = []
    for place in ("one", "two"):
        make(tmp_path / place, foreign_onnx.of("yolox-raw"))
        digests.append(model_folder.ModelInfo.read(tmp_path / place / "model").digest)
    assert digests[0] == digests[1]


def test_what_can_be_read_in_two_ways_is_refused_with_both(tmp_path: pathlib.Path) -> None:
    with pytest.raises(source.Refused, match=r"in 4 ways: .*input=rgb01 .*input=rgb255 .*Say input and resize"):
        make(tmp_path / "job", foreign_onnx.of("yolonas"))
