"""The classifier as ONNX: `scores` (N, C) float32 for `pixels` (N, H, W, 3) uint8; or its features alone.

The last layer is written as a 1x1 convolution over the mean: integer runtimes know that best.
"""

from __future__ import annotations

import numpy as np

from boxwright.classifier.network import network
from boxwright.inference import model_folder
from boxwright.learning import efficientnet, onnx_graph


def to_onnx(trained: network.ClassificationNetwork, input_hw: tuple[int, int], classification_type: str) -> bytes:
    """Writes the graph; the same weights give the same bytes."""
    writer = onnx_graph.GraphWriter()
    mean = _mean(writer, trained)
    weight = onnx_graph.float64(trained.labels.weight).astype(np.float32)[:, :, None, None]
    bias = onnx_graph.float64(trained.labels.bias).astype(np.float32)
    logits = _flat(writer, writer.convolution(mean, weight, bias, 1), trained.label_count)
    if classification_type == model_folder.MULTICLASS:
        writer.node("Softmax", logits, output="scores", axis=1)
    else:
        writer.node("Sigmoid", logits, output="scores")
    return onnx_graph.document(writer, "classifier", input_hw, {"scores": (trained.label_count,)})


def features_to_onnx(trained: network.ClassificationNetwork, input_hw: tuple[int, int]) -> bytes:
    """Writes a graph whose only output is `ClassificationNetwork.features`."""
    writer = onnx_graph.GraphWriter()
    mean = _mean(writer, trained)
    width = np.asarray([0, efficientnet.HEAD_WIDTH], np.int64)
    writer.node("Reshape", mean, writer.constant(width), output="features")
    return onnx_graph.document(writer, "features", input_hw, {"features": (efficientnet.HEAD_WIDTH,)})


def _mean(writer: onnx_graph.GraphWriter, trained: network.ClassificationNetwork) -> str:
    """Mirrors `ClassificationNetwork.features`; (N, 1280, 1, 1)."""
    x = writer.pixels((network.INPUT_MEAN,), network.INPUT_SCALE)
    x = writer.groups(x, trained.first, trained.groups)[-1]  # type: ignore[arg-type]
    return writer.node("GlobalAveragePool", writer.relu6(writer.layer(x, trained.head)))


def _flat(writer: onnx_graph.GraphWriter, x: str, width: int) -> str:
    """(N, width, 1, 1) to (N, width)."""
    return writer.node("Reshape", x, writer.constant(np.asarray([0, width], np.int64)))
