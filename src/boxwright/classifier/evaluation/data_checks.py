"""What is in the data, and what about it will hurt: counts per label and set, and sentences for the user.

    image_counts(label_count, splits) -> {set: [images]}
    concerns(labels, splits) -> [sentence]

Nothing here stops a training; what must stop it is checked before the operation starts.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np

from boxwright.classifier.data import dataset
from boxwright.classifier.evaluation import mistakes

FEW_TRAINING_IMAGES = 20  # of a label: below this its scores are mostly luck
FEW_TEST_IMAGES = 10
UNBALANCED = 20.0  # images of the commonest label for each of the rarest
LISTED = 5  # names in one sentence


def image_counts(label_count: int, splits: dataset.Splits) -> dict[str, list[int]]:
    """Images that carry each label, by set."""
    sets = {"TRAIN": splits.train, "VALIDATION": splits.validation, "TEST": splits.test}
    return {
        name: dataset.targets(examples, label_count).sum(axis=0).astype(np.int64).tolist()
        for name, examples in sets.items()
    }


def concerns(labels: Sequence[dict[str, str]], splits: dataset.Splits) -> list[str]:
    """What a person should know of the data, worst first."""
    counts = image_counts(len(labels), splits)
    names = [label["display_name"] for label in labels]
    found = _duplicates(splits)
    found += _few(names, counts["TRAIN"], "TRAIN", FEW_TRAINING_IMAGES, "to learn from")
    found += _few(names, counts["TEST"], "TEST", FEW_TEST_IMAGES, "to be judged by")
    present = sorted((images, name) for images, name in zip(counts["TRAIN"], names, strict=True) if images)
    if present and present[-1][0] > UNBALANCED * present[0][0]:
        found.append(
            f"The labels are unbalanced: {present[-1][1]} has {present[-1][0]} training images, {present[0][1]} has "
            f"{present[0][0]}."
        )
    return found


def doubts(found: Sequence[mistakes.DoubtfulLabel], labels: Sequence[dict[str, str]]) -> list[str]:
    """A sentence if labels are likely to be wrong, else nothing."""
    if not found:
        return []
    names = collections.Counter(
        labels[one.label if one.label is not None else one.instead or 0]["display_name"] for one in found
    )
    listed = _listed([f"{name} ({count})" for name, count in names.most_common(LISTED)])
    count = "One image has a label" if len(found) == 1 else f"{len(found)} images have a label"
    return [f"{count} that is likely to be wrong: {listed}. They are shown below; correct them and train again."]


def _few(names: Sequence[str], images: Sequence[int], split: str, enough: int, purpose: str) -> list[str]:
    few = [f"{name} ({count})" for name, count in zip(names, images, strict=True) if count < enough]
    if not few:
        return []
    return [f"Few {split} images {purpose}: {_listed(few)}. Fewer than {enough} say little."]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:LISTED])
    return shown if len(names) <= LISTED else f"{shown} and {len(names) - LISTED} more"


def _duplicates(splits: dataset.Splits) -> list[str]:
    """Images that are in two sets make the figures too good."""
    learned = {one.sha256 for one in splits.train if one.sha256}
    shared = [one for one in splits.test if one.sha256 in learned]
    if not shared:
        return []
    return [f"{len(shared)} TEST images are in TRAIN as well: the figures below are too good."]
