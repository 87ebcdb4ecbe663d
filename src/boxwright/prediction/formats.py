"""Exchange formats of a trained model: the files that another runtime needs, as bytes."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Iterator

from boxwright.prediction.model_folder import MODEL_FILE, NETWORK_FILE, ModelInfo
from boxwright.prediction.runtimes import load_openvino, read_model

LABELS_FILE = "dict.txt"  # the real service's name for the list of labels, one a line in class order


def files(folder: pathlib.Path, model_format: str) -> Iterator[tuple[str, bytes]]:
    """Yields (file name, content) of an exported model; the description that others refer to comes last.

    Args:
        folder: the trained model's folder.
        model_format: ``onnx`` or ``openvino``.

    Raises:
        ModelError: the folder is incomplete or damaged.
    """
    info = ModelInfo.read(folder)
    match model_format:
        case "onnx":
            yield NETWORK_FILE, (folder / NETWORK_FILE).read_bytes()
        case "openvino":
            yield from _openvino_files(folder / NETWORK_FILE)
        case _:
            raise ValueError(f"unknown model format {model_format!r}")
    yield LABELS_FILE, "".join(label.display_name + "\n" for label in info.labels).encode()
    yield MODEL_FILE, (folder / MODEL_FILE).read_bytes()


def _openvino_files(network: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    openvino = load_openvino()
    with tempfile.TemporaryDirectory() as scratch:
        target = pathlib.Path(scratch, "model.xml")
        openvino.save_model(read_model(openvino.Core(), network.read_bytes()), target, compress_to_fp16=False)
        for path in (target.with_suffix(".bin"), target):
            yield path.name, path.read_bytes()
