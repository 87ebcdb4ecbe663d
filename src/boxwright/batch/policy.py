"""The policy of a prediction: what decides the candidates of an image besides its bytes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json

from boxwright.images import decode
from boxwright.inference import loaded_model

# whose versions may change the last digit of a score
_LIBRARIES = {
    "cpu": ("numpy", "openvino", "pillow", "simplejpeg"),
    "gpu": ("numpy", "onnxruntime-gpu", "pillow", "simplejpeg"),
}


def digest(model_digest: str, precision: str, floor: float, maximum: int, *, on_gpu: bool = False) -> str:
    """The sha256, hexadecimal, of a policy: former results are taken over only where it is the same.

    Args:
        model_digest: names the model's exact version.
        precision: of the network that predicts.
        floor: the least score of a candidate; 0 for all that the model has.
        maximum: at most so many candidates an image.
        on_gpu: whether a GPU predicts.
    """
    libraries = _LIBRARIES["gpu" if on_gpu else "cpu"]
    said = {
        "model": model_digest,
        "precision": precision,
        "floor": floor,
        "maximum": maximum,
        "decoding": decode.RESULTS_VERSION,
        "postprocessing": loaded_model.RESULTS_VERSION,
        "libraries": {name: _version(name) for name in libraries},
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""
