"""The runtimes: whichever runs a network, the answers are the same. Every runtime must pass this suite."""

from __future__ import annotations

import json
import pathlib
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S
from tests.support.predictions.tiny_model import TinyModel

from boxwright.batch.engine import opening
from boxwright.batch.job import MachineShare
from boxwright.images import decode
from boxwright.inference import model_folder, onnx_runtime, openvino_runtime, runtime_selection
from boxwright.inference.model_opening import open_model
from boxwright.inference.runtime import Runtime

STREAMS = 2
TOLERATED_SCORE, TOLERATED_PX = 1e-3, 0.5
PASSES = 6

Open = Callable[[model_folder.StoredNetwork, tuple[int, int]], Runtime]


def _in_onnx_runtime(batch: int) -> Open:
    # the GPU's class on the provider that every machine has: all but the provider itself is covered here
    return lambda network, input_hw: onnx_runtime.OnnxRuntime(
        network, input_hw, provider="CPUExecutionProvider", batch=batch
    )


RUNTIMES: dict[str, Open] = {
    "openvino": lambda network, input_hw: runtime_selection.open_runtime(network, input_hw, STREAMS, "cpu"),
    "onnx-runtime": _in_onnx_runtime(1),
    "onnx-runtime-in-batches": _in_onnx_runtime(4),
}
if runtime_selection.gpu_is_usable():  # nothing is skipped: without a GPU there is no such case
    RUNTIMES["gpu"] = lambda network, input_hw: runtime_selection.open_runtime(network, input_hw, STREAMS, "gpu")


@pytest.fixture(scope="module", params=["tiny_model", "tiny_classifier"])
def model(request: pytest.FixtureRequest) -> TinyModel:
    """A model of each kind."""
    found: TinyModel = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def network(model: TinyModel) -> model_folder.StoredNetwork:
    info = model_folder.ModelInfo.read(model.folder)
    return model_folder.read_network(model.folder, info, "fp32")


@pytest.fixture(scope="module")
def info(model: TinyModel) -> model_folder.ModelInfo:
    return model_folder.ModelInfo.read(model.folder)


@pytest.fixture(scope="module", params=RUNTIMES)
def runtime(request: pytest.FixtureRequest, network: model_folder.StoredNetwork, info: model_folder.ModelInfo):
    return RUNTIMES[request.param](network, info.input_hw)


def _frames(input_hw: tuple[int, int], count: int) -> list[npt.NDArray[np.uint8]]:
    return [
        np.random.default_rng(seed).integers(0, 256, (1, *input_hw, 3), np.uint8) // (1 + seed % 3)
        for seed in range(count)
    ]


def test_answers_are_those_of_the_default_runtime(runtime, network, info) -> None:
    default = runtime_selection.open_runtime(network, info.input_hw, 1, "cpu")
    for pixels in _frames(info.input_hw, 6):
        expected, found = default.infer(pixels), runtime.infer(pixels)
        assert found.boxes_px.shape == expected.boxes_px.shape and found.boxes_px.dtype == np.float32
        rows = len(found.boxes_px) if info.kind == model_folder.OBJECT_DETECTION else 1
        assert found.scores.shape == (rows, len(info.labels)) and found.scores.dtype == np.float32
        assert np.abs(found.boxes_px - expected.boxes_px).max(initial=0.0) < TOLERATED_PX
        assert np.abs(found.scores - expected.scores).max() < TOLERATED_SCORE


def test_an_image_s_answer_does_not_depend_on_its_neighbours(runtime, info) -> None:
    frames = _frames(info.input_hw, 5)
    alone = [runtime.infer(pixels) for pixels in frames]
    with futures.ThreadPoolExecutor(7) as pool:
        together = list(pool.map(runtime.infer, frames * 8))
    for index, found in enumerate(together):
        assert np.array_equal(found.boxes_px, alone[index % 5].boxes_px)
        assert np.array_equal(found.scores, alone[index % 5].scores)


class _Queue(list[Any]):
    """What waits for a pass; tells when that is enough for a full one."""

    def __init__(self, enough: int) -> None:
        super().__init__()
        self._enough = enough
        self.is_full = threading.Event()

    def append(self, place: Any) -> None:
        super().append(place)
        if len(self) >= self._enough:
            self.is_full.set()

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(key)
        if len(self) < self._enough:
            self.is_full.clear()


class _PatientSession:
    """A session of ONNX Runtime that ends each of the first passes when the images of the next one wait."""

    def __init__(self, session: Any, queue: _Queue) -> None:
        self._session, self._queue = session, queue
        self.passes = 0
        self.starved = False

    def run(self, *arguments: Any) -> Any:
        self.passes += 1
        if self.passes < PASSES and not self.starved:
            self.starved = not self._queue.is_full.wait(PATIENCE_S)
        return self._session.run(*arguments)


def test_whoever_has_an_answer_comes_back_while_the_next_pass_runs(network, info, monkeypatch) -> None:
    runtime = RUNTIMES["onnx-runtime-in-batches"](network, info.input_hw)  # four at once
    queue = _Queue(enough=len(runtime._frame))
    session = _PatientSession(runtime._session, queue)
    monkeypatch.setattr(runtime, "_waiting", queue)
    monkeypatch.setattr(runtime, "_session", session)
    pixels = _frames(info.input_hw, 1)[0]

    def call(_: int) -> None:
        while session.passes < PASSES and not session.starved:
            runtime.infer(pixels)

    callers = 2 * len(runtime._frame)  # of one pass and of the next
    with futures.ThreadPoolExecutor(callers) as pool:
        list(pool.map(call, range(callers)))
    assert not session.starved


