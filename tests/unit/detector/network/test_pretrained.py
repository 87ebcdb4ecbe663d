"""The pretrained network: its weights are those of the package, its export is itself, and what is fixed stays fixed."""

from __future__ import annotations

import dataclasses
import importlib.resources
import pathlib

import pytest
import torch
from tests.unit.detector import conftest
from tests.unit.detector.conftest import Watcher, elapsed
from torch.nn import functional

from boxwright.detector import session
from boxwright.detector.delivery import export, finish
from boxwright.detector.network import dense, pretrained
from boxwright.detector.planning import schedule, trained
from boxwright.inference import predictor
from boxwright.learning import efficientnet, trainer
from boxwright.learning.job import JobError, Outcome, TrainingJob

NOBODYS = dataclasses.replace(pretrained.PUBLISHED, name="a-network-of-nobody")


def _reference(pixels: torch.Tensor) -> list[torch.Tensor]:
    """The published network, layer by layer from its own tensors by name: (B, 3, H, W) to the three levels."""
    variant = pretrained.PUBLISHED
    path = importlib.resources.files(variant.package.replace("-", "_")).joinpath(variant.weights_file)
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
    number, levels = 0, []
    for group, (expansion, _, _, repeats, first_stride) in enumerate(efficientnet.BLOCKS):
        for repeat in range(repeats):
            name, y = f"_blocks.{number}", x
            if expansion > 1:
                y = layer(y, f"{name}._expand_conv", f"{name}._bn0", 1, True)
            y = layer(y, f"{name}._depthwise_conv", f"{name}._bn1", 1 if repeat else first_stride, True)
            y = layer(y, f"{name}._project_conv", f"{name}._bn2", 1, False)
            x = x + y if repeat else y
            number += 1
        if group in pretrained.LEVEL_GROUPS:
            levels.append(x)
    return levels


@pytest.fixture(scope="module")
def network() -> pretrained.PretrainedNetwork:
    torch.manual_seed(0)
    return pretrained.PretrainedNetwork(len(conftest.LABELS), 0.01).fill(efficientnet.load(pretrained.PUBLISHED)).eval()


def test_a_backbone_without_normalisations_shrinks_less(network: pretrained.PretrainedNetwork) -> None:
    plain = dense.Network(dense.TINY, len(conftest.LABELS))
    decays = [
        {
            group["weight_decay"]
            for group in trainer.optimizer_of(one.learned(), schedule.Recipe(), one.decay_share).param_groups
        }
        for one in (plain, network)
    ]
    assert decays == [{0.0, 0.2}, {0.0, 0.05}]


def test_the_backbone_is_the_published_one(network: pretrained.PretrainedNetwork) -> None:
    pixels = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        levels = network.backbone(pixels)
    for level, expected in zip(levels, _reference(pixels), strict=True):
        assert torch.allclose(level, expected, atol=1e-3 * float(expected.abs().max()))
    assert [tuple(level.shape[2:]) for level in levels] == [(8, 12), (4, 6), (2, 3)]


def test_gradients_do_not_depend_on_how_depthwise_filters_are_computed(network: pretrained.PretrainedNetwork) -> None:
    layer = network.groups[3][0].depthwise
    x = torch.randn(2, layer.in_channels, 8, 8, generator=torch.Generator().manual_seed(2), requires_grad=True)
    plain = functional.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding, groups=layer.groups)
    for left, right in zip(
        torch.autograd.grad(layer(x).square().sum(), (x, layer.bias)),
        torch.autograd.grad(plain.square().sum(), (x, layer.bias)),
        strict=True,
    ):
        assert torch.allclose(left, right, rtol=1e-4, atol=1e-4)


def test_mixed_precision_changes_a_depthwise_convolution_little(network: pretrained.PretrainedNetwork) -> None:
    layer = network.groups[3][0].depthwise
    x = torch.rand(2, layer.in_channels, 8, 8, generator=torch.Generator().manual_seed(2)).requires_grad_()
    exact = torch.autograd.grad(layer(x).sum(), (x, layer.bias))
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x.bfloat16())
        with torch.no_grad():
            assert layer(x).dtype == torch.bfloat16
    assert y.dtype == torch.float32
    for left, right in zip(torch.autograd.grad(y.sum(), (x, layer.bias)), exact, strict=True):
        assert torch.allclose(left, right, rtol=1e-2, atol=1e-3)


def test_the_exported_network_is_the_trained_one(network: pretrained.PretrainedNetwork, tmp_path: pathlib.Path) -> None:
    draft = tmp_path / "draft"
    export.write_draft(
        draft, network, labels=conftest.LABELS, model_type="cloud-high-accuracy-1", input_hw=(96, 128), score_floor=0.01,
        provenance={},
    )  # fmt: skip
    finish.check_agreement(network, predictor.Predictor.open(draft, streams=1))
    assert export.to_onnx(network, (96, 128)) == export.to_onnx(network, (96, 128))


def test_training_changes_what_learns_and_nothing_else(
    network: pretrained.PretrainedNetwork, drawn: conftest.Drawn, tmp_path: pathlib.Path
) -> None:
    recipe = {**conftest.RECIPE, "network": "pretrained", "steps": 4, "ema_decay": 0.0}
    folder = conftest.write_job(tmp_path, drawn.rows, recipe=recipe)
    kept: list[dense.Network] = []

    class Keeping(finish.ModelBuilder):
        def deliver(self, trained: trained.Trained) -> Outcome:
            kept.append(trained.network)
            return super().deliver(trained)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finish, "ModelBuilder", Keeping)
        session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed())
    before = dict(network.named_parameters())
    changed = {name: not torch.equal(now.detach(), before[name].detach()) for name, now in kept[0].named_parameters()}
    fixed = {name for name, one in network.named_parameters() if not one.requires_grad}
    assert {name for name in changed if name.startswith(("first", "groups.0", "groups.1"))} < fixed
    assert all("depthwise.weight" in name for name in fixed if not name.startswith(("first", "groups.0", "groups.1")))
    backbone = {name for name in changed if name.startswith("groups")}
    assert not any(changed[name] for name in fixed) and all(changed[name] for name in backbone - fixed)


def test_weights_that_are_absent_or_others_are_refused() -> None:
    with pytest.raises(efficientnet.WeightsMissing, match="not the file that belongs here"):
        efficientnet.load(dataclasses.replace(pretrained.PUBLISHED, sha256="0" * 64))
    with pytest.raises(efficientnet.WeightsMissing, match="a-network-of-nobody-pytorch-model is not installed"):
        efficientnet.load(NOBODYS)


def test_a_recipe_that_asks_for_absent_weights_says_so(
    drawn: conftest.Drawn, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "PUBLISHED", NOBODYS)
    folder = conftest.write_job(tmp_path, drawn.rows, recipe={**conftest.RECIPE, "network": "pretrained"})
    with pytest.raises(
        JobError,
        match="asks for the pretrained network: the package a-network-of-nobody-pytorch-model is not installed",
    ):
        session.run(TrainingJob.read(folder), drawn.read, Watcher(), elapsed())
