"""Files that are to do harm to who reads them, and files that are broken: none of them is ever a model."""

from __future__ import annotations

import functools
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.support.networks import foreign_onnx

HW = foreign_onnx.HW


def _model(
    nodes: Sequence[onnx.NodeProto],
    *,
    inputs: Sequence[Any] | None = None,
    outputs: Sequence[Any] | None = None,
    constants: Sequence[onnx.TensorProto] = (),
    opset: int = 17,
    domains: Sequence[str] = (),
    functions: Sequence[onnx.FunctionProto] = (),
) -> bytes:
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *HW])
    found = helper.make_tensor_value_info("output0", TensorProto.FLOAT, None)
    graph = helper.make_graph(
        list(nodes),
        "hostile",
        inputs or [image],
        outputs or [found],
        [numpy_helper.from_array(np.asarray(1, np.float32), "one"), *constants],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    made = helper.make_model(graph, opset_imports=imports, functions=list(functions))
    made.ir_version = 8
    return bytes(made.SerializeToString())


def _whole(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, np.int64), name)


def _good() -> onnx.ModelProto:
    return onnx.load_model_from_string(foreign_onnx.of("yolov8"))


def _changed(change: Callable[[onnx.ModelProto], None]) -> bytes:
    model = _good()
    change(model)
    return bytes(model.SerializeToString())


def _zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("best.pt", b"0" * 1000)
    return content.getvalue()


def _external(location: str) -> bytes:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return _changed(change)


def _loop(trips: Sequence[int] | None, inside: onnx.NodeProto | None = None) -> onnx.NodeProto:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_in"], ["go_out"]),
            inside or helper.make_node("Add", ["value_in", "one"], ["value_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value_in", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value_out", TensorProto.FLOAT, None),
        ],
    )
    return helper.make_node("Loop", ["trips" if trips else "", "go", "images"], ["output0"], body=body)


def _looping(trips: Sequence[int] | None) -> bytes:
    constants = [numpy_helper.from_array(np.asarray(True), "go")]
    constants += [numpy_helper.from_array(np.asarray(trips[0], np.int64), "trips")] if trips else []
    return _model([_loop(trips)], constants=constants)


def _computed_loop() -> bytes:
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["trips"], to=TensorProto.INT64),
        _loop([1]),
    ]
    return _model(nodes, constants=[numpy_helper.from_array(np.asarray(True), "go")])


def _huge(sides: Sequence[int]) -> bytes:
    nodes = [
        helper.make_node("ConstantOfShape", ["sides"], ["zeros"]),
        helper.make_node("Add", ["zeros", "mean"], ["output0"]),
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
    ]
    return _model([nodes[2], *nodes[:2]], constants=[_whole("sides", *sides)])


def _expanded() -> bytes:
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=1),
        helper.make_node("Expand", ["mean", "sides"], ["output0"]),
    ]
    return _model(nodes, constants=[_whole("sides", 1, 100_000, 100_000, 1)])


def _function(name: str, calls: Sequence[str]) -> onnx.FunctionProto:
    nodes, last = [], "x"
    for number, called in enumerate(calls):
        domain = "" if called == "Relu" else "mine"
        nodes.append(helper.make_node(called, [last], [f"y{number}"], domain=domain))
        last = f"y{number}"
    nodes.append(helper.make_node("Identity", [last], ["y"]))
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    return helper.make_function("mine", name, ["x"], ["y"], nodes, imports)


def _called(functions: Sequence[onnx.FunctionProto], first: str) -> bytes:
    node = helper.make_node(first, ["images"], ["output0"], domain="mine")
    return _model([node], domains=["mine"], functions=functions)


def _laughs() -> bytes:
    """Functions that call the next ten times each: ten thousand millions of nodes."""
    functions = [_function(f"f{level}", [f"f{level + 1}"] * 10) for level in range(10)]
    return _called([*functions, _function("f10", ["Relu"])], "f0")


def _nested(levels: int) -> bytes:
    def branch(level: int) -> onnx.GraphProto:
        out = [helper.make_tensor_value_info(f"o{level}", TensorProto.FLOAT, None)]
        if level == levels:
            return helper.make_graph([helper.make_node("Relu", ["images"], [f"o{level}"])], "b", [], out)
        inner = helper.make_node("If", ["go"], [f"o{level}"], then_branch=branch(level + 1), else_branch=_flat(level))
        return helper.make_graph([inner], "b", [], out)

    def _flat(level: int) -> onnx.GraphProto:
        out = [helper.make_tensor_value_info(f"e{level}", TensorProto.FLOAT, None)]
        return helper.make_graph([helper.make_node("Relu", ["images"], [f"e{level}"])], "e", [], out)

    node = helper.make_node("If", ["go"], ["output0"], then_branch=branch(0), else_branch=_flat(-1))
    return _model([node], constants=[numpy_helper.from_array(np.asarray(True), "go")])


def _relu(**more: Any) -> bytes:
    return _model([helper.make_node("Relu", ["images"], ["output0"])], **more)


