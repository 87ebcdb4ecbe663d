"""What it costs that an imported network has nodes around it, and how long an import with labelled images takes.

    python -m benchmarks.batch.imported [--quick] [--network best.onnx --labels 80]

    import   from the file to the model folder, with 100 labelled images that validate it
    bare     an image through the network alone, its numbers ready in memory
    adapted  the same image as bytes through the model that was made of it

Bare and adapted take turns; medians. Without `--network` the network is made: convolutions of random weights, 640 x 640
pixels, with the outputs of the layout yolov8. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.harness import arguments, pictures, results
from boxwright import machine
from boxwright.adapters import job, model_making
from boxwright.inference import openvino_runtime, predictor

SIDE, STRIDES = 640, (8, 16, 32)
CHANNELS = (16, 32, 64, 128, 256)  # each at half the size of the one before
IMAGES, TURNS = 100, 60


def made_network(labels: int, side: int) -> bytes:
    """A network of random weights with the outputs of yolov8."""
    random = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(array: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(array), f"w{len(constants)}"))
        return constants[-1].name

    def node(operation: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operation, list(inputs), [f"x{len(nodes)}"], **attributes))
        return str(nodes[-1].output[0])

    def convolution(x: str, into: int, out: int, stride: int, kernel: int = 3) -> str:
        scale = (2 / (into * kernel * kernel)) ** 0.5
        weight = constant((random.normal(size=(out, into, kernel, kernel)) * scale).astype(np.float32))
        pads = [kernel // 2] * 4
        return node("Conv", x, weight, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads)

    x, into, rows = "images", 3, []
    for number, out in enumerate(CHANNELS):
        x = node("Relu", convolution(x, into, out, 2))
        x = node("Relu", convolution(x, out, out, 1))
        into = out
        if 2 ** (number + 1) in STRIDES:
            head = convolution(x, out, 4 + labels, 1, 1)
            rows.append(node("Reshape", head, constant(np.asarray([1, 4 + labels, -1], np.int64))))
    shares = node("Sigmoid", node("Concat", *rows, axis=2))
    factors = np.ones((1, 4 + labels, 1), np.float32)
    factors[:, :4] = side
    nodes.append(helper.make_node("Mul", [shares, constant(factors)], ["output0"]))
    cells = sum((side // stride) ** 2 for stride in STRIDES)
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 4 + labels, cells])],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    return bytes(made.SerializeToString())


def imported(folder: pathlib.Path, network: bytes, labels: int, images: int) -> tuple[float, predictor.Predictor]:
    """Seconds of the import, and the model."""
    (folder / job.IMAGES_FOLDER).mkdir(parents=True)
    (folder / job.SOURCE_FILE).write_bytes(network)
    files = pictures.make(folder / "drawn", ["vga"], {"vga": 24})["vga"]
    with (folder / job.EXAMPLES_FILE).open("w") as lines:
        for number in range(images):
            (folder / job.IMAGES_FOLDER / str(number)).write_bytes(files[number % len(files)].read_bytes())
            row = {"file": str(number), "boxes": [[f"label {number % labels}", 0.2, 0.2, 0.6, 0.6]]}
            lines.write(json.dumps(row) + "\n")
    asked = job.ImportJob(
        model_id="IOD1",
        labels=tuple(f"label {number}" for number in range(labels)),
        accepts_unvalidated=True,
        memory_bytes=1 << 36,
        threads=machine.usable_cores(),
        timeout_s=3600.0,
    )
    started_s = time.perf_counter()
    model_making.make(folder, asked, lambda percent, stage, facts: None)
    elapsed_s = time.perf_counter() - started_s
    return elapsed_s, predictor.Predictor.open(folder / "model", streams=1, precision="fp32")


def turns(network: bytes, model: predictor.Predictor, count: int) -> tuple[float, float]:
    """Milliseconds an image: bare, adapted."""
    openvino = openvino_runtime.load_openvino()
    options = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "1"}
    core = openvino.Core()
    request = core.compile_model(openvino_runtime.read_model(core, network), "CPU", options).create_infer_request()
    height, width = model.input_hw
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    numbers = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    bare_ms: list[float] = []
    adapted_ms: list[float] = []
    for _ in range(count + 3):
        started_s = time.perf_counter()
        request.infer([numbers], share_inputs=True, share_outputs=True)
        between_s = time.perf_counter()
        model.runtime.infer(pixels)
        bare_ms.append(1e3 * (between_s - started_s))
        adapted_ms.append(1e3 * (time.perf_counter() - between_s))
    return statistics.median(bare_ms[3:]), statistics.median(adapted_ms[3:])  # the first ones warm up


def main() -> int:
    parser = arguments.parser(__doc__, quick="a small network, few images, under 30 s")
    parser.add_argument("--network", type=pathlib.Path, help="an ONNX file whose layout can be told (default: made)")
    parser.add_argument("--labels", type=int, default=80, help="how many labels it has (default 80)")
    options: argparse.Namespace = parser.parse_args()
    images, count, side = (20, 10, 320) if options.quick else (IMAGES, TURNS, SIDE)
    network = options.network.read_bytes() if options.network else made_network(options.labels, side)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        import_s, model = imported(pathlib.Path(temporary, "job"), network, options.labels, images)
        bare_ms, adapted_ms = turns(network, model, count)
        layout = model.info.document["adapter"]["layout"]
    share = bare_ms / adapted_ms
    print(f"{layout}, {model.input_hw[1]} x {model.input_hw[0]} pixels; import with {images} images {import_s:.1f} s")
    print(f"bare {bare_ms:.2f} ms, adapted {adapted_ms:.2f} ms: {share:.3f} of the bare network's speed")
    figures = {
        "import_s": round(import_s, 1),
        "bare_ms": round(bare_ms, 2),
        "adapted_ms": round(adapted_ms, 2),
        "speed_share": round(share, 3),
    }
    results.close(
        __file__,
        options,
        {**figures, "images": images, "quick": options.quick},
        source="docs/benchmarks.md",
        conditions=f"{layout}, {images} labelled images, {count} turns, medians",
        figures=figures,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
