"""The quantising process: `python -m boxwright.learning.quantise_main FOLDER THREADS KEPT`.

Reads the fp32 network and the calibration frames that lie in the folder, writes the int8 network beside them. A process of
its own: it can be given up at any moment, and torch stays out of it, which halves its memory.

    {"event": "done", "tools": {…}}          last, exit 0
    {"event": "failed", "message"}           last, exit 1

The end of standard input means that the parent is gone and ends it at once.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import threading
from typing import Any

import numpy as np

from boxwright import faults, processes
from boxwright.inference import model_folder, openvino_runtime

FRAMES_FILE = "calibration.npy"  # (N, H, W, 3) uint8, letterboxed as for prediction
INT8_FILE = "model.int8.xml"  # its weights lie beside it, as .bin
# Which convolutions stay in fp32, from the fastest network to the most careful one: the outputs cost nothing, the first
# convolution works at half the image's size and costs a quarter more.
KEPT = ("outputs", "outputs and first")
EXIT_FAILED = 1
EXIT_ORPHANED = 4


def load_nncf() -> Any:
    """Imports NNCF: without its usage reports, which go the way of OpenVINO's, and without torch.

    Torch is only needed to quantise torch's own networks; loading it costs seconds and 200 MB.
    """
    openvino_runtime.load_openvino()  # leaves a telemetry package that cannot be imported, so that NNCF falls back to a stub
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]  # makes the import fail, as documented
    import nncf

    return nncf


def kept_in_fp32(network: Any, kept: str) -> list[str]:
    """Names of the convolutions that one of `KEPT` means, in OpenVINO's model of the network."""
    convolutions = [one for one in network.get_ordered_ops() if one.get_type_name() == "Convolution"]
    after_bias = {
        one: [last for sum_ in _readers(one) for last in _readers(sum_)] for one in convolutions
    }  # outputs are rows: what reads the sum of convolution and bias gives it another shape
    names = [one.get_friendly_name() for one in convolutions if _types(after_bias[one]) & {"Reshape"}]
    return [*names, convolutions[0].get_friendly_name()] if kept == KEPT[1] else names


def _readers(operation: Any) -> list[Any]:
    return [reader.get_node() for output in operation.outputs() for reader in output.get_target_inputs()]


def _types(operations: list[Any]) -> set[str]:
    return {one.get_type_name() for one in operations}


def quantise(folder: pathlib.Path, kept: str) -> dict[str, str]:
    """Writes the int8 network; the same network and frames give the same bytes. Returns the tools' versions."""
    openvino, nncf = openvino_runtime.load_openvino(), load_nncf()
    frames = np.load(folder / FRAMES_FILE, mmap_mode="r")  # (N, H, W, 3)
    network = openvino_runtime.read_model(openvino.Core(), (folder / model_folder.NETWORK_FILE).read_bytes())
    quantised = nncf.quantize(
        network,
        nncf.Dataset([frames[index : index + 1] for index in range(len(frames))]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(frames),
        ignored_scope=nncf.IgnoredScope(names=kept_in_fp32(network, kept)),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            # weights use seven of eight bits: processors without VNNI would otherwise saturate, and find other boxes
            overflow_fix=nncf.OverflowFix.ENABLE,
            # the largest values seen, as the rounding in training has it
            activations_range_estimator_params=nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX,
        ),
    )
    faults.point("quantise.before_save")
    openvino.save_model(quantised, folder / INT8_FILE, compress_to_fp16=False)
    return {"nncf": nncf.__version__, "openvino": openvino.__version__.partition("-")[0]}


def _limit_cores(threads: int) -> None:
    """NNCF's own inferences take every core that they see."""
    usable = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, usable[-threads:])


def _watch_parent() -> None:
    sys.stdin.read()
    os._exit(EXIT_ORPHANED)


def main() -> int:
    """Quantises the folder that the command line names; returns the exit code."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # NNCF draws progress bars on standard output: nothing but events reaches the parent
    threading.Thread(target=_watch_parent, daemon=True).start()
    _limit_cores(int(sys.argv[2]))
    try:
        event = {"event": "done", "tools": quantise(pathlib.Path(sys.argv[1]), sys.argv[3])}
    except Exception as error:  # whatever the tools raise, the parent goes on with the network that it has
        event = {"event": "failed", "message": f"{type(error).__name__}: {error}"}
    channel.write(json.dumps(event) + "\n")
    channel.flush()
    return 0 if event["event"] == "done" else EXIT_FAILED


if __name__ == "__main__":
    processes.end_quickly()
    _code = main()
    sys.stderr.flush()
    os._exit(_code)  # native runtimes must not delay or spoil the end with their clean-up
