"""Exchange formats of a trained model: the files that another runtime needs, as bytes."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator

from boxwright import faults, temporary
from boxwright.inference.model_folder import (
    DEFAULT_PRECISION,
    MODEL_FILE,
    NETWORK_FILE,
    NOTICE_FILE,
    REPORT_FILE,
    ModelInfo,
    StoredNetwork,
    read_network,
)
from boxwright.inference.openvino_runtime import load_openvino, read_model

LABELS_FILE = "dict.txt"  # the real service's name for the list of labels, one a line in class order


def files(folder: pathlib.Path, model_format: str) -> Iterator[tuple[str, bytes]]:
    """Yields (file name, content) of an exported model; the description that others refer to comes last.

    Args:
        folder: the trained model's folder.
        model_format: ``onnx``, always in fp32, or ``openvino``, in the precision that the model predicts with.

    Raises:
        ModelError: the folder is incomplete or damaged.
    """
    info = ModelInfo.read(folder)
    description = (folder / MODEL_FILE).read_bytes()
    match model_format:
        case "onnx":
            yield NETWORK_FILE, read_network(folder, info, DEFAULT_PRECISION).graph
            if info.precision != DEFAULT_PRECISION:
                description = _fp32_description(info)
        case "openvino":
            yield from _openvino_files(read_network(folder, info, info.precision))
        case _:
            raise ValueError(f"unknown model format {model_format!r}")
    for name in (REPORT_FILE, NOTICE_FILE):
        if (folder / name).exists():
            yield name, (folder / name).read_bytes()
    yield LABELS_FILE, "".join(label.display_name + "\n" for label in info.labels).encode()
    yield MODEL_FILE, description


def _fp32_description(info: ModelInfo) -> bytes:
    """model.json for a folder that has no network but the fp32 one, so that it can be opened as a model folder."""
    document = {
        **info.document,
        "precision": DEFAULT_PRECISION,
        "networks": {DEFAULT_PRECISION: NETWORK_FILE},
        "digests": {NETWORK_FILE: info.document["digests"][NETWORK_FILE]},
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _openvino_files(network: StoredNetwork) -> Iterator[tuple[str, bytes]]:
    if network.weights is not None:
        yield from (("model.bin", network.weights), ("model.xml", network.graph))
        return
    openvino = load_openvino()
    with temporary.TemporaryFolder("export") as folder:
        target = folder.path / "model.xml"
        openvino.save_model(read_model(openvino.Core(), network.graph), target, compress_to_fp16=False)
        faults.point("export.after_save")
        for path in (target.with_suffix(".bin"), target):
            yield path.name, path.read_bytes()
