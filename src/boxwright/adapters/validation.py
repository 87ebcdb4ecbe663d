"""Labelled images judge a network: which of several hypotheses finds their boxes, and how good the model is.

read_examples(folder, labels) -> [Example]
average_precision(opened, examples) -> float      mAP at 0.5, of the first images
evaluation(opened, examples, labels) -> dict      all images, in the shape of a training's evaluation
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from concurrent import futures
from typing import Any

import numpy as np

from boxwright import boxes
from boxwright.adapters import job
from boxwright.adapters.source import Refused
from boxwright.detector.evaluation import evaluate
from boxwright.images import decode
from boxwright.inference.predictor import Predictor

LEAST_IMAGES = 20  # with fewer nothing is decided
CHOSEN_ON = 40  # images that hypotheses are compared on
LEAST_LEAD = 0.05  # of mAP at 0.5, by which a hypothesis must be ahead of the next
LEAST_SCORE = 0.05  # mAP at 0.5 of a network that finds something
SPLIT = "VALIDATION"


@dataclasses.dataclass(frozen=True)
class Example:
    """A labelled image.

    Attributes:
        file: its bytes.
        truth: its boxes.
    """

    file: pathlib.Path
    truth: evaluate.GroundTruth

    @property
    def uri(self) -> str:
        """As `precision.StoredExample` has it."""
        return str(self.file)


def read_examples(folder: pathlib.Path, labels: Sequence[str]) -> list[Example]:
    """The labelled images of a job; none if it has none.

    Raises:
        Refused: a label is none of the network's.
    """
    path = folder / job.EXAMPLES_FILE
    if not path.exists():
        return []
    index = {label: number for number, label in enumerate(labels)}
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        unknown = sorted({label for label, *_ in row["boxes"]} - set(index))
        if unknown:
            raise Refused(
                f"The CSV has the label '{unknown[0]}', which the network does not have. Its labels: "
                f"{', '.join(labels[:20])}."
            )
        corners = np.asarray([box for _, *box in row["boxes"]], np.float32).reshape(-1, 4)
        numbers = np.asarray([index[label] for label, *_ in row["boxes"]], np.int64)
        found.append(Example(folder / job.IMAGES_FOLDER / row["file"], evaluate.GroundTruth(corners, numbers)))
    return found


def _predicted(opened: Predictor, examples: Sequence[Example], threads: int) -> list[boxes.Detections]:
    def predict(example: Example) -> boxes.Detections:
        try:
            return opened.predict(example.file.read_bytes())
        except decode.DecodeError as error:
            raise Refused(f"An image of the CSV cannot be used: {error.reason}") from None

    with futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(predict, examples))


def average_precision(opened: Predictor, examples: Sequence[Example], threads: int) -> float:
    """MAP at 0.5 on the first images, in [0, 1].

    Raises:
        Refused: an image cannot be used.
    """
    chosen = examples[:CHOSEN_ON]
    found = _predicted(opened, chosen, threads)
    return evaluate.quick_scores(len(opened.labels), [one.truth for one in chosen], found)[0]


def evaluation(opened: Predictor, examples: Sequence[Example], threads: int) -> dict[str, Any]:
    """The whole evaluation.

    Raises:
        Refused: an image cannot be used.
    """
    labels = [dataclasses.asdict(one) for one in opened.labels]
    found = _predicted(opened, examples, threads)
    return evaluate.evaluate(labels, [one.truth for one in examples], found, split=SPLIT)