def _metadata(key: str, value: str) -> bytes:
    def change(model: onnx.ModelProto) -> None:
        model.metadata_props.add(key=key, value=value)

    return _changed(change)


def _slow() -> bytes:
    """Convolutions over many channels, for hours."""
    nodes = [helper.make_node("Conv", ["images", "first"], ["x0"], pads=[3] * 4)]
    nodes += [helper.make_node("Conv", [f"x{n}", "kernel"], [f"x{n + 1}"], pads=[3] * 4) for n in range(60)]
    nodes += [helper.make_node("Identity", ["x60"], ["output0"])]
    constants = [
        numpy_helper.from_array(np.ones((512, 3, 7, 7), np.float32), "first"),
        numpy_helper.from_array(np.ones((512, 512, 7, 7), np.float32), "kernel"),
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 1024, 1024])
    return _model(nodes, inputs=[image], constants=constants)


def _wrong_size(model: onnx.ModelProto) -> None:
    model.graph.initializer[-1].raw_data = b"\0" * 7


def _negative(model: onnx.ModelProto) -> None:
    model.graph.initializer[-1].dims[:] = [-5]


def _cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


def _unknown_input(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "nowhere"


def _twice(model: onnx.ModelProto) -> None:
    model.graph.node[1].output[0] = model.graph.node[0].output[0]


def _no_nodes(model: onnx.ModelProto) -> None:
    del model.graph.node[:]


def _no_outputs(model: onnx.ModelProto) -> None:
    del model.graph.output[:]


def _many_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.extend(helper.make_node("Relu", ["images"], [f"r{number}"]) for number in range(200_001))


def _text(name: str, kind: int = TensorProto.FLOAT, dims: Sequence[int] | None = None) -> Any:
    return helper.make_tensor_value_info(name, kind, dims)


FILES: Mapping[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"this is no network\n" * 100,
    "zip": _zip,
    "noise": lambda: bytes(np.random.default_rng(1).integers(0, 256, 5000, np.uint8)),
    "cut": lambda: foreign_onnx.of("yolov8")[:-3000],
    "no_nodes": functools.partial(_changed, _no_nodes),
    "no_outputs": functools.partial(_changed, _no_outputs),
    "external_data": functools.partial(_external, "weights.bin"),
    "external_data_elsewhere": functools.partial(_external, "../../../../../../etc/passwd"),
    "own_domain": lambda: _model([helper.make_node("Run", ["images"], ["output0"], domain="evil")], domains=["evil"]),
    "vendors_domain": lambda: _model(
        [helper.make_node("Gelu", ["images"], ["output0"], domain="com.microsoft")], domains=["com.microsoft"]
    ),
    "endless_loop": functools.partial(_looping, None),
    "long_loop": functools.partial(_looping, [1_000_000_000]),
    "computed_loop": _computed_loop,
    "huge_constant": functools.partial(_huge, [1, 1_000_000, 1_000_000]),
    "large_constant": functools.partial(_huge, [1, 40_000, 40_000]),
    "expanded": _expanded,
    "recursive_function": lambda: _called([_function("f", ["f"])], "f"),
    "mutual_functions": lambda: _called([_function("f", ["g"]), _function("g", ["f"])], "f"),
    "functions_of_functions": _laughs,
    "nested_branches": functools.partial(_nested, 25),
    "cycle": functools.partial(_changed, _cycle),
    "unknown_input": functools.partial(_changed, _unknown_input),
    "name_twice": functools.partial(_changed, _twice),
    "wrong_size": functools.partial(_changed, _wrong_size),
    "negative_side": functools.partial(_changed, _negative),
    "many_nodes": functools.partial(_changed, _many_nodes),
    "huge_image": lambda: _relu(inputs=[_text("images", dims=[1, 3, 1_000_000, 1_000_000])]),
    "no_image": lambda: _model(
        [helper.make_node("Identity", ["one"], ["output0"])], inputs=[_text("x", TensorProto.INT64, [1])]
    ),
    "two_images": lambda: _model(
        [helper.make_node("Add", ["images", "other"], ["output0"])],
        inputs=[_text("images", dims=[1, 3, *HW]), _text("other", dims=[1, 3, *HW])],
    ),
    "texts": lambda: _relu(inputs=[_text("images", TensorProto.STRING, [1, 3, *HW])]),
    "old_opset": functools.partial(_relu, opset=1),
    "future_opset": functools.partial(_relu, opset=999),
    "unknown_operator": lambda: _model([helper.make_node("Explode", ["images"], ["output0"])]),
    "names_are_code": functools.partial(_metadata, "names", "__import__('os').system('touch /tmp/hostile')"),
    "names_are_nested": functools.partial(_metadata, "names", "(" * 50_000),
    "metadata_is_huge": functools.partial(_metadata, "names", "0" * 2_000_000),
    "slow": _slow,
}
SLOW = ("slow", "functions_of_functions", "large_constant")  # refused for what they cost, not for what they are
