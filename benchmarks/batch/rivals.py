"""Other ways to do the same work, each as a child process of a benchmark: one JSON object a line, in and out.

    python rivals.py naive|torch NETWORK.onnx OUT.jsonl
        {"paths", "seconds"} → {"images", "seconds", "boxes"}
    python rivals.py ray NETWORK.onnx OUT.jsonl
        {"paths", "layout"} → the same, and {"working_seconds", "layout"}

`naive` is the straightforward script: Pillow decodes at full size, ONNX Runtime runs with its defaults, numpy suppresses,
json writes. `torch` is the loop of a hub's pipeline: Pillow, then torch, eager, eight images at a time. `ray` is Ray Data;
a task without a layout tries some and tells the best. None of them handles errors, orientation, restarts or order of
results. "seconds" ends a task early; the boxes go to OUT.jsonl. Needs none of the product's modules, so that any Python
with numpy, Pillow and what the rival is made of can run it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

CONFIDENT = 0.5
OVERLAP = 0.6
MAX_BOXES = 100
FILL = 127
TORCH_BATCH = 8
RAY_TRIED = (("one stage in batches", 8), ("one stage in batches", 32), ("two stages in batches", 8),
             ("two stages in batches", 32))  # fmt: skip


# ---- the parts that all share ------------------------------------------------------------------------------------------


def frame_of(path: str, input_hw: tuple[int, int], draft: bool = False) -> tuple[np.ndarray, float, int, int]:
    """(H, W, 3) uint8 with the image at its top left, the scale, and the original's width and height."""
    height, width = input_hw
    with Image.open(path) as image:
        original_width, original_height = image.size
        scale = min(width / original_width, height / original_height)
        if draft:
            image.draft("RGB", (int(original_width * scale), int(original_height * scale)))
        picture = image.convert("RGB")
    size = (max(1, round(original_width * scale)), max(1, round(original_height * scale)))
    frame = np.full((height, width, 3), FILL, np.uint8)
    frame[: size[1], : size[0]] = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))[:height, :width]
    return frame, scale, original_width, original_height


def suppressed(boxes: np.ndarray, scores: np.ndarray) -> list[tuple[int, int]]:
    """Greedy suppression by label in plain numpy: (anchor, label) of the boxes that stay, best first by label."""
    kept = []
    for label in range(scores.shape[1]):
        order = np.flatnonzero(scores[:, label] >= CONFIDENT)
        order = order[np.argsort(-scores[order, label])]
        while len(order):
            best, rest = order[0], order[1:]
            kept.append((int(best), label))
            top_left = np.maximum(boxes[best, :2], boxes[rest, :2])
            bottom_right = np.minimum(boxes[best, 2:], boxes[rest, 2:])
            inner = np.clip(bottom_right - top_left, 0, None).prod(axis=1)
            areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
            order = rest[inner <= OVERLAP * (areas[best] + areas[rest] - inner)]
    return kept[:MAX_BOXES]


def line_of(path: str, boxes: np.ndarray, scores: np.ndarray, scale: float, width: int, height: int) -> tuple[str, int]:
    """One image's line, in the form of the service's files, and how many boxes it holds."""
    found = []
    for anchor, label in suppressed(boxes, scores):
        left, top, right, bottom = (boxes[anchor] / scale / [width, height, width, height]).clip(0, 1).tolist()
        vertices = [{"x": left, "y": top}, {"x": right, "y": bottom}]
        detail = {"bounding_box": {"normalized_vertices": vertices}, "score": float(scores[anchor, label])}
        found.append({"annotation_spec_id": str(label), "image_object_detection": detail})
    return json.dumps({"ID": path, "annotations": found}) + "\n", len(found)


