"""EfficientNet-Lite as a classifier, and which size of it each model type trains.

    pixels ─► first /2 ─► groups 0 to 2 /8 (fixed) ─► groups 3 to 6 /32 ─► 1x1 to 1280 ─► mean ─► one logit a label

The 1280 means are the features: of the untrained network they are what the probe learns from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from boxwright.learning import efficientnet

INPUT_MEAN = 127.0  # also the letterbox's fill, so that padding is zero
INPUT_SCALE = 1.0 / 128.0
FIXED_GROUPS = 3  # of the groups of blocks: everything up to stride 8 stays as it is
BACKBONE_RATE = 0.3  # of the recipe's learning rate


@dataclasses.dataclass(frozen=True)
class ModelType:
    """What a `model_type` of the API trains.

    Attributes:
        published: the network and its weights.
        image_s: seconds to set aside for reading and predicting one image on one busy core.
        own_input_hw: input in pixels; None for that of its first training.
    """

    published: efficientnet.PublishedNetwork
    image_s: float
    own_input_hw: tuple[int, int] | None = None

    @property
    def input_hw(self) -> tuple[int, int]:
        """The network's input in pixels."""
        return self.own_input_hw or (self.published.side_px, self.published.side_px)

    def with_input(self, input_hw: tuple[int, int]) -> ModelType:
        """The same with another input, and the seconds that an image takes with it."""
        area = (input_hw[0] * input_hw[1]) / (self.input_hw[0] * self.input_hw[1])
        return dataclasses.replace(self, image_s=self.image_s * area, own_input_hw=input_hw)


ACCURATE = ModelType(efficientnet.LITE2, 0.06)
VERSATILE = ModelType(efficientnet.LITE1, 0.045)
FAST = ModelType(efficientnet.LITE0, 0.03)
DEFAULT_MODEL_TYPE = "cloud"
MODEL_TYPES = {
    "cloud": ACCURATE,
    "mobile-high-accuracy-1": ACCURATE,
    "mobile-core-ml-high-accuracy-1": ACCURATE,
    "mobile-versatile-1": VERSATILE,
    "mobile-core-ml-versatile-1": VERSATILE,
    "mobile-low-latency-1": FAST,
    "mobile-core-ml-low-latency-1": FAST,
}


@dataclasses.dataclass(frozen=True)
class Head:
    """The last layer.

    Attributes:
        weight: (C, 1280) float64.
        bias: (C,) float64.
    """

    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]


class ClassificationNetwork(nn.Module):
    """The classifier; `forward` gives logits, `features` what the last layer gets."""

    decay_share = 0.25  # of the recipe's weight decay: the backbone has no normalisations that would undo it

    def __init__(self, published: efficientnet.PublishedNetwork, label_count: int) -> None:
        super().__init__()
        self.published = published
        self.label_count = label_count
        self.first = efficientnet.first_layer()
        self.groups = efficientnet.groups_of(published)
        self.head = nn.Conv2d(published.widths[-1], efficientnet.HEAD_WIDTH, 1)
        self.labels = nn.Linear(efficientnet.HEAD_WIDTH, label_count)
        for fixed in (self.first, *self.groups[:FIXED_GROUPS]):
            fixed.requires_grad_(False)

    def fill(self, weights: Sequence[Tensor]) -> ClassificationNetwork:
        """Puts published weights in, all but those of ImageNet's labels; returns the network."""
        efficientnet.fill(self.convolutions(), weights)
        nn.init.zeros_(self.labels.weight)
        nn.init.zeros_(self.labels.bias)
        return self

    def convolutions(self) -> Iterator[nn.Conv2d]:
        """In the order of the layers."""
        yield from efficientnet.convolutions_of(self.first, self.groups)
        yield self.head

    def learned(self) -> list[tuple[list[nn.Parameter], float]]:
        """The last layer at the full rate, the rest of what learns at a fraction of it."""
        own = list(self.labels.parameters())
        others = [one for one in self.parameters() if one.requires_grad and not any(one is mine for mine in own)]
        return [(own, 1.0), (others, BACKBONE_RATE)]

    def put_head(self, head: Head) -> None:
        """Replaces the last layer."""
        with torch.no_grad():
            self.labels.weight.copy_(torch.from_numpy(head.weight))
            self.labels.bias.copy_(torch.from_numpy(head.bias))

    def features(self, pixels: Tensor) -> Tensor:
        """Pixels (B, H, W, 3) uint8 to (B, 1280)."""
        x = (pixels.permute(0, 3, 1, 2).float() - INPUT_MEAN) * INPUT_SCALE  # (B, 3, H, W), channels last in memory
        with torch.no_grad():
            x = functional.relu6(self.first(x), inplace=True)
            for group in self.groups[:FIXED_GROUPS]:
                x = group(x)
        for group in self.groups[FIXED_GROUPS:]:
            x = group(x)
        return functional.relu6(self.head(x), inplace=True).mean(dim=(2, 3))

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, H, W, 3) uint8 to logits (B, C)."""
        return self.labels(self.features(pixels))

    @torch.inference_mode()
    def logits(self, pixels: npt.NDArray[np.uint8], where: Any) -> npt.NDArray[np.float64]:
        """Pixels (B, H, W, 3) to logits (B, C); eval mode expected."""
        result: npt.NDArray[np.float64] = self(where.put(torch.from_numpy(pixels))).cpu().numpy().astype(np.float64)
        return result


def between(first: dict[str, Tensor], second: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mean of two networks' weights, of which one was trained from the other (Wortsman et al., WiSE-FT, 2022)."""
    return {name: (first[name] + second[name]) / 2 for name in first}
