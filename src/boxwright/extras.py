"""The optional parts of Boxwright: which are installed, and what to install for those that are not."""

from __future__ import annotations

import importlib.util

IMPORT_PACKAGES = ("onnx",)
IMPORT_NEEDS = (
    "Importing models needs onnx, which is not installed here. Run `pip install 'boxwright[onnx]'` in the service's "
    "environment and restart it; predicting with imported models needs nothing more."
)
TRAINING_PACKAGES = ("torch", "onnx")  # without nncf a training works, and keeps its fp32 network
TRAINING_NEEDS = (
    "Training is not installed here. Run `pip install 'boxwright[train]'` in the service's environment and restart it; "
    "predicting needs nothing more."
)
RAY_PACKAGES = ("ray",)
RAY_NEEDS = (
    "ray_address is set, and Ray is not installed here. Run `pip install 'boxwright[ray]'` in the service's environment and "
    "restart it, or unset ray_address."
)

TRACES_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
TRACES_NEEDS = (
    "traces_endpoint is set, and OpenTelemetry is not installed here. Run `pip install 'boxwright[traces]'` in the "
    "service's environment and restart it, or unset traces_endpoint."
)


def can_train() -> bool:
    """Whether the packages of the extra `train` can be imported; imports none of them."""
    return all(importlib.util.find_spec(name) is not None for name in TRAINING_PACKAGES)


def can_use_ray() -> bool:
    """Whether the package of the extra `ray` can be imported; does not import it."""
    return all(importlib.util.find_spec(name) is not None for name in RAY_PACKAGES)


def can_trace() -> bool:
    """Whether the packages of the extra `traces` can be imported; imports no more than the packages that hold them."""
    try:
        return all(importlib.util.find_spec(name) is not None for name in TRACES_PACKAGES)
    except ModuleNotFoundError:  # of a package that would hold one
        return False


def can_import_models() -> bool:
    """Whether the packages of the extra `onnx` can be imported; imports none of them."""
    return all(importlib.util.find_spec(name) is not None for name in IMPORT_PACKAGES)
