"""What every part of a job needs, and what its training leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from boxwright.classifier.data import dataset
from boxwright.classifier.evaluation import mistakes, orientation
from boxwright.classifier.network import network
from boxwright.classifier.training import candidates, recipe
from boxwright.inference import model_folder
from boxwright.learning import device, listener
from boxwright.learning.job import TrainingJob
from boxwright.learning.origin import Origin

EXPECTED_SHARE = 0.3  # of what is set aside for a busy machine: what delivery usually takes

ReadBytes = Callable[[str], bytes]


@dataclasses.dataclass(frozen=True)
class TrainingContext:
    """What every part of a job needs.

    Attributes:
        kind: of model, with its input.
        input_reason: why the input is what it is, in words.
        reserve_s: seconds to leave for the delivery.
    """

    job: TrainingJob
    recipe: recipe.Recipe
    kind: network.ModelType
    where: device.Device
    splits: dataset.Splits
    read_bytes: ReadBytes
    notebook: listener.ProgressRelay
    elapsed: listener.ElapsedTime
    input_reason: str
    reserve_s: float

    @property
    def input_hw(self) -> tuple[int, int]:
        """The network's input in pixels."""
        return self.kind.input_hw

    @property
    def is_multiclass(self) -> bool:
        """Whether an image has one label."""
        return self.job.classification_type == model_folder.MULTICLASS


@dataclasses.dataclass(frozen=True)
class Trained:
    """What the training leaves.

    Attributes:
        network: in eval mode, its temperature in its last layer.
        input_hw: its input in pixels.
        splits: the images.
        steps: of fine-tuning.
        stop_reason: why the training ended.
        training_s: seconds that it took.
        history: of the fine-tuning, for the report.
        ways: which flips leave the labels as they are.
        chosen: which candidate it is, and the others.
        start: the weights it started from, in words.
        probe_ready_s: seconds after which the first usable model was there, in the first attempt that knows.
        l2: the probe's penalty.
        doubtful: likely wrong labels of training images, the most doubtful first.
        origin: of the weights it started from.
    """

    network: network.ClassificationNetwork
    input_hw: tuple[int, int]
    splits: dataset.Splits
    steps: int
    stop_reason: str
    training_s: float
    history: dict[str, list[list[float]]]
    ways: orientation.Orientation
    chosen: candidates.CandidateChoice
    start: str
    probe_ready_s: float
    l2: float
    doubtful: tuple[mistakes.DoubtfulLabel, ...]
    origin: Origin
