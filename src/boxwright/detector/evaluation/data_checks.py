"""What is in the data, and what about it will hurt: counts per label and set, and sentences for the user.

    label_statistics(labels, splits, input_hw) -> [LabelStatistics]
    concerns(...) -> [sentence]

Nothing here stops a training; what must stop it is checked before the operation starts.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from boxwright import boxes
from boxwright.detector.data import dataset
from boxwright.detector.evaluation.evaluate import GroundTruth

FEW_TRAINING_BOXES = 50  # below this a label's precision is mostly luck
FEW_TEST_BOXES = 20
FEW_TRAINING_IMAGES = 100
UNBALANCED = 20.0  # boxes of the commonest label for each of the rarest
TINY_PX = 8.0  # the finest stride of the network
TINY_SHARE = 0.2
SURE_SCORE = 0.8  # a detection this sure that lies on no box is probably an object without one
LEAST_SURE_SCORE = 0.3  # gaps in the labels lower all scores: as sure as half of the right ones is enough, down to here
RIGHT_IOU = 0.5
FREE_IOU = 0.1
UNLABELLED_SHARE = 0.02  # of the evaluated boxes
LISTED = 5  # names in one sentence


@dataclasses.dataclass(frozen=True)
class LabelStatistics:
    """One label.

    Attributes:
        display_name: of the label.
        boxes: number of boxes by set.
        images: number of images with such boxes by set.
        median_side_px: median of the square root of a training box's area, in pixels of the network's input.
        tiny_share: share of training boxes with a side below `TINY_PX` there.
    """

    display_name: str
    boxes: dict[str, int]
    images: dict[str, int]
    median_side_px: float
    tiny_share: float


def label_statistics(
    labels: Sequence[dict[str, str]], splits: dataset.Splits, input_hw: tuple[int, int]
) -> list[LabelStatistics]:
    """Counts every label; sizes take the input's frame, so an image that does not fill it has smaller boxes than stated."""
    sets = {"TRAIN": splits.train, "VALIDATION": splits.validation, "TEST": splits.test}
    sides = np.concatenate([np.empty((0, 2)), *(_sides_px(one, input_hw) for one in splits.train)])  # (N, 2)
    owners = np.concatenate([np.empty(0, np.int64), *(one.label_indices for one in splits.train)])
    result = []
    for index, label in enumerate(labels):
        counts = {
            name: [int((one.label_indices == index).sum()) for one in examples] for name, examples in sets.items()
        }
        own = sides[owners == index]
        result.append(
            LabelStatistics(
                label["display_name"],
                {name: sum(values) for name, values in counts.items()},
                {name: sum(value > 0 for value in values) for name, values in counts.items()},
                float(np.median(np.sqrt(own.prod(axis=1)))) if len(own) else 0.0,
                float((own.min(axis=1) < TINY_PX).mean()) if len(own) else 0.0,
            )
        )
    return result


def _sides_px(example: dataset.Example, input_hw: tuple[int, int]) -> np.ndarray:
    return (example.boxes_norm[:, 2:] - example.boxes_norm[:, :2]) * np.asarray([input_hw[1], input_hw[0]], np.float64)


def concerns(splits: dataset.Splits, statistics: Sequence[LabelStatistics]) -> list[str]:
    """What a person should know of the data, worst first."""
    found = [*_duplicates(splits)]
    if len(splits.train) < FEW_TRAINING_IMAGES:
        found.append(
            f"There are only {len(splits.train)} training images; the figures below say little about new images. "
            f"Several hundred make a difference."
        )
    found += _few(statistics, "TRAIN", FEW_TRAINING_BOXES, "to learn from")
    found += _few(statistics, "TEST", FEW_TEST_BOXES, "to be judged by")
    counts = sorted((one.boxes["TRAIN"], one.display_name) for one in statistics if one.boxes["TRAIN"])
    if counts and counts[-1][0] > UNBALANCED * counts[0][0]:
        found.append(
            f"The labels are unbalanced: {counts[-1][1]} has {counts[-1][0]} training boxes, {counts[0][1]} has "
            f"{counts[0][0]}."
        )
    tiny = [one for one in statistics if one.tiny_share > TINY_SHARE]
    if tiny:
        found.append(
            f"Small objects: {_listed([f'{one.tiny_share:.0%} of {one.display_name}' for one in tiny])} have a side below "
            f"{TINY_PX:.0f} pixels at the network's input and will often be missed; cut the images into tiles."
        )
    empty = sum(len(one.label_indices) == 0 for one in splits.train)
    if empty:
        found.append(f"{empty} of {len(splits.train)} training images have no box; they teach what is not to be found.")
    return found


