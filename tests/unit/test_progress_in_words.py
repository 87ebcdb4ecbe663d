"""The one line that `boxwright operations wait` shows."""

from __future__ import annotations

import pytest

from boxwright.commands.operations import in_words

RUNNING = {"state": "RUNNING", "progress_percent": 41.0}


@pytest.mark.parametrize(
    "numbers, line",
    [
        ({"state": "PENDING", "progress_percent": 0.0}, "waiting for its turn, 0%"),
        (RUNNING, "41%"),
        (
            RUNNING
            | {"done": 412000.0, "failed": 3.0, "total": 1e6, "total_is_exact": False, "images_per_s": 180.5}
            | {"eta_s": 3257.6, "bottleneck": "decoding"},
            "412,000 of about 1,000,000 images, 3 failed, 41%, 180.5 images/s, 54 min 18 s left, limited by decoding",
        ),
        (
            RUNNING | {"done": 5.0, "failed": 0.0, "total": 9.0, "total_is_exact": True, "images_per_s": None},
            "5 of 9 images, 41%",
        ),
        (
            RUNNING | {"stage": "training", "step": 120.0, "steps": 900.0, "images_per_s": 61.24, "eta_s": 7260.0}
            | {"epoch": 4.68, "validation_map50": 0.8125},
            "training, epoch 4.7, step 120 of 900, 41%, 61.2 images/s, validation AP@0.5 0.812, 2 h 01 min left",
        ),
        (
            {"state": "SUCCEEDED", "progress_percent": 100.0, "done": 9.0, "total": 9.0, "total_is_exact": True}
            | {"images_of_one_colour": 2.0},
            "9 of 9 images, 2 of one colour, 100%",
        ),
        (RUNNING | {"waits_for": "s3://photos"}, "waiting for s3://photos, which is called too often, 41%"),
        (RUNNING | {"stage": "evaluating", "eta_s": 3.2}, "evaluating, 41%, 3 s left"),
        ({"state": "SUCCEEDED", "progress_percent": 100.0, "eta_s": 0.0}, "100%"),
    ],
)  # fmt: skip
def test_numbers_in_words(numbers, line):
    assert in_words(numbers) == line
