"""What each layout means, once more in numpy, after the descriptions of those who export it; no code is shared with ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tests.support.networks import foreign_onnx

Array = npt.NDArray[Any]
Decoded = tuple[Array, Array]  # boxes (A, 4) in pixels of the frame, scores (A, C)


def image_tensor(frame: Array, input_name: str, *, channels_last: bool) -> Array:
    """What goes into the network, from a frame (H, W, 3) uint8."""
    image = frame.astype(np.float64)
    if input_name.startswith("bgr"):
        image = image[..., ::-1]
    if input_name.endswith("01"):
        image = image / 255
    if input_name == "imagenet":
        image = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return image if channels_last else image.transpose(2, 0, 1)


def one_hot(classes: Array, scores: Array, labels: int, first: int) -> Array:
    found = np.zeros((len(classes), labels))
    for row, (number, score) in enumerate(zip(classes, scores, strict=True)):
        if 0 <= int(number) - first < labels:
            found[row, int(number) - first] = score
    return found


def _objectness(outputs: Sequence[Array], labels: int) -> Decoded:
    rows = outputs[0][0]
    return foreign_onnx.corners(rows[:, :4]), rows[:, 5:] * rows[:, 4:5]


def _yolov8(outputs: Sequence[Array], labels: int) -> Decoded:
    rows = outputs[0][0].T
    return foreign_onnx.corners(rows[:, :4]), rows[:, 4:]


def _yolox_raw(outputs: Sequence[Array], labels: int) -> Decoded:
    rows = outputs[0][0].astype(np.float64)
    places, strides = foreign_onnx.grid()
    centred = np.concatenate([(rows[:, :2] + places) * strides, np.exp(rows[:, 2:4]) * strides], axis=1)
    return foreign_onnx.corners(centred), rows[:, 5:] * rows[:, 4:5]


def _e2e(outputs: Sequence[Array], labels: int) -> Decoded:
    rows = outputs[0][0]
    return rows[:, :4], one_hot(rows[:, 5], rows[:, 4], labels, 0)


def _e2e_norm(outputs: Sequence[Array], labels: int) -> Decoded:
    boxes, scores = _e2e(outputs, labels)
    return boxes * np.tile(foreign_onnx.HW[::-1], 2), scores


def _effdet_corners(outputs: Sequence[Array], labels: int) -> Decoded:
    rows = outputs[0][0]
    return rows[:, :4], one_hot(rows[:, 5], rows[:, 4], labels, 1)


def _effdet(outputs: Sequence[Array], labels: int) -> Decoded:
    rows = outputs[0][0]
    return rows[:, [2, 1, 4, 3]], one_hot(rows[:, 6], rows[:, 5], labels, 1)


def _effdet_sides(outputs: Sequence[Array], labels: int) -> Decoded:
    rows = outputs[0][0]
    starts = rows[:, 1:3]
    return np.concatenate([starts, starts + rows[:, 3:5]], axis=1), one_hot(rows[:, 6], rows[:, 5], labels, 1)


def _pair(outputs: Sequence[Array], labels: int) -> Decoded:
    return outputs[0][0], outputs[1][0]


def _rtdetr(outputs: Sequence[Array], labels: int) -> Decoded:
    return outputs[1][0], one_hot(outputs[0][0], outputs[2][0], labels, 0)


def _fractions(boxes: Array) -> Array:
    return foreign_onnx.corners(boxes * np.tile(foreign_onnx.HW[::-1], 2))


def _sigmoid(logits: Array) -> Array:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def _rfdetr(outputs: Sequence[Array], labels: int) -> Decoded:
    return _fractions(outputs[0][0]), _sigmoid(outputs[1][0])[:, :-1]


def _hf_detr(outputs: Sequence[Array], labels: int) -> Decoded:
    shares = np.exp(outputs[1][0].astype(np.float64))
    return _fractions(outputs[0][0]), (shares / shares.sum(axis=1, keepdims=True))[:, :-1]


def _hf_rtdetr(outputs: Sequence[Array], labels: int) -> Decoded:
    return _fractions(outputs[0][0]), _sigmoid(outputs[1][0])


def _torchvision(outputs: Sequence[Array], labels: int) -> Decoded:
    return outputs[0], one_hot(outputs[1], outputs[2], labels, 1)


def _tf_od(outputs: Sequence[Array], labels: int) -> Decoded:
    boxes, classes, scores, count = outputs
    found = one_hot(classes[0], scores[0], labels, 1)
    found[int(count[0]) :] = 0
    return boxes[0][:, [1, 0, 3, 2]] * np.tile(foreign_onnx.HW[::-1], 2), found


DECODERS: Mapping[str, Callable[[Sequence[Array], int], Decoded]] = {
    "yolov5": _objectness,
    "yolov8": _yolov8,
    "yolo-e2e": _e2e,
    "yolo-e2e-norm": _e2e_norm,
    "yolox": _objectness,
    "yolox-raw": _yolox_raw,
    "yolonas": _pair,
    "rtdetr": _rtdetr,
    "rfdetr": _rfdetr,
    "hf-detr": _hf_detr,
    "hf-rtdetr": _hf_rtdetr,
    "torchvision": _torchvision,
    "tf-od": _tf_od,
    "effdet": _effdet,
    "effdet-sides": _effdet_sides,
    "effdet-corners": _effdet_corners,
    "contract": _pair,
}