def test_a_frame_of_another_size_is_its_own_caller_s_error(runtime, info) -> None:
    with pytest.raises((RuntimeError, ValueError)):
        runtime.infer(np.zeros((1, 8, 8, 3), np.uint8))
    runtime.infer(_frames(info.input_hw, 1)[0])  # and the runtime goes on


@pytest.mark.parametrize("name", RUNTIMES)
def test_what_is_no_network_is_refused(name: str, info) -> None:
    with pytest.raises(model_folder.ModelError, match=r"model\.onnx cannot be loaded"):
        RUNTIMES[name](model_folder.StoredNetwork("model.onnx", b"no network", None, "", "fp32"), info.input_hw)


def test_without_a_gpu_the_cpu_is_chosen_and_a_gpu_that_is_asked_for_is_refused(
    network, info, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not runtime_selection.gpu_is_usable()
    assert "OpenVINO" in runtime_selection.open_runtime(network, info.input_hw, 1).label
    with pytest.raises(model_folder.ModelError, match="no GPU can be used"):
        runtime_selection.open_runtime(network, info.input_hw, 1, "gpu")


@pytest.mark.parametrize("batch", [1, 4])
def test_a_runtime_that_fails_in_its_first_pass_is_refused_when_it_is_opened(network, info, batch: int) -> None:
    height, width = info.input_hw
    with pytest.raises(model_folder.ModelError, match=r"model\.onnx cannot be used: .*pixels"):
        _in_onnx_runtime(batch)(network, (height + 32, width))


@pytest.mark.filterwarnings("ignore:Specified provider")  # ONNX Runtime's, where it does not know the name
def test_a_gpu_whose_runtime_does_not_start_is_not_used_unless_asked_for(
    network, info, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys
) -> None:
    monkeypatch.setattr(runtime_selection, "gpu_is_usable", lambda: True)
    monkeypatch.setattr(runtime_selection, "GPU_PROVIDER", "NoSuchExecutionProvider")  # starts on no machine
    assert "OpenVINO" in runtime_selection.open_runtime(network, info.input_hw, 1, "auto").label
    assert "NoSuchExecutionProvider" in caplog.text
    assert capsys.readouterr().out == ""  # a child speaks to its parent there
    with pytest.raises(model_folder.ModelError, match="NoSuchExecutionProvider"):
        runtime_selection.open_runtime(network, info.input_hw, 1, "gpu")


# ---- the network that model.json chooses ----------------------------------------------------------------------------------


@pytest.fixture
def two_precisions(model: TinyModel, tmp_path: pathlib.Path) -> pathlib.Path:
    """A model with a second network, which halves every score, chosen as its int8 one."""
    folder = model.copy_to(tmp_path)
    openvino = openvino_runtime.load_openvino()
    graph = openvino_runtime.read_model(openvino.Core(), (folder / "model.onnx").read_bytes())
    scores = graph.outputs[-1].node.input_value(0)
    half = openvino.opset13.multiply(scores, openvino.opset13.constant(np.float32(0.5)))
    graph.outputs[-1].node.input(0).replace_source_output(half.output(0))
    openvino.save_model(graph, folder / "model.int8.xml", compress_to_fp16=False)
    document = json.loads((folder / "model.json").read_text())
    document["networks"] = {"fp32": "model.onnx", "int8": "model.int8.xml"}
    document["precision"] = "int8"
    for name in ("model.int8.xml", "model.int8.bin"):
        document["digests"][name] = model_folder.digest_of((folder / name).read_bytes())
    (folder / "model.json").write_text(json.dumps(document))
    return folder


def test_the_network_that_the_model_has_chosen_predicts_unless_another_is_forced(two_precisions) -> None:
    image = drawn_images.draw(0).content
    chosen = open_model(two_precisions, streams=1)
    forced = open_model(two_precisions, streams=1, precision="fp32")
    assert chosen.info.precision == "int8" and "int8" in chosen.runtime.label and "fp32" in forced.runtime.label
    prepared = chosen.prepare(image)
    assert np.array_equal(chosen.infer(prepared).scores, forced.infer(prepared).scores * np.float32(0.5))


@pytest.mark.parametrize("name", ["model.int8.xml", "model.int8.bin"])
def test_every_file_of_the_chosen_network_must_be_the_one_that_was_chosen(two_precisions, name: str) -> None:
    content = bytearray((two_precisions / name).read_bytes())
    content[-1] ^= 1
    (two_precisions / name).write_bytes(content)
    with pytest.raises(model_folder.ModelError, match=rf"{name} is not the file that model\.json describes"):
        open_model(two_precisions, streams=1)
    open_model(two_precisions, streams=1, precision="fp32", limits=decode.DEFAULT_LIMITS)


def test_a_precision_without_a_network_is_a_damaged_model(two_precisions) -> None:
    document = json.loads((two_precisions / "model.json").read_text())
    (two_precisions / "model.json").write_text(json.dumps({**document, "precision": "int4"}))
    with pytest.raises(model_folder.ModelError, match="names no network for int4"):
        open_model(two_precisions, streams=1)


@pytest.mark.parametrize(
    ("runtime", "precision", "has_peers"),
    [("auto", None, True), ("auto", "fp32", False), ("gpu", "fp32", False), ("cpu", "fp32", True)],
)
def test_one_process_feeds_a_gpu_and_an_int8_network_stays_with_many(
    two_precisions: pathlib.Path, monkeypatch: pytest.MonkeyPatch, runtime: str, precision: str | None, has_peers: bool
) -> None:
    monkeypatch.setattr(runtime_selection, "gpu_is_usable", lambda: True)
    assert opening.has_peers(MachineShare(4, runtime=runtime), str(two_precisions), precision) == has_peers
