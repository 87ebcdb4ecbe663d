"""The detector that starts from COCO: NanoDet-g's design, of which every tensor is taken over one to one.

    pixels ─► stem /2 ─► pooling /4 ─► stage 1 /4 ─► stage 2 /8 ─► stage 3 /16 ─► stage 4 /32
                                                        │              │              │        1x1 to 128 channels
                                                        └──◄───────────┴──◄───────────┘        top down, then bottom up
                                             heads: per level one 3x3, then 1x1 label scores and 1x1 box distributions

Dense 3x3 convolutions with leaky ReLU and folded normalisation; a stage is a cross-stage partial block (Wang et al., 2019)
as NanoDet-g has it; the neck adds levels that are resized bilinearly and has no convolutions of its own. Stem and first
stage stay as they are. A label whose name is one of COCO's starts from its row (`coco_labels`), others from a prior.
The tensors are those of `boxwright weights install`, in the order of their graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from boxwright.detector.network import coco_labels, dense
from boxwright.learning import origin
from boxwright.weights.installed import InstalledWeights

SOURCE = "COCO, NanoDet-g"
SLOPE = 0.1  # of leaky ReLU
RESIDUAL_BLOCKS = (1, 2, 2, 3)  # of each stage
STEM_WIDTH = 32
CONFIG = dense.NetworkConfig(
    stem_width=STEM_WIDTH, stage_widths=(64, 128, 256, 512), stage_depths=(1, 1, 1, 1), neck_width=128, distance_bins=10
)
# The input that the weights were learned with, in the order red, green, blue: NanoDet's configuration, which has BGR.
MEANS = (123.675, 116.28, 103.53)
DEVIATIONS = (58.395, 57.12, 57.375)
RATE = 0.07  # of the recipe's learning rate, for everything that is taken over
STEP_SHARE = 0.25  # of the steps that are planned for random weights
LEAST_STEPS = 240
STEP_COST = 1.5  # of a step, to one of the plain network
MOST_KNOWN_AREA_PX = 275_000  # what it knows of a label it has learned at 416 x 416 pixels, and loses far from there
WINDOWS_BELOW = 0.9  # of the objects can be told apart: a larger input is learned in windows; and
KNOWN_WINDOWS_BELOW = 0.7  # where it knows a label
MOSAIC_FROM_IMAGES = 100  # with fewer, mosaics are left out
COLOUR_SHARE = 0.5  # of the recipe's changes of colour


def origin_of(found: InstalledWeights) -> origin.Origin:
    """Where installed weights come from."""
    known = found.weights
    return origin.Origin(
        name=known.name,
        source=f"npm {known.spec}",
        trained_on=known.trained_on,
        licences=known.licences,
        sha256=known.tensors_sha256,
        notice=found.notice,
    )


class LeakyConvolution(nn.Module):
    """Convolution with bias, then leaky ReLU."""

    def __init__(self, in_width: int, out_width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, out_width, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(self.conv(x), SLOPE)


class ConcatenatingBlock(nn.Module):
    """Half of its channels from one convolution, half from a second after it; as many come out as go in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = LeakyConvolution(width, width // 2)
        self.second = LeakyConvolution(width // 2, width // 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return torch.cat([self.second(x), x], dim=1)


class CrossStageBlock(nn.Module):
    """A stage: what comes in, and what the blocks make of it, side by side; twice as many channels come out."""

    def __init__(self, width: int, blocks: int, stride: int) -> None:
        super().__init__()
        self.enter = LeakyConvolution(width, width, stride)
        self.blocks = nn.Sequential(*(ConcatenatingBlock(width) for _ in range(blocks)))
        self.leave = LeakyConvolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return torch.cat([self.leave(self.blocks(x)), x], dim=1)


class LabelScores(nn.Module):
    """1x1 class scores whose rows are of two kinds, which learn at rates of their own: taken over, and new.

    Args:
        width: channels that come in.
        rows: for every label, the row of COCO's that it starts from; None for a new one.
        score_prior: that the new ones give at first.
    """

    def __init__(self, width: int, rows: Sequence[int | None], score_prior: float) -> None:
        super().__init__()
        self.sources = [row for row in rows if row is not None]
        known, new = len(self.sources), len(rows) - len(self.sources)
        self.known_weight = nn.Parameter(torch.zeros(known, width, 1, 1), requires_grad=known > 0)
        self.known_bias = nn.Parameter(torch.zeros(known), requires_grad=known > 0)
        self.new_weight = nn.Parameter(torch.empty(new, width, 1, 1).normal_(0.0, 0.01), requires_grad=new > 0)
        self.new_bias = nn.Parameter(torch.full((new,), float(np.log(score_prior / (1 - score_prior)))), new > 0)
        numbers = {True: iter(range(known)), False: iter(range(known, len(rows)))}
        self.register_buffer("order", torch.tensor([next(numbers[row is not None]) for row in rows]), persistent=False)
        self.order: Tensor

    def merged(self) -> tuple[Tensor, Tensor]:
        """Weight (labels, width, 1, 1) and bias (labels,) of the one convolution that it is."""
        weight = torch.cat([self.known_weight, self.new_weight]).index_select(0, self.order)
        return weight, torch.cat([self.known_bias, self.new_bias]).index_select(0, self.order)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, *self.merged())


class CocoHead(dense.Head):
    """One level's outputs, as in `dense.Head`."""

    shared: LeakyConvolution
    scores: LabelScores

    def __init__(self, config: dense.NetworkConfig, rows: Sequence[int | None], score_prior: float) -> None:
        nn.Module.__init__(self)
        width = config.neck_width
        self.shared = LeakyConvolution(width, width)
        self.scores = LabelScores(width, rows, score_prior)
        self.distances = nn.Conv2d(width, 4 * (config.distance_bins + 1), 1)


class CocoNetwork(dense.Network):
    """The detector of NanoDet-g's design.

    Args:
        rows: for every label, the row of COCO's labels that it starts from; None if there is none.
        score_prior: that the other labels start from.
    """

    decay_share = 0.25  # there are no normalisations that would undo the decay

    def __init__(self, rows: Sequence[int | None], score_prior: float) -> None:
        self._rows = tuple(rows)
        super().__init__(CONFIG, len(rows), score_prior)
        self.register_buffer("means", torch.tensor(MEANS).reshape(1, 3, 1, 1), persistent=False)
        self.means: Tensor

    @property
    def input_means(self) -> tuple[float, ...]:
        """As in `dense.Network`: one for each channel, so that the border looks as it did when the weights were learned."""
        return MEANS

    def _build_backbone(self, config: dense.NetworkConfig) -> None:
        self.first = LeakyConvolution(3, config.stem_width, stride=2)
        widths = (config.stem_width, *config.stage_widths[:3])
        self.stages = nn.ModuleList(
            CrossStageBlock(width, blocks, 1 if number == 0 else 2)
            for number, (width, blocks) in enumerate(zip(widths, RESIDUAL_BLOCKS, strict=True))
        )
        for fixed in (self.first, self.stages[0]):
            fixed.requires_grad_(False)

    def _build_neck(self, config: dense.NetworkConfig) -> None:
        self.lateral = nn.ModuleList(nn.Conv2d(width, config.neck_width, 1) for width in config.stage_widths[1:])

    def _build_head(self, config: dense.NetworkConfig, label_count: int, score_prior: float) -> dense.Head:
        return CocoHead(config, self._rows, score_prior)

    def fill(self, tensors: Mapping[str, npt.NDArray[np.float16]]) -> CocoNetwork:
        """Takes the weights over; returns the network.

        Args:
            tensors: `convolution.N.weight` (out, in, h, w) and `convolution.N.bias` (out,), in the order of the graph.
        """
        numbers = iter(range(len(tensors) // 2))

        def following() -> tuple[Tensor, Tensor]:
            number = next(numbers)
            kernel, bias = (torch.from_numpy(tensors[f"convolution.{number}.{kind}"]) for kind in ("weight", "bias"))
            return kernel.float(), bias.float()

        with torch.no_grad():
            for convolution in [*self._backbone_convolutions(), *self.lateral]:
                assert isinstance(convolution, nn.Conv2d)
                _put(convolution, *following())
            # from blue, green, red over the deviations to red, green, blue over ours
            scale = 1.0 / (torch.tensor(DEVIATIONS) * dense.INPUT_SCALE)
            self.first.conv.weight.copy_(self.first.conv.weight.flip(1) * scale[None, :, None, None])
            for head in self.heads:
                assert isinstance(head, CocoHead)
                _put(head.shared.conv, *following())
                kernel, bias = following()
                labels = len(coco_labels.LABELS)
                _put(head.distances, kernel[labels:], bias[labels:])
                head.scores.known_weight.copy_(kernel[head.scores.sources])
                head.scores.known_bias.copy_(bias[head.scores.sources])
        assert next(numbers, None) is None, "every tensor is taken over"
        return self

    def _backbone_convolutions(self) -> Iterator[nn.Conv2d]:
        yield self.first.conv
        for stage in self.stages:
            assert isinstance(stage, CrossStageBlock)
            yield stage.enter.conv
            for block in stage.blocks:
                yield block.first.conv  # type: ignore[misc, union-attr]
                yield block.second.conv  # type: ignore[misc, union-attr]
            yield stage.leave.conv

    def round_like_int8(self, rounds: bool) -> None:
        """Does nothing: rounding takes inputs of at least 0; int8 loses nothing on this network as it is."""

    def learned(self) -> list[tuple[list[nn.Parameter], float]]:
        """The rows of new labels at the full rate, everything that was taken over at a fraction of it."""
        scores = [one for one in self.modules() if isinstance(one, LabelScores)]
        names = {id(one) for rows in scores for one in (rows.new_weight, rows.new_bias)}
        learning = [one for one in self.parameters() if one.requires_grad]
        groups = [
            ([one for one in learning if id(one) in names], 1.0),
            ([one for one in learning if id(one) not in names], RATE),
        ]
        return [group for group in groups if group[0]]

    def normalised(self, pixels: Tensor) -> Tensor:
        """As in `dense.Network`."""
        return (pixels.permute(0, 3, 1, 2).float() - self.means) * dense.INPUT_SCALE

    def backbone(self, x: Tensor) -> list[Tensor]:
        """As in `dense.Network`."""
        with torch.no_grad():
            x = functional.max_pool2d(self.first(x), 3, 2, 1)  # (B, stem, H/4, W/4)
            x = self.stages[0](x)
        levels = []
        for stage in self.stages[1:]:
            x = stage(x)
            levels.append(x)
        return levels

    def neck(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """As in `dense.Network`."""
        fine, middle, coarse = (lateral(level) for lateral, level in zip(self.lateral, levels, strict=True))
        middle = middle + _enlarged(coarse)  # (B, neck, H/16, W/16)
        fine = fine + _enlarged(middle)  # (B, neck, H/8, W/8)
        middle = middle + functional.avg_pool2d(fine, 2)  # bilinear, at half the size, is this mean
        coarse = coarse + functional.avg_pool2d(middle, 2)
        return [fine, middle, coarse]


def _enlarged(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _put(convolution: nn.Conv2d, kernel: Tensor, bias: Tensor) -> None:
    assert convolution.bias is not None
    assert (convolution.weight.shape, convolution.bias.shape) == (kernel.shape, bias.shape)
    convolution.weight.copy_(kernel)
    convolution.bias.copy_(bias)
