"""The network that starts from COCO: every tensor is where it belongs, what it computes, what of it learns."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import onnxruntime
import pytest
import safetensors
import torch
from tests.support.weights import tfjs_graph
from tests.unit.detector import conftest

from boxwright.detector.delivery import export, finish
from boxwright.detector.network import coco, coco_labels, dense
from boxwright.inference import predictor
from boxwright.weights import catalogue, installed

SIDE_PX = 416  # of the graph, whose sizes are fixed


@pytest.fixture(scope="module")
def weights(coco_weights: pathlib.Path) -> installed.InstalledWeights:
    return installed.load(coco_weights, catalogue.NANODET_G)


def _made_up() -> dict[str, np.ndarray]:
    """Small numbers of the right shapes: what needs no knowledge needs no installed weights."""
    rng = np.random.default_rng(0)
    network = coco.CocoNetwork([], 0.01)
    pairs = [
        *((one.weight.shape, len(one.weight)) for one in [*network._backbone_convolutions(), *network.lateral]),  # type: ignore[union-attr]
        *[((128, 128, 3, 3), 128), ((124, 128, 1, 1), 124)] * 3,
    ]
    found = {}
    for number, (shape, width) in enumerate(pairs):
        spread = (2.0 / np.prod(shape[1:])) ** 0.5
        found[f"convolution.{number}.weight"] = (rng.normal(size=shape) * spread).astype(np.float16)
        found[f"convolution.{number}.bias"] = (rng.normal(size=width) * 0.1).astype(np.float16)
    return found


def _pixels(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, shape, np.uint8))


def test_it_computes_what_the_published_graph_computes(
    weights: installed.InstalledWeights, coco_weights: pathlib.Path
) -> None:
    """Node by node, on pixels of every value, borders included, for all 80 labels and all distances."""
    with safetensors.safe_open(coco_weights / catalogue.NANODET_G.file_name, "numpy") as file:
        graph = json.loads(file.metadata()["graph"])
    constants = {name: np.asarray(number, np.int32) for name, number in graph["constants"].items()}
    named = {node["name"]: node for node in graph["nodes"]}
    for node in graph["nodes"]:
        missing = [name for name in node.get("input", []) if name.split(":")[0] not in constants.keys() | named.keys()]
        match node["op"], missing:
            case "Conv2D", [name]:
                number = int(node["name"].partition("convolution_")[2] or 0)
                constants[name] = (
                    weights.tensors[f"convolution.{number}.weight"].transpose(2, 3, 1, 0).astype(np.float32)
                )
            case "Add" | "AddV2", [name]:
                (source,) = (one for one in node["input"] if one != name)
                number = int(source.partition("convolution_")[2] or 0)
                constants[name] = weights.tensors[f"convolution.{number}.bias"].astype(np.float32)
            case "PadV2", [name]:  # around the pooling: smaller than every value
                constants[name] = np.float32(-1e9)
            case _:
                assert not missing, (node["name"], missing)
    pixels = _pixels(1, SIDE_PX, SIDE_PX, 3)
    bgr = pixels.numpy()[..., ::-1].astype(np.float32)
    given = (bgr - np.float32([103.53, 116.28, 123.675])) / np.float32([57.375, 57.12, 58.395])
    outputs = ["Identity", "Identity_1", "Identity_2", "Identity_3", "Identity_4", "Identity_5"]
    found = tfjs_graph.run(graph["nodes"], constants, given.transpose(0, 3, 1, 2), outputs)
    network = coco.CocoNetwork(range(80), 0.01).fill(weights.tensors).eval()
    with torch.inference_mode():
        scores, distances = network(pixels)
    assert np.abs(np.concatenate(found[:3], axis=1) - scores.sigmoid().numpy()).max() < 1e-5
    assert np.abs(np.concatenate(found[3:], axis=1) - distances.numpy()).max() < 1e-4
    assert scores.sigmoid().max() > 0.2, "noise that looks like nothing would prove little"


@pytest.mark.parametrize("rows", [[0, 2], [None, 16, None, 0], [None, None]])
def test_the_exported_network_is_the_trained_one(rows: list[int | None], tmp_path: pathlib.Path) -> None:
    network = coco.CocoNetwork(rows, 0.01).fill(_made_up()).eval()
    draft = tmp_path / "draft"
    labels = [{"display_name": str(number), "annotation_spec_id": str(number)} for number in range(len(rows))]
    export.write_draft(
        draft, network, labels=labels, model_type="cloud-high-accuracy-1", input_hw=(96, 128), score_floor=0.01,
        provenance={},
    )  # fmt: skip
    finish.check_agreement(network, predictor.Predictor.open(draft, streams=1))
    assert export.to_onnx(network, (96, 128)) == export.to_onnx(network, (96, 128))
    pixels = _pixels(2, 96, 128, 3)
    session = onnxruntime.InferenceSession((draft / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    found = session.run(["boxes", "scores"], {"pixels": pixels.numpy()})
    for expected, got in zip(network.predict(pixels), found, strict=True):
        assert np.abs(expected.numpy() - got).max() < 1e-2


def test_a_known_label_starts_from_its_row_and_a_new_one_from_the_prior() -> None:
    tensors = _made_up()
    network = coco.CocoNetwork([None, 16, 0], 0.01).fill(tensors).eval()
    for number, head in zip((29, 31, 33), network.heads, strict=True):
        assert isinstance(head, coco.CocoHead)
        weight, bias = (one.detach() for one in head.scores.merged())
        kernel, biases = tensors[f"convolution.{number}.weight"], tensors[f"convolution.{number}.bias"]
        assert np.array_equal(weight[1:].numpy(), kernel[[16, 0]].astype(np.float32))
        assert np.array_equal(bias[1:].numpy(), biases[[16, 0]].astype(np.float32))
        assert float(bias[0].sigmoid()) == pytest.approx(0.01) and weight[0].abs().max() < 0.1


@pytest.mark.parametrize(
    ("rows", "rates"), [([0, None], [1.0, coco.RATE]), ([0], [coco.RATE]), ([None], [1.0, coco.RATE])]
)
def test_what_is_taken_over_learns_slowly_and_the_beginning_not_at_all(
    rows: list[int | None], rates: list[float]
) -> None:
    network = coco.CocoNetwork(rows, 0.01).fill(_made_up())
    groups = network.learned()
    assert [rate for _, rate in groups] == rates
    fixed = {name for name, one in network.named_parameters() if not one.requires_grad and one.numel()}
    assert {name.split(".")[0] for name in fixed} == {"first", "stages"}
    assert all(name.startswith(("first.", "stages.0.")) for name in fixed)
    learning = {id(one) for one in network.parameters() if one.requires_grad}
    assert {id(one) for group, _ in groups for one in group} == learning
    scores, distances = network(_pixels(2, 64, 96, 3))
    wanted = [one for one in network.parameters() if one.requires_grad]
    gradients = torch.autograd.grad(scores.sum() + distances.sum(), wanted)
    assert all(bool(one.abs().sum() > 0) for one in gradients)


def test_mixed_precision_and_other_sizes_change_little() -> None:
    network = coco.CocoNetwork([0, None], 0.01).fill(_made_up()).eval()
    pixels = _pixels(1, 96, 160, 3)
    with torch.inference_mode():
        exact, _ = network(pixels)
        with torch.autocast("cpu", torch.bfloat16):
            rounded, _ = network(pixels)
    assert exact.shape == (1, len(dense.points_for((96, 160)).centres_px), 2)
    assert (exact - rounded.float()).abs().max() < 0.2 * exact.abs().max()


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("person", "person"), ("People", "person"), ("PERSONS", "person"), ("pedestrians", "person"),
        ("Traffic_Lights", "traffic light"), ("traffic-light", "traffic light"), ("tvmonitor", "tv"),
        ("aeroplane", "airplane"), ("Motorbikes", "motorcycle"), ("buses", "bus"), ("knives", "knife"),
        ("Sofa", "couch"), ("Glass", None), ("glasses", None), ("raccoon", None), ("s", None), ("", None), ("ies", None),
        ("歩行者", None), ("bicycles", "bicycle"), ("scissors", "scissors"), ("berries", None), ("sheep", "sheep"),
    ],
)  # fmt: skip
def test_a_name_means_a_label_of_coco_or_none(name: str, label: str | None) -> None:
    row = coco_labels.row_of(name)
    assert (None if row is None else coco_labels.LABELS[row]) == label


def test_there_are_eighty_labels_and_every_synonym_means_one() -> None:
    assert len(set(coco_labels.LABELS)) == 80
    assert all(coco_labels.row_of(label) == row for row, label in enumerate(coco_labels.LABELS))
    assert set(coco_labels.SYNONYMS) <= set(coco_labels.LABELS)
    words = [word for line in coco_labels.SYNONYMS.values() for word in line.split()]
    assert len(words) == len(set(words))
    assert conftest.LABELS and coco_labels.row_of("square") is None
