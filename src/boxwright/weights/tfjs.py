"""A graph model of TensorFlow.js as arrays: the convolutions of a network whose normalisation is folded in.

The format is `model.json`, a GraphDef as JSON with a manifest of weights, and one file with their values, in the manifest's
order, without gaps. Values that were quantised to float16 are half-precision numbers as they stand.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
NUMBER = re.compile(r"convolution(?:_(\d+))?$")  # the first one has none
ADDITIONS = ("Add", "AddV2", "BiasAdd")


def values(document: dict[str, Any], content: bytes) -> dict[str, Array]:
    """The arrays of a model by name; float16 where the file has it.

    Raises:
        ValueError: the file is longer or shorter than the manifest says.
    """
    found: dict[str, Array] = {}
    position = 0
    for entry in document["weightsManifest"][0]["weights"]:
        kind = np.dtype(entry.get("quantization", entry)["dtype"])
        count = int(np.prod(entry["shape"], dtype=np.int64))
        found[entry["name"]] = np.frombuffer(content, kind, count, position).reshape(entry["shape"])
        position += count * kind.itemsize
    if position != len(content):
        raise ValueError(f"the values take {position} bytes, the file has {len(content)}")
    return found


def graph(topology: bytes, content: bytes) -> dict[str, Any]:
    """What is left of a model without its numbers: how it computes, so that a conversion can be compared with it.

    Returns:
        `nodes`, as published, without constants; `constants`, the whole numbers among them by name, as lists.
    """
    document = json.loads(topology)
    nodes = [node for node in document["modelTopology"]["node"] if node["op"] != "Const"]
    whole = {name: array.tolist() for name, array in values(document, content).items() if array.dtype.kind == "i"}
    return {"nodes": nodes, "constants": whole}


def convolutions(topology: bytes, content: bytes) -> list[tuple[Array, Array]]:
    """Kernel (out, in, h, w) and bias (out,) of every convolution, in the order of their names.

    Raises:
        ValueError: the model is not what this reads.
    """
    document = json.loads(topology)
    arrays = values(document, content)
    nodes = document["modelTopology"]["node"]
    biases: dict[str, Array] = {}
    for node in nodes:
        if node["op"] in ADDITIONS:
            inputs = [name.split(":")[0] for name in node["input"]]
            held = [name for name in inputs if name in arrays]
            biases |= {name: arrays[held[0]] for name in inputs if held and name not in arrays}
    found: dict[int, tuple[Array, Array]] = {}
    for node in nodes:
        matched = NUMBER.search(node["name"]) if node["op"] == "Conv2D" else None
        if matched is not None:
            (kernel,) = (name for name in node["input"] if name in arrays)
            # (h, w, in, out) there
            found[int(matched[1] or 0)] = arrays[kernel].transpose(3, 2, 0, 1), biases[node["name"]].reshape(-1)
    if sorted(found) != list(range(len(found))):
        raise ValueError("the convolutions are not numbered from 0 on")
    return [found[number] for number in range(len(found))]
