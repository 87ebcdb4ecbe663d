"""The runtimes that a network runs in, behind one seam: OpenVINO on the CPU, ONNX Runtime on a GPU.

    open_runtime(network, input_hw, streams) -> Runtime     the one that fits this machine
    Runtime.infer(pixels) -> RawOutput                      one image; any number of threads may call

Scores differ between runtimes by less than 1e-3 and boxes by less than half a pixel; within one runtime an image's answer
is the same to the last bit, whoever asks beside it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import logging
import os
import pathlib
import queue
import sys
import threading
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from boxwright.prediction.compiled import Compiled
from boxwright.prediction.model_folder import ModelError, Network

CHOICES = ("auto", "cpu", "gpu")
GPU_PROVIDER = "CUDAExecutionProvider"  # ONNX Runtime's name
GPU_BATCH = 32  # images that one pass over the GPU takes; every pass has this size, so that answers never vary with it
_GPU_DEVICE = pathlib.Path("/dev/nvidiactl")
_WARMING_UP = threading.Lock()

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class RawOutput:
    """The network's answer for one image.

    Attributes:
        boxes_px: (A, 4) float32, xyxy in input pixels.
        scores: (A, C) float32 in [0, 1].
    """

    boxes_px: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]


class Runtime(Protocol):
    """A network, loaded. Safe for any number of threads.

    Attributes:
        label: what runs it, for people.
        waiting_threads: threads beyond one per core that a caller should let wait in `infer`, to keep it busy.
    """

    label: str
    waiting_threads: int

    def infer(self, pixels: npt.NDArray[np.uint8]) -> RawOutput:
        """Runs one image, (1, H, W, 3) uint8; waits for its turn."""


def open_runtime(
    network: Network,
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
    return OpenVino(network, input_hw, streams, compiled_in)


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


def _load_cuda(onnxruntime: Any) -> None:
    """Loads CUDA and cuDNN from Python packages where they are installed as such; the provider looks elsewhere only."""
    with contextlib.redirect_stdout(sys.stderr):  # it prints, and children speak to their parent over standard output
        onnxruntime.preload_dlls()


# ---- OpenVINO ---------------------------------------------------------------------------------------------------------


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


class OpenVino:
    """OpenVINO on the CPU: one image is one request on one thread, as many at once as there are streams."""

    waiting_threads = 0

    def __init__(
        self, network: Network, input_hw: tuple[int, int], streams: int, compiled_in: pathlib.Path | None = None
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
    return RawOutput(np.array(request.get_output_tensor(0).data[0]), np.array(request.get_output_tensor(1).data[0]))


# ---- ONNX Runtime -----------------------------------------------------------------------------------------------------


class _Place:
    """One image's place in a pass, and its caller's alarm: there is an answer, or it is this caller's turn to run a pass."""

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        self.pixels = pixels
        self.answer: RawOutput | BaseException | None = None
        self.alarm = threading.Event()


class OnnxRuntime:
    """ONNX Runtime with one execution provider; images that wait at the same time share a pass.

    Every pass has the same size, filled up with blank images: kernels are chosen by shape, so a fixed shape keeps an
    image's answer independent of its neighbours. There is no thread of its own: whoever finds the provider free runs a
    pass, and the first of those who came meanwhile runs the next one, for all of them.

    Args:
        network: in ONNX.
        input_hw: its input in pixels.
        provider: ONNX Runtime's name of the execution provider.
        batch: images per pass; a network that was exported for one image at a time gets one.
    """

    def __init__(self, network: Network, input_hw: tuple[int, int], *, provider: str, batch: int) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1  # sums are made in one order only
        settings.log_severity_level = 3
        # reduced-precision multiplication would move scores by more than runtimes may differ; the search for kernels by
        # timing would choose others each time
        options = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"} if provider.startswith("CUDA") else {}
        try:
            if provider.startswith("CUDA"):
                _load_cuda(onnxruntime)
            # with its own fallback it would print, go on with the CPU, and keep the reason to itself
            self._session = onnxruntime.InferenceSession(
                network.graph, settings, providers=[(provider, options)], enable_fallback=0
            )
        except Exception as error:  # its own classes, which have no common ancestor but Exception
            raise ModelError(f"{network.name} cannot be loaded: {error}") from error
        if provider not in self._session.get_providers():
            raise ModelError(f"{network.name} cannot be loaded: ONNX Runtime's {provider} did not start.")
        self.label = f"ONNX Runtime {onnxruntime.__version__}, {provider}, {network.precision}"
        entry = self._session.get_inputs()[0]
        self._name = entry.name
        batch = batch if isinstance(entry.shape[0], str) else 1
        self.waiting_threads = 2 * batch  # one pass under way, the next one gathering
        self._frame = np.zeros((batch, *input_hw, 3), np.uint8)  # filled by whoever runs a pass
        self._gate = threading.Lock()
        self._waiting: list[_Place] = []
        self._is_running = False  # if not, nobody waits
        try:
            self.infer(np.zeros((1, *input_hw, 3), np.uint8))  # some failures show only in a pass
        except RuntimeError as error:
            raise ModelError(f"{network.name} cannot be used: {error.__cause__}") from error

    def infer(self, pixels: npt.NDArray[np.uint8]) -> RawOutput:
        """See `Runtime`."""
        place = _Place(pixels)
        with self._gate:
            self._waiting.append(place)
            is_first, self._is_running = not self._is_running, True
        if not is_first:
            place.alarm.wait()
        if place.answer is None:
            try:
                self._pass()
            finally:
                self._hand_over()
        if not isinstance(place.answer, RawOutput):
            raise RuntimeError("the network's pass over this image failed") from place.answer
        return place.answer

    def _pass(self) -> None:
        with self._gate:
            places = self._waiting[: len(self._frame)]
            del self._waiting[: len(self._frame)]
        answers: list[RawOutput | BaseException] = []
        try:
            for row, place in enumerate(places):
                self._frame[row] = place.pixels[0]
            boxes_px, scores = self._session.run(["boxes", "scores"], {self._name: self._frame})
            answers = [RawOutput(boxes_px[row].copy(), scores[row].copy()) for row in range(len(places))]
        except Exception as error:  # whatever the runtime raises belongs to everybody in this pass
            answers = [error] * len(places)
        finally:  # nobody waits for ever, whatever happens
            for place, answer in zip(places, answers or [RuntimeError("interrupted")] * len(places), strict=True):
                place.answer = answer
                place.alarm.set()

    def _hand_over(self) -> None:
        """Wakes the next who waits, if there is one: the pass that it runs begins with itself."""
        with self._gate:
            self._is_running = bool(self._waiting)
            if self._waiting:
                self._waiting[0].alarm.set()
