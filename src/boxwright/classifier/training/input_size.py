"""How large the classifier's input is: that of its first training, or more where an image has several labels.

    choose(kind, splits, …) -> InputSize

What a label of MULTILABEL stands for is a part of the image, often a small one. So the input grows, and gets the images'
shape. It stops where the images hold no more detail, or where the budget would leave too few steps. The choice is kept in
the job's folder: an attempt that follows a kill finds the same one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import statistics
from collections.abc import Callable

from boxwright import private
from boxwright.classifier.data import dataset
from boxwright.classifier.network import network
from boxwright.classifier.training import recipe
from boxwright.learning import input_frame

INPUT_FILE = "input.json"
GROWTHS = (2.25, 1.5)  # of the area of the first training, the largest first
LEAST_STEPS = 0.6  # of the planned ones: small labels are worth more pixels than passes
SIZE_SAMPLE = 200  # images that decide the shape


@dataclasses.dataclass(frozen=True)
class InputSize:
    """The input, and why.

    Attributes:
        input_hw: in pixels.
        reason: in words.
    """

    input_hw: tuple[int, int]
    reason: str


def choose(
    kind: network.ModelType,
    splits: dataset.Splits,
    read_bytes: Callable[[str], bytes],
    folder: pathlib.Path,
    *,
    threads: int,
    is_multiclass: bool,
    steps_share: Callable[[network.ModelType], float],
) -> InputSize:
    """The input of a job's network, chosen once.

    Args:
        kind: of model.
        splits: the images.
        read_bytes: from a URI to the encoded image.
        folder: of the job.
        threads: that read.
        is_multiclass: whether an image has one label.
        steps_share: share of the planned steps that the budget allows a kind with its input.
    """
    if is_multiclass:
        return InputSize(kind.input_hw, "that of the first training: an image has one label")
    path = folder / INPUT_FILE
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        return InputSize((kept["height"], kept["width"]), kept["reason"])
    sample = splits.train[:: max(1, len(splits.train) // SIZE_SAMPLE)][:SIZE_SAMPLE]
    sizes_hw = [size for size in input_frame.upright_sizes(sample, read_bytes, threads) if size is not None]
    chosen = _chosen(kind, sizes_hw, steps_share)
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"height": chosen.input_hw[0], "width": chosen.input_hw[1], "reason": chosen.reason}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    private.sync_folder(folder)
    return chosen


def _chosen(
    kind: network.ModelType, sizes_hw: list[tuple[int, int]], steps_share: Callable[[network.ModelType], float]
) -> InputSize:
    first_px = kind.input_hw[0] * kind.input_hw[1]
    held_px = statistics.median(height * width for height, width in sizes_hw) if sizes_hw else 0.0
    words = "the images hold no more detail"
    for growth in GROWTHS:
        input_hw = input_frame.closest_hw(round(growth * first_px), sizes_hw, recipe.SIDE_MULTIPLE_PX)
        if held_px < input_hw[0] * input_hw[1]:
            continue
        if steps_share(kind.with_input(input_hw)) >= LEAST_STEPS:
            return InputSize(
                input_hw, f"{growth} times the pixels of the first training, for labels of parts of an image"
            )
        words = "the budget leaves too few steps for a larger one"
    return InputSize(input_frame.closest_hw(first_px, sizes_hw, recipe.SIDE_MULTIPLE_PX), words)
