"""The trained network as a model folder: model.json, model.onnx, evaluation.json.

The graph is written node by node from the folded weights, not traced: its bytes depend on the weights alone, and it holds
nothing that integer runtimes stumble over. Input `pixels` (N, H, W, 3) uint8; outputs `boxes` (N, A, 4) float32, xyxy in
input pixels, and `scores` (N, A, C) float32; N is free, so that a GPU may take many images at once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from boxwright.detector.network import coco, dense, pretrained
from boxwright.detector.training import checkpoint
from boxwright.images import decode, letterbox
from boxwright.inference import model_folder
from boxwright.inference.suppression import SUPPRESSION_IOU, VOTING

OPSET = 17
IR_VERSION = 8  # the pair that went with opset 17: read by every current runtime
MODEL_FOLDER = "model"
EVALUATION_FILE = "evaluation.json"
MAX_DETECTIONS = 500
DEFAULT_SCORE_FLOOR = 0.01
AGREEMENT_SCORE = 1e-3  # largest difference allowed between training's network and the exported one
AGREEMENT_PX = 0.05

Array = npt.NDArray[Any]


class _Graph:
    """Nodes and constants under growing names, which makes the bytes reproducible."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"n{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operation, list(inputs), [output], name=f"op{len(self.nodes)}", **attributes)
        )
        return output

    def convolution(self, x: str, weight: Array, bias: Array, stride: int, groups: int = 1) -> str:
        kernel = weight.shape[2]
        grouping: dict[str, Any] = {"group": groups} if groups > 1 else {}
        return self.node(
            "Conv",
            x,
            self.constant(weight),
            self.constant(bias),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
            **grouping,
        )

    def block(self, x: str, block: dense.ConvBlock) -> str:
        y = self.convolution(x, *fold(block), block.conv.stride[0])
        return self.node("Relu", self.node("Add", y, x) if block.residual else y)

    def leaky(self, x: str, block: coco.LeakyConvolution) -> str:
        return self.node("LeakyRelu", _plain(self, x, block.conv), alpha=coco.SLOPE)

    def cross_stage(self, x: str, stage: coco.CrossStageBlock) -> str:
        x = y = self.leaky(x, stage.enter)
        for block in stage.blocks:
            assert isinstance(block, coco.ConcatenatingBlock)
            y = self.leaky(y, block.first)
            y = self.node("Concat", self.leaky(y, block.second), y, axis=1)
        return self.node("Concat", self.leaky(y, stage.leave), x, axis=1)

    def bottleneck(self, x: str, block: pretrained.Bottleneck) -> str:
        y = x
        for layer in block.convolutions[:-1]:
            y = self.relu6(_plain(self, y, layer))
        y = _plain(self, y, block.project)
        return self.node("Add", x, y) if block.residual else y

    def relu6(self, x: str) -> str:
        return self.node("Clip", x, self.constant(np.asarray(0, np.float32)), self.constant(np.asarray(6, np.float32)))

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
    scale = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    weight = _array(block.conv.weight) * scale[:, None, None, None]
    bias = _array(norm.bias) - _array(norm.running_mean) * scale
    return weight.astype(np.float32), bias.astype(np.float32)


def _array(tensor: Any) -> npt.NDArray[np.float64]:
    return tensor.detach().numpy().astype(np.float64)


def _plain(graph: _Graph, x: str, layer: nn.Conv2d) -> str:
    assert layer.bias is not None
    weight, bias = _array(layer.weight).astype(np.float32), _array(layer.bias).astype(np.float32)
    return graph.convolution(x, weight, bias, layer.stride[0], layer.groups)


def _backbone(graph: _Graph, network: dense.Network, x: str) -> list[str]:
    """Mirrors `dense.Network.backbone`."""
    x = graph.block(x, network.stem)
    levels = []
    for stage in network.stages:
        for block in stage:  # type: ignore[attr-defined]
            x = graph.block(x, block)
        levels.append(x)
    return levels[1:]


def _pretrained_backbone(graph: _Graph, network: pretrained.PretrainedNetwork, x: str) -> list[str]:
    """Mirrors `pretrained.PretrainedNetwork.backbone`."""
    x = graph.relu6(_plain(graph, x, network.first))
    levels = []
    for group in network.groups:
        for block in group:  # type: ignore[attr-defined]
            x = graph.bottleneck(x, block)
        levels.append(x)
    return [levels[number] for number in pretrained.LEVEL_GROUPS]