def session_of(network: str, threads: int = 0) -> Any:
    """An ONNX Runtime session on the CPU; 0 leaves the number of threads to it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


# ---- the straightforward script ----------------------------------------------------------------------------------------


def naive(network: str, out: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Image after image: open, resize, run, suppress, write."""
    session = session_of(network)
    input_hw = tuple(session.get_inputs()[0].shape[1:3])

    def run(task: dict[str, Any]) -> dict[str, Any]:
        images = boxes_found = 0
        started_s = time.perf_counter()
        with open(out, "w") as file:  # noqa: PTH123
            for path in task["paths"]:
                frame, scale, width, height = frame_of(path, input_hw)
                boxes, scores = session.run(["boxes", "scores"], {"pixels": frame[None]})
                line, count = line_of(path, boxes[0], scores[0], scale, width, height)
                file.write(line)
                images, boxes_found = images + 1, boxes_found + count
                if time.perf_counter() - started_s > task["seconds"]:
                    break
        return {"images": images, "seconds": time.perf_counter() - started_s, "boxes": boxes_found}

    return run


# ---- a loop in torch ---------------------------------------------------------------------------------------------------


def eager(network: str) -> Callable[[Any], tuple[Any, Any]]:
    """The network's own weights, run operation by operation by torch; its normalisations are folded already."""
    import onnx
    import torch
    from onnx import numpy_helper
    from torch.nn import functional

    graph = onnx.load(network).graph
    constants = {one.name: torch.from_numpy(np.array(numpy_helper.to_array(one))) for one in graph.initializer}
    operations: dict[str, Callable[..., Any]] = {
        "Cast": lambda a, v: v[0].float(),
        "Transpose": lambda a, v: v[0].permute(*a["perm"]),
        "Add": lambda a, v: v[0] + v[1],
        "Sub": lambda a, v: v[0] - v[1],
        "Mul": lambda a, v: v[0] * v[1],
        "Relu": lambda a, v: functional.relu(v[0]),
        "Clip": lambda a, v: torch.clamp(v[0], float(v[1]), float(v[2])),
        "Sigmoid": lambda a, v: torch.sigmoid(v[0]),
        "Softmax": lambda a, v: torch.softmax(v[0], a["axis"]),
        "Concat": lambda a, v: torch.cat(v, a["axis"]),
        "MatMul": lambda a, v: v[0] @ v[1],
        "Resize": lambda a, v: functional.interpolate(v[0], scale_factor=2.0),
        "Reshape": lambda a, v: v[0].reshape([v[0].shape[n] if k == 0 else k for n, k in enumerate(v[1].tolist())]),
        "MaxPool": lambda a, v: functional.max_pool2d(v[0], a["kernel_shape"], a["strides"], a.get("pads", [0])[0]),
        "Conv": lambda a, v: functional.conv2d(
            v[0], v[1], v[2], a.get("strides", [1, 1]), a.get("pads", [0])[0], 1, a.get("group", 1)
        ),
    }
    nodes = [(n.op_type, list(n.input), n.output[0], {a.name: _plain(a) for a in n.attribute}) for n in graph.node]
    unknown = {kind for kind, *_ in nodes} - set(operations)
    if unknown:
        raise ValueError(f"torch's loop has no {', '.join(sorted(unknown))}")

    @torch.inference_mode()
    def run(pixels: Any) -> tuple[Any, Any]:
        values: dict[str, Any] = {**constants, "pixels": torch.from_numpy(pixels), "": None}
        for kind, inputs, output, attributes in nodes:
            values[output] = operations[kind](attributes, [values[name] for name in inputs])
        return values["boxes"].numpy(), values["scores"].numpy()

    return run


def _plain(attribute: Any) -> Any:
    import onnx

    return onnx.helper.get_attribute_value(attribute)