def unlabelled(
    ground_truth: Sequence[GroundTruth], detections: Sequence[boxes.Detections], names: Sequence[str]
) -> list[str]:
    """A sentence if the evaluated images seem to hold objects without boxes, else nothing."""
    images: collections.Counter[str] = collections.Counter()
    objects = 0
    limits = _sure_scores(ground_truth, detections)
    for truth, found, name in zip(ground_truth, detections, names, strict=True):
        sure = np.asarray([limits.get(int(label), SURE_SCORE) for label in found.label_indices]) <= found.scores
        iou = boxes.pairwise_iou(found.boxes_norm[sure].astype(np.float64), truth.boxes_norm.astype(np.float64))
        free = int((iou.max(axis=1, initial=0.0) < FREE_IOU).sum())
        objects += free
        images.update({name: free} if free else {})
    total = sum(len(truth.label_indices) for truth in ground_truth)
    if objects <= max(1.0, UNLABELLED_SHARE * total):
        return []
    return [
        f"{objects} sure detections in {len(images)} of the evaluated images lie on no box: labels may be missing there. "
        f"Look first at {_listed([name for name, _ in images.most_common(LISTED)])}."
    ]


def _sure_scores(ground_truth: Sequence[GroundTruth], detections: Sequence[boxes.Detections]) -> dict[int, float]:
    """For each label the score that a sure detection has: the median of the right ones, within limits."""
    right: dict[int, list[float]] = collections.defaultdict(list)
    for truth, found in zip(ground_truth, detections, strict=True):
        iou = boxes.pairwise_iou(found.boxes_norm.astype(np.float64), truth.boxes_norm.astype(np.float64))  # (N, G)
        same = found.label_indices[:, None] == truth.label_indices  # (N, G)
        rows, owners = np.nonzero(same & (iou >= RIGHT_IOU))
        for box in np.unique(owners):  # rows are in order of score: the first one is the best
            right[int(truth.label_indices[box])].append(float(found.scores[rows[owners == box][0]]))
    return {label: min(SURE_SCORE, max(LEAST_SURE_SCORE, float(np.median(scores)))) for label, scores in right.items()}


def _duplicates(splits: dataset.Splits) -> list[str]:
    """Images whose bytes are in more than one set."""
    sets_of: dict[str, set[str]] = collections.defaultdict(set)
    uris: dict[str, str] = {}
    for name, examples in (("TRAIN", splits.train), ("VALIDATION", splits.validation), ("TEST", splits.test)):
        for one in examples:
            if one.sha256:
                sets_of[one.sha256].add(name)
                uris.setdefault(one.sha256, one.uri)
    shared = [digest for digest, names in sets_of.items() if len(names) > 1]
    if not shared:
        return []
    listed = _listed([uris[digest] for digest in sorted(shared, key=lambda digest: uris[digest])])
    verb = "image is" if len(shared) == 1 else "images are"
    return [f"{len(shared)} {verb} in more than one set, which makes the evaluation too good: {listed}."]


def _few(statistics: Sequence[LabelStatistics], split: str, limit: int, purpose: str) -> list[str]:
    few = [one for one in statistics if one.boxes[split] < limit]
    if not few:
        return []
    listed = _listed([f"{one.display_name} ({one.boxes[split]})" for one in sorted(few, key=lambda o: o.boxes[split])])
    return [f"Fewer than {limit} {split} boxes {purpose}: {listed}."]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
