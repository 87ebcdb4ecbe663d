"""The network: a plain, dense 3x3 ReLU detector, and which size of it each model type trains.

    pixels ─► stem /2 ─► stage 1 /4 ─► stage 2 /8 ─► stage 3 /16 ─► stage 4 /32
                                          │              │              │          1x1 to the neck's width
                                          └──◄───────────┴──◄───────────┘          top down, then bottom up
                                        heads: per level one 3x3, then 1x1 class scores and 1x1 box distributions

No depthwise convolutions and no activation but ReLU: integer inference is fast on exactly this (ADR 0008). A box side is
the mean of a distribution over `distance_bins + 1` distances in units of the level's stride.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from boxwright.learning import input_frame

STRIDES = (8, 16, 32)
SIDE_MULTIPLE_PX = 32  # the coarsest stride: every level's grid divides the input
INPUT_MEAN = 127.0  # also the letterbox's fill, so that padding is zero
INPUT_SCALE = 1.0 / 128.0
SCORE_PRIOR = 0.01  # initial score everywhere, at most: most places hold nothing
LEAST_PRIOR = 1e-5
INPUT_LEVELS = 255.0
WEIGHT_LEVELS = 63.0
LEAST_STEP = 1e-8
QUALITY_OF_A_BOX = 5.0  # what the scores at the points of one box add up to, about, once it is learned


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Widths and depths.

    Attributes:
        stem_width: channels after the first convolution.
        stage_widths: channels of the four stages, at strides 4, 8, 16, 32.
        stage_depths: convolutions in each stage, the first of which halves the size.
        neck_width: channels of the neck and the heads.
        distance_bins: largest distance from a point to a box side, in strides.
    """

    stem_width: int = 24
    stage_widths: tuple[int, int, int, int] = (48, 96, 160, 256)
    stage_depths: tuple[int, int, int, int] = (1, 2, 3, 2)
    neck_width: int = 64
    distance_bins: int = 16


TINY = NetworkConfig(stem_width=8, stage_widths=(8, 12, 16, 24), stage_depths=(1, 1, 1, 1), neck_width=16)  # for tests


@dataclasses.dataclass(frozen=True)
class ModelType:
    """What a `model_type` of the API trains.

    Attributes:
        network: from random weights.
        input_area_px: pixels that it looks at.
        most_area_px: where objects are small.
        windows_below: share of objects that can be told apart below which a larger input is learned in windows; 0 for never.
        tries_pretrained: whether a slower network on ImageNet's weights may take its place where it finds too little.
        coco_area_px: pixels that a network on COCO's weights looks at, at least.
        most_coco_area_px: the same where objects are small.
        has_windows: whether such a network may learn in windows of an input that is larger still.
    """

    network: NetworkConfig
    input_area_px: int
    most_area_px: int
    tries_pretrained: bool = False
    windows_below: float = 0.0
    coco_area_px: int = 49_152  # 256 x 192: as fast as the narrow network (docs/models.md)
    most_coco_area_px: int = 128_000
    has_windows: bool = False


SLIM = NetworkConfig(stem_width=16, stage_widths=(32, 64, 112, 192), neck_width=48)
ACCURATE = ModelType(  # 384 x 288 for 4:3 images, on COCO's weights 480 x 352: photographs gain from pixels
    NetworkConfig(),
    118_000,
    600_000,
    tries_pretrained=True,
    coco_area_px=169_000,
    most_coco_area_px=600_000,
    has_windows=True,
)
FAST = ModelType(SLIM, 118_000, 400_000)  # narrower, not coarser: docs/models.md has the measurements
DEFAULT_MODEL_TYPE = "cloud-high-accuracy-1"
MODEL_TYPES = {
    "cloud-high-accuracy-1": ACCURATE,
    "mobile-high-accuracy-1": ACCURATE,
    "cloud-low-latency-1": FAST,
    "mobile-versatile-1": FAST,
    "mobile-low-latency-1": FAST,
}


def network_config(choice: str | Mapping[str, Any]) -> NetworkConfig:
    """The network that a recipe asks for: "tiny", "accurate", "fast", or fields of `NetworkConfig` by name.

    Raises:
        TypeError: an unknown name or field.
    """
    if isinstance(choice, str):
        named = {"tiny": TINY, "accurate": ACCURATE.network, "fast": FAST.network}
        if choice not in named:
            raise TypeError(f"network must be one of {', '.join(named)}, not '{choice}'")
        return named[choice]
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, Sequence) else value for name, value in choice.items()
    }
    return dataclasses.replace(NetworkConfig(), **fields)


