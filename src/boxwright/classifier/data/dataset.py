"""Images with labels and no boxes: which there are, and which set each is in.

    read_examples(path) -> [Example]
    resolve_splits(examples) -> Splits          fills what the user left open, label by label

examples.jsonl has one object a line: {"uri", "sha256", "ml_use", "labels": [index]}. Unlabelled images are not in it: an
example without labels is one that is known to have none, which only `MULTILABEL` can learn from.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright.learning import example_sets

SPLITS = example_sets.SPLITS
TENTHS = 10  # of a label's images: one is for VALIDATION, one for TEST
LEAST_DEALT = 3  # images of a label: with fewer, all are for TRAIN


@dataclasses.dataclass(frozen=True)
class Example:
    """A labelled image.

    Attributes:
        uri: where its bytes are.
        sha256: of the bytes, hexadecimal.
        ml_use: TRAIN, VALIDATION, TEST or UNASSIGNED.
        label_indices: (N,) int64, ascending, each once; N is 1 for MULTICLASS.
    """

    uri: str
    sha256: str
    ml_use: str
    label_indices: npt.NDArray[np.int64]


Splits = example_sets.Splits[Example]


def read_examples(path: pathlib.Path) -> list[Example]:
    """Reads examples.jsonl.

    Raises:
        ValueError: a line is not what it should be; the message has its number.
    """
    return example_sets.read(path, _of_row)


def _of_row(row: dict[str, Any]) -> Example:
    indices = np.unique(np.asarray(row["labels"], np.int64))
    if len(indices) and indices[0] < 0:
        raise ValueError(f"label {indices[0]} is negative")
    return Example(row["uri"], row["sha256"], row["ml_use"], indices)


def resolve_splits(examples: Sequence[Example]) -> Splits:
    """Assigns every example to one set.

    Unassigned images are dealt 80/10/10 within each label, in an order that depends on their content alone, so that a label
    with ten images has one in each of the smaller sets. An image with several labels belongs to its rarest one here. A
    VALIDATION or TEST that is empty after that is taken from TRAIN in the same way.
    """
    chosen: dict[str, list[Example]] = {name: [one for one in examples if one.ml_use == name] for name in SPLITS}
    open_ones = [one for one in examples if one.ml_use not in SPLITS]
    validation, test = _dealt(open_ones, examples)
    taken = {id(one) for one in (*validation, *test)}
    chosen["VALIDATION"] += validation
    chosen["TEST"] += test
    chosen["TRAIN"] += [one for one in open_ones if id(one) not in taken]

    def take(name: str, train: list[Example]) -> list[Example]:
        return _dealt(train, examples)[0] or [min(train, key=_order)]

    return example_sets.filled(chosen, take)


def _order(example: Example) -> tuple[str, str]:
    """A random order of images that depends on their content."""
    return hashlib.sha256((example.sha256 or example.uri).encode()).hexdigest(), example.uri


def _dealt(examples: Sequence[Example], every: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """A tenth of each label's images twice; `every` says which of an image's labels is the rarest."""
    counts = collections.Counter(int(label) for one in every for label in one.label_indices)
    groups: dict[int, list[Example]] = collections.defaultdict(list)
    for one in examples:
        rarest = min((int(label) for label in one.label_indices), key=lambda label: (counts[label], label), default=-1)
        groups[rarest].append(one)
    first: list[Example] = []
    second: list[Example] = []
    for label in sorted(groups):
        own = sorted(groups[label], key=_order)
        share = 0 if len(own) < LEAST_DEALT else max(1, round(len(own) / TENTHS))
        first += own[:share]
        second += own[share : 2 * share]
    return first, second


def targets(examples: Sequence[Example], label_count: int) -> npt.NDArray[np.float32]:
    """(N, C) float32: 1 where an image carries a label, else 0."""
    table = np.zeros((len(examples), label_count), np.float32)
    for row, one in enumerate(examples):
        table[row, one.label_indices] = 1.0
    return table
