"""The trained detector as a model folder: model.json and model.onnx.

Input `pixels` (N, H, W, 3) uint8; outputs `boxes` (N, A, 4) float32, xyxy in
input pixels, and `scores` (N, A, C) float32; N is free, so that a GPU may take many images at once.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright.detector.network import coco, dense, pretrained
from boxwright.images import decode, letterbox
from boxwright.inference.suppression import SUPPRESSION_IOU, VOTING
from boxwright.learning import model_draft, onnx_graph

MAX_DETECTIONS = 500
DEFAULT_SCORE_FLOOR = 0.01
AGREEMENT_SCORE = 1e-3  # largest difference allowed between training's network and the exported one
AGREEMENT_PX = 0.05

Array = npt.NDArray[Any]


class _GraphWriter(onnx_graph.GraphWriter):
    """The layers that only detectors have."""

    def block(self, x: str, block: dense.ConvBlock) -> str:
        y = self.convolution(x, *fold(block), block.conv.stride[0])
        return self.node("Relu", self.node("Add", y, x) if block.residual else y)

    def leaky(self, x: str, block: coco.LeakyConvolution) -> str:
        return self.node("LeakyRelu", self.layer(x, block.conv), alpha=coco.SLOPE)

    def cross_stage(self, x: str, stage: coco.CrossStageBlock) -> str:
        x = y = self.leaky(x, stage.enter)
        for block in stage.blocks:
            assert isinstance(block, coco.ConcatenatingBlock)
            y = self.leaky(y, block.first)
            y = self.node("Concat", self.leaky(y, block.second), y, axis=1)
        return self.node("Concat", self.leaky(y, stage.leave), x, axis=1)

    def enlarge(self, x: str) -> str:
        return self.resize(x, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")

    def resize(self, x: str, **attributes: str) -> str:
        return self.node("Resize", x, "", self.constant(np.asarray([1, 1, 2, 2], np.float32)), **attributes)

    def rows(self, x: str, width: int) -> str:
        """(1, width, h, w) to (1, h*w, width)."""
        flat = self.node("Reshape", x, self.constant(np.asarray([0, width, -1], np.int64)))
        return self.node("Transpose", flat, perm=[0, 2, 1])


def fold(block: dense.ConvBlock) -> tuple[Array, Array]:
    """Convolution weights and bias with the normalisation folded in; float32, computed in float64."""
    norm = block.norm
    assert norm.running_var is not None and norm.running_mean is not None
    scale = onnx_graph.float64(norm.weight) / np.sqrt(onnx_graph.float64(norm.running_var) + norm.eps)
    weight = onnx_graph.float64(block.conv.weight) * scale[:, None, None, None]
    bias = onnx_graph.float64(norm.bias) - onnx_graph.float64(norm.running_mean) * scale
    return weight.astype(np.float32), bias.astype(np.float32)


def _backbone(graph: _GraphWriter, network: dense.Network, x: str) -> list[str]:
    """Mirrors `dense.Network.backbone`."""
    x = graph.block(x, network.stem)
    levels = []
    for stage in network.stages:
        for block in stage:  # type: ignore[attr-defined]
            x = graph.block(x, block)
        levels.append(x)
    return levels[1:]


def _coco_features(graph: _GraphWriter, network: coco.CocoNetwork, x: str) -> list[str]:
    """Mirrors `coco.CocoNetwork.backbone` and `neck`."""
    x = graph.leaky(x, network.first)
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    levels = []
    for stage in network.stages:
        assert isinstance(stage, coco.CrossStageBlock)
        x = graph.cross_stage(x, stage)
        levels.append(x)
    fine, middle, coarse = (
        graph.layer(level, lateral)  # type: ignore[arg-type]
        for level, lateral in zip(levels[1:], network.lateral, strict=True)
    )
    bilinear = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    half: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    middle = graph.node("Add", middle, graph.resize(coarse, **bilinear))
    fine = graph.node("Add", fine, graph.resize(middle, **bilinear))
    middle = graph.node("Add", middle, graph.node("AveragePool", fine, **half))
    coarse = graph.node("Add", coarse, graph.node("AveragePool", middle, **half))
    return [fine, middle, coarse]


def _features(graph: _GraphWriter, network: dense.Network) -> list[str]:
    """Backbone and neck; mirrors `dense.Network.forward`."""
    x = graph.pixels(network.input_means, dense.INPUT_SCALE)
    if isinstance(network, coco.CocoNetwork):
        return _coco_features(graph, network, x)
    if isinstance(network, pretrained.PretrainedNetwork):
        outputs = graph.groups(x, network.first, network.groups)  # type: ignore[arg-type]
        levels = [outputs[number] for number in pretrained.LEVEL_GROUPS]
    else:
        levels = _backbone(graph, network, x)
    fine, middle, coarse = (
        graph.block(level, lateral)  # type: ignore[arg-type]
        for level, lateral in zip(levels, network.lateral, strict=True)
    )
    middle = graph.block(graph.node("Add", middle, graph.enlarge(coarse)), network.top_down[0])  # type: ignore[arg-type]
    fine = graph.block(graph.node("Add", fine, graph.enlarge(middle)), network.top_down[1])  # type: ignore[arg-type]
    middle = graph.node("Add", middle, graph.block(fine, network.bottom_up[0]))  # type: ignore[arg-type]
    coarse = graph.node("Add", coarse, graph.block(middle, network.bottom_up[1]))  # type: ignore[arg-type]
    return [fine, middle, coarse]


def to_onnx(network: dense.Network, input_hw: tuple[int, int]) -> bytes:
    """Writes the graph; the same weights give the same bytes."""
    graph = _GraphWriter()
    scores, distances = [], []
    bins = network.config.distance_bins + 1
    for head, x in zip(network.heads, _features(graph, network), strict=True):
        assert isinstance(head, dense.Head)
        if isinstance(head, coco.CocoHead):
            shared = graph.leaky(x, head.shared)
            weight, bias = (onnx_graph.float64(one).astype(np.float32) for one in head.scores.merged())
            scored = graph.convolution(shared, weight, bias, 1)
        else:
            shared = graph.block(x, head.shared)  # type: ignore[arg-type]
            scored = graph.layer(shared, head.scores)  # type: ignore[arg-type]
        scores.append(graph.rows(scored, network.label_count))
        distances.append(graph.rows(graph.layer(shared, head.distances), 4 * bins))
    graph.node("Sigmoid", graph.node("Concat", *scores, axis=1), output="scores")

    points = dense.points_for(input_hw)
    anchors = len(points.centres_px)
    logits = graph.node("Concat", *distances, axis=1)
    logits = graph.node("Reshape", logits, graph.constant(np.asarray([0, anchors, 4, bins], np.int64)))
    probabilities = graph.node("Softmax", logits, axis=-1)
    means = graph.node("MatMul", probabilities, graph.constant(np.arange(bins, dtype=np.float32)[:, None]))
    sides = graph.node("Reshape", means, graph.constant(np.asarray([0, anchors, 4], np.int64)))
    # left and top are subtracted from the centre, right and bottom are added
    signs = np.asarray([-1, -1, 1, 1], np.float32) * points.strides_px.numpy()
    sides = graph.node("Mul", sides, graph.constant(signs[None]))
    centres = np.concatenate([points.centres_px.numpy()] * 2, axis=1)[None]
    graph.node("Add", sides, graph.constant(centres), output="boxes")

    outputs = {"boxes": (anchors, 4), "scores": (anchors, network.label_count)}
    return onnx_graph.document(graph, "detector", input_hw, outputs)


def write_draft(
    folder: pathlib.Path,
    network: dense.Network,
    *,
    labels: list[dict[str, str]],
    model_type: str,
    input_hw: tuple[int, int],
    score_floor: float,
    provenance: dict[str, Any],
    notice: str = "",
) -> None:
    """Writes model.json and model.onnx, and a notice if there is one, into a fresh folder that nobody reads yet."""
    document = {
        "model_type": model_type,
        "input_hw": list(input_hw),
        "image_policy": decode.POLICY,
        "preprocessing": {
            "colour": "RGB",
            "orientation": "EXIF applied",
            "resize": "bilinear, antialiased, aspect kept, centred",
            "fill": letterbox.FILL,
            "input": "uint8 NHWC; normalisation is in the graph",
        },
        "score_floor": score_floor,
        "nms_iou": SUPPRESSION_IOU,
        "box_voting": dataclasses.asdict(VOTING),
        "max_detections": MAX_DETECTIONS,
        "provenance": provenance,
    }
    model_draft.write(folder, to_onnx(network, input_hw), labels, document, notice)
