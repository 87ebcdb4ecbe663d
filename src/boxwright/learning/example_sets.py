"""The images of a training, in three sets: reading them, and filling what is empty.

read(path, of_row) -> [example]
filled(chosen, take) -> Splits
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

SPLITS = ("TRAIN", "VALIDATION", "TEST")


class _Image(Protocol):
    """An image that is known by its content and its address."""

    @property
    def uri(self) -> str: ...

    @property
    def sha256(self) -> str: ...


_E = TypeVar("_E", bound=_Image)
_R = TypeVar("_R")


@dataclasses.dataclass(frozen=True)
class Splits(Generic[_E]):
    """The three sets and what had to be decided to get them (`notes`, sentences for the user)."""

    train: tuple[_E, ...]
    validation: tuple[_E, ...]
    test: tuple[_E, ...]
    notes: tuple[str, ...]


def read(path: pathlib.Path, of_row: Callable[[dict[str, Any]], _R]) -> list[_R]:
    """Reads examples.jsonl.

    Args:
        path: of the file.
        of_row: makes an example of a line.

    Raises:
        ValueError: a line is not what it should be; the message has its number.
    """
    examples = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                examples.append(of_row(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path.name} line {number} is unreadable: {error}") from error
    return examples


def filled(chosen: Mapping[str, list[_E]], take: Callable[[str, list[_E]], list[_E]]) -> Splits[_E]:
    """The sets in the order of the images' digests; an empty VALIDATION or TEST is taken from TRAIN while that has two.

    Args:
        chosen: the images by set.
        take: which images of TRAIN a set gets, one at least.
    """
    sets, notes = dict(chosen), []
    for name in ("VALIDATION", "TEST"):
        if sets[name] or len(sets["TRAIN"]) < 2:
            continue
        moved = take(name, sets["TRAIN"])
        gone = {id(one) for one in moved}
        sets["TRAIN"] = [one for one in sets["TRAIN"] if id(one) not in gone]
        sets[name] = moved
        notes.append(f"No image was assigned to {name}: {len(moved)} of the TRAIN images were moved there.")
    train, validation, test = (tuple(sorted(sets[name], key=lambda one: (one.sha256, one.uri))) for name in SPLITS)
    return Splits(train, validation, test, tuple(notes))
