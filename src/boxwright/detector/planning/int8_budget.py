"""The images and the seconds that the choice between fp32 and int8 needs."""

from __future__ import annotations

import dataclasses

from boxwright.detector.data import dataset
from boxwright.detector.planning import input_size

CALIBRATION_IMAGES = 128
COMPARED_FROM = 100  # images that a comparison should have: training images fill up a smaller validation set
COMPARED_LEAST = 32  # with fewer, a loss of half a point could not be told from chance
COMPARED_MOST = 500
TIMING_S = 3.0  # for these pairs, at most
CHILD_S = 9.0  # start and correction of biases on a busy machine; the statistics come on top
BUDGET_SHARE = 0.15  # of a training's budget, at most, is set aside for the choice


@dataclasses.dataclass(frozen=True)
class Images:
    """What a choice looks at.

    Attributes:
        calibration: training images, from which int8's ranges are learned.
        compared: (split, image), validation first.
    """

    calibration: tuple[dataset.Example, ...]
    compared: tuple[tuple[str, dataset.Example], ...]


def images_for(splits: dataset.Splits) -> Images:
    """Chooses the images: calibration spread over TRAIN; VALIDATION to compare, filled up from TRAIN if it is small."""
    stride = max(1, len(splits.train) // CALIBRATION_IMAGES)
    calibration = splits.train[::stride][:CALIBRATION_IMAGES]
    chosen = {id(one) for one in calibration}
    rest = [one for one in splits.train if id(one) not in chosen]
    compared = [("VALIDATION", one) for one in splits.validation[:COMPARED_MOST]]
    missing = max(0, COMPARED_FROM - len(compared))
    compared += [("TRAIN", one) for one in [*rest, *calibration][:missing]]
    return Images(calibration, tuple(compared))


def child_s(images: int, input_hw: tuple[int, int]) -> float:
    """Seconds that building int8 from this many images takes on a busy machine."""
    return CHILD_S + images * input_size.prediction_s(input_hw)


def reserve_s(
    splits: dataset.Splits, budget_s: float, threads: int, image_s: float, input_hw: tuple[int, int]
) -> float:
    """Seconds that a training should leave for the choice; zero if its budget is too short for it.

    Args:
        splits: the images.
        budget_s: of the whole training.
        threads: processor threads to use.
        image_s: to read and decode an image, with all threads at work.
        input_hw: of the network.
    """
    images = images_for(splits)
    if len(images.compared) < COMPARED_LEAST:
        return 0.0
    read_s = (len(images.calibration) + len(images.compared)) * image_s
    compared_s = 2 * len(images.compared) * input_size.prediction_s(input_hw) / threads
    needed_s = child_s(len(images.calibration), input_hw) + TIMING_S + read_s + compared_s
    return needed_s if needed_s <= BUDGET_SHARE * budget_s else 0.0
