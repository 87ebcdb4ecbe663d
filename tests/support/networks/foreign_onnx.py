"""Small ONNX files as exporters of others write them: heads of random numbers, whose boxes are known and follow the image.

Each output is a table of numbers, some of which swing by a few per cent with the mean colour of what goes in. So a wrong
order of colours, a wrong normalisation and a wrong decoding all show.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

HW = (64, 96)
STRIDES = (8, 16, 32)
SWING = 0.05
Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Output:
    """An output: its numbers, and which of them swing."""

    name: str
    values: Array
    swings: Array
    kind: int = TensorProto.FLOAT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What exporters do differently.

    Attributes:
        labels: C.
        opset: of the file.
        kind: of the image's input.
        dynamic: axes of the image that are open, by place.
        batch: images at once.
        channels_last: whether the image is (1, H, W, 3).
        has_batch: whether there is an axis for images.
        metadata: written beside the graph.
        inputs: further inputs: name, type and shape.
        seed: of the numbers.
    """

    labels: int = 3
    opset: int = 17
    kind: int = TensorProto.FLOAT
    dynamic: tuple[int, ...] = ()
    batch: int = 1
    channels_last: bool = False
    has_batch: bool = True
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    inputs: tuple[tuple[str, int, tuple[int, ...]], ...] = ()
    seed: int = 0


