"""What the training of one network leaves."""

from __future__ import annotations

import dataclasses

from boxwright.detector.data import dataset
from boxwright.detector.evaluation import intervals, orientation
from boxwright.detector.network import dense
from boxwright.detector.planning import input_size
from boxwright.learning import origin

PRETRAINED_FOLDER = "pretrained"  # of the checkpoint of the network that starts from ImageNet
COCO_FOLDER = "coco"  # likewise, from COCO
FINAL_FOLDER = "final"  # likewise, of the training on all images
ATTEMPTS_FILE = (
    "attempts.txt"  # beside a second network's checkpoint: the step at which each of its trainings has begun
)


@dataclasses.dataclass(frozen=True)
class ChoiceRecord:
    """How a network was chosen where VALIDATION is small.

    Attributes:
        judges: number of images with objects that judged, by the set that they are in.
        certainty: share of drawings of these images that would choose the same network, in [0, 1]; None without a rival.
        learned_all: whether it then learned from all images.
    """

    judges: dict[str, int]
    certainty: float | None
    learned_all: bool

    @property
    def in_words(self) -> str:
        """For the report."""
        held = f", {self.judges['TRAIN']} of them held out of TRAIN" if self.judges["TRAIN"] else ""
        sentence = f"The network was chosen on {sum(self.judges.values())} images with objects{held}."
        if self.certainty is None:
            return sentence
        return f"{sentence} Other images of the same kind would choose the same in {100 * self.certainty:.0f} of 100 cases."


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
        images_a_pass: that one pass showed, repeats counted.
        judged: what it and other images say of it; None if that was not asked.
        rivals: the same of the networks that it was preferred to, with the lead that it needed.
        choice_made: how it was chosen, where VALIDATION is small; None otherwise.
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
    images_a_pass: int = 1
    judged: intervals.ResampledScore | None = None
    rivals: tuple[tuple[intervals.ResampledScore, float], ...] = ()
    choice_made: ChoiceRecord | None = None
