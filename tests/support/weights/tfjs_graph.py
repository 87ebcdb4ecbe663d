"""Computes a graph model of TensorFlow.js node by node, as the format defines its operations: a reference for conversions.

Written from TensorFlow's definitions of the operations and from nothing of ours: NHWC data, kernels (h, w, in, out), the
sides of a padding in pairs. Only the operations and attributes that occur in the catalogue's models; others are refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional


def run(
    nodes: list[dict[str, Any]], constants: dict[str, np.ndarray], given: np.ndarray, outputs: list[str]
) -> list[np.ndarray]:
    """The values of some nodes.

    Args:
        nodes: in an order in which each comes after its inputs.
        constants: by name.
        given: for the one placeholder.
        outputs: names of nodes.
    """
    known: dict[str, Any] = dict(constants)

    def value(name: str) -> np.ndarray:
        node, _, number = name.partition(":")
        found = known[node]
        return found[int(number or 0)] if isinstance(found, list) else found

    for node in nodes:
        inputs = [value(name) for name in node.get("input", [])]
        attributes = node.get("attr", {})
        known[node["name"]] = given if node["op"] == "Placeholder" else _computed(node["op"], inputs, attributes)
    return [value(name) for name in outputs]


def _computed(operation: str, inputs: list[Any], attributes: dict[str, Any]) -> Any:
    match operation:
        case "Add" | "AddV2":
            return inputs[0] + inputs[1]
        case "Transpose":
            return inputs[0].transpose(inputs[1])
        case "Pad":
            return np.pad(inputs[0], inputs[1])
        case "PadV2":
            return np.pad(inputs[0], inputs[1], constant_values=inputs[2].item())
        case "Conv2D":
            assert attributes["padding"]["s"] == "VkFMSUQ=", "VALID, in Base64"
            kernel = torch.from_numpy(np.ascontiguousarray(inputs[1].transpose(3, 2, 0, 1)))
            return _nhwc(functional.conv2d(_nchw(inputs[0]), kernel, stride=_pair(attributes["strides"])))
        case "MaxPool":
            assert attributes["padding"]["s"] == "VkFMSUQ="
            sizes = _pair(attributes["ksize"]), _pair(attributes["strides"])
            return _nhwc(functional.max_pool2d(_nchw(inputs[0]), *sizes))
        case "LeakyRelu":
            return np.where(inputs[0] > 0, inputs[0], inputs[0] * np.float32(attributes["alpha"]["f"]))
        case "ConcatV2":
            return np.concatenate(inputs[:-1], int(inputs[-1]))
        case "ResizeBilinear":
            assert attributes["half_pixel_centers"]["b"] and not attributes["align_corners"]["b"]
            return _bilinear(inputs[0], int(inputs[1][0]), int(inputs[1][1]))
        case "SplitV":
            return np.split(inputs[0], np.cumsum(inputs[1])[:-1], int(inputs[2]))
        case "Sigmoid":
            return 1.0 / (1.0 + np.exp(-inputs[0]))
        case "Reshape":
            return inputs[0].reshape(inputs[1])
        case "Identity":
            return inputs[0]
        case "SparseToDense":
            indices, shape, values, default = inputs
            result = np.full(tuple(shape), default)
            for place, index in enumerate(indices.reshape(-1, len(shape))):
                result[tuple(index)] = values if values.ndim == 0 else values[place]
            return result
    raise NotImplementedError(operation)


def _bilinear(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Half-pixel centres: cell i of n looks at (i + 0.5) * m / n - 0.5 of m."""
    for axis, count in ((1, height), (2, width)):
        size = x.shape[axis]
        at = np.clip((np.arange(count) + 0.5) * size / count - 0.5, 0, None)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, size - 1)
        share = (at - low).astype(np.float32).reshape([-1 if number == axis else 1 for number in range(4)])
        x = x.take(low, axis) * (1 - share) + x.take(high, axis) * share
    return x


def _pair(attribute: dict[str, Any]) -> tuple[int, int]:
    return int(attribute["list"]["i"][1]), int(attribute["list"]["i"][2])


def _nchw(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def _nhwc(x: torch.Tensor) -> np.ndarray:
    return x.numpy().transpose(0, 2, 3, 1)
