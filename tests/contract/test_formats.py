"""Every exported model runs in its own runtime and finds the boxes that the service finds."""

from __future__ import annotations

import io
import json
import pathlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.support.predictions.tiny_model import TinyModel

from boxwright.inference import export_formats
from boxwright.inference.openvino_runtime import load_openvino
from boxwright.inference.predictor import Predictor

Run = Callable[[npt.NDArray[np.uint8]], list[npt.NDArray[np.float32]]]


def _in_onnxruntime(folder: pathlib.Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: session.run(None, {name: pixels})


def _in_openvino(folder: pathlib.Path) -> Run:
    compiled = (
        load_openvino().Core().compile_model(str(folder / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    )
    return lambda pixels: list(compiled([pixels]).values())


RUNTIMES = {"onnx": _in_onnxruntime, "openvino": _in_openvino}


def _picture(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)).resize((320, 240))
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


@pytest.mark.parametrize("model_format", RUNTIMES)
def test_the_report_of_the_training_goes_with_the_model(
    model_format: str, tiny_model: TinyModel, tmp_path: pathlib.Path
):
    folder = tiny_model.copy_to(tmp_path)
    without = [name for name, _ in export_formats.files(folder, model_format)]
    (folder / "report.html").write_bytes(b"<p>fine</p>")
    exported = dict(export_formats.files(folder, model_format))
    assert exported.pop("report.html") == b"<p>fine</p>"
    assert list(exported) == without


@pytest.mark.parametrize("model_format", RUNTIMES)
def test_an_exported_model_gives_the_service_s_boxes_in_its_own_runtime(
    model_format: str, tiny_model: TinyModel, tmp_path: pathlib.Path
):
    for name, content in export_formats.files(tiny_model.folder, model_format):
        (tmp_path / name).write_bytes(content)
    run = RUNTIMES[model_format](tmp_path)
    predictor = Predictor.open(tiny_model.folder, streams=1)
    for seed in range(4):
        prepared = predictor.prepare(_picture(seed))
        ours = predictor.infer(prepared)
        boxes_px, scores = run(prepared.pixels)
        np.testing.assert_allclose(boxes_px[0], ours.boxes_px, atol=1e-2)
        np.testing.assert_allclose(scores[0], ours.scores, atol=1e-4)


@pytest.mark.parametrize("model_format", RUNTIMES)
def test_an_exported_model_brings_its_labels_and_its_description(model_format: str, tiny_model: TinyModel):
    exported = dict(export_formats.files(tiny_model.folder, model_format))
    described = json.loads(exported["model.json"])["labels"]
    assert exported["dict.txt"].decode().splitlines() == [label["display_name"] for label in described]
    assert all(exported.values()), "an empty file"
