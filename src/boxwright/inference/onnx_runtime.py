"""ONNX Runtime with one execution provider: images that wait at the same time share a pass."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright.inference.model_folder import ModelError, StoredNetwork
from boxwright.inference.runtime import NO_BOXES, RawOutput


def _load_cuda(onnxruntime: Any) -> None:
    """Loads CUDA and cuDNN from Python packages where they are installed as such; the provider looks elsewhere only."""
    with contextlib.redirect_stdout(sys.stderr):  # it prints, and children speak to their parent over standard output
        onnxruntime.preload_dlls()


class _Place:
    """One image's place in a pass, and its caller's alarm: there is an answer, or it is this caller's turn to run a pass."""

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        self.pixels = pixels
        self.answer: RawOutput | BaseException | None = None
        self.alarm = threading.Event()


class OnnxRuntime:
    """ONNX Runtime with one execution provider; images that wait at the same time share a pass.

    Every pass has the same size, filled up with blank images: kernels are chosen by shape, so a fixed shape keeps an
    image's answer independent of its neighbours. There is no thread of its own: a caller that finds the provider free runs a
    pass, and the first of those who came meanwhile runs the next one, for all of them.

    Args:
        network: in ONNX.
        input_hw: its input in pixels.
        provider: ONNX Runtime's name of the execution provider.
        batch: images per pass; a network that was exported for one image at a time gets one.
    """

    def __init__(self, network: StoredNetwork, input_hw: tuple[int, int], *, provider: str, batch: int) -> None:
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
        self._outputs = sorted(one.name for one in self._session.get_outputs())  # boxes, if there are any, and scores
        batch = batch if isinstance(entry.shape[0], str) else 1
        self.waiting_threads = 2 * batch  # one pass under way, the next one gathering
        self._frame = np.zeros((batch, *input_hw, 3), np.uint8)  # filled by the caller that runs a pass
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
            *rest, scores = self._session.run(self._outputs, {self._name: self._frame})
            if rest:
                answers = [RawOutput(rest[0][row].copy(), scores[row].copy()) for row in range(len(places))]
            else:
                answers = [RawOutput(NO_BOXES, scores[row : row + 1].copy()) for row in range(len(places))]
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
