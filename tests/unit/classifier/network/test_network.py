"""The network is the published one, its graph is itself, and what is fixed stays fixed."""

from __future__ import annotations

import importlib.resources
import pathlib

import numpy as np
import pytest
import torch
from tests.unit.classifier import conftest
from torch.nn import functional

from boxwright.classifier.delivery import export, finish
from boxwright.classifier.network import graph, loss, network
from boxwright.inference import classification, model_folder, predictor
from boxwright.inference.onnx_runtime import OnnxRuntime
from boxwright.inference.openvino_runtime import OpenVinoRuntime
from boxwright.learning import efficientnet
from boxwright.predictions import LabelScores

PUBLISHED = [efficientnet.LITE0, efficientnet.LITE1, efficientnet.LITE2]
HW = (64, 64)


def reference(published: efficientnet.PublishedNetwork, pixels: torch.Tensor) -> torch.Tensor:
    """The published network's pooled features, layer by layer from its own tensors by name."""
    path = importlib.resources.files(published.package.replace("-", "_")).joinpath(published.weights_file)
    with path.open("rb") as file:
        given = torch.load(file, weights_only=True)

    def layer(x: torch.Tensor, convolution: str, norm: str, stride: int, active: bool) -> torch.Tensor:
        weight = given[f"{convolution}.weight"]
        groups = x.shape[1] if weight.shape[1] == 1 else 1
        x = functional.conv2d(x, weight, None, stride, weight.shape[2] // 2, groups=groups)
        statistics = given[f"{norm}.running_mean"], given[f"{norm}.running_var"]
        x = functional.batch_norm(x, *statistics, given[f"{norm}.weight"], given[f"{norm}.bias"], eps=1e-3)
        return functional.relu6(x) if active else x

    x = layer(pixels, "_conv_stem", "_bn0", 2, True)
    number = 0
    while f"_blocks.{number}._project_conv.weight" in given:
        name, y = f"_blocks.{number}", x
        if f"{name}._expand_conv.weight" in given:
            y = layer(y, f"{name}._expand_conv", f"{name}._bn0", 1, True)
        stride = 2 if number in _halving(published) else 1
        y = layer(y, f"{name}._depthwise_conv", f"{name}._bn1", stride, True)
        y = layer(y, f"{name}._project_conv", f"{name}._bn2", 1, False)
        x = x + y if x.shape == y.shape else y
        number += 1
    return layer(x, "_conv_head", "_bn1", 1, True).mean(dim=(2, 3))


def _halving(published: efficientnet.PublishedNetwork) -> set[int]:
    """Numbers of the blocks that halve the size."""
    lengths = [len(group) for group in efficientnet.groups_of(published)]  # type: ignore[arg-type]
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    return {start for start, row in zip(starts, efficientnet.BLOCKS, strict=True) if row[4] == 2}


@pytest.mark.parametrize(
    "published",
    [PUBLISHED[0], pytest.param(PUBLISHED[1], marks=pytest.mark.full), PUBLISHED[2]],
    ids=lambda one: one.name,
)
def test_the_network_is_the_published_one(published: efficientnet.PublishedNetwork) -> None:
    own = network.ClassificationNetwork(published, 3).fill(efficientnet.load(published)).eval()
    pixels = torch.randint(0, 256, (2, *HW, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    expected = reference(published, (pixels.permute(0, 3, 1, 2).float() - 127) / 128)
    with torch.no_grad():
        assert torch.allclose(own.features(pixels), expected, atol=1e-3 * float(expected.max()))


@pytest.fixture(scope="module")
def own() -> network.ClassificationNetwork:
    torch.manual_seed(0)
    made = network.ClassificationNetwork(efficientnet.LITE0, 3).fill(efficientnet.load(efficientnet.LITE0)).eval()
    torch.nn.init.normal_(made.labels.weight, 0.0, 0.2)
    return made


def draft(folder: pathlib.Path, own: network.ClassificationNetwork, kind: str) -> pathlib.Path:
    export.write_draft(
        folder,
        own,
        labels=conftest.LABELS,
        model_type="mobile-low-latency-1",
        classification_type=kind,
        input_hw=HW,
        provenance={},
    )
    return folder


@pytest.mark.parametrize("kind", ["MULTICLASS", "MULTILABEL"])
def test_the_exported_network_is_the_trained_one_in_every_runtime(
    own: network.ClassificationNetwork, tmp_path: pathlib.Path, kind: str
) -> None:
    folder = draft(tmp_path / "draft", own, kind)
    finish.check_agreement(own, classification.Classifier.open(folder, streams=1), kind)
    stored = model_folder.read_network(folder, model_folder.ModelInfo.read(folder), "fp32")
    pixels = np.random.default_rng(2).integers(0, 256, (1, *HW, 3), np.uint8)
    with torch.inference_mode():
        expected = loss.scores_of(own(torch.from_numpy(pixels)), kind).numpy()
    for opened in (OpenVinoRuntime(stored, HW, 1), OnnxRuntime(stored, HW, provider="CPUExecutionProvider", batch=4)):
        raw = opened.infer(pixels)
        assert raw.boxes_px.shape == (0, 4) and raw.scores == pytest.approx(expected, abs=1e-5)


def test_a_network_that_differs_is_not_delivered(own: network.ClassificationNetwork, tmp_path: pathlib.Path) -> None:
    folder = draft(tmp_path / "draft", own, "MULTICLASS")
    opened = classification.Classifier.open(folder, streams=1)
    with pytest.raises(finish.JobError, match="differs from the trained one"):
        finish.check_agreement(own, opened, "MULTILABEL")


def test_equal_weights_give_equal_bytes(own: network.ClassificationNetwork) -> None:
    assert graph.to_onnx(own, HW, "MULTICLASS") == graph.to_onnx(own, HW, "MULTICLASS")
    assert graph.to_onnx(own, HW, "MULTICLASS") != graph.to_onnx(own, HW, "MULTILABEL")


def test_models_are_opened_as_what_they_are(own: network.ClassificationNetwork, tmp_path: pathlib.Path) -> None:
    folder = draft(tmp_path / "draft", own, "MULTICLASS")
    with pytest.raises(model_folder.ModelError, match="of the kind image_classification, not image_object_detection"):
        predictor.Predictor.open(folder, streams=1)
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace('"image_classification"', '"video_tracking"'))
    with pytest.raises(model_folder.ModelError, match="video_tracking are not supported"):
        model_folder.ModelInfo.read(folder)
    (folder / "model.json").write_text(text.replace('"MULTICLASS"', '"SOME"'))
    with pytest.raises(model_folder.ModelError, match="names no classification type: SOME"):
        model_folder.ModelInfo.read(folder)


def test_what_is_general_is_fixed_and_the_last_layer_learns_fastest(own: network.ClassificationNetwork) -> None:
    (last, full), (others, share) = own.learned()
    assert full == 1.0 and share == network.BACKBONE_RATE and len(last) == 2
    learned = {id(one) for one in (*last, *others)}
    names = {name for name, one in own.named_parameters() if id(one) in learned}
    assert not any(name.startswith(("first", "groups.0", "groups.1", "groups.2")) for name in names)
    assert not any("depthwise.weight" in name for name in names)
    assert {"head.weight", "groups.3.0.expand.weight", "groups.6.0.depthwise.bias"} <= names


def test_the_network_between_two_has_the_mean_of_their_weights(own: network.ClassificationNetwork) -> None:
    other = {name: one + 2.0 for name, one in own.state_dict().items()}
    mixed = network.between(own.state_dict(), other)
    assert all(torch.allclose(mixed[name], one + 1.0, atol=1e-5) for name, one in own.state_dict().items())


def test_losses_are_means_over_images() -> None:
    logits, targets = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    ones = torch.ones(2)
    expected = functional.cross_entropy(logits, torch.tensor([0, 1]), label_smoothing=0.1)
    assert loss.classification_loss(logits, targets, "MULTICLASS", 0.1, ones).item() == pytest.approx(expected.item())
    several = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=1).mean()
    found = loss.classification_loss(logits, targets, "MULTILABEL", 0.0, ones)
    assert found.item() == pytest.approx(several.item())
    weighted = loss.classification_loss(logits, targets, "MULTILABEL", 0.0, torch.tensor([3.0, 1.0]))
    assert weighted.item() == pytest.approx((several + 2.0 * functional.softplus(torch.tensor(-2.0)) / 2).item())


def test_scores_are_ordered_and_kept_as_they_are_published() -> None:
    scores = LabelScores(np.array([0.5, 0.3, 0.2], np.float32), np.array([2, 0, 1]))
    assert len(scores) == 3 and scores.keep(0.3).label_indices.tolist() == [2, 0]
    assert scores.by_label(4).tolist() == pytest.approx([0.3, 0.2, 0.5, 0.0])
    assert len(scores.keep(0.0)) == 3 and len(scores.keep(1.0)) == 0
