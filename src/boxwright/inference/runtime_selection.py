"""The runtimes that a network runs in, behind one seam: OpenVINO on the CPU, ONNX Runtime on a GPU.

    open_runtime(network, input_hw, streams) -> Runtime     the one that fits this machine
    Runtime.infer(pixels) -> RawOutput                      one image; any number of threads may call

Scores differ between runtimes by less than 1e-3 and boxes by less than half a pixel; within one runtime an image's answer
is the same to the last bit, whatever else is asked meanwhile.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pathlib

from boxwright.inference.model_folder import ModelError, StoredNetwork
from boxwright.inference.onnx_runtime import OnnxRuntime
from boxwright.inference.openvino_runtime import OpenVinoRuntime
from boxwright.inference.runtime import Runtime

CHOICES = ("auto", "cpu", "gpu")
GPU_PROVIDER = "CUDAExecutionProvider"  # ONNX Runtime's name
GPU_BATCH = 32  # images that one pass over the GPU takes; every pass has this size, so that answers never vary with it
_GPU_DEVICE = pathlib.Path("/dev/nvidiactl")

log = logging.getLogger(__name__)


def open_runtime(
    network: StoredNetwork,
    input_hw: tuple[int, int],
    streams: int,
    choice: str = "auto",
    compiled_in: pathlib.Path | None = None,
) -> Runtime:
    """Loads a network where it runs best.

    Args:
        network: its files.
        input_hw: its input in pixels.
        streams: images in flight on the CPU, one thread each.
        choice: "cpu"; "gpu"; or "auto": the GPU if one is visible, ONNX Runtime for it is installed and starts, and the
            network is one that it can read, else the CPU.
        compiled_in: the model folder that keeps what was compiled for the CPU; None: nothing is kept.

    Raises:
        ModelError: the runtime does not accept the network, or no GPU can be used although one is asked for.
    """
    if choice == "gpu" and not gpu_is_usable():
        raise ModelError("no GPU can be used: none is visible, or Boxwright's extra `gpu` is not installed.")
    if choice == "gpu" and not network.is_onnx:
        raise ModelError(f"{network.name} runs on the CPU only; with force_fp32 the model runs on the GPU.")
    if is_for_a_gpu(network.is_onnx, choice):
        try:
            return OnnxRuntime(network, input_hw, provider=GPU_PROVIDER, batch=GPU_BATCH)
        except ModelError as error:
            if choice == "gpu":
                raise
            log.warning("event=gpu_unused reason=%r", str(error))
    return OpenVinoRuntime(network, input_hw, streams, compiled_in)


def is_for_a_gpu(is_onnx: bool, choice: str) -> bool:
    """Whether a network goes to a GPU by that choice (`open_runtime`); an int8 one, which is not ONNX, never does."""
    return choice != "cpu" and is_onnx and gpu_is_usable()


def gpu_is_usable() -> bool:
    """Whether a GPU is visible and the runtime for it installed; loads that runtime only where there is a GPU."""
    if not _GPU_DEVICE.exists() or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    if importlib.util.find_spec("onnxruntime") is None:
        return False
    import onnxruntime

    return GPU_PROVIDER in onnxruntime.get_available_providers()


# ---- OpenVINO ---------------------------------------------------------------------------------------------------------


# ---- ONNX Runtime -----------------------------------------------------------------------------------------------------
