"""The network of a caller with our nodes around it, so that the file has our contract.

    framed(source, input_name, hw, decode) -> bytes      pixels (1, H, W, 3) uint8 in; boxes and scores out
    open_outputs(source, input_name, hw) -> bytes        the same input, the network's own outputs, for probes

The network's nodes and weights stay as they are. Names of ours that it uses itself are changed in it first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

from boxwright.adapters import query_layouts
from boxwright.adapters.nodes import PREFIX, NodeWriter
from boxwright.adapters.recognition import Decoded
from boxwright.adapters.source import Refused, Source, kind_name, shown

PIXELS, BOXES, SCORES = "pixels", "boxes", "scores"
MOVED = f"{PREFIX}theirs/"  # before names of the network that are also ours
_MEANS, _DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as published with torchvision

# What the numbers of the image are: order of the channels, factor, and what is added.
INPUTS: Mapping[str, tuple[str, tuple[float, ...], tuple[float, ...]]] = {
    "rgb01": ("rgb", (1 / 255,) * 3, (0.0,) * 3),
    "rgb255": ("rgb", (1.0,) * 3, (0.0,) * 3),
    "bgr01": ("bgr", (1 / 255,) * 3, (0.0,) * 3),
    "bgr255": ("bgr", (1.0,) * 3, (0.0,) * 3),
    "imagenet": (
        "rgb",
        tuple(1 / (255 * deviation) for deviation in _DEVIATIONS),
        tuple(-mean / deviation for mean, deviation in zip(_MEANS, _DEVIATIONS, strict=True)),
    ),
}
BYTE_INPUTS = ("rgb255", "bgr255")  # of networks that take uint8


def framed(
    source: Source, input_name: str, hw: tuple[int, int], decode: Callable[[NodeWriter, Mapping[str, str]], Decoded]
) -> bytes:
    """The whole file; the same arguments give the same bytes.

    Args:
        source: the network.
        input_name: of `INPUTS`.
        hw: of the frame, in pixels.
        decode: adds the nodes after the network, from its outputs' names; returns names of boxes and scores.
    """
    return _built(source, input_name, hw, decode)


def open_outputs(source: Source, input_name: str, hw: tuple[int, int]) -> bytes:
    """The file whose outputs are the network's own, in their order, as float32."""
    return _built(source, input_name, hw, None)


def _built(
    source: Source,
    input_name: str,
    hw: tuple[int, int],
    decode: Callable[[NodeWriter, Mapping[str, str]], Decoded] | None,
) -> bytes:
    made = onnx.ModelProto()
    made.CopyFrom(source.model)
    graph = made.graph
    moved = _renamed(graph)
    before, after = NodeWriter(), NodeWriter(f"{PREFIX}after_")
    _image(before, source, moved, input_name, hw)
    for constant in _constants(source, moved, hw):
        graph.initializer.append(constant)
    theirs = {one.name: moved.get(one.name, one.name) for one in source.outputs}
    if decode is None:
        outputs = []
        for name in theirs.values():
            x = after.cast(name)
            outputs.append(helper.make_tensor_value_info(x, TensorProto.FLOAT, None))
    else:
        boxes, scores = decode(after, theirs)
        after.node("Identity", boxes, output=BOXES)
        after.node("Identity", scores, output=SCORES)
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, f"{name}_rows", f"{name}_columns"])
            for name in (BOXES, SCORES)
        ]
    nodes = [*before.nodes, *graph.node, *after.nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*before.constants, *after.constants])
    del graph.input[:]  # weights that are also inputs are weights
    graph.input.append(helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, [1, *hw, 3]))
    del graph.output[:]
    graph.output.extend(outputs)
    del graph.value_info[:]  # may speak of open sides that are closed now
    return made.SerializeToString(deterministic=True)


def _image(writer: NodeWriter, source: Source, moved: Mapping[str, str], input_name: str, hw: tuple[int, int]) -> None:
    """From `pixels` to the network's own input."""
    image = source.image
    order, factors, added = INPUTS[input_name]
    x = PIXELS
    if order == "bgr":
        x = writer.node("Gather", x, writer.constant([2, 1, 0], np.int64), axis=3)
    if image.kind != TensorProto.UINT8:
        x = writer.cast(x)
    if not image.channels_last:
        x = writer.node("Transpose", x, perm=[0, 3, 1, 2])
    shape = (1, 1, 1, 3) if image.channels_last else (1, 3, 1, 1)
    if any(factor != 1 for factor in factors):
        x = writer.node("Mul", x, writer.constant(np.reshape(factors, shape), np.float32))
    if any(added):
        x = writer.node("Add", x, writer.constant(np.reshape(added, shape), np.float32))
    if image.kind == TensorProto.FLOAT16:
        x = writer.cast(x, TensorProto.FLOAT16)
    sides = [*hw, 3] if image.channels_last else [3, *hw]
    batch = [1] if image.has_batch else []
    writer.node("Reshape", x, writer.constant([*batch, *sides], np.int64), output=moved.get(image.name, image.name))


def _constants(source: Source, moved: Mapping[str, str], hw: tuple[int, int]) -> list[onnx.TensorProto]:
    """What the further inputs get; Refused for one that is not known."""
    found = []
    for one in source.others:
        name = moved.get(one.name, one.name)
        is_whole = one.kind in (TensorProto.INT64, TensorProto.INT32)
        dtype = np.int32 if one.kind == TensorProto.INT32 else np.int64
        if one.name == query_layouts.SIZES_INPUT and (is_whole or one.kind == TensorProto.FLOAT):
            value = np.asarray([[hw[1], hw[0]]], dtype if is_whole else np.float32)
        elif one.name == query_layouts.MASK_INPUT and is_whole and one.dims is not None and len(one.dims) == 3:
            height, width = (
                side if side is not None else pixels for side, pixels in zip(one.dims[1:], hw, strict=True)
            )
            value = np.ones((1, height, width), dtype)
        else:
            raise Refused(
                f"The network has an input {one.name[:80]} ({kind_name(one.kind)}, {shown(one.dims)}) beside the image, "
                f"which is not known; known are {query_layouts.SIZES_INPUT} and {query_layouts.MASK_INPUT}. Export it with "
                "the image as its only input."
            )
        found.append(onnx.numpy_helper.from_array(value, name))
    return found


def _renamed(graph: onnx.GraphProto) -> dict[str, str]:
    """Changes the names that are ours too, everywhere in the graph; returns the new ones by the old."""
    new = {name: MOVED + name for name in (PIXELS, BOXES, SCORES)}
    waiting = [graph]
    while waiting:
        current = waiting.pop()
        for values in (current.input, current.output, current.initializer, current.value_info):
            for value in values:
                if value.name in new:
                    value.name = new[value.name]
        for sparse in current.sparse_initializer:
            if sparse.values.name in new:
                sparse.values.name = new[sparse.values.name]
        for node in current.node:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name in new:
                        names[place] = new[name]
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs
    return new