def cells(hw: tuple[int, int] = HW) -> int:
    return sum((hw[0] // stride) * (hw[1] // stride) for stride in STRIDES)


def grid(hw: tuple[int, int] = HW) -> tuple[Array, Array]:
    """Columns and rows of the cells (A, 2), and their strides (A, 1)."""
    places = [(x, y) for s in STRIDES for y in range(hw[0] // s) for x in range(hw[1] // s)]
    sizes = [[s] for s in STRIDES for _ in range((hw[0] // s) * (hw[1] // s))]
    return np.asarray(places, np.float32), np.asarray(sizes, np.float32)


def network(outputs: Sequence[Output], options: Options) -> bytes:
    """The file."""
    random = np.random.default_rng(options.seed + 1000)
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(array: Array) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), f"w{len(constants)}"))
        return constants[-1].name

    def node(operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"x{len(nodes)}"
        nodes.append(helper.make_node(operation, list(inputs), [output], f"node{len(nodes)}", **attributes))
        return output

    x = node("Cast", "images", to=TensorProto.FLOAT)
    sides = [2, 3] if not options.channels_last else [1, 2]
    if not options.has_batch:
        x, sides = node("Reshape", x, constant(np.asarray([1, 3, *HW]))), [2, 3]
    if options.opset < 18:
        x = node("ReduceMean", x, axes=sides, keepdims=0)
    else:
        x = node("ReduceMean", x, constant(np.asarray(sides, np.int64)), keepdims=0)
    if options.batch > 1:
        x = node("Slice", x, *(constant(np.asarray([one], np.int64)) for one in (0, 1, 0)))
    declared = []
    for one in outputs:
        values = one.values.reshape(1, -1).astype(np.float32)
        weights = (random.normal(size=(3, values.size)) * [[1.0], [2.0], [3.0]]).astype(np.float32)
        swing = node("Sin", node("MatMul", x, constant(weights)))
        swing = node(
            "Mul", swing, constant((SWING * one.swings * np.abs(one.values)).reshape(1, -1).astype(np.float32))
        )
        found = node("Add", swing, constant(values))
        shape = constant(np.asarray(one.values.shape, np.int64))
        if one.kind == TensorProto.FLOAT:
            node("Reshape", found, shape, output=one.name)
        else:
            node("Cast", node("Reshape", found, shape), to=one.kind, output=one.name)
        declared.append(helper.make_tensor_value_info(one.name, one.kind, list(one.values.shape)))
    image: list[Any] = [options.batch, *((*HW, 3) if options.channels_last else (3, *HW))]
    image = image if options.has_batch else image[1:]
    for place in options.dynamic:
        image[place] = f"axis{place}"
    inputs = [helper.make_tensor_value_info("images", options.kind, image)]
    inputs += [helper.make_tensor_value_info(name, kind, list(shape)) for name, kind, shape in options.inputs]
    graph = helper.make_graph(nodes, "foreign", inputs, declared, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", options.opset)], producer_name="another")
    made.ir_version = 10 if options.opset > 18 else 8
    for key, value in options.metadata.items():
        made.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def _random(options: Options) -> np.random.Generator:
    return np.random.default_rng(options.seed)


def _scores(random: np.random.Generator, *shape: int) -> Array:
    return random.uniform(0.02, 0.93, shape)


def _centred(random: np.random.Generator, rows: int) -> Array:
    """Centres and sides in pixels, (rows, 4), inside the frame."""
    centres = random.uniform(0.3, 0.7, (rows, 2)) * HW[::-1]
    return np.concatenate([centres, random.uniform(0.1, 0.4, (rows, 2)) * HW[::-1]], axis=1)


def corners(centred: Array) -> Array:
    return np.concatenate([centred[:, :2] - centred[:, 2:] / 2, centred[:, :2] + centred[:, 2:] / 2], axis=1)


def _whole(name: str, values: Array, kind: int = TensorProto.FLOAT) -> Output:
    return Output(name, values, np.ones(values.shape), kind)


def yolov5(options: Options) -> list[Output]:
    random, rows = _random(options), 3 * cells()
    return [
        _whole("output0", np.concatenate([_centred(random, rows), _scores(random, rows, 1 + options.labels)], 1)[None])
    ]


def yolov8(options: Options) -> list[Output]:
    random, rows = _random(options), cells()
    return [
        _whole("output0", np.concatenate([_centred(random, rows), _scores(random, rows, options.labels)], 1).T[None])
    ]


def yolov8_transposed(options: Options) -> list[Output]:
    (one,) = yolov8(options)
    return [_whole("output0", one.values.transpose(0, 2, 1))]


def _end_to_end(options: Options, factor: Array, first: int) -> list[Output]:
    random, rows = _random(options), 30
    classes = np.concatenate([np.arange(options.labels), random.integers(0, options.labels, rows - options.labels)])
    table = np.concatenate(
        [corners(_centred(random, rows)) / factor, _scores(random, rows, 1), classes[:, None] + first], axis=1
    )[None]
    swings = np.ones(table.shape)
    swings[..., 5] = 0
    return [Output("output0", table, swings)]


def yolo_e2e(options: Options) -> list[Output]:
    return _end_to_end(options, np.ones(4), 0)


def yolo_e2e_norm(options: Options) -> list[Output]:
    return _end_to_end(options, np.asarray([*HW[::-1], *HW[::-1]]), 0)


def effdet_corners(options: Options) -> list[Output]:
    return _end_to_end(options, np.ones(4), 1)


def _offsets(random: np.random.Generator, rows: int) -> Array:
    return np.concatenate([random.uniform(0.1, 0.9, (rows, 2)), random.uniform(-0.5, 1.0, (rows, 2))], axis=1)


def yolox_raw(options: Options) -> list[Output]:
    random, rows = _random(options), cells()
    return [
        _whole("output", np.concatenate([_offsets(random, rows), _scores(random, rows, 1 + options.labels)], 1)[None])
    ]


def yolox(options: Options) -> list[Output]:
    (one,) = yolox_raw(options)
    table = one.values.copy()
    places, strides = grid()
    table[0, :, :2] = (table[0, :, :2] + places) * strides
    table[0, :, 2:4] = np.exp(table[0, :, 2:4]) * strides
    return [_whole("output", table)]


def yolonas(options: Options) -> list[Output]:
    random, rows = _random(options), cells()
    scores = _scores(random, rows, options.labels)[None]
    return [_whole("913", corners(_centred(random, rows))[None]), _whole("904", scores)]


def effdet(options: Options) -> list[Output]:
    (one,) = effdet_corners(options)
    rows = one.values[0]
    table = np.concatenate([np.zeros((len(rows), 1)), rows[:, [1, 0, 3, 2, 4, 5]]], axis=1)[None]
    swings = np.ones(table.shape)
    swings[..., [0, 6]] = 0
    return [Output("detections", table, swings)]


def effdet_sides(options: Options) -> list[Output]:
    (one,) = effdet(options)
    table = one.values[..., [0, 2, 1, 4, 3, 5, 6]].copy()
    table[..., 3:5] -= table[..., 1:3]
    table[..., 3:5] *= 0.4  # narrower than far: read as corners, right would lie before left
    return [Output("detections", table, one.swings)]


def rtdetr(options: Options) -> list[Output]:
    (one,) = yolo_e2e(options)
    rows = one.values[0]
    labels = Output("labels", rows[None, :, 5], np.zeros((1, len(rows))), TensorProto.INT64)
    return [labels, _whole("boxes", rows[None, :, :4]), _whole("scores", rows[None, :, 4])]


def _queries(options: Options, logits: int, names: tuple[str, str]) -> list[Output]:
    random, rows = _random(options), 30
    fractions = _centred(random, rows) / [*HW[::-1], *HW[::-1]]
    return [_whole(names[0], fractions[None]), _whole(names[1], random.normal(size=(1, rows, logits)) * 3)]


def rfdetr(options: Options) -> list[Output]:
    return _queries(options, options.labels + 1, ("dets", "labels"))


def hf_detr(options: Options) -> list[Output]:
    return _queries(options, options.labels + 1, ("pred_boxes", "logits"))


def hf_rtdetr(options: Options) -> list[Output]:
    return _queries(options, options.labels, ("pred_boxes", "logits"))


def torchvision(options: Options) -> list[Output]:
    (one,) = effdet_corners(options)
    rows = one.values[0]
    labels = Output("labels", rows[:, 5], np.zeros(len(rows)), TensorProto.INT64)
    return [_whole("boxes", rows[:, :4]), labels, _whole("scores", rows[:, 4])]


def tf_od(options: Options) -> list[Output]:
    (one,) = effdet_corners(options)
    rows = one.values
    fractions = rows[..., [1, 0, 3, 2]] / [*HW, *HW]
    count = Output("num_detections", np.asarray([20.0]), np.zeros(1))
    return [
        _whole("detection_boxes", fractions),
        Output("detection_classes", rows[..., 5], np.zeros(rows.shape[:2])),
        _whole("detection_scores", rows[..., 4]),
        count,
    ]


def contract(options: Options) -> list[Output]:
    boxes, scores = yolonas(options)
    return [_whole("boxes", boxes.values), _whole("scores", scores.values)]


BYTES = {"kind": TensorProto.UINT8, "channels_last": True}
HEADS: Mapping[str, tuple[Callable[[Options], list[Output]], Mapping[str, Any]]] = {
    "yolov5": (yolov5, {}),
    "yolov8": (yolov8, {}),
    "yolo-e2e": (yolo_e2e, {"metadata": {"author": "Ultralytics", "task": "detect"}}),
    "yolo-e2e-norm": (yolo_e2e_norm, {}),
    "yolox": (yolox, {}),
    "yolox-raw": (yolox_raw, {}),
    "yolonas": (yolonas, {}),
    "rtdetr": (rtdetr, {"inputs": (("orig_target_sizes", TensorProto.INT64, (1, 2)),)}),
    "rfdetr": (rfdetr, {}),
    "hf-detr": (hf_detr, {}),
    "hf-rtdetr": (hf_rtdetr, {}),
    "torchvision": (torchvision, {"has_batch": False}),
    "tf-od": (tf_od, BYTES),
    "effdet": (effdet, {}),
    "effdet-sides": (effdet_sides, {}),
    "effdet-corners": (effdet_corners, {}),
    "contract": (contract, BYTES),
}


def of(layout: str, **options: Any) -> bytes:
    """A network of a layout."""
    head, usual = HEADS[layout]
    chosen = Options(**{**usual, **options})
    return network(head(chosen), chosen)


def moving(hw: tuple[int, int] = HW) -> bytes:
    """A network of the layout yolonas with bytes as numbers, whose three boxes move right with the mean of red."""
    rows = cells(hw)
    boxes, scores = np.tile(np.asarray([1, 1, 5, 5], np.float32), (rows, 1)), np.full((rows, 3), 0.01, np.float32)
    for label in range(3):
        boxes[label] = [10 + 20 * label, 18, 24 + 20 * label, 34]
        scores[label, label] = 0.9
    constants = {
        "boxes0": boxes[None],
        "scores0": scores[None],
        "red": np.asarray([0.12, 0, 0], np.float32).reshape(1, 3, 1, 1),
        "along": np.asarray([1, 0, 1, 0], np.float32).reshape(1, 1, 4),
        "nothing": np.asarray(0, np.float32),
    }
    nodes = [
        helper.make_node("Mul", ["images", "red"], ["reds"]),
        helper.make_node("ReduceMean", ["reds"], ["mean"], axes=[2, 3]),
        helper.make_node("ReduceSum", ["mean"], ["shift0"], keepdims=0),
        helper.make_node("Mul", ["shift0", "along"], ["shift"]),
        helper.make_node("Add", ["boxes0", "shift"], ["913"]),
        helper.make_node("Mul", ["shift0", "nothing"], ["still"]),
        helper.make_node("Add", ["scores0", "still"], ["904"]),
    ]
    graph = helper.make_graph(
        nodes,
        "moving",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *hw])],
        [
            helper.make_tensor_value_info("913", TensorProto.FLOAT, [1, rows, 4]),
            helper.make_tensor_value_info("904", TensorProto.FLOAT, [1, rows, 3]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())
