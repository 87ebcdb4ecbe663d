"""A detector on EfficientNet-Lite0 with random weights, as ONNX: what a straightforward script would run.

    build(label_count) -> bytes              0.9 GMAC at 320 x 320
    settle(graph, images) -> bytes           with scores that leave a few boxes in each image

EfficientNet-Lite0 (Tan and Le, 2019, without squeeze-and-excitation, with ReLU6), a pyramid of 96 channels whose
convolutions are depthwise 5 x 5, a head of two towers, boxes as means of distributions. Input `pixels` (N, 320, 320, 3)
uint8, outputs `boxes` (N, A, 4) and `scores` (N, A, C), as the product's own networks have them. Speed does not depend on
the weights; how many boxes there are to suppress does, hence `settle`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE_PX = 320
STRIDES = (8, 16, 32)
BLOCKS = (  # expansion, kernel, channels, repeats, stride
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
PYRAMID_AT = (2, 4, 6)  # blocks whose output enters the pyramid
WIDTH = 96
TOWER_DEPTH = 2
BINS = 17
SCORES_BIAS = "scores.bias"
CONFIDENT = 0.5
CANDIDATES = 40  # anchors per image above `CONFIDENT` after `settle`


class _Graph:
    """Nodes under growing names; `macs` counts multiplications of the convolutions."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.rng = np.random.default_rng(0)
        self.macs = 0

    def constant(self, array: npt.NDArray[Any], name: str = "") -> str:
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [output], **attributes))
        return output

    def conv(self, x: str, into: int, out: int, kernel: int, side: int, *, stride: int = 1, groups: int = 1) -> str:
        """A convolution with bias on a feature map of `side` pixels, without activation."""
        fan_in = into // groups * kernel * kernel
        weight = self.rng.standard_normal((out, into // groups, kernel, kernel), np.float32) * (2 / fan_in) ** 0.5
        self.macs += out * fan_in * (side // stride) ** 2
        bias = self.constant(np.zeros(out, np.float32))
        return self.node(
            "Conv", x, self.constant(weight), bias, kernel_shape=[kernel] * 2, strides=[stride] * 2,
            pads=[kernel // 2] * 4, group=groups,
        )  # fmt: skip

    def relu6(self, x: str) -> str:
        return self.node("Clip", x, self.constant(np.asarray(0, np.float32)), self.constant(np.asarray(6, np.float32)))

    def separable(self, x: str, side: int, *, kernel: int = 5, stride: int = 1) -> str:
        x = self.relu6(self.conv(x, WIDTH, WIDTH, kernel, side, stride=stride, groups=WIDTH))
        return self.relu6(self.conv(x, WIDTH, WIDTH, 1, side // stride))

    def rows(self, x: str, width: int) -> str:
        """(N, width, h, w) to (N, h*w, width)."""
        x = self.node("Reshape", x, self.constant(np.asarray([0, width, -1], np.int64)))
        return self.node("Transpose", x, perm=[0, 2, 1])

    def enlarged(self, x: str) -> str:
        scales = self.constant(np.asarray([1, 1, 2, 2], np.float32))
        return self.node(
            "Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )


def _backbone(graph: _Graph) -> list[str]:
    x = graph.node("Transpose", graph.node("Cast", "pixels", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    mean, scale = (graph.constant(np.asarray(value, np.float32)) for value in (127, 1 / 128))
    x = graph.node("Mul", graph.node("Sub", x, mean), scale)
    side, width = SIDE_PX // 2, 32
    x = graph.relu6(graph.conv(x, 3, width, 3, SIDE_PX, stride=2))
    levels = []
    for number, (expansion, kernel, out, repeats, first_stride) in enumerate(BLOCKS):
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            inner, y = width * expansion, x
            if expansion > 1:
                y = graph.relu6(graph.conv(y, width, inner, 1, side))
            y = graph.relu6(graph.conv(y, inner, inner, kernel, side, stride=stride, groups=inner))
            y = graph.conv(y, inner, out, 1, side // stride)
            x = graph.node("Add", x, y) if stride == 1 and width == out else y
            side, width = side // stride, out
        if number in PYRAMID_AT:
            levels.append(graph.relu6(graph.conv(x, width, WIDTH, 1, side)))
    return levels


def _pyramid(graph: _Graph, levels: list[str]) -> list[str]:
    fine, middle, coarse = levels
    sides = [SIDE_PX // stride for stride in STRIDES]
    middle = graph.separable(graph.node("Add", middle, graph.enlarged(coarse)), sides[1])
    fine = graph.separable(graph.node("Add", fine, graph.enlarged(middle)), sides[0])
    down = graph.separable(fine, sides[0], kernel=3, stride=2)
    middle = graph.separable(graph.node("Add", middle, down), sides[1])
    down = graph.separable(middle, sides[1], kernel=3, stride=2)
    coarse = graph.separable(graph.node("Add", coarse, down), sides[2])
    return [fine, middle, coarse]


def _points() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Centres (A, 2), as x and y in input pixels, and strides (A, 1)."""
    centres, strides = [], []
    for stride in STRIDES:
        places = (np.arange(SIDE_PX // stride, dtype=np.float32) + 0.5) * stride
        y, x = np.meshgrid(places, places, indexing="ij")
        centres.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        strides.append(np.full((x.size, 1), stride, np.float32))
    return np.concatenate(centres), np.concatenate(strides)


def build(label_count: int) -> bytes:
    """The network with random weights for so many labels."""
    graph = _Graph()
    scores, distances = [], []
    shared_bias = graph.constant(np.zeros(1, np.float32), SCORES_BIAS)
    for level, stride in zip(_pyramid(graph, _backbone(graph)), STRIDES, strict=True):
        side = SIDE_PX // stride
        towers = [level, level]
        for number in range(2):
            for _ in range(TOWER_DEPTH):
                towers[number] = graph.separable(towers[number], side)
        scores.append(graph.rows(graph.conv(towers[0], WIDTH, label_count, 1, side), label_count))
        distances.append(graph.rows(graph.conv(towers[1], WIDTH, 4 * BINS, 1, side), 4 * BINS))
    logits = graph.node("Add", graph.node("Concat", *scores, axis=1), shared_bias)
    graph.node("Sigmoid", logits, output="scores")
    centres, strides = _points()
    count = len(centres)
    shape = graph.constant(np.asarray([0, count, 4, BINS], np.int64))
    shares = graph.node("Softmax", graph.node("Reshape", graph.node("Concat", *distances, axis=1), shape), axis=-1)
    means = graph.node("MatMul", shares, graph.constant(np.arange(BINS, dtype=np.float32)[:, None]))
    sides = graph.node("Reshape", means, graph.constant(np.asarray([0, count, 4], np.int64)))
    sides = graph.node("Mul", sides, graph.constant((np.asarray([-1, -1, 1, 1], np.float32) * strides)[None]))
    graph.node("Add", sides, graph.constant(np.concatenate([centres, centres], axis=1)[None]), output="boxes")
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", SIDE_PX, SIDE_PX, 3])]
    outputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", count, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", count, label_count]),
    ]
    document = helper.make_model(
        helper.make_graph(graph.nodes, "lite0", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", 17)],
        doc_string=f"{graph.macs / 1e9:.2f} GMAC",
    )
    document.ir_version = 8
    onnx.checker.check_model(document)
    return bytes(document.SerializeToString())


def settle(graph: bytes, frames: Sequence[npt.NDArray[np.uint8]]) -> bytes:
    """The same network, its scores shifted so that about `CANDIDATES` anchors of an image are confident.

    Args:
        graph: from `build`.
        frames: (1, 320, 320, 3) uint8 each.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    cuts = []
    for frame in frames:
        (scores,) = session.run(["scores"], {"pixels": frame})
        ordered = np.sort(scores.reshape(-1).astype(np.float64))
        cut = np.clip(ordered[-CANDIDATES], 1e-6, 1 - 1e-6)
        cuts.append(np.log(cut / (1 - cut)))
    document = onnx.load_from_string(graph)
    for constant in document.graph.initializer:
        if constant.name == SCORES_BIAS:
            constant.CopyFrom(numpy_helper.from_array(np.asarray([-np.median(cuts)], np.float32), SCORES_BIAS))
    return bytes(document.SerializeToString())