def torch_loop(network: str, out: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Eight images at a time: open, resize, stack, run, suppress, write."""
    import onnx

    run_network = eager(network)
    dimensions = onnx.load(network).graph.input[0].type.tensor_type.shape.dim
    input_hw = (dimensions[1].dim_value, dimensions[2].dim_value)

    def run(task: dict[str, Any]) -> dict[str, Any]:
        images = boxes_found = 0
        paths = task["paths"]
        started_s = time.perf_counter()
        with open(out, "w") as file:  # noqa: PTH123
            for start in range(0, len(paths), TORCH_BATCH):
                batch = paths[start : start + TORCH_BATCH]
                frames = [frame_of(path, input_hw) for path in batch]
                boxes, scores = run_network(np.stack([frame for frame, *_ in frames]))
                for row, (path, (_, scale, width, height)) in enumerate(zip(batch, frames, strict=True)):
                    line, count = line_of(path, boxes[row], scores[row], scale, width, height)
                    file.write(line)
                    boxes_found += count
                images += len(batch)
                if time.perf_counter() - started_s > task["seconds"]:
                    break
        return {"images": images, "seconds": time.perf_counter() - started_s, "boxes": boxes_found}

    return run


# ---- Ray Data ----------------------------------------------------------------------------------------------------------


def decoded(batch: dict[str, Any], input_hw: tuple[int, int]) -> dict[str, Any]:
    """Ray's first stage where there are two: a batch of paths to frames."""
    started_s = time.time()
    frames = [frame_of(path, input_hw, draft=True) for path in batch["path"]]
    return {
        "path": batch["path"],
        "frame": np.stack([frame for frame, *_ in frames]),
        "geometry": np.asarray([[scale, width, height] for _, scale, width, height in frames]),
        "began_s": np.full(len(frames), started_s),
    }


class Detector:
    """Ray's actor: one session with one thread, for as many actors as there are cores."""

    def __init__(self, network: str, threads: int) -> None:
        self.session = session_of(network, threads)
        self.input_hw = tuple(self.session.get_inputs()[0].shape[1:3])

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        if "frame" not in batch:
            batch = decoded(batch, self.input_hw)
        lines, counts = [], []
        for path, frame, (scale, width, height) in zip(batch["path"], batch["frame"], batch["geometry"], strict=True):
            boxes, scores = self.session.run(
                ["boxes", "scores"], {"pixels": frame[None]}
            )  # batches gain nothing on CPUs
            line, count = line_of(str(path), boxes[0], scores[0], scale, int(width), int(height))
            lines.append(line)
            counts.append(count)
        ended = np.full(len(lines), time.time())
        return {"line": np.asarray(lines), "boxes": np.asarray(counts), "began_s": batch["began_s"], "ended_s": ended}


def ray_data(network: str, out: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """`map_batches` over paths; the first task chooses among `RAY_TRIED`."""
    import logging

    import ray

    cores = len(os.sched_getaffinity(0))
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    ray.init(
        num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
        runtime_env={"env_vars": {"PYTHONPATH": here}},
    )  # fmt: skip
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    input_hw = tuple(session_of(network).get_inputs()[0].shape[1:3])

    def once(paths: list[str], layout: str, batch: int) -> dict[str, Any]:
        started_s = time.perf_counter()
        blocks = max(cores, min(len(paths) // batch, 64))
        data = ray.data.from_items([{"path": path} for path in paths], override_num_blocks=blocks)
        actors = cores
        if layout.startswith("two"):
            data = data.map_batches(decoded, batch_size=batch, fn_kwargs={"input_hw": input_hw}, num_cpus=0.5)
            actors = max(1, cores - 1)
        data = data.map_batches(
            Detector, fn_constructor_args=(network, 1), batch_size=batch, num_cpus=0.5, concurrency=actors
        )
        boxes_found, began_s, ended_s = 0, [], []
        with open(out, "w") as file:  # noqa: PTH123
            for answer in data.iter_batches(batch_size=None):
                file.writelines(answer["line"].tolist())
                boxes_found += int(answer["boxes"].sum())
                began_s.append(answer["began_s"].min())
                ended_s.append(answer["ended_s"].max())
        return {
            "images": len(paths), "seconds": time.perf_counter() - started_s, "boxes": boxes_found,
            "working_seconds": float(max(ended_s) - min(began_s)), "layout": f"{layout} of {batch}",
        }  # fmt: skip

    def run(task: dict[str, Any]) -> dict[str, Any]:
        if "layout" in task:
            layout, _, batch = task["layout"].partition(" of ")
            return once(task["paths"], layout, int(batch))
        tried = [once(task["paths"], *one) for one in RAY_TRIED]
        return min(tried, key=lambda answer: answer["working_seconds"])

    return run


def main() -> None:
    """Loads the network, says so, then answers tasks until its input ends."""
    what, network, out = sys.argv[1:]
    answers = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
    answer = {"naive": naive, "torch": torch_loop, "ray": ray_data}[what](network, out)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
