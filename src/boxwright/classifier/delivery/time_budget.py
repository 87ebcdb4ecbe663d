"""Seconds that the delivery of a model needs: what a training leaves of its budget."""

from __future__ import annotations

from boxwright.classifier.data import dataset
from boxwright.classifier.network import network
from boxwright.learning import precision

EXPORT_S = 8.0  # write the graph, compile it, open it
LAST_SECONDS_S = 3.0  # evaluation stops this long before the budget ends, and the report half of it
INT8_SHARE = 0.2  # of a training's budget, at most, is set aside for the choice of a precision
CHOICE_PASSES = 2  # over VALIDATION: the fine-tuned network, and the one between it and the probe


def reserve_s(splits: dataset.Splits, kind: network.ModelType, budget_s: float, threads: int) -> float:
    """Seconds that follow the last step.

    Args:
        splits: the images.
        kind: of model.
        budget_s: of the whole training.
        threads: that predict.
    """
    evaluated = CHOICE_PASSES * len(splits.validation) + len(splits.test or splits.validation)
    return EXPORT_S + LAST_SECONDS_S + evaluated * kind.image_s / threads + int8_s(splits, kind, budget_s, threads)


def int8_s(splits: dataset.Splits, kind: network.ModelType, budget_s: float, threads: int) -> float:
    """Seconds for the choice between fp32 and int8; zero if the budget is too short for it."""
    images = precision.images_for(splits.train, splits.validation)
    if len(images.compared) < precision.COMPARED_LEAST:
        return 0.0
    compared_s = 2 * len(images.compared) * kind.image_s / threads
    needed_s = precision.child_s(len(images.calibration), kind.image_s) + precision.TIMING_S + compared_s
    return needed_s if needed_s <= INT8_SHARE * budget_s else 0.0
