"""What decides the digits that a processor computes. All hosts of a job are of one class, from its first shard to its last.

A shard that two hosts have predicted must have the same bytes. Networks in int8 and in fp32 give other digits on processors
with other instructions, and on a GPU.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping

import boxwright
from boxwright import machine, objects
from boxwright.batch import policy
from boxwright.batch.job import BatchSpec
from boxwright.inference.loaded_model import LoadedModel
from boxwright.inference.model_folder import ModelInfo
from boxwright.inference.onnx_runtime import OnnxRuntime

NUMERIC_FILE = "numeric.json"  # in a job's scratch
DECISIVE = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "avx512_bf16", "amx_bf16")
PACKAGES = (
    *("numpy", "openvino", "onnxruntime", "onnxruntime-gpu"),
    *("opencv-python-headless", "pillow", "simplejpeg", "cykooz-resizer"),
)


def class_of(predictor: LoadedModel, precision: str | None) -> dict[str, str]:
    """What this process computes with.

    Returns:
        Names and values; two processes with equal ones give equal lines.
    """
    return class_of_machine() | {
        "runtime": type(predictor.runtime).__name__,
        "precision": precision or "",
        "model": predictor.digest,
    }


def class_of_machine() -> dict[str, str]:
    """The part of a class that is known without a model."""
    sets = machine.instruction_sets()
    return {
        "software": boxwright.__version__,
        "machine": platform.machine(),
        "instructions": " ".join(name for name in DECISIVE if name in sets),
        "packages": " ".join(f"{name}={found}" for name in PACKAGES if (found := _version(name))),
    }


def is_of_a_gpu(numeric: Mapping[str, str]) -> bool:
    """Whether a GPU computes."""
    return numeric.get("runtime") == OnnxRuntime.__name__


def policy_digest(spec: BatchSpec, info: ModelInfo, numeric: Mapping[str, str]) -> str:
    """The policy of a job that is predicted by this class (`policy.digest`); empty if the job has none."""
    if not spec.policy_digest:
        return ""
    precision = spec.precision or info.precision
    on_gpu = is_of_a_gpu(numeric)
    return policy.digest(info.digest, precision, spec.policy_floor, info.max_detections, on_gpu=on_gpu)


def known(stores: objects.Stores, scratch: objects.ObjectUri) -> dict[str, str] | None:
    """The class of a job that a former attempt has begun; None if no host has opened it yet.

    Raises:
        ApiError: the state cannot be read.
    """
    try:
        first: dict[str, str] = json.loads(stores.get(scratch.child(NUMERIC_FILE)))
    except objects.ObjectNotFound:
        return None
    return first


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


def differences(numeric: Mapping[str, str], others: Mapping[str, str]) -> str:
    """Where two classes differ, in words; empty if they do not."""
    names = sorted(name for name in numeric.keys() | others.keys() if numeric.get(name) != others.get(name))
    return ", ".join(f"{name} {others.get(name)!r} instead of {numeric.get(name)!r}" for name in names)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
