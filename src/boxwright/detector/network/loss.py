"""What the network is asked to do: which points answer for which box, and how wrong they are.

assign(...) -> Assignment         task-aligned: the best points of every box by score and overlap together
detection_loss(...) -> Losses     cross entropy with quality targets, GIoU, distribution focal loss
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from boxwright.detector.network import dense

POSITIVES_PER_BOX = 10
SCORE_POWER = 0.5  # alignment = score^0.5 * IoU^4, the values of the TOOD paper's successors
IOU_POWER = 4.0
BOX_WEIGHT = 6.0  # the score term is a sum over all points and labels, an order of magnitude above the other two
DISTRIBUTION_WEIGHT = 1.5
BORDER_PX = 1e-3  # a point on a box's border is not inside
MINIMUM_QUALITY = 0.05  # target of the one point given to a box that holds no point
LEAST_OF_MEAN = 0.25  # a part's normaliser, of the mean over the parts of a batch
EPSILON = 1e-7
BOXES_AT_ONCE = 256  # whose nearest points are looked for, likewise
PAIRS_AT_ONCE = 1 << 24  # points times boxes times images: beyond it images are assigned one by one, for memory's sake


@dataclasses.dataclass(frozen=True)
class Targets:
    """Ground truth of a batch, padded to G boxes.

    Attributes:
        boxes_px: (B, G, 4) float32, xyxy in input pixels.
        label_indices: (B, G) int64.
        present: (B, G) bool, false for padding.
    """

    boxes_px: Tensor
    label_indices: Tensor
    present: Tensor

    def part(self, rows: slice) -> Targets:
        """Some of the images."""
        return Targets(self.boxes_px[rows], self.label_indices[rows], self.present[rows])


@dataclasses.dataclass(frozen=True)
class Assignment:
    """Which points answer for which boxes.

    Attributes:
        positive: (B, A) bool.
        box_indices: (B, A) int64 into G, meaningful where positive.
        quality: (B, A) float32, the score that the point should give, in [0, 1].
    """

    positive: Tensor
    box_indices: Tensor
    quality: Tensor


@dataclasses.dataclass(frozen=True)
class Losses:
    """The three terms, unweighted, and their weighted sum (all scalars)."""

    score: Tensor
    box: Tensor
    distribution: Tensor

    @property
    def total(self) -> Tensor:
        return self.score + BOX_WEIGHT * self.box + DISTRIBUTION_WEIGHT * self.distribution


def overlap(boxes_a: Tensor, boxes_b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of matching rows; (..., 4) each, broadcast, give (...) each."""
    left_a, top_a, right_a, bottom_a = boxes_a.unbind(dim=-1)
    left_b, top_b, right_b, bottom_b = boxes_b.unbind(dim=-1)
    widths = (torch.minimum(right_a, right_b) - torch.maximum(left_a, left_b)).clamp(min=0)
    heights = (torch.minimum(bottom_a, bottom_b) - torch.maximum(top_a, top_b)).clamp(min=0)
    intersection = widths * heights
    areas_a = (right_a - left_a).clamp(min=0) * (bottom_a - top_a).clamp(min=0)
    areas_b = (right_b - left_b).clamp(min=0) * (bottom_b - top_b).clamp(min=0)
    union = areas_a + areas_b - intersection + EPSILON
    hull_widths = (torch.maximum(right_a, right_b) - torch.minimum(left_a, left_b)).clamp(min=0)
    hull_heights = (torch.maximum(bottom_a, bottom_b) - torch.minimum(top_a, top_b)).clamp(min=0)
    hull = hull_widths * hull_heights + EPSILON
    iou = intersection / union
    return iou, iou - (hull - union) / hull


