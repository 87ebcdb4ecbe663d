"""Nodes and constants that are put around a network, under names that it does not use."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

PREFIX = "boxwright_adapter/"  # of every name here; a network that has such names is refused


class NodeWriter:
    """Collects nodes and constants; names grow, so that the same calls give the same bytes.

    The operators are those that have not changed since opset 11, in the forms that all later opsets read.
    """

    def __init__(self, prefix: str = PREFIX) -> None:
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: npt.ArrayLike, dtype: type[np.generic]) -> str:
        """Adds a constant; returns its name, as do all that follow."""
        name = f"{self._prefix}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(array, dtype)), name))
        return name

    def node(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Adds a node of one output."""
        output = output or f"{self._prefix}n{len(self.nodes)}"
        name = f"{self._prefix}op{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [output], name=name, **attributes))
        return output

    def cast(self, x: str, kind: int = TensorProto.FLOAT) -> str:
        """Another type of number."""
        return self.node("Cast", x, to=kind)

    def rows(self, x: str, width: int) -> str:
        """The values as float32 (1, A, width), whatever axes of length one they have."""
        return self.node("Reshape", self.cast(x), self.constant([1, -1, width], np.int64))

    def columns(self, x: str, start: int, stop: int) -> str:
        """Columns of (1, A, W)."""
        ends = [self.constant([value], np.int64) for value in (start, stop, 2)]
        return self.node("Slice", x, *ends)

    def scaled(self, x: str, factors: npt.ArrayLike) -> str:
        """Columns, each times its factor."""
        return self.node("Mul", x, self.constant(np.asarray(factors, np.float32).reshape(1, 1, -1), np.float32))

    def corners(self, x: str) -> str:
        """Boxes (1, A, 4): centre, width and height become left, top, right, bottom."""
        centres = self.columns(x, 0, 2)
        halves = self.scaled(self.columns(x, 2, 4), [0.5, 0.5])
        return self.node("Concat", self.node("Sub", centres, halves), self.node("Add", centres, halves), axis=2)

    def spread(self, scores: str, classes: str, labels: int, first: int) -> str:
        """Scores of all labels (1, A, C) from one score and one class a row; a class that is no label's has none.

        Args:
            scores: of the rows, (1, A, 1).
            classes: of the rows, (1, A, 1), float32 whole numbers.
            labels: C.
            first: the class of the first label.
        """
        nearest = self.cast(
            self.node("Floor", self.node("Add", classes, self.constant(0.5, np.float32))), TensorProto.INT32
        )
        known = self.constant(np.arange(first, first + labels).reshape(1, 1, -1), np.int32)
        return self.node("Mul", scores, self.cast(self.node("Equal", nearest, known)))
