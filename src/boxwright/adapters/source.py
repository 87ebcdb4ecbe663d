"""The ONNX file of a caller: read within limits, and refused if it is more than one file that only computes.

    read(path) -> Source            its graph, inputs, outputs and what it says of itself
    Refused                         one sentence for the person whose file it is

Nothing outside of the file is read, no operator of a vendor is run, and no loop may run for long. What a graph needs in
memory and time is not judged here: the process that runs it is limited.
"""

from __future__ import annotations

import ast
import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np
import onnx
from google.protobuf import message
from onnx import TensorProto, helper, inliner, numpy_helper

from boxwright.adapters.nodes import PREFIX

MAX_FILE_BYTES = 2_000_000_000  # what a protobuf message can hold
LEAST_OPSET = 11
MAX_TRIPS = 1_000_000  # of a loop, with the loops around it
MAX_NODES = 200_000
MAX_METADATA_CHARS = 1_000_000
DOMAINS = ("", "ai.onnx")
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8)


class Refused(Exception):
    """A network cannot be imported; the text says why, and what to do."""


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """An input or output as the file declares it.

    Attributes:
        name: in the graph.
        kind: of its elements, as `TensorProto.DataType`.
        dims: None for a side that is open; None as a whole if the file does not say them.
    """

    name: str
    kind: int
    dims: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True)
class ImageInput:
    """The input that takes the image.

    Attributes:
        name: in the graph.
        kind: of its elements.
        channels_last: whether it is (…, H, W, 3).
        has_batch: whether there is an axis for images before the others.
        hw: height and width in pixels, None where they are open.
    """

    name: str
    kind: int
    channels_last: bool
    has_batch: bool
    hw: tuple[int, int] | None


@dataclasses.dataclass(frozen=True)
class Source:
    """A network that has passed the checks.

    Attributes:
        model: the file, its functions inlined.
        image: the input for the image.
        others: further inputs.
        outputs: in the file's order.
        metadata: what the exporter has written beside the graph.
        opset: of the standard operators.
    """

    model: onnx.ModelProto
    image: ImageInput
    others: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    metadata: dict[str, str]
    opset: int


