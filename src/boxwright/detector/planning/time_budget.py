"""Seconds that the delivery of a model needs: what a training leaves of its budget."""

from __future__ import annotations

from boxwright.detector.data import dataset
from boxwright.detector.planning import input_size, int8_budget

EXPORT_S = 8.0  # write the graph, compile it, open it
LAST_SECONDS_S = 3.0  # evaluation stops this long before the budget ends, and the report half of it
DECODE_IMAGE_S = 0.03  # a photograph on a busy core
EXPECTED_SHARE = 0.3  # of what is set aside for a busy machine: what delivery usually takes


def reserve_s(evaluated: int, image_s: float, threads: int, input_hw: tuple[int, int]) -> float:
    """Seconds that the delivery of a model needs.

    Args:
        evaluated: images to evaluate.
        image_s: to read and decode one.
        threads: that predict them.
        input_hw: of the network.
    """
    return EXPORT_S + LAST_SECONDS_S + evaluated * (input_size.prediction_s(input_hw) / threads + 2 * image_s)


def expected_s(splits: dataset.Splits, budget_s: float, threads: int, input_hw: tuple[int, int]) -> float:
    """Seconds from the last step to the finished model, roughly."""
    evaluated = len(splits.test or splits.validation)
    aside_s = reserve_s(evaluated, DECODE_IMAGE_S, threads, input_hw)
    return EXPECTED_SHARE * (aside_s + int8_budget.reserve_s(splits, budget_s, threads, DECODE_IMAGE_S, input_hw))
