"""The images and the seconds that the choice between fp32 and int8 needs."""

from __future__ import annotations

from boxwright.detector.data import dataset
from boxwright.detector.planning import input_size
from boxwright.learning import precision

BUDGET_SHARE = 0.15  # of a training's budget, at most, is set aside for the choice


def images_for(splits: dataset.Splits) -> precision.Images:
    """The images that the choice for a detector looks at."""
    return precision.images_for(splits.train, splits.validation)


def child_s(images: int, input_hw: tuple[int, int]) -> float:
    """Seconds that building int8 from this many images takes on a busy machine."""
    return precision.child_s(images, input_size.prediction_s(input_hw))


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
    if len(images.compared) < precision.COMPARED_LEAST:
        return 0.0
    read_s = (len(images.calibration) + len(images.compared)) * image_s
    compared_s = 2 * len(images.compared) * input_size.prediction_s(input_hw) / threads
    needed_s = child_s(len(images.calibration), input_hw) + precision.TIMING_S + read_s + compared_s
    return needed_s if needed_s <= BUDGET_SHARE * budget_s else 0.0
