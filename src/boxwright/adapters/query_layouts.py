"""Layouts that are told by the names of their outputs: those of queries, of torchvision, of TensorFlow, and our own."""

from __future__ import annotations

import functools

import numpy as np
from onnx import TensorProto

from boxwright.adapters.nodes import NodeWriter
from boxwright.adapters.recognition import (
    Array,
    Decoded,
    Layout,
    Look,
    MismatchError,
    check_finite,
    check_fractions,
    check_ordered,
    check_pixels,
    check_scores,
    check_whole,
    shape_of,
    table,
)
from boxwright.images.letterbox import LETTERBOX, LETTERBOX_TOP_LEFT, STRETCH

SIZES_INPUT = "orig_target_sizes"
MASK_INPUT = "pixel_mask"
_TINY = 1e-6  # lower scores are padding


def _names(look: Look, *names: str) -> str:
    shapes = (f"{name} {shape_of(look.answers[name][0])}" for name in names)
    return f"The outputs are {', '.join(shapes)}."


def _flat(arrays: list[Array]) -> Array:
    return np.concatenate([array.reshape(-1) for array in arrays])


def _listed(look: Look, boxes: str, scores: str, classes: str, first: int) -> tuple[list[str], Array]:
    """Evidence for a list of boxes, scores and classes, and the boxes whose scores are no padding."""
    corners = table(look.answers[boxes], 4, "a box")
    found_scores, found_classes = _flat(look.answers[scores]), _flat(look.answers[classes])
    if not len(corners) == len(found_scores) == len(found_classes):
        raise MismatchError(
            f"needs as many scores and classes as boxes, and there are {len(corners)} boxes, {len(found_scores)} scores and "
            f"{len(found_classes)} classes"
        )
    evidence = [_names(look, boxes, scores, classes), check_scores(found_scores)]
    is_found = found_scores > _TINY
    return [*evidence, check_whole(found_classes[is_found], first, look.labels)], corners[is_found]


def _decode_list(writer: NodeWriter, look: Look, boxes: str, scores: str, classes: str, first: int) -> Decoded:
    spread = writer.spread(writer.rows(look.names[scores], 1), writer.rows(look.names[classes], 1), look.labels, first)
    return writer.rows(look.names[boxes], 4), spread


# ---- RT-DETR, D-FINE, DEIM: the network scales the boxes itself -----------------------------------------------------


def _rtdetr(look: Look) -> list[str]:
    look.named("labels", "boxes", "scores")
    evidence, corners = _listed(look, "boxes", "scores", "labels", 0)
    evidence = [f"There is a second input {SIZES_INPUT}, which gets the frame's size.", *evidence]
    return [*evidence, check_ordered(corners), check_pixels(corners, look.input_hw)]


def _decode_rtdetr(writer: NodeWriter, look: Look) -> Decoded:
    return _decode_list(writer, look, "boxes", "scores", "labels", 0)


# ---- logits and fractions -------------------------------------------------------------------------------------------


def _logits(look: Look, logits: str, boxes: str, width: int, what: str) -> list[str]:
    found = table(look.answers[logits], width, what)
    check_finite(found)
    return [_names(look, boxes, logits), check_fractions(table(look.answers[boxes], 4, "a box"))]


def _decode_fractions(writer: NodeWriter, look: Look, boxes: str) -> str:
    height, width = look.input_hw
    return writer.corners(writer.scaled(writer.rows(look.names[boxes], 4), [width, height, width, height]))


def _rfdetr(look: Look) -> list[str]:
    look.named("dets", "labels")
    return _logits(look, "labels", "dets", look.labels + 1, f"{look.labels} labels and one that is dropped")


def _decode_rfdetr(writer: NodeWriter, look: Look) -> Decoded:
    scores = writer.node("Sigmoid", writer.rows(look.names["labels"], look.labels + 1))
    return _decode_fractions(writer, look, "dets"), writer.columns(scores, 0, look.labels)


def _hf_softmax(look: Look) -> list[str]:
    look.named("logits", "pred_boxes")
    return _logits(look, "logits", "pred_boxes", look.labels + 1, f"{look.labels} labels and no object")


def _decode_hf_softmax(writer: NodeWriter, look: Look) -> Decoded:
    scores = writer.node("Softmax", writer.rows(look.names["logits"], look.labels + 1), axis=2)
    return _decode_fractions(writer, look, "pred_boxes"), writer.columns(scores, 0, look.labels)


def _hf_sigmoid(look: Look) -> list[str]:
    look.named("logits", "pred_boxes")
    return _logits(look, "logits", "pred_boxes", look.labels, f"{look.labels} labels")


def _decode_hf_sigmoid(writer: NodeWriter, look: Look) -> Decoded:
    scores = writer.node("Sigmoid", writer.rows(look.names["logits"], look.labels))
    return _decode_fractions(writer, look, "pred_boxes"), scores


