"""Stage times: laps add up, and the bottleneck is said in words."""

from __future__ import annotations

import pytest

from boxwright.batch.engine import stages

NOTHING = dict.fromkeys(stages.STAGES, 0.0)


@pytest.mark.parametrize(
    ("spent_s", "expected"),
    [
        ({}, ""),  # nothing has happened
        ({stages.WAITING: 3.0}, "reading images"),
        ({stages.DECODING: 2.0, stages.NETWORK: 1.0}, "decoding"),
        ({stages.DECODING: 1.0, stages.NETWORK: 2.0, stages.READING: 9.0}, "network"),  # reading goes on beside
        ({stages.NETWORK: 2.0, stages.WAITING: 2.5}, "reading images"),
        ({stages.POSTPROCESSING: 2.0, stages.NETWORK: 1.0}, "postprocessing"),
        ({stages.WRITING: 2.0, stages.NETWORK: 1.0, stages.WAITING: 1.0}, "writing results"),
    ],
)
def test_the_bottleneck_is_what_holds_the_image_threads_up(spent_s: dict[str, float], expected: str) -> None:
    assert stages.bottleneck({**NOTHING, **spent_s}, NOTHING) == expected
    earlier = dict.fromkeys(stages.STAGES, 100.0)
    assert (
        stages.bottleneck({stage: earlier[stage] + spent_s.get(stage, 0.0) for stage in earlier}, earlier) == expected
    )


def test_the_laps_of_all_threads_add_up() -> None:
    times = stages.StageTimes()
    one, other = times.thread(), times.thread()
    elapsed_s = one.end(stages.DECODING) + other.end(stages.DECODING) + other.end(stages.DECODING)
    other.restart()
    total_s = times.totals()
    assert total_s[stages.DECODING] == pytest.approx(elapsed_s)
    assert all(total_s[stage] == 0 for stage in stages.STAGES if stage != stages.DECODING)
