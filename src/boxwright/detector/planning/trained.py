"""What a training leaves, and how a job ends."""

from __future__ import annotations

import dataclasses

from boxwright.detector.data import dataset
from boxwright.detector.evaluation import orientation
from boxwright.detector.network import dense, origin
from boxwright.detector.planning import input_size

PRETRAINED_FOLDER = "pretrained"  # of the checkpoint of the network that starts from ImageNet
COCO_FOLDER = "coco"  # likewise, from COCO
ATTEMPTS_FILE = (
    "attempts.txt"  # beside a second network's checkpoint: the step at which each of its trainings has begun
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    stop_reason: str
    elapsed_s: float
    weights_sha256: str


@dataclasses.dataclass(frozen=True)
class Trained:
    """What the training leaves.

    Attributes:
        network: in eval mode.
        input: its input, and why it is that.
        splits: the images.
        steps: done.
        batch_size: images a step.
        stop_reason: why it ended.
        training_s: seconds that it took.
        history: the trainer's record.
        ways_up: which ways up the objects may be; None if training ended before that was measured.
        start: the weights it started from.
        score: mean of mAP at 0.5 and at 0.50 … 0.95 at the last validation; None if there was none.
        choice: why it is this network, in words.
        origin: of the weights it started from; None for random ones.
        untrained_score: that the network had on the same validation before it learned anything; None if that was not asked.
    """

    network: dense.Network
    input: input_size.InputSize
    splits: dataset.Splits
    steps: int
    batch_size: int
    stop_reason: str
    training_s: float
    history: dict[str, list[list[float]]]
    ways_up: orientation.Orientation | None = None
    start: str = "random"
    score: float | None = None
    choice: str = ""
    origin: origin.Origin | None = None
    untrained_score: float | None = None
