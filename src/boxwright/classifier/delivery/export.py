"""The trained classifier as a model folder: model.json and model.onnx."""

from __future__ import annotations

import pathlib
from typing import Any

from boxwright.classifier.network import graph, network
from boxwright.images import decode, letterbox
from boxwright.inference import model_folder
from boxwright.learning import model_draft

AGREEMENT_SCORE = 1e-3  # largest difference allowed between training's network and the exported one


def write_draft(
    folder: pathlib.Path,
    trained: network.ClassificationNetwork,
    *,
    labels: list[dict[str, str]],
    model_type: str,
    classification_type: str,
    input_hw: tuple[int, int],
    provenance: dict[str, Any],
    notice: str = "",
) -> None:
    """Writes model.json and model.onnx, and a notice if there is one, into a fresh folder that nobody reads yet."""
    document = {
        "kind": model_folder.IMAGE_CLASSIFICATION,
        "classification_type": classification_type,
        "model_type": model_type,
        "input_hw": list(input_hw),
        "image_policy": decode.POLICY,
        "preprocessing": {
            "colour": "RGB",
            "orientation": "EXIF applied",
            "resize": "bilinear, antialiased, aspect kept, centred",
            "fill": letterbox.FILL,
            "input": "uint8 NHWC; normalisation is in the graph",
        },
        "provenance": provenance,
    }
    written = graph.to_onnx(trained, input_hw, classification_type)
    model_draft.write(folder, written, labels, document, notice)