# ---- lists ----------------------------------------------------------------------------------------------------------


def _torchvision(look: Look) -> list[str]:
    look.named("boxes", "labels", "scores")
    if look.inputs:
        raise MismatchError(f"has no input beside the image, and the network has {', '.join(look.inputs)}")
    evidence, corners = _listed(look, "boxes", "scores", "labels", 1)
    # a network that finds nothing in the probes is told by its names and shapes
    return [*evidence, check_ordered(corners), *([check_pixels(corners, look.input_hw)] if len(corners) else [])]


def _decode_torchvision(writer: NodeWriter, look: Look) -> Decoded:
    return _decode_list(writer, look, "boxes", "scores", "labels", 1)


_TF = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")


def _tf_od(look: Look) -> list[str]:
    look.named(*_TF)
    evidence, corners = _listed(look, *_TF[:3], 1)
    return [*evidence, check_ordered(corners), *([check_fractions(corners)] if len(corners) else [])]


def _decode_tf_od(writer: NodeWriter, look: Look) -> Decoded:
    boxes, scores = _decode_list(writer, look, *_TF[:3], 1)
    height, width = look.input_hw
    turned = writer.node("Gather", boxes, writer.constant([1, 0, 3, 2], np.int64), axis=2)
    # rows from num_detections on are padding, whatever they hold
    count = writer.node("Reshape", writer.cast(look.names[_TF[3]]), writer.constant([1, 1, 1], np.int64))
    shape = writer.node("Shape", look.names[_TF[1]])
    numbers = writer.node(
        "Range",
        writer.constant(0, np.int64),
        writer.node("Gather", shape, writer.constant(-1, np.int64), axis=0),
        writer.constant(1, np.int64),
    )
    rows = writer.node("Reshape", writer.cast(numbers), writer.constant([1, -1, 1], np.int64))
    is_real = writer.cast(writer.node("Less", rows, count), TensorProto.FLOAT)
    return writer.scaled(turned, [width, height, width, height]), writer.node("Mul", scores, is_real)


# ---- our own --------------------------------------------------------------------------------------------------------


def _contract(look: Look) -> list[str]:
    look.named("boxes", "scores")
    corners = table(look.answers["boxes"], 4, "corners in pixels")
    scores = table(look.answers["scores"], look.labels, f"{look.labels} labels")
    if len(corners) != len(scores):
        raise MismatchError(f"needs as many rows of scores as boxes, and there are {len(scores)} and {len(corners)}")
    check_finite(corners)
    return [_names(look, "boxes", "scores"), "The image goes in as bytes, height x width x 3.", check_scores(scores)]


def _decode_contract(writer: NodeWriter, look: Look) -> Decoded:
    return writer.rows(look.names["boxes"], 4), writer.rows(look.names["scores"], look.labels)


_layout = functools.partial(Layout, fill=114)
LAYOUTS = (
    _layout("rtdetr", "labels, boxes in pixels, scores; a second input has the image's size", _rtdetr, _decode_rtdetr,
            ("rgb01",), (STRETCH,), outputs=frozenset(("labels", "boxes", "scores")), second_input=SIZES_INPUT),
    _layout("rfdetr", "dets (1, Q, 4) fractions, labels (1, Q, C + 1) logits", _rfdetr, _decode_rfdetr,
            ("imagenet",), (STRETCH,), outputs=frozenset(("dets", "labels"))),
    _layout("hf-detr", "logits (1, Q, C + 1) with no object last, pred_boxes fractions", _hf_softmax,
            _decode_hf_softmax, ("imagenet",), (STRETCH, LETTERBOX_TOP_LEFT), outputs=frozenset(("logits", "pred_boxes"))),
    _layout("hf-rtdetr", "logits (1, Q, C) of labels alone, pred_boxes fractions", _hf_sigmoid, _decode_hf_sigmoid,
            ("rgb01", "imagenet"), (STRETCH,), outputs=frozenset(("logits", "pred_boxes"))),
    _layout("torchvision", "boxes in pixels, labels from 1, scores, without a batch", _torchvision, _decode_torchvision,
            ("rgb01",), (LETTERBOX,), outputs=frozenset(("boxes", "labels", "scores"))),
    _layout("tf-od", "detection_boxes as fractions, top first; classes from 1; num_detections", _tf_od, _decode_tf_od,
            ("rgb255",), (STRETCH,), outputs=frozenset(_TF), takes_bytes=True),
    _layout("contract", "boxes (1, A, 4) corners in pixels, scores (1, A, C); bytes (1, H, W, 3) go in", _contract,
            _decode_contract, ("rgb255",), (LETTERBOX,), fill=127, is_suppressed=True,
            outputs=frozenset(("boxes", "scores")), takes_bytes=True),
)  # fmt: skip
