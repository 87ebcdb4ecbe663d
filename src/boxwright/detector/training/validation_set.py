"""The validation images that a training looks at: which they are, and their pixels."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from boxwright import errors
from boxwright.detector.data import dataset
from boxwright.detector.evaluation import evaluate
from boxwright.detector.planning import schedule
from boxwright.images import decode, letterbox

CHECK_IMAGES = 64  # looked at during training


@dataclasses.dataclass(frozen=True)
class ValidationSet:
    """Letterboxed images with their ground truth, for checks during training.

    Attributes:
        images: at full size.
        ground_truth: of each.
        coarse_images: the same at the size of the first phase.
    """

    images: Sequence[letterbox.Prepared]
    ground_truth: Sequence[evaluate.GroundTruth]
    coarse_images: Sequence[letterbox.Prepared] = ()

    @property
    def is_enough(self) -> bool:
        """Whether it has so many images with objects that a training may be ended for what they say."""
        return sum(1 for one in self.ground_truth if len(one.label_indices)) >= schedule.ENOUGH_IMAGES


def read(
    examples: Sequence[dataset.Example], read_bytes: Callable[[str], bytes], input_hw: tuple[int, int]
) -> ValidationSet:
    """Decodes the images that are looked at; one that cannot be read is left out.

    Args:
        examples: of VALIDATION.
        read_bytes: from a URI to the encoded image.
        input_hw: of the network, in pixels.
    """
    images, coarse_images, ground_truth = [], [], []
    for example in looked_at(examples):
        try:
            image = decode.decode(read_bytes(example.uri), input_hw)
        except (OSError, LookupError, errors.ApiError, decode.DecodeError):
            continue  # reported by the final evaluation
        images.append(letterbox.letterbox(image, input_hw))
        coarse_images.append(letterbox.letterbox(image, schedule.coarse_hw(input_hw)))
        ground_truth.append(evaluate.GroundTruth(example.boxes_norm, example.label_indices))
    return ValidationSet(images, ground_truth, coarse_images)


def looked_at(examples: Sequence[dataset.Example]) -> list[dataset.Example]:
    """The validation images that are looked at during training: evenly spread, but no image with objects too few."""
    spread = _spread(examples, CHECK_IMAGES)
    if sum(1 for one in spread if len(one.label_indices)) >= schedule.ENOUGH_IMAGES:
        return spread
    holding = _spread([one for one in examples if len(one.label_indices)], CHECK_IMAGES // 2)
    return [*holding, *_spread([one for one in examples if not len(one.label_indices)], CHECK_IMAGES - len(holding))]


def _spread(examples: Sequence[dataset.Example], most: int) -> list[dataset.Example]:
    return list(examples[:: max(1, math.ceil(len(examples) / most))])