def _coco_features(graph: _Graph, network: coco.CocoNetwork, x: str) -> list[str]:
    """Mirrors `coco.CocoNetwork.backbone` and `neck`."""
    x = graph.leaky(x, network.first)
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    levels = []
    for stage in network.stages:
        assert isinstance(stage, coco.CrossStageBlock)
        x = graph.cross_stage(x, stage)
        levels.append(x)
    fine, middle, coarse = (
        _plain(graph, level, lateral)  # type: ignore[arg-type]
        for level, lateral in zip(levels[1:], network.lateral, strict=True)
    )
    bilinear = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    half: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    middle = graph.node("Add", middle, graph.resize(coarse, **bilinear))
    fine = graph.node("Add", fine, graph.resize(middle, **bilinear))
    middle = graph.node("Add", middle, graph.node("AveragePool", fine, **half))
    coarse = graph.node("Add", coarse, graph.node("AveragePool", middle, **half))
    return [fine, middle, coarse]


def _features(graph: _Graph, network: dense.Network) -> list[str]:
    """Backbone and neck; mirrors `dense.Network.forward`."""
    x = graph.node("Cast", "pixels", to=TensorProto.FLOAT)
    x = graph.node("Transpose", x, perm=[0, 3, 1, 2])
    means = np.asarray(network.input_means, np.float32)
    x = graph.node("Sub", x, graph.constant(means.reshape(() if len(means) == 1 else (1, 3, 1, 1))))
    x = graph.node("Mul", x, graph.constant(np.asarray(dense.INPUT_SCALE, np.float32)))
    if isinstance(network, coco.CocoNetwork):
        return _coco_features(graph, network, x)
    if isinstance(network, pretrained.PretrainedNetwork):
        levels = _pretrained_backbone(graph, network, x)
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
    graph = _Graph()
    scores, distances = [], []
    bins = network.config.distance_bins + 1
    for head, x in zip(network.heads, _features(graph, network), strict=True):
        assert isinstance(head, dense.Head)
        if isinstance(head, coco.CocoHead):
            shared = graph.leaky(x, head.shared)
            weight, bias = (_array(one).astype(np.float32) for one in head.scores.merged())
            scored = graph.convolution(shared, weight, bias, 1)
        else:
            shared = graph.block(x, head.shared)  # type: ignore[arg-type]
            scored = _plain(graph, shared, head.scores)  # type: ignore[arg-type]
        scores.append(graph.rows(scored, network.label_count))
        distances.append(graph.rows(_plain(graph, shared, head.distances), 4 * bins))
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

    document = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "detector",
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", *input_hw, 3])],
            [
                helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", anchors, 4]),
                helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", anchors, network.label_count]),
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="boxwright",
    )
    document.ir_version = IR_VERSION
    onnx.checker.check_model(document)
    return document.SerializeToString(deterministic=True)


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
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    graph = to_onnx(network, input_hw)
    document = {
        "format_version": model_folder.FORMAT_VERSION,
        "labels": [
            {"display_name": one["display_name"], "annotation_spec_id": one["annotation_spec_id"]} for one in labels
        ],
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
        "digests": {model_folder.NETWORK_FILE: hashlib.sha256(graph).hexdigest()},
    }
    if notice:
        _write(folder / model_folder.NOTICE_FILE, notice.encode())
    _write(folder / model_folder.NETWORK_FILE, graph)
    _write(folder / model_folder.MODEL_FILE, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())


def write_choice(draft: pathlib.Path, quantisation: dict[str, Any], int8_file: str) -> None:
    """Writes into a draft which precision predicts: `quantisation["chosen"]`; an int8 network that is not chosen goes.

    Args:
        draft: from `write_draft`; the int8 network, if there is one, lies in it as XML with its weights beside it.
        quantisation: the section of model.json, whole.
        int8_file: name of the XML.
    """
    document = json.loads((draft / model_folder.MODEL_FILE).read_text(encoding="utf-8"))
    networks = {"fp32": model_folder.NETWORK_FILE}
    digests = {model_folder.NETWORK_FILE: document["digests"][model_folder.NETWORK_FILE]}
    for path in (draft / int8_file, (draft / int8_file).with_suffix(".bin")):
        if quantisation["chosen"] == "int8":
            networks["int8"] = int8_file
            digests[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            path.unlink(missing_ok=True)
    document.update(networks=networks, precision=quantisation["chosen"], quantisation=quantisation, digests=digests)
    _write(draft / model_folder.MODEL_FILE, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())


def publish(draft: pathlib.Path, target: pathlib.Path, evaluation: dict[str, Any]) -> None:
    """Adds the evaluation and gives the folder its final name, once."""
    _write(draft / EVALUATION_FILE, (json.dumps(evaluation, ensure_ascii=False) + "\n").encode())
    checkpoint.sync_folder(draft)
    draft.rename(target)
    checkpoint.sync_folder(target.parent)


def _write(path: pathlib.Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
