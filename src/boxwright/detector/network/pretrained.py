"""The same detector on a backbone that has seen photographs before: EfficientNet-Lite0 with ImageNet weights.

    PretrainedNetwork(label_count, prior).fill(efficientnet.load(PUBLISHED))

Neck and heads are those of `dense.Network`. The first two stages and all depthwise filters stay as they are; the rest learns
at a fraction of the rate (ADR 0016).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from boxwright.detector.network import dense
from boxwright.learning import efficientnet

PUBLISHED = efficientnet.LITE0
SOURCE = PUBLISHED.source
FIXED_GROUPS = 2  # of the groups of blocks: everything up to stride 4
LEVEL_GROUPS = (2, 4, 6)  # whose output goes to the neck: strides 8, 16, 32
CONFIG = dense.NetworkConfig(
    stem_width=efficientnet.STEM_WIDTH, stage_widths=(24, 40, 112, 320), stage_depths=(1, 1, 1, 1)
)
BACKBONE_RATE = 0.3  # of the recipe's learning rate
STEP_SHARE = 0.5  # of the steps that are planned for random weights
STEP_COST = 1.8  # of a step, to one of the plain network: 1.5 to 2 measured


class PretrainedNetwork(dense.Network):
    """The detector on EfficientNet-Lite0."""

    decay_share = 0.25  # its backbone has no normalisations that would undo the decay

    def __init__(self, label_count: int, score_prior: float) -> None:
        super().__init__(CONFIG, label_count, score_prior)

    def _build_backbone(self, config: dense.NetworkConfig) -> None:
        self.first = efficientnet.first_layer()
        self.groups = efficientnet.groups_of(PUBLISHED)
        for fixed in (self.first, *self.groups[:FIXED_GROUPS]):
            fixed.requires_grad_(False)

    def fill(self, weights: list[Tensor]) -> PretrainedNetwork:
        """Puts the weights in; returns the network."""
        efficientnet.fill(self.backbone_convolutions(), weights)
        return self

    def backbone_convolutions(self) -> Iterator[nn.Conv2d]:
        """In the order of the layers."""
        return efficientnet.convolutions_of(self.first, self.groups)

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
