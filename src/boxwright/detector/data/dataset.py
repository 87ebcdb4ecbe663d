"""Labelled images: which there are, and which split each is in.

    read_examples(path) -> [Example]
    resolve_splits(examples) -> Splits          fills what the user left open, deterministically

A split is a property of an image's content: the same picture lands in the same split in every training.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright.learning import example_sets

SPLITS = example_sets.SPLITS
SETS = {8: "VALIDATION", 9: "TEST"}  # by `split_bucket`


@dataclasses.dataclass(frozen=True)
class Example:
    """A labelled image.

    Attributes:
        uri: where its bytes are.
        sha256: of the bytes, hexadecimal.
        ml_use: TRAIN, VALIDATION, TEST or UNASSIGNED.
        boxes_norm: (N, 4) float32, xyxy in [0, 1].
        label_indices: (N,) int64.
    """

    uri: str
    sha256: str
    ml_use: str
    boxes_norm: npt.NDArray[np.float32]
    label_indices: npt.NDArray[np.int64]


Splits = example_sets.Splits[Example]


def read_examples(path: pathlib.Path) -> list[Example]:
    """Reads examples.jsonl.

    Raises:
        ValueError: a line is not what it should be; the message has its number.
    """
    return example_sets.read(path, _of_row)


def _of_row(row: dict[str, Any]) -> Example:
    table = np.asarray(row["boxes"], np.float64).reshape(-1, 5)
    boxes_norm = np.clip(table[:, 1:], 0.0, 1.0).astype(np.float32)
    usable = (boxes_norm[:, 2:] > boxes_norm[:, :2]).all(axis=1)  # a box without area teaches nothing
    return Example(row["uri"], row["sha256"], row["ml_use"], boxes_norm[usable], table[usable, 0].astype(np.int64))


def split_bucket(example: Example) -> int:
    """0 to 9, a function of the content: 0-7 train, 8 validate, 9 test."""
    return int(hashlib.sha256((example.sha256 or example.uri).encode()).hexdigest()[:12], 16) % 10


def resolve_splits(examples: Sequence[Example]) -> Splits:
    """Assigns every example to one split.

    Unassigned images are dealt 80/10/10 by their content. A validation or test set that is empty after that is taken from
    the training set by the same rule, at least one image each while there are two or more.
    """
    chosen = {name: [one for one in examples if one.ml_use == name] for name in SPLITS}
    for one in examples:
        if one.ml_use not in SPLITS:
            chosen[SETS.get(split_bucket(one), "TRAIN")].append(one)
    return example_sets.filled(chosen, _taken)


def _taken(name: str, train: list[Example]) -> list[Example]:
    """What an empty set gets of TRAIN: what its content would have put there, or else one image."""
    taken = [one for one in train if SETS.get(split_bucket(one)) == name]
    return taken if 0 < len(taken) < len(train) else [min(train, key=lambda one: (one.sha256, one.uri))]