@torch.no_grad()
def assign(scores: Tensor, boxes_px: Tensor, points: dense.Points, targets: Targets) -> Assignment:
    """Gives every box its best points; a point wanted by several boxes goes to the one it overlaps most.

    Args:
        scores: (B, A, C) in [0, 1].
        boxes_px: (B, A, 4) predicted.
        points: of the same input size.
        targets: ground truth.
    """
    if len(scores) > 1 and scores.shape[0] * scores.shape[1] * targets.present.shape[1] > PAIRS_AT_ONCE:
        rows_of = [slice(image, image + 1) for image in range(len(scores))]
        single = [assign(scores[one], boxes_px[one], points, targets.part(one)) for one in rows_of]
        return Assignment(
            torch.cat([one.positive for one in single]),
            torch.cat([one.box_indices for one in single]),
            torch.cat([one.quality for one in single]),
        )
    inside = _inside(points, targets)  # (B, G, A)
    images, rows, anchors = inside.nonzero(as_tuple=True)  # (N,) each: few of all pairs, however many boxes there are
    pair_iou = overlap(targets.boxes_px[images, rows], boxes_px[images, anchors])[0]  # (N,)
    own_scores = scores[images, anchors, targets.label_indices[images, rows]]  # (N,)
    iou = torch.zeros(inside.shape, dtype=boxes_px.dtype, device=boxes_px.device)  # (B, G, A)
    alignment = torch.zeros_like(iou)  # (B, G, A)
    iou[images, rows, anchors] = pair_iou
    alignment[images, rows, anchors] = own_scores.pow(SCORE_POWER) * pair_iou.pow(IOU_POWER)

    values, best = alignment.topk(min(POSITIVES_PER_BOX, alignment.shape[2]), dim=-1)  # (B, G, K)
    chosen = torch.zeros_like(inside).scatter_(2, best, values > 1e-9) & inside  # (B, G, A)
    claim = iou.clone()  # (B, G, A): who gets a contested point
    empty = ~chosen.any(dim=-1) & targets.present  # (B, G): no point inside, or none overlapping yet
    if bool(empty.any()):
        images, rows = empty.nonzero(as_tuple=True)  # (E,), (E,)
        middles = (targets.boxes_px[images, rows, :2] + targets.boxes_px[images, rows, 2:]) / 2  # (E, 2)
        nearest = torch.cat(  # (E,)
            [
                (points.centres_px[None] - some[:, None]).square().sum(dim=-1).argmin(dim=1)
                for some in middles.split(BOXES_AT_ONCE)
            ]
        )
        chosen[images, rows, nearest] = True
        claim[images, rows, nearest] = 2.0  # above any IoU: this box has no other point
        iou[images, rows, nearest] = iou[images, rows, nearest].clamp(min=MINIMUM_QUALITY)
        alignment[images, rows, nearest] = alignment[images, rows, nearest].clamp(min=1e-6)

    owner = (claim * chosen).argmax(dim=1)  # (B, A): a box that chose a point has a claim above 0
    chosen &= torch.zeros_like(chosen).scatter_(1, owner[:, None], True)  # (B, G, A)
    alignment = alignment * chosen
    best_alignment = alignment.amax(dim=-1, keepdim=True)  # (B, G, 1)
    best_iou = (iou * chosen).amax(dim=-1, keepdim=True)  # (B, G, 1)
    quality = (alignment / (best_alignment + 1e-9) * best_iou).amax(dim=1)  # (B, A)
    return Assignment(chosen.any(dim=1), owner, quality)


def _inside(points: dense.Points, targets: Targets) -> Tensor:
    """Which points lie in which boxes, (B, G, A) bool."""
    x, y = points.centres_px.T.contiguous()  # (A,) each
    left, top, right, bottom = targets.boxes_px[..., None].unbind(dim=2)  # (B, G, 1) each
    inside = (x > left + BORDER_PX) & (x < right - BORDER_PX) & (y > top + BORDER_PX) & (y < bottom - BORDER_PX)
    return inside & targets.present[..., None]


def detection_loss(
    scores: Tensor,
    distances: Tensor,
    points: dense.Points,
    targets: Targets,
    together: Callable[[float], float] = lambda quality: quality,
) -> Losses:
    """The losses of one batch, or of a part of it.

    Args:
        scores: class logits (B, A, C).
        distances: logits (B, A, 4*(bins+1)).
        points: of the same input size.
        targets: ground truth.
        together: from the sum of the targets' quality in this part to its mean over all parts.
    """
    boxes_px = dense.decode_boxes(distances, points)  # (B, A, 4)
    probabilities = scores.detach().sigmoid()  # (B, A, C)
    assignment = assign(probabilities, boxes_px.detach(), points, targets)
    images, anchors = assignment.positive.nonzero(as_tuple=True)  # (P,), (P,)
    rows = assignment.box_indices[images, anchors]  # (P,)
    quality = assignment.quality[images, anchors]  # (P,)
    wanted = torch.zeros_like(scores)  # (B, A, C)
    wanted[images, anchors, targets.label_indices[images, rows]] = quality
    own = float(quality.sum())
    # A part divides by its own sum: few objects in an image weigh as much as many. But one without any must not weigh most.
    normaliser = max(1.0, own, LEAST_OF_MEAN * together(own))
    # No focal factor: labels are missing in most data, and the points that are wrongest by their labels are often right.
    score_loss = functional.binary_cross_entropy_with_logits(scores, wanted, reduction="sum") / normaliser
    if len(images) == 0:
        nothing = distances.sum() * 0.0
        return Losses(score_loss, nothing, nothing)

    wanted_boxes = targets.boxes_px[images, rows]  # (P, 4)
    _, generalised = overlap(boxes_px[images, anchors], wanted_boxes)  # (P,)
    box_loss = ((1.0 - generalised) * quality).sum() / normaliser

    bins = distances.shape[2] // 4 - 1
    centres, strides = points.centres_px[anchors], points.strides_px[anchors]  # (P, 2), (P, 1)
    sides = torch.cat([centres - wanted_boxes[:, :2], wanted_boxes[:, 2:] - centres], dim=-1) / strides  # (P, 4)
    sides = sides.clamp(0.0, bins - 0.01)
    lower = sides.floor().long()  # (P, 4)
    upper_weight = sides - lower  # (P, 4)
    log_probabilities = distances[images, anchors].reshape(-1, 4, bins + 1).log_softmax(dim=-1)  # (P, 4, bins+1)
    at_lower = log_probabilities.gather(2, lower[..., None])[..., 0]  # (P, 4)
    at_upper = log_probabilities.gather(2, lower[..., None] + 1)[..., 0]  # (P, 4)
    entropy = -(at_lower * (1.0 - upper_weight) + at_upper * upper_weight).mean(dim=-1)  # (P,)
    return Losses(score_loss, box_loss, (entropy * quality).sum() / normaliser)
