"""Networks written as ONNX, node by node from their folded weights, not traced.

The bytes depend on the weights alone, and the graph holds nothing that integer runtimes stumble over.

    GraphWriter()                       nodes and constants, with the layers that several networks have
    document(graph, …) -> bytes   the checked file
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from boxwright.learning import efficientnet

OPSET = 17
IR_VERSION = 8  # the pair that went with opset 17: read by every current runtime

Array = npt.NDArray[Any]


class GraphWriter:
    """Nodes and constants under growing names, which makes the bytes reproducible."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: Array) -> str:
        """Adds a constant; returns its name, as do all that follow."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Adds a node of one output."""
        output = output or f"n{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operation, list(inputs), [output], name=f"op{len(self.nodes)}", **attributes)
        )
        return output

    def pixels(self, means: Sequence[float], scale: float) -> str:
        """The input `pixels` (N, H, W, 3) as normalised (N, 3, H, W): one mean, or one for each channel."""
        x = self.node("Cast", "pixels", to=TensorProto.FLOAT)
        x = self.node("Transpose", x, perm=[0, 3, 1, 2])
        array = np.asarray(means, np.float32)
        x = self.node("Sub", x, self.constant(array.reshape(() if len(array) == 1 else (1, 3, 1, 1))))
        return self.node("Mul", x, self.constant(np.asarray(scale, np.float32)))

    def convolution(self, x: str, weight: Array, bias: Array, stride: int, groups: int = 1) -> str:
        """A convolution with padding on all sides."""
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

    def layer(self, x: str, layer: nn.Conv2d) -> str:
        """A convolution as it is, with its bias."""
        assert layer.bias is not None
        weight, bias = float64(layer.weight).astype(np.float32), float64(layer.bias).astype(np.float32)
        return self.convolution(x, weight, bias, layer.stride[0], layer.groups)

    def relu6(self, x: str) -> str:
        """Values cut to [0, 6]."""
        return self.node("Clip", x, self.constant(np.asarray(0, np.float32)), self.constant(np.asarray(6, np.float32)))

    def bottleneck(self, x: str, block: efficientnet.Bottleneck) -> str:
        """Mirrors `efficientnet.Bottleneck.forward`."""
        y = x
        for layer in block.convolutions[:-1]:
            y = self.relu6(self.layer(y, layer))
        y = self.layer(y, block.project)
        return self.node("Add", x, y) if block.residual else y

    def groups(self, x: str, first: nn.Conv2d, groups: Iterable[Iterable[nn.Module]]) -> list[str]:
        """The blocks of EfficientNet-Lite; the output of each group."""
        x = self.relu6(self.layer(x, first))
        outputs = []
        for group in groups:
            for block in group:
                assert isinstance(block, efficientnet.Bottleneck)
                x = self.bottleneck(x, block)
            outputs.append(x)
        return outputs


def float64(tensor: Any) -> npt.NDArray[np.float64]:
    """A parameter as an array."""
    return tensor.detach().numpy().astype(np.float64)


def document(graph: GraphWriter, name: str, input_hw: tuple[int, int], outputs: Mapping[str, Sequence[int]]) -> bytes:
    """The graph as a file; the same weights give the same bytes.

    Args:
        graph: reads `pixels` (N, H, W, 3) uint8; N is free, so that a GPU may take many images at once.
        name: of the graph.
        input_hw: height and width of the pixels.
        outputs: float32 outputs by name, with their shapes without N.
    """
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            name,
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", *input_hw, 3])],
            [
                helper.make_tensor_value_info(key, TensorProto.FLOAT, ["batch", *shape])
                for key, shape in outputs.items()
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="boxwright",
    )
    made.ir_version = IR_VERSION
    onnx.checker.check_model(made)
    return made.SerializeToString(deterministic=True)
