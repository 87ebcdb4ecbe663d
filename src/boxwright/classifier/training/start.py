"""The weights that a training starts from: published ones, or those of another classifier.

load(kind, base_model_dir, labels) -> StartingWeights
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper

from boxwright.classifier.network.network import ClassificationNetwork, Head, ModelType
from boxwright.inference import model_folder
from boxwright.learning import efficientnet
from boxwright.learning.job import JobError


@dataclasses.dataclass(frozen=True)
class StartingWeights:
    """Where a training starts.

    Attributes:
        network: with its backbone filled, in eval mode.
        rows: last layer of the other classifier for labels of the same display name, zeros for others; None if the
            weights are published ones.
        words: for people.
    """

    network: ClassificationNetwork
    rows: Head | None
    words: str


def load(kind: ModelType, base_model_dir: pathlib.Path | None, labels: Sequence[str]) -> StartingWeights:
    """Loads the weights.

    Args:
        kind: of model.
        base_model_dir: folder of a classifier of the same kind; None for published weights.
        labels: display names, in index order.

    Raises:
        JobError: weights are missing, or the other model is of another kind.
    """
    made = ClassificationNetwork(kind.published, len(labels))
    try:
        made.fill(efficientnet.load(kind.published)).eval()
    except efficientnet.WeightsMissing as error:
        raise JobError(f"Image classification starts from published weights: {error}.") from error
    if base_model_dir is None:
        return StartingWeights(made, None, kind.published.source)
    try:
        info = model_folder.ModelInfo.read(base_model_dir)
        graph = onnx.load_from_string(model_folder.read_network(base_model_dir, info, "fp32").graph)
    except model_folder.ModelError as error:
        raise JobError(f"The base model cannot be read: {error}") from error
    layers = _convolutions(graph)
    own = list(made.convolutions())
    shapes = [tuple(one.weight.shape) for one in own]
    if info.kind != model_folder.IMAGE_CLASSIFICATION or [one[0].shape for one in layers[:-1]] != shapes:
        raise JobError(f"The base model {base_model_dir.name} is not of the model type that is to be trained.")
    with torch.no_grad():
        for layer, (weight, bias) in zip(own, layers[:-1], strict=True):
            assert layer.bias is not None
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
    row_of = {label.display_name: number for number, label in enumerate(info.labels)}
    weight, bias = layers[-1]
    rows = Head(np.zeros((len(labels), efficientnet.HEAD_WIDTH)), np.zeros(len(labels)))
    for number, label in enumerate(labels):
        if label in row_of:
            rows.weight[number] = weight[row_of[label], :, 0, 0]
            rows.bias[number] = bias[row_of[label]]
    return StartingWeights(made, rows, f"model {base_model_dir.name}")


def _convolutions(graph: onnx.ModelProto) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """(weight, bias) of every convolution in order; the last one is the last layer."""
    constants = {one.name: one for one in graph.graph.initializer}
    return [
        (numpy_helper.to_array(constants[node.input[1]]).copy(), numpy_helper.to_array(constants[node.input[2]]).copy())
        for node in graph.graph.node
        if node.op_type == "Conv"
    ]