def choose_input_hw(area_px: int, sizes_hw: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Frame with about `area_px` pixels whose aspect is the median aspect of the images; sides are multiples of 32."""
    return input_frame.closest_hw(area_px, sizes_hw, SIDE_MULTIPLE_PX)


class _Rounded(torch.autograd.Function):
    """Values rounded to multiples of a step; gradients pass as if they were not (Bengio et al., 2013)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, step: Tensor) -> Tensor:
        return (values / step).round_().mul_(step)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def rounded_like_int8(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs of a convolution, at least 0, and its weights, as int8 will know them.

    Eight bits for all values of a layer; seven bits and a sign of every output channel for
    the weights (`learning.quantise_main` says why).
    """
    x_step = (x.detach().amax() / INPUT_LEVELS).clamp(min=LEAST_STEP)
    weight_step = (weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True) / WEIGHT_LEVELS).clamp(min=LEAST_STEP)
    return _Rounded.apply(x, x_step), _Rounded.apply(weight, weight_step)


class ConvBlock(nn.Module):
    """Convolution, batch normalisation, ReLU; adds its input where the shapes allow it.

    With `rounds`, training sees what int8 will do to inputs and weights.
    """

    def __init__(self, in_width: int, out_width: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, out_width, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(out_width, eps=1e-3, momentum=0.1)
        self.residual = in_width == out_width and stride == 1 and kernel == 3
        self.rounds = False
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        if self.residual:
            nn.init.constant_(self.norm.weight, 0.5)  # keeps the sum's variance near the input's

    def forward(self, x: Tensor) -> Tensor:
        if self.rounds:
            rounded_x, weight = rounded_like_int8(x, self.conv.weight)
            y = functional.conv2d(rounded_x, weight, None, self.conv.stride, self.conv.padding)
        else:
            y = self.conv(x)  # (B, out, H/stride, W/stride)
        y = self.norm(y)
        return functional.relu(y + x if self.residual else y, inplace=True)


class Head(nn.Module):
    """One level's outputs: class logits and box distance logits at every point."""

    def __init__(self, width: int, label_count: int, distance_bins: int, score_prior: float) -> None:
        super().__init__()
        self.shared: nn.Module = ConvBlock(width, width)
        self.scores: nn.Module = nn.Conv2d(width, label_count, 1)
        self.distances = nn.Conv2d(width, 4 * (distance_bins + 1), 1)
        nn.init.normal_(self.scores.weight, 0.0, 0.01)
        nn.init.constant_(self.scores.bias, math.log(score_prior / (1 - score_prior)))  # type: ignore[arg-type]
        nn.init.normal_(self.distances.weight, 0.0, 0.01)
        nn.init.constant_(self.distances.bias, 1.0)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.shared(x)  # (B, neck, h, w)
        scores = self.scores(x).flatten(2).transpose(1, 2)  # (B, h*w, C)
        distances = self.distances(x).flatten(2).transpose(1, 2)  # (B, h*w, 4*(bins+1))
        return scores, distances


@dataclasses.dataclass(frozen=True)
class Points:
    """Where the network looks.

    Attributes:
        centres_px: (A, 2) float32, x and y in input pixels.
        strides_px: (A, 1) float32.
    """

    centres_px: Tensor
    strides_px: Tensor

    def to(self, device: torch.device | str) -> Points:
        """The same points where the network is."""
        return Points(self.centres_px.to(device), self.strides_px.to(device))


def points_for(input_hw: tuple[int, int]) -> Points:
    """Cell centres of every level, in the order of the network's outputs."""
    centres, strides = [], []
    for stride in STRIDES:
        rows = torch.arange(input_hw[0] // stride, dtype=torch.float32) + 0.5
        columns = torch.arange(input_hw[1] // stride, dtype=torch.float32) + 0.5
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        centres.append(torch.stack([x, y], dim=-1).reshape(-1, 2) * stride)  # (h*w, 2)
        strides.append(torch.full((len(rows) * len(columns), 1), float(stride)))  # (h*w, 1)
    return Points(torch.cat(centres), torch.cat(strides))


def score_prior(boxes_per_image: float, label_count: int, input_hw: tuple[int, int]) -> float:
    """The mean score that a network will give once it has learned: where training starts from.

    The score bias moves by about the learning rate a step: from far above, a thousand steps would go into lowering it.
    """
    points = sum((input_hw[0] // stride) * (input_hw[1] // stride) for stride in STRIDES)
    return min(SCORE_PRIOR, max(LEAST_PRIOR, QUALITY_OF_A_BOX * boxes_per_image / (points * label_count)))


def decode_boxes(distances: Tensor, points: Points) -> Tensor:
    """Distance logits (B, A, 4*(bins+1)) to boxes (B, A, 4), xyxy in input pixels."""
    batch, anchors, width = distances.shape
    bins = torch.arange(width // 4, dtype=distances.dtype, device=distances.device)  # (bins+1,)
    probabilities = distances.reshape(batch, anchors, 4, -1).softmax(dim=-1)  # (B, A, 4, bins+1)
    sides = (probabilities * bins).sum(dim=-1) * points.strides_px  # (B, A, 4) left, top, right, bottom
    centres = points.centres_px
    return torch.cat([centres - sides[..., :2], centres + sides[..., 2:]], dim=-1)  # (B, A, 4)


class Network(nn.Module):
    """The detector. `forward` gives training's logits, `predict` what the exported graph gives.

    Attributes:
        decay_share: of the recipe's weight decay, that this network is trained with.
    """

    decay_share = 1.0

    def __init__(self, config: NetworkConfig, label_count: int, score_prior: float = SCORE_PRIOR) -> None:
        super().__init__()
        self.config = config
        self.label_count = label_count
        self._build_backbone(config)
        self._build_neck(config)
        self.heads = nn.ModuleList(self._build_head(config, label_count, score_prior) for _ in STRIDES)

    def _build_neck(self, config: NetworkConfig) -> None:
        neck = config.neck_width
        self.lateral = nn.ModuleList(ConvBlock(width, neck, kernel=1) for width in config.stage_widths[1:])
        self.top_down = nn.ModuleList(ConvBlock(neck, neck) for _ in range(2))
        self.bottom_up = nn.ModuleList(ConvBlock(neck, neck, stride=2) for _ in range(2))

    def _build_head(self, config: NetworkConfig, label_count: int, score_prior: float) -> Head:
        return Head(config.neck_width, label_count, config.distance_bins, score_prior)

    def _build_backbone(self, config: NetworkConfig) -> None:
        self.stem = ConvBlock(3, config.stem_width, stride=2)
        widths = (config.stem_width, *config.stage_widths)
        self.stages = nn.ModuleList(
            nn.Sequential(
                ConvBlock(widths[index], widths[index + 1], stride=2),
                *(ConvBlock(widths[index + 1], widths[index + 1]) for _ in range(depth - 1)),
            )
            for index, depth in enumerate(config.stage_depths)
        )

    def round_like_int8(self, rounds: bool) -> None:
        """Switches rounding of all blocks but the stem, whose pixels have eight bits already."""
        for module in self.modules():
            if isinstance(module, ConvBlock) and module is not self.stem:
                module.rounds = rounds

    def learned(self) -> list[tuple[list[nn.Parameter], float]]:
        """The parameters that training changes, in groups, and the learning rate of each relative to the recipe's."""
        return [(list(self.parameters()), 1.0)]

    def backbone(self, x: Tensor) -> list[Tensor]:
        """Normalised pixels (B, 3, H, W) to features (B, width, H/s, W/s) at strides s of 8, 16 and 32."""
        x = self.stem(x)  # (B, stem, H/2, W/2)
        levels = []
        for stage in self.stages:
            x = stage(x)  # (B, width, H/4 … H/32, …)
            levels.append(x)
        return levels[1:]

    @property
    def input_means(self) -> tuple[float, ...]:
        """What is subtracted from the pixels: one number, or one for each channel."""
        return (INPUT_MEAN,)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pixels (B, H, W, 3) uint8 to (B, 3, H, W), channels last in memory."""
        return (pixels.permute(0, 3, 1, 2).float() - INPUT_MEAN) * INPUT_SCALE

    def neck(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """What `backbone` gives to (B, neck, H/s, W/s) at the same strides."""
        fine, middle, coarse = (lateral(level) for lateral, level in zip(self.lateral, levels, strict=True))
        middle = self.top_down[0](middle + functional.interpolate(coarse, scale_factor=2.0))  # (B, neck, H/16, W/16)
        fine = self.top_down[1](fine + functional.interpolate(middle, scale_factor=2.0))  # (B, neck, H/8, W/8)
        middle = middle + self.bottom_up[0](fine)  # (B, neck, H/16, W/16)
        coarse = coarse + self.bottom_up[1](middle)  # (B, neck, H/32, W/32)
        return [fine, middle, coarse]

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, H, W, 3) uint8 to class logits (B, A, C) and distance logits (B, A, 4*(bins+1))."""
        levels = self.neck(self.backbone(self.normalised(pixels)))
        outputs = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        scores = torch.cat([one for one, _ in outputs], dim=1)  # (B, A, C)
        distances = torch.cat([one for _, one in outputs], dim=1)  # (B, A, 4*(bins+1))
        return scores, distances

    @torch.inference_mode()
    def predict(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, H, W, 3) uint8 to boxes (B, A, 4) in input pixels and scores (B, A, C); eval mode expected."""
        scores, distances = self(pixels)
        points = points_for((pixels.shape[1], pixels.shape[2])).to(pixels.device)
        boxes_px = decode_boxes(distances, points)  # (B, A, 4)
        return boxes_px, scores.sigmoid()
