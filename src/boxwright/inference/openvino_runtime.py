"""OpenVINO on the CPU: one image is one request on one thread."""

from __future__ import annotations

import logging
import pathlib
import queue
import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright.inference.compiled_cache import Compiled
from boxwright.inference.model_folder import ModelError, StoredNetwork
from boxwright.inference.runtime import NO_BOXES, RawOutput

log = logging.getLogger(__name__)

_WARMING_UP = threading.Lock()


def load_openvino() -> Any:
    """Imports the runtime: late, because it is heavy, and without its usage reports.

    Importing openvino sends a report over the network from a forked process, which also keeps the importer's standard
    output open. Without its telemetry package it falls back to a silent stub; nothing here may call home.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # makes the import fail, as documented
    import openvino

    return openvino


def read_model(core: Any, graph: bytes, weights: bytes | None = None) -> Any:
    """Reads a network into an `openvino.Model` that takes one image at a time.

    Args:
        core: an `openvino.Core`.
        graph: ONNX or OpenVINO's XML.
        weights: what belongs to the XML.

    Raises:
        RuntimeError: OpenVINO does not understand it.
    """
    model = core.read_model(graph, weights) if weights is not None else core.read_model(graph)
    shape = model.inputs[0].partial_shape
    if shape.is_dynamic:
        shape[0] = 1
        model.reshape(shape)
    return model


class OpenVinoRuntime:
    """OpenVINO on the CPU: one image is one request on one thread, as many at once as there are streams."""

    waiting_threads = 0

    def __init__(
        self, network: StoredNetwork, input_hw: tuple[int, int], streams: int, compiled_in: pathlib.Path | None = None
    ) -> None:
        openvino = load_openvino()
        self.label = f"OpenVINO {openvino.__version__.partition('-')[0]} on the CPU, {network.precision}"
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": str(streams),  # one thread a stream: sums are made in one order only
            "ENABLE_CPU_PINNING": "NO",  # several processes share these cores
        }
        core = openvino.Core()
        made_for = (network.digest, openvino.__version__, core.get_property("CPU", "FULL_DEVICE_NAME"), str(options))
        kept = Compiled(compiled_in, *made_for) if compiled_in is not None else None
        compiled = _restored(core, kept, options)
        if compiled is None:
            try:
                compiled = core.compile_model(read_model(core, network.graph, network.weights), "CPU", options)
            except RuntimeError as error:
                raise ModelError(f"{network.name} cannot be loaded: {error}") from error
            if kept is not None:
                kept.write(compiled.export_model().getvalue())
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        blank = np.zeros((1, *input_hw, 3), np.uint8)
        for _ in range(streams):
            request = compiled.create_infer_request()
            with _WARMING_UP:
                # one thread at a time: the binding sets up its use of arrays at the first inference, and two threads
                # doing so at once wait for each other for ever
                request.infer([blank])
                _copied(request)
            self._idle.put(request)

    def infer(self, pixels: npt.NDArray[np.uint8]) -> RawOutput:
        """See `Runtime`."""
        request = self._idle.get()
        try:
            request.infer([pixels], share_inputs=True, share_outputs=True)  # nothing is copied on the way in
            return _copied(request)
        finally:
            self._idle.put(request)


def _restored(core: Any, kept: Compiled | None, options: dict[str, str]) -> Any:
    """The compiled network that was kept; None if there is none, or OpenVINO does not take it back."""
    content = None if kept is None else kept.read()
    if content is None:
        return None
    try:
        return core.import_model(content, "CPU", options)
    except RuntimeError as error:
        log.warning("event=compiled_network_refused reason=%s", str(error).splitlines()[0])
        return None


def _copied(request: Any) -> RawOutput:
    """What a request has inferred; the request is reused."""
    if len(request.model_outputs) == 1:
        return RawOutput(NO_BOXES, np.array(request.get_output_tensor(0).data))
    return RawOutput(np.array(request.get_output_tensor(0).data[0]), np.array(request.get_output_tensor(1).data[0]))
