"""Forty files that exporters write, or that somebody spoils: each is read as what it is, or refused in a sentence."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto
from tests.support.images import drawn_images
from tests.support.networks import foreign_onnx, references

from boxwright.adapters import job, model_making, source
from boxwright.inference import predictor

IMAGES = 3
MOST_PX, MOST_SCORE = 0.5, 1e-3


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A file and what it is in truth.

    Attributes:
        layout: whose reference is right; empty: there is no right reading.
        options: of the file.
        change: what is done to its outputs.
        said: what the caller says.
        labels: how many the caller names; the file's own number if 0.
        is_read: whether it must be read; None: it may be refused.
    """

    layout: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    change: Callable[[list[foreign_onnx.Output]], list[foreign_onnx.Output]] = lambda outputs: outputs
    said: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    labels: int = 0
    is_read: bool | None = None


def _changed(**parts: Any) -> Callable[[list[foreign_onnx.Output]], list[foreign_onnx.Output]]:
    return lambda outputs: [dataclasses.replace(one, **parts) for one in outputs]


def _values(change: Callable[[Any], Any]) -> Callable[[list[foreign_onnx.Output]], list[foreign_onnx.Output]]:
    return lambda outputs: [
        dataclasses.replace(one, values=change(one.values), swings=change(one.swings)) for one in outputs
    ]


def _swapped(outputs: list[foreign_onnx.Output]) -> list[foreign_onnx.Output]:
    first, second = outputs
    return [dataclasses.replace(first, name=second.name), dataclasses.replace(second, name=first.name)]


def _reversed(outputs: list[foreign_onnx.Output]) -> list[foreign_onnx.Output]:
    return outputs[::-1]


def _in_batches(values: Any) -> Any:
    return np.concatenate([values] * 8)


TURNED = _values(lambda values: values.transpose(0, 2, 1))
HALF = {"kind": TensorProto.FLOAT16}
FIVE_AXES = _values(lambda values: values.reshape(1, 3, -1, 1, values.shape[-1]))
NORM = np.asarray([*foreign_onnx.HW[::-1], *foreign_onnx.HW[::-1]])


def _fractions(outputs: list[foreign_onnx.Output]) -> list[foreign_onnx.Output]:
    (one,) = outputs
    values = one.values.copy()
    values[:, :4] /= NORM[:, None]
    return [dataclasses.replace(one, values=values)]


def _logits(outputs: list[foreign_onnx.Output]) -> list[foreign_onnx.Output]:
    (one,) = outputs
    values = one.values.copy()
    values[:, 4:] = np.log(values[:, 4:] / (1 - values[:, 4:]))
    return [dataclasses.replace(one, values=values)]


def _extra(outputs: list[foreign_onnx.Output]) -> list[foreign_onnx.Output]:
    return [*outputs, foreign_onnx.Output("masks", np.zeros((1, 32, 8, 8)), np.zeros((1, 32, 8, 8)))]


def _not_numbers(outputs: list[foreign_onnx.Output]) -> list[foreign_onnx.Output]:
    (one,) = outputs
    return [dataclasses.replace(one, values=np.full(one.values.shape, np.nan), swings=np.zeros(one.values.shape))]


