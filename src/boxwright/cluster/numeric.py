"""What decides the digits that a processor computes. All hosts of a job are of one class, from its first shard to its last.

A shard that two hosts have predicted must have the same bytes. Networks in int8 and in fp32 give other digits on processors
with other instructions, and on a GPU.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform

import boxwright
from boxwright import machine, objects
from boxwright.inference.loaded_model import LoadedModel

NUMERIC_FILE = "numeric.json"  # in a job's scratch
DECISIVE = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "avx512_bf16", "amx_bf16")
PACKAGES = ("numpy", "openvino", "onnxruntime", "onnxruntime-gpu", "opencv-python-headless", "pillow", "cykooz-resizer")


def class_of(predictor: LoadedModel, precision: str | None) -> dict[str, str]:
    """What this process computes with.

    Returns:
        Names and values; two processes with equal ones give equal lines.
    """
    sets = machine.instruction_sets()
    return {
        "software": boxwright.__version__,
        "machine": platform.machine(),
        "instructions": " ".join(name for name in DECISIVE if name in sets),
        "runtime": type(predictor.runtime).__name__,
        "precision": precision or "",
        "model": predictor.digest,
        "packages": " ".join(f"{name}={found}" for name in PACKAGES if (found := _version(name))),
    }


def frozen(stores: objects.Stores, scratch: objects.ObjectUri, numeric: dict[str, str]) -> dict[str, str]:
    """The class of a job: that of the host that asks first.

    Raises:
        ApiError: the state cannot be read or written.
    """
    uri = scratch.child(NUMERIC_FILE)
    if stores.put_once(uri, json.dumps(numeric, sort_keys=True).encode()):
        return numeric
    first: dict[str, str] = json.loads(stores.get(uri))
    return first


def differences(numeric: dict[str, str], others: dict[str, str]) -> str:
    """Where two classes differ, in words; empty if they do not."""
    names = sorted(name for name in numeric.keys() | others.keys() if numeric.get(name) != others.get(name))
    return ", ".join(f"{name} {others.get(name)!r} instead of {numeric.get(name)!r}" for name in names)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