def read(path: pathlib.Path) -> Source:
    """Reads a file and checks all that can be told without running it.

    Raises:
        Refused: it is no ONNX file, or one that is not taken.
        OSError: it cannot be read.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise Refused(f"The file is larger than {MAX_FILE_BYTES} bytes. Export a smaller network, or one in float16.")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except message.DecodeError:
        raise Refused(
            "The file is no ONNX file, or it is damaged. Send the file that the exporter has written."
        ) from None
    if not model.HasField("graph") or not model.graph.node:
        raise Refused(
            "The file has no graph of nodes, so it is no ONNX network. Send the file that the exporter has written."
        )
    opset = _checked_domains(model)
    if model.functions:
        model = _inlined(model)
    _check_nodes(model)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, TypeError) as error:
        raise Refused(f"The file is not valid ONNX: {_first_line(error)}") from None
    initializers = {one.name for one in model.graph.initializer}
    inputs = [_info(one) for one in model.graph.input if one.name not in initializers]
    image, others = _image_of(inputs)
    metadata = {one.key: one.value for one in model.metadata_props}
    if sum(len(key) + len(value) for key, value in metadata.items()) > MAX_METADATA_CHARS:
        raise Refused(f"The file's metadata has more than {MAX_METADATA_CHARS} characters.")
    return Source(model, image, tuple(others), tuple(_info(one) for one in model.graph.output), metadata, opset)


def literal(text: str) -> object:
    """The value that a Python literal of a metadata entry says; None if it is none, or too long to be one."""
    if len(text) > MAX_METADATA_CHARS:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[0][:300]


def _checked_domains(model: onnx.ModelProto) -> int:
    versions = {one.domain: one.version for one in model.opset_import}
    opset = max((version for domain, version in versions.items() if domain in DOMAINS), default=0)
    newest = onnx.defs.onnx_opset_version()
    if not LEAST_OPSET <= opset <= newest:
        raise Refused(
            f"The file has opset {opset}; {LEAST_OPSET} to {newest} are taken. Export it again with one of these."
        )
    return opset


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # of the C++ library, without a class of its own
        raise Refused(f"The functions of the file cannot be resolved: {_first_line(error)}") from None


def _graphs(model: onnx.ModelProto) -> Iterator[tuple[onnx.GraphProto, int]]:
    """All graphs with the trips of the loops around them, from the outside in; refuses loops that may run for long."""
    waiting: list[tuple[onnx.GraphProto, int]] = [(model.graph, 1)]
    while waiting:
        graph, trips = waiting.pop()
        yield graph, trips
        constants = _whole_numbers(graph)
        for node in graph.node:
            inner = trips
            if node.op_type == "Loop":
                count = constants.get(node.input[0]) if node.input else None
                if count is None or trips * max(count, 1) > MAX_TRIPS:
                    raise Refused(
                        f"The network has a loop ({node.name or 'without name'}) that may run more than {MAX_TRIPS} times. "
                        "Export the network without it; suppression of boxes is done by this service."
                    )
                inner = trips * max(count, 1)
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append((attribute.g, inner))
                waiting.extend((one, inner) for one in attribute.graphs)


def _whole_numbers(graph: onnx.GraphProto) -> dict[str, int]:
    """The constants of a graph that are one whole number, by name."""
    tensors = {one.name: one for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            for one in node.attribute:
                if one.name == "value":
                    tensors[node.output[0]] = one.t
    found = {}
    for name, tensor in tensors.items():
        is_single = int(np.prod(tensor.dims, dtype=np.float64)) == 1 if tensor.dims else True
        if is_single and tensor.data_type == TensorProto.INT64 and tensor.data_location != TensorProto.EXTERNAL:
            found[name] = int(numpy_helper.to_array(tensor).reshape(-1)[0])
    return found


def _check_nodes(model: onnx.ModelProto) -> None:
    count = 0
    for graph, _ in _graphs(model):
        tensors = [*graph.initializer, *(one.values for one in graph.sparse_initializer)]
        count += len(graph.node)
        if count > MAX_NODES:
            raise Refused(f"The network has more than {MAX_NODES} nodes.")
        for node in graph.node:
            if node.domain not in DOMAINS:
                raise Refused(
                    f"The network has the operator {node.op_type[:80]} of the domain '{node.domain[:80]}'; only standard "
                    "operators are taken. Export it without operators of a vendor."
                )
            for attribute in node.attribute:
                tensors += [attribute.t] if attribute.HasField("t") else []
                tensors += attribute.tensors
            if any(name.startswith(PREFIX) for name in node.output):
                raise Refused(f"The network has names that begin with {PREFIX}, which are this service's own.")
        for tensor in tensors:
            if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
                raise Refused(
                    "The network's weights are in other files (external data). Save it as one file: "
                    "onnx.save(model, path, save_as_external_data=False)."
                )


def _info(value: onnx.ValueInfoProto) -> TensorInfo:
    if not value.type.HasField("tensor_type"):
        raise Refused(f"'{value.name[:80]}' is no tensor; only tensors are taken as inputs and outputs.")
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return TensorInfo(value.name, tensor.elem_type, None)
    dims = tuple(one.dim_value if one.HasField("dim_value") and one.dim_value > 0 else None for one in tensor.shape.dim)
    return TensorInfo(value.name, tensor.elem_type, dims)


def _image_of(inputs: list[TensorInfo]) -> tuple[ImageInput, list[TensorInfo]]:
    found = [one for one in inputs if one.kind in _FLOATS and one.dims is not None and len(one.dims) in (3, 4)]
    if len(found) != 1:
        listed = ", ".join(f"{one.name[:80]} {shown(one.dims)}" for one in inputs) or "none"
        raise Refused(
            "The network must have one input for an image, float32, float16 or uint8 with three channels; its inputs: "
            f"{listed}."
        )
    image = found[0]
    assert image.dims is not None
    has_batch = len(image.dims) == 4
    if has_batch and image.dims[0] not in (1, None):
        raise Refused(
            f"The input {image.name[:80]} takes {image.dims[0]} images at once. Export the network for one image at a time, "
            "or with a dynamic batch."
        )
    sides = image.dims[-3:]
    if (sides[0] == 3) == (sides[2] == 3):
        raise Refused(
            f"The input {image.name[:80]} is {shown(image.dims)}: three channels must be its first or its last axis after "
            "the batch, and not both. Export it with fixed channels."
        )
    channels_last = sides[2] == 3
    height, width = sides[:2] if channels_last else sides[1:]
    hw = None if height is None or width is None else (height, width)
    return ImageInput(image.name, image.kind, channels_last, has_batch, hw), [one for one in inputs if one is not image]


def shown(dims: tuple[int | None, ...] | None) -> str:
    """A shape for people: ``1 x 3 x ? x ?``."""
    return (
        "of unknown shape" if dims is None else " x ".join("?" if one is None else str(one) for one in dims) or "scalar"
    )


def kind_name(kind: int) -> str:
    """The name of an element type."""
    return str(helper.tensor_dtype_to_string(kind)).removeprefix("TensorProto.").lower()