MUTANTS: dict[str, Mutant] = {
    **{f"yolov8_opset_{opset}": Mutant("yolov8", {"opset": opset}, is_read=True) for opset in (11, 12, 13, 16, 18, 20)},
    "yolov8_opset_21": Mutant("yolov8", {"opset": 21}),
    "yolov8_opset_22": Mutant("yolov8", {"opset": 22}),
    **{f"yolov8_{count}_labels": Mutant("yolov8", {"labels": count}, is_read=True) for count in (1, 2, 4, 80)},
    **{f"yolov5_{count}_labels": Mutant("yolov5", {"labels": count}, is_read=True) for count in (1, 2)},
    **{f"yolox_{count}_labels": Mutant("yolox", {"labels": count}, is_read=True) for count in (1, 2)},
    "rfdetr_3_labels_and_one": Mutant("rfdetr", {"labels": 3}, is_read=True),
    "rfdetr_91_columns_for_8": Mutant("", {"labels": 90, "from": "rfdetr"}, labels=8, is_read=False),
    "rfdetr_swapped_names": Mutant("", {"labels": 3, "from": "rfdetr"}, _swapped, is_read=False),
    "hf_detr_other_order": Mutant("hf-detr", {}, _reversed, {"resize": "stretch"}, is_read=True),
    "yolonas_4_labels": Mutant("", {"labels": 4, "from": "yolonas"}, said={"input": "rgb255"}, is_read=False),
    "yolonas_other_order": Mutant("yolonas", {}, _reversed, {"input": "rgb255", "resize": "letterbox"}, is_read=True),
    "yolov8_rows_first": Mutant("", {"from": "yolov8"}, TURNED, is_read=False),
    "yolox_one_label_too_many": Mutant("", {"from": "yolox"}, labels=4, is_read=False),
    "yolov8_half": Mutant("yolov8", HALF, is_read=True),
    "rtdetr_half": Mutant("rtdetr", HALF, is_read=True),
    "yolov8_half_outputs": Mutant("yolov8", {}, _changed(kind=TensorProto.FLOAT16), is_read=True),
    "yolov8_dynamic_batch": Mutant("yolov8", {"dynamic": (0,)}, is_read=True),
    "yolov8_dynamic_sides": Mutant("yolov8", {"dynamic": (2, 3)}, is_read=False),
    "yolov8_dynamic_sides_said": Mutant(
        "yolov8", {"dynamic": (0, 2, 3)}, said={"input_hw": foreign_onnx.HW}, is_read=True
    ),
    "yolov8_all_dynamic": Mutant("yolov8", {"dynamic": (0, 1, 2, 3)}, is_read=False),
    "yolov8_batch_8": Mutant("", {"batch": 8, "from": "yolov8"}, _values(_in_batches), is_read=False),
    "yolov8_channels_last": Mutant("yolov8", {"channels_last": True}, is_read=True),
    "yolov8_bytes": Mutant("yolov8", foreign_onnx.BYTES, is_read=True),
    "yolov8_without_batch_axis": Mutant("yolov8", {"has_batch": False}, is_read=True),
    "yolov8_fewer_labels_named": Mutant("", {"labels": 5, "from": "yolov8"}, labels=4, is_read=False),
    "yolov8_more_labels_named": Mutant("", {"labels": 5, "from": "yolov8"}, labels=6, is_read=False),
    "yolov8_fractions": Mutant("", {"from": "yolov8"}, _fractions, is_read=False),
    "yolov8_logits": Mutant("", {"from": "yolov8"}, _logits, is_read=False),
    "yolov8_with_masks": Mutant("", {"from": "yolov8"}, _extra, is_read=False),
    "yolov8_not_numbers": Mutant("", {"from": "yolov8"}, _not_numbers, is_read=False),
    "yolov8_of_another_task": Mutant("", {"from": "yolov8", "metadata": {"task": "obb"}}, is_read=False),
    "yolov5_five_axes": Mutant("", {"from": "yolov5"}, FIVE_AXES, is_read=False),
    "yolov5_said_to_be_yolox_raw": Mutant("", {"from": "yolov5"}, said={"layout": "yolox-raw"}, is_read=False),
    "e2e_said_to_be_fractions": Mutant("", {"from": "yolo-e2e"}, said={"layout": "yolo-e2e-norm"}, is_read=False),
    "e2e_class_before_score": Mutant(
        "", {"from": "yolo-e2e"}, _values(lambda values: values[..., [0, 1, 2, 3, 5, 4]]), is_read=False
    ),
    "e2e_of_two_columns_and_cells": Mutant("yolov8", {"labels": 2}, is_read=True),
    "torchvision_dynamic_sides": Mutant("torchvision", {"dynamic": (1, 2)}, is_read=False),
}


def _network(mutant: Mutant) -> tuple[bytes, foreign_onnx.Options]:
    options = dict(mutant.options)
    head, usual = foreign_onnx.HEADS[options.pop("from", "") or mutant.layout]
    chosen = foreign_onnx.Options(**{**usual, **options})
    return foreign_onnx.network(mutant.change(head(chosen)), chosen), chosen


def _answers(session: onnxruntime.InferenceSession, feed: dict[str, Any], layout: str) -> Sequence[Any]:
    """The network's own answers in the order of the layout's reference, as float32."""
    names = [one.name for one in foreign_onnx.HEADS[layout][0](foreign_onnx.Options())]
    return [np.asarray(one, np.float32) for one in session.run(names, feed)]


