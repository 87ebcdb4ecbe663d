"""When a batch fails although all its images were tried, and what is said then."""

from __future__ import annotations

import pytest

from boxwright.batch.output.verdict import too_many_failed


@pytest.mark.parametrize(
    ("predicted", "by_code", "limit", "start"),
    [
        (
            0,
            {"NOT_FOUND": 6, "INVALID_ARGUMENT": 1},
            1.0,
            "Nothing was predicted: all 7 images failed: 6 NOT_FOUND, 1 INV",
        ),
        (
            0,
            {"NOT_FOUND": 1},
            1.0,
            "Nothing was predicted: the only image failed: 1 NOT_FOUND, first: gs://b/a is gone.",
        ),
        (
            71,
            {"NOT_FOUND": 29},
            0.28,
            "29 of 100 images failed, more than image_failure_limit (0.28) allows: 29 NOT_FOUND, ",
        ),
        (6, {"UNAVAILABLE": 1}, 0.0, "1 of 7 images failed, more than image_failure_limit (0) allows: 1 UNAVAILABLE"),
        (71, {"NOT_FOUND": 29}, 0.29, None),  # a share that no binary number is
        (1, {"NOT_FOUND": 1_000_000}, 1.0, None),
        (7, {}, 0.0, None),
        (0, {}, 0.0, None),
    ],
)
def test_the_verdict(predicted, by_code, limit, start):
    said = too_many_failed(predicted, by_code, "gs://b/a is gone.", limit)
    if start is None:
        assert said is None
    else:
        assert said is not None and said.startswith(start)
        assert "first: gs://b/a is gone. The files stay" in said
