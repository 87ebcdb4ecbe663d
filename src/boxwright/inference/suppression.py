"""From the network's output to detections: suppression of duplicates, and box voting.

    detections_from(raw, prepared, …) -> Detections     boxes in the upright original, best first

The rules are published: greedy non-maximum suppression per label, and box voting after Gidaris and Komodakis (2015).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from boxwright import boxes
from boxwright.images.letterbox import Prepared
from boxwright.inference.model_folder import Voting
from boxwright.inference.runtime import RawOutput

MAX_CANDIDATES = 600  # best-scored boxes that enter suppression: bounds the pairwise matrix whatever the scores are
BLOCK = 128  # boxes that suppression compares with all that are left, at once
SUPPRESSION_IOU = 0.6
VOTING = Voting(iou=0.7, score_share=0.7)  # what it brings hardly depends on these: ADR 0017


def _areas(
    boxes_a: npt.NDArray[np.float32], boxes_b: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Intersection and union of every pair, (A, 4) and (B, 4) give (A, B) each.

    Written out in place: with `suppress` and `vote`, the only stage of a prediction that holds the interpreter for long.
    """
    left_a, top_a, right_a, bottom_a = boxes_a.T.copy()[..., None]  # (A, 1) each
    left_b, top_b, right_b, bottom_b = boxes_b.T.copy()  # (B,) each
    intersection = np.minimum(right_a, right_b)  # (A, B), as all below
    intersection -= np.maximum(left_a, left_b)
    np.maximum(intersection, 0.0, out=intersection)
    heights = np.minimum(bottom_a, bottom_b)
    heights -= np.maximum(top_a, top_b)
    np.maximum(heights, 0.0, out=heights)
    intersection *= heights
    union = np.add((right_a - left_a) * (bottom_a - top_a), (right_b - left_b) * (bottom_b - top_b), out=heights)
    union -= intersection
    return intersection, union


def suppress(
    boxes_px: npt.NDArray[np.float32], label_indices: npt.NDArray[np.int64], iou_threshold: float
) -> npt.NDArray[np.bool_]:
    """Greedy class-wise suppression of boxes that come best first; (N, 4) and (N,) give the kept rows, (N,) bool.

    In blocks: what an earlier block has suppressed is compared with nothing any more.
    """
    if len(boxes_px) <= BLOCK:
        return _suppress_first(boxes_px, label_indices, len(boxes_px), iou_threshold)
    keep = np.ones(len(boxes_px), bool)
    for start in range(0, len(boxes_px), BLOCK):
        left = np.flatnonzero(keep[start:])
        count = int(np.searchsorted(left, BLOCK))  # of the block
        if count:
            left += start
            keep[left] = _suppress_first(boxes_px[left], label_indices[left], count, iou_threshold)
    return keep


def _suppress_first(
    boxes_px: npt.NDArray[np.float32], label_indices: npt.NDArray[np.int64], count: int, iou_threshold: float
) -> npt.NDArray[np.bool_]:
    """What is left, (N,) bool, when so many boxes at the front have suppressed each other and all behind them.

    One pairwise matrix, without a division, then one boolean row per box that is kept and overlaps another.
    """
    intersection, union = _areas(boxes_px[:count], boxes_px)
    union *= iou_threshold
    overlaps = intersection > union
    overlaps &= label_indices[:count, None] == label_indices
    keep = np.ones(len(boxes_px), bool)
    for row in np.flatnonzero(overlaps.sum(axis=1) > 1):  # every box overlaps itself
        if keep[row]:
            keep[row + 1 :] &= ~overlaps[row, row + 1 :]
    return keep


def vote(
    boxes_px: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    label_indices: npt.NDArray[np.int64],
    kept: npt.NDArray[np.int64],
    voting: Voting,
) -> npt.NDArray[np.float32]:
    """Where the kept boxes lie when those that agree with them have a say: means, weighted by score and overlap.

    Box voting, after Gidaris and Komodakis (2015). The sums run in the order of the boxes, so that a box which shares in
    none of them changes no bit.

    Args:
        boxes_px: (N, 4), best first, as suppression has seen them.
        scores: (N,).
        label_indices: (N,).
        kept: (K,) rows that suppression has left.
        voting: who takes part.

    Returns:
        (K, 4).
    """
    intersection, union = _areas(boxes_px[kept], boxes_px)  # (K, N) each
    agree = intersection > np.float32(voting.iou) * union
    agree &= label_indices[kept, None] == label_indices
    agree &= scores >= np.float32(voting.score_share) * scores[kept, None]
    rows, voters = np.nonzero(agree)  # (M,) each
    weights = scores[voters].astype(np.float64) * intersection[rows, voters] / union[rows, voters]
    sums = np.stack([np.bincount(rows, weights * side, len(kept)) for side in boxes_px[voters].T], axis=1)  # (K, 4)
    totals = np.bincount(rows, weights, len(kept))[:, None]
    # A box without area does not even overlap itself: it stays where it is.
    moved = np.divide(sums, totals, out=boxes_px[kept].astype(np.float64), where=totals > 0)
    return moved.astype(np.float32)


def detections_from(
    raw: RawOutput,
    prepared: Prepared,
    *,
    score_floor: float,
    suppression_iou: float,
    voting: Voting | None,
    max_detections: int,
    min_score: float = 0.0,
) -> boxes.Detections:
    """Network output to detections in the upright original.

    Candidates are ordered by score, ties by anchor and then label, so that the result never depends on a sort's mood.

    Args:
        raw: from the network.
        prepared: what it has looked at.
        score_floor: of the model; lower scores do not count at all.
        suppression_iou: of two boxes of one label that overlap more, the better one stays.
        voting: which of the others share in its place, None for none.
        max_detections: best ones.
        min_score: lower ones are not returned; nothing else about the others depends on it.
    """
    flat_scores = raw.scores.reshape(-1)
    share = 1.0 if voting is None else voting.score_share
    candidates = np.flatnonzero(flat_scores >= max(score_floor, share * min_score))
    order = np.argsort(-flat_scores[candidates], kind="stable")[:MAX_CANDIDATES]
    candidates = candidates[order]
    anchors, label_indices = np.divmod(candidates, raw.scores.shape[1])
    boxes_px, scores = raw.boxes_px[anchors], flat_scores[candidates]
    keep = np.flatnonzero(suppress(boxes_px, label_indices, suppression_iou))[:max_detections]
    keep = keep[scores[keep] >= min_score]
    kept_px = boxes_px[keep] if voting is None else vote(boxes_px, scores, label_indices, keep, voting)
    offset = np.asarray(prepared.offset_xy * 2, np.float32)
    extent = np.asarray(prepared.scaled_wh * 2, np.float32)
    boxes_norm = np.clip((kept_px - offset) / extent, 0.0, 1.0)
    inside = (boxes_norm[:, 2:] > boxes_norm[:, :2]).all(axis=1)  # a box wholly in the grey border has no area
    keep = keep[inside]
    return boxes.Detections(
        boxes_norm[inside].astype(np.float32),
        scores[keep].astype(np.float32),
        label_indices[keep].astype(np.int64),
    )