def test_there_are_forty() -> None:
    assert len(MUTANTS) >= 40


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_read_as_what_it_is_or_refused(name: str, tmp_path: pathlib.Path) -> None:
    mutant = MUTANTS[name]
    content, options = _network(mutant)
    labels = mutant.labels or options.labels
    (tmp_path / job.SOURCE_FILE).write_bytes(content)
    said = {"model_id": "IOD1", "memory_bytes": 1 << 34, "threads": 1, "timeout_s": 600.0}
    said |= {"labels": tuple(f"label {number}" for number in range(labels)), **mutant.said}
    try:
        model_making.make(tmp_path, job.ImportJob(**said), lambda percent, stage, facts: None)
    except source.Refused as refusal:
        assert mutant.is_read is not True, refusal
        assert str(refusal)[0].isupper() or str(refusal).startswith(("layout:", "input"))
        assert len(str(refusal)) > 40
        return
    assert mutant.is_read is not False, "it was read although there is no right reading"
    opened = predictor.Predictor.open(tmp_path / "model", streams=1)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    kinds = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}
    kind = kinds[session.get_inputs()[0].type]
    for seed in range(IMAGES):
        prepared = opened.prepare(drawn_images.draw(seed).content)
        read_as = opened.info.document["adapter"]["input"]
        tensor = references.image_tensor(prepared.pixels[0], read_as, channels_last=options.channels_last)
        feed = {"images": (tensor[None] if options.has_batch else tensor).astype(kind)}
        if options.inputs:
            feed["orig_target_sizes"] = np.asarray([foreign_onnx.HW[::-1]], np.int64)
        boxes, scores = references.DECODERS[mutant.layout](_answers(session, feed, mutant.layout), labels)
        raw = opened.infer(prepared)
        tolerance = 4 if kind == np.float16 else 1  # what the other runtime loses by half a precision
        assert np.abs(raw.boxes_px - boxes).max() <= MOST_PX * tolerance
        assert np.abs(raw.scores - scores).max() <= MOST_SCORE * tolerance


def test_rows_first_are_read_if_the_caller_says_so(tmp_path: pathlib.Path) -> None:
    found = []
    for place, change in (("columns", None), ("rows", TURNED)):
        content, _ = _network(Mutant("yolov8", change=change) if change else Mutant("yolov8"))
        (tmp_path / place).mkdir()
        (tmp_path / place / job.SOURCE_FILE).write_bytes(content)
        asked = job.ImportJob(
            model_id="IOD1", layout="yolov8", labels=("a", "b", "c"), memory_bytes=1 << 34, threads=1, timeout_s=600.0
        )
        model_making.make(tmp_path / place, asked, lambda percent, stage, facts: None)
        opened = predictor.Predictor.open(tmp_path / place / "model", streams=1)
        found.append(opened.infer(opened.prepare(drawn_images.draw(0).content)))
    # the swing's weights are in the order of the numbers, so only what does not swing is the same
    assert np.abs(found[0].boxes_px - found[1].boxes_px).max() < 2 * foreign_onnx.SWING * max(foreign_onnx.HW)


def test_a_label_for_the_background_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / job.SOURCE_FILE).write_bytes(foreign_onnx.of("torchvision"))
    asked = job.ImportJob(
        model_id="IOD1", labels=("__background__", "a", "b", "c"), memory_bytes=1 << 34, threads=1, timeout_s=600.0
    )
    with pytest.raises(source.Refused, match="Leave it out"):
        model_making.make(tmp_path, asked, lambda percent, stage, facts: None)


def test_a_network_that_uses_our_names_keeps_its_own_meaning(tmp_path: pathlib.Path) -> None:
    model = onnx.load_model_from_string(foreign_onnx.of("yolov8"))
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = {"images": "pixels", "x0": "scores", "x1": "boxes"}.get(name, name)
    model.graph.input[0].name = "pixels"
    (tmp_path / job.SOURCE_FILE).write_bytes(model.SerializeToString())
    asked = job.ImportJob(model_id="IOD1", labels=("a", "b", "c"), memory_bytes=1 << 34, threads=1, timeout_s=600.0)
    model_making.make(tmp_path, asked, lambda percent, stage, facts: None)
    opened = predictor.Predictor.open(tmp_path / "model", streams=1)
    assert opened.infer(opened.prepare(drawn_images.draw(0).content)).scores.shape == (foreign_onnx.cells(), 3)
